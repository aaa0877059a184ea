//! Machines that say too much or take too little: the server stays small, and attends to everybody else.

use jumpbag_wire::agent::{Chunk, CommandId, Stream};
use serde_json::json;

use super::played::{Line, Played, framed};
use super::{act, cancel, operator, options, put_file, script, show};
use crate::support::client::Client;
use crate::support::server::Jumpbag;

const MIB: usize = 1 << 20;

/// Resident memory of the server in MiB.
fn resident(bag: &Jumpbag) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", bag.process_id())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

/// A machine with an assignment, and the command.
async fn assigned(bag: &Jumpbag, client: &Client, file: &str) -> (Played, Line, CommandId) {
    let played = Played::enrolled(bag).await;
    let action = act(client, &played.machine, &[put_file(file)]).await;
    let mut line = played.connected(bag).await;
    assert_eq!(line.hear().await.expect("an assignment")["type"], "assign");
    (played, line, CommandId { action, index: 0 })
}

fn fetch(command: &CommandId, offset: usize) -> Vec<u8> {
    let message = json!({ "type": "fetch", "command": command, "offset": offset });
    framed(0x81, message.to_string().as_bytes())
}

#[tokio::test]
async fn a_cancel_and_a_ping_do_not_wait_for_content() {
    let bag = options().set("max_file_bytes", 1 << 30).start().await;
    let client = operator(&bag).await;
    client.upload("big.bin", vec![7; 64 * MIB]).await.expect_status(200);
    let (_, mut line, command) = assigned(&bag, &client, "big.bin").await;
    line.raw(&fetch(&command, 0)).await;
    let (kind, first) = line.heard().await.expect("content");
    assert_eq!(kind, 2);
    assert_eq!(Chunk::read(first.into()).expect("a chunk").offset, 0);
    line.frame(9, b"ping").await;
    cancel(&client, &command.action).await.expect_status(200);
    // What the sockets hold comes first, and nothing after.
    let (mut content, mut pong, mut cancelled) = (0, false, false);
    while !(pong && cancelled) {
        match line.heard().await.expect("a frame") {
            (2, chunk) => {
                content += chunk.len();
                assert!(!cancelled, "content of a command that is not to be run");
            }
            (10, _) => pong = true,
            (1, text) => {
                let word: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
                assert_eq!(word, json!({ "type": "cancel", "command": command }));
                cancelled = true;
            }
            other => panic!("{other:?}"),
        }
        assert!(content < 32 * MIB, "the content went first");
    }
    // Whoever asks on for it is told again, and stays connected.
    line.raw(&fetch(&command, 0)).await;
    assert_eq!(line.hear().await, Ok(json!({ "type": "cancel", "command": command })));
    line.frame(9, b"").await;
    assert_eq!(line.heard().await, Ok((10, Vec::new())), "it is still there");
}

#[tokio::test]
async fn content_that_is_asked_for_ten_thousand_times_goes_once_at_a_time() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    let size = 3 * MIB + 7;
    let bytes: Vec<u8> = (0..size).map(|at| (at / 5) as u8).collect();
    client.upload("big.bin", bytes.clone()).await.expect_status(200);
    let (_, mut line, command) = assigned(&bag, &client, "big.bin").await;
    let before = resident(&bag);
    for _ in 0..100 {
        let many: Vec<u8> = (0..100).flat_map(|_| fetch(&command, 0)).collect();
        line.raw(&many).await;
    }
    for offset in [usize::MAX, size, size + 1] {
        line.raw(&fetch(&command, offset)).await;
    }
    line.raw(&fetch(&command, 5)).await;
    line.frame(9, b"").await;
    // The last one counts. Before it there may be some of the others.
    let (mut got, mut frames) = (Vec::new(), 0);
    while got.len() < size - 5 {
        let (kind, frame) = line.heard().await.expect("a frame");
        frames += 1;
        if kind == 2 {
            let chunk = Chunk::read(frame.into()).expect("a chunk");
            let at = chunk.offset as usize;
            assert_eq!(chunk.data, bytes[at..at + chunk.data.len()]);
            if at == 5 {
                got.clear();
            }
            if at == 5 + got.len() {
                got.extend_from_slice(&chunk.data);
            }
        }
    }
    let (after, once) = (resident(&bag), size / (64 * 1024));
    eprintln!("{frames} frames for 10,000 requests, {once} for one; {before} MiB before, {after} after");
    assert!(got == bytes[5..]);
    assert!(frames < 20 * once, "{frames} frames");
    assert!(after < before + 64, "{before} MiB before, {after} after");
}

