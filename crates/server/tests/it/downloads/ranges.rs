//! Parts of a content.

use super::{Ground, etag, noise};

const SIZE: usize = 400_000;

#[tokio::test]
async fn ranges_from_wherever_the_content_is() {
    let content = noise(SIZE);
    let tag = etag(&content);
    // Around the pieces that blobs are read in.
    let edges = [0, 1, 131_071, 131_072, 131_073, 262_144, SIZE - 1];
    for ground in Ground::everywhere().await {
        ground.upload("a.bin", &content).await;
        let mut cases: Vec<(String, std::ops::Range<usize>)> = Vec::new();
        for first in edges {
            cases.push((format!("bytes={first}-"), first..SIZE));
            cases.extend(
                edges
                    .into_iter()
                    .filter(|last| first <= *last)
                    .map(|last| (format!("bytes={first}-{last}"), first..last + 1)),
            );
        }
        for (range, part) in [
            ("bytes=-1", SIZE - 1..SIZE),
            ("bytes=-131072", SIZE - 131_072..SIZE),
            ("bytes=-400000", 0..SIZE),
            ("bytes=-400001", 0..SIZE),
            ("bytes=399999-99999999999999999999999", SIZE - 1..SIZE),
            ("BYTES=5-6", 5..7),
        ] {
            cases.push((range.into(), part));
        }
        for (number, (range, part)) in cases.into_iter().enumerate() {
            // Bytes that come again get a blob that nobody has read: it is read whole now, and in parts below.
            if ground.place == "folder" {
                ground.upload(&format!("{number}.bin"), &content).await;
                let first = ground.get("a.bin", &[("range", &range)]).await.expect_status(206);
                assert!(first.body == content[part.clone()], "first: {range}");
            }
            let answer = ground.get("a.bin", &[("range", &range)]).await;
            let shown = format!("{}: {range}", ground.place);
            assert_eq!(answer.status, 206, "{shown}: {}", answer.text());
            assert!(answer.body == content[part.clone()], "{shown}");
            let told = format!("bytes {}-{}/{SIZE}", part.start, part.end - 1);
            assert_eq!(answer.header("content-range"), Some(told.as_str()), "{shown}");
            assert_eq!(answer.header("content-length"), Some(part.len().to_string().as_str()), "{shown}");
            assert_eq!(answer.header("etag"), Some(tag.as_str()), "{shown}");
            for name in ["repr-digest", "accept-ranges", "content-disposition", "content-security-policy"] {
                assert!(answer.header(name).is_some(), "{shown}: {name}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_single_range_of_bytes_is_answered_whole() {
    let ground = Ground::folder().await;
    let content = noise(SIZE);
    ground.upload("a.bin", &content).await;
    for range in [
        "bytes=0-1,3-4",
        "bytes=0-1, 900000-900001",
        "bytes=4-3",
        "bytes=",
        "bytes=-",
        "bytes=x-y",
        "bytes=+1-2",
        "lines=1-2",
        "bytes 0-1",
        "",
    ] {
        let answer = ground.get("a.bin", &[("range", range)]).await.expect_status(200);
        assert!(answer.body == content, "{range}");
        assert_eq!(answer.header("content-range"), None, "{range}");
    }
    let twice = ground.get("a.bin", &[("range", "bytes=0-1"), ("range", "bytes=2-3")]).await;
    assert!(twice.expect_status(200).body == content);
}

#[tokio::test]
async fn a_range_behind_the_end_is_refused() {
    for ground in Ground::everywhere().await {
        ground.upload("a.bin", &noise(SIZE)).await;
        for range in [
            "bytes=400000-",
            "bytes=400000-400001",
            "bytes=-0",
            "bytes=99999999999999999999999-",
            "bytes=,500000-",
        ] {
            let answer = ground.get("a.bin", &[("range", range)]).await.expect_status(416);
            assert_eq!(answer.header("content-range"), Some("bytes */400000"), "{range}");
            assert_eq!(answer.error_code(), "RangeNotSatisfiable", "{range}");
            assert_eq!(
                answer.error_message(),
                "the content has 400000 bytes, and the range begins behind them",
                "{range}"
            );
            assert_eq!(answer.json()["error"]["target"].as_str(), answer.header("request-id"));
        }
    }
}
