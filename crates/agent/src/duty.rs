//! What the agent has to do, and what it has to say. The connection hands in what it hears and asks what to send next;
//! the worker takes one command after the other. All that must survive is in the spool: a lost connection only means
//! that saying begins again from what the server is known to have.

pub mod accept;
mod entry;
pub mod fetch;
pub mod output;
mod say;

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jumpbag_wire::agent::{Assignment, CommandId, FromServer, Outcome};
use jumpbag_wire::time::Timestamp;
use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::identity::ServerKey;
use crate::spool::{STREAMS, Spool, place};
pub use entry::Stop;
use entry::{Entry, Stage};
pub use say::Frame;

/// Everything to do and to say, for the connection and the worker at once.
pub struct Duty {
    pub clock: Clock,
    machine: String,
    server_key: ServerKey,
    state: Mutex<State>,
    to_send: Notify,
    to_do: Notify,
    /// Something was recorded, or the worker is done.
    settled: Notify,
}

struct State {
    spool: Spool,
    /// In the order in which they came.
    entries: VecDeque<Entry>,
    /// Ends of commands that were not even taken on; said once.
    refusals: VecDeque<(CommandId, Outcome)>,
    /// No more commands are begun.
    leaving: bool,
}

/// A command for the worker.
pub struct Job {
    pub assignment: Assignment,
    pub stop: watch::Receiver<Stop>,
}

