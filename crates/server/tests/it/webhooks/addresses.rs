//! Where deliveries may go.

use serde_json::{Value, json};

use super::{add, options, post, shown, upload};
use crate::support::receiver::{Receiver, Reply};
use crate::support::server::Jumpbag;

#[tokio::test]
async fn private_addresses_are_refused_in_every_form() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let receiver = Receiver::start().await;
    let port = receiver.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "017700000001",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fd00::1]",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.168.1.1",
    ] {
        for scheme in ["http", "https"] {
            let answer =
                post(&bag, json!({ "url": format!("{scheme}://{host}:{port}/") })).await.expect_status(400);
            assert!(answer.error_message().contains("not a public address"), "{}", answer.error_message());
        }
    }
    let answer = post(&bag, json!({ "url": format!("http://localhost:{port}/") })).await.expect_status(400);
    assert!(answer.error_message().contains("use `https:`"), "{}", answer.error_message());

    // A name is judged by where it leads, when it is called.
    for name in ["localhost", "LocalHost"] {
        let url = format!("https://{name}:{port}/");
        let made = post(&bag, json!({ "url": url })).await.expect_status(201).json();
        let id = made["id"].as_str().expect("an id");
        let path = format!("/api/library/webhooks/{id}/test");
        let tested = bag.client().await.post(&path).await.expect_status(200).json();
        assert_eq!((&tested["delivered"], &tested["status"]), (&json!(false), &Value::Null));
        let error = tested["error"].as_str().expect("an error");
        assert!(error.starts_with("the name leads to") && error.contains("not a public address"), "{error}");
        upload(&bag, [format!("{id}.ps1")]).await;
        let failed = shown(&bag, id, "it failed", |webhook| webhook["failedAttempts"] != 0).await;
        assert_eq!(failed["lastError"], error);
    }
    assert!(receiver.all().is_empty());
}

#[tokio::test]
async fn a_name_that_leads_to_a_named_network_may_be_called() {
    let bag = options().start().await;
    let receiver = Receiver::start().await;
    let url = format!("http://localhost:{}/", receiver.port());
    post(&bag, json!({ "url": url })).await.expect_status(201);
    upload(&bag, ["a.ps1".to_owned()]).await;
    receiver.count(1).await;
}

#[tokio::test]
async fn what_the_settings_forbid_later_is_not_called_any_more() {
    let bag = options().start().await;
    let receiver = Receiver::start().await;
    let (id, _) = add(&bag, &receiver).await;
    assert!(bag.stop().await.success());
    // The same data under other settings.
    let stricter = Jumpbag::options().set("rate_limits", false).data_dir(bag.data_dir()).start().await;
    upload(&stricter, ["a.ps1".to_owned()]).await;
    let failed = shown(&stricter, &id, "it failed", |webhook| webhook["failedAttempts"] != 0).await;
    let error = failed["lastError"].as_str().expect("an error");
    assert!(error.starts_with("the address leads to 127.0.0.1"), "{error}");
    assert!(receiver.all().is_empty());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let bag = options().start().await;
    let elsewhere = Receiver::start().await;
    let to = elsewhere.url();
    let receiver = Receiver::behaving(move |_| Reply::Redirect(to.clone())).await;
    let (id, _) = add(&bag, &receiver).await;
    upload(&bag, ["a.ps1".to_owned()]).await;
    let failed = shown(&bag, &id, "it failed", |webhook| webhook["failedAttempts"] != 0).await;
    assert_eq!((&failed["lastStatus"], &failed["lastError"]), (&json!(307), &json!("it answered 307")));
    receiver.behave(|_| Reply::Status(200));
    shown(&bag, &id, "it is delivered", |webhook| webhook["lastStatus"] == 200).await;
    assert!(elsewhere.all().is_empty());
}
