//! Output as it comes: told piece by piece while a script runs, each byte once, to its end.

use serde_json::{Value, json};

use super::agent::{Agent, Pipe};
use super::{act, cancel, get_file, operator, options, reaches, script};
use crate::sign_in::{add_user, at_the_console};
use crate::support::client::Client;
use crate::support::postgres::postgres_database;
use crate::support::server::{Jumpbag, Options};
use crate::support::stream::Stream;

/// An event of the stream: its id, its type and its data.
#[derive(Debug, PartialEq)]
struct Told(String, String, Value);

async fn follow(client: &Client, action: &str, index: usize, after: Option<&str>) -> Stream {
    let path = format!("/api/machineactions/{action}/commands/{index}/output");
    let call = client.get(&path).with(|request| match after {
        Some(after) => request.header("Last-Event-ID", after),
        None => request,
    });
    Stream::of(call.response().await.expect("an answer"))
}

/// The next event; `None` at the end of the stream.
async fn next(stream: &mut Stream) -> Option<Told> {
    loop {
        let block = stream.block().await?;
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
        if let (Some(id), Some(kind), Some(data)) = (field("id: "), field("event: "), field("data: ")) {
            return Some(Told(id.into(), kind.into(), serde_json::from_str(data).expect("JSON")));
        }
    }
}

fn told(id: &str, kind: &str, data: Value) -> Option<Told> {
    Some(Told(id.into(), kind.into(), data))
}

/// A machine, somebody who may do everything, and a script that says something and then reads the pipe.
async fn waiting(options: Options) -> (Jumpbag, Agent, Client, Pipe, String) {
    let bag = options.start().await;
    let agent = Agent::running(&bag).await;
    let client = operator(&bag).await;
    let go = agent.pipe("go");
    // The pipe comes between the halves of a character.
    let text = format!(
        "#!/bin/bash\nprintf 'caf\\xc3'\ncat '{}' >/dev/null\nprintf '\\xa9\\n'\nprintf '\\xff\\x00' >&2\nexit 4\n",
        go.0
    );
    client.upload("wait.sh", text).await.expect_status(200);
    let action = act(&client, &agent.machine, &[script("wait.sh"), get_file("/x")]).await;
    (bag, agent, client, go, action)
}

async fn everything_is_told(options: Options) {
    let (_bag, _agent, client, go, action) = waiting(options).await;
    let mut stream = follow(&client, &action, 0, None).await;
    assert_eq!(stream.response.headers()["content-type"], "text/event-stream");
    assert_eq!(next(&mut stream).await, told("3-0", "stdout", json!({ "offset": 0, "text": "caf" })));
    go.write("go").await;
    let mut resumed = follow(&client, &action, 0, Some("3-0")).await;
    let ended = json!({
        "status": "Failed", "commandStatus": "Failed", "exitCode": 4, "errors": ["the script ended with exit code 4"],
    });
    for stream in [&mut stream, &mut resumed] {
        // Which of the two streams is told of first, nobody knows.
        let mut pieces = [next(stream).await, next(stream).await]
            .map(|piece| piece.map(|Told(_, kind, data)| (kind, data)).expect("a piece"));
        pieces.sort_by(|(one, _), (other, _)| one.cmp(other));
        let said = json!({ "offset": 3, "text": "é\n" });
        let complained = json!({ "offset": 0, "base64": "/wA=" });
        assert_eq!(pieces, [("stderr".to_owned(), complained), ("stdout".to_owned(), said)]);
        assert_eq!(next(stream).await, told("6-2", "end", ended.clone()));
        assert_eq!(next(stream).await, None);
    }
    // What was never begun has an end as well.
    let ended = json!({ "status": "Failed", "commandStatus": "Created", "exitCode": null, "errors": [] });
    let mut never = follow(&client, &action, 1, None).await;
    assert_eq!(next(&mut never).await, told("0-0", "end", ended));
}

#[tokio::test]
async fn output_is_told_as_it_comes() {
    everything_is_told(options()).await;
}

#[tokio::test]
async fn output_is_told_from_postgres() {
    let database = postgres_database().await;
    everything_is_told(options().set("database_url", &database.url)).await;
}

/// At the console too, where a cookie says who follows it, and with a script that says nothing for a while.
#[tokio::test]
async fn a_page_follows_output_to_its_end() {
    let (bag, _agent, _client, go, action) = waiting(options()).await;
    add_user(&bag, "ada", &["--permission", "Machine.Read"]).await;
    let browser = at_the_console(&bag, "ada").await;
    let mut stream = browser.listens(&format!("/api/machineactions/{action}/commands/0/output")).await;
    assert_eq!(next(&mut stream).await, told("3-0", "stdout", json!({ "offset": 0, "text": "caf" })));
    stream.idles().await;
    go.write("go").await;
    let mut kinds = Vec::new();
    while let Some(Told(_, kind, _)) = next(&mut stream).await {
        kinds.push(kind);
    }
    kinds.sort();
    assert_eq!(kinds, ["end", "stderr", "stdout"]);
}

#[tokio::test]
async fn a_stream_ends_when_the_action_is_cancelled_and_refuses_what_was_never_told() {
    let (bag, _agent, client, _go, action) = waiting(options()).await;
    let mut stream = follow(&client, &action, 0, None).await;
    assert_eq!(next(&mut stream).await.expect("the first output").1, "stdout");
    cancel(&client, &action).await.expect_status(200);
    // Half a character is told when nothing can complete it any more.
    assert_eq!(next(&mut stream).await, told("4-0", "stdout", json!({ "offset": 3, "base64": "ww==" })));
    let end = next(&mut stream).await.expect("the end");
    assert_eq!((end.1.as_str(), &end.2["status"]), ("end", &json!("Cancelled")));
    assert_eq!(next(&mut stream).await, None);
    reaches(&client, &action, "Cancelled").await;

    let base = format!("/api/machineactions/{action}/commands");
    for bad in ["9999-0", "0", "a-b", "-1-0", "0-0-0"] {
        let answer = client.get(&format!("{base}/0/output?after={bad}")).await.expect_status(400);
        assert!(answer.text().contains("`after` is `"), "{}", answer.text());
    }
    for nothing in ["2/output", "x/output", "-1/output"] {
        client.get(&format!("{base}/{nothing}")).await.expect_status(404);
    }
    let other = bag.caller(&["Library.Manage"]).await;
    other.get(&format!("{base}/0/output")).await.expect_status(403);
    bag.anonymous().get(&format!("{base}/0/output")).await.expect_status(401);
}
