//! New secrets, how long old ones stay good, and single ones that are taken away.

use http::Method;
use serde_json::{Value, json};

use super::{ALL, add, add_password, admin, registration, show};
use crate::sign_in::text;
use crate::support::client::Client;
use crate::support::server::{Jumpbag, Registration};

/// A server, who may, and an app that was just made.
async fn begin() -> (Jumpbag, Client, Registration) {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let admin = admin(&bag).await;
    let made = add(&admin, json!({ "displayName": "SOAR", "permissions": ["Library.Read"] })).await;
    let app = registration(&made.expect_status(201).json());
    (bag, admin, app)
}

/// The same app with the new secret.
async fn rotated(admin: &Client, app: &Registration, body: Value) -> Registration {
    let answer = add_password(admin, &app.client_id, body).await.expect_status(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let made = answer.json();
    // What was shown is in the list, but for the secret.
    let credentials = show(admin, &app.client_id).await["passwordCredentials"].clone();
    let newest = credentials.as_array().expect("secrets").last().expect("one").clone();
    for name in ["keyId", "startDateTime", "endDateTime"] {
        assert_eq!(made[name], newest[name], "{name}");
    }
    Registration {
        tenant: app.tenant.clone(),
        client_id: app.client_id.clone(),
        client_secret: text(&made, "secretText").to_owned(),
    }
}

async fn remove(admin: &Client, app: &Registration, key: &str) -> u16 {
    let path = format!("/api/applications/{}/removePassword", app.client_id);
    admin.json(Method::POST, &path, &json!({ "keyId": key })).await.status
}

#[tokio::test]
async fn old_secrets_stay_good_as_long_as_is_said() {
    let (bag, admin, first) = begin().await;
    let second = rotated(&admin, &first, json!({})).await;
    for good in [&first, &second] {
        bag.request_token(good).await.expect_status(200);
    }
    let third = rotated(&admin, &first, json!({ "KeepOldHours": 1 })).await;
    for good in [&first, &second, &third] {
        bag.request_token(good).await.expect_status(200);
    }
    let ends: Vec<_> = show(&admin, &first.client_id).await["passwordCredentials"]
        .as_array()
        .expect("secrets")
        .iter()
        .map(|secret| secret["endDateTime"].is_string())
        .collect();
    assert_eq!(ends, [true, true, false]);
    let fourth = rotated(&admin, &first, json!({ "keepOldHours": 0 })).await;
    bag.request_token(&fourth).await.expect_status(200);
    for ended in [&first, &second, &third] {
        bag.request_token(ended).await.expect_status(401);
    }
    // No body is none of its members.
    let path = format!("/api/applications/{}/addpassword", first.client_id);
    admin.post(&path).await.expect_status(200);
    bag.request_token(&fourth).await.expect_status(200);
}

#[tokio::test]
async fn one_secret_is_taken_away_and_the_others_stay() {
    let (bag, admin, first) = begin().await;
    let second = rotated(&admin, &first, json!({})).await;
    let app = show(&admin, &first.client_id).await;
    let key = text(&app["passwordCredentials"][0], "keyId").to_owned();
    assert!(uuid::Uuid::parse_str(&key).is_ok(), "{key}");
    // Whoever may not do all that an app may can still take from it.
    let other = bag.caller(&[ALL]).await;
    assert_eq!(remove(&other, &first, &key).await, 204);
    bag.request_token(&first).await.expect_status(401);
    bag.request_token(&second).await.expect_status(200);
    assert_eq!(remove(&admin, &first, &key).await, 404);
    assert_eq!(remove(&admin, &first, "\0").await, 404);
}

#[tokio::test]
async fn an_app_has_at_most_sixteen_secrets_and_those_that_ended_make_room() {
    let (_bag, admin, app) = begin().await;
    for _ in 1..16 {
        rotated(&admin, &app, json!({})).await;
    }
    let refused = add_password(&admin, &app.client_id, json!({})).await.expect_status(400);
    assert!(refused.error_message().contains("has 16 secrets"), "{}", refused.text());
    rotated(&admin, &app, json!({ "keepOldHours": 0 })).await;
    assert_eq!(show(&admin, &app.client_id).await["passwordCredentials"].as_array().map(Vec::len), Some(1));
}
