//! Who stands at the door and does not come in: what they are answered, how many may stand there, and for how long.

use jumpbag_wire::agent::{CONNECT_PATH, PROTOCOL};
use serde_json::json;

use super::played::{Line, Played, framed};
use super::{operator, options};
use crate::support::SOON;
use crate::support::poll::eventually;
use crate::support::raw::{Raw, RawResponse};
use crate::support::server::Jumpbag;

/// Connections from one address that may be unproven at a time.
const MOST: usize = 256;

/// What is answered to a request for a WebSocket with these header fields.
async fn upgrade(bag: &Jumpbag, fields: &str) -> RawResponse {
    let mut raw = Raw::connect(&bag.url()).await;
    let head = format!("GET {CONNECT_PATH} HTTP/1.1\r\nHost: bag.example\r\n{fields}\r\n");
    raw.send(head).await.expect("an open connection");
    // An upgrade has no body, and a refusal's is read.
    let mut answer = raw.head(SOON).await.expect("an answer");
    if answer.status != 101 {
        let length = answer.header("content-length").expect("a length").parse().expect("a number");
        answer.body = raw.bytes(SOON, length).await.expect("a body");
    }
    answer
}

const WEBSOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn whoever_asks_for_no_websocket_is_told_so() {
    let bag = options().start().await;
    let other_version = WEBSOCKET.replace(": 13", ": 12");
    for fields in [
        String::new(),
        other_version,
        WEBSOCKET.to_owned(),
        format!("{WEBSOCKET}Sec-WebSocket-Protocol: jumpbag-agent.v0, chat\r\n"),
    ] {
        let answer = upgrade(&bag, &fields).await;
        assert_eq!((answer.status, answer.header("upgrade")), (426, Some("websocket")), "{fields}");
        assert_eq!(answer.json()["error"]["code"], "BadRequest", "{fields}");
        assert_eq!(answer.json()["error"]["target"].as_str(), answer.header("request-id"), "{fields}");
    }
    let fine = format!("{WEBSOCKET}Sec-WebSocket-Protocol: chat, {PROTOCOL}\r\n");
    let answer = upgrade(&bag, &fine).await;
    assert_eq!((answer.status, answer.header("sec-websocket-protocol")), (101, Some(PROTOCOL)));
}

#[tokio::test]
async fn those_who_prove_nothing_are_few_and_do_not_stay() {
    let bag = options().start().await;
    let played = Played::enrolled(&bag).await;
    let mut inside = played.connected(&bag).await;
    let mut waiting = Vec::new();
    for _ in 0..MOST {
        waiting.push(Line::open(&bag).await);
    }
    let fields = format!("{WEBSOCKET}Sec-WebSocket-Protocol: {PROTOCOL}\r\n");
    let refused = upgrade(&bag, &fields).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert_eq!(refused.json()["error"]["code"], "ServiceUnavailable");
    // Everything else goes on, and a place that is left is free.
    inside.frame(9, b"are you there").await;
    assert_eq!(inside.heard().await, Ok((10, b"are you there".to_vec())));
    operator(&bag).await.get("/api/machines").await.expect_status(200);
    drop(waiting.pop());
    eventually("a place", async || (upgrade(&bag, &fields).await.status == 101).then_some(())).await;
    // One dribbles its proof, another pings, the others are silent: all have to go.
    waiting[0].raw(&framed(0x01, b"{\"type\":")).await;
    for _ in 0..3 {
        waiting[0].raw(&framed(0x00, b" ")).await;
        waiting[1].frame(9, b"").await;
    }
    for line in &mut waiting {
        let ended = loop {
            match line.heard().await {
                Ok(_) => {}
                Err(code) => break code,
            }
        };
        assert!([4403, 4408].contains(&ended), "{ended}");
    }
    played.connected(&bag).await;
}

#[tokio::test]
async fn who_is_refused_without_end_does_not_fill_the_audit_log() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    let (one, two) = (Played::enrolled(&bag).await, Played::enrolled(&bag).await);
    for _ in 0..30 {
        assert_eq!(one.claims(&bag, &two.machine, &one.server_key).await.hear().await, Err(4403));
    }
    assert_eq!(one.claims(&bag, &"0".repeat(40), &one.server_key).await.hear().await, Err(4403));
    let path = "/api/audit?$filter=action%20eq%20'machine.refuse'";
    let mut told: Vec<_> = client
        .get(path)
        .await
        .expect_status(200)
        .value()
        .iter()
        .map(|entry| {
            (entry["target"].as_str().expect("a machine").to_owned(), entry["after"]["leftOut"].clone())
        })
        .collect();
    told.sort_by_key(|(machine, _)| *machine != two.machine);
    // All within a minute, or just about: then the same is told twice.
    let left_out: u64 = told.iter().filter_map(|(_, left_out)| left_out.as_u64()).sum();
    assert!((2..=3).contains(&told.len()), "{told:?}");
    assert_eq!(left_out + told.len() as u64, 31, "{told:?}");
    assert_eq!(told[0].0, two.machine);
    assert_eq!(bag.logs().matches("an agent's connection ends").count(), 31, "the log has all of them");
    let wrong = json!("x").to_string();
    for _ in 0..30 {
        one.ask_in(&bag, &wrong, Some(two.sign("x"))).await.expect_status(403);
    }
    assert!(client.get(path).await.expect_status(200).value().len() <= told.len() + 2);
}