impl Duty {
    /// Takes up what was left when the agent last stopped. A command that ran then has failed.
    ///
    /// # Errors
    /// When the spool cannot be used.
    pub fn new(machine: String, server_key: ServerKey, mut spool: Spool) -> Result<Duty> {
        let clock = Clock::default();
        let mut entries = VecDeque::new();
        for left in spool.left().to_vec() {
            let outcome = match left.outcome {
                Some(outcome) => settle(&spool, &left.command, outcome)?,
                None => {
                    let outcome = interrupted(&spool, &left.command, left.started, clock.now())?;
                    spool.finish(&left.command, outcome.clone(), left.not_after)?;
                    outcome
                }
            };
            entries.push_back(Entry::ended(&spool, left.command, left.not_after, outcome));
        }
        Ok(Duty {
            clock,
            machine,
            server_key,
            state: Mutex::new(State { spool, entries, refusals: VecDeque::new(), leaving: false }),
            to_send: Notify::new(),
            to_do: Notify::new(),
            settled: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a panic leaves is consistent enough: each change is one assignment or on the disk.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what the server says.
    pub fn hear(&self, message: FromServer) {
        match message {
            FromServer::Assign { assignment, signature } => self.assign(&assignment, &signature),
            FromServer::Kept { command, stream, offset } => {
                let mut state = self.state();
                let State { spool, entries, .. } = &mut *state;
                if let Some(entry) = find(entries, &command) {
                    entry.kept(spool, stream, offset);
                }
            }
            FromServer::Recorded { command } => self.recorded(&command),
            FromServer::Cancel { command } => self.cancel(&command),
            FromServer::Hello { .. } | FromServer::Welcome { .. } => {}
        }
        self.to_send.notify_one();
    }

    fn recorded(&self, command: &CommandId) {
        let mut state = self.state();
        let Some(at) = state.entries.iter().position(|entry| entry.id == *command) else { return };
        if state.entries[at].outcome.is_none() {
            return;
        }
        if let Some(entry) = state.entries.remove(at) {
            // Whoever is in between may set the one clock ahead, and have what was done forgotten too early.
            let now = self.clock.now().min(Timestamp::now());
            if let Err(error) = state.spool.forget(command, entry.not_after, now) {
                crate::say!("{error}");
            }
            self.settled.notify_one();
        }
    }

    fn cancel(&self, command: &CommandId) {
        let waits = {
            let mut state = self.state();
            let Some(entry) = find(&mut state.entries, command) else { return };
            entry.stop.send_replace(Stop::Cancelled);
            entry.stage == Stage::Waiting
        };
        if waits {
            let errors = vec!["the command was cancelled before it was started".to_owned()];
            self.finish(command, failed(errors, None, self.clock.now()));
        }
    }

    /// The next command, when there is one.
    pub async fn next_job(&self) -> Job {
        loop {
            {
                let mut state = self.state();
                let leaving = state.leaving;
                let waiting = state.entries.iter_mut().find(|entry| entry.stage == Stage::Waiting);
                if let Some(entry) = waiting.filter(|_| !leaving)
                    && let Some(assignment) = entry.assignment.take()
                {
                    entry.stage = Stage::Working;
                    return Job { assignment, stop: entry.stop.subscribe() };
                }
            }
            self.to_do.notified().await;
        }
    }

    /// Writes down that a command starts. Only when this succeeded it may.
    ///
    /// # Errors
    /// When it cannot be written down: then the command must not be started.
    pub async fn start(&self, command: &CommandId) -> Result<Timestamp> {
        let now = self.clock.now();
        let journal = {
            let mut state = self.state();
            if state.spool.knows(command) {
                return Err(Error::new("the command was started before and is not started again"));
            }
            let not_after = find(&mut state.entries, command).map(|entry| entry.not_after);
            let not_after = not_after.ok_or_else(|| Error::new("the command is not known"))?;
            state.spool.start(command, now, not_after)?
        };
        on_the_disk(journal).await?;
        if let Some(entry) = find(&mut self.state().entries, command) {
            entry.started = Some(now);
        }
        self.to_send.notify_one();
        Ok(now)
    }

    /// Writes down how a command ended, so that it is said until the server has it. Returns the journal's file, which
    /// need not be on the disk before it is said.
    pub fn finish(&self, command: &CommandId, outcome: Outcome) -> Option<File> {
        let journal = {
            let mut state = self.state();
            let State { spool, entries, .. } = &mut *state;
            let entry = find(entries, command)?;
            let journal = spool.finish(command, outcome.clone(), entry.not_after);
            entry.end(outcome);
            journal
        };
        self.to_send.notify_one();
        self.settled.notify_one();
        // It is said all the same: the server's record is what counts.
        journal.inspect_err(|error| crate::say!("{error}")).ok()
    }

    /// Begins no more commands, and has the one that runs stopped.
    pub fn leave(&self) {
        let mut state = self.state();
        state.leaving = true;
        for entry in state.entries.iter().filter(|entry| entry.stage == Stage::Working) {
            entry.stop.send_if_modified(|stop| {
                let runs = *stop == Stop::No;
                if runs {
                    *stop = Stop::AgentStops;
                }
                runs
            });
        }
    }

    /// Returns when no command is under way, and, with `said`, when the server has every end.
    pub async fn settled(&self, said: bool) {
        loop {
            let open = |entry: &Entry| entry.stage == Stage::Working || (said && entry.stage == Stage::Ended);
            if !self.state().entries.iter().any(open) {
                return;
            }
            self.settled.notified().await;
        }
    }

    /// Where a command's output goes.
    pub(crate) fn spool_folder(&self, command: &CommandId) -> std::path::PathBuf {
        self.state().spool.folder_of(command)
    }
}

fn find<'a>(entries: &'a mut VecDeque<Entry>, command: &CommandId) -> Option<&'a mut Entry> {
    entries.iter_mut().find(|entry| entry.id == *command)
}

/// How a command ended that did not succeed and has no output.
pub fn failed(errors: Vec<String>, started: Option<Timestamp>, ended: Timestamp) -> Outcome {
    Outcome { succeeded: false, exit_code: None, errors, started, ended, output: Vec::new() }
}

/// How a command ended that ran when the agent was stopped.
fn interrupted(
    spool: &Spool,
    command: &CommandId,
    started: Option<Timestamp>,
    now: Timestamp,
) -> Result<Outcome> {
    let errors = vec!["the agent was stopped while the command ran".to_owned()];
    Ok(Outcome { output: spool.measure(command)?, ..failed(errors, started, now) })
}

/// After a crash of the machine the journal may know of output that did not reach the disk.
fn settle(spool: &Spool, command: &CommandId, mut outcome: Outcome) -> Result<Outcome> {
    let mut on_disk = [0; 3];
    STREAMS.iter().for_each(|stream| on_disk[place(*stream)] = spool.size_of(command, *stream));
    if outcome.output.iter().any(|end| on_disk[place(end.stream)] != end.size) {
        outcome.output = spool.measure(command)?;
        outcome.succeeded = false;
        outcome.errors.push("the machine stopped before all output was on its disk: some is lost".to_owned());
    }
    Ok(outcome)
}

/// Returns when a file is on the disk.
///
/// # Errors
/// When the disk refuses.
async fn on_the_disk(file: File) -> Result<()> {
    let synced = tokio::task::spawn_blocking(move || file.sync_data()).await;
    match synced {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Error::new(format!("cannot write to the disk: {error}"))),
        Err(error) => Err(Error::new(format!("cannot write to the disk: {error}"))),
    }
}

/// The last part of a path, as a name.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let path = Path::new(name);
    !name.is_empty()
        && name.len() <= 255
        && path.file_name().is_some_and(|last| last == name)
        && !name.contains(['/', '\\', '\0', ':'])
}
