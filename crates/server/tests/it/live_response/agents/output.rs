//! Whatever a script puts out arrives as it was: any bytes, any amount, on either stream, however the script ends.
//!
//! `TEST_OUTPUT_BYTES` (100,000,000) is the size of the large one.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Rig;
use crate::live_response::agent::Agent;
use crate::live_response::{act, link, options, put_file, result, script, show};
use crate::support::client::Client;
use crate::support::poll::eventually_within;
use crate::support::server::Jumpbag;

async fn over(client: &Client, action: &str, within: Duration) -> Value {
    eventually_within(within, "it ends", async || {
        let shown = show(client, action).await;
        (!["Pending", "InProgress"].contains(&shown["status"].as_str().expect("a status"))).then_some(shown)
    })
    .await
}

/// Puts a file on the machine and runs a script; both streams, and the action.
async fn put_out(
    rig: &Rig,
    client: &Client,
    agent: &Agent,
    data: &[u8],
    text: &str,
) -> (Vec<u8>, Vec<u8>, Value) {
    for (name, content) in [("data", data), ("a.sh", text.as_bytes())] {
        client.upload(name, content.to_vec()).override_if_exists().await.expect_status(200);
    }
    let action = act(client, &agent.machine, &[put_file("data"), script("a.sh")]).await;
    let shown = over(client, &action, Duration::from_secs(60)).await;
    let read = async |stream: &str| {
        let path = format!("/api/machineactions/{action}/commands/1/{stream}");
        client.get(&path).await.expect_status(200).body.to_vec()
    };
    let (stdout, stderr) = (read("stdout").await, read("stderr").await);
    let told = result(&rig.bag, client, &action, 1).await.json();
    assert_eq!(told["script_output"], *String::from_utf8_lossy(&stdout), "{text}");
    assert_eq!(told["script_errors"], *String::from_utf8_lossy(&stderr), "{text}");
    assert_eq!(told["exit_code"], shown["commands"][1]["exitCode"].as_i64().unwrap_or(-1), "{text}");
    (stdout, stderr, shown)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn any_bytes_arrive_as_they_were() {
    let rig = Rig::start(options()).await;
    let agent = rig.agent().await;
    let client = rig.operator().await;
    let every: Vec<u8> = (0..=255_u8).cycle().take(700_001).collect();
    let broken = [b"\xff\xfe\xc3(\xe2\x82".as_slice(), "é𝄞".as_bytes(), b"\xf0\x9d"].concat().repeat(9000);
    let random: Vec<u8> =
        (0..200_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    for data in [vec![0], vec![b'\n'], vec![0; 300_000], every, broken, random] {
        for (text, on_stdout, on_stderr) in [
            ("cat \"$JUMPBAG_FILES/data\"", true, false),
            ("cat \"$JUMPBAG_FILES/data\" >&2", false, true),
            ("cat \"$JUMPBAG_FILES/data\"; cat \"$JUMPBAG_FILES/data\" >&2", true, true),
        ] {
            let (stdout, stderr, shown) =
                put_out(&rig, &client, &agent, &data, &format!("#!/bin/sh\n{text}\n")).await;
            let wanted = |there: bool| if there { data.as_slice() } else { b"" };
            assert_eq!(shown["status"], "Succeeded", "{shown}");
            assert_eq!(
                (stdout.len(), sha256(&stdout)),
                (wanted(on_stdout).len(), sha256(wanted(on_stdout))),
                "{text}"
            );
            assert_eq!(
                (stderr.len(), sha256(&stderr)),
                (wanted(on_stderr).len(), sha256(wanted(on_stderr))),
                "{text}"
            );
        }
    }
}

#[tokio::test]
async fn scripts_end_as_they_end() {
    let rig = Rig::start(options()).await;
    let agent = rig.agent().await;
    let client = rig.operator().await;
    let lines = |count: u32, prefix: &str| (1..=count).map(|n| format!("{prefix}{n}\n")).collect::<String>();
    let interleaved = "i=1; while [ $i -le 3000 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done";
    for (text, stdout, stderr, exit_code, error) in [
        (":", String::new(), String::new(), Some(0), ""),
        ("exit 1", String::new(), String::new(), Some(1), "exit code 1"),
        ("echo bye; exit 255", "bye\n".into(), String::new(), Some(255), "exit code 255"),
        ("echo bye >&2; kill -9 $$", String::new(), "bye\n".into(), None, "signal 9"),
        ("printf half; kill -TERM $$", "half".into(), String::new(), None, "signal 15"),
        ("kill -SEGV $$", String::new(), String::new(), None, "signal 11"),
        (interleaved, lines(3000, "o"), lines(3000, "e"), Some(0), ""),
        ("seq 1 1000000", lines(1_000_000, ""), String::new(), Some(0), ""),
        // What is closed is not there, and what writes on after the script's end is ended.
        ("exec >&-; echo x 2>/dev/null; exit 0", String::new(), String::new(), Some(0), ""),
        ("echo a; (while :; do echo b >/dev/null; done) & exit 0", "a\n".into(), String::new(), Some(0), ""),
    ] {
        let put = put_out(&rig, &client, &agent, b"x", &format!("#!/bin/sh\n{text}\n")).await;
        let (told_out, told_err, shown) = put;
        assert!(told_out == stdout.as_bytes(), "{text}: {} bytes", told_out.len());
        assert!(told_err == stderr.as_bytes(), "{text}: {} bytes", told_err.len());
        let command = &shown["commands"][1];
        assert_eq!(command["exitCode"], json!(exit_code), "{text}");
        assert_eq!(shown["status"], if error.is_empty() { "Succeeded" } else { "Failed" }, "{text}");
        let errors = command["errors"].as_array().expect("errors");
        assert_eq!(errors.is_empty(), error.is_empty(), "{text}: {errors:?}");
        assert!(
            errors.iter().all(|told| told.as_str().is_some_and(|told| told.contains(error))),
            "{text}: {errors:?}"
        );
    }
}

/// The most memory that a process ever had, in MiB.
fn most_memory(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

#[tokio::test]
async fn heavy_a_flood_without_an_end_of_line_arrives_whole_and_fills_no_memory() {
    let size: u64 = std::env::var("TEST_OUTPUT_BYTES")
        .map_or(100_000_000, |text| text.parse().expect("`TEST_OUTPUT_BYTES` is a number"));
    let rig = Rig::start(options()).await;
    let agent = rig.agent().await;
    let client = rig.operator().await;
    // No piece of it is like another.
    let text = format!("#!/bin/sh\nseq 1 1000000000 | tr '\\n' ' ' | head -c {size}\n");
    client.upload("flood.sh", text).await.expect_status(200);
    let begun = Instant::now();
    let action = act(&client, &agent.machine, &[script("flood.sh")]).await;
    let shown = over(&client, &action, Duration::from_secs(500)).await;
    let took = begun.elapsed();
    assert_eq!(shown["status"], "Succeeded", "{shown}");
    let wanted = flood(size);
    let path = format!("/api/machineactions/{action}/commands/0/stdout");
    let told = digest(&rig.bag, &path, true).await;
    assert_eq!(told, (size, wanted));
    // The JSON around it, and nothing else, is more.
    let path = link(&client, &action, 0).await;
    let (length, _) = digest(&rig.bag, &path, false).await;
    let around =
        "{\"script_name\":\"flood.sh\",\"exit_code\":0,\"script_output\":\"\",\"script_errors\":\"\"}";
    assert_eq!(length, size + around.len() as u64);
    let (server, agent) = (most_memory(rig.bag.process_id()), most_memory(agent.process().id()));
    let speed = size as f64 / 1e6 / took.as_secs_f64();
    let pieces = std::fs::read_dir(rig.bag.data_dir().join("blobs")).expect("blobs").count();
    eprintln!(
        "{size} bytes in {took:?}, {pieces} pieces: {speed:.1} MB/s; at most server {server} MiB, agent {agent} MiB"
    );
    assert!(server < 200 && agent < 60, "server {server} MiB, agent {agent} MiB");
}

/// The digest of what the script puts out.
fn flood(size: u64) -> String {
    let (mut hash, mut left) = (Sha256::new(), usize::try_from(size).expect("a size"));
    let mut number = 0_u64;
    while left > 0 {
        let mut piece = Vec::with_capacity(1 << 20);
        while piece.len() < (1 << 20) - 16 {
            number += 1;
            piece.extend_from_slice(number.to_string().as_bytes());
            piece.push(b' ');
        }
        piece.truncate(left);
        left -= piece.len();
        hash.update(&piece);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How much comes from an address, and its digest, piece by piece.
async fn digest(bag: &Jumpbag, path: &str, with_token: bool) -> (u64, String) {
    crate::support::install_crypto();
    let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
    let mut request = http.get(format!("{}{path}", bag.url()));
    if with_token {
        request = request.bearer_auth(bag.token(&["Machine.LiveResponse"]).await);
    }
    let mut response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let (mut size, mut hash) = (0, Sha256::new());
    while let Some(piece) = response.chunk().await.expect("the whole answer") {
        size += piece.len() as u64;
        hash.update(&piece);
    }
    (size, hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
