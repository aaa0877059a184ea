//! The embedded issuer over real HTTP: every way to ask for a token, and the documents that lead there.

mod lives;
mod refusals;
mod waiting;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use regex_lite::Regex;
use serde_json::{Value, json};

use crate::support::client::{Answer, Call};
use crate::support::server::{Jumpbag, Registration};
use crate::support::snapshot;

const RESOURCE: &str = "https://api.securitycenter.microsoft.com";

const SCOPE: &str = "https://api.securitycenter.microsoft.com/.default";

/// A form as the original's clients send it, with the fields that differ.
fn form(registration: &Registration, changes: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut fields = vec![
        ("grant_type", "client_credentials"),
        ("client_id", registration.client_id.as_str()),
        ("client_secret", registration.client_secret.as_str()),
        ("scope", SCOPE),
    ];
    fields.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    fields.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    fields.into_iter().map(owned).collect()
}

fn ask(bag: &Jumpbag, registration: &Registration, changes: &[(&str, &str)]) -> Call {
    let fields = form(registration, changes);
    v2(bag, &registration.tenant).with(|request| request.form(&fields))
}

fn v2(bag: &Jumpbag, tenant: &str) -> Call {
    bag.anonymous().post(&format!("/{tenant}/oauth2/v2.0/token"))
}

fn v1(bag: &Jumpbag, tenant: &str) -> Call {
    bag.anonymous().post(&format!("/{tenant}/oauth2/token"))
}

