//! What can be restored and what cannot, and which numbers name a version.

use http::Method;
use serde_json::json;

use std::future::IntoFuture as _;

use super::{assert_refused, deleted, numbers, text, versions};
use crate::support::kept::on_either_database;
use crate::support::server::Jumpbag;

#[tokio::test]
async fn numbers_that_name_no_version() {
    for kept in on_either_database().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        client.upload("a.ps1", "one").await.expect_status(200);
        client.upload("a.ps1", "two").override_if_exists().await.expect_status(200);
        for number in
            ["0", "3", "4294967297", "9223372036854775807", "9223372036854775808", "18446744073709551615"]
        {
            let message = format!("version {number} of Library file a.ps1 was not found: its newest is 2");
            refused_everywhere(&client, number, 404, "ResourceNotFound", &message).await;
        }
        for (number, shown) in [
            ("x", "x"),
            ("-1", "-1"),
            ("1.0", "1.0"),
            ("+1", "+1"),
            ("01", "01"),
            ("1%20", "1 "),
            ("1%00", "1\\0"),
            ("1e0", "1e0"),
            ("0x1", "0x1"),
            ("18446744073709551616", "18446744073709551616"),
            ("%D9%A1", "١"),
            ("latest", "latest"),
            (&"9".repeat(100), &"9".repeat(60)),
        ] {
            let message = format!("`{shown}` in the path is not the number of a version: expected 1, 2, …");
            refused_everywhere(&client, number, 400, "InvalidInput", &message).await;
        }
        // A number may be percent-encoded like anything else in a path.
        client.get("/api/libraryfiles/a.ps1/versions/%32").await.expect_status(200);
        assert_eq!(numbers(&client, "a.ps1").await, [2, 1], "on {}", kept.on);
    }
}

async fn refused_everywhere(
    client: &crate::support::client::Client,
    number: &str,
    status: u16,
    code: &str,
    message: &str,
) {
    for (method, path) in [
        (Method::GET, format!("versions/{number}")),
        (Method::GET, format!("versions/{number}/content")),
        (Method::GET, format!("versions/{number}/diff/1")),
        (Method::GET, format!("versions/1/diff/{number}")),
        (Method::POST, format!("versions/{number}/restore")),
    ] {
        let answer = client.call(method.clone(), &format!("/api/libraryfiles/a.ps1/{path}")).await;
        assert_refused(&format!("{method} {path}"), &answer, status, code, message);
    }
}

#[tokio::test]
async fn ids_that_no_deleted_file_has() {
    for kept in on_either_database().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        let id = text(&client.upload("a.ps1", "one").await.expect_status(200).json()["id"]).to_owned();
        let living = client.upload("b.ps1", "two").await.expect_status(200).json();
        client.delete("/api/libraryfiles/a.ps1").await.expect_status(204);
        let cases = [
            (text(&living["id"]).to_owned(), text(&living["id"]).to_owned()),
            ("0".into(), "0".into()),
            ("-1".into(), "-1".into()),
            (format!("0{id}"), format!("0{id}")),
            (format!("+{id}"), format!("+{id}")),
            (format!("{id}%20"), format!("{id} ")),
            (format!("{id}%00"), format!("{id}\0")),
            ("a.ps1".into(), "a.ps1".into()),
            ("9223372036854775807".into(), "9223372036854775807".into()),
            ("9223372036854775808".into(), "9223372036854775808".into()),
        ];
        for (sent, shown) in cases {
            let path = format!("/api/deletedlibraryfiles/{sent}");
            let message = format!(
                "no deleted file has the id {shown}: it lives, was purged, or its retention time has passed"
            );
            for (what, answer) in [
                ("show", client.get(&path).await),
                ("restore", client.post(&format!("{path}/restore")).await),
                ("purge", super::purge(&client, &sent).await),
                ("hold", super::hold(&client, &path, true, "why").await),
            ] {
                let case = format!("{what} {sent} on {}", kept.on);
                assert_refused(&case, &answer, 404, "ResourceNotFound", &message);
            }
        }
        assert_eq!(deleted(&client).await.len(), 1);
        assert_eq!(bag.names().await, ["b.ps1"]);
    }
}

