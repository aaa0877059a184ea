//! The proof by certificate: a JWT that the app signs with the certificate's key.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;

use super::sign_in::{Refused, refused};
use super::{CLIENT, DOMAIN, TENANT};

/// The assertion names the certificate by a thumbprint, is signed with its key, is of the app, for
/// the token endpoint, and alive.
pub(super) fn check(certificate: Option<&str>, assertion: &str, base: &str) -> Result<(), Refused> {
    let failed = |why: &str| {
        let text = format!(
            "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - {why}]"
        );
        refused(401, "invalid_client", 700_027, text)
    };
    let header = jsonwebtoken::decode_header(assertion).map_err(|_| failed("The assertion is malformed."))?;
    let certificate = certificate.ok_or_else(|| failed("The key was not found."))?;
    let body: String = certificate.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = STANDARD.decode(body.trim()).expect("a certificate in PEM");
    let print = |algorithm| URL_SAFE_NO_PAD.encode(digest::digest(algorithm, &der));
    let x5t = print(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    let x5t_s256 = print(&digest::SHA256);
    if header.x5t != Some(x5t) && header.x5t_s256 != Some(x5t_s256) {
        return Err(failed("The key was not found."));
    }
    let key = DecodingKey::from_rsa_pem(certificate.as_bytes()).expect("a certificate with an RSA key");
    let mut rules = Validation::new(Algorithm::RS256);
    rules.algorithms = vec![Algorithm::RS256, Algorithm::PS256];
    rules.set_required_spec_claims(&["aud", "exp", "iss", "sub"]);
    rules.set_audience(&[TENANT, DOMAIN].map(|tenant| format!("{base}/{tenant}/oauth2/v2.0/token")));
    rules.set_issuer(&[CLIENT]);
    rules.sub = Some(CLIENT.to_owned());
    match jsonwebtoken::decode::<Value>(assertion, &key, &rules).map_err(|error| error.into_kind()) {
        Ok(_) => Ok(()),
        Err(ErrorKind::ExpiredSignature) => {
            let text = "Client assertion is not within its valid time range.";
            Err(refused(401, "invalid_client", 700_024, text))
        }
        Err(ErrorKind::InvalidAudience) => {
            let text = "Client assertion audience claim does not match Realm issuer.";
            Err(refused(401, "invalid_client", 700_023, text))
        }
        Err(kind) => Err(failed(&format!("The key was found, but the assertion is not valid: {kind:?}."))),
    }
}
