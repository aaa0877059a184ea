//! Packing what was asked for, as it is read.

use std::fs::Metadata;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::UNIX_EPOCH;

use flate2::{Compression, GzBuilder, write::GzEncoder};

use super::check::{self, Found};
use super::given_up;
use crate::duty::output::Output;
use crate::error::{Context, Error, Result};
use crate::work::Outputs;

/// Depth of folders that is followed.
const MAX_DEPTH: usize = 100;

/// Reading one file or folder into the spool. What is left out of a folder is told on its standard error.
pub struct Packing {
    pub given_up: Arc<AtomicBool>,
    /// Bytes before compression.
    pub limit: u64,
    pub output: Outputs,
}

/// A writer into the spool.
struct Spooled<'a>(&'a mut Output);

impl Write for Spooled<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.write(data).map_err(io::Error::other)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Packing {
    /// # Errors
    /// When it cannot be fetched, or not all of it.
    pub fn pack(&mut self, path: &Path) -> Result<()> {
        let failed = || format!("cannot read `{}`", path.display());
        match check::open(path)? {
            Found::File(file, metadata) => {
                if metadata.len() > self.limit {
                    return Err(self.too_large(path));
                }
                let mut gzip = gzip(name(path), &metadata, Spooled(&mut self.output.file));
                let source = Watched { source: file.take(self.limit + 1), given_up: &self.given_up };
                let copied = copy(source, &mut gzip).context(failed)?;
                gzip.finish().context(failed)?;
                if copied > self.limit { Err(self.too_large(path)) } else { Ok(()) }
            }
            Found::Folder(metadata) => self.folder(path, &metadata).context(failed),
        }
    }

    fn too_large(&self, path: &Path) -> Error {
        Error::new(format!(
            "`{}` is larger than the {} bytes that may be fetched",
            path.display(),
            self.limit
        ))
    }

    fn folder(&mut self, root: &Path, metadata: &Metadata) -> Result<()> {
        let top = PathBuf::from(name(root));
        let Outputs { stderr, file, .. } = &mut self.output;
        let gzip = gzip(format!("{}.tar", top.display()), metadata, Spooled(file));
        let mut archive = tar::Builder::new(gzip);
        archive.follow_symlinks(false);
        let mut left = self.limit;
        let mut open = vec![(root.to_owned(), top, 0)];
        let mut leave_out = |path: &Path, why: &str| {
            // That it was left out is said as far as there is room.
            let _ = stderr.write(format!("left out `{}`: {why}\n", path.display()).as_bytes());
        };
        while let Some((path, inside, depth)) = open.pop() {
            if self.given_up.load(Ordering::Relaxed) {
                return Err(given_up());
            }
            let metadata = match std::fs::symlink_metadata(&path) {
                Ok(metadata) => metadata,
                Err(error) => {
                    leave_out(&path, &error.to_string());
                    continue;
                }
            };
            if metadata.is_dir() {
                archive.append_dir(&inside, &path).context(|| "its folder".into())?;
                if depth == MAX_DEPTH {
                    leave_out(&path, "folders are too deep");
                    continue;
                }
                match names(&path) {
                    Ok(names) => {
                        open.extend(
                            names
                                .into_iter()
                                .rev()
                                .map(|name| (path.join(&name), inside.join(&name), depth + 1)),
                        );
                    }
                    Err(error) => leave_out(&path, &error.to_string()),
                }
            } else if metadata.is_symlink() {
                match std::fs::read_link(&path) {
                    Ok(target) => {
                        let mut header = header(&metadata, tar::EntryType::Symlink, 0);
                        archive
                            .append_link(&mut header, &inside, &target)
                            .context(|| "a link in it".into())?;
                    }
                    Err(error) => leave_out(&path, &error.to_string()),
                }
            } else if metadata.is_file() {
                match check::open_file(&path).and_then(|file| Ok((file.metadata()?, file))) {
                    Ok((metadata, file)) => {
                        left = left.checked_sub(metadata.len()).ok_or_else(|| {
                            Error::new(format!(
                                "it holds more than the {} bytes that may be fetched",
                                self.limit
                            ))
                        })?;
                        let mut header = header(&metadata, tar::EntryType::Regular, metadata.len());
                        let source = Watched { source: file, given_up: &self.given_up };
                        let source = Padded { source, left: metadata.len() };
                        archive
                            .append_data(&mut header, &inside, source)
                            .context(|| "a file in it".into())?;
                    }
                    Err(error) => leave_out(&path, &error.to_string()),
                }
            } else {
                leave_out(&path, "it is neither a file nor a folder");
            }
        }
        let gzip = archive.into_inner().context(|| "it".into())?;
        gzip.finish().context(|| "it".into())?;
        Ok(())
    }
}

/// The last part of a path, for a person and for the gzip header.
fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| "root".into(), |name| name.to_string_lossy().into_owned())
}

fn names(folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

fn seconds(metadata: &Metadata) -> u64 {
    let modified = metadata.modified().ok();
    modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |time| time.as_secs())
}

fn gzip<W: Write>(name: String, metadata: &Metadata, sink: W) -> GzEncoder<W> {
    let modified = u32::try_from(seconds(metadata)).unwrap_or(0);
    GzBuilder::new().filename(name).mtime(modified).write(sink, Compression::fast())
}

fn header(metadata: &Metadata, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_metadata(metadata);
    header.set_entry_type(kind);
    header.set_size(size);
    header
}

/// Copies in large pieces, so that little is spent between them.
fn copy(mut source: impl Read, sink: &mut impl Write) -> io::Result<u64> {
    let mut buffer = vec![0; 256 * 1024];
    let mut copied = 0;
    loop {
        let read = source.read(&mut buffer)?;
        if read == 0 {
            return Ok(copied);
        }
        sink.write_all(&buffer[..read])?;
        copied += read as u64;
    }
}

/// A source that fails once reading is given up.
struct Watched<'a, R> {
    source: R,
    given_up: &'a AtomicBool,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given_up.load(Ordering::Relaxed) {
            return Err(io::Error::other(given_up()));
        }
        self.source.read(buffer)
    }
}

/// A file that has exactly the size that its header says, though it may shrink or grow meanwhile.
struct Padded<R> {
    source: R,
    left: u64,
}

impl<R: Read> Read for Padded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = match self.source.read(&mut buffer[..room])? {
            0 => {
                buffer[..room].fill(0);
                room
            }
            read => read,
        };
        self.left -= read as u64;
        Ok(read)
    }
}
