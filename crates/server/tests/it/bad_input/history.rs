//! Bad input to the calls of history, holds and usage: bodies, paths and methods.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use super::{Ground, assert_refused};
use crate::support::client::Answer;
use crate::support::raw::Raw;

/// A library with a living file, `kept.ps1`, and a deleted one, whose id this is.
async fn ground() -> (Ground, String) {
    let mut ground = Ground::start().await;
    let gone = ground.client.upload("gone.ps1", "gone").await.expect_status(200).json();
    ground.client.delete("/api/libraryfiles/gone.ps1").await.expect_status(204);
    let list = ground.client.get("/api/libraryfiles").await.expect_status(200);
    ground.etag = list.header("etag").map(str::to_owned);
    ground.blobs = super::files_in(&ground.blob_folder());
    (ground, gone["id"].as_str().expect("an id").to_owned())
}

/// Bodies that are no JSON object of these, and what is told behind `Request body is incorrect: `.
const NO_OBJECT: &[(&[u8], &str)] = &[
    (b"", "it is not valid JSON: EOF while parsing a value at line 1 column 0"),
    (b" ", "it is not valid JSON: EOF while parsing a value at line 1 column 1"),
    (b"\xEF\xBB\xBF", "it is not valid JSON: EOF while parsing a value at line 1 column 0"),
    (b"{", "it is not valid JSON: EOF while parsing an object at line 1 column 1"),
    (b"{} {}", "it is not valid JSON: trailing characters at line 1 column 4"),
    (b"reason=x", "it is not valid JSON: expected value at line 1 column 1"),
    (b"[]", "it is not a JSON object"),
    (b"null", "it is not a JSON object"),
    (b"\"reason\"", "it is not a JSON object"),
    (b"true", "it is not a JSON object"),
];

const REASON: &str = "`reason` must be a string: say why, the audit log keeps it";
const HOLD: &str = "`hold` must be true or false";

async fn send(ground: &Ground, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    ground.client.post(path).with(|request| request.body(body)).await
}

/// What is wrong with bodies of every such call: `whole` is a good one, `known` what it may hold.
async fn refuses_bodies(ground: &Ground, path: &str, whole: &Value, known: &str) {
    let refuses = async |case: &str, body: Vec<u8>, message: &str| {
        let message = format!("Request body is incorrect: {message}");
        assert_refused(
            &format!("{path}: {case}"),
            &send(ground, path, body).await,
            400,
            "InvalidRequestBody",
            &message,
        );
    };
    for (body, message) in NO_OBJECT {
        refuses(&String::from_utf8_lossy(body), body.to_vec(), message).await;
    }
    let text = whole.to_string();
    let and = |more: &str| format!("{},{more}}}", &text[..text.len() - 1]).into_bytes();
    refuses("twice", and("\"reason\":\"y\""), "`reason` is there twice").await;
    refuses("twice in another case", and("\"REASON\":\"y\""), "`reason` is there twice").await;
    refuses("unknown", and("\"because\":\"y\""), &format!("`because` is none of {known}")).await;
    refuses("unknown and odd", and("\"a\\n\":\"y\""), &format!("`a\\n` is none of {known}")).await;
    for wrong in [json!(null), json!(1), json!(true), json!(["x"]), json!({})] {
        let mut body = whole.clone();
        body["reason"] = wrong;
        refuses(&body.to_string(), body.to_string().into_bytes(), REASON).await;
    }
    let mut body = whole.clone();
    body.as_object_mut().and_then(|body| body.remove("reason")).expect("a reason");
    refuses("no reason", body.to_string().into_bytes(), REASON).await;
    for (reason, message) in [
        (String::new(), "`reason` is empty: say why, the audit log keeps it".to_owned()),
        (" \t\n".into(), "`reason` is empty: say why, the audit log keeps it".into()),
        ("r".repeat(1025), "`reason` has 1025 bytes: at most 1024".into()),
        ("é".repeat(513), "`reason` has 1026 bytes: at most 1024".into()),
        ("a\0b".into(), "`reason` holds the character U+0000: remove it".into()),
    ] {
        body["reason"] = json!(reason);
        let answer = send(ground, path, body.to_string()).await;
        assert_refused(&format!("{path}: {message}"), &answer, 400, "InvalidInput", &message);
    }
    let padded = |size: usize| format!("{text}{}", " ".repeat(size - text.len())).into_bytes();
    refuses("64 KiB and one", padded(65_537), "it is larger than the limit of 65536 bytes").await;
    refuses("4 MiB", padded(4 << 20), "it is larger than the limit of 65536 bytes").await;
    for (case, body) in [
        ("not UTF-8", b"{\"reason\":\"\xff\"}".to_vec()),
        ("UTF-16", b"\xFF\xFE{\0}\0".to_vec()),
        ("deep", format!("{{\"reason\":{}", "[".repeat(50_000)).into_bytes()),
    ] {
        let answer = send(ground, path, body).await.expect_status(400);
        assert_eq!(answer.error_code(), "InvalidRequestBody", "{path}: {case}");
        let message = answer.error_message();
        assert!(
            message.starts_with("Request body is incorrect: it is not valid JSON: "),
            "{case}: {message}"
        );
    }
}

