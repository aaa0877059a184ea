//! Who must not get in, and what a machine that is in must not do to others.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jumpbag_server::catalog::{Catalog, CatalogError};
use jumpbag_wire::agent::{Chunk, CommandId, Stream, assignment_text, connect_text, enroll_text};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::agent::{Agent, paste};
use super::played::{Line, Played, token};
use super::{act, get_file, line, operator, options, put_file, refusals, show};
use crate::support::poll::eventually;
use crate::support::server::Jumpbag;

#[tokio::test]
async fn an_enrolment_lets_in_as_many_as_it_says_and_no_longer() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let once = line(&bag, &[]).await;
    let (status, _, stderr) = paste(&once, &folder.path().join("1")).await;
    assert!(status.success(), "{stderr}");
    let (status, _, stderr) = paste(&once, &folder.path().join("2")).await;
    assert!(!status.success() && stderr.contains("used up"), "{stderr}");
    let expired = token(&line(&bag, &["--uses", "9"]).await);
    expire(&bag).await;
    let (status, stdout, stderr) = bag.command(&["enroll", "create", "--json"]).await;
    assert!(status.success(), "{stderr}");
    let made: Value = serde_json::from_str(&stdout).expect("JSON");
    let id = made["id"].as_str().expect("an id");
    let (status, listed, _) = bag.command(&["enroll", "list"]).await;
    assert!(status.success() && listed.contains(id), "{listed}");
    assert!(bag.command(&["enroll", "revoke", id]).await.0.success());
    assert!(!bag.command(&["enroll", "revoke", id]).await.0.success(), "there is none any more");
    let revoked = token(made["token"].as_str().expect("a token"));
    for token in [expired, revoked, token(&once), "nonsense".into(), String::new()] {
        let answer = Played::new().ask_in(&bag, &token, None).await.expect_status(403);
        assert_eq!(answer.error_code(), "Forbidden");
    }
    let told = refusals(&client).await;
    assert_eq!(told.len(), 6, "{told:?}");
    assert!(told.iter().all(|why| why.contains("the token does not count")), "{told:?}");
    assert!(!client.get("/api/audit").await.text().contains(&token(&once)), "no secret is in the log");
    assert_eq!(client.get("/api/machines").await.value().len(), 1);
}

/// Lets all that is there expire.
async fn expire(bag: &Jumpbag) {
    let catalog =
        Catalog::open_sqlite(&bag.data_dir().join("catalog.db")).await.expect("the server's catalog");
    let sql = "update enrollments set expires_at = 1";
    let changed: Result<u64, CatalogError> =
        catalog.write(move |tx| Box::pin(async move { tx.execute(sql, &[]).await })).await;
    assert!(changed.expect("a change") > 0);
}

#[tokio::test]
async fn a_key_comes_in_once_and_only_with_its_own_signature() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    let token = token(&line(&bag, &["--uses", "5"]).await);
    let (played, other) = (Played::new(), Played::new());
    let text = enroll_text(&token, &played.public());
    for signature in [other.sign(&text), played.sign("x"), played.sign(&enroll_text("x", &played.public()))] {
        played.ask_in(&bag, &token, Some(signature)).await.expect_status(403);
    }
    played.ask_in(&bag, &token, Some("no base64!".into())).await.expect_status(400);
    played.ask_in(&bag, &token, None).await.expect_status(200);
    let again = played.ask_in(&bag, &token, None).await.expect_status(403);
    assert!(again.error_message().contains("known already"), "{}", again.error_message());
    let told = refusals(&client).await;
    assert_eq!(told.len(), 2, "the same reason is written down once a minute: {told:?}");
    assert!(told.contains(&again.error_message()), "{told:?}");
    assert!(told.contains(&"the signature is not one of the public key".to_owned()), "{told:?}");
    assert_eq!(client.get("/api/machines").await.value().len(), 1);
}

