//! One 20 MiB upload over one connection, against what one process needs to write, hash and sync the same bytes.

use std::time::Instant;

use super::{Bench, Contestant, LARGE, Samples, fresh};
use crate::Result;
use crate::http::{Body, Connection, Content};
use crate::peers::Peer;
use crate::physical;
use crate::table::{Table, Unit};

pub const ID: &str = "upload";
const EACH_TURN: usize = 3;

pub fn run(bench: &Bench) -> Vec<Table> {
    let remark = format!(
        "{EACH_TURN} uploads a turn, one after the other, behind one of 4 KiB; all are samples. The physical limit \
         hashes (SHA-256), writes and syncs the same bytes in one thread without HTTP, and does not sync the folder."
    );
    let table = Table::new(ID, "One 20 MiB upload", Unit::Milliseconds, remark);
    let mut contestants = bench.contestants(turn);
    contestants.push(Contestant {
        name: physical::FILE.to_string(),
        syncs: None,
        turn: Box::new(|| physical_turn(bench)),
    });
    bench.turns(bench.runs, vec![table], contestants)
}

fn turn(bench: &Bench, peer: &dyn Peer) -> Result<Samples> {
    let running = bench.start(peer)?;
    let mut connection = Connection::open(running.server.address)?;
    let (name, stamp) = fresh();
    let warm = running.dialect.upload(&name, &Content::new(stamp, &bench.small));
    connection.send(&warm, Body::Drop)?.success("the upload before the measured ones")?;
    let mut samples = Vec::new();
    for _ in 0..EACH_TURN {
        let (name, stamp) = fresh();
        let request = running.dialect.upload(&name, &Content::new(stamp, &bench.large));
        let began = Instant::now();
        connection.send(&request, Body::Drop)?.success("a 20 MiB upload")?;
        samples.push((0, began.elapsed().as_secs_f64() * 1000.0));
    }
    Ok(samples)
}

fn physical_turn(bench: &Bench) -> Result<Samples> {
    let folder = bench.folder("physical")?;
    let work = physical::Work::File { size: LARGE, count: EACH_TURN };
    let seconds = physical::in_a_process(&work, folder.path())?;
    Ok(seconds.into_iter().map(|seconds| (0, seconds * 1000.0)).collect())
}