#[tokio::test]
async fn bodies_of_holds_and_purges() {
    let (ground, id) = ground().await;
    let hold = json!({ "hold": true, "reason": "r" });
    for path in [
        "/api/libraryfiles/kept.ps1/legalhold".to_owned(),
        format!("/api/deletedlibraryfiles/{id}/legalhold"),
    ] {
        refuses_bodies(&ground, &path, &hold, "hold, reason").await;
        for wrong in [json!(null), json!("true"), json!(1), json!([true]), json!({})] {
            let answer = send(&ground, &path, json!({ "hold": wrong, "reason": "r" }).to_string()).await;
            let message = format!("Request body is incorrect: {HOLD}");
            assert_refused(&format!("{path}: {wrong}"), &answer, 400, "InvalidRequestBody", &message);
        }
        let answer = send(&ground, &path, "{\"reason\":\"r\"}").await;
        assert_refused(
            &path,
            &answer,
            400,
            "InvalidRequestBody",
            &format!("Request body is incorrect: {HOLD}"),
        );
    }
    let purge = format!("/api/deletedlibraryfiles/{id}/purge");
    refuses_bodies(&ground, &purge, &json!({ "reason": "r" }), "reason").await;
    ground.unchanged("holds and purges").await;
    let gone = ground.client.get(&format!("/api/deletedlibraryfiles/{id}")).await.expect_status(200).json();
    assert_eq!(gone["legalHold"], false);
    // The most that may be said, spelled as nobody would.
    let most = format!("\u{feff} {{ \"REASON\" : \"{}\" , \"Hold\":true}}", "r".repeat(1024));
    send(&ground, &format!("/api/deletedlibraryfiles/{id}/legalhold"), most).await.expect_status(204);
    let gone = ground.client.get(&format!("/api/deletedlibraryfiles/{id}")).await.expect_status(200).json();
    assert_eq!(gone["legalHoldReason"], "r".repeat(1024));
}

/// Paths, and the methods that they have.
fn methods(id: &str) -> Vec<(String, &'static [&'static str])> {
    let (file, gone) = ("/api/libraryfiles/kept.ps1", format!("/api/deletedlibraryfiles/{id}"));
    vec![
        (file.into(), &["GET", "HEAD", "PATCH", "DELETE"]),
        (format!("{file}/content"), &["GET", "HEAD"]),
        (format!("{file}/versions"), &["GET", "HEAD"]),
        (format!("{file}/versions/1"), &["GET", "HEAD"]),
        (format!("{file}/versions/1/content"), &["GET", "HEAD"]),
        (format!("{file}/versions/1/diff/1"), &["GET", "HEAD"]),
        (format!("{file}/versions/1/restore"), &["POST"]),
        (format!("{file}/legalhold"), &["POST"]),
        ("/api/deletedlibraryfiles".into(), &["GET", "HEAD"]),
        (gone.clone(), &["GET", "HEAD"]),
        (format!("{gone}/versions"), &["GET", "HEAD"]),
        (format!("{gone}/versions/1/content"), &["GET", "HEAD"]),
        (format!("{gone}/restore"), &["POST"]),
        (format!("{gone}/purge"), &["POST"]),
        (format!("{gone}/legalhold"), &["POST"]),
        ("/api/library/usage".into(), &["GET", "HEAD"]),
    ]
}

