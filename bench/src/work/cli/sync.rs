//! `sync` of what is in the library already: one call, and hashing.

use std::path::Path;
use std::process::Command;

use super::{Bench, Samples, contestant, write};
use crate::Result;
use crate::http::Content;
use crate::operator::{Operator, alone, timed};
use crate::peers::JUMPBAG;
use crate::script::script;
use crate::table::{Table, Unit};
use crate::work::{Folder, SMALL};

const UNCHANGED: &str = "cli-sync";
pub const CALLS: &str = "cli-calls";
pub const HASHING: &str = "cli-hashing";

const ONE: &str = "sha256sum";
const ALL: &str = "sha256sum, one for each core";
/// Of a large file.
const LARGE: usize = 10 << 20;

pub fn run(bench: &Bench) -> Vec<Table> {
    let (small, large) = (bench.scaled(1_000, 100), bench.scaled(100, 10));
    let calls = "Requests that the server counted, beside the token's, which `login` has kept.";
    let mut tables = compared(
        bench,
        vec![
            Table::new(
                UNCHANGED,
                format!("`sync` of {small} unchanged files of 4 KiB"),
                Unit::Milliseconds,
                "`jumpbag sync FOLDER --apply`, whole, from its start to its end: starting, one list, hashing, comparing with \
                 what the lock file has. `sha256sum` hashes the same files, which lie in the page cache, and does nothing else.",
            ),
            Table::new(CALLS, format!("Calls of a `sync` of {small} unchanged files"), Unit::Calls, calls),
        ],
        bench.scaled(10, 2),
        || library(bench, small, |number| script(number, SMALL, &[]).into_bytes()),
        |seconds| seconds * 1000.0,
    );
    let base = Content::base(LARGE);
    let bytes = |number: usize| [&(number as u128).to_be_bytes()[..], &base].concat();
    tables.extend(compared(
        bench,
        vec![Table::new(
            HASHING,
            format!("`sync` of {large} unchanged files of 10 MiB"),
            Unit::GigabytesPerSecond,
            "Bytes of the files over the time of the whole command, as above.",
        )],
        bench.scaled(3, 1),
        || library(bench, large, bytes),
        move |seconds| (large * LARGE) as f64 / 1e9 / seconds,
    ));
    tables
}

/// `sync` and `sha256sum` in turns over the same files, `times` in each; the second table, if any, gets the calls.
fn compared(
    bench: &Bench,
    tables: Vec<Table>,
    times: usize,
    made: impl Fn() -> Result<(Operator, Folder, usize)>,
    number: impl Fn(f64) -> f64 + Copy,
) -> Vec<Table> {
    let made = made();
    let (made, counted) = (&made, tables.len() > 1);
    let own = move || {
        let (operator, folder, files) = made.as_ref().map_err(Clone::clone)?;
        let mut samples = Samples::new();
        for _ in 0..times {
            let before = operator.calls()?;
            let seconds = unchanged(operator, folder.path(), *files)?;
            samples.push((0, number(seconds)));
            samples.extend(counted.then_some((1, operator.calls()? - before)));
        }
        Ok(samples)
    };
    let other = move |script: &'static str| {
        move || {
            let (_, folder, files) = made.as_ref().map_err(Clone::clone)?;
            let one = |_| Ok((0, number(hashed(folder.path(), script, *files)?)));
            (0..times).map(one).collect()
        }
    };
    let contestants = vec![
        contestant(JUMPBAG, own),
        contestant(ONE, other("find . -type f -name '*.ps1' -print0 | xargs -0 sha256sum")),
        contestant(
            ALL,
            other("find . -type f -name '*.ps1' -print0 | xargs -0 -n 10 -P \"$(nproc)\" sha256sum"),
        ),
    ];
    bench.turns(bench.runs, tables, contestants)
}

/// A folder of files that a server's library has as well.
fn library(
    bench: &Bench,
    files: usize,
    bytes: impl Fn(usize) -> Vec<u8>,
) -> Result<(Operator, Folder, usize)> {
    let operator = Operator::sign_in(bench, "cli-sync")?;
    let folder = bench.folder("files")?;
    for number in 0..files {
        write(&folder.path().join(format!("file-{number:05}.ps1")), &bytes(number))?;
    }
    let (_, said) = operator.sync(folder.path())?;
    let expected = format!("{files} of {files} changes done");
    if !said.contains(&expected) {
        return Err(format!("the first `sync` did not say `{expected}`"));
    }
    Ok((operator, folder, files))
}

fn unchanged(operator: &Operator, folder: &Path, files: usize) -> Result<f64> {
    let (seconds, said) = operator.sync(folder)?;
    let expected = format!("nothing to do: {files} files are alike");
    if said.contains(&expected) {
        Ok(seconds)
    } else {
        Err(format!("`sync` did not say `{expected}`: {said}"))
    }
}

fn hashed(folder: &Path, script: &str, files: usize) -> Result<f64> {
    let mut command: Command = alone("sh", folder);
    command.args(["-c", script]).current_dir(folder);
    let (seconds, printed) = timed(command)?;
    let lines = printed.lines().count();
    if lines == files { Ok(seconds) } else { Err(format!("`sha256sum` hashed {lines} of {files} files")) }
}
