//! What a download says of itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use super::{Ground, content_of, etag, noise};
use crate::support::raw::Raw;
use crate::support::{SOON, snapshot};

#[tokio::test]
async fn a_content_comes_back_with_its_digest_from_wherever_it_is() {
    for ground in Ground::everywhere().await {
        for size in [1, 2, 65_536, 131_071, 131_072, 131_073, 400_000, 1 << 20] {
            let (place, content) = (ground.place, noise(size));
            ground.upload(&format!("{size}.bin"), &content).await;
            let answer = ground.get(&format!("{size}.BIN"), &[]).await.expect_status(200);
            assert!(answer.body == content, "{place}: {size} bytes came back as {}", answer.body.len());
            let digest = format!("sha-256=:{}:", BASE64.encode(Sha256::digest(&content)));
            for (name, wanted) in [
                ("etag", etag(&content).as_str()),
                ("repr-digest", &digest),
                ("content-length", &size.to_string()),
                ("accept-ranges", "bytes"),
                ("content-type", "application/octet-stream"),
                ("x-content-type-options", "nosniff"),
                ("content-security-policy", "sandbox; default-src 'none'"),
                ("cache-control", "private, no-cache"),
                (
                    "content-disposition",
                    &format!("attachment; filename=\"{size}.bin\"; filename*=UTF-8''{size}.bin"),
                ),
            ] {
                assert_eq!(answer.header(name), Some(wanted), "{place}: {size} bytes: {name}");
            }
            for name in ["content-encoding", "transfer-encoding", "vary", "last-modified", "content-range"] {
                assert_eq!(answer.header(name), None, "{place}: {size} bytes: {name}");
            }
        }
    }
}

#[tokio::test]
async fn nothing_is_compressed_on_the_way() {
    let ground = Ground::folder().await;
    let text = bytes::Bytes::from("Get-Process\n".repeat(50_000));
    ground.upload("a.ps1", &text).await;
    for accepted in ["gzip", "gzip, deflate, br", "*", "identity;q=0", "gzip;q=1, identity;q=0"] {
        let answer = ground.get("a.ps1", &[("accept-encoding", accepted)]).await.expect_status(200);
        assert_eq!(answer.header("content-encoding"), None, "{accepted}");
        assert_eq!(answer.header("content-length"), Some(text.len().to_string().as_str()), "{accepted}");
        assert_eq!(answer.header("accept-ranges"), Some("bytes"), "{accepted}");
        assert!(answer.body == text, "{accepted}");
    }
}

#[tokio::test]
async fn head_tells_what_get_would_and_reads_nothing() {
    for ground in Ground::everywhere().await {
        ground.upload("a.bin", &noise(200_000)).await;
        let get = ground.get("a.bin", &[]).await;
        // Were anything read, it would be missed.
        if ground.place == "folder" {
            std::fs::remove_dir_all(ground.bag.data_dir().join("blobs")).expect("a folder of blobs");
        }
        let head = async |range: &str| {
            let call = ground.client.call(Method::HEAD, &content_of("a.bin"));
            call.with(|request| request.header("range", range)).await
        };
        // Ranges are for GET.
        for range in ["", "bytes=0-9", "bytes=900000-"] {
            let answer = head(range).await.expect_status(200);
            assert!(answer.body.is_empty());
            for (name, wanted) in &get.headers {
                if !["date", "request-id", "ratelimit"].contains(&name.as_str()) {
                    assert_eq!(answer.headers.get(name), Some(wanted), "{}: {name}", ground.place);
                }
            }
        }
        // The connection is good for the next answer: no byte of a body was sent.
        let token = ground.bag.token(&["Library.Manage"]).await;
        let mut raw = Raw::connect(&ground.bag.url()).await;
        for method in ["HEAD", "HEAD"] {
            let path = content_of("a.bin");
            let head =
                format!("{method} {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
            raw.send(head).await.expect("an open connection");
            let answer = raw.head(SOON).await.expect("an answer");
            assert_eq!((answer.status, answer.header("content-length")), (200, Some("200000")));
        }
    }
}

#[tokio::test]
async fn every_name_is_told_exactly_and_safely() {
    let ground = Ground::folder().await;
    for name in [
        "plain.ps1",
        "with space (1).ps1",
        "semi;colon=\"quoted\".ps1",
        "100%25 sure.sh",
        "naïve-日本語-😀.exe",
        "سكريبت.ps1",
        "תסריט.sh",
        "it's.sh",
        "attachment; filename=evil.exe",
        "a,b&c#d?e.txt",
    ] {
        // Quotes in a form's header are percent-encoded by clients, which names are not decoded from.
        let name = name.replace('"', "'");
        ground.upload(&name, &noise(10)).await;
        let segment = utf8_percent_encode(&name, NON_ALPHANUMERIC).to_string();
        let answer = ground.get(&segment, &[]).await.expect_status(200);
        let told = answer.header("content-disposition").expect("visible ASCII").to_string();
        let (_, exact) = told.split_once("; filename*=UTF-8''").expect("an exact name");
        assert_eq!(percent_decode_str(exact).decode_utf8().expect("UTF-8"), name);
        assert_eq!(told.matches('"').count(), 2, "{told}");
    }
    let absent = ground.get("absent.ps1", &[]).await;
    insta::assert_snapshot!(snapshot::of(&absent, snapshot::HEADERS), @r#"
    404
    content-type: application/json; charset=utf-8
    request-id: [id-1]

    {
      "error": {
        "code": "ResourceNotFound",
        "message": "Library file absent.ps1 was not found",
        "target": "[id-1]"
      }
    }
    "#);
    for (segment, status) in [("%ff", 400), ("a%00b", 404), ("..%2f..%2fcatalog.db", 404)] {
        assert_eq!(ground.get(segment, &[]).await.status, status, "{segment}");
    }
}

#[tokio::test]
async fn paths_are_matched_as_everywhere_and_an_override_is_seen() {
    let ground = Ground::folder().await;
    ground.upload("A.ps1", &noise(10)).await;
    for path in ["/API/LibraryFiles/a.PS1/Content", "/api/v1.0/libraryfiles/a.ps1/content/"] {
        assert_eq!(ground.client.get(path).await.expect_status(200).body, noise(10), "{path}");
    }
    ground.client.upload("a.ps1", noise(20)).override_if_exists().await.expect_status(200);
    let answer = ground.get("a.ps1", &[]).await.expect_status(200);
    assert_eq!((answer.body.len(), answer.header("etag")), (20, Some(etag(&noise(20)).as_str())));
    ground.client.delete("/api/libraryfiles/a.ps1").await.expect_status(204);
    ground.get("a.ps1", &[]).await.expect_status(404);
    let posted = ground.client.post(&content_of("a.ps1")).await;
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET,HEAD")));
}
