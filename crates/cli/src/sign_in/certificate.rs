//! A client that proves itself by certificate: a JWT signed with its private key, instead of a secret.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;

/// Seconds that an assertion lives.
const LIFETIME: i64 = 600;

#[derive(Serialize)]
struct Assertion<'a> {
    aud: &'a str,
    iss: &'a str,
    sub: &'a str,
    jti: String,
    nbf: i64,
    exp: i64,
}

/// A JWT that says who the client is, for this token endpoint and a few minutes.
///
/// # Errors
/// When certificate or key cannot be read.
pub fn assertion(
    certificate: &Path,
    key: &Path,
    client_id: &str,
    audience: &str,
    now: i64,
) -> Result<String, Failure> {
    let (pem, key_pem) = (read(certificate)?, read(key)?);
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
        Failure::Usage(format!(
            "`{}` holds no certificate in PEM (`-----BEGIN CERTIFICATE-----`)",
            certificate.display()
        ))
    })?;
    let signer = private_key_of(&key_pem).and_then(|pem| EncodingKey::from_rsa_pem(pem.as_bytes()).ok());
    let signer = signer.ok_or_else(|| {
        Failure::Usage(format!(
            "`{}` holds no RSA private key in PEM without a passphrase; of a PFX file `openssl pkcs12 -in FILE -nodes` makes one",
            key.display()
        ))
    })?;
    let header = Header {
        x5t_s256: Some(URL_SAFE_NO_PAD.encode(Sha256::digest(&der))),
        typ: Some("JWT".into()),
        ..Header::new(Algorithm::PS256)
    };
    let jti = uuid::Uuid::new_v4().to_string();
    let claims =
        Assertion { aud: audience, iss: client_id, sub: client_id, jti, nbf: now - 60, exp: now + LIFETIME };
    jsonwebtoken::encode(&header, &claims, &signer)
        .map_err(|e| Failure::Here(format!("cannot sign with `{}`: {e}", key.display())))
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|e| Failure::file("read", path, &e))
}

/// The first private key of a file that may hold certificates too. It stays PEM, because as DER only one of the two forms
/// that such keys have is taken.
fn private_key_of(pem: &str) -> Option<String> {
    let lines =
        pem.lines().skip_while(|line| !(line.starts_with("-----BEGIN") && line.contains("PRIVATE KEY")));
    let mut key = String::new();
    for line in lines {
        key.push_str(line);
        key.push('\n');
        if line.starts_with("-----END") {
            return Some(key);
        }
    }
    None
}
