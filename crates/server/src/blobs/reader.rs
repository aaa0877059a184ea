//! Reads a blob or a part of it from first byte to last, in large pieces whose memory is the same few buffers again and
//! again: whoever keeps pieces holds the reading up, and nothing else grows.

use std::fs::File;
use std::io::{self, Read as _, Take};
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;

use bytes::{Buf as _, Bytes};
use futures_util::{StreamExt as _, stream::BoxStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::spawn_blocking;

use super::folder::{At, Open};
use super::{BlobError, local};

/// Bytes of a piece, of all but the last: the digest finds them in a cache that the reading has just filled.
pub const PIECE: usize = 128 * 1024;
/// Pieces there are at a time: one that fills, one that a reader may keep back, and two on their way.
const PIECES: usize = 4;

/// A blob that is open, at the first byte that is wanted.
pub struct BlobReader {
    source: Source,
    size: u64,
}

enum Source {
    Folder(Take<File>, PathBuf),
    Bucket(BoxStream<'static, Result<Bytes, BlobError>>),
}

impl BlobReader {
    /// Of a file that stands where the range begins.
    pub(super) fn folder(open: Open, range: Option<Range<u64>>) -> BlobReader {
        let length = range.map_or(u64::MAX, |range| range.end.saturating_sub(range.start));
        BlobReader { source: Source::Folder(open.file.take(length), open.path), size: open.size }
    }

    pub(super) fn bucket(bytes: BoxStream<'static, Result<Bytes, BlobError>>, size: u64) -> BlobReader {
        BlobReader { source: Source::Bucket(bytes), size }
    }

    /// How large the whole blob was when it was opened.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of memory that reading a blob of this size holds.
    pub fn memory(size: u64) -> usize {
        PIECES * piece(size)
    }

    /// Gives the pieces to `each` in their order, and `None` after the last, until it has had enough. It is called
    /// where it may block, and is waited for when it keeps pieces. `size` is how large the blob should be, and
    /// pieces of that or [`PIECE`] bytes are what is read, but for the last.
    ///
    /// # Errors
    /// When the store fails on the way; then `each` has not seen the end.
    pub async fn read(
        self,
        size: u64,
        mut each: impl FnMut(Option<Piece>) -> ControlFlow<()> + Send + 'static,
    ) -> Result<(), BlobError> {
        let mut buffers = Buffers::new(piece(size));
        match self.source {
            Source::Folder(mut file, path) => spawn_blocking(move || {
                loop {
                    let mut buffer = buffers.wait();
                    let filled = fill(&mut file, &mut buffer)
                        .map_err(|source| local(At { path: path.clone(), source }))?;
                    let piece = buffers.piece(buffer, filled);
                    if each((filled > 0).then_some(piece)).is_break() || filled == 0 {
                        return Ok(());
                    }
                }
            })
            .await
            .unwrap_or_else(|e| Err(BlobError::Failed(e.into()))),
            Source::Bucket(mut bytes) => {
                let mut rest = Bytes::new();
                loop {
                    let mut buffer = buffers.next().await;
                    let filled = gather(&mut bytes, &mut rest, &mut buffer).await?;
                    let piece = buffers.piece(buffer, filled);
                    if each((filled > 0).then_some(piece)).is_break() || filled == 0 {
                        return Ok(());
                    }
                }
            }
        }
    }
}

fn piece(size: u64) -> usize {
    usize::try_from(size).map_or(PIECE, |size| size.clamp(1, PIECE))
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut Take<File>, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// Takes bytes until the buffer is full or there are no more; what does not fit is the next one's.
async fn gather(
    bytes: &mut BoxStream<'static, Result<Bytes, BlobError>>,
    rest: &mut Bytes,
    buffer: &mut [u8],
) -> Result<usize, BlobError> {
    let mut filled = 0;
    while filled < buffer.len() {
        if rest.is_empty() {
            let Some(next) = bytes.next().await else { break };
            *rest = next?;
        }
        let count = rest.len().min(buffer.len() - filled);
        rest.copy_to_slice(&mut buffer[filled..filled + count]);
        filled += count;
    }
    Ok(filled)
}

/// Some bytes of a blob. Dropped, it gives its memory to the next piece.
pub struct Piece {
    buffer: Vec<u8>,
    filled: usize,
    back: UnboundedSender<Vec<u8>>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // A reading that is over needs no more memory.
        let _ = self.back.send(std::mem::take(&mut self.buffer));
    }
}

/// The memory of one reading.
struct Buffers {
    size: usize,
    unmade: usize,
    free: UnboundedReceiver<Vec<u8>>,
    back: UnboundedSender<Vec<u8>>,
}

impl Buffers {
    fn new(size: usize) -> Buffers {
        let (back, free) = unbounded_channel();
        Buffers { size, unmade: PIECES, free, back }
    }

    /// A buffer that nobody holds, made where there may be one more.
    fn spare(&mut self) -> Option<Vec<u8>> {
        if let Ok(buffer) = self.free.try_recv() {
            return Some(buffer);
        }
        self.unmade = self.unmade.checked_sub(1)?;
        Some(vec![0; self.size])
    }

    // Neither can end without a buffer: `back` is held here too.
    async fn next(&mut self) -> Vec<u8> {
        match self.spare() {
            Some(buffer) => buffer,
            None => self.free.recv().await.unwrap_or_default(),
        }
    }

    fn wait(&mut self) -> Vec<u8> {
        self.spare().unwrap_or_else(|| self.free.blocking_recv().unwrap_or_default())
    }

    fn piece(&self, buffer: Vec<u8>, filled: usize) -> Piece {
        Piece { buffer, filled, back: self.back.clone() }
    }
}
