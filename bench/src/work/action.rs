//! How long a trivial script takes on a machine, from the request until its success is seen.

use std::time::Instant;

use super::{Bench, Contestant, Samples};
use crate::Result;
use crate::http::Connection;
use crate::live::{Live, RealAgent};
use crate::peers::{JUMPBAG, meshcentral};
use crate::table::{Row, Table, Unit};

pub const ID: &str = "action";
pub const COMMAND_LINE: &str = "MeshCentral, meshctrl";

pub fn run(bench: &Bench) -> Vec<Table> {
    let table = Table::new(
        ID,
        "A trivial script on a machine, one after the other",
        Unit::Milliseconds,
        "jumpbag: from `POST …/runliveresponse` until `GET /api/machineactions/{id}`, asked again a millisecond after each \
         answer, says `Succeeded`; the script (`#!/bin/sh`, `echo hello`) is signed, fetched and verified, its start and \
         its end are on stable storage on both sides. MeshCentral: `runcommands` with `reply` of `echo hello`, in one \
         session that is open already, until the reply; and the same by the command line that comes with it, whose \
         start is in the number. It keeps nothing of a command but a line in its log, and speaks TLS, which jumpbag here \
         does not; replies of it that never came are left out. Real agents, all on this machine.",
    );
    let count = bench.scaled(40, 5);
    let own = (!bench.left_out(JUMPBAG)).then(|| started(bench));
    let mesh = (!bench.left_out(meshcentral::NAME)).then(|| meshcentral::MeshCentral::start(bench));
    let mut contestants = Vec::new();
    if let Some(own) = &own {
        let turn = move || {
            let (live, _agent, machine) = own.as_ref().map_err(Clone::clone)?;
            actions(live, machine, count)
        };
        contestants.push(contestant(JUMPBAG, turn));
    }
    if let Some(mesh) = &mesh {
        contestants.push(contestant(meshcentral::NAME, move || {
            let mesh = mesh.as_ref().map_err(Clone::clone)?;
            Ok(mesh.commands(count)?.into_iter().map(|time| (0, time)).collect())
        }));
        contestants.push(contestant(COMMAND_LINE, move || {
            let mesh = mesh.as_ref().map_err(Clone::clone)?;
            (0..count / 4 + 1).map(|_| Ok((0, mesh.by_command_line()?))).collect()
        }));
    }
    let mut tables = bench.turns(bench.runs, vec![table], contestants);
    // Servers of files are not asked to run anything.
    tables.iter_mut().for_each(|table| table.rows.retain(Row::has_something));
    tables
}

fn contestant<'a>(name: &str, turn: impl FnMut() -> Result<Samples> + 'a) -> Contestant<'a> {
    Contestant { name: name.to_owned(), syncs: None, turn: Box::new(turn) }
}

fn started(bench: &Bench) -> Result<(Live, RealAgent, String)> {
    let live = Live::start(bench, "action")?;
    let (agent, machine) = RealAgent::start(bench, &live, &bench.places.agent)?;
    Ok((live, agent, machine))
}

fn actions(live: &Live, machine: &str, count: usize) -> Result<Samples> {
    let mut connection = Connection::open(live.server.address)?;
    let mut samples = Samples::new();
    for _ in 0..count {
        let began = Instant::now();
        live.run_once(&mut connection, machine)?;
        samples.push((0, began.elapsed().as_secs_f64() * 1000.0));
    }
    Ok(samples)
}
