//! The embedded issuer over real HTTP: every way to ask for a token, every refusal, and what becomes of the tokens.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use regex_lite::Regex;
use serde_json::{Value, json};

use crate::support::client::{Answer, Call};
use crate::support::server::{Jumpbag, Registration};
use crate::support::{SOON, snapshot};

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
async fn every_refusal_looks_as_the_original_writes_it() {
    let bag = Jumpbag::start().await;
    let app = bag.register("app", &["Library.Manage"]).await;
    let wrong = ask(&bag, &app, &[("client_secret", "wrong")]).await;
    insta::assert_snapshot!(shown(&wrong), @r#"
    401
    cache-control: no-store
    content-type: application/json; charset=utf-8
    request-id: [id-1]
    vary: accept-encoding

    {
      "error": "invalid_client",
      "error_description": "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '[id-2]'.\r\nTrace ID: [id-1]\r\nCorrelation ID: [id-3]\r\nTimestamp: [time-1]",
      "error_codes": [
        7000215
      ],
      "timestamp": "[time-1]",
      "trace_id": "[id-1]",
      "correlation_id": "[id-3]",
      "error_uri": "https://login.microsoftonline.com/error?code=7000215"
    }
    "#);

    let (nobody, other) = (uuid::Uuid::nil().to_string(), "https://graph.microsoft.com/.default");
    let mut told = String::new();
    for changes in [
        &[("client_id", nobody.as_str())][..],
        &[("client_secret", "")],
        &[("client_id", "")],
        &[("grant_type", "")],
        &[("grant_type", "password")],
        &[("scope", "")],
        &[("scope", "Library.Manage")],
        &[("scope", RESOURCE)],
        &[("scope", other)],
        &[("client_assertion", "a.b.c")],
        &[("client_secret", ""), ("client_assertion", "a.b.c")],
        &[("Client_ID", "two")],
    ] {
        let answer = ask(&bag, &app, changes).await;
        told += &line(&answer);
    }
    let fields = form(&app, &[("scope", "")]);
    told += &line(&v1(&bag, &app.tenant).with(|request| request.form(&fields)).await);
    told += &line(&v2(&bag, &nobody).with(|request| request.form(&fields)).await);
    told += &line(&v2(&bag, "common").with(|request| request.form(&fields)).await);
    for body in [vec![0xff, 0xfe], vec![b'a'; 100_000], Vec::new(), b"{\"grant_type\":".to_vec()] {
        told += &line(&v2(&bag, &app.tenant).with(|request| request.body(body)).await);
    }
    insta::assert_snapshot!(told.replace(&app.client_id, "[app]"), @r"
    400 unauthorized_client AADSTS700016: Application with identifier '00000000-0000-0000-0000-000000000000' was not found in the [tenant]. This can happen if the application has not been registered with this server, or if the request was sent to the wrong tenant.
    401 invalid_client AADSTS7000218: The request body must contain the following parameter: 'client_assertion' or 'client_secret'.
    400 invalid_request AADSTS900144: The request body must contain the following parameter: 'client_id'.
    400 invalid_request AADSTS900144: The request body must contain the following parameter: 'grant_type'.
    400 unsupported_grant_type AADSTS70003: The app requested an unsupported grant type 'password'. This server knows 'client_credentials'.
    400 invalid_request AADSTS900144: The request body must contain the following parameter: 'scope'.
    400 invalid_scope AADSTS1002012: The provided value for scope Library.Manage is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).
    400 invalid_scope AADSTS1002012: The provided value for scope https://api.securitycenter.microsoft.com is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).
    400 invalid_resource AADSTS500011: The resource principal named https://graph.microsoft.com was not found in the [tenant] This can happen if the resource is not one of Microsoft Defender for Endpoint or of this server.
    400 invalid_request AADSTS9002313: Invalid request. Request is malformed or invalid: the client proves itself in two ways at once.
    400 invalid_request AADSTS900144: The request body must contain the following parameter: 'client_assertion_type'.
    400 invalid_request AADSTS9002313: Invalid request. Request is malformed or invalid: a parameter is given twice.
    400 invalid_request AADSTS900144: The request body must contain the following parameter: 'resource'.
    400 invalid_request AADSTS90002: Tenant '00000000-0000-0000-0000-000000000000' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.
    400 invalid_request AADSTS90002: Tenant 'common' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.
    400 invalid_request AADSTS9002313: Invalid request. Request is malformed or invalid: the body is not UTF-8 text.
    400 invalid_request AADSTS9002313: Invalid request. Request is malformed or invalid: the body is too large or was cut short.
    400 invalid_request AADSTS900144: The request body must contain the following parameter: 'grant_type'.
    400 invalid_request AADSTS9002313: Invalid request. Request is malformed or invalid: the body is not a JSON object of texts.
    ");
}

/// Status, code and number of a refusal, and the first line of its description.
fn line(answer: &Answer) -> String {
    let body = answer.json();
    let description = body["error_description"].as_str().expect("a description");
    let first = description.split("\r\n").next().expect("one line at least");
    let number = body["error_codes"][0].as_u64().expect("a number");
    assert!(first.starts_with(&format!("AADSTS{number}: ")), "{body}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(answer.header("request-id"), body["trace_id"].as_str());
    let ids = Regex::new(r"directory '[^']*'|tenant named \S+").expect("a valid pattern");
    let first = ids.replace_all(first, "[tenant]");
    format!("{} {} {first}\n", answer.status, body["error"].as_str().expect("a code"))
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
        "ver"
      ],
      "grant_types_supported": [
        "client_credentials"
      ],
      "id_token_signing_alg_values_supported": [
        "RS256"
      ],
      "issuer": "[host]/[id-2]/v2.0",
      "jwks_uri": "[host]/[id-2]/discovery/v2.0/keys",
      "response_modes_supported": [
        "query"
      ],
      "response_types_supported": [
        "token"
      ],
      "scopes_supported": [
        "openid"
      ],
      "subject_types_supported": [
        "pairwise"
      ],
      "token_endpoint": "[host]/[id-2]/oauth2/v2.0/token",
      "token_endpoint_auth_methods_supported": [
        "client_secret_post",
        "client_secret_basic",
        "private_key_jwt"
      ],
      "token_endpoint_auth_signing_alg_values_supported": [
        "RS256",
        "PS256"
      ]
    }
    "#);
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

#[tokio::test]
async fn keys_are_rotated_while_their_tokens_live_on() {
    let bag = Jumpbag::start().await;
    let app = bag.register("app", &["Library.Manage"]).await;
    let kid = |token: &str| {
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().expect("a header")).expect("base64url");
        serde_json::from_slice::<Value>(&header).expect("JSON")["kid"].clone()
    };
    let old = token(ask(&bag, &app, &[]).await);
    let (status, stdout, stderr) = bag.command(&["keys", "rotate"]).await;
    assert!(status.success(), "{stderr}");
    let wanted = stdout.strip_prefix("new signing key: ").expect("the new key's id").to_owned();
    let new = until("tokens are signed with the new key", async || {
        Some(token(ask(&bag, &app, &[]).await)).filter(|token| kid(token) == wanted)
    })
    .await;
    assert_ne!(kid(&old), kid(&new));
    assert_works(&bag, &old).await;
    assert_works(&bag, &new).await;
    let keys = bag.anonymous().get(&format!("/{}/discovery/keys", app.tenant)).await.json();
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(2));
    bag.restart().await;
    assert_works(&bag, &old).await;
}