#[tokio::test]
async fn who_cannot_prove_to_be_a_machine_is_cut_off() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    let (one, two) = (Played::enrolled(&bag).await, Played::enrolled(&bag).await);
    // Another machine's id, an id that is none, and a proof that was meant for another server.
    let stranger = BASE64.encode([7; 32]);
    for (machine, key) in [
        (&two.machine, &one.server_key),
        (&"0".repeat(40), &one.server_key),
        (&String::new(), &one.server_key),
        (&one.machine, &stranger),
    ] {
        assert_eq!(one.claims(&bag, machine, key).await.hear().await, Err(4403), "{machine}");
    }
    // A proof that was heard on another connection.
    let mut line = Line::open(&bag).await;
    let nonce = line.hear().await.expect("the server's word")["nonce"].clone();
    let replayed =
        one.sign(&connect_text(nonce.as_str().expect("a nonce"), &one.machine, &one.server_key, &[]));
    let mut second = Line::open(&bag).await;
    second.hear().await.expect("the server's word");
    second.prove(&one.machine, &[], &replayed).await;
    assert_eq!(second.hear().await, Err(4403));
    assert_eq!(refusals(&client).await.len(), 4, "once a minute for the same machine");
    // Something else than a proof.
    for message in [
        json!({ "type": "started", "command": { "action": "a", "index": 0 }, "time": "2024-01-01T00:00:00Z" }),
        json!(7),
    ] {
        let mut line = Line::open(&bag).await;
        line.hear().await.expect("the server's word");
        line.say(&message).await;
        assert!(line.hear().await.is_err_and(|code| code >= 4400), "{message}");
    }
    one.connected(&bag).await;
}

#[tokio::test]
async fn more_agents_than_there_is_room_for_wait_outside_and_clients_do_not() {
    let bag = options().set("max_agents", 1).set("max_connections", 2).start().await;
    let played = Played::enrolled(&bag).await;
    let first = played.connected(&bag).await;
    for _ in 0..3 {
        assert_eq!(Line::knock(&bag).await.0, 503);
    }
    operator(&bag).await.get("/api/machines").await.expect_status(200);
    drop(first);
    eventually("there is room again", async || (Line::knock(&bag).await.0 == 101).then_some(())).await;
}

#[tokio::test]
async fn a_revoked_machine_is_cut_off_at_once() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    let (played, agent) = (Played::enrolled(&bag).await, Agent::enrolled(&bag, &[]).await);
    let action = super::act(&client, &played.machine, &[get_file("/x")]).await;
    let mut connection = played.connected(&bag).await;
    let (status, said, stderr) = bag.command(&["machines", "revoke", &played.machine]).await;
    assert!(status.success() && said.contains(&played.machine), "{stderr}");
    while connection.hear().await != Err(4403) {}
    // What it was to do is over.
    let over = super::reaches(&client, &action, "Cancelled").await;
    assert_eq!(over["cancellationComment"], "the machine was revoked");
    assert_eq!(played.claims(&bag, &played.machine, &played.server_key).await.hear().await, Err(4403));
    client.get(&format!("/api/machines/{}", played.machine)).await.expect_status(404);
    super::ask(&client, &played.machine, &[get_file("/x")]).await.expect_status(404);
    // Its key does not come in again, whoever holds a good token.
    played.ask_in(&bag, &token(&line(&bag, &[]).await), None).await.expect_status(403);
    assert_eq!(client.get("/api/machines").await.value().len(), 1);
    client.get(&format!("/api/machines/{}", agent.machine)).await.expect_status(200);
    let (status, _, stderr) = bag.command(&["machines", "revoke", &played.machine]).await;
    assert!(!status.success() && stderr.contains("was not found"), "{stderr}");
}

