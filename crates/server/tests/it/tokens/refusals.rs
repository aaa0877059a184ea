//! What the token endpoint says when it says no.

use regex_lite::Regex;

use super::{RESOURCE, ask, form, shown, v1, v2};
use crate::support::client::Answer;
use crate::support::server::Jumpbag;

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
    400 unsupported_grant_type AADSTS70003: The app requested an unsupported grant type 'password'. This server knows 'client_credentials', 'authorization_code', 'refresh_token' and 'urn:ietf:params:oauth:grant-type:device_code'.
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
