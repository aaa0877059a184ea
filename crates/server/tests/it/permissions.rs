//! Who is let in: the texts of 401 and 403, and that neither waits for a byte of the body.

mod readers;

use http::Method;
use serde_json::json;

use crate::support::SOON;
use crate::support::client::Answer;
use crate::support::clients::python;
use crate::support::oidc::OidcProvider;
use crate::support::raw::Raw;
use crate::support::server::Jumpbag;

/// Every call of the library.
const CALLS: [(Method, &str); 4] = [
    (Method::POST, "/api/libraryfiles"),
    (Method::GET, "/api/libraryfiles"),
    (Method::GET, "/api/libraryfiles/a.ps1"),
    (Method::DELETE, "/api/libraryfiles/a.ps1"),
];

#[tokio::test]
async fn without_a_token_every_call_is_unauthorized() {
    let bag = Jumpbag::start().await;
    for (method, path) in CALLS {
        for prefix in ["/api", "/API", "/api/v1.0"] {
            let path = path.replacen("/api", prefix, 1);
            let answer = bag.anonymous().call(method.clone(), &path).await.expect_status(401);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{method} {path}");
            assert_eq!(answer.error_code(), "Unauthorized");
        }
    }
    let answer = bag.anonymous().get("/api/libraryfiles").await;
    insta::assert_snapshot!(answer.snapshot(), @r#"
    401
    content-type: application/json; charset=utf-8
    request-id: [id-1]
    www-authenticate: Bearer

    {
      "error": {
        "code": "Unauthorized",
        "message": "Unauthorized request - reason of failure: the authorization header with a bearer token is missing",
        "target": "[id-1]"
      }
    }
    "#);
}

#[tokio::test]
async fn what_is_no_bearer_token_is_unauthorized() {
    let bag = Jumpbag::start().await;
    let token = bag.token(&["Library.Manage"]).await;
    let with = async |authorization: String| -> Answer {
        let call = bag.anonymous().get("/api/libraryfiles");
        call.with(|request| request.header("authorization", authorization)).await
    };
    for good in [format!("bearer {token}"), format!("BEARER  {token} ")] {
        with(good).await.expect_status(200);
    }
    for other in ["Basic YTpi", "Bearer", "Bearer ", "Digest x", ""] {
        let answer = with(other.to_owned()).await.expect_status(401);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{other:?}");
    }
    let mut told = String::new();
    for bad in [
        "x",
        "a.b.c",
        &format!("{token}x"),
        &token[..token.len() - 10],
        &format!("{token}.x"),
        &"a".repeat(20_000),
    ] {
        let answer = with(format!("Bearer {bad}")).await.expect_status(401);
        let challenge = answer.header("www-authenticate").expect("a challenge").to_owned();
        told += &format!("{}\n  {challenge}\n", answer.error_message());
    }
    insta::assert_snapshot!(told, @r#"
    Unauthorized request - reason of failure: the token is not a signed JWT
      Bearer error="invalid_token", error_description="the token is not a signed JWT"
    Unauthorized request - reason of failure: the token is not a signed JWT
      Bearer error="invalid_token", error_description="the token is not a signed JWT"
    Unauthorized request - reason of failure: the token's signature is not valid
      Bearer error="invalid_token", error_description="the token's signature is not valid"
    Unauthorized request - reason of failure: the token's signature is not valid
      Bearer error="invalid_token", error_description="the token's signature is not valid"
    Unauthorized request - reason of failure: the token is not a signed JWT
      Bearer error="invalid_token", error_description="the token is not a signed JWT"
    Unauthorized request - reason of failure: the token is longer than 16 KiB
      Bearer error="invalid_token", error_description="the token is longer than 16 KiB"
    "#);
    let twice = bag.anonymous().get("/api/libraryfiles").with(|request| {
        request.header("authorization", "Bearer x").header("authorization", format!("Bearer {token}"))
    });
    twice.await.expect_status(401);
    // Not in the address, where it would end up in logs.
    for query in ["access_token", "token"] {
        bag.anonymous().get(&format!("/api/libraryfiles?{query}={token}")).await.expect_status(401);
    }
}

#[tokio::test]
async fn without_the_permission_the_text_is_the_originals() {
    let provider = OidcProvider::start().await;
    let bag = Jumpbag::options()
        .config(&format!(
            "issuers = [{{ issuer = \"{}\", audiences = [\"{}\"], allow_http_loopback = true }}]\n",
            provider.issuer(),
            OidcProvider::AUDIENCE
        ))
        .start()
        .await;
    let mut told = String::new();
    for claims in [
        json!({ "roles": [] }),
        json!({ "roles": ["Alert.ReadWrite.All", "Machine.Read.All"] }),
        json!({ "roles": ["library.manage", "Library.Manage.All", "*"] }),
        json!({ "roles": null, "client_id": null, "sub": "u", "name": "Ada", "scp": "Machine.Read Machine.Scan" }),
        json!({ "roles": null, "client_id": null, "sub": "u", "name": "Ada" }),
    ] {
        let caller = bag.anonymous().with_token(&provider.signed(claims).await);
        for (method, path) in CALLS {
            let answer = caller.call(method, path).await.expect_status(403);
            assert_eq!(answer.error_code(), "Forbidden");
            assert_eq!(answer.header("www-authenticate"), None);
        }
        told += &format!("{}\n", caller.get("/api/libraryfiles").await.error_message());
    }
    insta::assert_snapshot!(told, @r"
    Missing application roles. API required roles: Library.Manage, application roles: .
    Missing application roles. API required roles: Library.Manage, application roles: Alert.ReadWrite.All,Machine.Read.All.
    Missing application roles. API required roles: Library.Manage, application roles: library.manage,Library.Manage.All,*.
    Missing delegated scopes. API required scopes: Library.Manage, delegated scopes: Machine.Read,Machine.Scan.
    Missing delegated scopes. API required scopes: Library.Manage, delegated scopes: .
    ");
    let refused = bag.anonymous().with_token(&provider.signed(json!({ "roles": [] })).await);
    insta::assert_snapshot!(refused.get("/api/libraryfiles").await.snapshot(), @r#"
    403
    content-type: application/json; charset=utf-8
    request-id: [id-1]

    {
      "error": {
        "code": "Forbidden",
        "message": "Missing application roles. API required roles: Library.Manage, application roles: .",
        "target": "[id-1]"
      }
    }
    "#);
}

/// Sends the head of an upload, asks to be asked for its body, and gives what comes back first.
async fn announce(bag: &Jumpbag, authorization: &str) -> (u16, String) {
    let mut raw = Raw::connect(&bag.url()).await;
    let head = format!(
        "POST /api/libraryfiles HTTP/1.1\r\nHost: bag.example\r\n{authorization}Expect: 100-continue\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 20971520\r\n\r\n"
    );
    raw.send(head).await.expect("an open connection");
    let first = raw.response(SOON).await.expect("an answer");
    (first.status, first.text())
}

#[tokio::test]
async fn token_then_permission_then_rate_limit_all_come_before_the_body() {
    let provider = OidcProvider::start().await;
    let bag = Jumpbag::options()
        .config(&format!(
            "issuers = [{{ issuer = \"{}\", audiences = [\"{}\"], allow_http_loopback = true }}]\n\
             library_calls_per_minute = 2\n",
            provider.issuer(),
            OidcProvider::AUDIENCE
        ))
        .start()
        .await;
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    for none in [String::new(), bearer("x")] {
        let (status, body) = announce(&bag, &none).await;
        assert!(status == 401 && body.contains("\"Unauthorized\""), "{status} {body}");
    }
    let powerless = bearer(&provider.signed(json!({ "roles": ["Machine.Read.All"] })).await);
    for _ in 0..5 {
        // Refused calls use up no quota: the limit of two is never met.
        let (status, body) = announce(&bag, &powerless).await;
        assert!(status == 403 && body.contains("\"Forbidden\""), "{status} {body}");
    }
    let token = bag.token(&["Library.Manage"]).await;
    for _ in 0..2 {
        assert_eq!(announce(&bag, &bearer(&token)).await.0, 100);
    }
    let (status, body) = announce(&bag, &bearer(&token)).await;
    assert!(status == 429 && body.contains("\"TooManyRequests\""), "{status} {body}");
}

#[tokio::test]
async fn requests_sees_the_refusal_of_an_upload_it_has_not_finished_sending() {
    let bag = Jumpbag::start().await;
    let script = python("requests_refused.py").env("BASE_URL", bag.url()).arg("20971520").arg("5");
    let answers = script.run().await.json();
    let answers = answers.as_array().expect("a list");
    assert_eq!(answers.len(), 10);
    for answer in answers {
        assert_eq!(answer["status"], 401, "{answer}");
        assert_eq!(answer["body"]["error"]["code"], "Unauthorized", "{answer}");
    }
}
