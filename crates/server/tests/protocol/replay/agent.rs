//! The agent of a replayed run: its real duty over a real spool. The worker is played, since what it runs takes no part.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt as _;
use jumpbag_agent::duty::output::Output;
use jumpbag_agent::duty::{Duty, Job, failed};
use jumpbag_agent::error::Result;
use jumpbag_agent::identity::ServerKey;
use jumpbag_agent::spool::Spool;
use jumpbag_wire::agent::{CommandId, Outcome, Stream};
use jumpbag_wire::time::Timestamp;

use super::super::model::Step;
use super::super::model::state::{COMMANDS, Command};

type Pending<T> = Pin<Box<dyn Future<Output = Result<T>>>>;

pub struct Agent {
    pub duty: Arc<Duty>,
    pub starts: [u8; COMMANDS],
    machine: String,
    server_key: ServerKey,
    folder: tempfile::TempDir,
    /// What the worker is at.
    job: Option<(Command, Job)>,
    fetch: Option<Pending<()>>,
    start: Option<Pending<Timestamp>>,
    started: Option<Timestamp>,
    output: Option<Output>,
    fetched: usize,
}

impl Agent {
    pub fn new(machine: &str, server_key: &str, now: Timestamp) -> Agent {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let server_key = ServerKey::parse(server_key).expect("a key");
        let duty = duty(&folder, machine, server_key, now);
        let machine = machine.to_owned();
        let agent = Agent {
            duty,
            starts: [0; COMMANDS],
            machine,
            server_key,
            folder,
            job: None,
            fetch: None,
            start: None,
            started: None,
            output: None,
            fetched: 0,
        };
        agent.synced();
        agent
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("spool/journal")
    }

    fn copy(&self) -> PathBuf {
        self.folder.path().join("synced")
    }

    /// The journal is on the disk.
    fn synced(&self) {
        std::fs::copy(self.journal(), self.copy()).expect("a copy");
    }

    /// Ends and begins anew, without what was not synced of the journal or of the output.
    pub fn restart(&mut self, journal: bool, output: bool, now: Timestamp) {
        (self.job, self.fetch, self.start, self.started, self.output) = (None, None, None, None, None);
        if journal {
            std::fs::copy(self.copy(), self.journal()).expect("a copy");
        }
        for entry in std::fs::read_dir(self.folder.path().join("spool")).expect("the spool") {
            let stdout = entry.expect("an entry").path().join("stdout");
            if output && stdout.exists() {
                std::fs::write(stdout, "").expect("an empty file");
            }
        }
        self.duty = duty(&self.folder, &self.machine, self.server_key, now);
        self.synced();
    }

    /// What the worker does by itself: takes a command when it is free, and what comes of its content.
    pub async fn attend(&mut self, command: impl Fn(&CommandId) -> Command) {
        if self.job.is_none()
            && let Some(job) = self.duty.next_job().now_or_never()
        {
            let id = job.assignment.command.clone();
            self.fetched += 1;
            let path = self.folder.path().join(format!("content-{}", self.fetched));
            let (duty, wanted) = (Arc::clone(&self.duty), job.assignment.content.clone().expect("a script"));
            self.job = Some((command(&id), job));
            self.fetch = Some(Box::pin(async move { duty.fetch(&id, &wanted, &path).await }));
        }
        if let Some(fetch) = &mut self.fetch
            && let Some(fetched) = fetch.now_or_never()
        {
            fetched.expect("the content as assigned");
            self.fetch = None;
        }
    }

    /// Does what a step of the worker stands for.
    pub async fn work(&mut self, step: Step, id: impl Fn(Command) -> CommandId) {
        let (command, _) = self.job.as_ref().expect("the worker is at something");
        let (command, id) = (*command, id(*command));
        match step {
            Step::Start(of) => {
                assert!(of == command && self.fetch.is_none(), "its content is here");
                let duty = Arc::clone(&self.duty);
                let mut start: Pending<Timestamp> = Box::pin(async move { duty.start(&id).await });
                // It is written down now, and on the disk a little later.
                if let Some(started) = (&mut start).now_or_never() {
                    start = Box::pin(std::future::ready(started));
                }
                self.start = Some(start);
            }
            Step::Begin(of) => {
                assert_eq!(of, command);
                let started = self.start.take().expect("it was written down").await;
                self.started = Some(started.expect("it may start"));
                self.starts[command] += 1;
                self.synced();
            }
            Step::PutOut(of) => {
                assert_eq!(of, command);
                let output = Output::new(Arc::clone(&self.duty), &id, Stream::Stdout);
                self.output.insert(output).write(b"x").expect("room");
            }
            Step::EndsWell(of) => self.end(of, &id, true),
            Step::GiveUp(of) => self.end(of, &id, false),
            other => panic!("{other:?} is none of the worker's"),
        }
    }

    fn end(&mut self, of: Command, id: &CommandId, succeeded: bool) {
        let (command, _) = self.job.take().expect("the worker is at something");
        assert_eq!(of, command);
        if self.fetch.take().is_some() {
            self.duty.stop_fetching(id);
        }
        let ended = failed(vec!["no".into()], self.started.take(), self.duty.clock.now());
        let mut outcome = Outcome { succeeded, ..ended };
        if succeeded {
            outcome.errors.clear();
        }
        outcome.output.extend(self.output.take().and_then(|output| output.end().0));
        self.duty.finish(id, outcome);
    }
}

fn duty(folder: &tempfile::TempDir, machine: &str, key: ServerKey, now: Timestamp) -> Arc<Duty> {
    let spool = Spool::open(&folder.path().join("spool"), 1 << 20, now).expect("a spool");
    let duty = Duty::new(machine.to_owned(), key, spool).expect("a duty");
    duty.clock.set(now);
    Arc::new(duty)
}
