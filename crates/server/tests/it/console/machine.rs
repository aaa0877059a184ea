//! A machine that the console's stories may run scripts on: the real agent, with a folder of its own.

use std::time::Duration;

use crate::support::process::Process;
use crate::support::server::Jumpbag;

pub struct Machine {
    folder: tempfile::TempDir,
    _agent: Process,
}

impl Machine {
    /// One that has enrolled and runs.
    pub async fn of(bag: &Jumpbag) -> Machine {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (status, line, stderr) = bag.command(&["enroll", "create", "--url", &bag.url()]).await;
        assert!(status.success(), "{stderr}");
        let agent = |words: &[&str]| {
            let own = std::env::current_exe().expect("the path of this program");
            let program = own.ancestors().nth(2).expect("it is two folders below").join("jumpbag-agent");
            let mut command = Process::command(program);
            command.args(words).arg("--data-dir").arg(folder.path().join("data"));
            Process::spawn("jumpbag-agent", command)
        };
        let words: Vec<_> = line.trim().split(' ').skip(1).collect();
        let enrolled = agent(&words);
        let status = enrolled.ended(Duration::from_secs(60)).await;
        assert!(status.success(), "{}", enrolled.stderr());
        let running = agent(&["run"]);
        Machine { folder, _agent: running }
    }

    /// A place for pipes and the like.
    pub fn folder(&self) -> String {
        self.folder.path().display().to_string()
    }
}
