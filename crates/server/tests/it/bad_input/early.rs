//! Refusals before a body byte is read: they reach clients that are busy sending, whatever those send.

use serde_json::json;

use crate::support::SOON;
use crate::support::clients::node_script;
use crate::support::form::Form;
use crate::support::oidc::OidcProvider;
use crate::support::raw::Raw;
use crate::support::server::{Jumpbag, Options};

const SIZE: usize = 20 * 1024 * 1024;

const REFUSALS: [(u16, &str, &str); 3] = [
    (
        401,
        "Unauthorized",
        "Unauthorized request - reason of failure: the authorization header with a bearer token is missing",
    ),
    (
        403,
        "Forbidden",
        "Missing application roles. API required roles: Library.Manage, application roles: Machine.Read.All.",
    ),
    (429, "TooManyRequests", "Too many requests: the quota of this API is used up, try again in "),
];

/// A server with no quota left for one token, and tokens for each refusal in the order of [`REFUSALS`].
async fn refusing() -> (Jumpbag, OidcProvider, [Option<String>; 3]) {
    let provider = OidcProvider::start().await;
    provider.configure(json!({ "roles": ["Machine.Read.All"] })).await;
    let bag = trusting(Jumpbag::options(), &provider).set("library_calls_per_minute", 1).start().await;
    let exhausted = bag.token(&["Library.Manage"]).await;
    bag.upload("kept.ps1", "k").await.expect_status(200);
    let tokens = [None, Some(provider.token().await), Some(exhausted)];
    (bag, provider, tokens)
}

/// A server that takes this provider's tokens.
fn trusting(options: Options, provider: &OidcProvider) -> Options {
    let issuer = provider.issuer();
    let audience = OidcProvider::AUDIENCE;
    options.set(
        "issuers",
        format!("[{{ issuer = \"{issuer}\", audiences = [\"{audience}\"], allow_http_loopback = true }}]"),
    )
}

#[tokio::test]
async fn a_refusal_reaches_who_sends_20_mib_before_it_listens() {
    let (bag, _provider, tokens) = refusing().await;
    let body = Form::new().file("new.ps1", vec![b'n'; SIZE]).end();
    for ((status, code, message), token) in REFUSALS.into_iter().zip(tokens) {
        let mut raw = Raw::connect(&bag.url()).await;
        let authorization = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
        raw.send(format!(
            "POST /api/libraryfiles HTTP/1.1\r\nHost: jumpbag\r\n{authorization}Content-Type: {}\r\n\
             Content-Length: {}\r\n\r\n",
            Form::CONTENT_TYPE,
            body.len()
        ))
        .await
        .expect("an open connection");
        raw.send(&body).await.unwrap_or_else(|error| panic!("{status}: cut off while sending: {error}"));
        let response = raw.response(SOON).await.expect("an answer");
        assert_eq!(response.status, status);
        let error = &response.json()["error"];
        assert_eq!(error["code"], code);
        assert!(error["message"].as_str().is_some_and(|text| text.starts_with(message)), "{error}");
        // The body was read to its end: the connection serves on.
        raw.send("GET /api/nothing HTTP/1.1\r\nHost: jumpbag\r\n\r\n").await.expect("an open connection");
        assert_eq!(raw.response(SOON).await.expect("an answer").status, 404);
    }
    assert_eq!(super::files_in(&bag.data_dir().join("blobs")), Vec::<String>::new());
}

#[tokio::test]
async fn a_refusal_reaches_fetch() {
    let (bag, _provider, tokens) = refusing().await;
    for ((status, code, message), token) in REFUSALS.into_iter().zip(tokens) {
        let script = node_script("fetch_client.mjs")
            .env("BASE_URL", bag.url())
            .env("TOKEN", token.unwrap_or_default())
            .arg(SIZE.to_string())
            .arg("3");
        let answers = script.run().await.json();
        let answers = answers.as_array().expect("one answer for each upload");
        assert_eq!(answers.len(), 3);
        for answer in answers {
            assert_eq!(answer["status"], status, "{answer}");
            let error = &answer["body"]["error"];
            assert_eq!(error["code"], code, "{answer}");
            assert!(error["message"].as_str().is_some_and(|text| text.starts_with(message)), "{error}");
        }
    }
}

/// Who asks before it sends is refused without having to send.
#[tokio::test]
async fn a_refusal_comes_instead_of_100_continue() {
    let (bag, _provider, tokens) = refusing().await;
    for ((status, ..), token) in REFUSALS.into_iter().zip(tokens) {
        let mut raw = Raw::connect(&bag.url()).await;
        let authorization = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
        raw.send(format!(
            "POST /api/libraryfiles HTTP/1.1\r\nHost: jumpbag\r\n{authorization}Content-Type: {}\r\n\
             Content-Length: {SIZE}\r\nExpect: 100-continue\r\n\r\n",
            Form::CONTENT_TYPE,
        ))
        .await
        .expect("an open connection");
        assert_eq!(raw.response(SOON).await.expect("an answer").status, status);
    }
}