/// Asks again until there is something, for states that come within a second and announce themselves to nobody.
async fn until<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
        }
    };
    tokio::time::timeout(SOON, asking).await.unwrap_or_else(|_| panic!("never: {what}"))
}

#[tokio::test]
async fn a_rotated_secret_stays_good_for_as_long_as_told() {
    let bag = Jumpbag::start().await;
    let first = bag.register("app", &["Library.Manage"]).await;
    let rotate = async |keep: &[&str]| -> Registration {
        let arguments = [&["clients", "rotate", &first.client_id, "--json"], keep].concat();
        let (status, stdout, stderr) = bag.command(&arguments).await;
        assert!(status.success(), "{stderr}");
        serde_json::from_str(&stdout).expect("JSON")
    };
    let second = rotate(&["--keep-old", "24"]).await;
    assert_ne!(first.client_secret, second.client_secret);
    for app in [&first, &second] {
        ask(&bag, app, &[]).await.expect_status(200);
    }
    let third = rotate(&[]).await;
    ask(&bag, &third, &[]).await.expect_status(200);
    for app in [&first, &second] {
        let refused = ask(&bag, app, &[]).await.expect_status(401);
        assert_eq!(refused.json()["error_codes"], json!([7000222]));
    }
    let (status, _, stderr) = bag.command(&["clients", "rotate", "nobody"]).await;
    assert!(!status.success() && stderr.contains("`nobody`"), "{stderr}");
}

#[tokio::test]
async fn a_client_ends_with_its_time_and_takes_its_tokens_along() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let arguments = ["clients", "add", "brief", "--permission", "Library.Manage", "--json", "--expires"];
    for bad in ["2001-01-01", "tomorrow"] {
        let (status, _, stderr) = bag.command(&[&arguments[..], &[bad]].concat()).await;
        assert!(!status.success() && stderr.contains(bad), "{stderr}");
    }
    let (status, stdout, stderr) = bag.command(&[&arguments[..], &["2099-12-31"]].concat()).await;
    assert!(status.success(), "{stderr}");
    let app: Registration = serde_json::from_str(&stdout).expect("JSON");
    let token = token(ask(&bag, &app, &[]).await);
    assert_works(&bag, &token).await;

    let database = rusqlite::Connection::open(bag.data_dir().join("catalog.db")).expect("the database");
    let ended = database.execute("update clients set expires_at = 1 where id = ?1", [&app.client_id]);
    assert_eq!(ended, Ok(1));
    let refused = ask(&bag, &app, &[]).await.expect_status(400).json();
    assert_eq!(
        (&refused["error"], &refused["error_codes"]),
        (&json!("unauthorized_client"), &json!([7000112]))
    );
    assert_gone(&bag, &token).await;
}

