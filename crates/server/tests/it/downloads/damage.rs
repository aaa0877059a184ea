//! Bytes that are not what they were: nobody gets them as a whole answer.

use std::path::PathBuf;

use object_store::{ObjectStore as _, ObjectStoreExt as _};

use super::{Ground, content_of, noise};
use crate::support::SOON;
use crate::support::raw::{Ended, Raw};
use crate::support::s3::s3_buckets;
use crate::support::server::Jumpbag;

const SIZE: usize = 1_000_000;

fn blob(ground: &Ground) -> PathBuf {
    let folder = ground.bag.data_dir().join("blobs");
    let mut entries = std::fs::read_dir(folder).expect("a folder of blobs");
    entries.next().expect("a blob").expect("an entry").path()
}

async fn damaged_downloads(ground: &Ground) -> u64 {
    let metrics = ground.bag.ops("/metrics").await.expect_status(200).text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("jumpbag_damaged_downloads_total "));
    line.expect("the metric").parse().expect("a number")
}

/// Ways to damage a content, and what is said of each.
fn damages(content: &[u8]) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let flipped = |at: usize| {
        let mut bytes = content.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    vec![
        ("first byte", flipped(0), "has the digest"),
        ("in the middle", flipped(SIZE / 2), "has the digest"),
        ("last byte", flipped(SIZE - 1), "has the digest"),
        ("cut", content[..SIZE - 1].to_vec(), "has 999999 bytes instead of 1000000"),
        ("empty", Vec::new(), "has 0 bytes instead of 1000000"),
        ("longer", [content, b"x"].concat(), "has more than 1000000 bytes"),
        ("much longer", [content, content].concat(), "has more than 1000000 bytes"),
    ]
}

#[tokio::test]
async fn damaged_blobs_of_a_folder_are_never_sent_whole() {
    let ground = Ground::folder().await;
    let content = noise(SIZE);
    ground.upload("a.bin", &content).await;
    let path = blob(&ground);
    let mut told = 0;
    for (what, bytes, says) in damages(&content) {
        let empty = bytes.is_empty();
        std::fs::write(&path, bytes).expect("write over the blob");
        for range in ["", "bytes=0-", "bytes=0-999998"] {
            let id = if empty {
                ground.get("a.bin", &[("range", range)]).await.expect_status(500).request_id()
            } else {
                broken_off(&ground, what, range).await
            };
            ground.bag.logged(&["ERROR", &id, says]).await;
            told += 1;
        }
        // What is verified before its first byte goes is refused before it.
        for range in ["bytes=0-9", "bytes=-1", "bytes=300000-300001"] {
            let answer = ground.get("a.bin", &[("range", range)]).await.expect_status(500);
            assert_eq!(answer.error_code(), "InternalServerError");
            ground.bag.logged(&["ERROR", &answer.request_id(), says]).await;
            told += 1;
        }
    }
    assert_eq!(damaged_downloads(&ground).await, told);
    // Healed, it is served again.
    std::fs::write(&path, &content).expect("write over the blob");
    assert!(ground.get("a.bin", &[]).await.expect_status(200).body == content);
    std::fs::remove_file(&path).expect("remove the blob");
    let missing = ground.get("a.bin", &[]).await.expect_status(500);
    assert_eq!(missing.error_code(), "InternalServerError");
    ground.bag.logged(&["ERROR", "is missing", &missing.request_id()]).await;
    assert_eq!(damaged_downloads(&ground).await, told + 1);
}

/// A download that begins well and ends too early; its request's id.
async fn broken_off(ground: &Ground, what: &str, range: &str) -> String {
    broken_off_after(ground, what, range).await.0
}

