//! A second machine with the same key, and a machine whose data folder was set back: refused, told, and let in again
//! when somebody says so.

use jumpbag_server::catalog::{Catalog, CatalogError};
use jumpbag_wire::agent::connect_text;
use serde_json::json;

use super::agent::Agent;
use super::played::{Line, Played};
use super::{act, operator, options, put_file, reaches, refusals};
use crate::support::client::Client;
use crate::support::poll::eventually;

const ALREADY: &str = "connected already";
const COPY: &str = "is a copy or was set back";

#[tokio::test]
async fn a_second_connection_is_refused_while_the_first_answers() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    let played = Played::enrolled(&bag).await;
    let mut first = played.connected(&bag).await;
    tell(&client, &played, &mut first).await;
    let second = async {
        let mut second = played.claims(&bag, &played.machine, &played.server_key).await;
        assert_eq!(second.hear().await, Err(4403));
    };
    tokio::select! {
        () = second => {}
        said = first.hear() => panic!("the first is told {said:?}"),
    }
    let told = refusals(&client).await;
    assert!(told.len() == 1 && told[0].contains(ALREADY), "{told:?}");
    // The first is there still.
    client.upload("a.txt", "a").await.expect_status(200);
    act(&client, &played.machine, &[put_file("a.txt")]).await;
    assert_eq!(first.hear().await.expect("an assignment")["type"], "assign");
}

#[tokio::test]
async fn a_connection_that_does_not_answer_is_replaced() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    let played = Played::enrolled(&bag).await;
    let mut silent = played.connected(&bag).await;
    client.upload("a.txt", "a").await.expect_status(200);
    act(&client, &played.machine, &[put_file("a.txt")]).await;
    assert_eq!(silent.hear().await.expect("an assignment")["type"], "assign");
    let mut second = played.connected(&bag).await;
    assert_eq!(second.hear().await.expect("an assignment")["type"], "assign");
    assert_eq!(silent.hear().await, Err(4403));
    assert!(refusals(&client).await.is_empty());
}

/// Does a command there that goes well.
async fn works(client: &Client, machine: &str) {
    let action = act(client, machine, &[put_file("a.txt")]).await;
    reaches(client, &action, "Succeeded").await;
}

#[tokio::test]
async fn a_copy_of_an_agent_that_runs_is_refused() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    client.upload("a.txt", "a").await.expect_status(200);
    let mut agent = Agent::running(&bag).await;
    works(&client, &agent.machine).await;
    let mut clone = agent.copied();
    clone.start();
    eventually("the copy is refused", async || {
        refusals(&client).await.iter().any(|why| why.contains(ALREADY)).then_some(())
    })
    .await;
    assert!(!agent.said().contains("closes the connection"), "{}", agent.said());
    works(&client, &agent.machine).await;
    // When the first is gone the copy is the machine; and then the first is the copy.
    agent.stop().await;
    works(&client, &agent.machine).await;
    clone.stop().await;
    agent.start();
    eventually("the first is refused", async || {
        refusals(&client).await.iter().any(|why| why.contains(COPY)).then_some(())
    })
    .await;
    eventually("it says why", async || agent.said().contains("enroll it with `--again`").then_some(())).await;
    // Unless somebody says that it is the right one.
    let (status, said, stderr) = bag.command(&["machines", "readmit", &agent.machine]).await;
    assert!(status.success() && said.contains(&agent.machine), "{stderr}");
    works(&client, &agent.machine).await;
    let entries = client.get("/api/audit?$filter=action%20eq%20'machine.readmit'").await.value();
    assert_eq!((entries.len(), &entries[0]["target"]), (1, &json!(agent.machine)));
    agent.stop().await;
    clone.start();
    let before = refusals(&client).await.len();
    eventually("the copy is refused again", async || refusals(&client).await.len().checked_sub(before + 1))
        .await;
}

