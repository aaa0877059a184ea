//! Nobody hands out more than they have, and what cannot be is refused with what would be right.

use http::Method;
use serde_json::{Value, json};

use super::{ALL, PATH, add, add_password, admin, change, registration, show, signed_in};
use crate::sign_in::{House, text, users};
use crate::support::client::{Answer, Client};
use crate::support::poll::eventually;
use crate::support::server::Jumpbag;

fn assert_forbidden(answer: &Answer, lacking: &str) {
    assert_eq!((answer.status, answer.error_code().as_str()), (403, "Forbidden"), "{}", answer.text());
    let message = answer.error_message();
    assert!(message.starts_with(&format!("missing {lacking}: ")), "{message}");
}

async fn unlimited() -> Jumpbag {
    Jumpbag::options().set("rate_limits", false).start().await
}

#[tokio::test]
async fn nobody_hands_out_more_than_they_have() {
    let bag = unlimited().await;
    let some = bag.caller(&[ALL, "Library.Read", "Machine.ReadWrite"]).await;
    let give = async |permissions: Value| {
        add(&some, json!({ "displayName": "x", "permissions": permissions })).await
    };
    give(json!([ALL, "Library.Read", "Machine.Read.All", "Machine.ReadWrite.All", "Machine.Read"]))
        .await
        .expect_status(201);
    for (wanted, lacking) in [
        (json!(["Library.Manage"]), "`Library.Manage`"),
        (json!(["Library.Read", "Audit.Read", "Library.Manage"]), "`Audit.Read`, `Library.Manage`"),
        (json!(["Machine.LiveResponse"]), "`Machine.LiveResponse`"),
    ] {
        assert_forbidden(&give(wanted).await, lacking);
    }
    let manage = bag.caller(&[ALL, "Library.Manage"]).await;
    add(&manage, json!({ "displayName": "x", "permissions": ["Library.Read"] })).await.expect_status(201);
    assert_eq!(give(json!(["Library.Read"])).await.status, 201);
}

/// With another's secret, or at its address, one would be that other.
#[tokio::test]
async fn nobody_changes_an_app_that_may_do_more() {
    let bag = unlimited().await;
    let admin = admin(&bag).await;
    let body = json!({ "displayName": "SOAR", "permissions": ["Library.Manage"], "appId": "soar" });
    add(&admin, body).await.expect_status(201);
    let before = show(&admin, "soar").await;
    let some = bag.caller(&[ALL, "Library.Read"]).await;
    assert_forbidden(&add_password(&some, "soar", json!({})).await, "`Library.Manage`");
    for body in [
        json!({ "redirectUris": ["https://evil.example/"] }),
        json!({ "displayName": "Mine" }),
        json!({ "permissions": ["Library.Read"] }),
        json!({ "expirationDateTime": null }),
    ] {
        assert_forbidden(&change(&some, "soar", body).await, "`Library.Manage`");
    }
    assert_eq!(show(&admin, "soar").await, before);
    some.delete("/api/applications/soar").await.expect_status(204);
}

#[tokio::test]
async fn an_app_does_not_widen_itself() {
    let bag = unlimited().await;
    let admin = admin(&bag).await;
    let body = json!({ "displayName": "x", "permissions": [ALL], "appId": "self" });
    let app = registration(&add(&admin, body).await.expect_status(201).json());
    let own = signed_in(&bag, &app).await;
    let wider = change(&own, "self", json!({ "permissions": [ALL, "Library.Read"] })).await;
    assert_forbidden(&wider, "`Library.Read`");
    let other = add(&own, json!({ "displayName": "x", "permissions": ["Library.Read"] })).await;
    assert_forbidden(&other, "`Library.Read`");
    // Wider by the word of another, it may hand that on only with a token that says so.
    change(&admin, "self", json!({ "permissions": [ALL, "Library.Read"] })).await.expect_status(200);
    assert_forbidden(&add_password(&own, "self", json!({})).await, "`Library.Read`");
    let own = signed_in(&bag, &app).await;
    eventually("what it may do now is known", async || {
        let answer = add_password(&own, "self", json!({})).await;
        (answer.status == 200).then_some(())
    })
    .await;
    // It may do less, and is out of this then.
    change(&own, "self", json!({ "permissions": ["Library.Read"] })).await.expect_status(200);
    assert_eq!(super::refused_soon(&own, PATH).await, 403);
}

