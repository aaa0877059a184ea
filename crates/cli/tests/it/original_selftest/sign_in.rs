//! Signing in: by secret, certificate and device code, and over TLS.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use jumpbag_wire::time::Timestamp;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{http, token};
use crate::original::Original;

const CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The number and OAuth 2.0's word of a refusal.
fn why((status, body): (StatusCode, Value)) -> (u16, u64, String) {
    let number = body["error_codes"][0].as_u64().expect("a number");
    let text = body["error_description"].as_str().expect("a description");
    assert!(text.starts_with(&format!("AADSTS{number}: ")) && text.contains(" Trace ID: "), "{text}");
    (status.as_u16(), number, body["error"].as_str().expect("a word").to_owned())
}

#[tokio::test]
async fn a_token_says_whose_it_is() {
    let original = Original::options().roles(&["Library.Manage"]).token_seconds(60).start().await;
    let http = http(&original, false);
    let secret = [("client_secret", original.client_secret())];
    let (status, answer) = token(&http, &original, original.domain(), &secret).await;
    assert_eq!(
        (status.as_u16(), &answer["token_type"], &answer["expires_in"]),
        (200, &json!("Bearer"), &json!(60))
    );
    assert!(answer.get("refresh_token").is_none() && answer.get("scope").is_none());

    let url = format!("{}/{}/v2.0/.well-known/openid-configuration", original.url(), original.tenant());
    let discovery: Value = http.get(url).send().await.unwrap().json().await.unwrap();
    let expected = format!("{}/{}/oauth2/v2.0/token", original.url(), original.tenant());
    assert_eq!(discovery["token_endpoint"], expected);
    let keys = http.get(discovery["jwks_uri"].as_str().unwrap()).send().await.unwrap();
    let keys: Value = keys.json().await.unwrap();
    let key = &keys["keys"][0];
    let key =
        DecodingKey::from_rsa_components(key["n"].as_str().unwrap(), key["e"].as_str().unwrap()).unwrap();
    let mut rules = Validation::new(Algorithm::RS256);
    rules.set_audience(&["https://api.securitycenter.microsoft.com"]);
    let jwt = answer["access_token"].as_str().unwrap();
    let claims = jsonwebtoken::decode::<Value>(jwt, &key, &rules).expect("signed with the key").claims;
    assert_eq!(
        (&claims["appid"], &claims["roles"]),
        (&json!(original.client_id()), &json!(["Library.Manage"]))
    );
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
    assert!(claims.get("scp").is_none() && claims.get("upn").is_none());
}

#[tokio::test]
async fn who_does_not_prove_itself_is_told_a_number() {
    let original = Original::start().await;
    let http = http(&original, false);
    let good = ("client_secret", original.client_secret());
    for (tenant, fields, expected) in [
        ("contoso.example", vec![good], (400, 90002, "invalid_request")),
        (original.tenant(), vec![("client_secret", "wrong")], (401, 7_000_215, "invalid_client")),
        (original.tenant(), vec![], (401, 7_000_218, "invalid_client")),
        (original.tenant(), vec![good, ("client_id", "nobody")], (400, 700_016, "unauthorized_client")),
        (original.tenant(), vec![good, ("grant_type", "")], (400, 900_144, "invalid_request")),
        (original.tenant(), vec![good, ("grant_type", "magic")], (400, 70003, "unsupported_grant_type")),
        (original.tenant(), vec![good, ("scope", "nonsense")], (400, 70011, "invalid_scope")),
        (
            original.tenant(),
            vec![good, ("scope", "https://api.security.microsoft.com/Library.Manage")],
            (400, 1_002_012, "invalid_scope"),
        ),
        (
            original.tenant(),
            vec![good, ("scope", "https://example.com/.default")],
            (400, 500_011, "invalid_resource"),
        ),
    ] {
        let (status, number, error) = why(token(&http, &original, tenant, &fields).await);
        assert_eq!((status, number, error.as_str()), expected, "{fields:?}");
    }
}

/// An assertion that is right but for what the test changes, and its field of the form.
struct Assertion {
    header: Header,
    claims: Value,
}

