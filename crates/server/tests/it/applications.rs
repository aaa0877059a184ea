//! App registrations over the API: their whole life, their secrets, and what the audit log says of them.

mod certificates;
mod command;
mod refusals;
mod secrets;

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::sign_in::text;
use crate::support::client::{Answer, Client};
use crate::support::poll::eventually_within;
use crate::support::postgres::postgres_database;
use crate::support::server::{Jumpbag, Registration};

const ALL: &str = "Application.ReadWrite.All";
const PATH: &str = "/api/applications";

async fn admin(bag: &Jumpbag) -> Client {
    bag.caller(&[ALL, "Library.Manage"]).await
}

async fn add(client: &Client, body: Value) -> Answer {
    client.json(Method::POST, PATH, &body).await
}

async fn change(client: &Client, id: &str, body: Value) -> Answer {
    client.json(Method::PATCH, &format!("{PATH}/{id}"), &body).await
}

async fn add_password(client: &Client, id: &str, body: Value) -> Answer {
    client.json(Method::POST, &format!("{PATH}/{id}/addPassword"), &body).await
}

async fn show(client: &Client, id: &str) -> Value {
    client.get(&format!("{PATH}/{id}")).await.expect_status(200).json()
}

/// What an app needs to get tokens, from the answer that made it.
fn registration(made: &Value) -> Registration {
    Registration {
        tenant: text(made, "tenantId").into(),
        client_id: text(made, "appId").into(),
        client_secret: text(made, "secretText").into(),
    }
}

async fn signed_in(bag: &Jumpbag, app: &Registration) -> Client {
    let answer = bag.request_token(app).await.expect_status(200);
    bag.anonymous().with_token(text(&answer.json(), "access_token"))
}

/// The status, once it is another than 200: within the second for which a server believes what it read, and one to spare.
async fn refused_soon(client: &Client, path: &str) -> u16 {
    eventually_within(Duration::from_secs(2), "it is refused", async || {
        let status = client.get(path).await.status;
        (status != 200).then_some(status)
    })
    .await
}

#[tokio::test]
async fn an_app_comes_changes_and_goes_with_its_tokens() {
    let database = postgres_database().await;
    let on_postgres = Jumpbag::options().set("database_url", &database.url);
    for options in [Jumpbag::options(), on_postgres] {
        let bag = options.set("rate_limits", false).start().await;
        let admin = admin(&bag).await;
        let answer = add(&admin, json!({ "displayName": "SOAR", "permissions": ["Library.Manage"] })).await;
        let mut made = answer.expect_status(201).json();
        let app = registration(&made);
        let path = format!("{PATH}/{}", app.client_id);
        let client = signed_in(&bag, &app).await;
        let uploaded = client.upload("a.ps1", "x").await.expect_status(200).json();
        assert_eq!(uploaded["createdBy"], "SOAR");

        // The secret is shown only once.
        made.as_object_mut().expect("an object").remove("secretText");
        assert_eq!(show(&admin, &app.client_id).await, made);
        made.as_object_mut().expect("an object").remove("@odata.context");
        let list = admin.get("/API/Applications").await.expect_status(200);
        assert!(list.value().contains(&made), "{}", list.text());

        // What is taken away counts no more, for a token that is there already.
        let body = json!({ "displayName": "Reader", "permissions": ["Library.Read"] });
        let changed = change(&admin, &app.client_id, body).await.expect_status(200).json();
        let told = (&changed["displayName"], &changed["permissions"], &changed["passwordCredentials"]);
        assert_eq!(told, (&json!("Reader"), &json!(["Library.Read"]), &made["passwordCredentials"]));
        assert_eq!(refused_soon(&client, "/api/libraryfiles").await, 403);
        let client = signed_in(&bag, &app).await;
        client.get("/api/libraryfiles").await.expect_status(200);
        client.upload("b.ps1", "x").await.expect_status(403);

        admin.delete(&path).await.expect_status(204);
        assert_eq!(refused_soon(&client, "/api/libraryfiles").await, 401);
        bag.request_token(&app).await.expect_status(400);
        for gone in [admin.get(&path), admin.delete(&path)] {
            let answer = gone.await.expect_status(404);
            assert_eq!(answer.error_message(), format!("client `{}` was not found", app.client_id));
        }
        let again = json!({ "displayName": "x", "permissions": ["Library.Read"], "appId": app.client_id });
        let answer = add(&admin, again).await.expect_status(400);
        assert!(answer.error_message().contains("exists or existed"), "{}", answer.text());
    }
}

