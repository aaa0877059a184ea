//! 64 uploads of 20 MiB at the same moment: how much memory the server takes, and how long it takes.

use std::time::Duration;

use super::{Bench, LARGE, Samples, fresh};
use crate::Result;
use crate::http::{Content, Request};
use crate::load::{self, Plan};
use crate::peers::Peer;
use crate::table::{Table, Unit};

pub const MEMORY: &str = "concurrent-memory";
/// Each run writes more than a gibibyte for every peer; more runs would only wear the disk.
const MOST_RUNS: usize = 3;

pub fn run(bench: &Bench) -> Vec<Table> {
    let count = count(bench);
    let remark = "`VmHWM` of a freshly started server, summed over its processes (nginx: a master and its workers; \
                  pages they share are counted for each). The page cache is not in it.";
    let bytes = count * LARGE / 1024 / 1024;
    let tables = vec![
        Table::new(MEMORY, format!("Peak memory under {count} uploads of 20 MiB"), Unit::Mebibytes, remark),
        Table::new(
            "concurrent-time",
            format!("{count} uploads of 20 MiB at once"),
            Unit::Milliseconds,
            format!("{bytes} MiB in all. Who does not sync has them in the page cache when this time ends."),
        ),
    ];
    bench.turns(bench.runs.min(MOST_RUNS), tables, bench.contestants(turn))
}

fn count(bench: &Bench) -> usize {
    bench.scaled(64, 16)
}

fn turn(bench: &Bench, peer: &dyn Peer) -> Result<Samples> {
    let running = bench.start(peer)?;
    let lane = |_| -> Vec<Request> {
        let (name, stamp) = fresh();
        vec![running.dialect.upload(&name, &Content::new(stamp, &bench.large))]
    };
    let lanes: Vec<_> = (0..count(bench)).map(lane).collect();
    let outcome = load::run(running.server.address, &Plan::Lanes(&lanes), Duration::from_secs(120))?;
    let memory = running.server.memory("VmHWM")?;
    Ok(vec![(0, memory), (1, outcome.seconds * 1000.0)])
}
