//! The whole story of a file, wherever it is kept.

use base64::Engine as _;
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{assert_refused, deleted, purge, somebody_else, text, versions};
use crate::conformance_catalog::sha256;
use crate::support::client::{Answer, Client};
use crate::support::kept::everywhere;
use crate::support::server::Jumpbag;

const FIRST: &str = "Get-Process\nGet-Date\n";
const SECOND: &str = "Get-Process\nGet-Service\nGet-Date";

#[tokio::test]
async fn a_file_from_upload_to_purge() {
    for kept in everywhere().await {
        let bag = kept.options.clone().start().await;
        eprintln!("kept in {}", kept.on);
        let client = bag.client().await;
        let first = two_versions(&bag, &client).await;
        compared(&client).await;
        restored(&client, &first).await;
        let id = text(&first["id"]).to_owned();
        deleted_and_back(&client, &first, &id).await;
        downloaded(&client).await;
        purged(&client, &id).await;
    }
}

/// An upload and somebody else's override; gives the file as it was uploaded.
async fn two_versions(bag: &Jumpbag, client: &Client) -> Value {
    let upload = client.upload("triage.ps1", FIRST).description("First").field("Tags", "triage");
    let first = upload.await.expect_status(200);
    assert_eq!(first.etag(), format!("\"{}-1\"", text(&first.json()["id"])));
    let first = first.json();
    let (other, other_id) = somebody_else(bag).await;
    let upload = other.upload("Triage.PS1", SECOND).description("With services").override_if_exists();
    let second = upload.await.expect_status(200).json();
    assert_eq!(second["tags"], json!(["triage"]), "an override leaves tags as they are");

    let listed = versions(client, "TRIAGE.ps1").await;
    let [newest, oldest] = listed.as_slice() else { panic!("two versions: {listed:?}") };
    for (version, wanted) in [
        (
            newest,
            json!([2, "Triage.PS1", "overridden", "current", "With services", "somebody else", SECOND.len()]),
        ),
        (
            oldest,
            json!([1, "triage.ps1", "uploaded", "replaced", "First", "test Library.Manage", FIRST.len()]),
        ),
    ] {
        let names = ["version", "fileName", "cause", "state", "description", "createdBy", "size"];
        assert_eq!(json!(names.map(|name| &version[name])), wanted);
    }
    assert_eq!(newest["changed"], json!(["fileName", "sha256", "description"]));
    assert_eq!(oldest["changed"], json!([]));
    assert_eq!(newest["createdById"], other_id);
    assert_ne!(oldest["createdById"], other_id);
    assert_eq!(newest["endedTime"], Value::Null);
    assert_eq!(oldest["endedTime"], newest["creationTime"], "one ends when the next begins");
    assert_eq!(newest["creationTime"], second["lastUpdatedTime"]);
    assert_eq!(oldest["creationTime"], first["creationTime"]);
    for version in &listed {
        let path = format!("/api/libraryfiles/triage.ps1/versions/{}", version["version"]);
        let mut one = client.get(&path).await.expect_status(200).json();
        let context = one.as_object_mut().and_then(|one| one.remove("@odata.context"));
        assert!(text(&context.expect("a context")).ends_with("/api/$metadata#LibraryFileVersions/$entity"));
        assert_eq!(&one, version, "a version is the same alone and in the list");
    }
    first
}