/// A user's app has no more than the app may do, whatever the user may.
#[tokio::test]
async fn a_user_hands_out_what_the_app_in_between_may_do() {
    let house = House::on(unlimited().await).await;
    let ada = "ada@contoso.example";
    users(&house.bag, &["permissions", ada, "--permission", ALL, "--permission", "Library.Manage"]).await;
    let without = house.caller(&house.tokens().await);
    let refused = without.get(PATH).await.expect_status(403);
    assert_eq!(
        refused.error_message(),
        "Missing delegated scopes. API required scopes: Application.ReadWrite.All, delegated scopes: Library.Manage."
    );
    let narrowed = ["clients", "change", &house.app, "--permission", ALL, "--permission", "Library.Read"];
    let (status, _, stderr) = house.bag.command(&narrowed).await;
    assert!(status.success(), "{stderr}");
    let through = house.caller(&house.tokens().await);
    eventually("what the app may do now is known", async || {
        (through.get(PATH).await.status == 200).then_some(())
    })
    .await;
    let wide = add(&through, json!({ "displayName": "x", "permissions": ["Library.Manage"] })).await;
    assert_forbidden(&wide, "`Library.Manage`");
    add(&through, json!({ "displayName": "x", "permissions": [ALL] })).await.expect_status(201);
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_what_would_be_right() {
    let bag = unlimited().await;
    let admin = admin(&bag).await;
    add(&admin, json!({ "displayName": "x", "permissions": ["Library.Read"], "appId": "taken" }))
        .await
        .expect_status(201);
    let with = |more: Value| {
        let mut body = json!({ "displayName": "x", "permissions": ["Library.Read"] });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    for (body, said) in [
        (json!({ "permissions": ["Library.Read"] }), "`displayName` must be a string"),
        (with(json!({ "displayName": "" })), "1 to 256 bytes without control characters"),
        (with(json!({ "displayName": "a\nb" })), "name `a\\nb`: expected 1 to 256 bytes"),
        (with(json!({ "displayName": "x".repeat(257) })), "1 to 256 bytes"),
        (json!({ "displayName": "x" }), "`permissions` must be a list"),
        (with(json!({ "permissions": [] })), "one permission or more"),
        (with(json!({ "permissions": "Library.Read" })), "`permissions` must be a list of strings"),
        (
            with(json!({ "permissions": ["library.read"] })),
            "permission `library.read`: expected one of Library.Manage",
        ),
        (with(json!({ "appId": "taken" })), "client `taken` exists or existed: take another id"),
        (with(json!({ "appId": "a b" })), "id `a b`: expected 1 to 128 letters"),
        (with(json!({ "appId": "." })), "id `.`: expected 1 to 128 letters"),
        (with(json!({ "appId": ".." })), "but not `.` or `..` alone"),
        (with(json!({ "appId": "JUMPBAG-cli" })), "the command line's"),
        (with(json!({ "expirationDateTime": "2001-01-01" })), "expected a time to come"),
        (with(json!({ "expirationDateTime": "+10000-01-01" })), "a time to come, up to the year 9999"),
        (with(json!({ "expirationDateTime": "9999-12-31T23:59:59-00:01" })), "up to the year 9999"),
        (with(json!({ "isPublic": "yes" })), "`isPublic` must be true or false"),
        (with(json!({ "redirectUris": ["http://app.example/"] })), "expected https"),
        (with(json!({ "redirectUris": ["javascript:alert(1)"] })), "expected https"),
        (with(json!({ "certificate": "x" })), "certificate: no PEM certificate was found"),
        (with(json!({ "secretText": "0123456789abcdef" })), "`secretText` is none of displayName"),
    ] {
        let answer = add(&admin, body.clone()).await.expect_status(400);
        assert!(answer.error_message().contains(said), "{body}: {}", answer.error_message());
    }
    for (body, said) in [
        (json!({}), "nothing to change"),
        (json!({ "appId": "other" }), "`appId` is none of displayName"),
        (json!({ "isPublic": true }), "`isPublic` is none of"),
        (json!({ "displayName": " " }), "1 to 256 bytes"),
        (json!({ "redirectUris": ["https://app.example/#x"] }), "without user, password and `#`"),
        (json!({ "permissions": ["All"] }), "expected one of"),
        (json!({ "expirationDateTime": "+262142-12-31" }), "up to the year 9999"),
    ] {
        let answer = change(&admin, "taken", body.clone()).await.expect_status(400);
        assert!(answer.error_message().contains(said), "{body}: {}", answer.error_message());
    }
    let last = json!({ "expirationDateTime": "9999-12-31T23:59:59.999999Z" });
    let changed = change(&admin, "taken", last.clone()).await.expect_status(200).json();
    assert_eq!(changed["expirationDateTime"], last["expirationDateTime"]);
    // Other names with dots are no places.
    add(&admin, with(json!({ "appId": "..." }))).await.expect_status(201);
    assert_eq!(text(&show(&admin, "...").await, "appId"), "...");
    for hours in [json!(-1), json!(8761), json!("1"), json!(1.5)] {
        let answer = add_password(&admin, "taken", json!({ "keepOldHours": hours })).await.expect_status(400);
        assert!(answer.error_message().contains("from 0 to 8760"), "{}", answer.error_message());
    }
    let body =
        json!({ "displayName": "x", "permissions": ["Library.Read"], "appId": "page", "isPublic": true });
    add(&admin, body).await.expect_status(201);
    let answer = add_password(&admin, "page", json!({})).await.expect_status(400);
    assert_eq!(answer.error_message(), "a public client has neither secret nor certificate");
}

#[tokio::test]
async fn without_the_permission_nothing_is_seen_or_changed_and_unknown_ids_are_not_found() {
    let bag = unlimited().await;
    let admin = admin(&bag).await;
    let body = json!({ "displayName": "x", "permissions": ["Library.Read"], "appId": "App" });
    add(&admin, body).await.expect_status(201);
    let calls = async |client: &Client, id: &str| {
        let path = format!("{PATH}/{id}");
        let one = json!({ "displayName": "y" });
        let key = json!({ "keyId": "x" });
        [
            client.get(&path).await,
            client.json(Method::PATCH, &path, &one).await,
            client.json(Method::POST, &format!("{path}/addPassword"), &json!({})).await,
            client.json(Method::POST, &format!("{path}/removePassword"), &key).await,
            client.delete(&path).await,
        ]
    };
    let others =
        bag.caller(&["Library.Manage", "Audit.Read", "Machine.ReadWrite.All", "Machine.LiveResponse"]).await;
    let mut refused = calls(&others, "App").await.to_vec();
    refused.push(others.get(PATH).await);
    refused.push(add(&others, json!({ "displayName": "x", "permissions": ["Library.Read"] })).await);
    for answer in refused {
        assert_eq!(answer.status, 403, "{}", answer.text());
        let message = answer.error_message();
        assert!(
            message.starts_with("Missing application roles. API required roles: Application.ReadWrite.All")
        );
    }
    // Ids are compared letter for letter, and may be anything in a path.
    for unknown in ["app", "a%00b", "%FF", "nobody"] {
        for answer in calls(&admin, unknown).await {
            assert_eq!((answer.status, answer.error_code().as_str()), (404, "ResourceNotFound"), "{unknown}");
        }
    }
    assert_eq!(text(&show(&admin, "App").await, "displayName"), "x");
}
