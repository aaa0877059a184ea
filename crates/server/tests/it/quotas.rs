//! Quotas: what does not fit is refused with the setting that says so, and leaves nothing behind.

use std::path::Path;

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::bad_input::{assert_refused, files_in};
use crate::support::client::{Answer, Client};
use crate::support::kept::everywhere;
use crate::support::poll::eventually;
use crate::support::server::{Jumpbag, Options};

async fn usage(client: &Client) -> Value {
    client.get("/api/library/usage").await.expect_status(200).json()
}

async fn purge(client: &Client, id: &str) {
    let path = format!("/api/deletedlibraryfiles/{id}/purge");
    client.json(Method::POST, &path, &json!({ "reason": "makes room" })).await.expect_status(204);
}

fn id(answer: &Answer) -> String {
    answer.json()["id"].as_str().expect("an id").to_owned()
}

fn assert_over(case: &str, answer: &Answer, message: &str) {
    assert_refused(case, answer, 400, "InvalidInput", message);
}

#[tokio::test]
async fn usage_tells_what_is_there_and_what_may_be() {
    for kept in everywhere().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        let mut wanted = json!({
            "@odata.context": format!("{}/api/$metadata#LibraryUsage/$entity", bag.url()),
            "files": 0, "maxFiles": null, "bytes": 0, "maxBytes": null, "versions": 0, "maxVersionsPerFile": null,
            "deletedFiles": 0, "heldFiles": 0, "maxFileBytes": 20_971_520, "retentionDays": 30,
            "replacedRetentionDays": null,
        });
        let mut expect = async |what: &str, changes: Value| {
            for (property, value) in changes.as_object().expect("an object") {
                wanted[property] = value.clone();
            }
            assert_eq!(usage(&client).await, wanted, "{what} on {}", kept.on);
        };
        expect("empty", json!({})).await;
        let first = client.upload("a.ps1", "12345").await.expect_status(200);
        expect("a file", json!({ "files": 1, "bytes": 5, "versions": 1 })).await;
        client.upload("b.ps1", "12345").await.expect_status(200);
        expect("the same bytes", json!({ "files": 2, "versions": 2 })).await;
        client.upload("a.ps1", "123").override_if_exists().await.expect_status(200);
        expect("an override", json!({ "bytes": 8, "versions": 3 })).await;
        client
            .json(Method::PATCH, "/api/libraryfiles/a.ps1", &json!({ "tags": ["t"] }))
            .await
            .expect_status(200);
        expect("a change", json!({ "versions": 4 })).await;
        client.post("/api/libraryfiles/a.ps1/versions/1/restore").await.expect_status(200);
        expect("a restore", json!({ "versions": 5 })).await;
        let hold = json!({ "hold": true, "reason": "r" });
        client.json(Method::POST, "/api/libraryfiles/b.ps1/legalhold", &hold).await.expect_status(204);
        client.delete("/api/libraryfiles/a.ps1").await.expect_status(204);
        expect("a delete", json!({ "files": 1, "deletedFiles": 1, "heldFiles": 1 })).await;
        client.delete("/api/libraryfiles/b.ps1").await.expect_status(204);
        expect("another", json!({ "files": 0, "deletedFiles": 2 })).await;
        purge(&client, &id(&first)).await;
        expect("a purge", json!({ "bytes": 5, "versions": 1, "deletedFiles": 1 })).await;
    }
    let bag = Jumpbag::options()
        .set("max_files", 7)
        .set("max_library_bytes", 1000)
        .set("max_versions_per_file", 3)
        .set("max_file_bytes", 500)
        .set("retention_days", 2)
        .set("replaced_retention_days", 9)
        .start()
        .await;
    let told = usage(&bag.client().await).await;
    let limits = [
        "maxFiles",
        "maxBytes",
        "maxVersionsPerFile",
        "maxFileBytes",
        "retentionDays",
        "replacedRetentionDays",
    ];
    assert_eq!(json!(limits.map(|limit| &told[limit])), json!([7, 1000, 3, 500, 2, 9]));
}

