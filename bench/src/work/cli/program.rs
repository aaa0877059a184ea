//! How long the program takes to start, and how large it is.

use std::path::PathBuf;

use super::{Bench, contestant, installed};
use crate::Result;
use crate::operator::{alone, timed};
use crate::peers::JUMPBAG;
use crate::table::{Row, Table, Unit};

pub const VERSION: &str = "cli-version";
pub const HELP: &str = "cli-help";
pub const SIZE: &str = "cli-size";

pub fn run(bench: &Bench) -> Vec<Table> {
    let times = bench.scaled(40, 5);
    let (mut version, mut help) = (Vec::new(), Vec::new());
    for (name, program, words) in programs(bench) {
        let turn = move |words: &'static str| {
            let program = program.clone();
            move || started(bench, &program.clone()?, words, times)
        };
        version.push(contestant(name, turn(words[0])));
        help.push(contestant(name, turn(words[1])));
    }
    let remark = format!(
        "From the start of the process to its end, {times} times a turn; what it prints goes into a pipe. `curl` and \
         `true` are linked dynamically, `true` does nothing at all."
    );
    let table = |id: &str, what: &str| Table::new(id, what, Unit::Milliseconds, &*remark);
    let mut tables =
        bench.turns(bench.runs, vec![table(VERSION, "Start of the command line: `--version`")], version);
    tables.extend(bench.turns(bench.runs, vec![table(HELP, "Start of the command line: `--help`")], help));
    tables.push(sizes(bench));
    tables
}

type Named = (&'static str, Result<PathBuf>, [&'static str; 2]);

fn programs(bench: &Bench) -> Vec<Named> {
    let own = bench.places.cli.clone();
    let own = if own.exists() {
        Ok(own)
    } else {
        Err(format!(
            "`{}` is not there; `cargo build --release -p jumpbag-cli` makes it, or `--cli PATH` names another",
            own.display()
        ))
    };
    vec![
        (JUMPBAG, own, ["--version", "--help"]),
        ("curl", installed("curl"), ["--version", "--help"]),
        ("rclone", installed("rclone"), ["version", "--help"]),
        // The shell knows a `true` of its own.
        ("true", Ok("/bin/true".into()), ["--version", "--help"]),
    ]
}

fn started(bench: &Bench, program: &PathBuf, word: &str, times: usize) -> Result<super::Samples> {
    let home = bench.folder("home")?;
    let one = |_| {
        let mut command = alone(program, home.path());
        command.arg(word);
        Ok((0, timed(command)?.0 * 1000.0))
    };
    (0..times).map(one).collect()
}

fn sizes(bench: &Bench) -> Table {
    let mut table = Table::new(
        SIZE,
        "The command line's program",
        Unit::Megabytes,
        "The file, without symbols. jumpbag's needs no libraries but the C library's.",
    );
    for (name, program, _) in
        programs(bench).into_iter().filter(|(name, ..)| [JUMPBAG, "rclone"].contains(name))
    {
        let size = program.and_then(|program| {
            let size =
                std::fs::metadata(&program).map_err(|e| format!("`{}`: {e}", program.display()))?.len();
            Ok(size as f64 / 1e6)
        });
        let (samples, failure) = match size {
            Ok(size) => (vec![size], None),
            Err(error) => (Vec::new(), Some(error)),
        };
        table.rows.push(Row { name: name.into(), syncs: None, samples, failure });
    }
    table
}
