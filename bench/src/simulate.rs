//! Many agents in one process: the agent's own connection, duty and journal, each in a data folder of its own. Only the
//! script is not run: what it would put out is the machine's id. Invariant: every start is written down once, in a
//! file that all of them share, so that whoever started them can count.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jumpbag_agent::courier::Courier;
use jumpbag_agent::duty::output::Output;
use jumpbag_agent::duty::{Duty, Job, failed};
use jumpbag_agent::enroll::{Pasted, enroll};
use jumpbag_agent::identity::{Identity, Lineage, ServerKey};
use jumpbag_agent::link::Server;
use jumpbag_agent::settings::{Home, Settings};
use jumpbag_agent::spool::Spool;
use jumpbag_wire::agent::{Assignment, Outcome, Stream};
use jumpbag_wire::time::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Result;

/// Machines that enrol at the same time.
const ENROLLING: usize = 32;
/// Agents that begin to connect in a second.
const DIALS: u64 = 1000;

/// Files that an agent holds open: its connection, its journal, and what a command takes for a moment.
const FILES: u64 = 3;

/// How many agents one process may hold.
pub fn fit() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1 << 20);
    usize::try_from(limit.saturating_sub(256) / FILES).unwrap_or(usize::MAX)
}

/// As many open files as this process may have; what it starts inherits that.
pub fn raise_limit() -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit { current: maximum, maximum };
    setrlimit(Resource::Nofile, limit).map_err(|e| format!("raising the limit of open files: {e}"))
}

/// Enrols `count` machines below `folder`, writes their ids to `machines` there, and is all of them until it is killed.
pub fn run(folder: &Path, url: &str, token: &str, count: usize) -> Result<()> {
    raise_limit()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(16).build();
    let runtime = runtime.map_err(|e| format!("starting: {e}"))?;
    runtime.block_on(async {
        let homes: Vec<PathBuf> = (0..count).map(|number| folder.join(format!("{number:05}"))).collect();
        let machines = all_enrolled(&homes, url, token).await?;
        let starts = File::create(folder.join("starts")).map_err(|e| format!("creating `starts`: {e}"))?;
        let starts = Arc::new(starts);
        let mut agents = JoinSet::new();
        for (number, home) in homes.into_iter().enumerate() {
            let agent = Agent::open(home, Arc::clone(&starts)).map_err(|e| e.to_string())?;
            let wait = Duration::from_micros(number as u64 * 1_000_000 / DIALS);
            agents.spawn(async move {
                tokio::time::sleep(wait).await;
                agent.run().await
            });
        }
        // In one step: who finds it finds it whole.
        let (fresh, path) = (folder.join("machines.new"), folder.join("machines"));
        let written =
            std::fs::write(&fresh, machines.join("\n")).and_then(|()| std::fs::rename(&fresh, &path));
        written.map_err(|e| format!("writing `{}`: {e}", path.display()))?;
        match agents.join_next().await {
            Some(Ok(Err(error))) => Err(error),
            ended => Err(format!("an agent ended: {ended:?}")),
        }
    })
}

async fn all_enrolled(homes: &[PathBuf], url: &str, token: &str) -> Result<Vec<String>> {
    let places = Arc::new(Semaphore::new(ENROLLING));
    let mut enrolling = JoinSet::new();
    for home in homes.iter().cloned() {
        let pasted = Pasted { url: url.into(), token: token.into(), ca: None, proxy: None, again: false };
        let places = Arc::clone(&places);
        enrolling.spawn(async move {
            let _place = places.acquire().await;
            enroll(&Home::new(home), &pasted).await.map_err(|e| e.to_string())
        });
    }
    let mut machines = Vec::with_capacity(homes.len());
    while let Some(enrolled) = enrolling.join_next().await {
        machines.push(enrolled.map_err(|e| e.to_string())??);
    }
    Ok(machines)
}

struct Agent {
    courier: Courier,
    home: PathBuf,
    starts: Arc<File>,
}

impl Agent {
    fn open(folder: PathBuf, starts: Arc<File>) -> jumpbag_agent::error::Result<Agent> {
        let home = Home::new(&folder);
        let settings = Settings::read(&home)?;
        let identity = Identity::open(&home.key())?;
        let server = Server::parse(&settings.url)?;
        let lineage = Lineage::new(home.lineage());
        let spool = Spool::open(&home.spool(), settings.limits.spool, Timestamp::now())?;
        let server_key = ServerKey::parse(&settings.server_key)?;
        let duty = Arc::new(Duty::new(settings.machine_id.clone(), server_key, spool)?);
        Ok(Agent { courier: Courier { settings, server, identity, lineage, duty }, home: folder, starts })
    }

    /// Returns when something went wrong that no agent may do wrong.
    async fn run(&self) -> Result<()> {
        let working = async {
            loop {
                let Job { assignment, .. } = self.courier.duty.next_job().await;
                if let Err(error) = self.perform(&assignment).await {
                    return Err(error.to_string());
                }
            }
        };
        tokio::select! {
            () = self.courier.run() => Ok(()),
            ended = working => ended,
        }
    }

    /// As the agent's worker does it, but for the process.
    async fn perform(&self, assignment: &Assignment) -> jumpbag_agent::error::Result<()> {
        use jumpbag_agent::error::Error;
        let (duty, id) = (&self.courier.duty, &assignment.command);
        let script = self.home.join(format!("{}-{}", id.action, id.index));
        let content = assignment.content.as_ref().ok_or_else(|| Error::new("no content is assigned"))?;
        duty.fetch(id, content, &script).await?;
        duty.stop_fetching(id);
        let started = duty.start(id).await?;
        let line = format!("{}/{}\n", id.action, id.index);
        (&*self.starts)
            .write_all(line.as_bytes())
            .map_err(|e| Error::new(format!("writing `starts`: {e}")))?;
        let mut output = Output::new(Arc::clone(duty), id, Stream::Stdout);
        output.write(assignment.machine_id.as_bytes())?;
        let (end, _, cut) = output.end();
        let failed = failed(Vec::from_iter(cut.map(|cut| cut.to_string())), Some(started), duty.clock.now());
        let succeeded = failed.errors.is_empty();
        let output = Vec::from_iter(end);
        duty.finish(id, Outcome { succeeded, exit_code: Some(0), output, ..failed });
        // It goes with the folder otherwise.
        let _ = std::fs::remove_file(&script);
        Ok(())
    }
}
