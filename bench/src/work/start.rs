//! How long a server takes from its start to its first answer, and how much memory it takes doing nothing.

use super::{Bench, Contestant, Samples};
use crate::Result;
use crate::http::{Body, Connection};
use crate::peers::Peer;
use crate::process::{Server, free_address};
use crate::table::{Table, Unit};

pub const IDLE: &str = "idle";
pub const IDLE_AFTER: &str = "idle-after";

pub fn start_up(bench: &Bench) -> Vec<Table> {
    let tables = vec![
        Table::new(
            "start-first",
            "Start on an empty folder",
            Unit::Milliseconds,
            "From the start of the process to the first HTTP answer, whatever its status.",
        ),
        Table::new(
            "start-again",
            "Start on a folder that was served before",
            Unit::Milliseconds,
            "The first server was ended by SIGTERM. From the start of the process to the first list with status 2xx.",
        ),
    ];
    bench.turns(bench.runs, tables, readers(bench, start_turn))
}

pub fn idle(bench: &Bench) -> Vec<Table> {
    let remark = "`VmRSS`, summed over the server's processes; pages they share are counted for each.";
    let tables = vec![
        Table::new(IDLE, "Memory after the start", Unit::Mebibytes, remark),
        Table::new(IDLE_AFTER, "Memory after the first list", Unit::Mebibytes, remark),
    ];
    bench.turns(bench.runs, tables, readers(bench, idle_turn))
}

/// Contestants of whom it does not matter here what they sync.
fn readers<'a>(
    bench: &'a Bench,
    turn: fn(&'a Bench, &'a dyn Peer) -> Result<Samples>,
) -> Vec<Contestant<'a>> {
    bench.contestants(turn).into_iter().map(|contestant| Contestant { syncs: None, ..contestant }).collect()
}

fn start_turn(bench: &Bench, peer: &dyn Peer) -> Result<Samples> {
    let folder = bench.folder(peer.name())?;
    let address = free_address()?;
    peer.prepare(folder.path(), address)?;
    let spawn = || Server::spawn(peer.command(folder.path(), address), address, folder.path());
    let mut server = spawn()?;
    let first = server.answered(&peer.probe(address), |_| true)?;
    let dialect = peer.dialect(folder.path(), address)?;
    server.stop()?;
    let again = spawn()?.answered(&dialect.list(None), |status| (200..300).contains(&status))?;
    Ok(vec![(0, first * 1000.0), (1, again * 1000.0)])
}

fn idle_turn(bench: &Bench, peer: &dyn Peer) -> Result<Samples> {
    let folder = bench.folder(peer.name())?;
    let address = free_address()?;
    peer.prepare(folder.path(), address)?;
    let mut server = Server::spawn(peer.command(folder.path(), address), address, folder.path())?;
    server.answered(&peer.probe(address), |_| true)?;
    let before = server.memory("VmRSS")?;
    let dialect = peer.dialect(folder.path(), address)?;
    Connection::open(address)?.send(&dialect.list(None), Body::Drop)?.success("a list")?;
    Ok(vec![(0, before), (1, server.memory("VmRSS")?)])
}
