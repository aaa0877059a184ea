//! What the agent says of itself: on standard error, or in a file where nobody reads that.

use std::fmt::Arguments;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;

use jumpbag_wire::time::Timestamp;

use crate::disk;
use crate::error::{Context, Result};

static FILE: OnceLock<File> = OnceLock::new();

/// A file that is longer when the agent starts begins anew.
const LONG: u64 = 4 << 20;

/// Says everything in this file from now on.
///
/// # Errors
/// When it cannot be written.
pub fn into_file(path: &Path) -> Result<()> {
    let failed = || format!("cannot write `{}`", path.display());
    let long = std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > LONG);
    if long {
        std::fs::remove_file(path).context(failed)?;
    }
    let file = disk::private_file().append(true).create(true).open(path).context(failed)?;
    let _ = FILE.set(file);
    Ok(())
}

/// What [`crate::say!`] does.
pub fn say(words: Arguments) {
    // Whoever closed the log does not want to hear that either.
    let _ = match FILE.get() {
        Some(mut file) => file.write_all(format!("{} {words}\n", Timestamp::now()).as_bytes()),
        None => writeln!(std::io::stderr(), "{words}"),
    };
}
