//! One command that the agent knows of: how far it is, and how much of it was said.

use std::time::Instant;

use jumpbag_wire::agent::{Assignment, CommandId, Outcome, Stream};
use jumpbag_wire::time::Timestamp;
use tokio::sync::watch;

use super::fetch::Fetch;
use crate::spool::{STREAMS, Spool, place};

/// Bytes between two notes of how much the server has.
const NOTE_EVERY: u64 = 8 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Waiting,
    Working,
    Ended,
}

/// Whether a command is to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    No,
    Cancelled,
    AgentStops,
}

pub(super) struct Entry {
    pub id: CommandId,
    pub not_after: Timestamp,
    /// Until the worker has it.
    pub assignment: Option<Assignment>,
    pub stage: Stage,
    pub stop: watch::Sender<Stop>,
    pub fetch: Option<Fetch>,
    pub started: Option<Timestamp>,
    pub said_started: bool,
    pub flows: [Flow; 3],
    pub outcome: Option<Outcome>,
    pub said_end: Option<Instant>,
}

/// One stream of output on its way to the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flow {
    /// Bytes on the disk.
    pub size: u64,
    /// Bytes that were sent over this connection, or that the server has.
    pub sent: u64,
    /// Bytes that the server has.
    pub kept: u64,
    noted: u64,
}

impl Entry {
    pub fn waiting(assignment: Assignment) -> Entry {
        let (id, not_after) = (assignment.command.clone(), assignment.not_after);
        Entry { assignment: Some(assignment), ..Entry::new(id, not_after, Stage::Waiting) }
    }

    pub fn ended(spool: &Spool, id: CommandId, not_after: Timestamp, outcome: Outcome) -> Entry {
        let mut entry = Entry::new(id, not_after, Stage::Ended);
        for end in &outcome.output {
            let kept = spool.kept(&entry.id, end.stream).min(end.size);
            entry.flows[place(end.stream)] = Flow { size: end.size, sent: kept, kept, noted: kept };
        }
        // The server learns of the start from the end.
        entry.said_started = true;
        entry.outcome = Some(outcome);
        entry
    }

    fn new(id: CommandId, not_after: Timestamp, stage: Stage) -> Entry {
        Entry {
            id,
            not_after,
            assignment: None,
            stage,
            stop: watch::Sender::new(Stop::No),
            fetch: None,
            started: None,
            said_started: false,
            flows: [Flow::default(); 3],
            outcome: None,
            said_end: None,
        }
    }

    pub fn end(&mut self, outcome: Outcome) {
        self.fetch = None;
        self.assignment = None;
        self.stage = Stage::Ended;
        self.outcome = Some(outcome);
    }

    /// Forgets what was said and may not have been heard.
    pub fn begin_again(&mut self) {
        self.said_started = self.outcome.is_some();
        self.said_end = None;
        self.flows.iter_mut().for_each(|flow| flow.sent = flow.kept);
        if let Some(fetch) = &mut self.fetch {
            fetch.begin_again();
        }
    }

    /// The server has a stream up to here.
    pub fn kept(&mut self, spool: &Spool, stream: Stream, offset: u64) {
        let flow = &mut self.flows[place(stream)];
        if offset > flow.size {
            return;
        }
        if offset < flow.kept {
            // It lost what it had: from there again.
            flow.sent = offset;
            self.said_end = None;
        }
        flow.kept = offset;
        flow.sent = flow.sent.max(offset);
        if flow.kept.abs_diff(flow.noted) >= NOTE_EVERY {
            flow.noted = flow.kept;
            spool.note_kept(&self.id, stream, offset);
        }
    }

    /// A stream with bytes that were not sent, the one that was sent least of first: a flood in one does not hold
    /// up the other.
    pub fn behind(&self) -> Option<Stream> {
        let behind = STREAMS.into_iter().filter(|stream| {
            let flow = &self.flows[place(*stream)];
            flow.sent < flow.size
        });
        behind.min_by_key(|stream| self.flows[place(*stream)].sent)
    }
}