/// The same, and the bytes that came.
async fn broken_off_after(ground: &Ground, what: &str, range: &str) -> (String, Vec<u8>) {
    let token = ground.bag.token(&["Library.Manage"]).await;
    let mut raw = Raw::connect(&ground.bag.url()).await;
    let head = format!(
        "GET {} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nRange: {range}\r\n\r\n",
        content_of("a.bin")
    );
    raw.send(head).await.expect("an open connection");
    let answer = raw.head(SOON).await.expect("the head of an answer");
    assert_eq!(answer.status, if range.is_empty() { 200 } else { 206 }, "{what} {range}");
    let length: usize = answer.header("content-length").expect("a length").parse().expect("a number");
    let (body, ended) = raw.rest(SOON).await;
    assert_eq!(ended, Ended::Closed, "{what} {range}");
    assert!(body.len() < length, "{what} {range}: {} of {length} bytes", body.len());
    let id = answer.header("request-id").expect("an id");
    ground.bag.logged(&["ERROR", "download broken off", id]).await;
    (id.to_owned(), body.to_vec())
}

#[tokio::test]
async fn http_2_resets_the_stream_of_a_damaged_content_and_goes_on() {
    let ground = Ground::folder().await;
    let content = noise(SIZE);
    ground.upload("a.bin", &content).await;
    ground.client.upload("b.bin", noise(10)).await.expect_status(200);
    let path = blob_of_size(&ground, SIZE);
    let http = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("a client");
    let token = ground.bag.token(&["Library.Manage"]).await;
    let get = async |name: &str| {
        let url = format!("{}{}", ground.bag.url(), content_of(name));
        let answer = http.get(url).bearer_auth(&token).send().await.expect("the head of an answer");
        assert_eq!(answer.version(), http::Version::HTTP_2);
        answer.error_for_status()?.bytes().await
    };
    assert!(get("a.bin").await.expect("a whole body") == content);
    for (what, bytes, _) in damages(&content) {
        std::fs::write(&path, bytes).expect("write over the blob");
        assert!(get("a.bin").await.is_err(), "{what}: came whole");
        assert_eq!(get("b.bin").await.expect("a whole body"), noise(10));
    }
}

/// Tags of pieces, once made, find what a digest would.
#[tokio::test]
async fn damage_after_a_good_download_is_found_before_it_is_sent() {
    let ground = Ground::folder().await;
    let content = noise(SIZE);
    ground.upload("a.bin", &content).await;
    let path = blob(&ground);
    let mut told = 0;
    for (what, bytes, _) in damages(&content) {
        for (range, from, to) in [("", 0, SIZE), ("bytes=1-", 1, SIZE), ("bytes=0-999999", 0, SIZE)] {
            std::fs::write(&path, &content).expect("write over the blob");
            assert!(ground.get("a.bin", &[]).await.expect_status(200).body == content);
            std::fs::write(&path, &bytes).expect("write over the blob");
            let says = match what {
                "first byte" => "has changed within 131072 bytes from byte 0 on",
                "in the middle" => "has changed within 131072 bytes from byte 393216 on",
                "last byte" => "has changed within 131072 bytes from byte 917504 on",
                "cut" => "has 999999 bytes instead of 1000000",
                "empty" => "has 0 bytes instead of 1000000",
                "longer" => "has 1000001 bytes instead of 1000000",
                _ => "has 2000000 bytes instead of 1000000",
            };
            let id = if ["in the middle", "last byte"].contains(&what) {
                let (id, body) = broken_off_after(&ground, what, range).await;
                assert!(content[from..to].starts_with(&body), "{what} {range}: other bytes were sent");
                id
            } else {
                ground.get("a.bin", &[("range", range)]).await.expect_status(500).request_id()
            };
            ground.bag.logged(&["ERROR", &id, says]).await;
            told += 1;
        }
    }
    assert_eq!(damaged_downloads(&ground).await, told);
    std::fs::remove_file(&path).expect("remove the blob");
    let missing = ground.get("a.bin", &[("range", "bytes=0-9")]).await.expect_status(500);
    ground.bag.logged(&["ERROR", "is missing", &missing.request_id()]).await;
}