#[tokio::test]
async fn a_removed_client_takes_its_tokens_along_and_its_id_is_spent() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let app = bag.register("app", &["Library.Manage"]).await;
    let token = token(ask(&bag, &app, &[]).await);
    assert_works(&bag, &token).await;
    let (status, _, stderr) = bag.command(&["clients", "remove", &app.client_id]).await;
    assert!(status.success(), "{stderr}");
    assert_gone(&bag, &token).await;
    let refused = ask(&bag, &app, &[]).await.expect_status(400);
    assert_eq!(refused.json()["error_codes"], json!([700016]));
    let again = ["clients", "add", "again", "--permission", "Library.Manage", "--id", &app.client_id];
    let (status, _, stderr) = bag.command(&again).await;
    assert!(!status.success() && stderr.contains(&app.client_id), "{stderr}");
    bag.restart().await;
    assert_gone(&bag, &token).await;
}

/// A token stops counting at once, which here means within a second.
async fn assert_gone(bag: &Jumpbag, token: &str) {
    let refused = until("the token counts no more", async || {
        let answer = bag.anonymous().with_token(token).get("/api/libraryfiles").await;
        Some(answer).filter(|answer| answer.status != 200)
    })
    .await
    .expect_status(401);
    assert_eq!(refused.error_code(), "Unauthorized");
    let challenge = refused.header("www-authenticate").unwrap_or_default();
    assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{challenge}");
}

/// Somebody behind the proxy that this machine is taken for.
fn from(address: &str, call: Call) -> Call {
    call.with(|request| request.header("x-forwarded-for", address))
}

#[tokio::test]
async fn whoever_fails_again_and_again_waits_and_others_do_not() {
    let bag = Jumpbag::options().config("trusted_proxies = [\"127.0.0.1\"]\n").start().await;
    let (app, other) =
        (bag.register("app", &["Library.Manage"]).await, bag.register("other", &["Library.Manage"]).await);
    let (guesser, honest) = ("192.0.2.1", "192.0.2.2");
    let unknown = Registration { client_id: uuid::Uuid::new_v4().to_string(), ..app.clone() };
    for guessed in [&app, &unknown] {
        let guesses = (0..9).map(|_| from(guesser, ask(&bag, guessed, &[("client_secret", "wrong")])));
        for answer in futures_util::future::join_all(guesses.map(IntoFuture::into_future)).await {
            assert!([400, 401].contains(&answer.status), "{}", answer.text());
        }
    }
    // Each of these now waits for seconds, a right secret as long as a wrong one or an unknown client.
    let began = Instant::now();
    let waiting = [
        from(guesser, ask(&bag, &app, &[])),
        from(guesser, ask(&bag, &app, &[("client_secret", "wrong")])),
        from(guesser, ask(&bag, &unknown, &[])),
    ];
    let mut waiting = std::pin::pin!(futures_util::future::join_all(waiting.map(IntoFuture::into_future)));
    let others = async {
        from(honest, ask(&bag, &app, &[])).await.expect_status(200);
        from(guesser, ask(&bag, &other, &[])).await.expect_status(200);
        // What the client itself says comes before the proxy's word, and does not count.
        from("198.51.100.7, 192.0.2.3", ask(&bag, &app, &[])).await.expect_status(200);
    };
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("nobody waited"),
        () = others => {}
    }
    let statuses: Vec<_> = waiting.await.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 401, 400]);
    assert!(began.elapsed() >= Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_address_that_the_client_claims_itself_does_not_count() {
    let bag = Jumpbag::start().await;
    let app = bag.register("app", &["Library.Manage"]).await;
    let guess = |n: usize| from(&format!("192.0.2.{n}"), ask(&bag, &app, &[("client_secret", "wrong")]));
    futures_util::future::join_all((0..9).map(|n| guess(n).into_future())).await;
    let began = Instant::now();
    guess(100).await.expect_status(401);
    assert!(began.elapsed() >= Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_unknown_client_and_a_wrong_secret_are_answered_alike() {
    let bag = Jumpbag::start().await;
    let app = bag.register("app", &["Library.Manage"]).await;
    let nobody = uuid::Uuid::new_v4().to_string();
    let wrong = ask(&bag, &app, &[("client_secret", "wrong")]).await;
    let unknown = ask(&bag, &app, &[("client_id", &nobody)]).await;
    let names = |answer: &Answer| answer.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&wrong), names(&unknown));
    let fields = |answer: &Answer| {
        let body = answer.json();
        body.as_object().expect("an object").keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(fields(&wrong), fields(&unknown));
    assert!(!bag.logs().contains(&app.client_secret) && !bag.logs().contains("\"wrong\""));
}
