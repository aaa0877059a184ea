//! Running a script: its output goes to the spool as it comes, and when it ends, or is to end, everything that it
//! started ends with it.

#[cfg(target_os = "linux")]
pub mod cgroup;
pub mod interpreter;
#[cfg(unix)]
pub mod supervise;
#[cfg_attr(unix, path = "run/unix.rs")]
#[cfg_attr(windows, path = "run/windows.rs")]
mod system;
#[cfg(target_os = "linux")]
pub mod tree;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;

use crate::duty::Stop;
use crate::duty::output::Output;
pub use system::{Process, Runner};

/// What is to be run. Nothing of it goes through a shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub program: PathBuf,
    pub args: Vec<String>,
    /// The whole environment.
    pub environment: Vec<(String, String)>,
    /// Where it runs.
    pub folder: PathBuf,
    /// Tells its processes from all others.
    pub mark: String,
    pub seconds: u64,
}

/// The variable that carries a plan's mark.
pub const MARK: &str = "JUMPBAG_COMMAND";

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ending {
    Exited(i64),
    Signalled(i32),
    NotStarted(String),
    /// It is not known how it ended.
    Lost(String),
    TimedOut,
    Cancelled,
    AgentStopped,
}

/// What there is to say beside the ending.
pub type Remarks = Vec<String>;

/// After everything was ended, its output is waited for no longer than this.
const LINGER: Duration = Duration::from_secs(10);

/// Runs a plan to its end, or stops it with all that it started.
pub async fn run(
    mut process: Process,
    plan: &Plan,
    stop: watch::Receiver<Stop>,
    stdout: &mut Output,
    stderr: &mut Output,
) -> (Ending, Remarks) {
    if let Err(error) = process.begin(plan).await {
        return (Ending::NotStarted(error.to_string()), process.end().await);
    }
    let (out, err) = process.output();
    let pumps = async { tokio::join!(pump(out, stdout), pump(err, stderr)) };
    let control = async {
        let ending = tokio::select! {
            ending = process.ended() => ending,
            () = tokio::time::sleep(Duration::from_secs(plan.seconds)) => Ending::TimedOut,
            ending = stopped(stop) => ending,
        };
        let remarks = process.end().await;
        (ending, remarks)
    };
    tokio::pin!(pumps, control);
    let mut drained = false;
    let ended = loop {
        tokio::select! {
            _ = &mut pumps, if !drained => drained = true,
            ended = &mut control => break ended,
        }
    };
    if !drained {
        let _ = tokio::time::timeout(LINGER, pumps).await;
    }
    ended
}

/// Reads to the end, whether there is room or not: a full pipe would stop the script.
async fn pump(source: Option<impl AsyncRead + Unpin>, sink: &mut Output) {
    let Some(mut source) = source else { return };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match source.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            // The output itself remembers that it was cut.
            Ok(read) => drop(sink.write(&buffer[..read])),
        }
    }
}

/// Returns when the command is to be stopped.
async fn stopped(mut stop: watch::Receiver<Stop>) -> Ending {
    match stop.wait_for(|stop| *stop != Stop::No).await.map(|stop| *stop) {
        Ok(Stop::Cancelled) => Ending::Cancelled,
        Ok(_) => Ending::AgentStopped,
        Err(_) => std::future::pending().await,
    }
}