#[tokio::test]
async fn an_app_is_registered_with_all_that_can_be_said_of_it() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let admin = admin(&bag).await;
    let answer = add(
        &admin,
        json!({
            "DisplayName": "Page", "permissions": ["Library.Read", "Library.Manage", "Library.Read"], "appId": "Page.1",
            "expirationDateTime": "2999-01-31", "isPublic": true,
            "redirectUris": ["https://app.example/b", "https://app.example/a"],
        }),
    );
    let answer = answer.await.expect_status(201);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("location"), Some(format!("{}{PATH}/Page.1", bag.url()).as_str()));
    let made = answer.json();
    let created = text(&made, "createdDateTime");
    assert_eq!(
        made,
        json!({
            "@odata.context": format!("{}/api/$metadata#Applications/$entity", bag.url()),
            "appId": "Page.1", "tenantId": made["tenantId"], "displayName": "Page", "createdDateTime": created,
            "expirationDateTime": "2999-01-31T00:00:00Z", "permissions": ["Library.Manage", "Library.Read"],
            "isPublic": true, "redirectUris": ["https://app.example/a", "https://app.example/b"],
            "passwordCredentials": [], "keyCredentials": [], "secretText": null,
        })
    );
    let body = json!({ "redirectUris": ["https://app.example/c"], "expirationDateTime": null });
    let changed = change(&admin, "Page.1", body).await.expect_status(200).json();
    assert_eq!(changed["redirectUris"], json!(["https://app.example/c"]));
    assert_eq!((&changed["expirationDateTime"], &changed["displayName"]), (&Value::Null, &json!("Page")));
    let taken = change(&admin, "Page.1", json!({ "permissions": [] })).await.expect_status(200).json();
    assert_eq!(taken["permissions"], json!([]));

    // With a certificate there is no secret.
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key pair");
    let params = rcgen::CertificateParams::new(vec!["client.example".to_owned()]).expect("a name");
    let pem = params.self_signed(&key).expect("a certificate").pem();
    let body = json!({ "displayName": "C", "permissions": ["Library.Read"], "certificate": pem });
    let made = add(&admin, body).await.expect_status(201).json();
    assert_eq!((&made["secretText"], &made["passwordCredentials"]), (&Value::Null, &json!([])));
    let digest = text(&made["keyCredentials"][0], "customKeyIdentifier");
    assert!(digest.len() == 64 && !made.to_string().contains("CERTIFICATE"), "{made}");
}

#[tokio::test]
async fn the_list_goes_on_behind_a_hundred_apps() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let admin = admin(&bag).await;
    let mut wanted = Vec::new();
    for number in 0..120 {
        let id = format!("app.{number}");
        let body = json!({ "displayName": "x", "permissions": ["Library.Read"], "appId": id });
        add(&admin, body).await.expect_status(201);
        wanted.push(id);
    }
    let first = admin.get(PATH).await.expect_status(200);
    let next = first.next().expect("there is more");
    let second = admin.get(&next).await.expect_status(200);
    assert_eq!((first.value().len(), second.next()), (100, None));
    let both = [first.value(), second.value()].concat();
    let ids: Vec<_> = both.iter().map(|app| text(app, "appId")).collect();
    assert_eq!(ids[ids.len() - 120..], wanted);
    let refused = admin.get(&format!("{PATH}?$skiptoken=x")).await.expect_status(400);
    assert_eq!(refused.error_code(), "ODataError");
}

#[tokio::test]
async fn the_audit_log_tells_of_every_change_and_of_no_secret() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let admin = admin(&bag).await;
    let body = json!({ "displayName": "SOAR", "permissions": ["Library.Manage"], "appId": "soar" });
    let made = add(&admin, body).await.expect_status(201).json();
    let second = add_password(&admin, "soar", json!({ "keepOldHours": 1 })).await.expect_status(200).json();
    let third = add_password(&admin, "soar", json!({})).await.expect_status(200).json();
    let body = json!({ "displayName": "Reader", "permissions": ["Library.Read"], "redirectUris": [] });
    let answer = change(&admin, "soar", body).await.expect_status(200);
    let keys: Vec<_> = answer.json()["passwordCredentials"].as_array().expect("secrets").clone();
    let keys: Vec<_> = keys.iter().map(|key| text(key, "keyId").to_owned()).collect();
    let removal = json!({ "keyId": keys[0] });
    admin.json(Method::POST, "/api/applications/soar/removePassword", &removal).await.expect_status(204);
    admin.delete("/api/applications/soar").await.expect_status(204);

    let reader = bag.caller(&["Audit.Read"]).await;
    let log = reader.get("/api/audit?$filter=target eq 'soar'&$orderby=number").await.expect_status(200);
    let entries = log.value();
    let told = |at: usize| (&entries[at]["action"], &entries[at]["before"], &entries[at]["after"]);
    let was = json!({ "name": "SOAR", "permissions": ["Library.Manage"], "expires": null });
    assert_eq!(told(0), (&json!("client.add"), &Value::Null, &was));
    assert_eq!(told(1).0, "client.rotate");
    assert!(told(1).2["oldSecretsUntil"].is_string(), "{}", log.text());
    assert_eq!(told(2), (&json!("client.rotate"), &Value::Null, &json!({ "oldSecretsUntil": null })));
    assert_eq!(
        told(3),
        (
            &json!("client.change"),
            &json!({ "name": "SOAR", "permissions": ["Library.Manage"], "redirectUris": [] }),
            &json!({ "name": "Reader", "permissions": ["Library.Read"], "redirectUris": [] })
        )
    );
    assert_eq!(
        told(4),
        (&json!("client.change"), &json!({ "secrets": keys }), &json!({ "secrets": keys[1..] }))
    );
    let was = json!({ "name": "Reader", "permissions": ["Library.Read"] });
    assert_eq!(told(5), (&json!("client.remove"), &was, &Value::Null));
    for entry in &entries {
        assert_eq!(entry["actor"], format!("test {ALL} Library.Manage"));
        assert_ne!(entry["address"], Value::Null);
    }
    let list = admin.get(PATH).await.expect_status(200).text();
    for made in [&made, &second, &third] {
        let secret = text(made, "secretText");
        for place in [&log.text(), &list, &bag.logs()] {
            assert!(!place.contains(secret), "{place}");
        }
    }
    let (status, _, stderr) = bag.command(&["audit", "verify"]).await;
    assert!(status.success(), "{stderr}");
}