async fn compared(client: &Client) {
    let path = "/api/libraryfiles/triage.ps1/versions/1/diff/2";
    let diff = client.get(path).await.expect_status(200).json();
    assert_eq!((&diff["identical"], &diff["binary"]), (&json!(false), &json!(false)));
    for (side, version, bytes) in [("from", 1, FIRST), ("to", 2, SECOND)] {
        let wanted = json!({ "version": version, "sha256": sha256(bytes.as_bytes()),
                             "size": bytes.len(), "encoding": "utf-8" });
        assert_eq!(diff[side], wanted);
    }
    let line = |kind: &str, text: &str| json!({ "kind": kind, "text": text });
    let mut last = line("added", "Get-Date");
    last["noLineFeed"] = json!(true);
    let hunk = json!({ "fromStart": 1, "fromLines": 2, "toStart": 1, "toLines": 3, "lines": [
        line("context", "Get-Process"), line("removed", "Get-Date"), line("added", "Get-Service"), last,
    ] });
    assert_eq!(diff["hunks"], json!([hunk]));
    let unified = client.get(path).with(|request| request.header("accept", "text/x-diff")).await;
    let unified = unified.expect_status(200);
    assert_eq!(unified.header("content-type"), Some("text/x-diff; charset=utf-8"));
    let wanted = [
        "--- triage.ps1\tversion 1",
        "+++ triage.ps1\tversion 2",
        "@@ -1,2 +1,3 @@",
        " Get-Process",
        "-Get-Date",
        "+Get-Service",
        "+Get-Date",
        "\\ No newline at end of file",
        "",
    ];
    assert_eq!(unified.text(), wanted.join("\n"));
    let same = client.get("/api/libraryfiles/triage.ps1/versions/2/diff/2").await.expect_status(200).json();
    assert_eq!((&same["identical"], &same["hunks"]), (&json!(true), &json!([])));
}

async fn restored(client: &Client, first: &Value) {
    let answer = client.post("/api/libraryfiles/triage.ps1/versions/1/restore").await.expect_status(200);
    let restored = answer.json();
    for (property, was) in first.as_object().expect("an entity") {
        match property.as_str() {
            "version" => assert_eq!(restored[property], 3),
            "lastUpdatedTime" => assert_ne!(restored[property], *was),
            "@odata.context" => {}
            _ => assert_eq!(restored[property], *was, "{property} is that of the version that was restored"),
        }
    }
    let shown = client.get("/api/libraryfiles/triage.ps1").await.expect_status(200);
    assert_eq!((shown.json(), shown.etag()), (restored, answer.etag()));
    let newest = &versions(client, "triage.ps1").await[0];
    assert_eq!((&newest["cause"], &newest["state"]), (&json!("restored"), &json!("current")));
    assert_eq!(newest["changed"], json!(["fileName", "sha256", "description"]));
}

async fn deleted_and_back(client: &Client, first: &Value, id: &str) {
    client.delete("/api/libraryfiles/triage.ps1").await.expect_status(204);
    for path in ["", "/versions", "/versions/1", "/content", "/versions/1/content", "/versions/1/diff/2"] {
        let answer = client.get(&format!("/api/libraryfiles/triage.ps1{path}")).await;
        assert_refused(path, &answer, 404, "ResourceNotFound", "Library file triage.ps1 was not found");
    }
    let listed = deleted(client).await;
    let [one] = listed.as_slice() else { panic!("one deleted file: {listed:?}") };
    for (property, value) in [
        ("id", json!(id)),
        ("fileName", json!("triage.ps1")),
        ("sha256", first["sha256"].clone()),
        ("size", json!(FIRST.len())),
        ("version", json!(3)),
        ("deletedBy", json!("test Library.Manage")),
        ("legalHold", json!(false)),
        ("legalHoldReason", Value::Null),
    ] {
        assert_eq!(one[property], value, "{property}");
    }
    let time = |value: &Value| text(value).parse::<chrono::DateTime<chrono::Utc>>().expect("a time");
    let kept_for = time(&one["expirationTime"]) - time(&one["deletedTime"]);
    assert_eq!(kept_for, chrono::Duration::days(30));
    let mut shown = client.get(&format!("/api/deletedlibraryfiles/{id}")).await.expect_status(200).json();
    shown.as_object_mut().and_then(|shown| shown.remove("@odata.context")).expect("a context");
    assert_eq!(&shown, one);

    still_readable(client, id).await;
    let back = client.post(&format!("/api/deletedlibraryfiles/{id}/restore")).await.expect_status(200);
    assert_eq!(back.etag(), format!("\"{id}-4\""));
    let back = back.json();
    for kept in ["id", "fileName", "sha256", "description", "creationTime", "createdBy", "tags"] {
        assert_eq!(back[kept], first[kept], "{kept}");
    }
    assert!(deleted(client).await.is_empty());
    let listed = versions(client, "triage.ps1").await;
    let told: Vec<_> = listed.iter().map(|one| [&one["version"], &one["cause"], &one["state"]]).collect();
    let wanted = json!([
        [4, "restored", "current"],
        [3, "restored", "deleted"],
        [2, "overridden", "replaced"],
        [1, "uploaded", "replaced"],
    ]);
    assert_eq!(json!(told), wanted);
    assert_eq!(listed[0]["changed"], json!([]));
    assert_eq!(listed[1]["endedTime"], one["deletedTime"]);
}

