//! Client assertions: a JWT a client signs with its certificate instead of sending a secret.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use jumpbag_wire::time::Timestamp;

use super::client::{CertificateKey, Client, Reuse};
use super::jwt::{Flaw, Header, Jws, SKEW};
use super::refusal::TokenError;
use super::secret::sha256;
use super::tenant::Tenant;
use jumpbag_wire::hex::hex;

/// No assertion may live longer, in seconds.
const LONGEST: i64 = 24 * 3600;

/// Whom an assertion claims to be from: good for looking the client up, for nothing else.
pub(crate) fn subject(jwt: &str) -> Option<String> {
    Jws::parse(jwt).ok()?.claims.text("sub").map(str::to_owned)
}

/// Fails unless `jwt` was signed with one of the client's certificates, for the token endpoint of
/// this tenant, about the client itself, and is alive for no more than a day.
pub(crate) fn check(
    client: &Client,
    jwt: &str,
    tenant: &Tenant,
    reuse: Reuse<'_>,
    now: Timestamp,
) -> Result<(), TokenError> {
    let jws = Jws::parse(jwt).map_err(malformed)?;
    if !matches!(jws.algorithm, Algorithm::RS256 | Algorithm::PS256) {
        return Err(TokenError::AssertionMalformed("the algorithm must be RS256 or PS256"));
    }
    let named = client.certificates.iter().find(|certificate| is_named(&jws.header, certificate));
    let certificate = named.ok_or(TokenError::AssertionSignature(
        "The key was not found: x5t, x5t#S256 or kid must name a certificate of the client",
    ))?;
    if !jws.signed_by(&DecodingKey::from_rsa_der(&certificate.spki)) {
        return Err(TokenError::AssertionSignature("The key was found, but the signature is not its own"));
    }
    let lifetime = jws.claims.lifetime().map_err(malformed)?;
    match lifetime.covers(now) {
        Err(Flaw::NotYetValid) => return Err(TokenError::AssertionTime("It is not valid yet")),
        Err(_) => return Err(TokenError::AssertionTime("It is expired")),
        Ok(()) if lifetime.expires > now.secs() + LONGEST + SKEW => {
            return Err(TokenError::AssertionTime("It may not live longer than 24 hours"));
        }
        Ok(()) => {}
    }
    let audiences = jws.claims.audiences().map_err(malformed)?;
    if !audiences.iter().any(|aud| tenant.is_token_endpoint(aud)) {
        return Err(TokenError::AssertionAudience);
    }
    let id = client.client_id.as_str();
    if jws.claims.text("iss") != Some(id) || jws.claims.text("sub") != Some(id) {
        return Err(TokenError::AssertionSubject);
    }
    match reuse {
        Reuse::Allowed => Ok(()),
        Reuse::Once(replays) => {
            let name = jws.claims.text("jti").unwrap_or(jwt);
            replays.admit(id, name, lifetime.expires + SKEW, now)
        }
    }
}

fn malformed(flaw: Flaw) -> TokenError {
    TokenError::AssertionMalformed(match flaw {
        Flaw::TooLong => "it is longer than 16 KiB",
        Flaw::Shape => "it is not a signed JWT",
        Flaw::Header => "its header is not valid",
        Flaw::Algorithm => "the algorithm must be RS256 or PS256",
        Flaw::Claims | Flaw::Expired | Flaw::NotYetValid => {
            "its claims are not valid: exp, aud, iss and sub are required, none given twice"
        }
    })
}

/// A header names a certificate by its thumbprint: base64url, padded or not, or hexadecimal.
fn is_named(header: &Header, certificate: &CertificateKey) -> bool {
    let says = |text: &Option<String>, print: &[u8]| {
        text.as_deref().is_some_and(|text| {
            text.trim_end_matches('=') == URL_SAFE_NO_PAD.encode(print) || is_hex_of(text, print)
        })
    };
    says(&header.x5t_s256, &certificate.x5t_s256)
        || says(&header.x5t, &certificate.x5t)
        || says(&header.kid, &certificate.x5t)
        || says(&header.kid, &certificate.x5t_s256)
}

fn is_hex_of(text: &str, bytes: &[u8]) -> bool {
    text.eq_ignore_ascii_case(&hex(bytes))
}

/// Assertions already used, kept until they expire. Bounded: a client whose share is full is
/// refused until some of its assertions expire, and takes nobody else's place.
#[derive(Debug, Default)]
pub struct Replays(Mutex<HashMap<String, HashMap<[u8; 32], i64>>>);

/// Assertions remembered for one client.
const SHARE: usize = 4096;

