//! Webhooks: signed, in order, each event at least once, whatever happens on the way, and only to where they may go.

mod addresses;
mod failures;
mod nodes;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::client::Answer;
use crate::support::poll::eventually;
use crate::support::receiver::{Received, Receiver};
use crate::support::server::{Jumpbag, Options};

/// A server that may call this machine, and tries again soon.
fn options() -> Options {
    Jumpbag::options()
        .set("rate_limits", false)
        .set("webhook_networks", r#"["127.0.0.0/8", "::1/128"]"#)
        .set("webhook_retry_seconds", 1)
        .set("webhook_timeout_seconds", 1)
}

async fn post(bag: &Jumpbag, body: Value) -> Answer {
    let call = bag.client().await.post("/api/library/webhooks");
    call.with(|request| request.body(body.to_string())).await
}

/// A webhook to this receiver; its id and its secret.
async fn add(bag: &Jumpbag, receiver: &Receiver) -> (String, String) {
    let made = post(bag, json!({ "url": receiver.url() })).await.expect_status(201).json();
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    (text("id"), text("secret"))
}

async fn show(bag: &Jumpbag, id: &str) -> Value {
    bag.client().await.get(&format!("/api/library/webhooks/{id}")).await.expect_status(200).json()
}

/// The webhook, once `wanted` is true of it.
async fn shown(bag: &Jumpbag, id: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(what, async || Some(show(bag, id).await).filter(|webhook| wanted(webhook))).await
}

async fn upload(bag: &Jumpbag, names: impl IntoIterator<Item = String>) {
    for name in names {
        bag.upload(&name, "x").await.expect_status(200);
    }
}

fn names(count: std::ops::Range<usize>) -> Vec<String> {
    count.map(|number| format!("{number}.ps1")).collect()
}

/// The names that were told, each once, in the order in which they came first.
fn told(received: &[Received]) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for request in received {
        let name = request.json()["data"]["fileName"].as_str().expect("a name").to_owned();
        if !told.contains(&name) {
            told.push(name);
        }
    }
    told
}

/// HMAC (RFC 2104) by hand, so that the server is not checked by the library that it uses.
fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

fn assert_signed(request: &Received, secret: &str) {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("the prefix")).expect("base64");
    let (id, at) = (request.header("webhook-id"), request.header("webhook-timestamp"));
    let signature = hmac_sha256(&key, format!("{id}.{at}.{}", request.body).as_bytes());
    assert_eq!(request.header("webhook-signature"), format!("v1,{}", STANDARD.encode(signature)));
    let age = chrono::Utc::now().timestamp() - at.parse::<i64>().expect("seconds");
    assert!((0..60).contains(&age), "{age}");
}

#[tokio::test]
async fn a_delivery_is_signed_and_tells_what_happened() {
    let bag = options().start().await;
    let receiver = Receiver::start().await;
    let (id, secret) = add(&bag, &receiver).await;
    bag.upload("a.ps1", "x").description("ünïcode").await.expect_status(200);
    let received = receiver.count(1).await.remove(0);
    assert_signed(&received, &secret);
    assert_eq!(received.path, "/hook?key=in-the-address");
    assert_eq!(received.header("content-type"), "application/json");
    assert!(received.header("user-agent").starts_with("jumpbag/"));
    assert!(!received.headers.contains_key("authorization"));
    let body = received.json();
    let mut stream = crate::support::stream::Stream::open(&bag, Some(0)).await;
    let event = stream.next().await.expect("an event").data;
    assert_eq!(body, json!({ "type": "uploaded", "timestamp": event["time"], "data": event }));
    assert_eq!(received.header("webhook-id"), format!("{id}-{}", event["number"]));
    let webhook =
        shown(&bag, &id, "it is written down", |webhook| webhook["delivered"] == event["number"]).await;
    assert_eq!((&webhook["state"], &webhook["lastStatus"]), (&json!("active"), &json!(204)));
    assert_eq!((&webhook["failedAttempts"], &webhook["lastError"]), (&json!(0), &Value::Null));
}

