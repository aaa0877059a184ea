//! Folders and files for the owner's eyes only, and what it takes to have them on the disk.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::error::{Context, Result};

/// Makes a folder, with those above it, that only its owner may enter.
///
/// # Errors
/// When it cannot be made.
pub fn private_folder(path: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).context(|| format!("cannot make the folder `{}`", path.display()))
}

/// Options for a new or existing file that only its owner may read.
pub fn private_file() -> OpenOptions {
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Puts a file in place, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let staged = path.with_added_extension("new");
    let write = || -> std::io::Result<()> {
        let _ = std::fs::remove_file(&staged);
        let mut file = private_file().write(true).create_new(true).open(&staged)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&staged, path)?;
        path.parent().map_or(Ok(()), sync_folder)
    };
    write().context(|| format!("cannot write `{}`", path.display()))
}

/// Has a folder's entries on the disk.
///
/// # Errors
/// When the disk refuses.
pub fn sync_folder(path: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
