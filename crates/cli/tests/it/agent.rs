//! A machine: the real `jumpbag-agent`, which is built beside this program, with a data folder of its own.

use std::process::Command;

use crate::SOON;
use crate::process::Process;
use crate::server::{Jumpbag, built};

pub struct Agent {
    folder: tempfile::TempDir,
    process: Option<Process>,
    /// The machine's id.
    pub machine: String,
}

fn command() -> Command {
    let mut command = Process::command(built("jumpbag-agent"));
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name);
    }
    command
}

impl Agent {
    /// One that is enrolled with these tags and does not run yet.
    pub async fn enrolled(server: &Jumpbag, tags: &[&str]) -> Agent {
        let mut create = vec!["enroll", "create", "--url", server.url()];
        create.extend(tags.iter().flat_map(|tag| ["--tag", tag]));
        let line = server.admin(&create).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        let mut enroll = command();
        enroll.args(line.trim().split(' ').skip(1)).arg("--data-dir").arg(&data);
        let process = Process::spawn("jumpbag-agent enroll", enroll);
        let status = process.ended(SOON).await;
        let stdout = process.stdout();
        assert!(status.success(), "{stdout}{}", process.stderr());
        let machine = stdout.split(|c: char| !c.is_ascii_hexdigit()).find(|word| word.len() == 40);
        let machine = machine.unwrap_or_else(|| panic!("no machine id: {stdout}")).to_owned();
        let file = data.join("agent.toml");
        let text = std::fs::read_to_string(&file).expect("its settings");
        std::fs::write(&file, format!("first_wait = 0.01\nlongest_wait = 0.1\n{text}")).expect("settings");
        Agent { folder, process: None, machine }
    }

    /// One that runs.
    pub async fn running(server: &Jumpbag, tags: &[&str]) -> Agent {
        let mut agent = Agent::enrolled(server, tags).await;
        agent.start();
        agent
    }

    pub fn start(&mut self) {
        let mut run = command();
        run.arg("run").arg("--data-dir").arg(self.folder.path().join("data"));
        self.process = Some(Process::spawn("jumpbag-agent", run));
    }

    /// A path beside the data folder, for scripts to find.
    pub fn beside(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A named pipe there: who reads it waits until somebody writes.
    pub fn pipe(&self, name: &str) -> String {
        let path = self.beside(name);
        assert!(Command::new("mkfifo").arg(&path).status().expect("`mkfifo`").success());
        path
    }
}

/// Lets a script go on that reads this pipe.
pub async fn release(pipe: &str) {
    let pipe = pipe.to_owned();
    let writing = tokio::task::spawn_blocking(move || std::fs::write(pipe, "go\n").expect("a pipe"));
    tokio::time::timeout(SOON, writing).await.expect("somebody reads").expect("no panic");
}
