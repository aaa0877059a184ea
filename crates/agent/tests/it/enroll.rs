//! Becoming one of the server's machines.

use std::os::unix::fs::PermissionsExt;

use crate::agent::{Agent, enroll, program};
use crate::server::{Server, id};

fn words(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_pasted_line_enrols_and_the_private_key_stays_here() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server).await;
    let facts = server.facts_of(0);
    assert_eq!(facts.os_platform, "Linux");
    assert_eq!(facts.agent_version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    let mode = |name: &str| {
        let path = agent.data().join(name);
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode(""), mode("key.der"), mode("agent.toml")), (0o700, 0o600, 0o600));
    let output = program().arg("facts").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("computerDnsName"));
}

#[tokio::test]
async fn a_server_with_another_key_than_the_tokens_is_refused() {
    let server = Server::start().await;
    let other = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let output = enroll(&server.url(), &other.token(), folder.path(), &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("another key"), "{}", words(&output));
    assert!(!folder.path().join("agent.toml").exists() && !folder.path().join("key.der").exists());
    let output = enroll(&server.url(), "secret-1", folder.path(), &[]).await;
    assert!(words(&output).contains("token is not whole"), "{}", words(&output));
}

#[tokio::test]
async fn a_refusal_is_told_in_the_servers_words() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let token = server.token().replace("secret-1", "secret-2");
    let output = enroll(&server.url(), &token, folder.path(), &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("(403): the token is used up"), "{}", words(&output));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no key is left behind");
    let output = enroll("http://127.0.0.1:1", &server.token(), folder.path(), &[]).await;
    assert!(words(&output).contains("cannot connect to `127.0.0.1` port 1"), "{}", words(&output));
}

#[tokio::test]
async fn a_machine_is_enrolled_once_unless_it_is_to_become_another() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server).await;
    let key = std::fs::read(agent.data().join("key.der")).unwrap();
    let output = enroll(&server.url(), &server.token(), &agent.data(), &[]).await;
    assert!(words(&output).contains("--again"), "{}", words(&output));
    assert_eq!(std::fs::read(agent.data().join("key.der")).unwrap(), key);
    let output = enroll(&server.url(), &server.token(), &agent.data(), &["--again"]).await;
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains(&agent.machine) && text.contains("service install"), "{text}");
}

#[tokio::test]
async fn two_agents_do_not_share_a_folder_and_none_runs_unenrolled() {
    let server = Server::start().await;
    let agent = Agent::running(&server).await;
    server.connected(1).await;
    let run = |data: std::path::PathBuf| program().arg("run").arg("--data-dir").arg(data).output().unwrap();
    let output = run(agent.data());
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("another agent runs"), "{}", words(&output));
    let output = run(agent.beside("nothing"));
    assert!(words(&output).contains("jumpbag-agent enroll"), "{}", words(&output));
    let output = program().arg("fly").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let command = server.script(&agent.machine, id(1, 0), "a.sh", "true", &[]);
    assert!(server.finished(&command).await.succeeded);
}
