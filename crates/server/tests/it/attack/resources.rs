//! Many, slow and enormous things: others are still answered, and memory stays within its bounds.

use std::time::Duration;

use super::frames::Http2;
use crate::support::SOON;
use crate::support::raw::{Ended, Raw};
use crate::support::server::Jumpbag;

/// The most memory the server has ever had, in MiB.
fn peak(bag: &Jumpbag) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", bag.process_id())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

const MOST: u64 = 200;

/// The head of an upload and the beginning of its one part.
fn upload_head(token: &str, framing: &str) -> String {
    format!(
        "POST /api/libraryfiles HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n{framing}\r\n\r\n"
    )
}

async fn status_of(mut raw: Raw) -> u16 {
    raw.response(Duration::from_secs(120)).await.expect("an answer").status
}

#[tokio::test]
async fn heavy_wrong_boundaries_cost_no_memory() {
    const BYTES: usize = 20 << 20;
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let token = bag.token(&["Library.Manage"]).await;
    let head = upload_head(&token, &format!("Content-Length: {BYTES}"));
    let uploads = (0..64).map(|n| {
        // No boundary at all, and a part that never ends but looks like it at every turn.
        let (first, rest) = match n % 2 {
            0 => ("--c\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\n", "x".repeat(65_536)),
            _ => (
                "--b\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\n",
                "\r\n--".repeat(16_384),
            ),
        };
        let (url, head) = (bag.url(), head.clone());
        tokio::spawn(async move {
            let mut raw = Raw::connect(&url).await;
            raw.send(format!("{head}{first}")).await.expect("an open connection");
            let mut left = BYTES - first.len();
            while left > 0 {
                let piece = left.min(rest.len());
                raw.send(&rest.as_bytes()[..piece]).await.expect("the body is drained");
                left -= piece;
            }
            status_of(raw).await
        })
    });
    for status in futures_util::future::join_all(uploads).await {
        assert_eq!(status.expect("no panic"), 400);
    }
    assert!(peak(&bag) < MOST, "{} MiB", peak(&bag));
    assert!(bag.names().await.is_empty());
}

#[tokio::test]
async fn heavy_bodies_in_pieces_of_a_byte_cost_no_more_than_whole_ones() {
    let bag = Jumpbag::options().set("rate_limits", false).set("small_file_bytes", 0).start().await;
    let token = bag.token(&["Library.Manage"]).await;
    let head = upload_head(&token, "Transfer-Encoding: chunked");
    let pieces = "1\r\nx\r\n".repeat(100_000);
    let uploads = (0..64).map(|n| {
        let (url, head, pieces) = (bag.url(), head.clone(), pieces.clone());
        tokio::spawn(async move {
            let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
            let first = format!("--b\r\nContent-Disposition: form-data; name=file; filename={n}.bin\r\n\r\n");
            let mut raw = Raw::connect(&url).await;
            for piece in [&head, &chunk(&first), &pieces, &chunk("\r\n--b--\r\n"), "0\r\n\r\n"] {
                raw.send(piece).await.expect("an open connection");
            }
            status_of(raw).await
        })
    });
    for status in futures_util::future::join_all(uploads).await {
        assert_eq!(status.expect("no panic"), 200);
    }
    assert!(peak(&bag) < MOST, "{} MiB", peak(&bag));
    assert_eq!(bag.names().await.len(), 64);
}

#[tokio::test]
async fn whoever_never_says_which_protocol_is_hung_up_on() {
    let bag = Jumpbag::options().set("max_connections", 4).start().await;
    let mut silent = Vec::new();
    for beginning in ["", "P", "PRI * HTTP/2.0\r\n", "GET / HT"] {
        let mut raw = Raw::connect(&bag.url()).await;
        raw.send(beginning).await.expect("an open connection");
        silent.push(raw);
    }
    // All places are taken; somebody honest is served as soon as they are free again.
    let honest = bag.anonymous().get("/api");
    honest.await.expect_status(200);
    for raw in &mut silent {
        assert_eq!(raw.end(SOON).await, Ended::Closed);
    }
}

#[tokio::test]
async fn heavy_two_thousand_connections_leave_room_for_others() {
    let bag = Jumpbag::start().await;
    let token = bag.token(&["Library.Manage"]).await;
    let mut held = Vec::new();
    for n in 0..2_000 {
        let mut raw = Raw::connect(&bag.url()).await;
        // Some send nothing, some a part of a head, some a head without its body.
        let begin = match n % 3 {
            0 => String::new(),
            1 => format!("GET /api HTTP/1.1\r\nX: {}", "y".repeat(20_000)),
            _ => upload_head(&token, "Content-Length: 1000000").replace("Bearer ", "Bearer x"),
        };
        raw.send(begin).await.expect("an open connection");
        held.push(raw);
    }
    bag.list().await.expect_status(200);
    bag.upload("a.ps1", "1").await.expect_status(200);
    bag.ops("/readyz").await.expect_status(200);
    assert!(peak(&bag) < MOST, "{} MiB", peak(&bag));
    drop(held);
    bag.list().await.expect_status(200);
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_again_and_again_end_their_connection() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let token = bag.token(&["Library.Manage"]).await;
    let mut storm = Http2::connect(&bag.url(), None).await;
    let mut sent = 0;
    while sent < 20_000 && storm.get_and_reset("/api/libraryfiles", &token).await.is_ok() {
        sent += 1;
    }
    assert!(storm.was_told_to_go_away().await, "after {sent} resets");
    bag.list().await.expect_status(200);
    assert!(peak(&bag) < MOST, "{} MiB", peak(&bag));
}

#[tokio::test]
async fn streams_without_a_window_hold_up_nobody_else() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let token = bag.token(&["Library.Manage"]).await;
    for n in 0..150 {
        bag.upload(&format!("{n}.ps1"), "1").description(&"d".repeat(4_000)).await.expect_status(200);
    }
    let mut held = Vec::new();
    for _ in 0..20 {
        let mut starved = Http2::connect(&bag.url(), Some(0)).await;
        // One list for all, which is held once however many wait for it.
        for _ in 0..64 {
            starved.get("/api/libraryfiles", &token).await.expect("an open connection");
        }
        held.push(starved);
    }
    bag.list().await.expect_status(200);
    bag.delete("0.ps1").await.expect_status(204);
    assert!(peak(&bag) < MOST, "{} MiB", peak(&bag));
}

#[tokio::test]
async fn downloads_that_nobody_takes_end_and_hold_up_nobody_for_long() {
    const BYTES: usize = 2 << 20;
    let bag = Jumpbag::options().set("rate_limits", false).set("body_idle_seconds", 1).start().await;
    let token = bag.token(&["Library.Manage"]).await;
    bag.upload("a.bin", vec![b'x'; BYTES]).await.expect_status(200);
    for window in [0, 1] {
        let mut held = Vec::new();
        for _ in 0..8 {
            let mut starved = Http2::connect(&bag.url(), Some(window)).await;
            for _ in 0..64 {
                // Whoever is slow to ask may be hung up on meanwhile.
                let _ = starved.get("/api/libraryfiles/a.bin/content", &token).await;
            }
            held.push(starved);
        }
        // They have all the memory there is, until they are hung up on: this one waits, and is not refused.
        let content = bag.client().await.get("/api/libraryfiles/a.bin/content").await.expect_status(200);
        assert_eq!(content.body.len(), BYTES);
        bag.logged(&["WARN", "a download is not taken"]).await;
        assert!(peak(&bag) < MOST, "{} MiB", peak(&bag));
    }
}
