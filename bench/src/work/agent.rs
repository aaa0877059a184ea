//! What an agent takes of its machine while it has nothing to do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Bench;
use crate::Result;
use crate::http::Connection;
use crate::live::{Live, RealAgent};
use crate::peers::meshcentral::MeshCentral;
use crate::peers::{JUMPBAG, meshcentral};
use crate::process::Server;
use crate::table::{Row, Table, Unit};

pub const SIZE: &str = "agent-size";
pub const MEMORY: &str = "agent-memory";
pub const WAKE_UPS: &str = "agent-wake-ups";

const MESH_AGENT: &str = "MeshAgent";

/// Both run at the same time: what one of them does while it is idle does not hurt the other.
pub fn run(bench: &Bench) -> Vec<Table> {
    let seconds = bench.scaled(200, 30);
    let mut tables = vec![
        Table::new(
            SIZE,
            "The agent's program",
            Unit::Mebibytes,
            "The file, without symbols. One file is all there is.",
        ),
        Table::new(
            MEMORY,
            "The agent's memory, idle",
            Unit::Mebibytes,
            "`VmRSS` after one command, at the end of the time in which wake-ups were counted.",
        ),
        Table::new(
            WAKE_UPS,
            "The agent's wake-ups, idle",
            Unit::PerMinute,
            format!(
                "`voluntary_ctxt_switches` of all threads in {seconds} s, in which nobody wants anything. jumpbag's agent \
                 pings every 50 s and hears the answer; MeshCentral's is pinged less often."
            ),
        ),
    ];
    let mut agents: Vec<(&str, Result<Idle>)> = Vec::new();
    if !bench.left_out(JUMPBAG) {
        agents.push((JUMPBAG, own(bench)));
    }
    if !bench.left_out(meshcentral::NAME) {
        agents.push((MESH_AGENT, mesh(bench)));
    }
    // What they did for the command is over by then.
    std::thread::sleep(Duration::from_secs(5));
    let begun: Vec<_> = agents.iter().map(|(_, agent)| agent.as_ref().map(Idle::sleeps)).collect();
    crate::say(&format!("Agents, idle for {seconds} s"));
    std::thread::sleep(Duration::from_secs(seconds));
    let minutes = seconds as f64 / 60.0;
    let measured = agents.iter().zip(begun).map(|((_, agent), begun)| {
        let (agent, begun) = (agent.as_ref().map_err(Clone::clone)?, begun.map_err(Clone::clone)??);
        let memory = agent.process().memory("VmRSS")?;
        Ok([size(&agent.program)?, memory, (agent.sleeps()? - begun) as f64 / minutes])
    });
    let measured: Vec<Result<[f64; 3]>> = measured.collect();
    for ((name, _), numbers) in agents.iter().zip(measured) {
        for (number, table) in tables.iter_mut().enumerate() {
            let (samples, failure) = match &numbers {
                Ok(numbers) => (vec![numbers[number]], None),
                Err(error) => (Vec::new(), Some(error.clone())),
            };
            table.rows.push(Row { name: (*name).into(), syncs: None, samples, failure });
        }
    }
    tables
}

/// An agent that has run one command, with its server.
struct Idle {
    program: PathBuf,
    pair: Pair,
}

enum Pair {
    Own { agent: RealAgent, _live: Live },
    Mesh(MeshCentral),
}

impl Idle {
    fn process(&self) -> &Server {
        match &self.pair {
            Pair::Own { agent, .. } => &agent.process,
            Pair::Mesh(mesh) => &mesh.agent,
        }
    }

    fn sleeps(&self) -> Result<u64> {
        self.process().sleeps()
    }
}

fn own(bench: &Bench) -> Result<Idle> {
    let program = bench.places.agent.clone();
    let live = Live::start(bench, "idle-agent")?;
    let (agent, machine) = RealAgent::start(bench, &live, &program)?;
    live.run_once(&mut Connection::open(live.server.address)?, &machine)?;
    Ok(Idle { program, pair: Pair::Own { agent, _live: live } })
}

fn mesh(bench: &Bench) -> Result<Idle> {
    let mesh = MeshCentral::start(bench)?;
    mesh.commands(1)?;
    Ok(Idle { program: meshcentral::agent(&bench.places.tools), pair: Pair::Mesh(mesh) })
}

fn size(program: &Path) -> Result<f64> {
    let size = std::fs::metadata(program).map_err(|e| format!("`{}`: {e}", program.display()))?.len();
    Ok(size as f64 / 1024.0 / 1024.0)
}