#[tokio::test]
async fn wherever_a_connection_breaks_off_the_next_one_is_let_in() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    let played = Played::enrolled(&bag).await;
    // Before anything was confirmed: the token is lost on its way, or kept and not confirmed.
    drop(played.welcomed(&bag).await);
    let (line, welcome) = played.welcomed(&bag).await;
    assert_eq!(welcome["known"], json!(null));
    played.keep(&welcome);
    drop(line);
    tell(&client, &played, &mut played.connected(&bag).await).await;
    assert_eq!(played.tokens().len(), 2, "what was not confirmed, and what was");
    // The same once there is something to lose.
    let copied = {
        let mut line = played.connected(&bag).await;
        tell(&client, &played, &mut line).await;
        played.tokens()
    };
    assert_eq!(copied.len(), 2);
    drop(played.welcomed(&bag).await);
    for _ in 0..20 {
        let (line, welcome) = played.welcomed(&bag).await;
        assert_eq!(welcome["known"], json!(copied[1]));
        played.keep(&welcome);
        drop(line);
    }
    // Confirmed, and it is not known what became of it.
    let (mut line, welcome) = played.welcomed(&bag).await;
    played.keep(&welcome);
    line.confirm().await;
    tell(&client, &played, &mut line).await;
    drop(line);
    let (line, welcome) = played.welcomed(&bag).await;
    assert_eq!(welcome["known"].as_str(), played.tokens().last().map(String::as_str));
    drop(line);
    assert!(refusals(&client).await.is_empty());
    // And who comes with what there was before all this has an old folder.
    for old in [copied, Vec::new(), vec!["guessed".into()]] {
        played.set_tokens(old);
        let mut line = played.claims(&bag, &played.machine, &played.server_key).await;
        assert_eq!(line.hear().await, Err(4403));
    }
    let told = refusals(&client).await;
    // The same is written down once a minute.
    assert!((1..=2).contains(&told.len()) && told.iter().all(|why| why.contains(COPY)), "{told:?}");
    let (status, said, stderr) = bag.command(&["machines", "readmit", "--all"]).await;
    assert!(status.success() && said.contains("(1)"), "{stderr}");
    played.connected(&bag).await;
}

/// Returns when the connection is the machine's: it is assigned something, which then is cancelled.
async fn tell(client: &Client, played: &Played, line: &mut Line) {
    let action = act(client, &played.machine, &[super::get_file("/x")]).await;
    assert_eq!(line.hear().await.expect("an assignment")["type"], "assign");
    super::cancel(client, &action).await.expect_status(200);
    assert_eq!(line.hear().await.expect("a cancel")["type"], "cancel");
}

#[tokio::test]
async fn of_two_connections_at_once_one_is_the_machines() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    let played = Played::enrolled(&bag).await;
    let action = act(&client, &played.machine, &[super::get_file("/x")]).await;
    let (mut one, welcome) = played.welcomed(&bag).await;
    let (mut two, other) = played.welcomed(&bag).await;
    assert_ne!(welcome["next"], other["next"]);
    two.confirm().await;
    assert_eq!(two.hear().await.expect("an assignment")["type"], "assign");
    one.confirm().await;
    assert_eq!(one.hear().await, Err(4403));
    // Nothing is assigned before the token is confirmed, and nothing else is listened to.
    drop(two);
    played.keep(&other);
    let (mut hasty, _) = played.welcomed(&bag).await;
    let command = json!({ "action": action, "index": 0 });
    hasty.say(&json!({ "type": "started", "command": command, "time": "2024-01-01T00:00:00Z" })).await;
    assert_eq!(hasty.hear().await, Err(4403));
}

#[tokio::test]
async fn a_connection_whose_machine_moved_on_elsewhere_is_told_nothing() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    let played = Played::enrolled(&bag).await;
    let mut line = played.connected(&bag).await;
    tell(&client, &played, &mut line).await;
    // As another node would do it.
    let catalog =
        Catalog::open_sqlite(&bag.data_dir().join("catalog.db")).await.expect("the server's catalog");
    let sql = "update machines set lineage = 'elsewhere'";
    let changed: Result<u64, CatalogError> =
        catalog.write(move |tx| Box::pin(async move { tx.execute(sql, &[]).await })).await;
    assert_eq!(changed.expect("a change"), 1);
    act(&client, &played.machine, &[super::get_file("/x")]).await;
    assert_eq!(line.hear().await, Err(4403));
}

#[tokio::test]
async fn tokens_count_only_as_they_were_signed() {
    let bag = options().start().await;
    let played = Played::enrolled(&bag).await;
    drop(played.connected(&bag).await);
    let mut line = Line::open(&bag).await;
    let nonce = line.hear().await.expect("the server's word")["nonce"].clone();
    let nonce = nonce.as_str().expect("a nonce");
    let signature = played.sign(&connect_text(nonce, &played.machine, &played.server_key, &[]));
    line.prove(&played.machine, &played.tokens(), &signature).await;
    assert_eq!(line.hear().await, Err(4403));
}