#[tokio::test]
async fn an_assignment_is_signed_for_one_machine() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    let played = Played::enrolled(&bag).await;
    let file = client.upload("a.txt", "abc").await.expect_status(200).json();
    let action = act(&client, &played.machine, &[put_file("a.txt")]).await;
    let mut line = played.connected(&bag).await;
    let assign = line.hear().await.expect("an assignment");
    assert_eq!(assign["type"], "assign");
    let text = assign["assignment"].as_str().expect("its text");
    let signature = BASE64.decode(assign["signature"].as_str().expect("a signature")).expect("base64");
    let key = UnparsedPublicKey::new(&ED25519, BASE64.decode(&played.server_key).expect("base64"));
    key.verify(assignment_text(text).as_bytes(), &signature).expect("the server's signature");
    assert!(key.verify(text.as_bytes(), &signature).is_err(), "of this text alone it is none");
    let assignment: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(
        (&assignment["machineId"], &assignment["command"]["action"]),
        (&json!(played.machine), &json!(action))
    );
    assert_eq!(assignment["content"], json!({ "name": "a.txt", "sha256": file["sha256"], "size": 3 }));
    assert_eq!(assignment["timeoutSeconds"], 600);
    // It is told again to whoever connects again.
    drop(line);
    let again = played.connected(&bag).await.hear().await.expect("an assignment");
    assert_eq!(again["assignment"], assign["assignment"]);
    // A connection that is there already is told at once when there is something to stop.
    let mut line = played.connected(&bag).await;
    line.hear().await.expect("an assignment");
    super::cancel(&client, &action).await.expect_status(200);
    assert_eq!(
        line.hear().await,
        Ok(json!({ "type": "cancel", "command": { "action": action, "index": 0 } }))
    );
}

fn outcome(output: Value) -> Value {
    json!({ "succeeded": true, "exitCode": 0, "errors": [], "started": null, "ended": "2024-01-01T00:00:00Z", "output": output })
}

#[tokio::test]
async fn a_machine_has_no_part_in_the_work_of_another() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    let (victim, thief) = (Played::enrolled(&bag).await, Played::enrolled(&bag).await);
    client.upload("secret.txt", "secret").await.expect_status(200);
    let action = act(&client, &victim.machine, &[put_file("secret.txt")]).await;
    let before = show(&client, &action).await;
    let command = json!({ "action": action, "index": 0 });
    let cancel = json!({ "type": "cancel", "command": command });
    let recorded = json!({ "type": "recorded", "command": command });
    let chunk = |stream| {
        let id = CommandId { action: action.clone(), index: 0 };
        Chunk { command: id, stream, offset: 0, data: "forged".into() }.write().expect("a frame")
    };
    // Twice: before the victim was told of it, and while the victim is at it.
    for told in [false, true] {
        let before = match told {
            true => {
                victim.connected(&bag).await.hear().await.expect("an assignment");
                show(&client, &action).await
            }
            false => before.clone(),
        };
        // What is said is what would be said of a command that is nowhere.
        let mut line = thief.connected(&bag).await;
        for (message, answer) in [
            (json!({ "type": "fetch", "command": command, "offset": 0 }), &cancel),
            (json!({ "type": "started", "command": command, "time": "2024-01-01T00:00:00Z" }), &cancel),
            (json!({ "type": "finished", "command": command, "outcome": outcome(json!([])) }), &recorded),
        ] {
            line.say(&message).await;
            assert_eq!(line.hear().await, Ok(answer.clone()), "{message}");
        }
        line.frame(2, &chunk(Some(Stream::Stdout))).await;
        assert_eq!(line.hear().await, Ok(cancel.clone()));
        line.frame(2, &chunk(None)).await;
        assert_eq!(line.hear().await, Err(4400), "content goes the other way");
        assert_eq!(show(&client, &action).await, before);
    }
    let output =
        client.get(&format!("/api/machineactions/{action}/commands/0/stdout")).await.expect_status(200);
    assert_eq!(output.text(), "");
}

