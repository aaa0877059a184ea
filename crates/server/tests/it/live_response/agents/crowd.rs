//! Several agents, and what they do when the server or the way to it is not what it was.

use std::io::Read as _;

use futures_util::future::join_all;
use jumpbag_server::catalog::{Catalog, CatalogError};
use serde_json::json;

use super::Rig;
use crate::live_response::agent::{Agent, paste};
use crate::live_response::{
    act, cancel, get_file, line, operator, options, param, reaches, refusals, result, script, show,
};
use crate::support::poll::eventually;

both_databases!(
    many_machines_work_at_once_each_on_its_own,
    a_machine_that_lost_its_network_goes_on_when_it_is_back
);

async fn many_machines_work_at_once_each_on_its_own() {
    let rig = Rig::start(options()).await;
    let client = rig.operator().await;
    let agents = join_all((0..5).map(|_| rig.agent())).await;
    // Each waits for a word of its own, and all of them at once.
    let text = "#!/bin/sh\npwd > \"$JUMPBAG_FILES/where.txt\"\necho $1\ncat \"$2\"\n";
    client.upload("wait.sh", text).await.expect_status(200);
    let (mut actions, mut words) = (Vec::new(), Vec::new());
    for agent in &agents {
        let go = agent.pipe("go");
        let args = param("ArgsList", json!([agent.machine, go.0]));
        let wait = json!({ "type": "RunScript", "params": [param("ScriptName", "wait.sh"), args] });
        actions.push(act(&client, &agent.machine, &[wait, get_file("where.txt")]).await);
        words.push(go);
    }
    for action in &actions {
        reaches(&client, action, "InProgress").await;
    }
    for word in &words {
        word.write("go\n").await;
    }
    for (agent, action) in agents.iter().zip(&actions) {
        reaches(&client, action, "Succeeded").await;
        let told = result(&rig.bag, &client, action, 0).await.json();
        assert_eq!(told["script_output"], format!("{}\ngo\n", agent.machine));
        let file = result(&rig.bag, &client, action, 1).await;
        let mut gzip = flate2::read::GzDecoder::new(&file.body[..]);
        let mut place = String::new();
        gzip.read_to_string(&mut place).expect("gzip");
        assert!(place.starts_with(&agent.data().display().to_string()), "{place}");
        let header = gzip.header().expect("a header");
        assert_eq!(header.filename(), Some(&b"where.txt"[..]));
        assert!(header.mtime() > 0);
    }
}

async fn a_machine_that_lost_its_network_goes_on_when_it_is_back() {
    let rig = Rig::start(options().set("queue_actions", true)).await;
    let agent = rig.agent().await;
    let client = rig.operator().await;
    let (go, alive) = (agent.pipe("go"), agent.pipe("alive"));
    let text = format!("#!/bin/sh\necho one\ncat '{}'\n", go.0);
    client.upload("two.sh", text).await.expect_status(200);
    let text = format!("#!/bin/sh\nexec 3>'{}'\nsetsid sleep 1000 &\nsleep 1000\n", alive.0);
    client.upload("long.sh", text).await.expect_status(200);
    // It ends while nobody can be told.
    let action = act(&client, &agent.machine, &[script("two.sh")]).await;
    reaches(&client, &action, "InProgress").await;
    rig.road.block(true);
    go.write("two\n").await;
    let long = act(&client, &agent.machine, &[script("long.sh")]).await;
    let last =
        act(&client, &agent.machine, &[get_file(&agent.data().join("agent.toml").display().to_string())])
            .await;
    assert_eq!(show(&client, &action).await["status"], "InProgress");
    let over = alive.read();
    rig.road.block(false);
    reaches(&client, &action, "Succeeded").await;
    assert_eq!(result(&rig.bag, &client, &action, 0).await.json()["script_output"], "one\ntwo\n");
    // It is cancelled while nobody can be told.
    reaches(&client, &long, "InProgress").await;
    rig.road.block(true);
    cancel(&client, &long).await.expect_status(200);
    rig.road.block(false);
    over.await;
    reaches(&client, &last, "Succeeded").await;
    assert_eq!(show(&client, &long).await["status"], "Cancelled");
}

/// Processes that carry a command's mark.
fn marked(action: &str) -> usize {
    let mark = format!("JUMPBAG_COMMAND={action}/0");
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let environments = processes.filter_map(|process| std::fs::read(process.path().join("environ")).ok());
    environments.filter(|text| text.split(|byte| *byte == 0).any(|one| one == mark.as_bytes())).count()
}

