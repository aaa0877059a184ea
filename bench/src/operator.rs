//! Somebody who has signed in to a fresh jumpbag with the command line. Invariant: it finds neither profiles nor settings
//! of whoever runs the benchmark.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::Result;
use crate::live::{self, Fresh};
use crate::peers;
use crate::process;
use crate::work::Bench;

pub struct Operator {
    fresh: Fresh,
    program: PathBuf,
    home: PathBuf,
    /// The header by which others are let in.
    pub bearer: String,
}

impl Operator {
    /// Starts a server and signs in; the token that came with that is what later commands use.
    pub fn sign_in(bench: &Bench, name: &str) -> Result<Operator> {
        let fresh = Fresh::start(bench, name)?;
        let client = peers::registered(&fresh.program, fresh.folder.path(), &["Library.Manage"])?;
        let home = fresh.folder.path().join("home");
        std::fs::create_dir_all(&home).map_err(|e| format!("creating `{}`: {e}", home.display()))?;
        let bearer = peers::header(fresh.server.address, &client)?.trim_end().to_owned();
        let operator = Operator { fresh, program: bench.places.cli.clone(), home, bearer };
        let field = |name: &str| client[name].as_str().unwrap_or_default().to_owned();
        let mut login = operator.jumpbag();
        login.args(["login", "--url", &operator.url(), "--tenant", &field("tenant")]);
        login.args(["--client-id", &field("client_id")]);
        login.env("JUMPBAG_CLIENT_SECRET", field("client_secret"));
        process::output(login)?;
        Ok(operator)
    }

    pub fn address(&self) -> SocketAddr {
        self.fresh.server.address
    }

    /// A folder of its own.
    pub fn home(&self) -> &Path {
        &self.home
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// `jumpbag`, signed in.
    pub fn jumpbag(&self) -> Command {
        let mut command = alone(&self.program, &self.home);
        command.env("JUMPBAG_CONFIG_DIR", self.home.join("jumpbag"));
        command
    }

    /// `jumpbag sync FOLDER --apply`: how many seconds it took, and what it said.
    pub fn sync(&self, folder: &Path) -> Result<(f64, String)> {
        let mut command = self.jumpbag();
        command.arg("sync").arg(folder).arg("--apply");
        timed(command)
    }

    /// Requests that the server has answered so far.
    pub fn calls(&self) -> Result<f64> {
        let text = live::metrics(self.fresh.ops)?;
        let counted = text.lines().filter(|line| line.starts_with("jumpbag_requests_total{"));
        let counts = counted.map(|line| line.rsplit(' ').next().and_then(|count| count.parse::<f64>().ok()));
        let sum: Option<f64> = counts.sum();
        sum.filter(|sum| *sum > 0.0)
            .ok_or_else(|| "`/metrics` does not tell how many requests there were".into())
    }
}

/// A command that has nothing from here but the places of programs.
pub fn alone(program: impl AsRef<OsStr>, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", home).env("LANG", "C.UTF-8");
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command
}

/// Runs a command to its end: how many seconds that took, and what it printed.
pub fn timed(command: Command) -> Result<(f64, String)> {
    let began = Instant::now();
    let printed = process::output(command)?;
    Ok((began.elapsed().as_secs_f64(), printed))
}
