//! Who may listen, and for how long.

use serde_json::json;

use super::options;
use crate::support::client::plain_http;
use crate::support::oidc::OidcProvider;
use crate::support::server::Jumpbag;
use crate::support::stream::Stream;

#[tokio::test]
async fn whoever_may_read_may_listen_and_nobody_else() {
    let bag = options().start().await;
    bag.anonymous().get("/api/library/events").await.expect_status(401);
    for permission in ["Library.Read", "Library.Manage"] {
        let token = bag.token(&[permission]).await;
        let mut stream = Stream::with(&plain_http(), &bag, &token, None).await;
        assert!(stream.block().await.is_some());
    }
}

#[tokio::test]
async fn ids_that_no_event_had_are_refused() {
    let bag = options().start().await;
    bag.upload("a.ps1", "x").await.expect_status(200);
    let client = bag.caller(&["Library.Read"]).await;
    for (bad, told) in [
        ("x", "a whole number"),
        ("-1", "a whole number"),
        ("1.5", "a whole number"),
        ("1 2", "a whole number"),
        ("0x1", "a whole number"),
        ("9223372036854775808", "a whole number"),
        ("9223372036854775807", "but the last change has number"),
        ("1000", "but the last change has number"),
    ] {
        let call = client.get("/api/library/events").with(|request| request.header("last-event-id", bad));
        let answer = call.await.expect_status(400);
        assert_eq!(answer.error_code(), "InvalidInput");
        let message = answer.error_message();
        assert!(message.starts_with("`Last-Event-ID` is") && message.contains(told), "{message}");
        for query in ["after", "lastEventId"] {
            let bad = bad.replace(' ', "%20");
            let answer = client.get(&format!("/api/library/events?{query}={bad}")).await.expect_status(400);
            assert!(answer.error_message().starts_with(&format!("`{query}` is")), "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_client_that_is_removed_hears_no_more() {
    let bag = options().start().await;
    let registration = bag.register("listener", &["Library.Read"]).await;
    let token = bag.request_token(&registration).await.expect_status(200).json();
    let token = token["access_token"].as_str().expect("a token").to_owned();
    let mut stream = Stream::with(&plain_http(), &bag, &token, None).await;
    bag.upload("before.ps1", "x").await.expect_status(200);
    assert_eq!(stream.next().await.expect("an event").data["fileName"], "before.ps1");
    let (status, _, stderr) = bag.command(&["clients", "remove", &registration.client_id]).await;
    assert!(status.success(), "{stderr}");
    // Its end comes without an event.
    stream.ends_well().await;
    bag.upload("after.ps1", "x").await.expect_status(200);
    bag.anonymous().with_token(&token).get("/api/library/events").await.expect_status(401);
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let provider = OidcProvider::start().await;
    let bag = Jumpbag::options()
        .config(&format!(
            "issuers = [{{ issuer = \"{}\", audiences = [\"{}\"], allow_http_loopback = true }}]\n",
            provider.issuer(),
            OidcProvider::AUDIENCE
        ))
        .start()
        .await;
    // Clocks may differ by so much.
    let over = chrono::Utc::now().timestamp() - jumpbag_server::auth::jwt::SKEW + 3;
    let token = provider.signed(json!({ "iat": over - 60, "nbf": over - 60, "exp": over })).await;
    let mut stream = Stream::with(&plain_http(), &bag, &token, None).await;
    assert!(stream.block().await.is_some());
    stream.ends_well().await;
    bag.anonymous().with_token(&token).get("/api/library/events").await.expect_status(401);
}
