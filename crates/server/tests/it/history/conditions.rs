//! Conditions on changes: whoever says what they expect overwrites nothing that they have not seen.

use http::Method;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::{numbers, text};
use crate::conformance_catalog::sha256;
use crate::support::client::{Answer, Client};
use crate::support::form::Form;
use crate::support::kept::{everywhere, on_either_database};
use crate::support::server::Jumpbag;

/// What changes a file that has two versions.
const CHANGES: [&str; 4] = ["patch", "delete", "override", "restore"];

/// A change of a file under these headers.
async fn change(client: &Client, what: &str, name: &str, headers: &[(&str, &str)]) -> Answer {
    let path = format!("/api/libraryfiles/{name}");
    let call = match what {
        "patch" => {
            let tag = uuid::Uuid::new_v4().to_string();
            client.json(Method::PATCH, &path, &json!({ "tags": [tag] }))
        }
        "delete" => client.delete(&path),
        "restore" => client.post(&format!("{path}/versions/1/restore")),
        _ => {
            let content = uuid::Uuid::new_v4().to_string();
            let form = Form::new().file(name, content).field("OverrideIfExists", "true").end();
            let form =
                move |request: RequestBuilder| request.header("content-type", Form::CONTENT_TYPE).body(form);
            client.post("/api/libraryfiles").with(form)
        }
    };
    call.with(|request| headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)))
        .await
}

/// A file with two versions: its entity tag and its digest.
async fn file(client: &Client, name: &str) -> (String, String) {
    client.upload(name, "one").await.expect_status(200);
    let content = format!("two of {name}");
    let answer = client.upload(name, content.clone()).override_if_exists().await.expect_status(200);
    (answer.etag(), sha256(content.as_bytes()))
}

#[tokio::test]
async fn each_change_is_made_only_where_it_is_expected() {
    for kept in on_either_database().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        for (case, what) in CHANGES.into_iter().enumerate() {
            let name = format!("file-{case}.ps1");
            let (etag, digest) = file(&client, &name).await;
            let former = format!("{}-1\"", etag.rsplit_once('-').expect("id and version").0);
            let not_so = format!(
                "Library file {name} is not what `If-Match` asks for: it is {etag} now, its bytes are \"{digest}\""
            );
            let exists =
                format!("Library file {name} already exists, and `If-None-Match: *` asks that it does not");
            for (headers, wanted) in [
                (&[("if-match", former.as_str())][..], Err((412, not_so.as_str()))),
                (&[("if-match", &format!("\"{}\"", sha256(b"one")))], Err((412, &not_so))),
                (&[("if-match", &format!("W/{etag}"))], Err((412, &not_so))),
                (&[("if-match", &format!("w/{etag}"))], Err((400, &no_tag(&format!("w/{etag}"))))),
                (&[("if-match", &format!("\"{}\"", digest.to_uppercase()))], Err((412, &not_so))),
                (&[("if-match", "\"\"")], Err((412, &not_so))),
                (&[("if-match", "")], Err((412, &not_so))),
                (&[("if-match", "\"*\"")], Err((412, &not_so))),
                (&[("if-match", "\"a\", \"b\"")], Err((412, &not_so))),
                (&[("if-match", etag.trim_matches('"'))], Err((400, &no_tag(etag.trim_matches('"'))))),
                (&[("if-match", &digest)], Err((400, &no_tag(&digest)))),
                (&[("if-match", &format!("{etag}, x"))], Err((400, &no_tag("x")))),
                (&[("if-match", "\"")], Err((400, &no_tag("\"")))),
                (&[("if-match", &format!("*, {etag}"))], Err((400, &no_tag("*")))),
                (&[("if-none-match", "*")], Err((412, &exists))),
                (&[("if-none-match", &etag)], Err((400, ONLY_A_STAR))),
                (&[("if-none-match", "")], Err((400, ONLY_A_STAR))),
                (&[("if-match", &etag), ("if-none-match", "*")], Err((400, NOT_TOGETHER))),
            ] {
                let answer = change(&client, what, &name, headers).await;
                refused(&format!("{what} {headers:?} on {}", kept.on), &answer, wanted);
            }
            assert_eq!(numbers(&client, &name).await, [2, 1], "{what}: nothing was changed");
        }
        for (case, what) in CHANGES.into_iter().enumerate() {
            for (way, header) in ["etag", "digest", "star", "several", "two headers"].into_iter().enumerate()
            {
                let name = format!("fine-{case}-{way}.ps1");
                let (etag, digest) = file(&client, &name).await;
                let digest = format!("\"{digest}\"");
                let several = format!("\"x\",W/\"y\" ,{etag}");
                let headers = match header {
                    "etag" => vec![("if-match", etag.as_str())],
                    "digest" => vec![("if-match", digest.as_str())],
                    "star" => vec![("if-match", "*")],
                    "several" => vec![("if-match", several.as_str())],
                    _ => vec![("if-match", "\"x\""), ("if-match", digest.as_str())],
                };
                let answer = change(&client, what, &name, &headers).await;
                assert!([200, 204].contains(&answer.status), "{what} {headers:?}: {}", answer.text());
                if what != "delete" {
                    assert_ne!(answer.etag(), etag, "{what} {header}");
                }
            }
        }
    }
}

