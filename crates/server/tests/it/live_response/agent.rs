//! The real agent, with a data folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::time::Duration;

use crate::support::SOON;
use crate::support::process::Process;
use crate::support::server::Jumpbag;

pub struct Agent {
    folder: tempfile::TempDir,
    process: Option<Process>,
    pub machine: String,
}

/// The agent that was built with these tests: `cargo` puts it beside the folder of this very program, when it builds the
/// workspace and not only the server.
fn program() -> PathBuf {
    let own = std::env::current_exe().expect("the path of this program");
    let program = own.ancestors().nth(2).expect("it is two folders below").join("jumpbag-agent");
    let how = "`cargo build -p jumpbag-agent` makes it";
    assert!(program.is_file(), "`{}` is not there: {how}", program.display());
    static NEWER: OnceLock<Option<String>> = OnceLock::new();
    if let Some(newer) = NEWER.get_or_init(|| newer_source(&program)) {
        panic!("`{}` is older than `{newer}`: {how}", program.display());
    }
    program
}

/// A source that was changed after the program was built, by the list that `cargo` writes beside it.
fn newer_source(program: &Path) -> Option<String> {
    let changed = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let (built, list) = (changed(program)?, std::fs::read_to_string(program.with_extension("d")).ok()?);
    let (_, sources) = list.split_once(": ")?;
    let newer = |source: &&str| changed(Path::new(source)).is_some_and(|changed| changed > built);
    sources.split_whitespace().find(newer).map(str::to_owned)
}

fn command() -> Command {
    let mut command = Process::command(program());
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name);
    }
    command
}

/// Pastes a line as `enroll create` prints it; how that ended, and what was said.
pub async fn paste(line: &str, data: &Path) -> (ExitStatus, String, String) {
    let mut words = line.split(' ');
    assert_eq!(words.next(), Some("jumpbag-agent"), "{line}");
    let mut command = command();
    command.args(words).arg("--data-dir").arg(data);
    let process = Process::spawn("jumpbag-agent enroll", command);
    let status = process.ended(Duration::from_secs(60)).await;
    (status, process.stdout(), process.stderr())
}

impl Agent {
    /// One that is enrolled and does not run yet.
    pub async fn enrolled(bag: &Jumpbag, more: &[&str]) -> Agent {
        Agent::enrolled_at(bag, &bag.url(), more).await
    }

    /// The same for an agent that knows the server by this address.
    pub async fn enrolled_at(bag: &Jumpbag, url: &str, more: &[&str]) -> Agent {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        let (status, stdout, stderr) = paste(&super::line_at(bag, url, more).await, &data).await;
        assert!(status.success(), "{stderr}");
        let machine = stdout.split(|c: char| !c.is_ascii_hexdigit()).find(|word| word.len() == 40);
        let machine = machine.unwrap_or_else(|| panic!("no machine id: {stdout}")).to_owned();
        let file = data.join("agent.toml");
        let text = std::fs::read_to_string(&file).expect("its settings");
        std::fs::write(&file, format!("first_wait = 0.01\nlongest_wait = 0.1\n{text}")).expect("settings");
        Agent { folder, process: None, machine }
    }

    /// One that runs.
    pub async fn running(bag: &Jumpbag) -> Agent {
        let mut agent = Agent::enrolled(bag, &[]).await;
        agent.start();
        agent
    }

    pub fn start(&mut self) {
        let mut command = command();
        command.arg("run").arg("--data-dir").arg(self.data());
        self.process = Some(Process::spawn("jumpbag-agent", command));
    }

    /// Runs one in a data folder where it must end by itself; its exit status and stderr.
    pub async fn ends(data: &Path) -> (ExitStatus, String) {
        let mut command = command();
        command.arg("run").arg("--data-dir").arg(data);
        let process = Process::spawn("jumpbag-agent", command);
        (process.ended(SOON).await, process.stderr())
    }

    /// SIGTERM, and its end.
    pub async fn stop(&mut self) {
        let process = self.process.take().expect("it runs");
        process.signal(rustix::process::Signal::TERM);
        process.ended(SOON).await;
    }

    /// SIGKILL, to the agent alone, and its end.
    pub async fn kill(&mut self) {
        let process = self.process.take().expect("it runs");
        process.signal(rustix::process::Signal::KILL);
        process.ended(SOON).await;
    }

    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Another agent with a copy of the data folder as it is now.
    pub fn copied(&self) -> Agent {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(self.folder.path().join("data")).arg(folder.path());
        assert!(copy.status().expect("`cp`").success());
        Agent { folder, process: None, machine: self.machine.clone() }
    }

    /// What it said on standard error since it was started.
    pub fn said(&self) -> String {
        self.process.as_ref().expect("it runs").stderr()
    }

    /// A place beside the data folder.
    pub fn beside(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A named pipe beside the data folder.
    pub fn pipe(&self, name: &str) -> Pipe {
        let path = self.beside(name);
        let made = Command::new("mkfifo").arg(&path).status().expect("`mkfifo`");
        assert!(made.success());
        Pipe(path)
    }
}

/// Who reads a named pipe waits until somebody writes, and until all who had it open are gone.
pub struct Pipe(pub String);

impl Pipe {
    /// All that is written, once nobody has it open for writing any more.
    pub fn read(&self) -> impl Future<Output = String> + use<> {
        let path = self.0.clone();
        let reading = tokio::task::spawn_blocking(move || std::fs::read_to_string(path).expect("a pipe"));
        async { tokio::time::timeout(SOON, reading).await.expect("it is open still").expect("no panic") }
    }

    /// Writes to whoever reads it.
    pub async fn write(&self, text: &'static str) {
        let path = self.0.clone();
        let writing = tokio::task::spawn_blocking(move || std::fs::write(path, text).expect("a pipe"));
        tokio::time::timeout(SOON, writing).await.expect("nobody reads").expect("no panic");
    }
}
