//! GetFile: a file as gzip with its name in the header, a folder as a tar archive in one.

mod check;
mod pack;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jumpbag_wire::agent::Assignment;
use jumpbag_wire::time::Timestamp;
use tokio::sync::watch;

use super::{End, Outputs, Worker};
use crate::duty::Stop;
use crate::error::{Error, Result};

impl Worker {
    /// Reads what was asked for into the spool, on a thread for long work.
    pub(super) async fn get(
        &self,
        assignment: &Assignment,
        mut stop: watch::Receiver<Stop>,
        output: &mut Outputs,
    ) -> Result<(Timestamp, End)> {
        let path = assignment.path.as_deref().unwrap_or_default();
        let path = resolve(path, &self.home.files());
        let started = self.start(assignment, &stop).await?;
        let given_up = Arc::new(AtomicBool::new(false));
        let fresh = Outputs::new(&self.duty, &assignment.command);
        let taken = std::mem::replace(output, fresh);
        let mut job =
            pack::Packing { given_up: Arc::clone(&given_up), limit: self.limits.file, output: taken };
        let mut reading = tokio::task::spawn_blocking(move || {
            let result = job.pack(&path);
            (job.output, result)
        });
        let mut errors = Vec::new();
        let finished = tokio::select! {
            finished = &mut reading => finished,
            reason = given_up_because(&mut stop, assignment.timeout_seconds) => {
                errors.push(reason);
                given_up.store(true, Ordering::Relaxed);
                reading.await
            }
        };
        match finished {
            Ok((taken, result)) => {
                *output = taken;
                errors.extend(result.err().filter(|_| errors.is_empty()).map(|error| error.to_string()));
            }
            Err(error) => errors.push(format!("the file could not be read: {error}")),
        }
        Ok((started, End { exit_code: None, errors }))
    }
}

/// A relative path is one in the folder for files.
fn resolve(path: &str, files: &Path) -> PathBuf {
    files.join(path)
}

async fn given_up_because(stop: &mut watch::Receiver<Stop>, seconds: u64) -> String {
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(seconds)) => {
            format!("reading the file took longer than {seconds} seconds and was given up")
        }
        stopped = stop.wait_for(|stop| *stop != Stop::No) => match stopped.map(|stop| *stop) {
            Ok(Stop::AgentStops) => "the agent was stopped while the command ran".into(),
            _ => "the command was cancelled while it ran".into(),
        },
    }
}

/// Why reading ends early.
fn given_up() -> Error {
    Error::new("reading was given up")
}
