//! The keys that sign this server's own tokens. The newest key that is not retired signs; a retired
//! key verifies for as long as a token it signed can live.

use std::fmt;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey};
use jumpbag_wire::time::Timestamp;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;

use super::jwt::SKEW;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the signing key is not an RSA private key in PKCS#8 form")]
    Unreadable,
    #[error("no signing key is in use: every one is retired")]
    NoneInUse,
    #[error("the cryptographic library refused to make a key or a signature")]
    Refused,
}

/// An RSA key as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// RFC 7638 thumbprint of the public key.
    pub kid: String,
    /// PKCS#8, DER.
    pub private_key: Vec<u8>,
    pub created: Timestamp,
    pub retired: Option<Timestamp>,
}

impl SigningKey {
    /// A new RSA key of 2,048 bits. Takes a noticeable part of a second of processor time.
    pub fn generate(now: Timestamp) -> Result<SigningKey, KeyError> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Refused)?;
        let der = pair.as_der().map_err(|_| KeyError::Refused)?;
        SigningKey::from_pkcs8(der.as_ref().to_vec(), now, None)
    }

    /// A kept key. Fails on anything but an RSA private key in PKCS#8.
    pub fn from_pkcs8(
        private_key: Vec<u8>,
        created: Timestamp,
        retired: Option<Timestamp>,
    ) -> Result<SigningKey, KeyError> {
        let kid = Active::open(&private_key)?.kid;
        Ok(SigningKey { kid, private_key, created, retired })
    }

    /// The same from a PEM text.
    pub fn from_pem(
        pem: &str,
        created: Timestamp,
        retired: Option<Timestamp>,
    ) -> Result<SigningKey, KeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| KeyError::Unreadable)?;
        SigningKey::from_pkcs8(der.secret_pkcs8_der().to_vec(), created, retired)
    }

    /// The private key as PEM.
    pub fn to_pem(&self) -> String {
        pem(&self.private_key)
    }

    /// Whether a token this key signed may still be alive.
    pub fn verifies(&self, token_lifetime: i64, now: Timestamp) -> bool {
        self.retired.is_none_or(|at| now < at.plus_secs(token_lifetime + SKEW))
    }
}

/// A private key in PKCS#8 form as PEM.
pub fn pem(pkcs8: &[u8]) -> String {
    let text = STANDARD.encode(pkcs8);
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = tail;
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    pem
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("created", &self.created)
            .field("retired", &self.retired)
            .finish_non_exhaustive()
    }
}

/// A key opened for use.
struct Active {
    kid: String,
    pair: RsaKeyPair,
    verifies: DecodingKey,
    public: Jwk,
}

impl Active {
    fn open(pkcs8: &[u8]) -> Result<Active, KeyError> {
        let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::Unreadable)?;
        let verifies = DecodingKey::from_rsa_der(pair.public_key().as_ref());
        let mut public =
            Jwk::from_decoding_key(&verifies, Some(Algorithm::RS256)).map_err(|_| KeyError::Unreadable)?;
        let kid = public.thumbprint(ThumbprintHash::SHA256).map_err(|_| KeyError::Unreadable)?;
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        public.common.key_id = Some(kid.clone());
        public.common.x509_sha1_fingerprint = Some(kid.clone());
        Ok(Active { kid, pair, verifies, public })
    }
}

/// All keys that sign or verify tokens of this server.
pub struct KeyRing {
    keys: Vec<(SigningKey, Active)>,
    signer: usize,
    token_lifetime: i64,
}

impl KeyRing {
    /// Fails when a key cannot be read or none is in use. `token_lifetime` is in seconds.
    pub fn new(keys: Vec<SigningKey>, token_lifetime: i64) -> Result<KeyRing, KeyError> {
        let open = |key: SigningKey| Active::open(&key.private_key).map(|active| (key, active));
        let keys: Vec<_> = keys.into_iter().map(open).collect::<Result<_, _>>()?;
        let in_use = keys.iter().enumerate().filter(|(_, (key, _))| key.retired.is_none());
        let newest = in_use.max_by_key(|(_, (key, _))| (key.created, key.kid.clone()));
        let signer = newest.ok_or(KeyError::NoneInUse)?.0;
        Ok(KeyRing { keys, signer, token_lifetime })
    }

    /// The id of the key that signs.
    pub fn kid(&self) -> &str {
        &self.keys[self.signer].1.kid
    }

