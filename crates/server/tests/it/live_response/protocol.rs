//! What the server makes of what a machine says of its own work, when it says it too early, twice, or wrongly.

use jumpbag_wire::agent::{Chunk, CommandId, Stream};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::played::{Line, Played};
use super::{act, cancel, operator, options, reaches, script, show};
use crate::support::client::Client;
use crate::support::server::Jumpbag;

/// A machine that was told to run a script.
async fn told(bag: &Jumpbag, client: &Client) -> (Played, Line, String) {
    client.upload("a.sh", "x").override_if_exists().await.expect_status(200);
    let played = Played::enrolled(bag).await;
    let action = act(client, &played.machine, &[script("a.sh"), script("a.sh")]).await;
    let mut line = played.connected(bag).await;
    line.hear().await.expect("an assignment");
    (played, line, action)
}

fn started(action: &str, index: u32) -> Value {
    json!({ "type": "started", "command": { "action": action, "index": index }, "time": "2024-01-01T00:00:00Z" })
}

fn finished(action: &str, index: u32, output: Value) -> Value {
    let outcome = json!({
        "succeeded": true, "exitCode": 0, "errors": [], "started": null, "ended": "2024-01-01T00:00:00Z", "output": output,
    });
    json!({ "type": "finished", "command": { "action": action, "index": index }, "outcome": outcome })
}

fn end(stream: &str, text: &str) -> Value {
    let digest: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "stream": stream, "size": text.len(), "sha256": digest })
}

fn piece(action: &str, stream: Stream, offset: u64, text: &str) -> Vec<u8> {
    let command = CommandId { action: action.to_owned(), index: 0 };
    let data = text.as_bytes().to_vec().into();
    Chunk { command, stream: Some(stream), offset, data }.write().expect("a frame")
}

fn about(kind: &str, action: &str, index: u32) -> Value {
    json!({ "type": kind, "command": { "action": action, "index": index } })
}

#[tokio::test]
async fn a_command_that_was_not_assigned_yet_has_no_end() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    let (_, mut line, action) = told(&bag, &client).await;
    let before = show(&client, &action).await;
    for index in [1, 2, u32::MAX] {
        line.say(&finished(&action, index, json!([]))).await;
        assert_eq!(line.hear().await, Ok(about("recorded", &action, index)));
        for message in [
            started(&action, index),
            json!({ "type": "fetch", "command": { "action": action, "index": index }, "offset": 0 }),
        ] {
            line.say(&message).await;
            assert_eq!(line.hear().await, Ok(about("cancel", &action, index)));
        }
    }
    assert_eq!(show(&client, &action).await, before);
    line.say(&finished(&action, 0, json!([]))).await;
    assert_eq!(line.hear().await, Ok(about("recorded", &action, 0)));
    assert_eq!(line.hear().await.expect("the next")["type"], "assign");
    line.say(&finished(&action, 1, json!([]))).await;
    assert_eq!(line.hear().await, Ok(about("recorded", &action, 1)));
    reaches(&client, &action, "Succeeded").await;
}

#[tokio::test]
async fn what_began_on_an_earlier_connection_is_cancelled_at_once() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    let (played, mut line, action) = told(&bag, &client).await;
    line.say(&started(&action, 0)).await;
    reaches(&client, &action, "InProgress").await;
    let mut line = played.connected(&bag).await;
    line.say(&started(&action, 0)).await;
    line.frame(9, b"").await;
    assert_eq!(line.heard().await, Ok((10, Vec::new())), "nothing is to be said");
    cancel(&client, &action).await.expect_status(200);
    assert_eq!(line.hear().await, Ok(about("cancel", &action, 0)));
}

#[tokio::test]
async fn output_that_is_not_what_the_machine_had_is_not_told_as_whole() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    let none = json!([]);
    let changed = json!([end("stdout", "hellO")]);
    let more_here = json!([end("stdout", "hell")]);
    let other = json!([end("stdout", "hello"), end("stderr", "")]);
    for (told_of, fails) in [
        (json!([end("stdout", "hello")]), false),
        (other, false),
        (changed, true),
        (more_here, true),
        (none, true),
    ] {
        for connections in [1, 2] {
            let (played, mut line, action) = told(&bag, &client).await;
            line.frame(2, &piece(&action, Stream::Stdout, 0, "hel")).await;
            line.hear().await.expect("how much is kept");
            if connections == 2 {
                line = played.connected(&bag).await;
                line.hear().await.expect("the assignment");
            }
            line.frame(2, &piece(&action, Stream::Stdout, 3, "lo")).await;
            line.hear().await.expect("how much is kept");
            line.say(&finished(&action, 0, told_of.clone())).await;
            assert_eq!(line.hear().await, Ok(about("recorded", &action, 0)), "{told_of}");
            let shown = show(&client, &action).await;
            let (command, errors) = (&shown["commands"][0], &shown["commands"][0]["errors"]);
            assert_eq!(command["commandStatus"], if fails { "Failed" } else { "Completed" }, "{told_of}");
            assert_eq!(shown["status"], if fails { "Failed" } else { "InProgress" }, "{told_of}");
            assert_eq!(errors.to_string().contains("is not what the machine had"), fails, "{errors}");
            // What is here is told.
            let result = super::result(&bag, &client, &action, 0).await.json();
            assert_eq!(result["script_output"], "hello");
            cancel(&client, &action).await.expect_status(200);
        }
    }
}

#[tokio::test]
async fn an_end_that_makes_no_sense_is_none_and_long_errors_are_cut() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    let (played, mut line, action) = told(&bag, &client).await;
    line.say(&finished(&action, 0, json!([end("stdout", ""), end("stdout", "")]))).await;
    assert_eq!(line.hear().await, Err(4400));
    let mut line = played.connected(&bag).await;
    line.hear().await.expect("the assignment");
    let mut long = finished(&action, 0, json!([]));
    long["outcome"]["succeeded"] = json!(false);
    long["outcome"]["errors"] = json!(vec!["é".repeat(2100); 60]);
    line.say(&long).await;
    assert_eq!(line.hear().await, Ok(about("recorded", &action, 0)));
    let errors = show(&client, &action).await["commands"][0]["errors"].clone();
    assert_eq!(
        (errors.as_array().expect("errors").len(), errors[0].as_str()),
        (50, Some(&*"é".repeat(2000)))
    );
}