#[tokio::test]
async fn a_damaged_piece_stops_who_needs_it_and_then_everybody() {
    let ground = Ground::folder().await;
    let content = noise(SIZE);
    ground.upload("a.bin", &content).await;
    let path = blob(&ground);
    assert!(ground.get("a.bin", &[]).await.expect_status(200).body == content);
    let mut bytes = content.to_vec();
    // In the fourth piece of eight.
    bytes[3 * 131_072 + 5] ^= 0x80;
    std::fs::write(&path, &bytes).expect("write over the blob");
    for part in [0..10, 0..3 * 131_072, 4 * 131_072..SIZE, SIZE - 1..SIZE] {
        let range = format!("bytes={}-{}", part.start, part.end - 1);
        let answer = ground.get("a.bin", &[("range", &range)]).await.expect_status(206);
        assert!(answer.body == content[part], "{range}");
    }
    // Whoever does not say so in an answer says so here.
    let (status, report, _) = ground.bag.command(&["check"]).await;
    assert!(!status.success() && report.contains("1 problems"), "{report}");
    // A byte of the same piece, though not the one that changed.
    ground.get("a.bin", &[("range", "bytes=524287-524287")]).await.expect_status(500);
    // What is known to be damaged must be right as a whole again.
    let refused = ground.get("a.bin", &[("range", "bytes=0-9")]).await.expect_status(500);
    ground.bag.logged(&["ERROR", &refused.request_id(), "has the digest"]).await;
    assert_eq!(damaged_downloads(&ground).await, 2);
    std::fs::write(&path, &content).expect("write over the blob");
    assert!(ground.get("a.bin", &[]).await.expect_status(200).body == content);
}

/// Tags are of bytes that had the digest, and of no others.
#[tokio::test]
async fn bytes_that_were_never_right_are_not_right_the_next_time() {
    let ground = Ground::folder().await;
    let content = noise(SIZE);
    ground.upload("a.bin", &content).await;
    let path = blob(&ground);
    let other: bytes::Bytes = content.iter().rev().copied().collect();
    ground.upload("b.bin", &other).await;
    for (what, bytes, _) in damages(&content) {
        std::fs::write(&path, &bytes).expect("write over the blob");
        for range in ["", "bytes=0-9", "", "bytes=0-9"] {
            let got = ground.attempt("a.bin", &[("range", range)]).await;
            assert!(got.is_err() || got.is_ok_and(|answer| answer.status == 500), "{what}");
        }
    }
    // Nor are those of another content, all of which was verified, in place of its own.
    std::fs::write(&path, &content).expect("write over the blob");
    for (name, content) in [("a.bin", &content), ("b.bin", &other)] {
        assert!(ground.get(name, &[]).await.expect_status(200).body == content);
    }
    let database = rusqlite::Connection::open(ground.bag.data_dir().join("catalog.db")).expect("the catalog");
    database.busy_timeout(SOON).expect("a timeout");
    let a = path.file_name().and_then(|name| name.to_str()).expect("a key");
    for (sql, changed) in [
        ("update contents set blob = 'gone' where blob = ?1", 1),
        ("update contents set blob = ?1 where blob <> 'gone'", 1),
    ] {
        assert_eq!(database.execute(sql, [a]).expect("a statement"), changed);
    }
    let refused = ground.get("b.bin", &[("range", "bytes=0-9")]).await.expect_status(500);
    ground.bag.logged(&["ERROR", &refused.request_id(), "has the digest"]).await;
}

fn blob_of_size(ground: &Ground, size: usize) -> PathBuf {
    let folder = std::fs::read_dir(ground.bag.data_dir().join("blobs")).expect("a folder of blobs");
    let mut paths = folder.map(|entry| entry.expect("an entry").path());
    let found = paths.find(|path| path.metadata().is_ok_and(|meta| meta.len() == size as u64));
    found.expect("a blob of this size")
}