#[tokio::test]
async fn a_result_counts_once_and_not_before_its_output_is_there() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    let played = Played::enrolled(&bag).await;
    client.upload("a.sh", "x").await.expect_status(200);
    let action = act(&client, &played.machine, &[super::script("a.sh")]).await;
    let command = json!({ "action": action, "index": 0 });
    let mut line = played.connected(&bag).await;
    line.hear().await.expect("an assignment");
    let digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let ends = json!([{ "stream": "stdout", "size": 5, "sha256": digest }]);
    let finished = json!({ "type": "finished", "command": command, "outcome": outcome(ends) });
    let kept =
        |offset: u64| json!({ "type": "kept", "command": command, "stream": "stdout", "offset": offset });
    line.say(&finished).await;
    assert_eq!(line.hear().await, Ok(kept(0)), "nothing of it is there");
    let chunk = |offset: u64, data: &'static str| {
        let id = CommandId { action: action.clone(), index: 0 };
        Chunk { command: id, stream: Some(Stream::Stdout), offset, data: data.into() }
            .write()
            .expect("a frame")
    };
    for (offset, data, durable) in
        [(1, "ello", 0), (0, "hel", 3), (0, "hel", 3), (2, "llo", 5), (0, "XXXXX", 5)]
    {
        line.frame(2, &chunk(offset, data)).await;
        assert_eq!(line.hear().await, Ok(kept(durable)), "{data} at {offset}");
    }
    line.say(&finished).await;
    let recorded = json!({ "type": "recorded", "command": command });
    assert_eq!(line.hear().await, Ok(recorded.clone()));
    let done = show(&client, &action).await;
    assert_eq!((&done["status"], &done["commands"][0]["exitCode"]), (&json!("Succeeded"), &json!(0)));
    // Told again, and otherwise: it stays as it is.
    let mut other = finished.clone();
    other["outcome"]["exitCode"] = json!(9);
    line.say(&other).await;
    assert_eq!(line.hear().await, Ok(recorded));
    line.frame(2, &chunk(5, "more")).await;
    assert_eq!(line.hear().await, Ok(kept(5)));
    assert_eq!(show(&client, &action).await, done);
    assert_eq!(super::result(&bag, &client, &action, 0).await.json()["script_output"], "hello");
}

#[tokio::test]
async fn messages_that_make_no_sense_end_the_connection() {
    let bag = options().start().await;
    let played = Played::enrolled(&bag).await;
    let large = format!("{{\"type\":\"fetch\",\"x\":\"{}\"}}", "x".repeat(600_000));
    for (kind, payload) in [
        (1, "{}".as_bytes()),
        (1, b"nonsense"),
        (1, b"{\"type\":\"reboot\"}"),
        (1, b"\xff"),
        (2, b""),
        (2, &[9; 40]),
        (1, large.as_bytes()),
    ] {
        let mut line = played.connected(&bag).await;
        line.frame(kind, payload).await;
        assert!(line.hear().await.is_err(), "{kind}: {} bytes", payload.len());
    }
    // The server is well, and lets the machine in again.
    played.connected(&bag).await;
}

/// All of it is there before the server looks at any of it.
#[tokio::test]
async fn output_that_comes_in_one_go_is_taken_apart_as_it_was_put_together() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    let played = Played::enrolled(&bag).await;
    client.upload("a.sh", "x").await.expect_status(200);
    let action = act(&client, &played.machine, &[super::script("a.sh")]).await;
    let mut line = played.connected(&bag).await;
    line.hear().await.expect("an assignment");
    let id = CommandId { action: action.clone(), index: 0 };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    for number in 0..40_u8 {
        let data = vec![b'a' + number % 26; 1 + usize::from(number) * 5000];
        let own = |stream, at: usize| (stream, at as u64, data.clone());
        // One that is there already, one behind a gap and one of another stream are no continuation.
        let said = [
            own(Stream::Stdout, stdout.len()),
            own(Stream::Stdout, stdout.len()),
            own(Stream::Stdout, 1 << 40),
            own(Stream::Stderr, stderr.len()),
            own(Stream::Stderr, stderr.len() + data.len()),
        ];
        stdout.extend_from_slice(&data);
        stderr.extend_from_slice(&data.repeat(2));
        for (stream, offset, data) in said {
            let chunk = Chunk { command: id.clone(), stream: Some(stream), offset, data: data.into() };
            line.frame(2, &chunk.write().expect("a frame")).await;
        }
    }
    let end = |stream: &str, bytes: &[u8]| json!({ "stream": stream, "size": bytes.len(), "sha256": sha256(bytes) });
    let ends = json!([end("stdout", &stdout), end("stderr", &stderr)]);
    let command = json!({ "action": action, "index": 0 });
    line.say(&json!({ "type": "finished", "command": command, "outcome": outcome(ends) })).await;
    while line.hear().await.expect("a word")["type"] != "recorded" {}
    assert_eq!(show(&client, &action).await["status"], "Succeeded");
    for (stream, wanted) in [("stdout", stdout), ("stderr", stderr)] {
        let path = format!("/api/machineactions/{action}/commands/0/{stream}");
        assert!(client.get(&path).await.expect_status(200).body == wanted, "{stream}");
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
