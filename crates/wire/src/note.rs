//! Signed notes (C2SP signed-note) and the checkpoints they carry (C2SP tlog-checkpoint): a text that one or more keys
//! have signed. Signatures are checked by a function of the caller's: no cryptographic library is needed here.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::hex::hex;

/// Stands for Ed25519 in key ids and keys.
const ED25519: u8 = 1;
const LONGEST: usize = 64 * 1024;
const SIGNATURES: usize = 32;

/// Whether an Ed25519 signature over a message is that of a public key.
pub type CheckEd25519 = fn(public: &[u8; 32], message: &[u8], signature: &[u8]) -> bool;

/// Why a note, a key or a checkpoint does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoteError {
    /// It is not written as such a thing is.
    Malformed(&'static str),
    /// None of its signatures is by a key that is known; by whom they are.
    UnknownKey(String),
    /// A signature by this key does not fit the text.
    BadSignature(String),
    /// The key signs for another log than the text names.
    OtherLog { origin: String, key: String },
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoteError::Malformed(what) => f.write_str(what),
            NoteError::UnknownKey(signers) => {
                write!(f, "it is signed by {signers}, which is no key known here")
            }
            NoteError::BadSignature(key) => write!(f, "the signature by {key} does not fit its text"),
            NoteError::OtherLog { origin, key } => {
                write!(f, "it is of the log `{origin}`, and signed with the key of `{key}`")
            }
        }
    }
}

impl std::error::Error for NoteError {}

/// A public key with its name; shown and read as `name+id+key` (Go's "vkey").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    key: [u8; 32],
}

impl PublicKey {
    /// # Errors
    /// When the name is empty or holds a space, a control character or a `+`.
    pub fn new(name: &str, key: [u8; 32]) -> Result<PublicKey, NoteError> {
        let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if name.is_empty() || name.contains(bad) {
            return Err(NoteError::Malformed("a key's name has no spaces, no control characters and no `+`"));
        }
        Ok(PublicKey { name: name.to_owned(), key })
    }

    /// # Errors
    /// When the text is no `name+id+key` of an Ed25519 key, or the id is not that of name and key.
    pub fn parse(text: &str) -> Result<PublicKey, NoteError> {
        const SHAPE: NoteError = NoteError::Malformed(
            "expected a public key such as `name+0123abcd+AQ…`: name, id, Ed25519 key in base64",
        );
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(SHAPE);
        };
        let key = STANDARD.decode(key).map_err(|_| SHAPE)?;
        let key = key.strip_prefix(&[ED25519]).and_then(|key| key.try_into().ok()).ok_or(SHAPE)?;
        let public = PublicKey::new(name, key)?;
        if hex(&public.id()) != id {
            return Err(NoteError::Malformed("the key's id is not that of its name and bytes"));
        }
        Ok(public)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first bytes of a signature by this key.
    pub fn id(&self) -> [u8; 4] {
        let mut digest = Sha256::new();
        digest.update(self.name.as_bytes());
        digest.update([b'\n', ED25519]);
        digest.update(self.key);
        let digest = digest.finalize();
        [digest[0], digest[1], digest[2], digest[3]]
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key: Vec<u8> = std::iter::once(ED25519).chain(self.key).collect();
        write!(f, "{}+{}+{}", self.name, hex(&self.id()), STANDARD.encode(key))
    }
}

/// The state of an audit log: which entry is its last, and that entry's hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: the name of its key.
    pub origin: String,
    /// The number of the last entry covered.
    pub number: i64,
    /// That entry's hash, 64 lower-case hexadecimal digits.
    pub head: String,
}

impl Checkpoint {
    /// The text that is signed: three lines.
    ///
    /// # Errors
    /// When `head` is no SHA-256.
    pub fn text(&self) -> Result<String, NoteError> {
        let head =
            unhex(&self.head).ok_or(NoteError::Malformed("a head is 64 lower-case hexadecimal digits"))?;
        Ok(format!("{}\n{}\n{}\n", self.origin, self.number, STANDARD.encode(head)))
    }