const ONLY_A_STAR: &str = "`If-None-Match` on a change can only be `*`: the file must not exist";
const NOT_TOGETHER: &str = "`If-Match` and `If-None-Match` do not go together: send one";

fn no_tag(shown: &str) -> String {
    format!(
        "`{shown}` in `If-Match` is no entity tag: expected the SHA-256 or the `ETag` of the file in double quotes"
    )
}

fn refused(case: &str, answer: &Answer, wanted: Result<(), (u16, &str)>) {
    let (status, message) = wanted.expect_err("a refusal");
    let code = if status == 412 { "PreconditionFailed" } else { "InvalidInput" };
    super::assert_refused(case, answer, status, code, message);
}

#[tokio::test]
async fn conditions_on_a_file_that_is_not_there() {
    let bag = Jumpbag::options().set("small_file_bytes", 0).start().await;
    let client = bag.client().await;
    let absent = "Library file new.ps1 does not exist, and `If-Match` asks that it does";
    for header in ["*", "\"1-1\""] {
        let answer = change(&client, "override", "new.ps1", &[("if-match", header)]).await;
        refused(header, &answer, Err((412, absent)));
        for what in ["patch", "delete", "restore"] {
            let answer = change(&client, what, "new.ps1", &[("if-match", header)]).await;
            super::assert_refused(
                what,
                &answer,
                404,
                "ResourceNotFound",
                "Library file new.ps1 was not found",
            );
        }
    }
    let blobs = bag.data_dir().join("blobs");
    assert_eq!(std::fs::read_dir(&blobs).expect("a folder").count(), 0, "the refused bytes are gone");
    assert!(bag.names().await.is_empty());
    change(&client, "override", "new.ps1", &[("if-none-match", "*")]).await.expect_status(200);
    // A matching tag does not make an override of what is not said.
    let etag = client.get("/api/libraryfiles/new.ps1").await.etag();
    let form = Form::new().file("new.ps1", "x").end();
    let upload = client.post("/api/libraryfiles").with(|request| {
        request.header("content-type", Form::CONTENT_TYPE).header("if-match", etag).body(form)
    });
    let message = "Library file new.ps1 already exists. Set OverrideIfExists to true to replace it";
    super::assert_refused("no override", &upload.await, 400, "InvalidInput", message);
}

