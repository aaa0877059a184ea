//! Clients that take their time, or go away.

use super::{Ground, content_of, noise};
use crate::support::SOON;
use crate::support::poll::eventually;
use crate::support::raw::{Ended, Raw};
use crate::support::server::Jumpbag;

/// More than sockets hold on both sides.
const SIZE: usize = 16 << 20;

/// How many blobs the server has open.
fn open_blobs(ground: &Ground) -> usize {
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", ground.bag.process_id())).expect("a process");
    let links = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let blobs = ground.bag.data_dir().join("blobs").canonicalize().expect("a folder of blobs");
    links.filter(|link| link.starts_with(&blobs)).count()
}

/// How many bytes the server has read so far, from wherever.
fn bytes_read(ground: &Ground) -> usize {
    let counts = std::fs::read_to_string(format!("/proc/{}/io", ground.bag.process_id())).expect("a process");
    let read = counts.lines().find_map(|line| line.strip_prefix("rchar: ")).expect("a count");
    read.parse().expect("a number")
}

/// Somebody who has read the head of an answer, and nothing more.
async fn begun(ground: &Ground) -> Raw {
    let token = ground.bag.token(&["Library.Manage"]).await;
    let mut raw = Raw::connect(&ground.bag.url()).await;
    let path = content_of("a.bin");
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n"))
        .await
        .expect("an open connection");
    assert_eq!(raw.head(SOON).await.expect("the head of an answer").status, 200);
    raw
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_reading() {
    let ground = Ground::folder().await;
    ground.upload("a.bin", &noise(SIZE)).await;
    let before = bytes_read(&ground);
    let raw = begun(&ground).await;
    // It waits for whoever reads.
    assert_eq!(open_blobs(&ground), 1);
    drop(raw);
    eventually("nothing is open", async || (open_blobs(&ground) == 0).then_some(())).await;
    let read = bytes_read(&ground) - before;
    assert!(read < SIZE, "{read} bytes were read");
    assert!(ground.get("a.bin", &[]).await.expect_status(200).body == noise(SIZE));
}

#[tokio::test]
async fn a_part_of_what_was_read_before_is_read_alone() {
    let ground = Ground::folder().await;
    let content = noise(SIZE);
    ground.upload("a.bin", &content).await;
    let read = async |range: &str, wanted: &[u8]| {
        let before = bytes_read(&ground);
        assert!(ground.get("a.bin", &[("range", range)]).await.expect_status(206).body == wanted);
        bytes_read(&ground) - before
    };
    // The first who asks has all of it verified.
    assert!(read("bytes=0-9", &content[..10]).await >= SIZE);
    for (range, part) in [
        ("bytes=0-9", 0..10),
        ("bytes=131071-131072", 131_071..131_073),
        ("bytes=9999999-10000000", 9_999_999..10_000_001),
        ("bytes=-1", SIZE - 1..SIZE),
    ] {
        let bytes = read(range, &content[part]).await;
        assert!(bytes < 3 * 131_072, "{range}: {bytes} bytes were read");
    }
}

#[tokio::test]
async fn clients_that_go_away_or_take_nothing_end_the_reading_of_known_pieces_too() {
    let options = Jumpbag::options().set("small_file_bytes", 0).set("body_idle_seconds", 1);
    let ground = Ground::start("folder", options).await;
    let content = noise(SIZE);
    ground.upload("a.bin", &content).await;
    assert!(ground.get("a.bin", &[]).await.expect_status(200).body == content);
    let before = bytes_read(&ground);
    let raw = begun(&ground).await;
    assert_eq!(open_blobs(&ground), 1);
    drop(raw);
    eventually("nothing is open", async || (open_blobs(&ground) == 0).then_some(())).await;
    let mut raw = begun(&ground).await;
    ground.bag.logged(&["WARN", "a download is not taken", "seconds=1"]).await;
    eventually("nothing is open", async || (open_blobs(&ground) == 0).then_some(())).await;
    let (body, _) = raw.rest(SOON).await;
    assert!(content.starts_with(&body) && body.len() < SIZE, "{} bytes", body.len());
    let read = bytes_read(&ground) - before;
    assert!(read < 2 * SIZE, "{read} bytes were read");
    assert!(ground.get("a.bin", &[]).await.expect_status(200).body == content);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_hung_up_on() {
    let options = Jumpbag::options().set("small_file_bytes", 0).set("body_idle_seconds", 1);
    let ground = Ground::start("folder", options).await;
    ground.upload("a.bin", &noise(SIZE)).await;
    let mut raw = begun(&ground).await;
    ground.bag.logged(&["WARN", "a download is not taken", "seconds=1"]).await;
    eventually("nothing is open", async || (open_blobs(&ground) == 0).then_some(())).await;
    let (body, ended) = raw.rest(SOON).await;
    assert!(matches!(ended, Ended::Closed | Ended::Reset), "{ended:?}");
    assert!(body.len() < SIZE, "{} bytes", body.len());
}

/// Slower than the limit as a whole, and never for as long as the limit.
#[tokio::test]
async fn a_client_that_takes_a_little_again_and_again_gets_all() {
    let options = Jumpbag::options().set("small_file_bytes", 0).set("body_idle_seconds", 1);
    let ground = Ground::start("folder", options).await;
    let content = noise(SIZE);
    ground.upload("a.bin", &content).await;
    let mut raw = begun(&ground).await;
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(200));
    let mut taken = Vec::new();
    while taken.len() < SIZE {
        ticks.tick().await;
        let most = (SIZE - taken.len()).min(1 << 20);
        taken.extend(raw.bytes(SOON, most).await.expect("the next bytes"));
    }
    assert!(taken == content);
    assert_eq!(open_blobs(&ground), 0);
}