#[tokio::test]
async fn methods_that_a_path_does_not_have() {
    let (ground, id) = ground().await;
    for (path, allowed) in methods(&id) {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE", "LOCK"] {
            let has = allowed.contains(&method);
            // A change would change something.
            if has && !["GET", "HEAD"].contains(&method) {
                continue;
            }
            let called = Method::from_bytes(method.as_bytes()).expect("a method");
            for client in [&ground.client, &ground.bag.anonymous()] {
                let answer = client.call(called.clone(), &path).await;
                if has {
                    assert_ne!(answer.status, 405, "{method} {path}");
                    continue;
                }
                assert_eq!(answer.status, 405, "{method} {path}");
                let told: BTreeSet<&str> =
                    answer.header("allow").expect("Allow").split(',').map(str::trim).collect();
                assert_eq!(told, allowed.iter().copied().collect(), "{method} {path}");
                if method != "HEAD" {
                    let message = format!("`{method}` is not allowed on `{path}`");
                    assert_refused(&path, &answer, 405, "BadRequest", &message);
                }
            }
        }
    }
    ground.unchanged("methods").await;
}

#[tokio::test]
async fn paths_beside_those_of_history() {
    let (ground, id) = ground().await;
    for path in [
        "/api/libraryfiles/kept.ps1/version",
        "/api/libraryfiles/kept.ps1/versions/1/2",
        "/api/libraryfiles/kept.ps1/versions/1/diff",
        "/api/libraryfiles/kept.ps1/versions/1/diff/1/2",
        "/api/libraryfiles/kept.ps1/versions/1/content/x",
        "/api/libraryfiles/kept.ps1/versions/1/purge",
        "/api/libraryfiles/kept.ps1/restore",
        "/api/libraryfiles/kept.ps1/purge",
        "/api/libraryfiles/kept.ps1//versions",
        "/api/libraryfiles/kept.ps1/legalhold/1",
        "/api/libraryfiles/folder%2F../kept.ps1/x",
        "/api/deletedlibraryfiles/1/2",
        "/api/deletedlibraryfiles/1/restore/2",
        "/api/deletedlibraryfile",
        "/api/library",
        "/api/library/usage/x",
        "/api/libraries/usage",
        "/libraryfiles/kept.ps1/versions",
        "/api/v2.0/library/usage",
        "/api/v1.0/v1.0/library/usage",
    ] {
        let mut raw = Raw::connect(&ground.bag.url()).await;
        let token = ground.bag.token(&["Library.Manage"]).await;
        for method in ["GET", "POST", "PATCH", "DELETE"] {
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
            );
            raw.send(head).await.expect("an open connection");
            let answer = raw.response(crate::support::SOON).await.expect("an answer");
            let error = &answer.json()["error"];
            assert_eq!(
                (answer.status, &error["code"]),
                (404, &json!("NotFound")),
                "{method} {path}: {error}"
            );
            assert_eq!(error["message"], format!("no such resource: `{path}`"));
            assert_eq!(error["target"].as_str(), answer.header("request-id"));
        }
    }
    for path in [
        "/api/libraryfiles/%FF/versions",
        "/api/libraryfiles/kept%C3/versions/1/content",
        "/api/libraryfiles/%80/legalhold",
    ] {
        let method = if path.ends_with("legalhold") { Method::POST } else { Method::GET };
        let answer = ground.client.call(method, path).await;
        let message = "the file name in the path is not UTF-8 when decoded";
        assert_refused(path, &answer, 400, "InvalidInput", message);
    }
    let long = "9".repeat(5_000);
    let answer = ground.client.get(&format!("/api/deletedlibraryfiles/{long}")).await.expect_status(404);
    assert_eq!(answer.error_code(), "ResourceNotFound");
    ground.client.get(&format!("/api/deletedlibraryfiles/{id}")).await.expect_status(200);
    ground.unchanged("paths").await;
}
