//! Downloads of one 20 MiB file: the first a server is asked for, more over one connection, and many at once.

use std::time::{Duration, Instant};

use super::{Bench, CLIENTS, LARGE, Samples, fresh};
use crate::Result;
use crate::http::{Body, Connection, Content, Request};
use crate::load::{self, Plan};
use crate::peers::Peer;
use crate::table::{Table, Unit};

pub const ID: &str = "download";
const EACH_TURN: usize = 10;
/// Places of the tables.
const REPEATED: usize = 0;
const TOGETHER: usize = 1;
const FIRST: usize = 2;

pub fn run(bench: &Bench) -> Vec<Table> {
    let remark = format!(
        "{EACH_TURN} downloads a turn, one after the other, behind the first; all are samples. nginx sends a static \
         file by `sendfile` and looks at none of its bytes; jumpbag checks every piece against the tag that it made \
         when the first download had the right SHA-256."
    );
    let tables = vec![
        Table::new(ID, "One 20 MiB download", Unit::Milliseconds, remark),
        Table::new(
            "download-16",
            "Downloads of 20 MiB by 16 clients",
            Unit::PerSecond,
            "All of the same file, behind those above.",
        ),
        Table::new(
            "download-first",
            "First 20 MiB download",
            Unit::Milliseconds,
            "One a turn, of a file uploaded to a server just started. jumpbag verifies the SHA-256 before the last byte.",
        ),
    ];
    bench.turns(bench.runs, tables, bench.contestants(turn))
}

fn turn(bench: &Bench, peer: &dyn Peer) -> Result<Samples> {
    let running = bench.start(peer)?;
    let address = running.server.address;
    let (name, stamp) = fresh();
    let mut connection = Connection::open(address)?;
    let upload = running.dialect.upload(&name, &Content::new(stamp, &bench.large));
    connection.send(&upload, Body::Drop)?.success("the upload before the downloads")?;
    let request = running.dialect.download(&name);
    let mut samples = Vec::new();
    for number in 0..=EACH_TURN {
        let began = Instant::now();
        whole(&mut connection, &request)?;
        let table = if number == 0 { FIRST } else { REPEATED };
        samples.push((table, began.elapsed().as_secs_f64() * 1000.0));
    }
    let limit = Duration::from_millis(bench.scaled(3_000, 1_000));
    let outcome = load::run(address, &Plan::Repeat(CLIENTS, &request), limit)?;
    let expected = (outcome.done * LARGE) as u64;
    if outcome.bytes != expected {
        return Err(format!("{} downloads held {} bytes, not {expected}", outcome.done, outcome.bytes));
    }
    samples.push((TOGETHER, outcome.per_second()));
    Ok(samples)
}

/// An answer that was cut short must not pass for a fast one.
fn whole(connection: &mut Connection, request: &Request) -> Result<()> {
    let bytes = connection.send(request, Body::Drop)?.success("a 20 MiB download")?.bytes;
    if bytes == LARGE as u64 { Ok(()) } else { Err(format!("a download held {bytes} bytes, not {LARGE}")) }
}
