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
        let top = name(root);
        let Outputs { stderr, file, .. } = &mut self.output;
        file.archive = true;
        let gzip = gzip(format!("{top}.tar"), metadata, Spooled(file));
        let mut archive =
            Archive { tar: tar::Builder::new(gzip), left: self.limit, given_up: &self.given_up, stderr };
        archive.tar.follow_symlinks(false);
        let mut open = vec![Place { path: root.to_owned(), inside: top.into(), depth: 0 }];
        while let Some(place) = open.pop() {
            if self.given_up.load(Ordering::Relaxed) {
                return Err(given_up());
            }
            match archive.append(&place) {
                Ok(below) => open.extend(below),
                Err(Left::Out(why)) => archive.leave_out(&place.path, &why),
                Err(Left::Unfinished(error)) => return Err(error),
                Err(Left::TooMuch) => {
                    let limit = self.limit;
                    return Err(Error::new(format!(
                        "it holds more than the {limit} bytes that may be fetched"
                    )));
                }
            }
        }
        let gzip = archive.tar.into_inner().context(|| "it".into())?;
        gzip.finish().context(|| "it".into())?;
        Ok(())
    }
}

/// Something in a folder.
struct Place {
    path: PathBuf,
    /// Its name in the archive.
    inside: PathBuf,
    depth: usize,
}

/// Why something is not in the archive.
enum Left {
    /// The rest goes on without it.
    Out(String),
    Unfinished(Error),
    TooMuch,
}

impl From<io::Error> for Left {
    fn from(error: io::Error) -> Left {
        Left::Out(error.to_string())
    }
}

struct Archive<'a> {
    tar: tar::Builder<GzEncoder<Spooled<'a>>>,
    /// Bytes that there is room for.
    left: u64,
    given_up: &'a AtomicBool,
    stderr: &'a mut Output,
}

impl Archive<'_> {
    /// Takes in one thing; of a folder returns what is in it, the first to come last.
    fn append(&mut self, Place { path, inside, depth }: &Place) -> std::result::Result<Vec<Place>, Left> {
        let broken = |error: io::Error| Left::Unfinished(Error::new(error.to_string()));
        let metadata = std::fs::symlink_metadata(path)?;
        if metadata.is_dir() {
            let names = if *depth < MAX_DEPTH { names(path) } else { Ok(Vec::new()) };
            let mut header = header(&metadata, tar::EntryType::Directory, 0);
            self.tar.append_data(&mut header, inside, io::empty()).map_err(broken)?;
            if *depth == MAX_DEPTH {
                return Err(Left::Out("what is in it is too deep".into()));
            }
            let below = names?.into_iter().rev().map(|name| Place {
                path: path.join(&name),
                inside: inside.join(&name),
                depth: depth + 1,
            });
            return Ok(below.collect());
        }
        if metadata.is_symlink() {
            let target = std::fs::read_link(path)?;
            let mut header = header(&metadata, tar::EntryType::Symlink, 0);
            self.tar.append_link(&mut header, inside, &target).map_err(broken)?;
        } else if metadata.is_file() {
            let file = check::open_file(path)?;
            let metadata = file.metadata()?;
            self.left = self.left.checked_sub(metadata.len()).ok_or(Left::TooMuch)?;
            let mut header = header(&metadata, tar::EntryType::Regular, metadata.len());
            let source = Watched { source: file, given_up: self.given_up };
            let mut source = Padded { source, left: metadata.len(), short: None };
            self.tar.append_data(&mut header, inside, &mut source).map_err(broken)?;
            if let Some(why) = source.short {
                self.leave_out(path, &why);
            }
        } else {
            return Err(Left::Out("it is neither a file nor a folder".into()));
        }
        Ok(Vec::new())
    }

    fn leave_out(&mut self, path: &Path, why: &str) {
        // It is told as far as there is room.
        let _ = self.stderr.write(format!("left out `{}`: {why}\n", path.display()).as_bytes());
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

/// A file that has exactly the size that its header says, though it may shrink, grow or turn out unreadable meanwhile.
struct Padded<R> {
    source: R,
    left: u64,
    /// Why zeros stand for the rest.
    short: Option<String>,
}

impl<R: Read> Read for Padded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = match self.source.read(&mut buffer[..room]) {
            _ if self.short.is_some() => 0,
            Ok(0) if room > 0 => {
                self.short = Some(format!("it became shorter; zeros stand for its last {} bytes", self.left));
                0
            }
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            // It was given up.
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<Error>()) => return Err(error),
            Err(error) => {
                self.short = Some(format!("{error}; zeros stand for its last {} bytes", self.left));
                0
            }
        };
        let read = if read == 0 {
            buffer[..room].fill(0);
            room
        } else {
            read
        };
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_shrinks_has_the_size_that_was_told() {
        let mut padded = Padded { source: &b"abc"[..], left: 5, short: None };
        let mut read = Vec::new();
        padded.read_to_end(&mut read).unwrap();
        assert_eq!(read, b"abc\0\0");
        assert_eq!(padded.short.unwrap(), "it became shorter; zeros stand for its last 2 bytes");
        let mut padded = Padded { source: &b"abcdef"[..], left: 5, short: None };
        read.clear();
        padded.read_to_end(&mut read).unwrap();
        assert_eq!((read.as_slice(), padded.short), (&b"abcde"[..], None));
    }

    #[test]
    fn reading_that_is_given_up_ends() {
        let given_up = AtomicBool::new(true);
        let source = Watched { source: io::repeat(b'x'), given_up: &given_up };
        let mut padded = Padded { source, left: 5, short: None };
        assert!(padded.read_to_end(&mut Vec::new()).is_err());
    }
}