#[tokio::test]
async fn no_more_files_than_the_setting_says() {
    for kept in everywhere().await {
        let bag = kept.options.clone().set("max_files", 2).start().await;
        let client = bag.client().await;
        let full = "the library is full: it holds 2 files, and `max_files` allows no more; delete one first";
        let first = client.upload("a.ps1", "1").await.expect_status(200);
        client.upload("b.ps1", "2").await.expect_status(200);
        assert_over(kept.on, &client.upload("c.ps1", "3").await, full);
        // What is no new file is no matter of this.
        client.upload("a.ps1", "4").override_if_exists().await.expect_status(200);
        client.post("/api/libraryfiles/a.ps1/versions/1/restore").await.expect_status(200);
        client.delete("/api/libraryfiles/a.ps1").await.expect_status(204);
        client.upload("c.ps1", "3").await.expect_status(200);
        let back = format!("/api/deletedlibraryfiles/{}/restore", id(&first));
        assert_over(kept.on, &client.post(&back).await, full);
        client.delete("/api/libraryfiles/b.ps1").await.expect_status(204);
        client.post(&back).await.expect_status(200);
        assert_eq!(bag.names().await, ["a.ps1", "c.ps1"]);
        // Many who want the last place: one gets it.
        client.delete("/api/libraryfiles/c.ps1").await.expect_status(204);
        let race = async |n: usize| client.upload(&format!("race-{n}.ps1"), "x").await;
        let answers = join_all((0..12).map(race)).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "on {}", kept.on);
        assert_eq!(usage(&client).await["files"], 2);
    }
}

#[tokio::test]
async fn no_more_bytes_than_the_setting_says() {
    for kept in everywhere().await {
        let bag = kept.options.clone().set("max_library_bytes", 100).start().await;
        let client = bag.client().await;
        let over = |holds: usize, size: usize| {
            format!(
                "the library is full: it holds {holds} bytes, this file has {size}, and `max_library_bytes` allows \
                 100 in all; deleted files count until they are purged"
            )
        };
        assert_over("alone", &client.upload("a.ps1", "a".repeat(101)).await, &over(0, 101));
        let first = client.upload("a.ps1", "a".repeat(60)).await.expect_status(200);
        assert_over("second", &client.upload("b.ps1", "b".repeat(41)).await, &over(60, 41));
        let replaced = client.upload("a.ps1", "b".repeat(41)).override_if_exists().await;
        assert_over("an override keeps what was", &replaced, &over(60, 41));
        // The same bytes again, under any name, cost nothing.
        client.upload("same.ps1", "a".repeat(60)).await.expect_status(200);
        client.upload("b.ps1", "b".repeat(40)).await.expect_status(200);
        assert_over("full", &client.upload("c.ps1", "c").await, &over(100, 1));
        client.upload("b.ps1", "a".repeat(60)).override_if_exists().await.expect_status(200);
        client
            .json(Method::PATCH, "/api/libraryfiles/a.ps1", &json!({ "tags": ["t"] }))
            .await
            .expect_status(200);
        client.post("/api/libraryfiles/b.ps1/versions/1/restore").await.expect_status(200);
        assert_eq!(usage(&client).await["bytes"], 100);
        // A delete frees nothing, a purge what no other file has.
        client.delete("/api/libraryfiles/a.ps1").await.expect_status(204);
        assert_over("deleted", &client.upload("c.ps1", "c").await, &over(100, 1));
        purge(&client, &id(&first)).await;
        assert_over("shared", &client.upload("c.ps1", "c").await, &over(100, 1));
        let b = id(&client.get("/api/libraryfiles/b.ps1").await);
        client.delete("/api/libraryfiles/b.ps1").await.expect_status(204);
        purge(&client, &b).await;
        assert_eq!(usage(&client).await["bytes"], 60, "on {}", kept.on);
        assert_over("one too many", &client.upload("c.ps1", "c".repeat(41)).await, &over(60, 41));
        client.upload("c.ps1", "c".repeat(40)).await.expect_status(200);
    }
}

