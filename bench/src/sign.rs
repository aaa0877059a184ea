//! Signatures for the peers that demand them, made before the clock starts: AWS Signature Version 4 as presigned
//! targets and Azure shared access signatures. Invariant: nothing here depends on the body, so a signed upload
//! costs the load generator as much as an unsigned one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

const REGION: &str = "us-east-1";

/// HMAC-SHA-256 (RFC 2104).
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
pub fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(one).collect()
}

/// One key pair at one moment, for one host.
pub struct Aws {
    pub access: &'static str,
    pub secret: &'static str,
    pub host: String,
    pub now: DateTime<Utc>,
}

impl Aws {
    /// The request target for `path` (already encoded) with `query`, presigned for a day.
    pub fn target(&self, method: &str, path: &str, query: &[(&str, &str)]) -> String {
        let day = self.now.format("%Y%m%d").to_string();
        let time = self.now.format("%Y%m%dT%H%M%SZ").to_string();
        let scope = format!("{day}/{REGION}/s3/aws4_request");
        let credential = format!("{}/{scope}", self.access);
        let mut pairs = vec![
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", &time),
            ("X-Amz-Expires", "86400"),
            ("X-Amz-SignedHeaders", "host"),
        ];
        pairs.extend_from_slice(query);
        pairs.sort_unstable();
        let query: Vec<_> = pairs.iter().map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect();
        let query = query.join("&");
        let canonical = format!("{method}\n{path}\n{query}\nhost:{}\n\nhost\nUNSIGNED-PAYLOAD", self.host);
        let digest = hex(&Sha256::digest(canonical));
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}");
        let start = format!("AWS4{}", self.secret).into_bytes();
        let steps = [day.as_str(), REGION, "s3", "aws4_request"];
        let key = steps.iter().fold(start, |key, step| hmac(&key, step.as_bytes()).to_vec());
        format!("{path}?{query}&X-Amz-Signature={}", hex(&hmac(&key, to_sign.as_bytes())))
    }
}

/// The query of an account shared access signature that allows everything on blobs; `key` is base64.
pub fn azure_sas(account: &str, key: &str) -> Result<String, String> {
    let (version, permissions, expiry) = ("2019-12-12", "rwdlac", "2099-01-01T00:00:00Z");
    let to_sign = format!("{account}\n{permissions}\nb\nsco\n\n{expiry}\n\n\n{version}\n");
    let key = STANDARD.decode(key).map_err(|e| format!("the account key is not base64: {e}"))?;
    let signature = encode(&STANDARD.encode(hmac(&key, to_sign.as_bytes())));
    let expiry = encode(expiry);
    Ok(format!("sv={version}&ss=b&srt=sco&sp={permissions}&se={expiry}&sig={signature}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn hmac_agrees_with_its_rfc() {
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(&hmac(b"Jefe", b"what do ya want for nothing?")), expected);
    }

    /// The presigned example of Amazon's reference, with its key and host.
    #[test]
    fn presigned_target_agrees_with_the_published_example() {
        let aws = Aws {
            access: "AKIAIOSFODNN7EXAMPLE",
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            host: "examplebucket.s3.amazonaws.com".into(),
            now: "2013-05-24T00:00:00Z".parse().expect("a date"),
        };
        let target = aws.target("GET", "/test.txt", &[]);
        let expected = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert!(target.ends_with(expected), "{target}");
    }
}
