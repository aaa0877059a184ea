//! What makes the program at home in a system: completions and manual pages.

use std::path::Path;

use clap::CommandFactory as _;

use super::Args;
use crate::failure::{Failure, Status, output};
use crate::output::Output;

pub fn completions(shell: clap_complete::Shell) -> Result<Status, Failure> {
    // Written at once: the reader may go away in the middle.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "jumpbag", &mut script);
    std::io::Write::write_all(&mut std::io::stdout().lock(), &script).map_err(output)?;
    Ok(Status::Done)
}

/// A page for the program and one for each of its commands.
pub fn manual(output: Output, folder: &Path) -> Result<Status, Failure> {
    std::fs::create_dir_all(folder).map_err(|e| Failure::file("make", folder, &e))?;
    clap_mangen::generate_to(Args::command(), folder).map_err(|e| Failure::file("write to", folder, &e))?;
    output.said(format!(
        "manual pages are in `{}`; `man {}/jumpbag.1` shows the first",
        folder.display(),
        folder.display()
    ))?;
    Ok(Status::Done)
}
