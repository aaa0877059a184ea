//! What many idle agents cost the server, and how long one action on each of them takes. Invariant: an action that is
//! not told of with its own machine's output, or a script that was started twice, fails the turn.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Bench, CLIENTS, Contestant, Folder, Samples};
use crate::Result;
use crate::http::{Body, Connection};
use crate::live::Live;
use crate::peers::JUMPBAG;
use crate::process::Server;
use crate::simulate;
use crate::table::{Row, Table, Unit};

pub const MEMORY: &str = "agents-memory";
pub const EACH: &str = "agents-memory-each";
pub const CPU: &str = "agents-cpu";
pub const FIRST: &str = "agents-first";
pub const LAST: &str = "agents-last";

/// Enrolling and connecting so many may take as long as this.
const PATIENCE: Duration = Duration::from_secs(300);
/// All actions must be over by then.
const LIMIT: Duration = Duration::from_secs(180);

/// The row of so many agents.
pub fn row(count: usize) -> String {
    format!("{count} agents")
}

/// How many agents there are in the largest turn.
pub fn most(bench: &Bench) -> usize {
    bench.scaled(10_000, 500)
}

pub fn run(bench: &Bench) -> Vec<Table> {
    let idle = bench.scaled(100, 10);
    let after =
        format!("{idle} s, in which nobody wants anything; agents ping every 50 s, behind a minute of rest.");
    let tables = vec![
        Table::new(MEMORY, "Memory of the server, agents connected and idle", Unit::Mebibytes, "`VmRSS`."),
        Table::new(
            EACH,
            "Memory of the server for each idle agent",
            Unit::Kibibytes,
            "`VmRSS` less that without agents.",
        ),
        Table::new(CPU, "Processor time of the server, agents connected and idle", Unit::Percent, after),
        Table::new(
            FIRST,
            "One action on each: the first result",
            Unit::Milliseconds,
            format!(
                "From the first of all requests until its success is seen. {CLIENTS} clients make one action after the other meanwhile."
            ),
        ),
        Table::new(
            LAST,
            "One action on each: the last result",
            Unit::Milliseconds,
            "From the first request until all have succeeded, seen in a list that is asked for every 50 ms. Then each action's \
             output is fetched: it must be its own machine's. Every start is counted by the agents: one for each action.",
        ),
    ];
    if bench.left_out(JUMPBAG) {
        return Vec::new();
    }
    let counts = [most(bench) / 100, most(bench) / 10, most(bench)];
    let contestants = counts.into_iter().map(|count| Contestant {
        name: row(count),
        syncs: None,
        turn: Box::new(move || turn(bench, count, idle)),
    });
    let mut tables = bench.turns(bench.runs.min(3), tables, contestants.collect());
    tables.iter_mut().for_each(|table| table.rows.retain(Row::has_something));
    tables
}

fn turn(bench: &Bench, count: usize, idle: u64) -> Result<Samples> {
    let live = Live::start(bench, "agents")?;
    // What every server has once it was asked something.
    live.connected()?;
    let empty = live.server.memory("VmRSS")?;
    let crowd = Crowd::start(bench, &live, count)?;
    crate::say(&format!("  {count} agents are connected"));
    std::thread::sleep(Duration::from_secs(bench.scaled(60, 2)));
    let (before, began) = (live.server.cpu_seconds()?, Instant::now());
    std::thread::sleep(Duration::from_secs(idle));
    let cpu = (live.server.cpu_seconds()? - before) / began.elapsed().as_secs_f64() * 100.0;
    let memory = live.server.memory("VmRSS")?;
    let connected = live.connected()?;
    if connected != count {
        return Err(format!("{connected} agents are connected, {count} were"));
    }
    let each = (memory - empty) * 1024.0 / count as f64;
    crate::say(&format!("  idle: {memory:.1} MiB, {each:.1} KiB each, {cpu:.2} % of a core"));
    let (first, last) = crowd.act(&live)?;
    crate::say(&format!("  one action on each: {first:.3} s and {last:.3} s"));
    Ok(vec![(0, memory), (1, each), (2, cpu), (3, first * 1000.0), (4, last * 1000.0)])
}

/// Connected agents in a few processes.
struct Crowd {
    machines: Vec<String>,
    parts: Vec<(Server, Folder)>,
}

impl Crowd {
    fn start(bench: &Bench, live: &Live, count: usize) -> Result<Crowd> {
        let (url, token) = live.enrolment(count)?;
        let program = std::env::current_exe().map_err(|e| format!("looking for this program: {e}"))?;
        let mut parts = Vec::new();
        let mut left = count;
        while left > 0 {
            let size = left.min(simulate::fit());
            let folder = bench.folder_elsewhere("agents")?;
            let mut command = Command::new(&program);
            command.arg("simulate").arg(folder.path()).args([
                url.as_str(),
                token.as_str(),
                &size.to_string(),
            ]);
            parts.push((Server::spawn(command, live.server.address, folder.path())?, folder));
            left -= size;
        }
        live.all_connected(count, PATIENCE)?;
        let mut crowd = Crowd { machines: Vec::new(), parts };
        crowd.machines = crowd.lines("machines")?;
        Ok(crowd)
    }