#[tokio::test]
async fn no_more_versions_than_the_setting_says() {
    for kept in everywhere().await {
        let bag = kept.options.clone().set("max_versions_per_file", 2).start().await;
        let client = bag.client().await;
        let patch =
            |tag: &str| client.json(Method::PATCH, "/api/libraryfiles/a.ps1", &json!({ "tags": [tag] }));
        let first = client.upload("a.ps1", "1").await.expect_status(200);
        patch("one").await.expect_status(200);
        let full = "Library file a.ps1 has 2 versions, and `max_versions_per_file` allows 2; \
                    `replaced_retention_days` lets old ones go, or delete and purge the file";
        assert_over("change", &patch("two").await, full);
        assert_over("override", &client.upload("a.ps1", "2").override_if_exists().await, full);
        let restore = client.post("/api/libraryfiles/a.ps1/versions/1/restore").await;
        assert_over("restore", &restore, full);
        patch("one").await.expect_status(200);
        client.upload("b.ps1", "2").await.expect_status(200);
        assert_eq!(usage(&client).await["versions"], 3, "on {}", kept.on);
        client.delete("/api/libraryfiles/a.ps1").await.expect_status(204);
        let back = format!("/api/deletedlibraryfiles/{}/restore", id(&first));
        assert_over("restore of a deleted file", &client.post(&back).await, full);
        purge(&client, &id(&first)).await;
        client.upload("a.ps1", "1").await.expect_status(200);
        patch("again").await.expect_status(200);
        let shown = client.get("/api/libraryfiles/a.ps1").await.json();
        assert_eq!((&shown["version"], &shown["tags"]), (&json!(2), &json!(["again"])));
    }
}

#[tokio::test]
async fn a_refusal_leaves_no_bytes() {
    let options = |setting: &str, limit: usize| -> Options {
        Jumpbag::options().set("rate_limits", false).set("small_file_bytes", 0).set(setting, limit)
    };
    for (setting, limit) in [("max_files", 1), ("max_library_bytes", 300_000), ("max_versions_per_file", 1)] {
        let bag = options(setting, limit).start().await;
        let client = bag.client().await;
        client.upload("a.ps1", vec![b'a'; 300_000]).await.expect_status(200);
        let before = client.get("/api/libraryfiles").await.expect_status(200);
        let blobs = bag.data_dir().join("blobs");
        let name = if setting == "max_versions_per_file" { "a.ps1" } else { "b.ps1" };
        let refused = join_all((0..6).map(|n| {
            let upload = client.upload(name, vec![b'b' + n; 300_000]).override_if_exists();
            std::future::IntoFuture::into_future(upload)
        }))
        .await;
        for answer in refused {
            assert_eq!((answer.status, answer.error_code().as_str()), (400, "InvalidInput"), "{setting}");
            assert!(answer.error_message().contains(&format!("`{setting}`")), "{}", answer.error_message());
        }
        only_one_blob(&blobs).await;
        let after = client.get("/api/libraryfiles").await.expect_status(200);
        assert_eq!((after.text(), after.etag()), (before.text(), before.etag()), "{setting}");
    }
}

async fn only_one_blob(folder: &Path) {
    eventually("the refused bytes are gone", async || (files_in(folder).len() == 1).then_some(())).await;
}

/// A library that is over a quota already, because the setting came later, is read and emptied as any other.
#[tokio::test]
async fn quotas_that_come_late_take_nothing_away() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data_dir = folder.path().join("data");
    let bag = Jumpbag::options().data_dir(&data_dir).start().await;
    for name in ["a.ps1", "b.ps1"] {
        bag.upload(name, name).await.expect_status(200);
        bag.upload(name, "other").override_if_exists().await.expect_status(200);
    }
    assert!(bag.stop().await.success());
    let late =
        Jumpbag::options().set("max_files", 1).set("max_library_bytes", 1).set("max_versions_per_file", 1);
    let bag = late.data_dir(&data_dir).start().await;
    let client = bag.client().await;
    assert_eq!(bag.names().await, ["a.ps1", "b.ps1"]);
    assert_eq!(
        client.get("/api/libraryfiles/a.ps1/versions/1/content").await.expect_status(200).text(),
        "a.ps1"
    );
    client.json(Method::PATCH, "/api/libraryfiles/a.ps1", &json!({})).await.expect_status(200);
    let refused = client.upload("a.ps1", "third").override_if_exists().await.expect_status(400);
    assert!(refused.error_message().contains("has 2 versions, and `max_versions_per_file` allows 1"));
    for name in ["a.ps1", "b.ps1"] {
        client.delete(&format!("/api/libraryfiles/{name}")).await.expect_status(204);
    }
    let refused = client.upload("c.ps1", "xx").await.expect_status(400);
    assert!(refused.error_message().contains("`max_library_bytes`"), "{}", refused.error_message());
    // Bytes that are there cost nothing.
    client.upload("c.ps1", "other").await.expect_status(200);
}
