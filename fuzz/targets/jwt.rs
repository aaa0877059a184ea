//! Input: a token; or a header and claims, each on a line, which are encoded first.
#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jumpbag_fuzz::auth::jwt::{Claims, Jws, MAX_TOKEN, SKEW};
use jumpbag_wire::time::Timestamp;
use libfuzzer_sys::fuzz_target;

/// A key that has signed nothing.
static RSA: LazyLock<DecodingKey> = LazyLock::new(|| {
    let modulus = URL_SAFE_NO_PAD.encode([0xc5; 256]);
    DecodingKey::from_rsa_components(&modulus, "AQAB").expect("an RSA key")
});

fuzz_target!(|input: &str| {
    check(input);
    if let Some((header, claims)) = input.split_once('\n') {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        check(&format!("{}.{}.{}", part(header), part(claims), "A".repeat(342)));
    }
});

fn check(token: &str) {
    let jws = match Jws::parse(token) {
        Ok(jws) => jws,
        Err(flaw) => return assert!(!flaw.to_string().is_empty()),
    };
    assert!(token.len() <= MAX_TOKEN);
    assert_eq!(token.split('.').filter(|part| !part.is_empty()).count(), 3);
    let accepted = [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
    ];
    assert!(accepted.contains(&jws.header.alg.as_str()), "{}", jws.header.alg);
    assert_eq!(format!("{:?}", jws.algorithm), jws.header.alg);
    assert!(!jws.signed_by(&RSA), "nothing is signed by this key");
    read(&jws.claims);
}

fn read(claims: &Claims) {
    if let Ok(lifetime) = claims.lifetime() {
        let times = [0, i64::from(u32::MAX), lifetime.expires, lifetime.expires + SKEW];
        for now in times {
            if lifetime.covers(Timestamp::from_secs(now)).is_ok() {
                assert!(now < lifetime.expires + SKEW);
                assert!(lifetime.not_before.is_none_or(|start| now + SKEW >= start));
            }
        }
    }
    if let Ok(audiences) = claims.audiences() {
        assert!(audiences.len() <= MAX_TOKEN);
    }
    for path in ["roles", "realm_access.roles", "a.b.c", "..", ""] {
        claims.find(path);
    }
    let text = claims.first_text(&["appid", "azp", "sub", "realm_access.roles"]);
    assert!(text.is_none_or(|text| !text.trim().is_empty()));
}
