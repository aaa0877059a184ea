//! A file's history over HTTP: what was there before can be seen, compared and brought back, and goes only by a
//! retention time or a purge.

mod conditions;
mod holds;
mod pages;
mod paths;
mod restore;
mod story;

use serde_json::{Value, json};

use crate::support::client::{Answer, Client};
use crate::support::server::Jumpbag;

/// What the library holds of a name, newest first.
async fn versions(client: &Client, name: &str) -> Vec<Value> {
    client.get(&format!("/api/libraryfiles/{name}/versions")).await.expect_status(200).value()
}

/// The numbers of a file's versions, newest first.
async fn numbers(client: &Client, name: &str) -> Vec<u64> {
    let versions = versions(client, name).await;
    versions.iter().map(|version| version["version"].as_u64().expect("a number")).collect()
}

/// The files that were deleted, the last deleted first.
async fn deleted(client: &Client) -> Vec<Value> {
    client.get("/api/deletedlibraryfiles").await.expect_status(200).value()
}

async fn purge(client: &Client, id: &str) -> Answer {
    let path = format!("/api/deletedlibraryfiles/{id}/purge");
    client.json(http::Method::POST, &path, &json!({ "reason": "a test is over" })).await
}

/// Holds the file at this path, or lets it go.
async fn hold(client: &Client, path: &str, hold: bool, reason: &str) -> Answer {
    let body = json!({ "hold": hold, "reason": reason });
    client.json(http::Method::POST, &format!("{path}/legalhold"), &body).await
}

/// Somebody else with `Library.Manage`, and how versions name whom they are by.
async fn somebody_else(bag: &Jumpbag) -> (Client, String) {
    let registration = bag.register("somebody else", &["Library.Manage"]).await;
    let token = bag.request_token(&registration).await.expect_status(200).json();
    let client = bag.anonymous().with_token(token["access_token"].as_str().expect("a token"));
    (client, format!("app {} {}", registration.tenant, registration.client_id))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn assert_refused(case: &str, answer: &Answer, status: u16, code: &str, message: &str) {
    assert_eq!(answer.status, status, "{case}: {}", answer.text());
    assert_eq!(answer.error_code(), code, "{case}");
    assert_eq!(answer.error_message(), message, "{case}");
}