fn token(answer: Answer) -> String {
    let json = answer.expect_status(200).json();
    json["access_token"].as_str().expect("an access token").to_owned()
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

/// A snapshot without tokens, keys and seconds.
fn shown(answer: &Answer) -> String {
    let mut text = answer.snapshot();
    for (pattern, name) in [
        (r"eyJ[\w.-]+", "[token]"),
        (r#""[\w-]{43}""#, r#""[thumbprint]""#),
        (r"[\w-]{300,}", "[modulus]"),
        (r#""1[789]\d{8}""#, r#""[seconds]""#),
    ] {
        let pattern = Regex::new(pattern).expect("a valid pattern");
        text = pattern.replace_all(&text, name).into_owned();
    }
    text
}

async fn assert_works(bag: &Jumpbag, token: &str) {
    let list = bag.anonymous().with_token(token).get("/api/libraryfiles");
    list.await.expect_status(200);
}

#[tokio::test]
async fn a_secret_gets_a_v2_token_however_it_is_sent() {
    let bag = Jumpbag::start().await;
    let app = bag.register("app", &["Library.Manage"]).await;
    let answer = ask(&bag, &app, &[]).await;
    insta::assert_snapshot!(shown(&answer), @r#"
    200
    cache-control: no-store
    content-type: application/json; charset=utf-8
    request-id: [id-1]
    vary: accept-encoding

    {
      "token_type": "Bearer",
      "expires_in": 3599,
      "ext_expires_in": 3599,
      "access_token": "[token]"
    }
    "#);
    assert_works(&bag, &token(answer)).await;

    let basic = ask(&bag, &app, &[("client_id", ""), ("client_secret", "")])
        .with(|request| request.basic_auth(&app.client_id, Some(&app.client_secret)));
    assert_works(&bag, &token(basic.await)).await;

    let fields: serde_json::Map<String, Value> =
        form(&app, &[]).into_iter().map(|(name, value)| (name, value.into())).collect();
    let body = Value::from(fields).to_string();
    for label in [Some("application/json"), Some("application/x-www-form-urlencoded"), None] {
        let call = v2(&bag, &app.tenant).with(|request| match label {
            Some(label) => request.header("content-type", label).body(body.clone()),
            None => request.body(body.clone()),
        });
        assert_works(&bag, &token(call.await)).await;
    }

    let body = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope={SCOPE}",
        app.client_id, app.client_secret
    );
    for path in ["oauth2/v2.0/token", "OAuth2/V2.0/Token", "oauth2/v2.0/token?api-version=1"] {
        let call = bag.anonymous().post(&format!("/{}/{path}", app.tenant));
        assert_works(&bag, &token(call.with(|request| request.body(body.clone())).await)).await;
    }
}

#[tokio::test]
async fn v1_answers_numbers_as_texts() {
    let bag = Jumpbag::start().await;
    let app = bag.register("app", &["Library.Manage"]).await;
    let fields = form(&app, &[("scope", ""), ("resource", RESOURCE)]);
    let answer = v1(&bag, &app.tenant).with(|request| request.form(&fields)).await;
    insta::assert_snapshot!(shown(&answer), @r#"
    200
    cache-control: no-store
    content-type: application/json; charset=utf-8
    request-id: [id-1]
    vary: accept-encoding

    {
      "token_type": "Bearer",
      "expires_in": "3599",
      "ext_expires_in": "3599",
      "expires_on": "[seconds]",
      "not_before": "[seconds]",
      "resource": "https://api.securitycenter.microsoft.com",
      "access_token": "[token]"
    }
    "#);
    let told = answer.json();
    let number = |name: &str| told[name].as_str().expect("a text").parse::<i64>().expect("a number");
    assert_eq!(number("expires_on") - number("not_before"), 3600);
    assert_works(&bag, &token(answer)).await;
}

#[tokio::test]
async fn a_token_has_the_claims_of_the_original() {
    let bag = Jumpbag::options().set("token_lifetime_seconds", 600).start().await;
    let app = bag.register("Response team", &["Library.Manage"]).await;
    let answer = ask(&bag, &app, &[]).await;
    assert_eq!(answer.json()["expires_in"], 599);
    let mut claims = claims(&token(answer));
    assert_eq!(claims["exp"].as_i64(), claims["iat"].as_i64().map(|at| at + 600));
    assert_eq!(claims["nbf"], claims["iat"]);
    assert_eq!(claims["tid"], app.tenant);
    assert_eq!(claims["appid"], app.client_id);
    for name in ["exp", "iat", "nbf", "uti"] {
        claims[name] = json!("…");
    }
    let text = claims.to_string().replace(&bag.url(), "[host]");
    insta::assert_snapshot!(snapshot::redact(&text), @r#"{"app_displayname":"Response team","appid":"[id-1]","appidacr":"1","aud":"https://api.securitycenter.microsoft.com","exp":"…","iat":"…","idtyp":"app","iss":"[host]/[id-2]/","nbf":"…","oid":"[id-3]","roles":["Library.Manage"],"sub":"[id-3]","tid":"[id-2]","uti":"…","ver":"1.0"}"#);
}

#[tokio::test]
async fn every_audience_of_the_original_opens_the_library_on_every_host() {
    let bag = Jumpbag::options()
        .config("audiences = [\"https://bag.example\"]\n")
        .set("rate_limits", false)
        .start()
        .await;
    let app = bag.register("app", &["Library.Manage"]).await;
    for resource in [
        RESOURCE,
        "https://api.securitycenter.windows.com",
        "https://securitycenter.onmicrosoft.com/windowsatpservice",
        "https://api-eu.securitycenter.microsoft.com",
        "https://api-us3.securitycenter.microsoft.com",
        "https://api.security.microsoft.com",
        "https://eu.api.security.microsoft.com",
        "https://api-gcc.securitycenter.microsoft.us",
        "https://api-gov.securitycenter.microsoft.us",
        "fc780465-2017-40d4-a0c5-307022471b92",
        "https://bag.example",
        &bag.url(),
    ] {
        for slash in ["", "/"] {
            let resource = format!("{resource}{slash}");
            let fields = form(&app, &[("scope", ""), ("resource", &resource)]);
            let by_v1 = v1(&bag, &app.tenant).with(|request| request.form(&fields)).await;
            let by_v2 = ask(&bag, &app, &[("scope", &format!("{resource}/.default"))]).await;
            for token in [token(by_v1), token(by_v2)] {
                assert_works(&bag, &token).await;
                let elsewhere = bag.anonymous().with_token(&token).get("/api/libraryfiles");
                let host = "api-eu.securitycenter.microsoft.com";
                let answer = elsewhere.with(|request| request.header("host", host)).await;
                let context = answer.expect_status(200).json()["@odata.context"].clone();
                assert_eq!(context, format!("http://{host}/api/$metadata#LibraryFiles"));
            }
        }
    }
    for resource in ["https://graph.microsoft.com", "https://userrequestsgraphapi-prd.trafficmanager.net"] {
        let refused = ask(&bag, &app, &[("scope", &format!("{resource}/.default"))]).await;
        assert_eq!(refused.expect_status(400).json()["error_codes"], json!([500011]));
    }
}

#[tokio::test]
async fn the_tenant_goes_by_its_id_and_its_names() {
    let bag = Jumpbag::options().config("tenant_names = [\"contoso.onmicrosoft.com\"]\n").start().await;
    let app = bag.register("app", &["Library.Manage"]).await;
    for tenant in [app.tenant.to_uppercase().as_str(), "contoso.onmicrosoft.com", "Contoso.OnMicrosoft.com"] {
        let fields = form(&app, &[]);
        let answer = v2(&bag, tenant).with(|request| request.form(&fields)).await;
        let token = token(answer);
        assert_eq!(claims(&token)["tid"], app.tenant);
        assert_works(&bag, &token).await;
        let document = format!("/{tenant}/v2.0/.well-known/openid-configuration");
        let issuer = bag.anonymous().get(&document).await.expect_status(200).json()["issuer"].clone();
        assert_eq!(issuer, format!("{}/{}/v2.0", bag.url(), app.tenant));
    }
    for path in [
        "v2.0/.well-known/openid-configuration",
        ".well-known/openid-configuration",
        "discovery/v2.0/keys",
        "discovery/keys",
    ] {
        for tenant in ["fabrikam.example", "common", "%ff", "a%00b", "%3Cscript%3E"] {
            let answer = bag.anonymous().get(&format!("/{tenant}/{path}")).await.expect_status(400);
            assert_eq!(answer.json()["error_codes"], json!([90002]), "{tenant} {path}");
            assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("application/json")));
        }
    }
}

#[tokio::test]
async fn the_documents_lead_to_the_endpoints_and_keys() {
    let bag = Jumpbag::start().await;
    let app = bag.register("app", &["Library.Manage"]).await;
    let at = |path: &str| bag.anonymous().get(&format!("/{}/{path}", app.tenant));
    let two = at("v2.0/.well-known/openid-configuration").await;
    insta::assert_snapshot!(shown(&two), @r#"
    200
    content-type: application/json
    request-id: [id-1]
    vary: accept-encoding

    {
      "authorization_endpoint": "[host]/[id-2]/oauth2/v2.0/authorize",
      "authorization_response_iss_parameter_supported": true,
      "claims_supported": [
        "aud",
        "iss",
        "iat",
        "nbf",
        "exp",
        "appid",
        "app_displayname",
        "oid",
        "sub",
        "roles",
        "tid",
        "ver",
        "scp",
        "name",
        "upn",
        "preferred_username",
        "nonce",
        "sid",
        "auth_time",
        "amr"
      ],
      "code_challenge_methods_supported": [
        "S256"
      ],
      "device_authorization_endpoint": "[host]/[id-2]/oauth2/v2.0/devicecode",
      "end_session_endpoint": "[host]/[id-2]/oauth2/v2.0/logout",
      "grant_types_supported": [
        "client_credentials",
        "authorization_code",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code"
      ],
      "id_token_signing_alg_values_supported": [
        "RS256"
      ],
      "issuer": "[host]/[id-2]/v2.0",
      "jwks_uri": "[host]/[id-2]/discovery/v2.0/keys",
      "prompt_values_supported": [
        "none",
        "login",
        "select_account",
        "consent"
      ],
      "request_parameter_supported": false,
      "request_uri_parameter_supported": false,
      "response_modes_supported": [
        "query"
      ],
      "response_types_supported": [
        "code"
      ],
      "scopes_supported": [
        "openid",
        "profile",
        "email",
        "offline_access"
      ],
      "subject_types_supported": [
        "pairwise"
      ],
      "token_endpoint": "[host]/[id-2]/oauth2/v2.0/token",
      "token_endpoint_auth_methods_supported": [
        "client_secret_post",
        "client_secret_basic",
        "private_key_jwt",
        "none"
      ],
      "token_endpoint_auth_signing_alg_values_supported": [
        "RS256",
        "PS256"
      ]
    }
    "#);
    // Who knows the address alone finds the same.
    let root = bag.anonymous().get("/.well-known/openid-configuration").await.expect_status(200);
    assert_eq!(root.json(), two.json());
    let one = at(".well-known/openid-configuration").await.expect_status(200);
    let token = token(ask(&bag, &app, &[]).await);
    assert_eq!(one.json()["issuer"], claims(&token)["iss"]);
    let keys = at("discovery/v2.0/keys").await;
    insta::assert_snapshot!(shown(&keys), @r#"
    200
    content-type: application/json
    request-id: [id-1]
    vary: accept-encoding

    {
      "keys": [
        {
          "alg": "RS256",
          "e": "AQAB",
          "kid": "[thumbprint]",
          "kty": "RSA",
          "n": "[modulus]",
          "use": "sig",
          "x5t": "[thumbprint]"
        }
      ]
    }
    "#);
    for document in [&one, &two] {
        let uri = document.json()["jwks_uri"].as_str().expect("an address").to_owned();
        let path = uri.strip_prefix(&bag.url()).expect("an address of this server").to_owned();
        assert_eq!(bag.anonymous().get(&path).await.body, keys.body);
    }
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&keys.body).expect("a key set");
    let key = jsonwebtoken::DecodingKey::from_jwk(&set.keys[0]).expect("a key");
    let mut checks = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    checks.set_audience(&[RESOURCE]);
    jsonwebtoken::decode::<Value>(&token, &key, &checks).expect("signed with the published key");

    let instance = bag.anonymous().get("/common/discovery/instance?api-version=1.1").await;
    insta::assert_snapshot!(shown(&instance).replace(bag.url().trim_start_matches("http://"), "[address]"), @r#"
    200
    content-type: application/json
    request-id: [id-1]
    vary: accept-encoding

    {
      "api-version": "1.1",
      "metadata": [
        {
          "aliases": [
            "[address]"
          ],
          "preferred_cache": "[address]",
          "preferred_network": "[address]"
        }
      ],
      "tenant_discovery_endpoint": "[host]/[id-2]/v2.0/.well-known/openid-configuration"
    }
    "#);
}
