//! How many actions there may be, and how long they wait.

use serde_json::json;

use super::agent::Agent;
use super::{act, ask, cancel, get_file, operator, options, put_file, reaches, show};
use crate::support::poll::eventually;

both_databases!(
    a_machine_has_one_action_at_a_time,
    actions_may_queue_for_a_machine,
    so_many_sessions_are_open_and_no_more,
    an_action_that_waited_too_long_ends,
    a_script_has_so_much_time,
);

async fn a_machine_has_one_action_at_a_time() {
    let bag = options().start().await;
    let (one, two) = (Agent::enrolled(&bag, &[]).await, Agent::enrolled(&bag, &[]).await);
    assert_ne!(one.machine, two.machine, "two agents are two machines");
    let client = operator(&bag).await;
    let first = act(&client, &one.machine, &[get_file("/x")]).await;
    let refused = ask(&client, &one.machine, &[get_file("/x")]).await.expect_status(400);
    assert_eq!(refused.error_code(), "ActiveRequestAlreadyExists");
    assert!(refused.error_message().contains(&first), "{}", refused.error_message());
    act(&client, &two.machine, &[get_file("/x")]).await;
    assert_eq!(cancel(&client, &first).await.json()["status"], "Cancelled");
    act(&client, &one.machine, &[get_file("/x")]).await;
}

async fn actions_may_queue_for_a_machine() {
    let bag = options().set("queue_actions", true).start().await;
    let mut agent = Agent::enrolled(&bag, &[]).await;
    let client = operator(&bag).await;
    client.upload("a.txt", "a").await.expect_status(200);
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(act(&client, &agent.machine, &[put_file("a.txt")]).await);
    }
    agent.start();
    let mut ends = Vec::new();
    for action in &made {
        let done = reaches(&client, action, "Succeeded").await;
        ends.push(done["commands"][0]["endTime"].as_str().expect("a time").to_owned());
    }
    assert!(ends.is_sorted(), "in the order in which they were made: {ends:?}");
}

async fn so_many_sessions_are_open_and_no_more() {
    let bag = options().set("live_response_sessions", 2).start().await;
    let agents = [
        Agent::enrolled(&bag, &[]).await,
        Agent::enrolled(&bag, &[]).await,
        Agent::enrolled(&bag, &[]).await,
    ];
    let client = operator(&bag).await;
    let first = act(&client, &agents[0].machine, &[get_file("/x")]).await;
    act(&client, &agents[1].machine, &[get_file("/x")]).await;
    let refused = ask(&client, &agents[2].machine, &[get_file("/x")]).await.expect_status(429);
    assert_eq!(refused.error_code(), "TooManyRequests");
    assert!(refused.header("retry-after").is_some());
    cancel(&client, &first).await.expect_status(200);
    act(&client, &agents[2].machine, &[get_file("/x")]).await;
}

async fn an_action_that_waited_too_long_ends() {
    let bag = options().set("action_queue_seconds", 1).start().await;
    let mut agent = Agent::enrolled(&bag, &[]).await;
    let client = operator(&bag).await;
    let ran = agent.beside("ran");
    client.upload("a.sh", format!("#!/bin/sh\necho x > '{ran}'\n")).await.expect_status(200);
    let action = act(&client, &agent.machine, &[super::script("a.sh")]).await;
    let over = reaches(&client, &action, "TimeOut").await;
    assert_eq!(over["commands"][0]["commandStatus"], "Created");
    let entries =
        client.get("/api/audit?$filter=action%20eq%20'action.end'").await.expect_status(200).value();
    assert_eq!((entries.len(), &entries[0]["target"]), (1, &json!(action)));
    // It is free, and what it missed does not run later.
    agent.start();
    eventually("the machine is here", async || {
        let path = format!("/api/machines/{}", agent.machine);
        let machine = client.get(&path).await.expect_status(200).json();
        (machine["lastSeen"] != machine["firstSeen"]).then_some(())
    })
    .await;
    client.upload("a.txt", "a").await.expect_status(200);
    let next = act(&client, &agent.machine, &[put_file("a.txt")]).await;
    reaches(&client, &next, "Succeeded").await;
    assert_eq!(show(&client, &action).await["status"], "TimeOut");
    assert!(!std::path::Path::new(&ran).exists());
}

async fn a_script_has_so_much_time() {
    let bag = options().set("script_seconds", 1).start().await;
    let agent = Agent::running(&bag).await;
    let client = operator(&bag).await;
    client.upload("a.sh", "#!/bin/sh\necho begun\nsleep 1000\n").await.expect_status(200);
    let action = act(&client, &agent.machine, &[super::script("a.sh")]).await;
    let over = eventually("it ends", async || {
        let shown = show(&client, &action).await;
        shown["commands"][0]["endTime"].is_string().then_some(shown)
    })
    .await;
    assert_eq!(over["commands"][0]["commandStatus"], "Failed", "{over}");
    assert_eq!(super::result(&bag, &client, &action, 0).await.json()["script_output"], "begun\n");
}
