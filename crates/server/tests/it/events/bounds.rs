//! What streams may cost: how many there are, what a slow reader holds, and that none of them delays a stop.

use futures_util::future::join_all;

use super::options;
use crate::support::client::plain_http;
use crate::support::poll::eventually;
use crate::support::raw::Raw;
use crate::support::stream::Stream;

#[tokio::test]
async fn there_are_only_so_many_streams_at_a_time() {
    let bag = options().set("event_streams", 2).start().await;
    let first = Stream::open(&bag, None).await;
    let _second = Stream::open(&bag, None).await;
    let client = bag.caller(&["Library.Read"]).await;
    for _ in 0..3 {
        let refused = client.get("/api/library/events").await.expect_status(503);
        assert_eq!(refused.error_code(), "ServiceUnavailable");
        assert!(refused.header("retry-after").is_some());
    }
    let open = async || {
        let metrics = bag.ops("/metrics").await.text();
        let line = metrics.lines().find_map(|line| line.strip_prefix("jumpbag_event_streams "));
        line.expect("a metric").to_owned()
    };
    assert_eq!(open().await, "2");
    drop(first);
    eventually("a stream that is left makes place", async || (open().await == "1").then_some(())).await;
    let _third = Stream::open(&bag, None).await;
    client.get("/api/library/events").await.expect_status(503);
}

#[tokio::test]
async fn a_stop_ends_streams_at_once() {
    // `stop` waits for less than this.
    let bag = options().set("shutdown_seconds", 3600).start().await;
    let token = bag.token(&["Library.Read"]).await;
    let multiplexed =
        reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("a client");
    let mut healthy = [
        Stream::open(&bag, None).await,
        Stream::with(&multiplexed, &bag, &token, None).await,
        Stream::with(&multiplexed, &bag, &token, Some(0)).await,
    ];
    let status = bag.stop().await;
    assert!(status.success(), "{}", bag.logs());
    for stream in &mut healthy {
        stream.ends_well().await;
    }
}

/// Changes of which each is told in about 20 KiB.
async fn long_events(bag: &crate::support::server::Jumpbag, count: usize) {
    let client = bag.client().await;
    let instructions = "x".repeat(16 * 1024);
    bag.upload("long.ps1", "x").field("Instructions", &instructions).await.expect_status(200);
    for number in 0..count {
        client.upload("long.ps1", format!("{number}")).override_if_exists().await.expect_status(200);
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_readers_that_have_stopped_reading() {
    let bag = options().set("shutdown_seconds", 3600).start().await;
    let token = bag.token(&["Library.Read"]).await;
    long_events(&bag, 600).await;
    let mut stalled = Raw::connect(&bag.url()).await;
    stalled
        .send(format!(
            "GET /api/library/events?after=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
        ))
        .await
        .expect("an open connection");
    let narrow = reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .http2_initial_stream_window_size(65_535)
        .build()
        .expect("a client");
    let multiplexed = Stream::with(&narrow, &bag, &token, Some(0)).await;
    let status = bag.stop().await;
    assert!(status.success(), "{}", bag.logs());
    drop((stalled, multiplexed));
}

/// What the server holds in memory, in bytes.
fn resident(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

#[tokio::test]
async fn slow_readers_cost_little_and_miss_nothing() {
    const READERS: usize = 40;
    const EVENTS: usize = 400;
    let bag = options().start().await;
    let token = bag.token(&["Library.Read"]).await;
    let narrow = reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .http2_initial_stream_window_size(65_535)
        .build()
        .expect("a client");
    let mut slow = join_all((0..READERS).map(|_| Stream::with(&narrow, &bag, &token, None))).await;
    let mut quick = Stream::with(&plain_http(), &bag, &token, None).await;
    long_events(&bag, 20).await;
    let before = resident(bag.process_id());
    let ((), read) = tokio::join!(long_events_more(&bag, EVENTS), quick.take(EVENTS + 21));
    // Held for every reader, it would be 320 MB.
    let grown = resident(bag.process_id()).saturating_sub(before);
    assert!(grown < 100 << 20, "{grown} bytes more");
    for stream in &mut slow[..2] {
        assert_eq!(stream.take(read.len()).await, read);
    }
}

async fn long_events_more(bag: &crate::support::server::Jumpbag, count: usize) {
    let client = bag.client().await;
    for number in 0..count {
        client.upload("long.ps1", format!("more {number}")).override_if_exists().await.expect_status(200);
    }
}
