//! Clients that stall or go away.

use std::time::{Duration, Instant};

use super::{Ground, large_form};
use crate::support::SOON;
use crate::support::form::Form;
use crate::support::raw::{Ended, Raw};
use crate::support::server::Jumpbag;

/// The head of an upload whose body has this many bytes.
async fn head(ground: &Ground, length: usize) -> String {
    let token = ground.bag.token(&["Library.Manage"]).await;
    format!(
        "POST /api/libraryfiles HTTP/1.1\r\nHost: jumpbag\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: {}\r\nContent-Length: {length}\r\n\r\n",
        Form::CONTENT_TYPE
    )
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_leaves_nothing() {
    let ground = Ground::start().await;
    let body = large_form().cut(0);
    for override_first in [false, true] {
        let mut raw = Raw::connect(&ground.bag.url()).await;
        raw.send(head(&ground, 10 * body.len()).await).await.expect("an open connection");
        if override_first {
            let field = Form::new().field("OverrideIfExists", "true").cut(0);
            raw.send(field).await.expect("an open connection");
        }
        raw.send(&body).await.expect("an open connection");
        ground.something_staged().await;
        drop(raw);
        ground.unchanged("gone in the middle").await;
    }
    // Gone with the last byte on its way: it may count or not, and nothing is left beside it.
    let body = large_form().end();
    let mut raw = Raw::connect(&ground.bag.url()).await;
    raw.send(head(&ground, body.len() + 1).await).await.expect("an open connection");
    raw.send(&body).await.expect("an open connection");
    raw.finish_sending().await;
    drop(raw);
    ground.unchanged("gone one byte before the end").await;
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let ground = Ground::with(Jumpbag::options().set("body_idle_seconds", 1)).await;
    let body = large_form().cut(0);
    let mut raw = Raw::connect(&ground.bag.url()).await;
    raw.send(head(&ground, 10 * body.len()).await).await.expect("an open connection");
    raw.send(&body).await.expect("an open connection");
    ground.something_staged().await;
    let response = raw.response(SOON).await.expect("an answer");
    assert_eq!(response.status, 408);
    let error = &response.json()["error"];
    assert_eq!(error["code"], "BadRequest");
    assert_eq!(error["message"], "request body was not sent in time: no byte came for 1 seconds");
    assert_eq!(error["target"].as_str(), response.header("request-id"));
    assert_eq!(raw.end(SOON).await, Ended::Closed);
    ground.unchanged("stalled").await;
}

#[tokio::test]
async fn a_body_that_never_begins_is_given_up() {
    let ground = Ground::with(Jumpbag::options().set("body_idle_seconds", 1)).await;
    let mut raw = Raw::connect(&ground.bag.url()).await;
    raw.send(head(&ground, 1000).await).await.expect("an open connection");
    let response = raw.response(SOON).await.expect("an answer");
    assert_eq!(response.status, 408);
    assert_eq!(raw.end(SOON).await, Ended::Closed);
    ground.unchanged("never begun").await;
}

/// Every wait for a byte may be short and the upload too long all the same.
#[tokio::test]
async fn an_upload_that_takes_too_long_is_given_up() {
    let ground = Ground::with(Jumpbag::options().set("upload_seconds", 1)).await;
    let mut raw = Raw::connect(&ground.bag.url()).await;
    let body = large_form().cut(0);
    raw.send(head(&ground, 10 * body.len()).await).await.expect("an open connection");
    raw.send(&body).await.expect("an open connection");
    ground.something_staged().await;
    let response = raw.response(SOON).await.expect("an answer");
    assert_eq!(response.status, 408);
    assert_eq!(
        response.json()["error"]["message"],
        "request body was not sent in time: an upload may take 1 seconds"
    );
    ground.unchanged("too long").await;
}

#[tokio::test]
async fn headers_that_stall_end_the_connection_and_hold_up_nobody() {
    let ground = Ground::with(Jumpbag::options().set("max_connections", 50)).await;
    let started = Instant::now();
    let mut stalled = Vec::new();
    for _ in 0..30 {
        let mut raw = Raw::connect(&ground.bag.url()).await;
        raw.send("POST /api/libraryfiles HTTP/1.1\r\nHost: jumpbag\r\nX-Slow: ")
            .await
            .expect("an open connection");
        stalled.push(raw);
    }
    ground.unchanged("while thirty stall").await;
    for mut raw in stalled {
        let end = raw.response(SOON).await;
        assert!(
            matches!(end, Err(Ended::Closed | Ended::Reset))
                || end.as_ref().is_ok_and(|answer| answer.status == 408),
            "{end:?}"
        );
    }
    assert!(started.elapsed() < Duration::from_secs(40), "{:?}", started.elapsed());
}