#[tokio::test]
async fn a_cancelled_script_leaves_no_daemon_behind() {
    let rig = Rig::start(options()).await;
    let agent = rig.agent().await;
    let client = rig.operator().await;
    let text = "#!/bin/sh\nfor n in 1 2 3 4 5 6 7 8; do\n\
        (setsid sh -c 'exec <&- >/dev/null 2>&1; (setsid sleep 1000 &); exec sleep 1000' &)\ndone\n\
        trap '' TERM INT HUP\necho ready\nsleep 1000\n";
    client.upload("daemons.sh", text).await.expect_status(200);
    let action = act(&client, &agent.machine, &[script("daemons.sh")]).await;
    // Two of each, the shell and its own sleep.
    eventually("all of them", async || (marked(&action) == 18).then_some(())).await;
    cancel(&client, &action).await.expect_status(200);
    eventually("none of them", async || (marked(&action) == 0).then_some(())).await;
    let told = eventually("the command's end", async || {
        let shown = show(&client, &action).await;
        shown["commands"][0]["endTime"].is_string().then_some(shown)
    })
    .await;
    assert_eq!(told["status"], "Cancelled");
    assert_eq!(told["commands"][0]["errors"], json!(["the command was cancelled while it ran"]));
}

#[tokio::test]
async fn an_agent_whose_machine_is_revoked_is_cut_off_and_stays_out() {
    let rig = Rig::start(options()).await;
    let (agent, other) = (rig.agent().await, rig.agent().await);
    let client = rig.operator().await;
    client.upload("a.sh", "#!/bin/sh\necho begun\nsleep 1000\n").await.expect_status(200);
    let action = act(&client, &agent.machine, &[script("a.sh")]).await;
    reaches(&client, &action, "InProgress").await;
    let (status, _, stderr) = rig.bag.command(&["machines", "revoke", &agent.machine]).await;
    assert!(status.success(), "{stderr}");
    // What it runs is ended. It is told why, comes again, and is refused.
    eventually("its script is ended", async || (marked(&action) == 0).then_some(())).await;
    agent
        .process()
        .log_line(crate::support::SOON, |line| line.contains("the server closes the connection: "))
        .await;
    let told =
        eventually("it is refused", async || Some(refusals(&client).await).filter(|told| told.len() > 1))
            .await;
    assert!(told.iter().any(|why| why.contains("unknown or revoked")), "{told:?}");
    super::super::ask(&client, &agent.machine, &[script("a.sh")]).await.expect_status(404);
    // The other one works.
    client.upload("b.sh", "#!/bin/sh\necho here\n").await.expect_status(200);
    let next = act(&client, &other.machine, &[script("b.sh")]).await;
    reaches(&client, &next, "Succeeded").await;
}

#[tokio::test]
async fn a_server_with_another_key_gets_nothing() {
    let rig = Rig::start(options()).await;
    let agent = rig.agent().await;
    let client = rig.operator().await;
    client.upload("a.sh", "#!/bin/sh\necho here\n").await.expect_status(200);
    // Another server altogether knows no such machine.
    let other = options().start().await;
    rig.road.lead_to(&other.url());
    rig.road.cut();
    let stranger = operator(&other).await;
    let refused = async || Some(refusals(&stranger).await).filter(|told| !told.is_empty());
    eventually("the other server refuses it", refused).await;
    let action = act(&client, &agent.machine, &[script("a.sh")]).await;
    rig.road.lead_to(&rig.bag.url());
    reaches(&client, &action, "Succeeded").await;
    // One that has all but the key: the proof is not meant for it.
    assert!(rig.bag.stop().await.success());
    new_key(&rig).await;
    rig.kill_server().await;
    let client = rig.operator().await;
    let refused = async || Some(refusals(&client).await).filter(|told| !told.is_empty());
    let told = eventually("the server with another key refuses it", refused).await;
    assert!(told[0].contains("the signature is not its own"), "{told:?}");
    let action = act(&client, &agent.machine, &[script("a.sh")]).await;
    let times = rig.road.connections();
    eventually("it came again", async || (rig.road.connections() > times + 1).then_some(())).await;
    assert_eq!(show(&client, &action).await["commands"][0]["commandStatus"], "Created");
}

/// Takes away the key that agents know the server by.
async fn new_key(rig: &Rig) {
    let catalog = Catalog::open_sqlite(&rig.bag.data_dir().join("catalog.db")).await;
    let sql = "delete from audit_keys where name like '%/agents'";
    let work = catalog.expect("the server's catalog");
    let changed: Result<u64, CatalogError> =
        work.write(move |tx| Box::pin(async move { tx.execute(sql, &[]).await })).await;
    assert_eq!(changed.expect("a change"), 1);
}

#[tokio::test]
async fn a_line_of_one_server_with_the_key_of_another_enrols_nobody() {
    let (one, two) = (options().start().await, options().start().await);
    let (line_one, line_two) = (line(&one, &[]).await, line(&two, &[]).await);
    let (front, _) = line_one.rsplit_once('.').expect("a key");
    let (_, key) = line_two.rsplit_once('.').expect("a key");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let (status, _, stderr) = paste(&format!("{front}.{key}"), &data).await;
    assert!(!status.success() && stderr.contains("has another key than the token says"), "{stderr}");
    assert!(!data.join("agent.toml").exists());
    // And it does not run.
    let (status, stderr) = Agent::ends(&data).await;
    assert!(!status.success());
    assert!(stderr.contains("`jumpbag-agent enroll` writes"), "{stderr}");
}
