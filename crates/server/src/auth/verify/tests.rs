mod elsewhere;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::*;
use crate::auth::issuers::IssuerConfig;
use crate::auth::jwt::SKEW;
use crate::auth::keys::SigningKey;
use crate::auth::testing::idp::{Answer, Idp};
use crate::auth::testing::{BASE, TENANT, elliptic, encoding, rsa, tenant, token};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A server with a key of its own and one issuer elsewhere.
struct Site {
    verifier: Verifier,
    own: SigningKey,
    idp: Arc<Idp>,
    key: EncodingKey,
}

fn ring(keys: &[SigningKey]) -> Arc<KeyRing> {
    Arc::new(KeyRing::new(keys.to_vec(), 3600).unwrap())
}

fn issuer(idp: &Idp) -> IssuerConfig {
    IssuerConfig {
        issuer: idp.base.clone(),
        aliases: vec!["https://alias.example/v1/".to_owned()],
        audiences: vec!["api://jumpbag".to_owned()],
        roles_claim: None,
        scopes_claim: None,
        name_claim: None,
        discovery_url: None,
        tenant: Some("their-tenant".to_owned()),
        allow_http_loopback: true,
        sign_in: None,
    }
}

impl Site {
    async fn open() -> Site {
        let (key, jwk) = elliptic("ext");
        let idp = Idp::start(vec![jwk]).await;
        let own = rsa();
        let issuers = vec![Issuer::new(issuer(&idp)).unwrap()];
        let own_audiences = vec!["https://bag.example:8443".to_owned()];
        let verifier = Verifier::new(tenant(), own_audiences, ring(std::slice::from_ref(&own)), issuers);
        Site { verifier, own, idp, key }
    }

    async fn says(&self, token: &str) -> Result<Arc<Caller>, AuthError> {
        self.verifier.verify(Some(&format!("Bearer {token}")), NOW).await
    }

    fn header(&self) -> String {
        json!({"alg": "RS256", "typ": "JWT", "kid": self.own.kid}).to_string()
    }

    fn made(&self, claims: &Value) -> String {
        token(&self.header(), &claims.to_string(), &encoding(&self.own), Algorithm::RS256)
    }

