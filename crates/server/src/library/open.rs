//! Bytes on their way out: verified while they stream, against the digest and the size that the library knows, or
//! against tags made when they were. Whoever has received everything has received the right bytes.

mod flow;
mod gate;
mod tags;
mod verified;

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use jumpbag_wire::library::{FileVersion, LibraryFile};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Library, absent};
use crate::blobs::{BlobError, BlobReader};
use crate::catalog::contents::{self, Content, Place};
use crate::error::Error;
use jumpbag_wire::hex::hex;

pub use flow::Flow;
use flow::Held;
use gate::{Way, part};
use tags::Tags;
pub(super) use verified::Verified;

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
    /// The bytes of a file of which only `range`, which must lie within, is handed out. All are read, because only
    /// all have a digest; of a blob that was read to its end before, the pieces that hold the range. Also what tells
    /// whether they are taken.
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
            Place::Blob(blob) => {
                let verified = Arc::clone(&self.verified);
                self.read_blob(Way { content, blob, range, out, held, verified }).await?;
            }
        }
        opened.begin().await?;
        Ok((opened, flow))
    }

    /// Begins to read a blob: no more than is needed where tags are known, else all of it.
    async fn read_blob(&self, way: Way) -> Result<(), Error> {
        let absent = |e| match e {
            BlobError::Missing(_) => damaged(&way.content, "is missing".into()),
            other => Error::from(other),
        };
        if let Some(tags) = self.verified.find(&way.blob, &way.content.sha256) {
            match self.blobs.reader_within(&way.blob, way.pieces()).await {
                Ok(reader) if reader.size() == way.content.size => {
                    tokio::spawn(way.read_pieces(reader, tags));
                    return Ok(());
                }
                Ok(reader) => {
                    self.verified.forget(&way.blob);
                    let (size, wanted) = (reader.size(), way.content.size);
                    return Err(damaged(&way.content, format!("has {size} bytes instead of {wanted}")));
                }
                // A bucket that gives no part, perhaps because there is none left: all of it will tell.
                Err(BlobError::Failed(_)) => {}
                Err(e) => return Err(absent(e)),
            }
        }
        let reader = self.blobs.reader(&way.blob).await.map_err(absent)?;
        tokio::spawn(way.read_whole(reader));
        Ok(())
    }

    async fn download_memory(&self, size: u64) -> Result<OwnedSemaphorePermit, Error> {
        // A row is there at once, a blob in pieces.
        let row = usize::try_from(size).unwrap_or(usize::MAX).min(self.rules.small_file_bytes);
        let blob = BlobReader::memory(size).saturating_add(Tags::memory_of(size));
        let units = blob.max(row).div_ceil(UNIT).min(MEMORY / UNIT);
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
