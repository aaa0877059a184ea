//! App registrations and how they prove themselves. An unknown client costs the same work as a
//! wrong secret.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jumpbag_wire::time::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use subtle::Choice;

use super::assertion::{self, Replays};
use super::refusal::{TokenError, shown};
use super::request::{Credential, TokenRequest};
use super::secret::{Hidden, SecretHash, hash_secret, sha256};
use super::tenant::Tenant;

/// An app registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    pub client_id: String,
    pub display_name: String,
    /// What its tokens say in `roles`.
    pub permissions: Vec<String>,
    pub secret_hashes: Vec<SecretHash>,
    pub certificates: Vec<CertificateKey>,
    /// After this no token is given.
    pub expires: Option<Timestamp>,
    /// It has no secret, and proves nothing.
    pub public: bool,
    /// Where browsers may be sent that signed in for it.
    pub redirects: Vec<String>,
}

/// The command line's own registration: every server has it, without a secret, for device codes only.
pub const COMMAND_LINE: &str = "jumpbag-cli";

impl Client {
    /// The registration of the command line.
    pub fn command_line() -> Client {
        Client {
            client_id: COMMAND_LINE.to_owned(),
            display_name: "jumpbag command line".to_owned(),
            permissions: Vec::new(),
            secret_hashes: Vec::new(),
            certificates: Vec::new(),
            expires: None,
            public: true,
            redirects: Vec::new(),
        }
    }

    /// Which of its users' permissions it may have; `None`: all of them.
    pub fn delegated(&self) -> Option<&[String]> {
        (self.client_id != COMMAND_LINE).then_some(self.permissions.as_slice())
    }
}

/// The public half of a certificate a client signs assertions with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateKey {
    /// SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
    /// SHA-1 of the certificate: what `x5t` names.
    pub x5t: [u8; 20],
    /// SHA-256 of the certificate: what `x5t#S256` names.
    pub x5t_s256: [u8; 32],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("no PEM certificate was found; it begins with `-----BEGIN CERTIFICATE-----`")]
    NoPem,
    #[error("the certificate is not a valid X.509 version 3 certificate")]
    Invalid,
    #[error("the certificate's key is not an RSA key of at least 2048 bits")]
    NotRsa,
}

impl CertificateKey {
    /// The first certificate of a PEM text. Who signed it and for how long does not matter: the
    /// registration vouches for the key, and ends it.
    pub fn from_pem(pem: &str) -> Result<CertificateKey, CertificateError> {
        CertificateKey::read(pem).map(|(key, _)| key)
    }

    /// The same, and the certificate as PEM again, without anything that the text holds besides.
    pub fn read(pem: &str) -> Result<(CertificateKey, String), CertificateError> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| CertificateError::NoPem)?;
        let certificate = webpki::EndEntityCert::try_from(&der).map_err(|_| CertificateError::Invalid)?;
        let spki = certificate.subject_public_key_info();
        let public = aws_lc_rs::rsa::PublicKey::from_der(&spki).map_err(|_| CertificateError::NotRsa)?;
        // A PKCS#1 public key of 2,048 bits is 256 bytes of modulus and a dozen around them.
        if public.as_ref().len() < 256 {
            return Err(CertificateError::NotRsa);
        }
        let key = CertificateKey { spki: spki.to_vec(), x5t: sha1(&der), x5t_s256: sha256(&der) };
        Ok((key, to_pem(&der)))
    }
}

fn to_pem(der: &[u8]) -> String {
    // 48 bytes are a line of 64 letters.
    let lines: String = der.chunks(48).map(|line| STANDARD.encode(line) + "\n").collect();
    format!("-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n")
}

fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut hash = [0; 20];
    hash.copy_from_slice(digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref());
    hash
}

/// How a client proved itself; tokens say it in `appidacr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Secret,
    Certificate,
}

/// Whether an assertion may be used more than once while it lives.
#[derive(Debug, Clone, Copy)]
pub enum Reuse<'a> {
    /// As at the original; msal sends one assertion for nine minutes.
    Allowed,
    Once(&'a Replays),
}

/// Checks that whoever sent `request` is `client`, which is `None` where no client has that id.
/// Fails with what the original answers.
pub fn authenticate(
    client: Option<&Client>,
    request: &TokenRequest,
    tenant: &Tenant,
    reuse: Reuse<'_>,
    now: Timestamp,
) -> Result<Method, TokenError> {
    let method = match &request.credential {
        Credential::Secret(given) => {
            let checked = check_secret(client, given, now);
            known(client, request, tenant)?;
            checked.map(|()| Method::Secret)
        }
        Credential::Assertion(jwt) => {
            let client = known(client, request, tenant)?;
            assertion::check(client, jwt.reveal(), tenant, reuse, now).map(|()| Method::Certificate)
        }
    }?;
    match client {
        Some(client) if client.expires.is_some_and(|at| at <= now) => {
            Err(TokenError::Disabled(client.client_id.clone()))
        }
        _ => Ok(method),
    }
}

