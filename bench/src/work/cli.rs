//! The command line `jumpbag`, beside the tools that people use instead.

mod program;
mod sync;
mod upload;

use std::path::{Path, PathBuf};

use super::{Bench, Contestant, Samples};
use crate::Result;
use crate::operator::alone;
use crate::peers::JUMPBAG;
use crate::process;
use crate::table::{Row, Table};

pub use program::{HELP, SIZE, VERSION};
pub use sync::{CALLS, HASHING};
pub use upload::{COPY, LOOP, UPLOAD};

pub fn run(bench: &Bench) -> Vec<Table> {
    if bench.left_out(JUMPBAG) {
        return Vec::new();
    }
    let mut tables = sync::run(bench);
    tables.extend(program::run(bench));
    tables.extend(upload::run(bench));
    // Servers of files have no part in most of this.
    tables.iter_mut().for_each(|table| table.rows.retain(Row::has_something));
    tables
}

fn contestant<'a>(name: &str, turn: impl FnMut() -> Result<Samples> + 'a) -> Contestant<'a> {
    Contestant { name: name.to_owned(), syncs: None, turn: Box::new(turn) }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).map_err(|e| format!("writing `{}`: {e}", path.display()))
}

/// Where a program of the system is.
fn installed(name: &str) -> Result<PathBuf> {
    let mut which = alone("sh", Path::new("/"));
    which.args(["-c", "command -v -- \"$0\"", name]);
    let found =
        process::output(which).map_err(|_| format!("`{name}` is not there; `bench/setup` installs it"))?;
    Ok(found.trim().into())
}
