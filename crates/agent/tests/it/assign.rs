//! What is run and what is refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jumpbag_wire::action::CommandType;
use jumpbag_wire::agent::{Assignment, CommandId, Stream, assignment_text};
use jumpbag_wire::time::Timestamp;

use crate::agent::Agent;
use crate::server::{Server, id};

fn right(server: &Server, agent: &Agent, number: u32) -> Assignment {
    let mut assignment = server.assignment(&agent.machine, id(1, number), CommandType::RunScript);
    let script = format!("touch '{}/ran-{number}'", agent.beside("").display());
    assignment.content = Some(server.content(&assignment.command, "touch.sh", script.as_bytes()));
    assignment
}

async fn refused(server: &Server, agent: &Agent, command: &CommandId, words: &str) {
    let outcome = server.finished(command).await;
    assert!(outcome.errors[0].contains(words), "{words}: {outcome:?}");
    assert!(!outcome.succeeded && outcome.started.is_none(), "{outcome:?}");
    let ran = agent.beside(&format!("ran-{}", command.index));
    assert!(!ran.exists(), "{words}: it was run");
}

#[tokio::test]
async fn only_what_the_server_signed_for_this_machine_and_time_is_run() {
    let server = Server::start().await;
    let agent = Agent::running(&server).await;
    let good = right(&server, &agent, 0);
    server.assign(&good);
    assert!(server.finished(&good.command).await.succeeded);
    assert!(agent.beside("ran-0").exists());

    let stranger = aws_lc_rs::signature::Ed25519KeyPair::generate().unwrap();
    let sign = |text: &str| STANDARD.encode(stranger.sign(assignment_text(text).as_bytes()));
    let forged = right(&server, &agent, 1);
    server.send(&forged, sign);
    refused(&server, &agent, &forged.command, "not signed by the server").await;

    let other = right(&server, &agent, 2);
    let other = Assignment { machine_id: "0".repeat(40), ..other };
    server.assign(&other);
    refused(&server, &agent, &other.command, "is for the machine `000").await;

    let late = right(&server, &agent, 3);
    server.assign(&Assignment { not_after: Timestamp::now().plus_secs(-5), ..late.clone() });
    refused(&server, &agent, &late.command, "was to be started by").await;

    let nameless = right(&server, &agent, 4);
    server.assign(&Assignment { content: None, ..nameless.clone() });
    refused(&server, &agent, &nameless.command, "names no library file").await;

    let pathless = right(&server, &agent, 5);
    server.assign(&Assignment { kind: CommandType::GetFile, path: None, ..pathless.clone() });
    refused(&server, &agent, &pathless.command, "names no file to get").await;

    let command = CommandId { action: "../../x".into(), index: 6 };
    server.assign(&Assignment { command: command.clone(), ..right(&server, &agent, 6) });
    refused(&server, &agent, &command, "is not an action's GUID").await;
}

#[tokio::test]
async fn content_that_is_not_what_was_assigned_is_not_run() {
    let server = Server::start().await;
    let agent = Agent::running(&server).await;
    type Change = fn(&mut jumpbag_wire::agent::AssignedContent);
    let change: [(&str, Change); 5] = [
        ("has the SHA-256", |content| content.sha256 = "0".repeat(64)),
        ("another number of bytes", |content| content.size -= 1),
        ("cannot be the name", |content| content.name = "../touch.sh".into()),
        ("cannot be the name", |content| content.name = "..".into()),
        ("cannot be the name", |content| content.name = "a\0b.sh".into()),
    ];
    for (number, (words, change)) in (0..).zip(change) {
        let mut assignment = right(&server, &agent, number);
        change(assignment.content.as_mut().unwrap());
        server.assign(&assignment);
        refused(&server, &agent, &assignment.command, words).await;
    }
    // As if what the server keeps had been exchanged for something as long.
    let assignment = right(&server, &agent, 9);
    let size = usize::try_from(assignment.content.as_ref().unwrap().size).unwrap();
    server.content(&assignment.command, "touch.sh", &vec![b'#'; size]);
    server.assign(&assignment);
    refused(&server, &agent, &assignment.command, "has the SHA-256").await;
}

#[tokio::test]
async fn an_assignment_that_comes_again_is_not_run_again() {
    let server = Server::start().await;
    let mut agent = Agent::running(&server).await;
    let mut assignment = right(&server, &agent, 0);
    let script = format!("echo run >> '{}'", agent.beside("runs").display());
    assignment.content = Some(server.content(&assignment.command, "count.sh", script.as_bytes()));
    server.assign(&assignment);
    server.assign(&assignment);
    assert!(server.finished(&assignment.command).await.succeeded);
    let said = server.count_said(&assignment.command);
    server.assign(&assignment);
    server.said(&assignment.command, said + 1).await;
    agent.kill();
    agent.start();
    server.connected(2).await;
    server.assign(&assignment);
    server.said(&assignment.command, said + 2).await;
    assert_eq!(std::fs::read_to_string(agent.beside("runs")).unwrap(), "run\n");
}

#[tokio::test]
async fn the_time_is_the_servers() {
    const DAYS: i64 = 3 * 24 * 3600;
    let server = Server::start().await;
    server.set_off(-DAYS);
    let agent = Agent::running(&server).await;
    let mut assignment = right(&server, &agent, 0);
    assignment.not_after = Timestamp::now().plus_secs(-DAYS + 600);
    server.assign(&assignment);
    let outcome = server.finished(&assignment.command).await;
    assert!(outcome.succeeded, "{outcome:?}");
    let off = (outcome.ended.secs() - Timestamp::now().plus_secs(-DAYS).secs()).abs();
    assert!(off < 60, "{outcome:?}");
    let mut late = right(&server, &agent, 1);
    late.not_after = Timestamp::now().plus_secs(-DAYS - 600);
    server.assign(&late);
    refused(&server, &agent, &late.command, "was to be started by").await;
    assert!(agent.log().contains("259"), "the clock's difference is told: {}", agent.log());
}

#[tokio::test]
async fn a_large_script_arrives_whole() {
    let server = Server::start().await;
    let agent = Agent::running(&server).await;
    let script = format!("echo begin\n{}echo end", "# padding padding padding\n".repeat(400_000));
    let command = server.script(&agent.machine, id(1, 0), "large.sh", &script, &[]);
    assert!(server.finished(&command).await.succeeded);
    assert_eq!(server.text(&command, Stream::Stdout), "begin\nend\n");
}
