//! What the spool keeps, and what it does when it is full.

use jumpbag_wire::action::CommandType;
use jumpbag_wire::agent::Stream;

use crate::agent::Agent;
use crate::server::{Server, id};

#[tokio::test]
async fn output_that_does_not_fit_is_cut_and_the_command_says_so() {
    let server = Server::start().await;
    let mut agent = Agent::enrolled(&server).await;
    agent.change(|settings| settings.limits.spool = 100_000);
    agent.start();
    let script = "head -c 300000 /dev/zero; echo the script goes on >&2; touch \"$1\"";
    let mark = agent.beside("went on");
    let command = server.script(&agent.machine, id(1, 0), "flood.sh", script, &[mark.to_str().unwrap()]);
    let outcome = server.finished(&command).await;
    assert!(mark.exists());
    assert_eq!(outcome.exit_code, Some(0));
    assert!(
        !outcome.succeeded && outcome.errors.iter().any(|e| e.contains("cut after 100000 bytes")),
        "{outcome:?}"
    );
    assert_eq!(server.output(&command, Stream::Stdout).len(), 100_000);

    let path = agent.beside("random");
    let random: Vec<u8> =
        (0..100_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    std::fs::write(&path, random).unwrap();
    let mut get = server.assignment(&agent.machine, id(2, 0), CommandType::GetFile);
    get.path = Some(path.to_str().unwrap().to_owned());
    server.assign(&get);
    let outcome = server.finished(&get.command).await;
    assert!(!outcome.succeeded && outcome.errors[0].contains("spool of the agent is full"), "{outcome:?}");

    // What the server has makes room.
    let script = "head -c 90000 /dev/zero";
    let command = server.script(&agent.machine, id(3, 0), "fits.sh", script, &[]);
    assert!(server.finished(&command).await.succeeded);
}

#[tokio::test]
async fn what_the_server_has_not_recorded_is_told_by_the_next_agent_too() {
    let server = Server::start().await;
    let mut agent = Agent::running(&server).await;
    server.set_silent(true);
    let commands: Vec<_> = (0..5)
        .map(|number| {
            server.script(&agent.machine, id(1, number), "a.sh", "echo out; echo err >&2; exit 4", &[])
        })
        .collect();
    for command in &commands {
        server.said(command, 1).await;
    }
    agent.kill();
    server.set_silent(false);
    agent.start();
    for command in &commands {
        assert_eq!(server.finished(command).await.exit_code, Some(4));
        assert_eq!(server.text(command, Stream::Stderr), "err\n");
    }
    agent.stop();
    let left: Vec<_> =
        std::fs::read_dir(agent.data().join("spool")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["journal"], "nothing is kept that the server has");
}

#[tokio::test]
async fn a_damaged_journal_is_told_and_nothing_is_run() {
    let server = Server::start().await;
    let mut agent = Agent::running(&server).await;
    for number in 0..2 {
        let command = server.script(&agent.machine, id(1, number), "a.sh", "true", &[]);
        assert!(server.finished(&command).await.succeeded);
    }
    agent.kill();
    let journal = agent.data().join("spool/journal");
    let mut text = std::fs::read(&journal).unwrap();
    text[10] = b'\n';
    std::fs::write(&journal, text).unwrap();
    let output = crate::agent::program().arg("run").arg("--data-dir").arg(agent.data()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("damaged in line 1"), "{words}");
}
