//! The worker: one command after the other, from its content to its end.

mod get;
mod put;
mod script;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jumpbag_wire::action::CommandType;
use jumpbag_wire::agent::{Assignment, CommandId, Outcome, Stream};
use jumpbag_wire::time::Timestamp;
use tokio::sync::watch;

use crate::disk;
use crate::duty::output::Output;
use crate::duty::{Duty, Job, Stop, failed};
use crate::error::{Context, Error, Result};
use crate::run::Runner;
use crate::settings::{Home, Limits};

/// Does what there is to do.
pub struct Worker {
    pub duty: Arc<Duty>,
    pub home: Home,
    pub limits: Limits,
    pub runner: Runner,
    /// Where programs are looked for.
    pub path: String,
}

/// How a command ended, without its output.
struct End {
    exit_code: Option<i64>,
    errors: Vec<String>,
}

impl Worker {
    /// Folders that an earlier agent left are emptied.
    ///
    /// # Errors
    /// When the data folder cannot be used.
    pub fn prepare(&self) -> Result<()> {
        let work = self.home.work();
        if work.exists() {
            std::fs::remove_dir_all(&work).context(|| format!("cannot empty `{}`", work.display()))?;
        }
        disk::private_folder(&work)?;
        put::prepare(&self.home.files())
    }

    /// Works until the program ends.
    pub async fn run(&self) {
        loop {
            let job = self.duty.next_job().await;
            self.perform(job).await;
        }
    }

    async fn perform(&self, Job { assignment, stop }: Job) {
        let id = assignment.command.clone();
        crate::say!("command {} of action {}: {:?}", id.index, id.action, assignment.kind);
        let mut output = Outputs::new(&self.duty, &id);
        let (started, end) = match self.begin(&assignment, stop, &mut output).await {
            Ok((started, end)) => (Some(started), end),
            Err(error) => (None, End { exit_code: None, errors: vec![error.to_string()] }),
        };
        let now = self.duty.clock.now();
        let mut outcome = Outcome { exit_code: end.exit_code, ..failed(end.errors, started, now) };
        let files = output.end(&mut outcome);
        outcome.succeeded = outcome.errors.is_empty();
        crate::say!("command {} of action {}: {}", id.index, id.action, told(&outcome));
        let journal = self.duty.finish(&id, outcome);
        // It is said meanwhile; this is for the day when the server is away and the machine loses its power.
        tokio::task::spawn_blocking(move || {
            for file in files.into_iter().chain(journal) {
                if let Err(error) = file.sync_data() {
                    crate::say!("cannot write to the disk: {error}");
                }
            }
        });
    }

    async fn begin(
        &self,
        assignment: &Assignment,
        stop: watch::Receiver<Stop>,
        output: &mut Outputs,
    ) -> Result<(Timestamp, End)> {
        match assignment.kind {
            CommandType::PutFile => self.put(assignment, stop).await,
            CommandType::RunScript => self.script(assignment, stop, output).await,
            CommandType::GetFile => self.get(assignment, stop, output).await,
        }
    }

    /// The content of a command in a new file, unless it is stopped or too late.
    async fn fetch(
        &self,
        assignment: &Assignment,
        stop: &mut watch::Receiver<Stop>,
        path: &std::path::Path,
    ) -> Result<()> {
        let content = assignment.content.as_ref();
        let content = content.ok_or_else(|| Error::new("the assignment names no library file"))?;
        let left = assignment.not_after.micros().saturating_sub(self.duty.clock.now().micros());
        let left = Duration::from_micros(u64::try_from(left).unwrap_or(0));
        let fetched = tokio::select! {
            fetched = self.duty.fetch(&assignment.command, content, path) => fetched,
            () = tokio::time::sleep(left) => Err(Error::new(format!("`{}` did not come in time", content.name))),
            stopped = stopped_before_start(stop) => Err(stopped),
        };
        self.duty.stop_fetching(&assignment.command);
        fetched
    }

    /// The last thing before a command takes effect: it is in time, and written down.
    async fn start(&self, assignment: &Assignment, stop: &watch::Receiver<Stop>) -> Result<Timestamp> {
        if *stop.borrow() != Stop::No {
            return Err(not_started(*stop.borrow()));
        }
        self.duty.timely(assignment).map_err(Error::new)?;
        self.duty.start(&assignment.command).await
    }
}

async fn stopped_before_start(stop: &mut watch::Receiver<Stop>) -> Error {
    match stop.wait_for(|stop| *stop != Stop::No).await.map(|stop| *stop) {
        Ok(stop) => not_started(stop),
        Err(_) => std::future::pending().await,
    }
}

fn not_started(stop: Stop) -> Error {
    Error::new(match stop {
        Stop::AgentStops => "the agent was stopped before the command was started",
        Stop::Cancelled | Stop::No => "the command was cancelled before it was started",
    })
}

fn told(outcome: &Outcome) -> String {
    match (&outcome.exit_code, outcome.errors.first()) {
        (_, Some(error)) => error.clone(),
        (Some(code), None) => format!("ended with exit code {code}"),
        (None, None) => "done".into(),
    }
}

/// The three streams of a command.
struct Outputs {
    stdout: Output,
    stderr: Output,
    file: Output,
}

impl Outputs {
    fn new(duty: &Arc<Duty>, id: &CommandId) -> Outputs {
        let output = |stream| Output::new(Arc::clone(duty), id, stream);
        Outputs { stdout: output(Stream::Stdout), stderr: output(Stream::Stderr), file: output(Stream::File) }
    }

    /// Tells in the outcome how each stream ends. Returns their files.
    fn end(self, outcome: &mut Outcome) -> Vec<std::fs::File> {
        let mut files = Vec::new();
        for output in [self.stdout, self.stderr, self.file] {
            let (end, file, cut) = output.end();
            outcome.output.extend(end);
            outcome.errors.extend(cut.map(|cut| cut.to_string()));
            files.extend(file);
        }
        files
    }
}

/// A command's own folder, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn make(home: &Home, id: &CommandId) -> Result<Folder> {
        let path = home.work().join(format!("{}-{}", id.action, id.index));
        disk::private_folder(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            crate::say!("cannot remove `{}`: {error}", self.0.display());
        }
    }
}
