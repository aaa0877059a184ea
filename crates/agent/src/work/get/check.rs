//! What may be fetched from a machine: files with content of their own, and folders.

use std::fs::{File, Metadata};
use std::path::Path;

use crate::error::{Context, Error, Result};

/// A file that is open, or a folder.
pub enum Found {
    File(File, Metadata),
    Folder(Metadata),
}

/// Opens what is at `path`. A link is not followed: what it leads to has a path of its own.
///
/// # Errors
/// When there is nothing, or it is nothing that can be fetched.
pub fn open(path: &Path) -> Result<Found> {
    let shown = path.display();
    let cannot = || format!("cannot read `{shown}`");
    let metadata = std::fs::symlink_metadata(path).context(cannot)?;
    if is_link(&metadata) {
        return Err(Error::new(format!("`{shown}` is a link: ask for what it leads to")));
    }
    if metadata.is_dir() {
        return Ok(Found::Folder(metadata));
    }
    if !metadata.is_file() {
        return Err(Error::new(format!("`{shown}` is neither a file nor a folder")));
    }
    let file = open_file(path).context(cannot)?;
    let metadata = file.metadata().context(cannot)?;
    // It may have been exchanged in between.
    if !metadata.is_file() {
        return Err(Error::new(format!("`{shown}` is neither a file nor a folder")));
    }
    if metadata.len() == 0 {
        return Err(Error::new(format!("`{shown}` is empty, or its content is made up while it is read")));
    }
    if is_hollow(&file, &metadata) {
        return Err(Error::new(format!("`{shown}` is sparse or not wholly on this machine")));
    }
    Ok(Found::File(file, metadata))
}

/// Opens a file, and nothing that is not one: opening some devices and pipes has effects, or never returns.
pub fn open_file(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        options.custom_flags(flags.bits().cast_signed());
    }
    options.open(path)
}

#[cfg(not(windows))]
fn is_link(metadata: &Metadata) -> bool {
    metadata.is_symlink()
}

#[cfg(windows)]
fn is_link(metadata: &Metadata) -> bool {
    const REPARSE_POINT: u32 = 0x400;
    std::os::windows::fs::MetadataExt::file_attributes(metadata) & REPARSE_POINT != 0
}

/// Whether part of a file is a hole. A file system that compresses has no holes for that.
#[cfg(unix)]
fn is_hollow(file: &File, metadata: &Metadata) -> bool {
    let hole = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(0));
    let _ = rustix::fs::seek(file, rustix::fs::SeekFrom::Start(0));
    hole.is_ok_and(|hole| hole < metadata.len())
}

#[cfg(windows)]
fn is_hollow(_: &File, metadata: &Metadata) -> bool {
    const SPARSE: u32 = 0x200;
    const OFFLINE: u32 = 0x1000;
    const RECALL_ON_OPEN: u32 = 0x4_0000;
    const RECALL_ON_DATA_ACCESS: u32 = 0x40_0000;
    let hollow = SPARSE | OFFLINE | RECALL_ON_OPEN | RECALL_ON_DATA_ACCESS;
    std::os::windows::fs::MetadataExt::file_attributes(metadata) & hollow != 0
}
