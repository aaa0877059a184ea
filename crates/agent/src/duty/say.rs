//! What to say next: made from what is known, one frame at a time, so that nothing waits in memory for a slow
//! connection.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jumpbag_wire::agent::{Chunk, FromAgent, MAX_DATA};

use super::Duty;
use super::entry::Entry;
use crate::spool::{Spool, place};

/// An end that the server did not record is said again after this time.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// What goes to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Text(FromAgent),
    Bytes(Chunk),
}

impl Duty {
    /// A connection begins: what was said over the one before may not have been heard.
    pub fn connected(&self) {
        self.state().entries.iter_mut().for_each(Entry::begin_again);
    }

    /// Returns when there may be something to say.
    pub async fn something_to_say(&self) {
        self.to_send.notified().await;
    }

    /// The next frame, when there is something to say.
    pub fn next_frame(&self, now: Instant) -> Option<Frame> {
        let mut state = self.state();
        if let Some((command, outcome)) = state.refusals.pop_front() {
            return Some(Frame::Text(FromAgent::Finished { command, outcome }));
        }
        let state = &mut *state;
        if let Some(frame) = state.entries.iter_mut().find_map(words) {
            return Some(Frame::Text(frame));
        }
        for entry in &mut state.entries {
            if let Some(chunk) = output(entry, &state.spool) {
                return Some(Frame::Bytes(chunk));
            }
            if let Some(frame) = end(entry, now) {
                return Some(Frame::Text(frame));
            }
        }
        None
    }

    /// When an end is to be said again if nothing happens until then.
    pub fn say_again_at(&self) -> Option<Instant> {
        self.state().entries.iter().filter_map(|entry| entry.said_end).min().map(|said| said + SAY_AGAIN)
    }
}

fn words(entry: &mut Entry) -> Option<FromAgent> {
    if let Some(offset) = entry.fetch.as_mut().and_then(|fetch| fetch.ask()) {
        return Some(FromAgent::Fetch { command: entry.id.clone(), offset });
    }
    if let Some(time) = entry.started.filter(|_| !entry.said_started) {
        entry.said_started = true;
        return Some(FromAgent::Started { command: entry.id.clone(), time });
    }
    None
}

fn output(entry: &mut Entry, spool: &Spool) -> Option<Chunk> {
    loop {
        let stream = entry.behind()?;
        let flow = &mut entry.flows[place(stream)];
        let path = spool.file_of(&entry.id, stream);
        let length = usize::try_from(flow.size - flow.sent).unwrap_or(MAX_DATA).min(MAX_DATA);
        match piece(&path, flow.sent, length) {
            Ok(data) => {
                let offset = flow.sent;
                flow.sent += length as u64;
                return Some(Chunk { command: entry.id.clone(), stream: Some(stream), offset, data });
            }
            Err(error) => {
                crate::say!("cannot read output in `{}`: {error}", path.display());
                entry.lose(stream);
            }
        }
    }
}

fn piece(path: &Path, offset: u64, length: usize) -> std::io::Result<Bytes> {
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut data = vec![0; length];
    file.read_exact(&mut data)?;
    Ok(data.into())
}

fn end(entry: &mut Entry, now: Instant) -> Option<FromAgent> {
    let outcome = entry.outcome.as_ref()?;
    if entry.said_end.is_some_and(|said| now < said + SAY_AGAIN) {
        return None;
    }
    entry.said_end = Some(now);
    Some(FromAgent::Finished { command: entry.id.clone(), outcome: outcome.clone() })
}