    fn parse(text: &str) -> Result<Checkpoint, NoteError> {
        const SHAPE: NoteError = NoteError::Malformed(
            "a checkpoint has three lines: origin, number of the last entry, its hash in base64",
        );
        let lines: Vec<&str> = text.split('\n').collect();
        let [origin, number, head, ""] = lines[..] else { return Err(SHAPE) };
        let parsed: i64 = number.parse().map_err(|_| SHAPE)?;
        let head: [u8; 32] = STANDARD.decode(head).ok().and_then(|head| head.try_into().ok()).ok_or(SHAPE)?;
        if origin.is_empty() || parsed < 0 || parsed.to_string() != number {
            return Err(SHAPE);
        }
        Ok(Checkpoint { origin: origin.to_owned(), number: parsed, head: hex(&head) })
    }

    /// What a note says, once its signature is good: of a key that is known, and of the log that the key is for.
    ///
    /// # Errors
    /// Why the note is not to be believed.
    pub fn open(note: &str, keys: &[PublicKey], check: CheckEd25519) -> Result<Checkpoint, NoteError> {
        let note = Note::parse(note)?;
        let key = note.verify(keys, check)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        if checkpoint.origin != key.name {
            return Err(NoteError::OtherLog { origin: checkpoint.origin, key: key.name.clone() });
        }
        Ok(checkpoint)
    }
}

/// A text and who signed it. Nothing is checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

impl Note {
    /// # Errors
    /// When it is no note: a text, an empty line, and lines `— name signature`.
    pub fn parse(note: &str) -> Result<Note, NoteError> {
        if note.len() > LONGEST || note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(NoteError::Malformed("a note has at most 64 KiB and no control characters"));
        }
        let (text, lines) = note
            .rsplit_once("\n\n")
            .ok_or(NoteError::Malformed("a note ends with an empty line and its signatures"))?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed("a note ends with a new line"))?;
        let signatures: Vec<_> = lines.split('\n').map(Signature::parse).collect::<Option<_>>().ok_or(
            NoteError::Malformed("a line of a signature is `— name signature`, the signature in base64"),
        )?;
        if signatures.len() > SIGNATURES {
            return Err(NoteError::Malformed("a note has at most 32 signatures"));
        }
        Ok(Note { text: format!("{text}\n"), signatures })
    }

    /// The text, with its last line's end.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first of `keys` that signed it. Signatures of others count for nothing.
    ///
    /// # Errors
    /// When none of `keys` signed it, or a signature under the name and id of one of them does not fit.
    pub fn verify<'a>(&self, keys: &'a [PublicKey], check: CheckEd25519) -> Result<&'a PublicKey, NoteError> {
        let mut signer = None;
        for key in keys {
            let own = self.signatures.iter().filter(|line| line.name == key.name && line.id == key.id());
            for signature in own {
                if !check(&key.key, self.text.as_bytes(), &signature.bytes) {
                    return Err(NoteError::BadSignature(signature.signer()));
                }
                signer = signer.or(Some(key));
            }
        }
        signer.ok_or_else(|| {
            let signers: Vec<_> = self.signatures.iter().map(Signature::signer).collect();
            NoteError::UnknownKey(signers.join(", "))
        })
    }
}

impl Signature {
    fn parse(line: &str) -> Option<Signature> {
        let (name, signature) = line.strip_prefix("— ")?.split_once(' ')?;
        let bytes = STANDARD.decode(signature).ok()?;
        let (id, bytes) = bytes.split_first_chunk::<4>()?;
        let named = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+');
        named.then(|| Signature { name: name.to_owned(), id: *id, bytes: bytes.to_owned() })
    }

    fn signer(&self) -> String {
        format!("`{}+{}`", self.name, hex(&self.id))
    }
}

