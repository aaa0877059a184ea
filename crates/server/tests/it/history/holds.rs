//! Legal holds and retention: what is held is not removed, whoever asks and whatever time has passed.

use http::Method;
use jumpbag_server::app::Stores;
use jumpbag_server::config::{Flags, Layers};
use jumpbag_wire::time::Timestamp;
use serde_json::{Value, json};

use super::{assert_refused, deleted, hold, numbers, purge, text, versions};
use crate::support::client::Client;
use crate::support::kept::everywhere;
use crate::support::poll::eventually;
use crate::support::server::Jumpbag;

/// A file with two versions; its id.
async fn file(client: &Client, name: &str) -> String {
    client.upload(name, format!("one of {name}")).await.expect_status(200);
    let upload = client.upload(name, format!("two of {name}")).override_if_exists();
    text(&upload.await.expect_status(200).json()["id"]).to_owned()
}

async fn held_names(client: &Client) -> Vec<String> {
    let held = client.get("/api/libraryfiles?$filter=legalHold").await.expect_status(200).value();
    held.iter().map(|file| text(&file["fileName"]).to_owned()).collect()
}

#[tokio::test]
async fn a_hold_is_set_seen_and_lifted() {
    for kept in everywhere().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        let id = file(&client, "a.ps1").await;
        file(&client, "b.ps1").await;
        let (living, gone) = ("/api/libraryfiles/a.ps1", format!("/api/deletedlibraryfiles/{id}"));
        let not_held = "Library file a.ps1 is not under a legal hold";
        assert_refused("early", &hold(&client, living, false, "x").await, 400, "InvalidInput", not_held);

        hold(&client, "/api/libraryfiles/A.PS1", true, "case 4711").await.expect_status(204);
        assert_eq!(held_names(&client).await, ["a.ps1"]);
        assert_eq!(numbers(&client, "a.ps1").await, [2, 1], "a hold makes no version");
        // Whatever removes nothing is allowed.
        let patch = json!({ "category": "c" });
        let changed = client.json(Method::PATCH, living, &patch).await.expect_status(200).json();
        assert_eq!(changed["legalHold"], true);
        let replaced = client.upload("a.ps1", "three").override_if_exists().await.expect_status(200).json();
        assert_eq!(replaced["legalHold"], true);
        client.post(&format!("{living}/versions/1/restore")).await.expect_status(200);
        client.delete(living).await.expect_status(204);
        let shown = client.get(&gone).await.expect_status(200).json();
        assert_eq!(
            [&shown["legalHold"], &shown["legalHoldReason"], &shown["expirationTime"]],
            [&json!(true), &json!("case 4711"), &Value::Null]
        );
        // Held again, it has the new reason.
        hold(&client, &gone, true, "  case 4712 ").await.expect_status(204);
        let message =
            "Library file a.ps1 is under a legal hold (case 4712): it can be purged when the hold is lifted";
        assert_refused("held", &purge(&client, &id).await, 400, "InvalidInput", message);
        let usage = client.get("/api/library/usage").await.expect_status(200).json();
        assert_eq!((&usage["heldFiles"], &usage["deletedFiles"]), (&json!(1), &json!(1)));

        let back = client.post(&format!("{gone}/restore")).await.expect_status(200).json();
        assert_eq!(back["legalHold"], true, "a hold outlasts a deletion");
        assert_eq!(numbers(&client, "a.ps1").await, [6, 5, 4, 3, 2, 1]);
        hold(&client, living, false, "case closed").await.expect_status(204);
        assert_eq!(held_names(&client).await, [""; 0]);
        client.delete(living).await.expect_status(204);
        assert_refused("late", &hold(&client, &gone, false, "x").await, 400, "InvalidInput", not_held);
        assert!(client.get(&gone).await.json()["expirationTime"].is_string());
        purge(&client, &id).await.expect_status(204);
        assert!(deleted(&client).await.is_empty());
    }
}

