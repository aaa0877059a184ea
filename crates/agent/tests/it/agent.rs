//! An agent for tests: the real program with a data folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use jumpbag_agent::settings::{Home, Settings};

use crate::server::{PATIENCE, Server};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_jumpbag-agent");

pub struct Agent {
    folder: tempfile::TempDir,
    child: Option<Child>,
    pub machine: String,
}

/// The program, without what the environment says of proxies.
pub fn program() -> Command {
    let mut command = Command::new(PROGRAM);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name);
    }
    command
}

pub async fn enroll(url: &str, token: &str, data: &Path, more: &[&str]) -> Output {
    let mut command = program();
    command.args(["enroll", url, token, "--data-dir"]).arg(data).args(more);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

impl Agent {
    /// An agent that is enrolled and does not run yet.
    pub async fn enrolled(server: &Server) -> Agent {
        let folder = tempfile::tempdir().unwrap();
        let output = enroll(&server.url(), &server.token(), &folder.path().join("data"), &[]).await;
        assert!(output.status.success(), "{output:?}");
        let mut agent = Agent { folder, child: None, machine: String::new() };
        agent.refresh();
        agent
    }

    /// After the machine was enrolled.
    pub fn refresh(&mut self) {
        self.machine = self.settings().machine_id;
        self.change(|settings| {
            settings.first_wait = 0.01;
            settings.longest_wait = 0.1;
        });
    }

    /// An agent that runs.
    pub async fn running(server: &Server) -> Agent {
        let mut agent = Agent::enrolled(server).await;
        agent.start();
        agent
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A place beside the data folder.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn settings(&self) -> Settings {
        Settings::read(&Home::new(self.data())).unwrap()
    }

    pub fn change(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.settings();
        change(&mut settings);
        settings.write(&Home::new(self.data())).unwrap();
    }

    pub fn start(&mut self) {
        let log = std::fs::File::options().append(true).create(true).open(self.beside("log")).unwrap();
        let mut command = program();
        command.arg("run").arg("--data-dir").arg(self.data()).stdin(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and its end.
    pub fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// A program beside the data folder.
    pub fn program(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(self.beside(name), text).unwrap();
        std::fs::set_permissions(self.beside(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.beside("log")).unwrap_or_default()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("the agent's log:\n{}", self.log());
        }
    }
}

/// A named pipe: who reads it knows when all who had it open for writing are gone.
pub struct Witness(PathBuf);

impl Witness {
    pub fn new(agent: &Agent) -> Witness {
        Witness::named(agent, "witness")
    }

    pub fn named(agent: &Agent, name: &str) -> Witness {
        let path = agent.beside(name);
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap();
        Witness(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// Begins to read: what was written is there once nobody has it open any more. Who opens it for writing waits
    /// for this.
    pub fn watch(&self) -> impl Future<Output = String> {
        let path = self.0.clone();
        let reading = tokio::task::spawn_blocking(move || std::fs::read_to_string(path).unwrap());
        async {
            let read = tokio::time::timeout(PATIENCE, reading).await;
            read.expect("somebody has it open still").unwrap()
        }
    }

    /// Writes to whoever reads it.
    pub async fn tell(&self, text: &'static str) {
        let path = self.0.clone();
        tokio::task::spawn_blocking(move || std::fs::write(path, text).unwrap()).await.unwrap();
    }
}
