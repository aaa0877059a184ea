//! What the tests of this folder share: a tenant, a client, keys that are made once.

pub mod idp;

use std::sync::{LazyLock, Once};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use jumpbag_wire::time::Timestamp;
use serde_json::{Value, json};

use super::client::Client;
use super::keys::{KeyRing, SigningKey};
use super::tenant::Tenant;

pub const TENANT: &str = "0f4c0bfa-7d7c-4b5a-9c59-6a2f9e9f7a10";
pub const BASE: &str = "https://bag.example";

pub fn tenant() -> Tenant {
    Tenant::new(TENANT, vec!["contoso.example".to_owned()])
}

pub fn client(client_id: &str) -> Client {
    Client {
        client_id: client_id.to_owned(),
        display_name: "SOAR".to_owned(),
        permissions: vec!["Library.Manage".to_owned(), "Machine.Read.All".to_owned()],
        secret_hashes: Vec::new(),
        certificates: Vec::new(),
        expires: None,
        public: false,
        redirects: Vec::new(),
    }
}

/// An RSA key made for this call.
pub fn rsa() -> SigningKey {
    SigningKey::generate(Timestamp::from_secs(0)).unwrap()
}

/// The RSA key that tests use which need no second one.
pub fn ring() -> KeyRing {
    static KEY: LazyLock<SigningKey> = LazyLock::new(rsa);
    KeyRing::new(vec![KEY.clone()], 3600).unwrap()
}

/// What jsonwebtoken signs with: the PKCS#1 key at the end of a PKCS#8 one.
pub fn encoding(key: &SigningKey) -> EncodingKey {
    EncodingKey::from_rsa_pem(key.to_pem().as_bytes()).unwrap()
}

/// A new self-signed certificate with an RSA key, and the key.
pub fn certificate() -> (String, EncodingKey) {
    let key = rsa();
    let pair = rcgen::KeyPair::from_pem_and_sign_algo(&key.to_pem(), &rcgen::PKCS_RSA_SHA256).unwrap();
    let params = rcgen::CertificateParams::new(vec!["client.example".to_owned()]).unwrap();
    (params.self_signed(&pair).unwrap().pem(), encoding(&key))
}

/// Once a process, what the program does at its start.
pub fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
}

/// A new P-256 key and its public half as a JWK named `kid`, without `alg` and `use`.
pub fn elliptic(kid: &str) -> (EncodingKey, Value) {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let key = EncodingKey::from_ec_der(pkcs8.as_ref());
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap()).unwrap();
    jwk.as_object_mut().unwrap().remove("alg");
    jwk["kid"] = json!(kid);
    (key, jwk)
}

/// A token over exactly these texts, well made or not.
pub fn token(header: &str, claims: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), key, algorithm).unwrap();
    format!("{signed}.{signature}")
}
