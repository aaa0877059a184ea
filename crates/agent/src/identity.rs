//! Keys: the machine's own pair, which never leaves it, and the server's, which is pinned when the machine enrols. And the
//! tokens that tell this data folder from a copy of it.

use std::fmt;
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::disk;
use crate::error::{Context, Error, Result};

/// Either alphabet is read, padded or not.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const FOR_URLS: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

fn decode(text: &str) -> Option<Vec<u8>> {
    PLAIN.decode(text).or_else(|_| FOR_URLS.decode(text)).ok()
}

/// The machine's key pair. It is not printed.
pub struct Identity(Ed25519KeyPair);

impl Identity {
    /// A new pair, kept at `path` for the owner's eyes only.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: &Path) -> Result<Identity> {
        let pair = Ed25519KeyPair::generate().context(|| "cannot make a key pair".into())?;
        let document = pair.to_pkcs8v1().context(|| "cannot write the key pair".into())?;
        disk::write_private(path, document.as_ref())?;
        Ok(Identity(pair))
    }

    /// # Errors
    /// When there is none, or it is damaged.
    pub fn open(path: &Path) -> Result<Identity> {
        let document =
            std::fs::read(path).context(|| format!("cannot read the machine's key `{}`", path.display()))?;
        let pair = Ed25519KeyPair::from_pkcs8(&document)
            .context(|| format!("`{}` is no Ed25519 private key in PKCS#8", path.display()))?;
        Ok(Identity(pair))
    }

    /// 32 bytes in base64.
    pub fn public_key(&self) -> String {
        STANDARD.encode(self.0.public_key().as_ref())
    }

    /// In base64.
    pub fn sign(&self, text: &str) -> String {
        STANDARD.encode(self.0.sign(text.as_bytes()).as_ref())
    }
}

/// The key that signs assignments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerKey([u8; 32]);

impl ServerKey {
    /// # Errors
    /// When the text is not 32 bytes in base64.
    pub fn parse(text: &str) -> Result<ServerKey> {
        let bytes = decode(text).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes
            .map(ServerKey)
            .ok_or_else(|| Error::new(format!("`{text}` is no server key: 32 bytes in base64 are one")))
    }

    /// Whether `signature` is this key's over `text`.
    pub fn signed(&self, text: &str, signature: &str) -> bool {
        let Some(signature) = decode(signature) else { return false };
        UnparsedPublicKey::new(&ED25519, &self.0).verify(text.as_bytes(), &signature).is_ok()
    }
}

impl fmt::Display for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

/// Tokens of earlier connections, oldest first, a line each. Each connection begins with them and adds one.
pub struct Lineage(PathBuf);

impl Lineage {
    pub fn new(path: PathBuf) -> Lineage {
        Lineage(path)
    }

    /// None before the first connection.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self) -> Result<Vec<String>> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) => Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Error::new(format!("cannot read `{}`: {error}", self.0.display()))),
        }
    }

    /// Has them on the disk.
    ///
    /// # Errors
    /// When they cannot be written; what was there is there still.
    pub fn write(&self, tokens: &[String]) -> Result<()> {
        disk::write_private(&self.0, (tokens.join("\n") + "\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_pair_is_kept_privately_and_signs_the_same_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made = Identity::create(&path).unwrap();
        let opened = Identity::open(&path).unwrap();
        let key = ServerKey::parse(&opened.public_key()).unwrap();
        assert!(key.signed("text", &made.sign("text")));
        assert!(!key.signed("texts", &made.sign("text")));
        assert!(!key.signed("text", "not a signature"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn server_keys_are_read_in_either_alphabet() {
        let bytes = [0xfb; 32];
        let key = ServerKey(bytes);
        let for_urls = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        assert_eq!(ServerKey::parse(&for_urls), Ok(key));
        assert_eq!(ServerKey::parse(&key.to_string()), Ok(key));
        assert!(ServerKey::parse("AAAA").is_err());
    }
}
