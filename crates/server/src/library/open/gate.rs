//! What the bytes of a blob pass on their way out. Of a blob whose tags are known each piece is checked before it
//! goes; of any other all bytes are hashed, and the last that were asked for wait for the digest of all.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::UnboundedSender;

use super::flow::Held;
use super::tags::{Tagging, Tags};
use super::verified::Verified;
use super::{damaged, verify};
use crate::blobs::{BlobReader, PIECE, Piece};
use crate::catalog::contents::Content;
use crate::error::Error;

/// From a blob to whoever asked.
pub(super) struct Way {
    pub(super) content: Content,
    pub(super) blob: String,
    /// What was asked for.
    pub(super) range: Range<u64>,
    pub(super) out: UnboundedSender<Result<bytes::Bytes, Error>>,
    pub(super) held: Arc<Held>,
    pub(super) verified: Arc<Verified>,
}

impl Way {
    /// The part of the blob, in whole pieces, that must be read to check what was asked for.
    pub(super) fn pieces(&self) -> Range<u64> {
        let piece = PIECE as u64;
        let end = self.range.end.checked_next_multiple_of(piece).unwrap_or(u64::MAX);
        self.range.start / piece * piece..end.min(self.content.size)
    }

    /// Reads all, from a reader of the whole blob.
    pub(super) async fn read_whole(self, reader: BlobReader) {
        let tagging = Some(self.verified.begin());
        let (size, out) = (self.content.size, self.out.clone());
        let mut whole = Whole { way: self, hasher: Sha256::new(), tagging, read: 0, back: None };
        pass(reader, size, out, move |piece| whole.take(piece)).await;
    }

    /// Reads no more than [`Way::pieces`], from a reader of these.
    pub(super) async fn read_pieces(self, reader: BlobReader, tags: Arc<Tags>) {
        let (size, out, at) = (self.content.size, self.out.clone(), self.pieces().start);
        let mut pieces = Pieces { way: self, tags, at };
        pass(reader, size, out, move |piece| pieces.take(piece)).await;
    }

    /// Hands on a piece. Nobody may be left to take it.
    fn give(&self, piece: Piece, part: Range<usize>) {
        let _ = self.out.send(Ok(self.held.give(piece, part)));
    }
}

async fn pass(
    reader: BlobReader,
    size: u64,
    out: UnboundedSender<Result<bytes::Bytes, Error>>,
    mut take: impl FnMut(Option<Piece>) -> Result<ControlFlow<()>, Error> + Send + 'static,
) {
    let told = out.clone();
    let passed = reader.read(size, move |piece| match take(piece) {
        Ok(flow) if !told.is_closed() => flow,
        // Nobody listens any more.
        Ok(_) => ControlFlow::Break(()),
        Err(damaged) => {
            let _ = told.send(Err(damaged));
            ControlFlow::Break(())
        }
    });
    if let Err(e) = passed.await {
        let _ = out.send(Err(e.into()));
    }
}

/// Hashes and tags all, lets through what is asked for, and keeps the last of it back.
struct Whole {
    way: Way,
    hasher: Sha256,
    tagging: Option<Tagging>,
    read: u64,
    back: Option<(Piece, Range<usize>)>,
}

impl Whole {
    fn take(&mut self, piece: Option<Piece>) -> Result<ControlFlow<()>, Error> {
        let Some(piece) = piece else {
            self.finish()?;
            return Ok(ControlFlow::Break(()));
        };
        let (bytes, content) = (piece.as_ref(), &self.way.content);
        let part = part(&self.way.range, self.read, bytes.len());
        self.read += bytes.len() as u64;
        if self.read > content.size {
            return Err(damaged(content, format!("has more than {} bytes", content.size)));
        }
        self.hasher.update(bytes);
        if self.tagging.as_mut().is_some_and(|tagging| tagging.add(bytes).is_none()) {
            self.tagging = None;
        }
        if !part.is_empty() {
            self.give();
            self.back = Some((piece, part));
        }
        Ok(ControlFlow::Continue(()))
    }

    fn finish(&mut self) -> Result<(), Error> {
        let (digest, content) = (std::mem::take(&mut self.hasher).finalize(), &self.way.content);
        verify(content, self.read, &digest)?;
        if let Some(tagging) = self.tagging.take() {
            self.way.verified.keep(&self.way.blob, &content.sha256, tagging.verified());
        }
        self.give();
        Ok(())
    }

    /// Hands on what was kept back.
    fn give(&mut self) {
        if let Some((piece, part)) = self.back.take() {
            self.way.give(piece, part);
        }
    }
}

/// Checks each piece before any of it goes.
struct Pieces {
    way: Way,
    tags: Arc<Tags>,
    /// Where the next piece begins.
    at: u64,
}

impl Pieces {
    fn take(&mut self, piece: Option<Piece>) -> Result<ControlFlow<()>, Error> {
        let Some(piece) = piece else {
            return Err(self.damaged(format!("ends after {} bytes", self.at)));
        };
        let bytes = piece.as_ref();
        let number = usize::try_from(self.at / PIECE as u64).unwrap_or(usize::MAX);
        if !self.tags.fit(number, bytes) {
            return Err(self.damaged(format!("has changed within {PIECE} bytes from byte {} on", self.at)));
        }
        let part = part(&self.way.range, self.at, bytes.len());
        self.at += bytes.len() as u64;
        self.way.give(piece, part);
        Ok(if self.at < self.way.range.end { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    }

    /// Who asks next has the whole verified again.
    fn damaged(&self, problem: String) -> Error {
        self.way.verified.forget(&self.way.blob);
        damaged(&self.way.content, problem)
    }
}

/// Which of the `length` bytes from `at` on are in `range`.
pub(super) fn part(range: &Range<u64>, at: u64, length: usize) -> Range<usize> {
    let within = |position: u64| {
        usize::try_from(position.saturating_sub(at)).map_or(length, |position| position.min(length))
    };
    within(range.start)..within(range.end)
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
