//! 4 KiB files from 16 clients: uploads, and deletes of what was uploaded.

use std::time::Duration;

use super::{Bench, CLIENTS, Contestant, SMALL, Samples};
use crate::Result;
use crate::http::Content;
use crate::load::{self, Plan};
use crate::peers::{JUMPBAG, Peer};
use crate::physical::{self, Work};
use crate::script::script;
use crate::table::{Table, Unit};

pub const UPLOADS: &str = "small";
pub const DELETES: &str = "delete";
/// The row of jumpbag when the files are text, whose words its index follows.
const SCRIPTS: &str = "jumpbag, scripts";

/// Uploads a second, with the time that half and 99 in 100 of the calls did not exceed.
pub fn uploads(bench: &Bench) -> Vec<Table> {
    let remark = format!(
        "Up to {} uploads a turn, at most {} s. Physical limits, 16 threads each: a file each with sync of the file \
         and of its folder; one log where records that wait together share one sync, growing or written over \
         allocated bytes. All hash. The scripts are text of the same size, whose words `$search` finds later.",
        each(bench) * CLIENTS,
        limit(bench).as_secs()
    );
    let tables = vec![
        Table::new(UPLOADS, "Uploads of 4 KiB by 16 clients", Unit::PerSecond, remark),
        Table::new("small-p50", "Uploads of 4 KiB by 16 clients: median of a call", Unit::Milliseconds, ""),
        Table::new(
            "small-p99",
            "Uploads of 4 KiB by 16 clients: 99 % of calls within",
            Unit::Milliseconds,
            "",
        ),
    ];
    let mut contestants = bench.contestants(upload_turn);
    contestants.extend(bench.peer(JUMPBAG).map(|peer| Contestant {
        name: SCRIPTS.to_string(),
        syncs: Some(peer.syncs()),
        turn: Box::new(move || {
            turn_with(bench, peer, |stamp| Content::text(&script(stamp as usize, SMALL, &[])))
        }),
    }));
    let count = each(bench) * CLIENTS;
    let works = [
        (physical::FILES, Work::Files { threads: CLIENTS, size: SMALL, count }),
        (physical::LOG, Work::Log { threads: CLIENTS, size: SMALL, count, allocated: false }),
        (physical::ALLOCATED, Work::Log { threads: CLIENTS, size: SMALL, count, allocated: true }),
    ];
    contestants.extend(works.into_iter().map(|(name, work)| Contestant {
        name: name.to_string(),
        syncs: None,
        turn: Box::new(move || physical_turn(bench, &work)),
    }));
    bench.turns(bench.runs, tables, contestants)
}

/// Deletes a second.
pub fn deletes(bench: &Bench) -> Vec<Table> {
    let remark = "The files were uploaded just before. jumpbag keeps the bytes for its retention time; the others \
                  remove them.";
    let table = Table::new(DELETES, "Deletes by 16 clients", Unit::PerSecond, remark);
    bench.turns(bench.runs, vec![table], bench.contestants(delete_turn))
}

fn each(bench: &Bench) -> usize {
    bench.scaled(500, 125)
}

fn limit(bench: &Bench) -> Duration {
    Duration::from_secs(bench.scaled(5, 2))
}

fn upload_turn(bench: &Bench, peer: &dyn Peer) -> Result<Samples> {
    turn_with(bench, peer, |stamp| Content::new(stamp, &bench.small))
}

fn turn_with(bench: &Bench, peer: &dyn Peer, content: impl Fn(u128) -> Content) -> Result<Samples> {
    let running = bench.start(peer)?;
    let (warm, _) = running.uploads(CLIENTS, 2, &content);
    load::run(running.server.address, &Plan::Lanes(&warm), limit(bench))?;
    let (lanes, _) = running.uploads(CLIENTS, each(bench), &content);
    let outcome = load::run(running.server.address, &Plan::Lanes(&lanes), limit(bench))?;
    let (half, most) = (outcome.quantile(0.5) * 1000.0, outcome.quantile(0.99) * 1000.0);
    Ok(vec![(0, outcome.per_second()), (1, half), (2, most)])
}

fn physical_turn(bench: &Bench, work: &Work) -> Result<Samples> {
    let folder = bench.folder("physical")?;
    let rates = physical::in_a_process(work, folder.path())?;
    Ok(rates.into_iter().map(|rate| (0, rate)).collect())
}

fn delete_turn(bench: &Bench, peer: &dyn Peer) -> Result<Samples> {
    let running = bench.start(peer)?;
    let (uploads, deletes) = bench.uploads(&running, CLIENTS, each(bench) / 2);
    let patience = Duration::from_secs(60);
    let uploaded = load::run(running.server.address, &Plan::Lanes(&uploads), patience)?;
    let all: usize = uploads.iter().map(Vec::len).sum();
    if uploaded.done < all {
        return Err(format!(
            "only {} of {all} files were uploaded in {} s",
            uploaded.done,
            patience.as_secs()
        ));
    }
    let outcome = load::run(running.server.address, &Plan::Lanes(&deletes), limit(bench))?;
    Ok(vec![(0, outcome.per_second())])
}