#[tokio::test]
async fn the_current_version_has_nothing_to_restore() {
    let bag = Jumpbag::start().await;
    let client = bag.client().await;
    client.upload("a.ps1", "one").await.expect_status(200);
    let restore =
        async |number: u64| client.post(&format!("/api/libraryfiles/a.ps1/versions/{number}/restore")).await;
    let current = |number: u64| {
        format!("version {number} of Library file a.ps1 is the current one: there is nothing to restore")
    };
    assert_refused("of one", &restore(1).await, 400, "InvalidInput", &current(1));
    // The same bytes are another version all the same.
    client.upload("a.ps1", "one").override_if_exists().await.expect_status(200);
    assert_refused("of two", &restore(2).await, 400, "InvalidInput", &current(2));
    assert_eq!(restore(1).await.expect_status(200).json()["version"], 3);
    assert_eq!(restore(2).await.expect_status(200).json()["version"], 4);
    assert_eq!(numbers(&client, "a.ps1").await, [4, 3, 2, 1]);
    assert_eq!(versions(&client, "a.ps1").await[0]["changed"], json!([]));
    // A body is nobody's concern, whatever it is.
    let with_body =
        client.json(Method::POST, "/api/libraryfiles/a.ps1/versions/1/restore", &json!({ "reason": 7 }));
    with_body.await.expect_status(200);
    let gone = client.post("/api/libraryfiles/b.ps1/versions/1/restore").await;
    assert_refused("no file", &gone, 404, "ResourceNotFound", "Library file b.ps1 was not found");
}

#[tokio::test]
async fn all_that_was_said_comes_back_with_a_version() {
    let bag = Jumpbag::start().await;
    let client = bag.client().await;
    let upload = client.upload("a.ps1", "one").description("d").parameters_description("-P");
    let upload = upload.field("Tags", "b,a").field("Platforms", "linux").field("Category", "C");
    let first = upload.field("Instructions", "i\nj").await.expect_status(200).json();
    let nulls = json!({ "description": null, "parametersDescription": null, "hasParameters": null, "tags": null,
                        "platforms": null, "category": null, "instructions": null });
    client.json(Method::PATCH, "/api/libraryfiles/a.ps1", &nulls).await.expect_status(200);
    let back = client.post("/api/libraryfiles/a.ps1/versions/1/restore").await.expect_status(200).json();
    let said = nulls.as_object().expect("an object").keys();
    for property in said.clone() {
        assert_eq!(back[property], first[property], "{property}");
    }
    let newest = versions(&client, "a.ps1").await.remove(0);
    let changed = newest["changed"].as_array().expect("a list").len();
    assert_eq!(changed, said.count(), "all but the bytes and the name: {newest}");
}

#[tokio::test]
async fn a_deleted_file_does_not_come_back_over_another() {
    for kept in on_either_database().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        let first = client.upload("Straße.ps1", "one").await.expect_status(200).json();
        client.delete("/api/libraryfiles/stra%C3%9Fe.PS1").await.expect_status(204);
        let second = client.upload("STRAßE.ps1", "two").await.expect_status(200).json();
        let back = format!("/api/deletedlibraryfiles/{}/restore", text(&first["id"]));
        let message = "Library file STRAßE.ps1 already exists: delete it first, then this one can come back";
        assert_refused("taken", &client.post(&back).await, 400, "InvalidInput", message);
        client.delete("/api/libraryfiles/STRA%C3%9FE.ps1").await.expect_status(204);
        let ids: Vec<_> = deleted(&client).await.iter().map(|file| file["id"].clone()).collect();
        assert_eq!(ids, [second["id"].clone(), first["id"].clone()], "the last deleted first");
        // Both at once: one of them gets the name.
        let other = format!("/api/deletedlibraryfiles/{}/restore", text(&second["id"]));
        let (one, two) = tokio::join!(client.post(&back).into_future(), client.post(&other).into_future());
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400], "on {}", kept.on);
        assert_eq!((bag.names().await.len(), deleted(&client).await.len()), (1, 1));
    }
}