#[tokio::test]
async fn a_sweep_passes_held_files_by() {
    for kept in everywhere().await {
        let bag = kept.options.clone().set("retention_days", 0).start().await;
        let client = bag.client().await;
        let held = file(&client, "held.ps1").await;
        hold(&client, "/api/libraryfiles/held.ps1", true, "case 7").await.expect_status(204);
        let later = file(&client, "held-later.ps1").await;
        let free = file(&client, "free.ps1").await;
        for name in ["held.ps1", "held-later.ps1", "free.ps1"] {
            client.delete(&format!("/api/libraryfiles/{name}")).await.expect_status(204);
        }
        hold(&client, &format!("/api/deletedlibraryfiles/{later}"), true, "case 8").await.expect_status(204);
        // The sweep that comes with a start takes what it may in one go.
        bag.restart().await;
        let client = bag.client().await;
        let is_gone =
            async |id: &str| client.get(&format!("/api/deletedlibraryfiles/{id}")).await.status == 404;
        eventually("the file that nobody holds is swept", async || is_gone(&free).await.then_some(())).await;
        assert!(!is_gone(&held).await && !is_gone(&later).await, "on {}", kept.on);
        client.post(&format!("/api/deletedlibraryfiles/{held}/restore")).await.expect_status(200);
        assert_eq!(numbers(&client, "held.ps1").await, [3, 2, 1]);
        for (version, content) in [(1, "one of held.ps1"), (2, "two of held.ps1"), (3, "two of held.ps1")] {
            let path = format!("/api/libraryfiles/held.ps1/versions/{version}/content");
            assert_eq!(client.get(&path).await.expect_status(200).text(), content);
        }
        // Let go, it goes with the next sweep.
        hold(&client, &format!("/api/deletedlibraryfiles/{later}"), false, "closed").await.expect_status(204);
        bag.restart().await;
        let client = bag.client().await;
        eventually("what is held no more is swept", async || {
            (client.get(&format!("/api/deletedlibraryfiles/{later}")).await.status == 404).then_some(())
        })
        .await;
        assert_eq!(numbers(&client, "held.ps1").await, [3, 2, 1], "what lives is kept");
    }
}

/// A sweep at another time than now, while no server runs.
async fn sweep_in(bag: &Jumpbag, days: i64) {
    let flag = |key: &str, value: String| (format!("--{key}"), key.to_owned(), value);
    let settings = vec![
        flag("data_dir", bag.data_dir().display().to_string()),
        flag("replaced_retention_days", "1".into()),
    ];
    let settings = Layers::gather(&Flags { config: None, settings }, std::iter::empty()).settings();
    let settings = settings.expect("good settings");
    let stores = Stores::open(&settings).await.expect("the server's database");
    let now = Timestamp::now().plus_secs(days * 24 * 3600);
    stores.library(&settings).sweep(now).await.expect("a sweep");
}

#[tokio::test]
async fn replaced_versions_go_by_their_own_time_unless_they_are_held() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let client = bag.client().await;
    for name in ["held.ps1", "free.ps1"] {
        file(&client, name).await;
        client.upload(name, "three").override_if_exists().await.expect_status(200);
    }
    hold(&client, "/api/libraryfiles/held.ps1", true, "case 7").await.expect_status(204);
    assert!(bag.stop().await.success());
    sweep_in(&bag, 2).await;
    bag.restart().await;
    let client = bag.client().await;
    assert_eq!(numbers(&client, "held.ps1").await, [3, 2, 1]);
    let [kept] = &versions(&client, "free.ps1").await[..] else { panic!("one version") };
    assert_eq!((&kept["version"], &kept["state"]), (&json!(3), &json!("current")));
    assert_eq!(kept["changed"], json!([]), "what it differed from is not kept any more");
    let message = "version 1 of Library file free.ps1 was not found: its newest is 3";
    for path in ["versions/1", "versions/1/content", "versions/1/diff/3", "versions/3/diff/1"] {
        let answer = client.get(&format!("/api/libraryfiles/free.ps1/{path}")).await;
        assert_refused(path, &answer, 404, "ResourceNotFound", message);
    }
    let restore = client.post("/api/libraryfiles/free.ps1/versions/1/restore").await;
    assert_refused("restore", &restore, 404, "ResourceNotFound", message);
    // Numbers go on from where they were, and what only swept versions had is gone.
    let next = client.upload("free.ps1", "four").override_if_exists().await.expect_status(200).json();
    assert_eq!(next["version"], 4);
    let usage = client.get("/api/library/usage").await.expect_status(200).json();
    assert_eq!(usage["bytes"], ("one of held.ps1two of held.ps1".len() + "three".len() + "four".len()));
    assert_eq!(usage["versions"], 5);
}
