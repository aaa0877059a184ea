//! Other people's programs, unmodified: Python and Node scripts under `tests/clients` that use public libraries.

use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::Value;

use super::process::Process;

/// A client script that is about to run.
pub struct Script {
    name: String,
    command: Command,
}

/// What a script left behind.
pub struct Ran {
    name: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// A Python script of `tests/clients`, in the environment with the public client libraries.
pub fn python(name: &str) -> Script {
    Script::new(name, Process::command(installed("venv/bin/python")))
}

/// A Node script of `tests/clients`.
pub fn node_script(name: &str) -> Script {
    Script::new(name, node())
}

/// A shell script of `tests/clients`.
pub fn shell(name: &str) -> Script {
    Script::new(name, Process::command("bash"))
}

impl Script {
    fn new(name: &str, mut command: Command) -> Script {
        command.arg(script(name));
        Script { name: name.into(), command }
    }

    /// An argument for the script.
    pub fn arg(mut self, value: impl AsRef<std::ffi::OsStr>) -> Script {
        self.command.arg(value);
        self
    }

    /// An environment variable for the script.
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Script {
        self.command.env(name, value);
        self
    }

    /// Runs it to its end. Panics when that takes more than a minute.
    pub async fn run(self) -> Ran {
        let process = Process::spawn(&self.name, self.command);
        let status = process.ended(Duration::from_secs(60)).await;
        Ran { name: self.name, status, stdout: process.stdout(), stderr: process.stderr() }
    }
}

impl Ran {
    /// Panics, with its output, unless it ended well.
    pub fn expect_success(self) -> Ran {
        assert!(
            self.status.success(),
            "`{}` failed ({}):\n{}\n{}",
            self.name,
            self.status,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Its standard output as JSON, after it ended well.
    pub fn json(self) -> Value {
        let ran = self.expect_success();
        serde_json::from_str(&ran.stdout)
            .unwrap_or_else(|error| panic!("`{}` printed no JSON ({error}):\n{}", ran.name, ran.stdout))
    }
}

/// The path of a script in `tests/clients`.
pub fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// The Node that `scripts/test` chose: the machine's, or its own where that is too old.
pub fn node() -> Command {
    Process::command(installed("bin/node"))
}

/// The folder whose `node_modules` has the npm packages of the tests.
pub fn node_modules_parent() -> PathBuf {
    installed("node/node_modules").parent().expect("a folder in a folder").to_path_buf()
}

fn installed(path: &str) -> PathBuf {
    let path = super::tools().join(path);
    assert!(path.exists(), "this test needs {}: run `scripts/test`, which installs it", path.display());
    path
}