#[tokio::test]
async fn a_webhook_is_made_shown_tested_and_removed() {
    let bag = options().start().await;
    let receiver = Receiver::start().await;
    let client = bag.client().await;
    let own = format!("whsec_{}", STANDARD.encode([7; 32]));
    let body = json!({
        "URL": receiver.url(), "events": ["purged", "uploaded", "purged"], "description": "mine", "secret": own
    });
    let answer = post(&bag, body).await.expect_status(201);
    let mut made = answer.json();
    let id = made["id"].as_str().expect("an id").to_owned();
    let location = answer.header("location").expect("where it is").to_owned();
    assert_eq!(location, format!("{}/api/library/webhooks/{id}", bag.url()));
    assert_eq!(made["secret"], own.as_str());
    assert_eq!(made["events"], json!(["uploaded", "purged"]));
    assert_eq!((&made["description"], &made["state"]), (&json!("mine"), &json!("active")));
    assert_eq!(made["createdBy"], "test Library.Manage");

    // The secret is shown only once.
    made.as_object_mut().expect("an object").remove("secret");
    assert_eq!(show(&bag, &id).await, made);
    made.as_object_mut().expect("an object").remove("@odata.context");
    let list = client.get("/API/Library/Webhooks").await.expect_status(200);
    assert_eq!(list.json()["value"], json!([made]));

    let tested = client.post(&format!("/api/library/webhooks/{id}/test")).await.expect_status(200).json();
    assert_eq!((&tested["delivered"], &tested["status"]), (&json!(true), &json!(204)));
    let test = receiver.count(1).await.remove(0);
    assert_signed(&test, &own);
    assert_eq!((&test.json()["type"], &test.json()["data"]), (&json!("test"), &json!({ "webhook": id })));

    // Only the types that were asked for.
    bag.upload("a.ps1", "x").await.expect_status(200);
    bag.delete("a.ps1").await.expect_status(204);
    bag.upload("b.ps1", "x").await.expect_status(200);
    let types: Vec<_> =
        receiver.count(3).await[1..].iter().map(|request| request.json()["type"].clone()).collect();
    assert_eq!(types, ["uploaded", "uploaded"]);

    let path = format!("/api/library/webhooks/{id}");
    client.delete(&path).await.expect_status(204);
    for call in [client.get(&path), client.delete(&path), client.post(&format!("{path}/test"))] {
        assert_eq!(call.await.expect_status(404).error_code(), "ResourceNotFound");
    }
    assert_eq!(client.get("/api/library/webhooks").await.json()["value"], json!([]));
    bag.upload("c.ps1", "x").await.expect_status(200);
    let other = Receiver::start().await;
    add(&bag, &other).await;
    bag.upload("d.ps1", "x").await.expect_status(200);
    assert_eq!(told(&other.count(1).await), ["d.ps1"]);
    assert_eq!(receiver.all().len(), 3);

    // Neither log nor audit log has the secret or the path, which may be one.
    let audit = bag.caller(&["Audit.Read"]).await.get("/api/audit").await.expect_status(200);
    let entries = audit.json()["value"].as_array().expect("entries").clone();
    let origin = format!("http://127.0.0.1:{}", receiver.port());
    let of = |action: &str| {
        let found = entries.iter().find(|entry| entry["action"] == action && entry["target"] == id.as_str());
        found.unwrap_or_else(|| panic!("no `{action}` in {}", audit.text())).clone()
    };
    let recorded = json!({ "origin": origin, "events": ["uploaded", "purged"], "description": "mine" });
    assert_eq!((&of("webhook.add")["after"], &of("webhook.remove")["before"]), (&recorded, &recorded));
    for text in [audit.text(), bag.logs()] {
        assert!(!text.contains(&own) && !text.contains("in-the-address"), "{text}");
    }
}

#[tokio::test]
async fn only_managers_see_webhooks() {
    let bag = options().start().await;
    let id = uuid::Uuid::new_v4();
    for (method, path) in [
        ("GET", "/api/library/webhooks".to_owned()),
        ("POST", "/api/library/webhooks".to_owned()),
        ("GET", format!("/api/library/webhooks/{id}")),
        ("DELETE", format!("/api/library/webhooks/{id}")),
        ("POST", format!("/api/library/webhooks/{id}/test")),
        ("POST", format!("/api/library/webhooks/{id}/enable")),
    ] {
        let method: http::Method = method.parse().expect("a method");
        bag.caller(&["Library.Read"]).await.call(method.clone(), &path).await.expect_status(403);
        bag.anonymous().call(method, &path).await.expect_status(401);
    }
}

#[tokio::test]
async fn what_makes_no_webhook_is_refused_with_the_reason() {
    let bag = options().start().await;
    let url = "http://127.0.0.1:9/";
    for (body, told) in [
        (json!({}), "`url` must be a string"),
        (json!([]), "not a JSON object"),
        (json!({ "url": 7 }), "`url` must be a string"),
        (json!({ "url": url, "urls": [] }), "`urls` is none of url, events, description, secret"),
        (
            json!({ "url": url, "events": "uploaded" }),
            "`events` must be a list of some of uploaded, overridden",
        ),
        (json!({ "url": url, "events": ["Uploaded"] }), "`events` must be a list"),
        (json!({ "url": url, "events": [7] }), "`events` must be a list"),
        (json!({ "url": url, "events": [] }), "`events` is empty"),
        (json!({ "url": url, "description": 1 }), "`description` must be a string"),
        (
            json!({ "url": url, "description": "x".repeat(1025) }),
            "`description` has 1025 bytes: at most 1024",
        ),
        (json!({ "url": url, "description": "\0" }), "U+0000"),
        (json!({ "url": url, "secret": "short" }), "`secret` must be `whsec_`"),
        (json!({ "url": url, "secret": true }), "`secret` must be a string"),
        (json!({ "url": "nonsense" }), "`url` is no address"),
        (json!({ "url": "http://u:p@127.0.0.1/" }), "`url` holds a user name or a password"),
        (json!({ "url": format!("{url}{}", "x".repeat(2048)) }), "`url` has more than 2048 bytes"),
        (json!({ "url": "gopher://127.0.0.1/" }), "`url` begins with `gopher:`"),
        (json!({ "url": "http://10.0.0.1/" }), "`url` leads to 10.0.0.1, which is not a public address"),
        (json!({ "url": "http://8.8.8.8/" }), "`url` begins with `http:`"),
    ] {
        let answer = post(&bag, body).await.expect_status(400);
        assert!(answer.error_message().contains(told), "{}", answer.error_message());
        assert!(!answer.error_message().contains("u:p"), "{}", answer.error_message());
    }
    let client = bag.client().await;
    for id in ["1", "%00", "x", &uuid::Uuid::new_v4().to_string(), &uuid::Uuid::new_v4().simple().to_string()]
    {
        client.get(&format!("/api/library/webhooks/{id}")).await.expect_status(404);
    }
    for _ in 0..32 {
        post(&bag, json!({ "url": url })).await.expect_status(201);
    }
    let answer = post(&bag, json!({ "url": url })).await.expect_status(400);
    assert_eq!(answer.error_message(), "there are 32 webhooks, and there may be no more: remove one first");
}
