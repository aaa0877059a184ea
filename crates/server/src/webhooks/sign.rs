//! Signatures of deliveries, as Standard Webhooks has them: HMAC-SHA256 over id, time and body, so that a receiver can
//! tell who sent it and when.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jumpbag_wire::time::Timestamp;

use crate::auth::secret::{Hidden, random};

const PREFIX: &str = "whsec_";
/// Bytes of a key.
const KEY: std::ops::RangeInclusive<usize> = 24..=64;

/// A new secret.
pub fn new_secret() -> Hidden {
    Hidden::new(format!("{PREFIX}{}", STANDARD.encode(random::<32>())))
}

fn key(secret: &Hidden) -> Option<Vec<u8>> {
    let key = STANDARD.decode(secret.reveal().strip_prefix(PREFIX)?).ok()?;
    KEY.contains(&key.len()).then_some(key)
}

/// Whether a text can be a secret: `whsec_` and 24 to 64 bytes in base64.
pub fn is_secret(secret: &Hidden) -> bool {
    key(secret).is_some()
}

/// The value of `webhook-signature`; none when the secret is none.
pub fn signature(secret: &Hidden, id: &str, at: Timestamp, body: &str) -> Option<String> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key(secret)?);
    let signature = hmac::sign(&key, format!("{id}.{}.{body}", at.secs()).as_bytes());
    Some(format!("v1,{}", STANDARD.encode(signature)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let secret = Hidden::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = r#"{"test": 2432232314}"#;
        let signature =
            signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", Timestamp::from_secs(1_614_265_330), body);
        assert_eq!(signature.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_are_prefixed_keys_of_some_length() {
        assert!(is_secret(&new_secret()));
        assert_ne!(new_secret(), new_secret());
        let of = |length: usize| Hidden::new(format!("whsec_{}", STANDARD.encode(vec![7; length])));
        for (length, good) in [(0, false), (23, false), (24, true), (64, true), (65, false)] {
            assert_eq!(is_secret(&of(length)), good, "{length}");
        }
        for bad in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_not base64 at all, is it? no"] {
            assert!(!is_secret(&Hidden::new(bad)), "{bad}");
        }
    }
}