    /// Seconds a token of this server lives.
    pub fn token_lifetime(&self) -> i64 {
        self.token_lifetime
    }

    /// A signed JWT over `claims`, with the header the original's tokens have.
    pub fn sign(&self, claims: &serde_json::Value) -> Result<String, KeyError> {
        let pair = &self.keys[self.signer].1.pair;
        let header = json!({"typ": "JWT", "alg": "RS256", "x5t": self.kid(), "kid": self.kid()});
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let mut token = format!("{}.{}", part(&header), part(claims));
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
            .map_err(|_| KeyError::Refused)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(&signature, &mut token);
        Ok(token)
    }

    /// The key named `kid`, unless it was retired longer ago than a token can live.
    pub fn verifier(&self, kid: &str, now: Timestamp) -> Option<&DecodingKey> {
        let named = self.keys.iter().find(|(key, _)| key.kid == kid)?;
        named.0.verifies(self.token_lifetime, now).then_some(&named.1.verifies)
    }

    /// The public keys that verify at `now`, as the keys endpoint answers them. They carry `alg`,
    /// which the original leaves out: it does no harm to clients that do not look and some libraries
    /// insist on it. `x5t` repeats `kid`, as the original's does.
    pub fn jwks(&self, now: Timestamp) -> JwkSet {
        let alive = self.keys.iter().filter(|(key, _)| key.verifies(self.token_lifetime, now));
        JwkSet { keys: alive.map(|(_, active)| active.public.clone()).collect() }
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(key, _)| key)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::jwt::Jws;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn the_newest_key_in_use_signs_and_retired_ones_verify_for_a_token_s_life() {
        let mut old = SigningKey::generate(at(0)).unwrap();
        let new = SigningKey::generate(at(100)).unwrap();
        let ring = KeyRing::new(vec![old.clone()], 3600).unwrap();
        let token = ring.sign(&json!({"sub": "x"})).unwrap();
        old.retired = Some(at(100));
        let ring = KeyRing::new(vec![new.clone(), old.clone()], 3600).unwrap();
        assert_eq!(ring.kid(), new.kid);
        let jws = Jws::parse(&token).unwrap();
        assert!(jws.signed_by(ring.verifier(&old.kid, at(100)).unwrap()));
        assert!(!jws.signed_by(ring.verifier(&new.kid, at(100)).unwrap()));
        let last = 100 + 3600 + SKEW;
        assert!(ring.verifier(&old.kid, at(last - 1)).is_some());
        assert!(ring.verifier(&old.kid, at(last)).is_none());
        assert_eq!((ring.jwks(at(last - 1)).keys.len(), ring.jwks(at(last)).keys.len()), (2, 1));
        assert_eq!(KeyRing::new(vec![old], 3600).err(), Some(KeyError::NoneInUse));
        assert_eq!(KeyRing::new(vec![], 3600).err(), Some(KeyError::NoneInUse));
    }

    #[test]
    fn a_key_survives_pem_and_keeps_its_thumbprint() {
        let key = SigningKey::generate(at(7)).unwrap();
        assert_eq!(SigningKey::from_pem(&key.to_pem(), at(7), None).as_ref(), Ok(&key));
        assert!(key.to_pem().lines().all(|line| line.len() <= 64));
        assert_eq!(SigningKey::from_pem("no pem", at(7), None), Err(KeyError::Unreadable));
        assert_eq!(SigningKey::from_pkcs8(vec![48, 0], at(7), None), Err(KeyError::Unreadable));
        assert!(!format!("{key:?}").contains("private"));
    }

    #[test]
    fn the_published_keys_hold_the_public_half_only() {
        let ring = KeyRing::new(vec![SigningKey::generate(at(0)).unwrap()], 3600).unwrap();
        let json = serde_json::to_value(ring.jwks(at(0))).unwrap();
        let mut names: Vec<_> = json["keys"][0].as_object().unwrap().keys().cloned().collect();
        names.sort();
        assert_eq!(names, ["alg", "e", "kid", "kty", "n", "use", "x5t"]);
        assert_eq!(json["keys"][0]["kid"], ring.kid());
        assert_eq!(json["keys"][0]["e"], "AQAB");
        let set: JwkSet = serde_json::from_value(json).unwrap();
        let token = ring.sign(&json!({})).unwrap();
        assert!(Jws::parse(&token).unwrap().signed_by(&DecodingKey::from_jwk(&set.keys[0]).unwrap()));
    }
}
