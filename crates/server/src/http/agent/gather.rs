//! Output that is here already when a piece of it is to be kept is kept with it: what makes a piece durable takes the same
//! time for a large one as for a small one. What this takes in memory, of all sessions together, is bounded.

use axum::extract::ws::WebSocket;
use bytes::Bytes;
use futures_util::FutureExt as _;
use jumpbag_wire::agent::Chunk;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Said, hear};
use crate::error::Error;

/// Bytes from which on a piece is large enough.
const ENOUGH: usize = 1024 * 1024;
/// Sessions that may gather at a time. Others keep what they get as they get it.
static ROOM: Semaphore = Semaphore::const_new(64);

/// A chunk as large as it may be, and what was heard after it.
pub(super) struct Gathered {
    pub(super) chunk: Chunk,
    pub(super) then: Option<Result<Said, Error>>,
    /// While the chunk is in memory.
    pub(super) _room: Option<SemaphorePermit<'static>>,
}

/// Takes what follows on a chunk and need not be waited for.
pub(super) fn gather(socket: &mut WebSocket, mut chunk: Chunk) -> Gathered {
    let room = ROOM.try_acquire().ok();
    let mut pieces = vec![chunk.data.clone()];
    let mut length = chunk.data.len();
    let mut then = None;
    while room.is_some() && length < ENOUGH && then.is_none() {
        // Nothing is lost when it is not whole yet: the socket keeps what has come of it.
        let Some(said) = tokio::task::unconstrained(hear(socket)).now_or_never() else { break };
        match said {
            Ok(Said::Chunk(next)) if follows(&chunk, length, &next) => {
                length += next.data.len();
                pieces.push(next.data);
            }
            said => then = Some(said),
        }
    }
    if pieces.len() > 1 {
        chunk.data = Bytes::from(pieces.concat());
    }
    Gathered { chunk, then, _room: room }
}

/// Whether a chunk begins where so many bytes of another end.
fn follows(chunk: &Chunk, length: usize, next: &Chunk) -> bool {
    (&next.command, next.stream) == (&chunk.command, chunk.stream)
        && chunk.offset.checked_add(length as u64) == Some(next.offset)
}
