//! What the output of a command really is: counted and hashed here, over the bytes that are kept. What came while somebody
//! listened was hashed when it was kept; the rest is read again.

use std::collections::HashMap;

use futures_util::TryStreamExt as _;
use jumpbag_wire::agent::{OutputEnd, Stream};
use sha2::{Digest as _, Sha256};

use super::Actions;
use super::output::Output;
use crate::catalog::actions::OutputId;
use crate::error::Error;
use jumpbag_wire::hex::hex;

pub const STREAMS: [Stream; 3] = [Stream::Stdout, Stream::Stderr, Stream::File];

/// Digests that are under way, of one command: a machine has one at a time.
#[derive(Default)]
pub struct Measured {
    running: HashMap<OutputId, Running>,
}

#[derive(Default, Clone)]
struct Running {
    /// Bytes from the beginning on that are in the digest.
    size: u64,
    hash: Sha256,
}

impl Measured {
    /// A piece was kept at this offset.
    pub(super) fn follow(&mut self, id: OutputId, offset: u64, piece: &[u8]) {
        self.running.retain(|known, _| (known.action, known.command) == (id.action, id.command));
        let running = self.running.entry(id).or_default();
        if running.size == offset {
            running.hash.update(piece);
            running.size += piece.len() as u64;
        }
    }
}

impl Actions {
    /// How a stream ends of which so much is kept.
    pub(super) async fn measure(
        &self,
        id: OutputId,
        size: u64,
        measured: &Measured,
    ) -> Result<OutputEnd, Error> {
        let known = measured.running.get(&id).filter(|running| running.size <= size);
        let Running { size: from, mut hash } = known.cloned().unwrap_or_default();
        let mut pieces = self.stream(Output { id, size, open: false }, from);
        while let Some(piece) = pieces.try_next().await? {
            hash.update(&piece);
        }
        Ok(OutputEnd { stream: id.stream, size, sha256: hex(&hash.finalize()), archive: false })
    }
}
