//! One side has lost something that the other side still has: everything ends all the same.

use serde_json::json;

use super::Rig;
use super::road::Fault;
use crate::live_response::{act, cancel, operator, options, put_file, reaches, result, script, show};
use crate::support::SOON;
use crate::support::poll::eventually;
use crate::support::server::Jumpbag;

/// The machine lost its power before its disk had all that the server has already.
#[tokio::test]
async fn output_that_only_the_server_has_is_told() {
    let rig = Rig::start(options()).await;
    let mut agent = rig.agent().await;
    let client = rig.operator().await;
    let text = "#!/bin/sh\necho one\necho two\necho oh >&2\nsleep 1000\n";
    client.upload("a.sh", text).await.expect_status(200);
    let action = act(&client, &agent.machine, &[script("a.sh")]).await;
    eventually("the output", async || {
        let read = async |stream: &str| {
            let path = format!("/api/machineactions/{action}/commands/0/{stream}");
            client.get(&path).await.expect_status(200).text()
        };
        (read("stdout").await == "one\ntwo\n" && read("stderr").await == "oh\n").then_some(())
    })
    .await;
    agent.kill().await;
    let spooled = agent.data().join(format!("spool/{action}-0"));
    let file = std::fs::File::options().write(true).open(spooled.join("stdout")).expect("the spooled output");
    file.set_len(4).expect("a shorter file");
    std::fs::remove_file(spooled.join("stderr")).expect("one file less");
    agent.start();
    let failed = reaches(&client, &action, "Failed").await;
    let errors = failed["commands"][0]["errors"].as_array().expect("errors");
    assert_eq!(errors[0], "the agent was stopped while the command ran");
    let told = result(&rig.bag, &client, &action, 0).await.json();
    assert_eq!((&told["script_output"], &told["script_errors"]), (&json!("one\ntwo\n"), &json!("oh\n")));
}

/// The server was restored from a backup and knows nothing of what it had asked for since.
#[tokio::test]
async fn an_agent_that_knows_more_than_a_restored_server_goes_on() {
    let rig = Rig::start(options()).await;
    let mut agent = rig.agent().await;
    let client = rig.operator().await;
    let go = agent.pipe("go");
    client.upload("a.sh", format!("#!/bin/sh\necho one\ncat '{}'\n", go.0)).await.expect_status(200);
    client.upload("b.sh", "#!/bin/sh\nhead -c 300000 /dev/zero; sleep 1000\n").await.expect_status(200);
    client.upload("c.sh", "#!/bin/sh\necho new\n").await.expect_status(200);
    let folder = rig.bag.data_dir().with_extension("backup");
    let (status, said, stderr) = rig.bag.command(&["backup", &folder.display().to_string()]).await;
    assert!(status.success(), "{said}{stderr}");
    // One ends while the server is away, the next runs when another server is there.
    let action = act(&client, &agent.machine, &[script("a.sh")]).await;
    reaches(&client, &action, "InProgress").await;
    rig.road.block(true);
    go.write("two\n").await;
    let data = rig.bag.data_dir().with_extension("restored");
    let (status, said, stderr) =
        Jumpbag::options().run(&data, &["restore", &folder.display().to_string()]).await;
    assert!(status.success(), "{said}{stderr}");
    let restored = options().data_dir(&data).start().await;
    rig.road.lead_to(&restored.url());
    rig.road.block(false);
    let client = operator(&restored).await;
    let next = act(&client, &agent.machine, &[put_file("c.sh"), script("c.sh")]).await;
    reaches(&client, &next, "Succeeded").await;
    // It forgets what nobody asks for any more.
    agent.stop().await;
    let left = std::fs::read_dir(agent.data().join("spool")).expect("the spool").count();
    assert_eq!(left, 1, "the journal only");
    assert_eq!(show(&client, &next).await["status"], "Succeeded");
    // The same with one that still runs: nobody wants it any more.
    agent.start();
    rig.road.lead_to(&rig.bag.url());
    rig.road.cut();
    let client = rig.operator().await;
    cancel(&client, &action).await.expect_status(200);
    let action = act(&client, &agent.machine, &[script("b.sh")]).await;
    reaches(&client, &action, "InProgress").await;
    rig.road.lead_to(&restored.url());
    rig.road.cut();
    let client = operator(&restored).await;
    let next = act(&client, &agent.machine, &[script("c.sh")]).await;
    reaches(&client, &next, "Succeeded").await;
}

/// Cancelled while the machine is away, in the midst of fetching what it would have run.
#[tokio::test]
async fn a_command_that_is_cancelled_while_its_content_is_on_the_way_is_given_up() {
    let rig = Rig::start(options()).await;
    let agent = rig.agent().await;
    let client = rig.operator().await;
    client.upload("large.bin", vec![b'x'; 20_000_000]).await.expect_status(200);
    client.upload("a.sh", "#!/bin/sh\necho here\n").await.expect_status(200);
    rig.road.be(|| Fault::HalfOpen(1_000_000, SOON));
    rig.road.cut();
    let action = act(&client, &agent.machine, &[put_file("large.bin")]).await;
    eventually("some of it", async || (rig.road.bytes() > 500_000).then_some(())).await;
    rig.road.block(true);
    cancel(&client, &action).await.expect_status(200);
    rig.road.be(|| Fault::None);
    rig.road.block(false);
    let next = act(&client, &agent.machine, &[script("a.sh")]).await;
    reaches(&client, &next, "Succeeded").await;
    let command = &show(&client, &action).await["commands"][0];
    assert_eq!(command["errors"], json!(["the command was cancelled before it was started"]));
}