#[tokio::test]
async fn the_entity_tag_tells_one_state_of_the_file() {
    let bag = Jumpbag::start().await;
    let client = bag.client().await;
    let mut seen: Vec<String> = Vec::new();
    let mut look = async |answer: Answer| {
        let shown = client.get("/api/libraryfiles/a.ps1").await.expect_status(200);
        assert_eq!(shown.etag(), answer.etag(), "the answer to a change has the tag of what it made");
        let known = |value: String| {
            client.get("/api/libraryfiles/a.ps1").with(|call| call.header("if-none-match", value))
        };
        for value in
            [shown.etag(), format!("W/{}", shown.etag()), format!("\"x\", {}", shown.etag()), "*".into()]
        {
            let answer = known(value).await.expect_status(304);
            assert_eq!((answer.body.len(), answer.etag()), (0, shown.etag()));
        }
        for former in &seen {
            assert_ne!(*former, shown.etag());
            known(former.clone()).await.expect_status(200);
        }
        seen.push(shown.etag());
    };
    look(client.upload("a.ps1", "one").await.expect_status(200)).await;
    look(client.upload("a.ps1", "one").override_if_exists().await.expect_status(200)).await;
    look(change(&client, "patch", "a.ps1", &[]).await.expect_status(200)).await;
    look(change(&client, "restore", "a.ps1", &[]).await.expect_status(200)).await;
    let id = client.get("/api/libraryfiles/a.ps1").await.json()["id"].clone();
    bag.delete("a.ps1").await.expect_status(204);
    look(client.post(&format!("/api/deletedlibraryfiles/{}/restore", text(&id))).await.expect_status(200))
        .await;
    bag.delete("a.ps1").await.expect_status(204);
    look(client.upload("a.ps1", "one").await.expect_status(200)).await;
}

#[tokio::test]
async fn a_hold_is_another_state_of_the_file() {
    let bag = Jumpbag::start().await;
    let client = bag.client().await;
    let path = "/api/libraryfiles/a.ps1";
    let free = client.upload("a.ps1", "one").await.expect_status(200).etag();
    super::hold(&client, path, true, "case 7").await.expect_status(204);
    let held = client.get(path).await.expect_status(200).etag();
    assert_ne!(held, free);
    assert_eq!(change(&client, "patch", "a.ps1", &[("if-match", &free)]).await.status, 412);
    let changed = change(&client, "patch", "a.ps1", &[("if-match", &held)]).await.expect_status(200);
    super::hold(&client, path, false, "closed").await.expect_status(204);
    let freed = client.get(path).with(|request| request.header("if-none-match", changed.etag())).await;
    assert_ne!(freed.expect_status(200).etag(), changed.etag());
}

/// A strong entity tag is that of the very bytes.
#[tokio::test]
async fn answers_with_a_strong_tag_are_not_compressed() {
    let bag = Jumpbag::start().await;
    let client = bag.client().await;
    let description = "long enough to be compressed ".repeat(50);
    client.upload("a.ps1", "one").description(&description).await.expect_status(200);
    let asking =
        async |path: &str| client.get(path).with(|call| call.header("accept-encoding", "gzip")).await;
    for (path, packed) in [
        ("/api/libraryfiles/a.ps1", false),
        ("/api/libraryfiles/a.ps1/versions/1/content", false),
        ("/api/libraryfiles/a.ps1/versions", true),
        ("/api/libraryfiles/a.ps1/versions/1", true),
    ] {
        let answer = asking(path).await.expect_status(200);
        let strong = answer.header("etag").is_some_and(|etag| !etag.starts_with("W/"));
        assert_eq!(strong, !packed, "{path}");
        assert_eq!(answer.header("content-encoding"), packed.then_some("gzip"), "{path}");
    }
}

/// Changes at once that all know the same state: one is made, the others hear of it.
#[tokio::test]
async fn of_many_who_saw_the_same_one_wins() {
    for kept in everywhere().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        for round in 0..2 {
            let name = format!("raced-{round}.ps1");
            let (etag, digest) = file(&client, &name).await;
            let header = if round % 2 == 0 { etag } else { format!("\"{digest}\"") };
            // What keeps the bytes would leave the digest true.
            let changes: &[&str] =
                if round % 2 == 0 { &["patch", "override", "restore"] } else { &["override"] };
            let header = [("if-match", header.as_str())];
            let racing = (0..24).map(|n| change(&client, changes[n % changes.len()], &name, &header));
            let answers = futures_util::future::join_all(racing).await;
            let won: Vec<Value> =
                answers.iter().filter(|answer| answer.status == 200).map(Answer::json).collect();
            let lost = answers.iter().filter(|answer| answer.status == 412).count();
            assert_eq!((won.len(), lost), (1, 23), "on {}, round {round}", kept.on);
            let now = client.get(&format!("/api/libraryfiles/{name}")).await.expect_status(200).json();
            assert_eq!(now, won[0], "on {}, round {round}", kept.on);
            assert_eq!(numbers(&client, &name).await, [3, 2, 1]);
        }
    }
}