/// What is deleted can be read by its id for as long as it is kept.
async fn still_readable(client: &Client, id: &str) {
    let gone = format!("/api/deletedlibraryfiles/{id}/versions");
    let listed = client.get(&gone).await.expect_status(200).value();
    let told: Vec<_> = listed.iter().map(|one| [&one["version"], &one["state"]]).collect();
    assert_eq!(json!(told), json!([[3, "deleted"], [2, "replaced"], [1, "replaced"]]));
    for (version, bytes) in [(1, FIRST), (2, SECOND), (3, FIRST)] {
        let content = client.get(&format!("{gone}/{version}/content")).await.expect_status(200);
        assert_eq!(content.text(), bytes);
        assert_eq!(content.etag(), format!("\"{}\"", sha256(bytes.as_bytes())));
    }
    let message = "version 4 of Library file triage.ps1 was not found: its newest is 3";
    let answer = client.get(&format!("{gone}/4/content")).await;
    assert_refused("no version", &answer, 404, "ResourceNotFound", message);
}

async fn downloaded(client: &Client) {
    let digest = |answer: &Answer| {
        let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(&answer.body));
        assert_eq!(answer.header("repr-digest"), Some(format!("sha-256=:{digest}:").as_str()));
        sha256(&answer.body)
    };
    for (version, bytes) in [(1, FIRST), (2, SECOND), (3, FIRST), (4, FIRST)] {
        let path = format!("/api/libraryfiles/triage.ps1/versions/{version}");
        let told = client.get(&path).await.expect_status(200).json();
        let content = client.get(&format!("{path}/content")).await.expect_status(200);
        assert_eq!(content.text(), bytes, "version {version}");
        assert_eq!(told["sha256"], digest(&content), "version {version}");
    }
    let current = client.get("/api/libraryfiles/triage.ps1/content").await.expect_status(200);
    assert_eq!(current.text(), FIRST);
}

async fn purged(client: &Client, id: &str) {
    client.delete("/api/libraryfiles/triage.ps1").await.expect_status(204);
    let one = format!("/api/deletedlibraryfiles/{id}");
    purge(client, id).await.expect_status(204);
    let gone =
        format!("no deleted file has the id {id}: it lives, was purged, or its retention time has passed");
    for (what, answer) in [
        ("show", client.get(&one).await),
        ("restore", client.post(&format!("{one}/restore")).await),
        ("purge again", purge(client, id).await),
        ("versions", client.get(&format!("{one}/versions")).await),
        ("content", client.get(&format!("{one}/versions/1/content")).await),
        ("hold", super::hold(client, &one, true, "too late").await),
    ] {
        assert_refused(what, &answer, 404, "ResourceNotFound", &gone);
    }
    assert!(deleted(client).await.is_empty());
    let usage = client.get("/api/library/usage").await.expect_status(200).json();
    assert_eq!([&usage["files"], &usage["bytes"], &usage["versions"]], [0, 0, 0]);
    // The name is free, and who takes it is another file.
    let again = client.upload("TRIAGE.ps1", "new").await.expect_status(200).json();
    assert_eq!(again["version"], 1);
    assert_ne!(again["id"], id);
    assert_eq!(super::numbers(client, "triage.ps1").await, [1]);
    client.call(Method::HEAD, "/api/libraryfiles/triage.ps1/versions").await.expect_status(200);
}