#[tokio::test]
async fn machines_that_take_nothing_hold_little_and_only_one_connection() {
    let bag = options().set("max_file_bytes", 1 << 30).start().await;
    let client = operator(&bag).await;
    client.upload("big.bin", vec![7; 64 * MIB]).await.expect_status(200);
    let before = resident(&bag);
    let mut machines = Vec::new();
    for _ in 0..8 {
        let (played, mut line, command) = assigned(&bag, &client, "big.bin").await;
        line.raw(&fetch(&command, 0)).await;
        line.heard().await.expect("content");
        machines.push((played, line, command));
    }
    let many = resident(&bag);
    // One of them comes again, without taking anything: the one before answers no ping, and has to go.
    let (played, first, command) = &mut machines[0];
    let mut lines = Vec::new();
    for _ in 0..3 {
        let mut line = played.connected(&bag).await;
        assert_eq!(line.hear().await.expect("an assignment")["type"], "assign");
        line.raw(&fetch(command, 0)).await;
        line.heard().await.expect("content");
        lines.push(line);
    }
    let after = resident(&bag);
    eprintln!("{before} MiB; with 8 machines that take nothing {many}; with 4 connections of one {after}");
    assert!(after < before + 96, "{before} MiB before, {many} with 8 machines, {after} at the end");
    let last = lines.pop();
    for line in lines.iter_mut().chain([first]) {
        // What was on its way, then the end: cut off, or with the word for it.
        let mut content = 0;
        let code = loop {
            match line.heard().await {
                Ok((_, frame)) => content += frame.len(),
                Err(code) => break code,
            }
        };
        assert!([0, 4403].contains(&code) && content < 32 * MIB, "{code} after {content} bytes");
    }
    drop(last);
    assert_eq!(show(&client, &command.action).await["status"], "Pending");
}

#[tokio::test]
async fn pieces_at_impossible_places_are_not_kept() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    client.upload("a.sh", "x").await.expect_status(200);
    let played = Played::enrolled(&bag).await;
    let action = act(&client, &played.machine, &[script("a.sh")]).await;
    let mut line = played.connected(&bag).await;
    line.hear().await.expect("an assignment");
    let command = CommandId { action: action.clone(), index: 0 };
    let chunk = |offset: u64, data: &'static [u8]| {
        let stream = Some(Stream::Stdout);
        Chunk { command: command.clone(), stream, offset, data: data.into() }.write().expect("a frame")
    };
    let kept =
        |offset: u64| json!({ "type": "kept", "command": command, "stream": "stdout", "offset": offset });
    for (offset, data, durable) in [
        (u64::MAX, b"abc".as_slice(), 0),
        (u64::MAX - 1, b"abc", 0),
        (1 << 63, b"abc", 0),
        (0, b"", 0),
        (7, b"", 0),
        (0, b"abc", 3),
        (u64::MAX - 1, b"abc", 3),
        (u64::MAX, b"", 3),
        (3, b"", 3),
    ] {
        line.frame(2, &chunk(offset, data)).await;
        assert_eq!(line.hear().await, Ok(kept(durable)), "{} bytes at {offset}", data.len());
    }
    // Many small ones, and many of nothing: one answer each, in order, and no more memory.
    let before = resident(&bag);
    for round in 0..20 {
        let frames = (0..100).flat_map(|n| {
            [framed(0x82, &chunk(3 + round * 100 + n, b"x")), framed(0x82, &chunk(0, b""))].concat()
        });
        line.raw(&frames.collect::<Vec<u8>>()).await;
    }
    for n in 0..2000 {
        assert_eq!((line.hear().await, line.hear().await), (Ok(kept(4 + n)), Ok(kept(4 + n))));
    }
    let after = resident(&bag);
    assert!(after < before + 32, "{before} MiB before, {after} after");
    let path = format!("/api/machineactions/{action}/commands/0/stdout");
    assert_eq!(client.get(&path).await.expect_status(200).body.len(), 2003);
}

#[tokio::test]
async fn frames_that_no_agent_sends_end_the_connection_and_nothing_else() {
    let bag = options().start().await;
    let played = Played::enrolled(&bag).await;
    let nested = |depth: usize| format!("{{\"type\":\"fetch\",\"x\":{}", "[".repeat(depth));
    let compressed = framed(0xc1, b"\x00");
    let huge = [&[0x81, 0xff][..], &(1u64 << 40).to_be_bytes(), &[0; 4]].concat();
    let mut fragments = framed(0x01, b"\"");
    for _ in 0..5 {
        fragments.extend(framed(0x00, &vec![b' '; 64 * 1024]));
    }
    let unmasked = [&[0x81, 2][..], b"{}"].concat();
    for frames in [
        framed(0x81, nested(120).as_bytes()),
        framed(0x81, nested(250_000).as_bytes()),
        framed(0x81, format!("{{\"type\":\"{}\"}}", "x".repeat(200_000)).as_bytes()),
        compressed,
        huge,
        fragments,
        unmasked,
        framed(0x80, b"a continuation of nothing"),
        framed(0x83, b"a kind of its own"),
    ] {
        let mut line = played.connected(&bag).await;
        line.raw(&frames).await;
        assert!(line.hear().await.is_err(), "{:?}", &frames[..20.min(frames.len())]);
    }
    // What may come in parts may come in many.
    let mut line = played.connected(&bag).await;
    let message = json!({ "type": "fetch", "command": { "action": "none", "index": 0 }, "offset": 0 });
    let text = message.to_string();
    let mut frames = framed(0x01, b"");
    for byte in text.as_bytes() {
        frames.extend([framed(0x00, &[*byte]), framed(0x89, b"")].concat());
    }
    frames.extend(framed(0x80, b""));
    line.raw(&frames).await;
    assert_eq!(line.hear().await.expect("an answer")["type"], "cancel");
}