    fn elsewhere(&self, claims: &Value) -> String {
        token(r#"{"alg":"ES256","kid":"ext"}"#, &claims.to_string(), &self.key, Algorithm::ES256)
    }

    fn their_claims(&self) -> Value {
        json!({
            "iss": self.idp.base, "aud": ["other", "api://jumpbag/"], "exp": NOW.secs() + 60, "sub": "u-1",
            "name": "Ada", "upn": "ada@idp.example", "scp": "Library.Manage", "tid": "their-tenant",
        })
    }
}

fn claims() -> Value {
    json!({
        "iss": format!("{BASE}/{TENANT}/"), "aud": "https://api.securitycenter.microsoft.com",
        "exp": NOW.secs() + 60, "nbf": NOW.secs() - 60, "tid": TENANT, "appid": "app-1", "idtyp": "app",
        "app_displayname": "SOAR", "oid": "o-1", "sub": "o-1", "roles": ["Library.Manage"],
    })
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

#[tokio::test]
async fn a_token_made_here_names_its_app() {
    let site = Site::open().await;
    let caller = site.says(&site.made(&claims())).await.unwrap();
    assert_eq!(caller.limit_key(), format!("app {TENANT} app-1"));
    assert_eq!((caller.display_name.as_str(), caller.tenant.as_deref()), ("SOAR", Some(TENANT)));
    let header = format!("  bEARER   {} ", site.made(&claims()));
    assert!(site.verifier.verify(Some(&header), NOW).await.is_ok());
    for (name, value) in [
        ("iss", json!(format!("http://127.0.0.1:8080/{TENANT}/v2.0"))),
        ("aud", json!("fc780465-2017-40d4-a0c5-307022471b92")),
        ("aud", json!(BASE)),
        ("aud", json!("https://bag.example:8443/")),
        ("aud", json!(["x", "https://api-eu.securitycenter.microsoft.com/"])),
        ("nbf", Value::Null),
        ("exp", json!(NOW.secs() - SKEW + 1)),
        ("nbf", json!(NOW.secs() + SKEW)),
    ] {
        let token = site.made(&with(claims(), name, value.clone()));
        assert!(site.says(&token).await.is_ok(), "{name} {value}");
    }
}

#[tokio::test]
async fn each_wrong_claim_of_a_token_made_here_is_found() {
    let site = Site::open().await;
    let now = NOW.secs();
    for (name, value, error) in [
        ("exp", json!(now - SKEW), Flaw::Expired.into()),
        ("exp", Value::Null, Flaw::Claims.into()),
        ("exp", json!("later"), Flaw::Claims.into()),
        ("nbf", json!(now + SKEW + 1), Flaw::NotYetValid.into()),
        ("aud", json!("https://graph.microsoft.com"), AuthError::Audience),
        ("aud", json!([]), AuthError::Audience),
        ("aud", Value::Null, Flaw::Claims.into()),
        ("aud", json!(["https://api.securitycenter.microsoft.com", 1]), Flaw::Claims.into()),
        ("iss", Value::Null, AuthError::Issuer),
        ("iss", json!([format!("{BASE}/{TENANT}/")]), AuthError::Issuer),
        ("iss", json!("https://bag.example/common/v2.0"), AuthError::Issuer),
        ("iss", json!(format!("https://evil.example/?/{TENANT}/")), AuthError::Issuer),
        ("tid", json!(uuid::Uuid::nil()), AuthError::Tenant),
        ("tid", Value::Null, AuthError::Tenant),
        ("roles", json!("Library.Manage"), Flaw::Claims.into()),
        ("roles", json!({"Library.Manage": true}), Flaw::Claims.into()),
    ] {
        let token = site.made(&with(claims(), name, value.clone()));
        assert_eq!(site.says(&token).await.err(), Some(error), "{name} {value}");
    }
    let twice = claims().to_string().replacen('{', r#"{"tid":"x","#, 1);
    let twice = token(&site.header(), &twice, &encoding(&site.own), Algorithm::RS256);
    assert_eq!(site.says(&twice).await.err(), Some(Flaw::Claims.into()));
}

#[tokio::test]
async fn forged_and_broken_tokens_are_refused() {
    let site = Site::open().await;
    let (text, kid) = (claims().to_string(), site.own.kid.as_str());
    let good = site.made(&claims());
    let [header, body, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let b64 = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let ring = ring(std::slice::from_ref(&site.own));
    let public = serde_json::to_value(ring.jwks(NOW)).unwrap()["keys"][0]["n"].as_str().unwrap().to_owned();
    let named = |kid: &str| json!({"alg": "RS256", "kid": kid}).to_string();
    let hmac = |secret: &[u8]| {
        let header = json!({"alg": "HS256", "kid": kid}).to_string();
        token(&header, &text, &EncodingKey::from_secret(secret), Algorithm::HS256)
    };
    let mine = encoding(&site.own);
    let flipped =
        signature.replacen(&signature[10..11], if &signature[10..11] == "A" { "B" } else { "A" }, 1);
    for (what, token, error) in [
        (
            "alg none",
            format!("{}.{body}.", b64(&json!({"alg": "none", "kid": kid}).to_string())),
            Flaw::Algorithm.into(),
        ),
        ("alg nOnE", format!("{}.{body}.{signature}", b64(r#"{"alg":"nOnE"}"#)), Flaw::Algorithm.into()),
        ("HMAC with the modulus as text", hmac(public.as_bytes()), Flaw::Algorithm.into()),
        ("HMAC with the modulus", hmac(&URL_SAFE_NO_PAD.decode(&public).unwrap()), Flaw::Algorithm.into()),
        ("unsigned", format!("{header}.{body}."), Flaw::Shape.into()),
        ("no signature part", format!("{header}.{body}"), Flaw::Shape.into()),
        ("truncated", good[..good.len() - 8].to_owned(), AuthError::Signature),
        ("one letter changed", format!("{header}.{body}.{flipped}"), AuthError::Signature),
        (
            "other claims",
            format!("{header}.{}.{signature}", b64(&text.replace("app-1", "app-2"))),
            AuthError::Signature,
        ),
        ("100 KB", format!("{header}.{}.{signature}", "A".repeat(100_000)), Flaw::TooLong.into()),
        (
            "kid is a path",
            token(&named("../../etc/passwd"), &text, &mine, Algorithm::RS256),
            AuthError::UnknownKey,
        ),
        (
            "kid is a URL",
            token(&named(&site.idp.url()), &text, &mine, Algorithm::RS256),
            AuthError::UnknownKey,
        ),
        (
            "kid is missing",
            token(r#"{"alg":"RS256"}"#, &text, &mine, Algorithm::RS256),
            AuthError::UnknownKey,
        ),
        (
            "kid is ours, key is not",
            token(&named(kid), &text, &encoding(&rsa()), Algorithm::RS256),
            AuthError::Signature,
        ),
        (
            "an elliptic key under an RSA name",
            token(&named(kid), &text, &site.key, Algorithm::ES256),
            AuthError::Signature,
        ),
        (
            "an RSA key under an elliptic name",
            token(&json!({"alg": "ES256", "kid": kid}).to_string(), &text, &mine, Algorithm::RS256),
            AuthError::Signature,
        ),
        (
            "another digest than it says",
            token(&named(kid), &text, &mine, Algorithm::RS512),
            AuthError::Signature,
        ),
        (
            "a key in the header",
            token(
                &json!({"alg": "ES256", "kid": "x", "jwk": elliptic("x").1}).to_string(),
                &text,
                &site.key,
                Algorithm::ES256,
            ),
            AuthError::UnknownKey,
        ),
        ("words", "not a token".to_owned(), Flaw::Shape.into()),
    ] {
        assert_eq!(site.says(&token).await.err(), Some(error), "{what}");
    }
    assert!(site.says(&good).await.is_ok());
    assert_eq!(site.idp.fetches(), 0, "no such token reaches for the network");
}

#[tokio::test]
async fn the_challenge_names_an_error_only_where_a_token_was_sent() {
    let site = Site::open().await;
    for none in [None, Some(""), Some("Bearer"), Some("Bearer  "), Some("Basic YTpi"), Some("token")] {
        let error = site.verifier.verify(none, NOW).await.unwrap_err();
        assert_eq!((error, error.challenge().as_str()), (AuthError::Missing, "Bearer"), "{none:?}");
    }
    let error = site.says("x").await.unwrap_err();
    assert_eq!(
        error.challenge(),
        r#"Bearer error="invalid_token", error_description="the token is not a signed JWT""#
    );
    assert_eq!(error.message(), "Unauthorized request - reason of failure: the token is not a signed JWT");
}

#[test]
fn the_cache_is_bounded_and_keeps_what_is_used() {
    let caller = Caller::from_claims(
        &serde_json::from_value(json!({"sub": "x"})).unwrap(),
        &Reading::plain("r", None),
    );
    let lifetime = Lifetime { not_before: None, expires: 0 };
    let verdict =
        Verdict { caller: Arc::new(caller.unwrap()), lifetime, source: Source::Own { generation: 0 } };
    let mut cache = Cache::default();
    let key = |n: usize| sha256(&n.to_le_bytes());
    for n in 0..5 * Cache::HALF {
        cache.keep(key(n), verdict.clone());
        assert!(cache.find(&key(0)).is_some(), "what every call uses stays");
        assert!(cache.young.len() + cache.old.len() <= 2 * Cache::HALF);
    }
    assert!(cache.find(&key(1)).is_none());
}
