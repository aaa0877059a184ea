//! Bytes on their way out: hashed while they stream, and the last of them kept back until all have the digest and
//! the size that the library knows. Whoever has received everything has received the right bytes.

mod flow;

use std::ops::{ControlFlow, Range};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use jumpbag_wire::library::{FileVersion, LibraryFile};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Library, absent};
use crate::blobs::{BlobError, BlobReader, Piece};
use crate::catalog::contents::{self, Content, Place};
use crate::error::Error;
use crate::hex::hex;

pub use flow::Flow;
use flow::Held;

/// Memory that all contents on their way out may hold together; more wait.
const MEMORY: usize = 32 * 1024 * 1024;
/// What memory is counted in.
const UNIT: usize = 1024;
/// How long a content waits for others to be taken.
const PATIENCE: Duration = Duration::from_secs(20);

/// The memory for contents on their way out.
pub(super) fn memory() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MEMORY / UNIT))
}

/// Which bytes are meant, and the name they go by.
#[derive(Debug, Clone)]
pub struct ContentRef {
    pub file_name: String,
    pub sha256: String,
    pub size: u64,
}

impl From<LibraryFile> for ContentRef {
    fn from(file: LibraryFile) -> ContentRef {
        ContentRef { file_name: file.file_name, sha256: file.sha256, size: file.size }
    }
}

impl From<FileVersion> for ContentRef {
    fn from(version: FileVersion) -> ContentRef {
        ContentRef { file_name: version.file_name, sha256: version.sha256, size: version.size }
    }
}

/// Verified bytes. They end in an error, before the last of them, when they are not what they should be.
pub struct Opened {
    first: Option<Bytes>,
    pieces: UnboundedReceiver<Result<Bytes, Error>>,
    left: u64,
}

impl Opened {
    /// Bytes still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Waits for the first bytes: what is found out before they may go is an error and no broken transfer.
    async fn begin(&mut self) -> Result<(), Error> {
        self.first = Some(told(self.pieces.recv().await)?);
        Ok(())
    }
}

fn told(piece: Option<Result<Bytes, Error>>) -> Result<Bytes, Error> {
    piece.unwrap_or_else(|| Err(Error::Internal("reading a content was cut short".into())))
}

impl Stream for Opened {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let next = match self.first.take() {
            Some(first) => Ok(first),
            None => told(ready!(self.pieces.poll_recv(cx))),
        };
        self.left = next.as_ref().map_or(0, |piece| self.left.saturating_sub(piece.len() as u64));
        Poll::Ready(Some(next))
    }
}

impl Library {
    /// The bytes of a file of which only `range`, which must lie within, is handed out: all are read, because only
    /// all can be verified. Also what tells whether they are taken.
    ///
    /// # Errors
    /// `Damaged` when they are missing, or found wrong before the first of them may go, as all small ones are;
    /// `NotFound` when the version has expired meanwhile; `Crowded` when too much waits to be taken.
    pub async fn open(&self, file: &ContentRef, range: Range<u64>) -> Result<(Opened, Flow), Error> {
        let memory = self.download_memory(file.size).await?;
        let sha256 = file.sha256.clone();
        let content = self
            .catalog
            .read(move |tx| Box::pin(async move { Ok::<_, Error>(contents::content(tx, &sha256).await?) }))
            .await?
            .ok_or_else(|| absent(&file.file_name))?;
        let (held, flow) = Held::new(memory);
        let (out, pieces) = unbounded_channel();
        let mut opened = Opened { first: None, pieces, left: range.end.saturating_sub(range.start) };
        match content.place.clone() {
            Place::Inline(bytes) => {
                verify(&content, bytes.len() as u64, &Sha256::digest(&bytes))?;
                let part = part(&range, 0, bytes.len());
                // The receiver is here.
                let _ = out.send(Ok(held.give(bytes, part)));
            }
            Place::Blob(key) => {
                let reader = self.blobs.reader(&key).await.map_err(|e| match e {
                    BlobError::Missing(_) => damaged(&content, "is missing".into()),
                    other => other.into(),
                })?;
                tokio::spawn(Gate::new(content, range, out, held).pass(reader));
            }
        }
        opened.begin().await?;
        Ok((opened, flow))
    }

