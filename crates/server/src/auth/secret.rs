//! Client secrets: 256 random bits, shown once, kept as a SHA-256 and compared in constant time.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jumpbag_wire::time::Timestamp;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Text that no log line shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    pub fn new(text: impl Into<String>) -> Hidden {
        Hidden(text.into())
    }

    /// The text itself, for whoever has to check or print it once.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl<'de> serde::Deserialize<'de> for Hidden {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Hidden, D::Error> {
        String::deserialize(deserializer).map(Hidden)
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// What is kept of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretHash {
    pub sha256: [u8; 32],
    pub expires: Option<Timestamp>,
}

impl SecretHash {
    pub fn of(secret: &str, expires: Option<Timestamp>) -> SecretHash {
        SecretHash { sha256: hash_secret(secret), expires }
    }

    pub(crate) fn is(&self, given: &[u8; 32]) -> Choice {
        self.sha256.as_slice().ct_eq(given.as_slice())
    }

    pub(crate) fn expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

/// A new secret: `jb_` and 43 characters that need no escaping in a form, a URL or a shell.
pub fn new_secret() -> Hidden {
    Hidden(format!("jb_{}", URL_SAFE_NO_PAD.encode(random::<32>())))
}

pub fn hash_secret(secret: &str) -> [u8; 32] {
    sha256(secret.as_bytes())
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_secret_needs_no_escaping_and_never_repeats() {
        let (one, two) = (new_secret(), new_secret());
        assert_ne!(one, two);
        assert_eq!(one.reveal().len(), 46);
        assert!(one.reveal().starts_with("jb_"));
        let escaped: String = url::form_urlencoded::byte_serialize(one.reveal().as_bytes()).collect();
        assert_eq!(escaped, one.reveal());
    }

    #[test]
    fn a_hash_knows_its_secret_and_no_other() {
        let kept = SecretHash::of("open sesame", Some(Timestamp::from_secs(10)));
        assert!(bool::from(kept.is(&hash_secret("open sesame"))));
        assert!(!bool::from(kept.is(&hash_secret("open sesame "))));
        assert!(!kept.expired(Timestamp::from_secs(9)));
        assert!(kept.expired(Timestamp::from_secs(10)));
    }

    #[test]
    fn hidden_text_is_not_printed() {
        assert_eq!(format!("{:?}", Some(Hidden::new("s3cret"))), "Some([hidden])");
    }
}
