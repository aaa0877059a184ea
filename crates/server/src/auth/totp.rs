//! One-time codes of authenticator apps (RFC 6238 with SHA-1, six digits, thirty seconds): what every such app knows.

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq as _;

use super::secret::{Hidden, random};

const STEP: i64 = 30;
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A new secret of 160 bits, in base32.
pub fn new_secret() -> Hidden {
    Hidden::new(base32(&random::<20>()))
}

/// What an authenticator app reads.
pub fn uri(secret: &Hidden, user: &str) -> String {
    let user = percent_encoding::utf8_percent_encode(user, percent_encoding::NON_ALPHANUMERIC);
    format!(
        "otpauth://totp/jumpbag:{user}?secret={}&issuer=jumpbag&algorithm=SHA1&digits=6&period=30",
        secret.reveal()
    )
}

/// The step of time whose code this is: the present one or one of its neighbours, for clocks that differ. Spaces in
/// the code do not count.
pub fn step_of(secret: &Hidden, code: &str, seconds: i64) -> Option<i64> {
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let key = unbase32(secret.reveal())?;
    let now = seconds.div_euclid(STEP);
    let steps = [now, now - 1, now + 1];
    let mut found = None;
    for step in steps {
        let right = bool::from(at(&key, step).as_bytes().ct_eq(code.as_bytes()));
        found = found.or(right.then_some(step));
    }
    found
}

/// The code that an authenticator app shows now; `None` when the secret is none.
pub fn code(secret: &Hidden, seconds: i64) -> Option<String> {
    Some(at(&unbase32(secret.reveal())?, seconds.div_euclid(STEP)))
}

/// The code of a step.
fn at(key: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag[19] & 15);
    let number = u32::from_be_bytes([tag[offset] & 0x7f, tag[offset + 1], tag[offset + 2], tag[offset + 3]]);
    format!("{:06}", number % 1_000_000)
}

fn base32(bytes: &[u8]) -> String {
    let mut text = String::new();
    let (mut held, mut bits) = (0u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(ALPHABET[(held >> bits & 31) as usize]));
        }
    }
    if bits > 0 {
        text.push(char::from(ALPHABET[(held << (5 - bits) & 31) as usize]));
    }
    text
}

fn unbase32(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut held, mut bits) = (0u32, 0);
    for letter in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == letter.to_ascii_uppercase())?;
        held = (held << 5 | u32::try_from(value).ok()?) & 0xfff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 255).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, its eight digits cut to the last six.
    #[test]
    fn the_vectors_of_the_standard() {
        let key = b"12345678901234567890";
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000_i64, "353130"),
        ] {
            assert_eq!(at(key, seconds / STEP), code);
            let secret = Hidden::new(base32(key));
            assert_eq!(step_of(&secret, code, seconds), Some(seconds / STEP));
            assert_eq!(super::code(&secret, seconds).as_deref(), Some(code));
        }
    }

    #[test]
    fn a_code_is_good_for_its_step_and_the_neighbours() {
        let secret = new_secret();
        let key = unbase32(secret.reveal()).unwrap();
        let code = at(&key, 100);
        for (seconds, found) in
            [(2969, None), (2970, Some(100)), (3000, Some(100)), (3059, Some(100)), (3060, None)]
        {
            assert_eq!(step_of(&secret, &code, seconds), found, "{seconds}");
        }
        let spaced = format!(" {} {} ", &code[..3], &code[3..]);
        assert_eq!(step_of(&secret, &spaced, 3000), Some(100));
        for wrong in ["", "1", "1234567", &code[..5]] {
            assert_eq!(step_of(&secret, wrong, 3000), None, "{wrong}");
        }
    }

    #[test]
    fn base32_is_that_of_the_standard() {
        for (bytes, text) in
            [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foobar", "MZXW6YTBOI")]
        {
            assert_eq!(base32(bytes.as_bytes()), text);
            assert_eq!(unbase32(text).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(unbase32("M1"), None);
        assert_eq!(new_secret().reveal().len(), 32);
    }

    #[test]
    fn the_uri_has_no_room_for_tricks() {
        let uri = uri(&Hidden::new("ABC"), "a&secret=X@b");
        assert_eq!(
            uri,
            "otpauth://totp/jumpbag:a%26secret%3DX%40b?secret=ABC&issuer=jumpbag&algorithm=SHA1&digits=6&period=30"
        );
    }
}