    async fn download_memory(&self, size: u64) -> Result<OwnedSemaphorePermit, Error> {
        // A row is there at once, a blob in pieces.
        let row = usize::try_from(size).unwrap_or(usize::MAX).min(self.rules.small_file_bytes);
        let units = BlobReader::memory(size).max(row).div_ceil(UNIT).min(MEMORY / UNIT);
        let units = u32::try_from(units).map_err(|e| Error::Internal(e.to_string()))?;
        let memory = Arc::clone(&self.download_memory).acquire_many_owned(units);
        let memory = tokio::time::timeout(PATIENCE, memory).await;
        memory.map_err(|_| Error::Crowded)?.map_err(|e| Error::Internal(e.to_string()))
    }
}

fn damaged(content: &Content, problem: String) -> Error {
    let place = match &content.place {
        Place::Inline(_) => "its row".to_owned(),
        Place::Blob(key) => format!("blob `{key}`"),
    };
    Error::Damaged { sha256: content.sha256.clone(), problem: format!("{place} {problem}") }
}

/// Whether bytes of this number and digest are the content.
fn verify(content: &Content, size: u64, digest: &[u8]) -> Result<(), Error> {
    if size != content.size {
        return Err(damaged(content, format!("has {size} bytes instead of {}", content.size)));
    }
    if hex(digest) != content.sha256 {
        return Err(damaged(content, format!("has the digest {}", hex(digest))));
    }
    Ok(())
}

/// Which of the `length` bytes from `at` on are in `range`.
fn part(range: &Range<u64>, at: u64, length: usize) -> Range<usize> {
    let within = |position: u64| {
        usize::try_from(position.saturating_sub(at)).map_or(length, |position| position.min(length))
    };
    within(range.start)..within(range.end)
}

/// What all bytes of a blob pass: hashes them, lets through what is asked for, and keeps the last of it back.
struct Gate {
    content: Content,
    range: Range<u64>,
    hasher: Sha256,
    read: u64,
    back: Option<(Piece, Range<usize>)>,
    out: UnboundedSender<Result<Bytes, Error>>,
    held: Arc<Held>,
}

impl Gate {
    fn new(
        content: Content,
        range: Range<u64>,
        out: UnboundedSender<Result<Bytes, Error>>,
        held: Arc<Held>,
    ) -> Gate {
        Gate { content, range, hasher: Sha256::new(), read: 0, back: None, out, held }
    }

    async fn pass(mut self, reader: BlobReader) {
        let (size, out) = (self.content.size, self.out.clone());
        let passed = reader.read(size, move |piece| match self.take(piece) {
            Ok(()) if !self.out.is_closed() => ControlFlow::Continue(()),
            // Nobody listens any more.
            Ok(()) => ControlFlow::Break(()),
            Err(damaged) => {
                let _ = self.out.send(Err(damaged));
                ControlFlow::Break(())
            }
        });
        if let Err(e) = passed.await {
            let _ = out.send(Err(e.into()));
        }
    }

    fn take(&mut self, piece: Option<Piece>) -> Result<(), Error> {
        let Some(piece) = piece else {
            verify(&self.content, self.read, &std::mem::take(&mut self.hasher).finalize())?;
            self.give();
            return Ok(());
        };
        let bytes = piece.as_ref();
        let part = part(&self.range, self.read, bytes.len());
        self.read += bytes.len() as u64;
        if self.read > self.content.size {
            return Err(damaged(&self.content, format!("has more than {} bytes", self.content.size)));
        }
        self.hasher.update(bytes);
        if !part.is_empty() {
            self.give();
            self.back = Some((piece, part));
        }
        Ok(())
    }

    /// Hands on what was kept back.
    fn give(&mut self) {
        if let Some((piece, part)) = self.back.take() {
            // Nobody may be left to take it.
            let _ = self.out.send(Ok(self.held.give(piece, part)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn the_part_of_a_piece_that_is_asked_for() {
        for (range, at, length, wanted) in [
            (0..10, 0, 10, 0..10),
            (0..10, 0, 4, 0..4),
            (3..5, 0, 4, 3..4),
            (3..5, 4, 4, 0..1),
            (3..5, 8, 4, 0..0),
            (9..10, 4, 4, 4..4),
            (0..u64::MAX, u64::MAX - 4, 4, 0..4),
        ] {
            assert_eq!(part(&range, at, length), wanted, "{range:?} of {length} at {at}");
        }
    }
}
