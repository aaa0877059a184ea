//! The agent as a whole: its connection and its worker, from start to stop.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jumpbag_wire::time::Timestamp;

use crate::courier::Courier;
use crate::disk;
use crate::duty::Duty;
use crate::error::{Context, Error, Result};
use crate::identity::{Identity, Lineage, ServerKey};
use crate::link::Server;
use crate::run::Runner;
use crate::settings::{Home, Settings};
use crate::spool::Spool;
use crate::work::Worker;

/// For a command that is to stop, and for its end to be said, before the agent is gone.
const PARTING: Duration = Duration::from_secs(15);
const LAST_WORDS: Duration = Duration::from_secs(3);

#[cfg(windows)]
const PATH: &str = r"C:\Windows\System32;C:\Windows;C:\Windows\System32\Wbem;C:\Windows\System32\WindowsPowerShell\v1.0;C:\Program Files\PowerShell\7";
#[cfg(not(windows))]
const PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin:/opt/microsoft/powershell/7";

/// An agent that is ready to run, alone in its data folder.
pub struct Agent {
    courier: Courier,
    worker: Worker,
    _alone: File,
}

impl Agent {
    /// # Errors
    /// When this machine is not enrolled, another agent has the data folder, or what is in it cannot be used.
    pub fn open(home: &Home) -> Result<Agent> {
        let settings = Settings::read(home)?;
        let alone = alone(home)?;
        let identity = Identity::open(&home.key())?;
        let server = Server::parse(&settings.url)?;
        let server_key = ServerKey::parse(&settings.server_key)?;
        let spool = Spool::open(&home.spool(), settings.limits.spool, Timestamp::now())?;
        let interrupted = spool.left().iter().filter(|left| left.outcome.is_none());
        let marks: Vec<String> =
            interrupted.map(|left| format!("{}/{}", left.command.action, left.command.index)).collect();
        let runner = Runner::new(&settings.machine_id, &marks);
        let duty = Arc::new(Duty::new(settings.machine_id.clone(), server_key, spool)?);
        let worker = Worker {
            duty: Arc::clone(&duty),
            home: home.clone(),
            limits: settings.limits,
            runner,
            path: settings.path.clone().unwrap_or_else(|| PATH.to_owned()),
        };
        worker.prepare()?;
        let courier = Courier { settings, server, identity, lineage: Lineage::new(home.lineage()), duty };
        Ok(Agent { courier, worker, _alone: alone })
    }

    /// Runs until `stop` returns; a command that runs then is ended, and has failed.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let duty = &self.courier.duty;
        let parting = async {
            stop.await;
            duty.leave();
            let _ = tokio::time::timeout(PARTING, duty.settled(false)).await;
            let _ = tokio::time::timeout(LAST_WORDS, duty.settled(true)).await;
        };
        tokio::select! {
            () = self.courier.run() => {}
            () = self.worker.run() => {}
            () = parting => {}
        }
    }
}

/// How long the lock of an agent that was killed may be held by what it was about to start: until that has become its
/// own program.
const LINGERING: Duration = Duration::from_secs(5);

/// Two agents in one folder would start commands twice.
fn alone(home: &Home) -> Result<File> {
    let path = home.lock();
    let file = disk::private_file().write(true).create(true).truncate(false).open(&path);
    let file = file.context(|| format!("cannot open `{}`", path.display()))?;
    let until = Instant::now() + LINGERING;
    while file.try_lock().is_err() {
        if Instant::now() >= until {
            let folder = home.folder().display();
            return Err(Error::new(format!("another agent runs with the data folder `{folder}`")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(file)
}