#[tokio::test]
async fn damaged_objects_of_a_bucket_are_never_sent_whole() {
    use futures_util::StreamExt as _;
    for bucket in s3_buckets().await {
        let options = Jumpbag::options().blobs(&bucket.url("library"), bucket.options());
        let ground = Ground::start(bucket.server, options.set("small_file_bytes", 0)).await;
        let content = noise(SIZE);
        ground.upload("a.bin", &content).await;
        let store = bucket.store();
        let object = store.list(None).next().await.expect("an object").expect("listed").location;
        for (what, bytes, _) in damages(&content) {
            store.put(&object, bytes.into()).await.expect("write over the object");
            let got = ground.attempt("a.bin", &[]).await;
            let refused = got.is_err() || got.as_ref().is_ok_and(|answer| answer.status == 500);
            assert!(refused, "{}: {what}: {got:?}", bucket.server);
            ground.get("a.bin", &[("range", "bytes=0-9")]).await.expect_status(500);
        }
        // Damaged when its pieces are known, and in the last of these.
        for (what, bytes, _) in damages(&content) {
            store.put(&object, content.clone().into()).await.expect("write over the object");
            assert!(ground.get("a.bin", &[]).await.expect_status(200).body == content);
            let part = ground.get("a.bin", &[("range", "bytes=999990-")]).await.expect_status(206);
            assert!(part.body == content[999_990..], "{}", bucket.server);
            store.put(&object, bytes.into()).await.expect("write over the object");
            let range = if what == "last byte" { "bytes=999990-" } else { "" };
            let got = ground.attempt("a.bin", &[("range", range)]).await;
            let refused = got.is_err() || got.as_ref().is_ok_and(|answer| answer.status == 500);
            assert!(refused, "{}: {what}: {got:?}", bucket.server);
        }
        for (what, bytes, _) in damages(&content) {
            store.put(&object, content.clone().into()).await.expect("write over the object");
            assert!(ground.get("a.bin", &[]).await.expect_status(200).body == content);
            store.put(&object, bytes.into()).await.expect("write over the object");
            // A part that is not where it was, or of a blob of another size.
            let got = ground.get("a.bin", &[("range", "bytes=999999-")]).await;
            let status = if ["first byte", "in the middle"].contains(&what) { 206 } else { 500 };
            assert_eq!(got.status, status, "{}: {what}", bucket.server);
        }
        store.put(&object, content.clone().into()).await.expect("write over the object");
        assert!(ground.get("a.bin", &[]).await.expect_status(200).body == content);
        store.delete(&object).await.expect("delete the object");
        ground.get("a.bin", &[]).await.expect_status(500);
    }
}

#[tokio::test]
async fn a_damaged_row_is_an_error_before_the_first_byte() {
    let ground = Ground::start("row", Jumpbag::options()).await;
    ground.upload("a.ps1", &noise(100)).await;
    let database = ground.bag.data_dir().join("catalog.db");
    let change = |sql: &str| {
        let connection = rusqlite::Connection::open(&database).expect("the catalog");
        connection.busy_timeout(SOON).expect("a timeout");
        assert_eq!(connection.execute(sql, []).expect("a statement"), 1);
    };
    for (told, (sql, says)) in (1..).zip([
        ("update contents set bytes = zeroblob(100)", "has the digest"),
        ("update contents set bytes = zeroblob(99)", "has 99 bytes instead of 100"),
    ]) {
        change(sql);
        for range in ["", "bytes=0-9"] {
            let answer = ground.get("a.ps1", &[("range", range)]).await.expect_status(500);
            assert_eq!(answer.error_code(), "InternalServerError");
            assert!(!answer.text().contains("digest"), "{}", answer.text());
            ground.bag.logged(&["ERROR", "its row", says, &answer.request_id()]).await;
        }
        assert_eq!(damaged_downloads(&ground).await, 2 * told);
    }
}
