//! Proof of who syncs before answering: each server runs under strace, takes one upload, and the calls that reach
//! for stable storage between request and answer are counted.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use super::{Bench, Folder, fresh};
use crate::Result;
use crate::http::{Body, Connection, Content};
use crate::peers::{Peer, Syncs};
use crate::process::{Server, free_address};
use crate::table::cell;

const CALLS: [&str; 5] = ["fsync", "fdatasync", "sync_file_range", "syncfs", "msync"];

/// The table as markdown.
pub fn run(bench: &Bench) -> String {
    let mut text = String::from(
        "### Who syncs before answering\n\n\
         | who | expected to sync | seen under strace during one 4 KiB upload |\n|---|---|---|\n",
    );
    for peer in &bench.peers {
        crate::say(&format!("sync: {}", peer.name()));
        let expected = match peer.syncs() {
            Syncs::Yes => "bytes, folder and catalog",
            Syncs::BytesOnly => "bytes, not its catalog",
            Syncs::No => "nothing",
        };
        let seen = seen(bench, peer.as_ref()).unwrap_or_else(|error| format!("not measured: {error}"));
        let _ = writeln!(text, "| {} | {expected} | {} |", peer.name(), cell(&seen));
    }
    for (name, _) in &bench.missing {
        let _ = writeln!(text, "| {name} | | not measured |");
    }
    text
}

fn seen(bench: &Bench, peer: &dyn Peer) -> Result<String> {
    let folder: Folder = bench.folder(peer.name())?;
    let trace = folder.path().join("trace");
    let address = free_address()?;
    peer.prepare(folder.path(), address)?;
    let traced = traced(&peer.command(folder.path(), address), &trace);
    let mut server = Server::spawn(traced, address, folder.path())?;
    server.answered(&peer.probe(address), |_| true)?;
    let dialect = peer.dialect(folder.path(), address)?;
    let mut connection = Connection::open(address)?;
    let read = || std::fs::read_to_string(&trace).map_err(|e| format!("reading strace's output: {e}"));
    let mut upload = || {
        let (name, stamp) = fresh();
        let request = dialect.upload(&name, &Content::new(stamp, &bench.small));
        connection.send(&request, Body::Drop)?.success("an upload")
    };
    // The first upload may make what later ones find.
    upload()?;
    let before = read()?.len();
    upload()?;
    let after = read()?;
    let lines: Vec<_> = after[before..].lines().collect();
    let count = |call: &str| lines.iter().filter(|line| line.contains(&format!("{call}("))).count();
    let mut found: Vec<_> = CALLS.iter().map(|c| (*c, count(c))).filter(|(_, n)| *n > 0).collect();
    let opened = lines.iter().filter(|line| line.contains("O_SYNC") || line.contains("O_DSYNC")).count();
    found.extend((opened > 0).then_some(("open with O_SYNC", opened)));
    let found: Vec<_> = found.iter().map(|(call, n)| format!("{n} × {call}")).collect();
    Ok(if found.is_empty() { "no sync call".to_string() } else { found.join(", ") })
}

fn traced(command: &Command, trace: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", &format!("trace=openat,{}", CALLS.join(",")), "-o"]).arg(trace).arg("--");
    strace.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        strace.current_dir(folder);
    }
    strace
}
