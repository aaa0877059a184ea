//! `audit`: the log of all changes, verified in the database or from an export alone.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use jumpbag_wire::audit::{ExportFault, Fault, Verified, Verifier};
use jumpbag_wire::note::PublicKey;

use super::Failure;
use crate::app::Stores;
use crate::audit::key::{SealKey, check};
use crate::audit::read::Reader;
use crate::audit::verify;
use crate::config::Settings;
use crate::error::Error;

/// Entries between two words about progress.
const PROGRESS: u64 = 5000;

#[derive(Subcommand)]
pub enum Command {
    /// Verify every entry and checkpoint; the first bad entry is named
    Verify {
        /// An export instead of the database; `-` is standard input. Needs no installation
        #[arg(long, value_name = "EXPORT", requires = "keys")]
        file: Option<PathBuf>,
        /// Public key whose checkpoints count, as `audit key` shows it; may be given again
        #[arg(long = "key", value_name = "VKEY")]
        keys: Vec<String>,
        /// A checkpoint that was kept elsewhere and must still hold; may be given again
        #[arg(long = "checkpoint", value_name = "FILE")]
        checkpoints: Vec<PathBuf>,
    },
    /// Print the public key that checkpoints are verified with
    Key,
    /// Write the whole log with its checkpoints, a line of JSON for each
    Export {
        /// A file that does not exist yet; standard output when not given
        file: Option<PathBuf>,
    },
}

pub async fn run(settings: &Settings, command: Command) -> Result<(), Failure> {
    let stores = Stores::open_existing(settings).await?;
    match command {
        Command::Verify { keys, checkpoints, .. } => {
            say(verify(settings, &stores, &keys, &checkpoints).await?)
        }
        Command::Key => match own_key(settings, &stores).await? {
            Some(key) => {
                println!("{key}");
                Ok(())
            }
            None => {
                Err(Failure::Said("the audit log has no key yet: `serve` makes it on its first start".into()))
            }
        },
        Command::Export { file } => export(&stores, file.as_deref()).await,
    }
}

/// Verifies the log in the database. The keys that count are that of the settings and those given.
pub async fn verify(
    settings: &Settings,
    stores: &Stores,
    keys: &[String],
    checkpoints: &[PathBuf],
) -> Result<Result<Verified, Fault>, Failure> {
    let mut known = parsed(keys)?;
    known.extend(own_key(settings, stores).await?);
    let verifier = verifier(known, checkpoints)?;
    let terminal = std::io::stderr().is_terminal();
    let found = verify::verify(&stores.catalog, verifier, |entries| {
        if terminal && entries.is_multiple_of(PROGRESS) {
            eprint!("\r{entries} entries");
        }
    });
    Ok(found.await?)
}

/// Verifies an export, with nothing but it and the public keys.
pub fn verify_export(file: &Path, keys: &[String], checkpoints: &[PathBuf]) -> Result<(), Failure> {
    let verifier = verifier(parsed(keys)?, checkpoints)?;
    let mut input: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        let unreadable = |e| Failure::Said(format!("cannot read `{}`: {e}", file.display()));
        Box::new(BufReader::new(File::open(file).map_err(unreadable)?))
    };
    let terminal = std::io::stderr().is_terminal();
    let progress = |lines: u64| {
        if terminal && lines.is_multiple_of(PROGRESS) {
            eprint!("\r{lines} lines");
        }
    };
    match verifier.export(&mut *input, progress) {
        Ok(verified) => say(Ok(verified)),
        Err(ExportFault::End(fault)) => say(Err(fault)),
        Err(fault @ ExportFault::Line(..)) => Err(Failure::Said(fault.to_string())),
        Err(fault) => Err(Failure::Said(format!("`{}`: {fault}", file.display()))),
    }
}

fn say(found: Result<Verified, Fault>) -> Result<(), Failure> {
    let Verified { entries, checkpoints, last, head, sealed } =
        found.map_err(|fault| Failure::Said(fault.to_string()))?;
    println!("{entries} entries verified, {checkpoints} checkpoints, head {head} (entry {last})");
    if sealed < last {
        println!("no checkpoint covers what comes behind entry {sealed} yet");
    }
    Ok(())
}

fn parsed(keys: &[String]) -> Result<Vec<PublicKey>, Failure> {
    let parse =
        |key: &String| PublicKey::parse(key).map_err(|e| Failure::Said(format!("--key `{key}`: {e}")));
    keys.iter().map(parse).collect()
}

fn verifier(keys: Vec<PublicKey>, checkpoints: &[PathBuf]) -> Result<Verifier, Failure> {
    let mut verifier = Verifier::new(keys, check);
    for file in checkpoints {
        let failed = |e: String| Failure::Said(format!("--checkpoint `{}`: {e}", file.display()));
        let note = std::fs::read_to_string(file).map_err(|e| failed(e.to_string()))?;
        verifier.keep(&note).map_err(|e| failed(e.to_string()))?;
    }
    Ok(verifier)
}

async fn own_key(settings: &Settings, stores: &Stores) -> Result<Option<PublicKey>, Error> {
    let reader = Reader::open(&stores.catalog, 0).await?;
    let file = settings.audit_key_file.as_deref();
    let key = SealKey::find(&stores.catalog, file, &reader.head.tenant).await?;
    Ok(key.map(|key| key.public().clone()))
}

async fn export(stores: &Stores, file: Option<&Path>) -> Result<(), Failure> {
    let place = file.map_or("standard output".into(), |file| format!("`{}`", file.display()));
    let failed = |e: std::io::Error| Failure::Said(format!("cannot write {place}: {e}"));
    let mut output: Box<dyn Write> = match file {
        Some(file) => Box::new(BufWriter::new(File::create_new(file).map_err(failed)?)),
        None => Box::new(std::io::stdout().lock()),
    };
    let mut reader = Reader::open(&stores.catalog, 0).await?;
    loop {
        let lines = reader.lines(&stores.catalog).await?;
        if lines.is_empty() {
            break;
        }
        output.write_all(&lines).map_err(failed)?;
    }
    output.flush().map_err(failed)
}