#[tokio::test]
async fn a_certificate_is_as_good_as_a_secret() {
    let original = Original::start().await;
    let http = http(&original, false);
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let certificate = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap();
    let print = |algorithm| URL_SAFE_NO_PAD.encode(digest::digest(algorithm, certificate.der()));
    let signer = EncodingKey::from_rsa_pem(key.serialize_pem().as_bytes()).unwrap();
    let good = || {
        let mut header = Header::new(Algorithm::PS256);
        header.x5t_s256 = Some(print(&digest::SHA256));
        let (id, expires) = (original.client_id(), Timestamp::now().secs() + 300);
        let aud = format!("{}/{}/oauth2/v2.0/token", original.url(), original.tenant());
        Assertion { header, claims: json!({"iss": id, "sub": id, "aud": aud, "exp": expires, "jti": "1"}) }
    };
    let sign = |assertion: Assertion, key: &EncodingKey| {
        jsonwebtoken::encode(&assertion.header, &assertion.claims, key).expect("a JWT")
    };
    let send = async |jwt: String| {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let fields = [("client_assertion_type", kind), ("client_assertion", &jwt)];
        token(&http, &original, original.tenant(), &fields).await
    };
    let ask = async |assertion: Assertion| send(sign(assertion, &signer)).await;
    assert_eq!(why(ask(good()).await).1, 700_027, "nobody knows the certificate yet");
    original.trust_certificate(&certificate.pem());
    assert_eq!(ask(good()).await.0, 200);
    let mut by_sha1 = good();
    by_sha1.header = Header::new(Algorithm::RS256);
    by_sha1.header.x5t = Some(print(&digest::SHA1_FOR_LEGACY_USE_ONLY));
    assert_eq!(ask(by_sha1).await.0, 200);

    let other = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let other = EncodingKey::from_rsa_pem(other.serialize_pem().as_bytes()).unwrap();
    assert_eq!(why(send(sign(good(), &other)).await).1, 700_027, "another key signed it");

    let changed = |change: fn(&mut Assertion)| {
        let mut assertion = good();
        change(&mut assertion);
        assertion
    };
    for (assertion, number) in [
        (changed(|it| it.header.x5t_s256 = None), 700_027),
        (changed(|it| it.header.alg = Algorithm::RS512), 700_027),
        (changed(|it| it.claims["sub"] = json!("somebody")), 700_027),
        (changed(|it| it.claims["aud"] = json!("https://login.microsoftonline.com")), 700_023),
        (changed(|it| it.claims["exp"] = json!(1_700_000_000)), 700_024),
    ] {
        assert_eq!(why(ask(assertion).await), (401, number, "invalid_client".to_owned()));
    }
}

#[tokio::test]
async fn a_person_signs_in_by_code() {
    let original = Original::options().scopes(&["Machine.Read"]).start().await;
    let http = http(&original, false);
    let scope = ("scope", "https://api.securitycenter.microsoft.com/.default offline_access");
    let begin = async || -> String {
        let url = format!("{}/{}/oauth2/v2.0/devicecode", original.url(), original.tenant());
        let form = [("client_id", original.client_id()), scope];
        let answer: Value = http.post(url).form(&form).send().await.unwrap().json().await.unwrap();
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(answer["user_code"].as_str().unwrap()), "{message}");
        assert!(message.contains(answer["verification_uri"].as_str().unwrap()), "{message}");
        assert_eq!((&answer["interval"], &answer["expires_in"]), (&json!(0), &json!(900)));
        answer["device_code"].as_str().unwrap().to_owned()
    };
    let poll = async |code: &str| {
        token(&http, &original, original.tenant(), &[("grant_type", CODE), ("device_code", code)]).await
    };
    let code = begin().await;
    assert_eq!(why(poll("another").await).2, "bad_verification_code");
    assert_eq!(why(poll(&code).await), (400, 70016, "authorization_pending".to_owned()));
    original.slow_down_device();
    assert_eq!(why(poll(&code).await).2, "slow_down");
    original.decline_device();
    assert_eq!(why(poll(&code).await).2, "authorization_declined");
    original.expire_device();
    assert_eq!(why(poll(&code).await).2, "expired_token");
    original.approve_device();
    let (status, answer) = poll(&code).await;
    assert_eq!((status.as_u16(), &answer["scope"]), (200, &json!("Machine.Read")));
    assert_eq!(why(poll(&code).await).2, "bad_verification_code", "a code is good once");

    let jwt = answer["access_token"].as_str().unwrap();
    let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(jwt).unwrap().claims;
    assert_eq!((&claims["scp"], &claims["name"]), (&json!("Machine.Read"), &json!("Ada Example")));
    assert!(claims.get("roles").is_none());
    let files = http.get(format!("{}/api/libraryfiles", original.url())).bearer_auth(jwt);
    let refused = super::refusal(files.send().await.unwrap()).await;
    assert!(refused.0 == 403 && refused.2.contains("user scopes: Machine.Read."), "{}", refused.2);

    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", answer["refresh_token"].as_str().unwrap()),
        scope,
    ];
    assert_eq!(token(&http, &original, original.tenant(), &refresh).await.0, 200);
    original.forget_refresh_tokens();
    assert_eq!(why(token(&http, &original, original.tenant(), &refresh).await).2, "invalid_grant");
}

#[tokio::test]
async fn a_hasty_device_is_told_to_slow_down() {
    let original = Original::options().interval(60).start().await;
    let http = http(&original, false);
    let url = format!("{}/{}/oauth2/v2.0/devicecode", original.url(), original.tenant());
    let form =
        [("client_id", original.client_id()), ("scope", "https://api.security.microsoft.com/.default")];
    let answer: Value = http.post(url).form(&form).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["interval"], 60);
    let fields = [("grant_type", CODE), ("device_code", answer["device_code"].as_str().unwrap())];
    for word in ["authorization_pending", "slow_down"] {
        assert_eq!(why(token(&http, &original, original.tenant(), &fields).await).2, word);
    }
}

#[tokio::test]
async fn tls_is_good_for_who_knows_the_authority() {
    let original = Original::options().tls().start().await;
    assert!(original.url().starts_with("https://127.0.0.1:"));
    let secret = [("client_secret", original.client_secret())];
    let known = http(&original, true);
    assert_eq!(token(&known, &original, original.tenant(), &secret).await.0, 200);
    let url = format!("{}/api/libraryfiles", original.url());
    let by_name = known.get(url.replace("127.0.0.1", "localhost")).send().await.unwrap();
    assert_eq!(by_name.status(), 401);
    http(&original, false).get(&url).send().await.expect_err("nobody knows the authority");
    assert_eq!(original.count("GET "), 1);
}
