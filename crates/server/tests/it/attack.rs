//! What an attacker tries, with and without a token: nothing of it may be answered with a 5xx, be believed, leak,
//! or cost the server more than its share.

mod frames;
mod framing;
mod put_out;
mod requests;
mod resources;
mod secrets;

use crate::support::SOON;
use crate::support::raw::{Ended, Raw, RawResponse};
use crate::support::server::Jumpbag;

/// The header field of somebody with `Library.Manage`.
async fn authorized(bag: &Jumpbag) -> String {
    format!("Authorization: Bearer {}\r\n", bag.token(&["Library.Manage"]).await)
}

/// Sends bytes on a connection of their own and gives everything that is answered, and how the connection ends.
async fn say(bag: &Jumpbag, bytes: impl AsRef<[u8]>) -> (Vec<RawResponse>, Ended) {
    let mut raw = Raw::connect(&bag.url()).await;
    // The server may hang up before all of it is sent.
    let _ = raw.send(bytes).await;
    let mut answers = Vec::new();
    loop {
        match raw.response(SOON).await {
            Ok(answer) => answers.push(answer),
            Err(ended) => return (answers, ended),
        }
    }
}

/// The one answer to one request.
async fn one(bag: &Jumpbag, request: impl AsRef<[u8]>) -> RawResponse {
    let (mut answers, ended) = say(bag, request).await;
    assert_eq!(answers.len(), 1, "{ended:?}");
    answers.remove(0)
}

/// Not a fault of the server, not something a browser would run, and in the envelope where it is an error of the API.
fn assert_harmless(answer: &RawResponse, what: &str) {
    assert!(answer.status < 500, "{what}: {} {}", answer.status, answer.text());
    if answer.body.is_empty() {
        return;
    }
    let kind = answer.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("application/json"), "{what}: {kind}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
    assert!(answer.json().is_object(), "{what}: {}", answer.text());
}
