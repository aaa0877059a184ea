//! What goes wrong on the way: nothing is lost, nothing overtakes, and nobody waits for somebody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{add, names, options, show, shown, told, upload};
use crate::support::receiver::{Received, Receiver, Reply};

/// How many of these tell of an event with this name.
fn attempts(received: &[Received], name: &str) -> usize {
    received.iter().filter(|request| request.json()["data"]["fileName"] == name).count()
}

#[tokio::test]
async fn what_fails_is_tried_again_and_nothing_overtakes_it() {
    let bag = options().start().await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let mut receiver = Receiver::behaving(move |_| match counted.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::Status(500),
        1 => Reply::Silence,
        _ => Reply::Status(204),
    })
    .await;
    let (id, secret) = add(&bag, &receiver).await;
    upload(&bag, names(0..5)).await;
    let received = receiver.count(7).await;
    assert_eq!(told(&received), names(0..5));
    assert_eq!(attempts(&received, "0.ps1"), 3);
    for request in &received {
        super::assert_signed(request, &secret);
    }
    // The same event has the same id and the same body whenever it is sent.
    for again in &received[1..3] {
        assert_eq!(again.header("webhook-id"), received[0].header("webhook-id"));
        assert_eq!(again.body, received[0].body);
    }
    shown(&bag, &id, "it is well", |webhook| webhook["failingSince"] == Value::Null).await;

    receiver.down().await;
    upload(&bag, names(5..8)).await;
    let failing =
        shown(&bag, &id, "it failed twice", |webhook| webhook["failedAttempts"].as_u64() >= Some(2)).await;
    assert_eq!((&failing["state"], &failing["lastStatus"]), (&json!("active"), &Value::Null));
    assert!(failing["failingSince"].is_string() && failing["nextAttemptTime"].is_string(), "{failing}");
    let error = failing["lastError"].as_str().expect("an error");
    assert!(error.contains("refused") && !error.contains("in-the-address"), "{error}");
    receiver.up().await;
    let received = receiver.count(10).await;
    assert_eq!(told(&received), names(0..8));
    let numbers: Vec<_> = received.iter().map(Received::number).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
}

#[tokio::test]
async fn who_is_slow_holds_up_nobody_else() {
    let bag = options().set("webhook_timeout_seconds", 60).start().await;
    let slow = Receiver::behaving(|_| Reply::Silence).await;
    for _ in 0..31 {
        add(&bag, &slow).await;
    }
    upload(&bag, names(0..1)).await;
    slow.count(31).await;
    let quick = Receiver::start().await;
    add(&bag, &quick).await;
    upload(&bag, names(1..20)).await;
    assert_eq!(told(&quick.count(19).await), names(1..20));
    assert_eq!(slow.all().len(), 31);
    // Nor does it hold up a stop.
    assert!(bag.stop().await.success(), "{}", bag.logs());
}

#[tokio::test]
async fn events_outlive_crashes() {
    let bag = options().start().await;
    let receiver = Receiver::behaving(|_| Reply::Status(503)).await;
    add(&bag, &receiver).await;
    for life in 0..3 {
        upload(&bag, names(life * 5..life * 5 + 5)).await;
        let before = receiver.all().len();
        receiver.count(before + 1).await;
        // In the middle of it: sometimes the answer is on its way, sometimes the next attempt is.
        bag.kill().await;
        bag.restart().await;
    }
    let calls = AtomicUsize::new(0);
    receiver.behave(move |_| match calls.fetch_add(1, Ordering::Relaxed) % 4 {
        3 => Reply::Status(500),
        _ => Reply::Status(200),
    });
    let last = "14.ps1";
    let all = receiver.until("the last", |received| attempts(received, last) > 0).await;
    bag.kill().await;
    bag.restart().await;
    upload(&bag, names(15..16)).await;
    receiver.until("the very last", |received| attempts(received, "15.ps1") > 0).await;
    assert_eq!(told(&all), names(0..15));
    let numbers: Vec<_> = receiver.all().iter().map(Received::number).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
}

#[tokio::test]
async fn a_receiver_that_wants_no_more_gets_no_more_until_it_is_enabled_again() {
    let bag = options().start().await;
    let receiver = Receiver::behaving(|_| Reply::Status(410)).await;
    let (id, _) = add(&bag, &receiver).await;
    let client = bag.client().await;
    let enable = format!("/api/library/webhooks/{id}/enable");
    client.post(&enable).await.expect_status(400);
    upload(&bag, names(0..3)).await;
    let disabled = shown(&bag, &id, "it is disabled", |webhook| webhook["state"] == "disabled").await;
    assert_eq!((&disabled["lastStatus"], &disabled["nextAttemptTime"]), (&json!(410), &Value::Null));
    assert_eq!(receiver.all().len(), 1);
    // Not after a restart either: another webhook shows that deliveries have begun.
    bag.restart().await;
    let other = Receiver::start().await;
    add(&bag, &other).await;
    upload(&bag, names(3..4)).await;
    other.count(1).await;
    assert_eq!(receiver.all().len(), 1);
    assert_eq!(show(&bag, &id).await["delivered"], disabled["delivered"]);

    receiver.behave(|_| Reply::Status(200));
    let enabled = bag.client().await.post(&enable).await.expect_status(200).json();
    assert_eq!(enabled["state"], "active");
    assert_eq!(told(&receiver.count(5).await), names(0..4));
    bag.client().await.post(&enable).await.expect_status(400);
}

#[tokio::test]
async fn who_has_failed_for_too_long_is_disabled() {
    // No day at all: the second failure is the last.
    let bag = options().set("webhook_give_up_days", 0).start().await;
    let receiver = Receiver::behaving(|_| Reply::Status(500)).await;
    let (id, _) = add(&bag, &receiver).await;
    upload(&bag, names(0..2)).await;
    let disabled = shown(&bag, &id, "it is disabled", |webhook| webhook["state"] == "disabled").await;
    assert_eq!((&disabled["failedAttempts"], &disabled["lastError"]), (&json!(2), &json!("it answered 500")));
    assert_eq!(attempts(&receiver.all(), "0.ps1"), 2);
    bag.logged(&["a webhook was not delivered", "disabled=true", &id]).await;
    let audit = bag.caller(&["Audit.Read"]).await.get("/api/audit").await.expect_status(200).json();
    let entries = audit["value"].as_array().expect("entries");
    let entry = entries.iter().find(|entry| entry["action"] == "webhook.disable").expect("an entry");
    assert_eq!((&entry["target"], &entry["after"]), (&json!(id), &json!({ "reason": "it answered 500" })));
    let metrics = bag.ops("/metrics").await.text();
    assert!(metrics.lines().any(|line| line == "jumpbag_webhook_failures_total 2"), "{metrics}");
}
