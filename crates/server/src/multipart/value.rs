//! Text inside headers and fields: the charsets that occur, and the ways clients wrap a name.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, PAD_INDIFFERENT};

const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, PAD_INDIFFERENT);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    Utf8,
    Latin1,
}

impl Charset {
    /// The charset of this label, or the label where there is none. ASCII is a part of UTF-8.
    pub fn of(label: &[u8]) -> Result<Charset, String> {
        let label = String::from_utf8_lossy(label).to_ascii_lowercase();
        match label.as_str() {
            "utf-8" | "utf8" | "us-ascii" | "ascii" => Ok(Charset::Utf8),
            "iso-8859-1" | "iso8859-1" | "iso_8859-1" | "latin1" | "latin-1" => Ok(Charset::Latin1),
            _ => Err(label),
        }
    }

    /// The text of a field, without a byte order mark. Fails with the place of the first byte that is wrong.
    pub fn text(self, bytes: Vec<u8>) -> Result<String, usize> {
        match self {
            Charset::Latin1 => Ok(latin1(&bytes)),
            Charset::Utf8 => {
                let mut text = String::from_utf8(bytes).map_err(|error| error.utf8_error().valid_up_to())?;
                if text.starts_with('\u{FEFF}') {
                    text.drain(..'\u{FEFF}'.len_utf8());
                }
                Ok(text)
            }
        }
    }

    fn decode(self, bytes: Vec<u8>) -> Result<String, String> {
        match self {
            Charset::Latin1 => Ok(latin1(&bytes)),
            Charset::Utf8 => utf8(bytes),
        }
    }
}

/// A plain parameter's value: UTF-8, in which browsers and curl write `%22` for a quote. Nothing else that
/// looks percent-encoded is decoded, because it may be what the name really is.
pub(super) fn plain(bytes: Vec<u8>) -> Result<String, String> {
    utf8(bytes).map(|text| text.replace("%22", "\""))
}

/// A plain parameter's value that may be wrapped in MIME encoded words (`=?utf-8?B?…?=`), as .NET does.
pub(super) fn plain_or_words(bytes: Vec<u8>) -> Result<String, String> {
    match words(&bytes)? {
        Some(text) => Ok(text),
        None => plain(bytes),
    }
}

/// The value of an extended parameter (RFC 8187): `charset'language'percent-encoded`.
pub(super) fn extended(bytes: &[u8]) -> Result<String, String> {
    let mut pieces = bytes.splitn(3, |byte| *byte == b'\'');
    let (Some(label), Some(_language), Some(encoded)) = (pieces.next(), pieces.next(), pieces.next()) else {
        return Err("is not of the form `utf-8''percent-encoded`".to_owned());
    };
    let charset = Charset::of(label).map_err(unknown)?;
    let decoded = unescape(encoded, b'%').ok_or("has a `%` without two hexadecimal digits")?;
    charset.decode(decoded)
}

/// The text of a value that consists of nothing but encoded words (RFC 2047) with blanks between them.
fn words(bytes: &[u8]) -> Result<Option<String>, String> {
    let mut pieces = bytes.split(u8::is_ascii_whitespace).filter(|piece| !piece.is_empty()).peekable();
    if pieces.peek().is_none() {
        return Ok(None);
    }
    let mut text = Vec::new();
    for piece in pieces {
        let Some((label, decoded)) = word(piece) else {
            return Ok(None);
        };
        match Charset::of(label).map_err(unknown)? {
            // Joined as bytes: some writers cut a character in two.
            Charset::Utf8 => text.extend(decoded),
            Charset::Latin1 => text.extend(latin1(&decoded).into_bytes()),
        }
    }
    utf8(text).map(Some)
}

/// The charset label and bytes of `=?label?B?…?=` or `=?label?Q?…?=`.
fn word(piece: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let inner = piece.strip_prefix(b"=?")?.strip_suffix(b"?=")?;
    let mut fields = inner.splitn(3, |byte| *byte == b'?');
    let (label, encoding, encoded) = (fields.next()?, fields.next()?, fields.next()?);
    // RFC 2231 lets a language follow: `utf-8*en`.
    let label = label.split(|byte| *byte == b'*').next()?;
    let decoded = match encoding {
        b"B" | b"b" => BASE64.decode(encoded).ok()?,
        b"Q" | b"q" => {
            let spaced: Vec<u8> =
                encoded.iter().map(|byte| if *byte == b'_' { b' ' } else { *byte }).collect();
            unescape(&spaced, b'=')?
        }
        _ => return None,
    };
    Some((label, decoded))
}

/// Replaces `escape` and two hexadecimal digits by the byte they mean; `None` where the digits are missing.
fn unescape(bytes: &[u8], escape: u8) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != escape {
            out.push(*first);
            continue;
        }
        let [high, low, after @ ..] = rest else {
            return None;
        };
        out.push(digit(high)? << 4 | digit(low)?);
        rest = after;
    }
    Some(out)
}

fn utf8(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes)
        .map_err(|error| format!("is not UTF-8 (byte {} of the value)", error.utf8_error().valid_up_to() + 1))
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

fn unknown(label: String) -> String {
    format!("is in the charset `{}`; send UTF-8", label.escape_debug())
}