fn known<'a>(
    client: Option<&'a Client>,
    request: &TokenRequest,
    tenant: &Tenant,
) -> Result<&'a Client, TokenError> {
    client.ok_or_else(|| TokenError::UnknownClient {
        client: shown(&request.client_id),
        tenant: tenant.id.clone(),
    })
}

/// Every kept hash is compared with every reading of the secret, and one that nothing matches
/// where there is none, so that time tells nothing.
fn check_secret(client: Option<&Client>, given: &[Hidden], now: Timestamp) -> Result<(), TokenError> {
    let nobody = [SecretHash { sha256: [0; 32], expires: None }];
    let kept = match client {
        Some(client) if !client.secret_hashes.is_empty() => client.secret_hashes.as_slice(),
        _ => &nobody,
    };
    let (mut right, mut expired) = (Choice::from(0), Choice::from(0));
    for secret in given {
        let hash = hash_secret(secret.reveal());
        for one in kept {
            let same = one.is(&hash);
            let late = Choice::from(u8::from(one.expired(now)));
            right |= same & !late;
            expired |= same & late;
        }
    }
    let id = client.map_or("", |client| client.client_id.as_str());
    if bool::from(right) {
        Ok(())
    } else if bool::from(expired) {
        Err(TokenError::ExpiredSecret(id.to_owned()))
    } else {
        Err(TokenError::WrongSecret(id.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::request::Version;
    use crate::auth::testing;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn request(secrets: &[&str]) -> TokenRequest {
        TokenRequest {
            version: Version::V2,
            client_id: "app".to_owned(),
            resource: String::new(),
            credential: Credential::Secret(secrets.iter().map(|text| Hidden::new(*text)).collect()),
        }
    }

    fn ask(client: Option<&Client>, secrets: &[&str], now: i64) -> Result<Method, TokenError> {
        authenticate(client, &request(secrets), &testing::tenant(), Reuse::Allowed, at(now))
    }

    #[test]
    fn the_right_secret_is_one_of_those_kept_and_not_expired() {
        let mut client = testing::client("app");
        client.secret_hashes = vec![SecretHash::of("old", Some(at(100))), SecretHash::of("new", None)];
        assert_eq!(ask(Some(&client), &["old"], 99), Ok(Method::Secret));
        assert_eq!(ask(Some(&client), &["old"], 100), Err(TokenError::ExpiredSecret("app".to_owned())));
        assert_eq!(ask(Some(&client), &["new"], 100), Ok(Method::Secret));
        assert_eq!(ask(Some(&client), &["a b", "new"], 100), Ok(Method::Secret));
        for wrong in ["", "ne", "new ", "NEW"] {
            assert_eq!(ask(Some(&client), &[wrong], 0), Err(TokenError::WrongSecret("app".to_owned())));
        }
    }

    #[test]
    fn nobody_gets_in_without_a_registration_or_a_secret() {
        let unknown = TokenError::UnknownClient { client: "app".to_owned(), tenant: testing::tenant().id };
        for secret in ["", "new", "\0"] {
            assert_eq!(ask(None, &[secret], 0), Err(unknown.clone()));
            let bare = testing::client("app");
            assert_eq!(ask(Some(&bare), &[secret], 0), Err(TokenError::WrongSecret("app".to_owned())));
        }
        assert!(ask(None, &[], 0).is_err());
    }

    #[test]
    fn an_expired_registration_is_told_only_to_its_owner() {
        let mut client = testing::client("app");
        client.secret_hashes = vec![SecretHash::of("s", None)];
        client.expires = Some(at(50));
        assert_eq!(ask(Some(&client), &["s"], 49), Ok(Method::Secret));
        assert_eq!(ask(Some(&client), &["s"], 50), Err(TokenError::Disabled("app".to_owned())));
        assert_eq!(ask(Some(&client), &["x"], 50), Err(TokenError::WrongSecret("app".to_owned())));
    }

    #[test]
    fn certificates_are_read_from_pem() {
        let (pem, _) = testing::certificate();
        let key = CertificateKey::from_pem(&pem).unwrap();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        assert_eq!(key.x5t_s256, sha256(&der));
        assert_eq!(CertificateKey::from_pem("x"), Err(CertificateError::NoPem));
        let cut = pem.replacen("MII", "MIM", 1);
        assert_eq!(CertificateKey::from_pem(&cut), Err(CertificateError::Invalid));
        let elliptic = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
        assert_eq!(CertificateKey::from_pem(&elliptic.cert.pem()), Err(CertificateError::NotRsa));
    }
}
