//! Conditional downloads.

use super::{Ground, etag, noise};

const DATE: &str = "Sat, 21 Nov 2026 11:03:19 GMT";

#[tokio::test]
async fn what_is_known_is_not_sent_again() {
    for ground in Ground::everywhere().await {
        let (content, other) = (noise(200_000), etag(b"other"));
        ground.upload("a.bin", &content).await;
        let tag = etag(&content);
        for known in [tag.clone(), format!("W/{tag}"), format!("{other}, {tag}"), "*".into()] {
            // A range does not matter then.
            for range in ["", "bytes=0-9", "bytes=900000-"] {
                let answer = ground.get("a.bin", &[("if-none-match", &known), ("range", range)]).await;
                let answer = answer.expect_status(304);
                assert_eq!(answer.header("etag"), Some(tag.as_str()), "{known}");
                assert_eq!(answer.header("cache-control"), Some("private, no-cache"), "{known}");
                assert_eq!((answer.header("content-type"), answer.body.len()), (None, 0), "{known}");
            }
        }
        for unknown in [other.as_str(), tag.trim_matches('"'), &tag.to_uppercase(), ""] {
            let answer = ground.get("a.bin", &[("if-none-match", unknown)]).await.expect_status(200);
            assert!(answer.body == content, "{unknown}");
        }
    }
}

#[tokio::test]
async fn a_content_that_must_be_another_is_not_sent() {
    let ground = Ground::folder().await;
    let (content, other) = (noise(200_000), etag(b"other"));
    ground.upload("a.bin", &content).await;
    let tag = etag(&content);
    for held in [tag.clone(), format!("{other} ,{tag}"), "*".into()] {
        ground.get("a.bin", &[("if-match", &held)]).await.expect_status(200);
        ground.get("a.bin", &[("if-match", &held), ("range", "bytes=0-0")]).await.expect_status(206);
    }
    for broken in [other.clone(), format!("W/{tag}"), tag.to_uppercase(), String::new()] {
        // It comes before all others.
        let headers = [("if-match", broken.as_str()), ("if-none-match", &tag), ("range", "bytes=900000-")];
        let answer = ground.get("a.bin", &headers).await.expect_status(412);
        assert_eq!(answer.error_code(), "PreconditionFailed", "{broken}");
        let message =
            format!("the content of a.bin has the entity tag {tag}, which `If-Match` does not name");
        assert_eq!(answer.error_message(), message);
    }
}

#[tokio::test]
async fn a_range_of_another_content_is_answered_whole() {
    let ground = Ground::folder().await;
    let content = noise(200_000);
    ground.upload("a.bin", &content).await;
    let tag = etag(&content);
    let get = async |if_range: &str, range: &str| {
        ground.get("a.bin", &[("if-range", if_range), ("range", range)]).await
    };
    let part = get(&tag, "bytes=5-9").await.expect_status(206);
    assert!(part.body == content[5..10]);
    get(&tag, "bytes=900000-").await.expect_status(416);
    for other in [&etag(b"other"), &format!("W/{tag}"), DATE, tag.trim_matches('"'), "*", ""] {
        for range in ["bytes=5-9", "bytes=900000-"] {
            let whole = get(other, range).await.expect_status(200);
            assert!(whole.body == content, "{other}");
        }
    }
    assert!(ground.get("a.bin", &[("if-range", &tag)]).await.expect_status(200).body == content);
}
