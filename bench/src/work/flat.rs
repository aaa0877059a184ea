//! Whether an upload and a delete cost the same in a library of very many files as in one of 10.

use std::time::Duration;

use super::{Bench, CLIENTS, Running, Samples};
use crate::Result;
use crate::load::{self, Plan};
use crate::peers::Peer;
use crate::table::{Table, Unit};

pub const UPLOAD: &str = "flat-upload";
pub const DELETE: &str = "flat-delete";
const FEW: usize = 10;
/// How many pairs of measurements a turn makes.
const PAIRS: usize = 4;

pub fn run(bench: &Bench) -> Vec<Table> {
    let many = bench.many();
    let rate = |what: &str, files: usize| {
        let title = format!("{what} of 4 KiB files by 16 clients, {files} files present");
        Table::new(&format!("flat-{what}-{files}"), title, Unit::PerSecond, "")
    };
    let growth = |id: &str, what: &str| {
        let title = format!("{what}: cost with {many} files over cost with {FEW}");
        Table::new(
            id,
            title,
            Unit::Growth,
            "1 is flat; each sample is a pair measured one after the other, in alternating order.",
        )
    };
    let tables = vec![
        rate("Uploads", FEW),
        rate("Uploads", many),
        growth(UPLOAD, "Uploads"),
        rate("Deletes", FEW),
        rate("Deletes", many),
        growth(DELETE, "Deletes"),
    ];
    bench.turns(bench.runs, tables, bench.contestants(turn))
}

/// Both libraries are warmed first and then measured in alternating order: whoever came first in every pair would
/// pay for what the second finds ready.
fn turn(bench: &Bench, peer: &dyn Peer) -> Result<Samples> {
    let (few, many) = (bench.filled(peer, FEW)?, bench.filled(peer, bench.many())?);
    up_and_down(bench, &few)?;
    up_and_down(bench, &many)?;
    let mut samples = Vec::new();
    for pair in 0..PAIRS {
        bench.settle()?;
        let (small, large) = if pair % 2 == 0 {
            let small = up_and_down(bench, &few)?;
            (small, up_and_down(bench, &many)?)
        } else {
            let large = up_and_down(bench, &many)?;
            (up_and_down(bench, &few)?, large)
        };
        samples.extend([(0, small.0), (1, large.0), (2, small.0 / large.0)]);
        samples.extend([(3, small.1), (4, large.1), (5, small.1 / large.1)]);
    }
    Ok(samples)
}

/// Uploads files and deletes them again; hands back both rates. Afterwards the library is as before.
fn up_and_down(bench: &Bench, running: &Running) -> Result<(f64, f64)> {
    let (uploads, deletes) = bench.uploads(running, CLIENTS, bench.scaled(125, 50));
    let all: usize = uploads.iter().map(Vec::len).sum();
    let patience = Duration::from_secs(60);
    let go = |lanes| {
        let outcome = load::run(running.server.address, &Plan::Lanes(lanes), patience)?;
        if outcome.done < all {
            return Err(format!("only {} of {all} calls in {} s", outcome.done, patience.as_secs()));
        }
        Ok(outcome.per_second())
    };
    Ok((go(&uploads)?, go(&deletes)?))
}