    /// All lines of a file that each part keeps.
    fn lines(&self, name: &str) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for (_, folder) in &self.parts {
            let path = folder.path().join(name);
            let text =
                std::fs::read_to_string(&path).map_err(|e| format!("reading `{}`: {e}", path.display()))?;
            lines.extend(text.lines().map(str::to_owned));
        }
        Ok(lines)
    }

    /// One action on each machine; the seconds until the first result and until all were seen.
    fn act(&self, live: &Live) -> Result<(f64, f64)> {
        let began = Instant::now();
        let made = Made::default();
        let (first, last) = std::thread::scope(|scope| {
            let clients: Vec<_> =
                (0..CLIENTS).map(|_| scope.spawn(|| made.make(live, &self.machines))).collect();
            let first = scope.spawn(|| made.first(live, began));
            let last = scope.spawn(|| seen(live, self.machines.len(), began));
            for client in clients {
                joined(client)?;
            }
            Ok::<_, String>((joined(first)?, joined(last)?))
        })?;
        let actions = made.actions.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.check(live, &actions)?;
        Ok((first, last))
    }

    /// Each action has the output of its machine, and was started once.
    fn check(&self, live: &Live, actions: &BTreeMap<String, String>) -> Result<()> {
        let mut connection = Connection::open(live.server.address)?;
        for (action, machine) in actions {
            let request = live.get(&format!("/api/machineactions/{action}/commands/0/stdout"));
            let answer = connection.send(&request, Body::Keep)?.success("an output")?;
            if answer.body != machine.as_bytes() {
                let output = String::from_utf8_lossy(&answer.body).into_owned();
                return Err(format!("action {action} of machine {machine} has the output `{output}`"));
            }
        }
        let starts = self.lines("starts")?;
        let once: BTreeSet<String> = starts.iter().cloned().collect();
        let expected: BTreeSet<String> = actions.keys().map(|action| format!("{action}/0")).collect();
        if starts.len() == once.len() && once == expected && actions.len() == self.machines.len() {
            return Ok(());
        }
        Err(format!(
            "{} starts, {} of them different, of {} actions",
            starts.len(),
            once.len(),
            expected.len()
        ))
    }
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().map_err(|_| "a client panicked".to_owned())?
}

/// Actions that were made, and for which machine.
#[derive(Default)]
struct Made {
    next: AtomicUsize,
    actions: Mutex<BTreeMap<String, String>>,
    first: Mutex<Option<String>>,
}

impl Made {
    /// One client: actions on machines that no other client has taken.
    fn make(&self, live: &Live, machines: &[String]) -> Result<()> {
        let mut connection = Connection::open(live.server.address)?;
        while let Some((number, machine)) = self.take(machines) {
            let action = Live::json(&mut connection, &live.run(machine), "running the script")?;
            let id = action["id"].as_str().ok_or("the action has no id")?.to_owned();
            if number == 0 {
                self.first.lock().unwrap_or_else(PoisonError::into_inner).replace(id.clone());
            }
            self.actions.lock().unwrap_or_else(PoisonError::into_inner).insert(id, machine.clone());
        }
        Ok(())
    }

    fn take<'a>(&self, machines: &'a [String]) -> Option<(usize, &'a String)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Some((number, machines.get(number)?))
    }

    /// Seconds until the first action has succeeded.
    fn first(&self, live: &Live, began: Instant) -> Result<f64> {
        let mut connection = Connection::open(live.server.address)?;
        while began.elapsed() < LIMIT {
            let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(first) = first {
                live.succeeded(&mut connection, &first)?;
                return Ok(began.elapsed().as_secs_f64());
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        Err("no action was made".into())
    }
}

/// Seconds until a list of the actions that have succeeded counts them all.
fn seen(live: &Live, count: usize, began: Instant) -> Result<f64> {
    let mut connection = Connection::open(live.server.address)?;
    let request = live.get("/api/machineactions?$filter=status%20eq%20'Succeeded'&$top=1&$count=true");
    let mut done = 0;
    while began.elapsed() < LIMIT {
        done = Live::json(&mut connection, &request, "counting")?["@odata.count"].as_u64().unwrap_or(0);
        if done == count as u64 {
            return Ok(began.elapsed().as_secs_f64());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(format!("{done} of {count} actions have succeeded after {} s", LIMIT.as_secs()))
}
