//! `audit`: the log of a jumpbag server, verified from an export and a public key alone.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use jumpbag_wire::audit::Verifier;

use super::Context;
use crate::bundle::key::{check, public};
use crate::failure::{Failure, Status};
use crate::output::{GOOD, Output};
use crate::progress::Progress;

#[derive(Subcommand)]
pub enum Command {
    /// Verify an export of `jumpbag-server audit export`, offline; the first bad entry is named
    Verify {
        /// The export; `-` is standard input
        file: PathBuf,
        /// Public key whose checkpoints count, as `jumpbag-server audit key` prints it, or a file that holds it; may be given again
        #[arg(long = "key", value_name = "VKEY", required = true)]
        keys: Vec<String>,
        /// A checkpoint that was kept elsewhere and must still hold; may be given again
        #[arg(long = "checkpoint", value_name = "FILE")]
        checkpoints: Vec<PathBuf>,
    },
}

/// Lines between two words about progress.
const PROGRESS: u64 = 1000;

pub fn run(context: &Context, command: Command) -> Result<Status, Failure> {
    let Command::Verify { file, keys, checkpoints } = command;
    verify(context.output, &file, &keys, &checkpoints)
}

fn verify(output: Output, file: &Path, keys: &[String], checkpoints: &[PathBuf]) -> Result<Status, Failure> {
    let mut verifier = Verifier::new(public(keys)?, check);
    for path in checkpoints {
        let note = std::fs::read_to_string(path).map_err(|e| Failure::file("read", path, &e))?;
        verifier.keep(&note).map_err(|e| Failure::Here(format!("--checkpoint `{}`: {e}", path.display())))?;
    }
    let mut input: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(file).map_err(|e| Failure::file("read", file, &e))?))
    };
    let lines = Progress::new(output).lines("lines verified");
    let found = verifier.export(&mut *input, |line| {
        if line.is_multiple_of(PROGRESS) {
            lines.set_position(line);
        }
    });
    lines.finish_and_clear();
    let verified = found.map_err(|fault| Failure::Here(format!("`{}`: {fault}", file.display())))?;
    if output.json {
        output.json(&serde_json::json!({
            "entries": verified.entries,
            "checkpoints": verified.checkpoints,
            "last": verified.last,
            "head": verified.head,
            "sealed": verified.sealed,
        }))?;
        return Ok(Status::Done);
    }
    let (entries, head, last) = (verified.entries, &verified.head, verified.last);
    output.said(format!(
        "{GOOD}good{GOOD:#}: {entries} entries, {} checkpoints, head {head} (entry {last})",
        verified.checkpoints
    ))?;
    if verified.sealed < last {
        output.said(format!("no checkpoint covers what comes behind entry {} yet", verified.sealed))?;
    }
    Ok(Status::Done)
}
