//! PutFile.

use std::path::Path;

use jumpbag_wire::agent::Assignment;
use jumpbag_wire::time::Timestamp;
use tokio::sync::watch;

use super::{End, Worker};
use crate::disk;
use crate::duty::Stop;
use crate::error::{Context, Error, Result};

/// Beginning of the names of files on their way in. A library file's name may begin so too: it has no folder between.
const STAGED: &str = ".incoming";

/// Removes what did not arrive in an earlier life.
pub fn prepare(files: &Path) -> Result<()> {
    disk::private_folder(files)?;
    let staged = files.join(STAGED);
    if staged.exists() {
        std::fs::remove_dir_all(&staged).context(|| format!("cannot empty `{}`", staged.display()))?;
    }
    Ok(())
}

impl Worker {
    /// Puts a library file into the folder for files, in place of one that has its name.
    pub(super) async fn put(
        &self,
        assignment: &Assignment,
        mut stop: watch::Receiver<Stop>,
    ) -> Result<(Timestamp, End)> {
        let name = assignment.content.as_ref().map(|content| content.name.as_str()).unwrap_or_default();
        let files = self.home.files();
        let id = &assignment.command;
        if name == STAGED {
            return Err(Error::new(format!("`{STAGED}` cannot be the name of a file here")));
        }
        disk::private_folder(&files.join(STAGED))?;
        let staged = files.join(STAGED).join(format!("{}-{}", id.action, id.index));
        let result = async {
            self.fetch(assignment, &mut stop, &staged).await?;
            let started = self.start(assignment, &stop).await?;
            let placed = place(&staged, &files.join(name));
            let errors = placed.err().map(|error| format!("cannot put `{name}`: {error}"));
            Ok((started, End { exit_code: None, errors: errors.into_iter().collect() }))
        };
        let result = result.await;
        let _ = std::fs::remove_file(&staged);
        // Scripts work in this folder: they are to see what was put there and nothing else.
        let _ = std::fs::remove_dir(files.join(STAGED));
        result
    }
}

fn place(staged: &Path, path: &Path) -> std::io::Result<()> {
    // Windows syncs only what may be written.
    let file = std::fs::File::options().write(true).open(staged)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    file.sync_all()?;
    std::fs::rename(staged, path)?;
    path.parent().map_or(Ok(()), disk::sync_folder)
}