/// A text with the signature of a key over it.
pub fn signed(text: &str, key: &PublicKey, signature: &[u8]) -> String {
    let bytes: Vec<u8> = key.id().into_iter().chain(signature.iter().copied()).collect();
    format!("{text}\n— {} {}\n", key.name, STANDARD.encode(bytes))
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes: Vec<u8> =
        pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect::<Option<_>>()?;
    if rest.is_empty() { bytes.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::{Checkpoint, Note, NoteError, PublicKey, signed};

    /// Stands in for Ed25519: the signature is the key's first byte and the message's length.
    fn check(public: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
        signature == [public[0], message.len() as u8]
    }

    fn key(byte: u8) -> PublicKey {
        PublicKey::new("example.org/log", [byte; 32]).unwrap()
    }

    fn note(byte: u8) -> (Checkpoint, String) {
        let head = format!("{byte:02x}").repeat(32);
        let checkpoint = Checkpoint { origin: "example.org/log".into(), number: 12, head };
        let text = checkpoint.text().unwrap();
        let note = signed(&text, &key(byte), &[byte, text.len() as u8]);
        (checkpoint, note)
    }

    /// The key of Go's `sumdb/note` documentation: whoever reads vkeys elsewhere reads these.
    #[test]
    fn keys_are_written_as_elsewhere() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key = PublicKey::parse(text).unwrap();
        assert_eq!(key.name(), "PeterNeumann");
        assert_eq!(key.id(), [0xc7, 0x4f, 0x20, 0xa3]);
        assert_eq!(key.to_string(), text);
        for bad in [
            "",
            "PeterNeumann",
            "PeterNeumann+c74f20a3",
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumanN+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a3+AhpcAQ==",
            "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        ] {
            assert!(PublicKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_checkpoint_is_three_lines_and_a_signature() {
        let (checkpoint, text) = note(0xab);
        assert_eq!(
            text.lines().take(4).collect::<Vec<_>>(),
            ["example.org/log", "12", "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=", ""]
        );
        assert_eq!(Checkpoint::open(&text, &[key(1), key(0xab)], check), Ok(checkpoint));
    }

    #[test]
    fn signatures_of_others_count_for_nothing_and_wrong_ones_of_known_keys_spoil_the_note() {
        let (checkpoint, text) = note(7);
        let other = format!("{text}— witness.example {}\n", "AAAAAAAA");
        assert_eq!(Checkpoint::open(&other, &[key(7)], check), Ok(checkpoint));
        assert!(matches!(Checkpoint::open(&text, &[key(8)], check), Err(NoteError::UnknownKey(_))));
        assert!(matches!(Checkpoint::open(&text, &[], check), Err(NoteError::UnknownKey(_))));
        let longer = text.replacen("12", "120", 1);
        assert!(matches!(Checkpoint::open(&longer, &[key(7)], check), Err(NoteError::BadSignature(_))));
        let renamed = PublicKey::new("example.org/other", [7; 32]).unwrap();
        let strange = signed("example.org/log\n1\nx\n", &renamed, &[7, 20]);
        assert!(Checkpoint::open(&strange, std::slice::from_ref(&renamed), check).is_err());
        let body = text.split("\n\n").next().unwrap().to_owned() + "\n";
        let foreign = signed(&body, &renamed, &[7, body.len() as u8]);
        assert!(matches!(Checkpoint::open(&foreign, &[renamed], check), Err(NoteError::OtherLog { .. })));
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let (_, text) = note(7);
        assert!(Note::parse(&text).is_ok());
        for bad in [
            String::new(),
            "\n\n".into(),
            text.trim_end().into(),
            text.replace("— ", "- "),
            text.replace("\n\n", "\n"),
            text.replace('\n', "\r\n"),
            text.replace("— example.org/log ", "— example.org/log  "),
            format!("{text}{}", "x".repeat(70_000)),
            format!("{text}{}", "— w AAAAAAAA\n".repeat(40)),
        ] {
            assert!(Note::parse(&bad).is_err(), "{bad}");
        }
        for bad in [
            "o\n012\n{}\n",
            "o\n-1\n{}\n",
            "o\n+1\n{}\n",
            "\n1\n{}\n",
            "o\n1\n{}",
            "o\n1\n{}\nmore\n",
            "o\n1\nAA==\n",
        ] {
            let bad = bad.replace("{}", "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=");
            assert!(Checkpoint::parse(&bad).is_err(), "{bad:?}");
        }
    }
}