impl Replays {
    /// Fails when `client` has used an assertion of this name and neither has expired.
    fn admit(&self, client: &str, name: &str, expires: i64, now: Timestamp) -> Result<(), TokenError> {
        let key = sha256(name.as_bytes());
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let used = clients.entry(client.to_owned()).or_default();
        if used.get(&key).is_some_and(|until| now.secs() < *until) {
            return Err(TokenError::AssertionSignature("The assertion was used before"));
        }
        if used.len() >= SHARE {
            used.retain(|_, until| now.secs() < *until);
        }
        if used.len() >= SHARE {
            return Err(TokenError::AssertionSignature("Too many assertions of this client are alive"));
        }
        used.insert(key, expires);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::auth::testing;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    struct Signer {
        client: Client,
        key: jsonwebtoken::EncodingKey,
    }

    impl Signer {
        fn new() -> Signer {
            let (pem, key) = testing::certificate();
            let mut client = testing::client("app");
            client.certificates = vec![CertificateKey::from_pem(&pem).unwrap()];
            Signer { client, key }
        }

        fn header(&self) -> jsonwebtoken::Header {
            let mut header = jsonwebtoken::Header::new(Algorithm::RS256);
            header.x5t = Some(URL_SAFE_NO_PAD.encode(self.client.certificates[0].x5t));
            header
        }

        fn sign(&self, header: &jsonwebtoken::Header, claims: &Value) -> String {
            jsonwebtoken::encode(header, claims, &self.key).unwrap()
        }

        fn check(&self, header: &jsonwebtoken::Header, claims: &Value) -> Result<(), TokenError> {
            let jwt = self.sign(header, claims);
            check(&self.client, &jwt, &testing::tenant(), Reuse::Allowed, NOW)
        }
    }

    fn claims() -> Value {
        let aud = format!("https://login.example/{}/oauth2/v2.0/token", testing::TENANT);
        json!({"aud": aud, "iss": "app", "sub": "app", "jti": "1", "exp": NOW.secs() as f64 + 600.5})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[name] = value;
        claims
    }

    #[test]
    fn an_assertion_as_msal_and_scripts_make_it_is_accepted() {
        let signer = Signer::new();
        let certificate = &signer.client.certificates[0];
        assert_eq!(signer.check(&signer.header(), &claims()), Ok(()));
        let mut padded = jsonwebtoken::Header::new(Algorithm::PS256);
        padded.x5t_s256 = Some(format!("{}=", URL_SAFE_NO_PAD.encode(certificate.x5t_s256)));
        assert_eq!(signer.check(&padded, &claims()), Ok(()));
        let mut hex = jsonwebtoken::Header::new(Algorithm::RS256);
        hex.kid = Some(certificate.x5t.iter().map(|byte| format!("{byte:02X}")).collect());
        assert_eq!(signer.check(&hex, &claims()), Ok(()));
        assert_eq!(subject(&signer.sign(&hex, &claims())).as_deref(), Some("app"));
    }

    #[test]
    fn each_claim_is_checked() {
        let signer = Signer::new();
        let header = signer.header();
        let now = NOW.secs();
        let other = format!("https://login.example/{}/oauth2/token", uuid::Uuid::nil());
        for (claims, number) in [
            (with("aud", json!(other)), 700023),
            (with("aud", json!("api://AzureADTokenExchange")), 700023),
            (with("aud", Value::Null), 50027),
            (with("iss", json!("other")), 700021),
            (with("sub", json!("other")), 700021),
            (with("sub", Value::Null), 700021),
            (with("exp", Value::Null), 50027),
            (with("exp", json!(now - SKEW)), 700024),
            (with("exp", json!(now + LONGEST + SKEW + 1)), 700024),
            (with("nbf", json!(now + SKEW + 1)), 700024),
        ] {
            let refusal = signer.check(&header, &claims).unwrap_err();
            assert_eq!(refusal.number(), number, "{claims}");
        }
    }

    #[test]
    fn only_the_clients_own_key_signs() {
        let (signer, stranger) = (Signer::new(), Signer::new());
        let forged = stranger.sign(&signer.header(), &claims());
        let unknown = stranger.sign(&stranger.header(), &claims());
        let unnamed = signer.sign(&jsonwebtoken::Header::new(Algorithm::RS256), &claims());
        let mut longer = signer.header();
        longer.alg = Algorithm::RS512;
        let (longer, whole) = (signer.sign(&longer, &claims()), signer.sign(&signer.header(), &claims()));
        let unsigned = format!("{}.", whole.rsplit_once('.').unwrap().0);
        for (jwt, number) in [
            (forged, 700027),
            (unknown, 700027),
            (unnamed, 700027),
            (longer, 50027),
            (unsigned, 50027),
            (whole[..whole.len() - 4].to_owned(), 700027),
            ("x".repeat(100_000), 50027),
        ] {
            let checked = check(&signer.client, &jwt, &testing::tenant(), Reuse::Allowed, NOW);
            assert_eq!(checked.unwrap_err().number(), number);
        }
    }

    #[test]
    fn an_assertion_meant_for_one_use_works_once() {
        let signer = Signer::new();
        let replays = Replays::default();
        let once =
            |jwt: &str, now| check(&signer.client, jwt, &testing::tenant(), Reuse::Once(&replays), now);
        let first = signer.sign(&signer.header(), &claims());
        assert_eq!(once(&first, NOW), Ok(()));
        assert_eq!(once(&first, NOW).unwrap_err().number(), 700027);
        let second = signer.sign(&signer.header(), &with("jti", json!("2")));
        assert_eq!(once(&second, NOW), Ok(()));
        let nameless = signer.sign(&signer.header(), &with("jti", Value::Null));
        assert_eq!(once(&nameless, NOW), Ok(()));
        assert!(once(&nameless, NOW).is_err());
    }

    #[test]
    fn the_memory_for_used_assertions_is_bounded_per_client() {
        let replays = Replays::default();
        for n in 0..SHARE {
            replays.admit("greedy", &n.to_string(), NOW.secs() + 60, NOW).unwrap();
        }
        assert!(replays.admit("greedy", "one more", NOW.secs() + 60, NOW).is_err());
        assert_eq!(replays.admit("modest", "first", NOW.secs() + 60, NOW), Ok(()));
        let later = NOW.plus_secs(60);
        assert_eq!(replays.admit("greedy", "one more", later.secs() + 60, later), Ok(()));
        assert_eq!(replays.0.lock().unwrap()["greedy"].len(), 1);
    }
}
