//! One command that the agent knows of: how far it is, and how much of it was said.

use std::time::Instant;

use jumpbag_wire::agent::{Assignment, CommandId, MAX_DATA, Outcome, Stream};
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
    /// Sending began again from `kept`, and no more was kept since.
    rewound: bool,
    noted: u64,
    /// It cannot be read any more.
    lost: bool,
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
            entry.flows[place(end.stream)] =
                Flow { size: end.size, sent: kept, kept, noted: kept, ..Flow::default() };
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

    pub fn end(&mut self, mut outcome: Outcome) {
        for stream in STREAMS {
            if self.flows[place(stream)].lost {
                spoil(&mut outcome, stream);
            }
        }
        self.fetch = None;
        self.assignment = None;
        self.stage = Stage::Ended;
        self.outcome = Some(outcome);
    }

    /// A stream cannot be read: what is left of it is given up.
    pub fn lose(&mut self, stream: Stream) {
        self.flows[place(stream)].lost = true;
        if let Some(outcome) = &mut self.outcome {
            spoil(outcome, stream);
        }
    }

    /// Forgets what was said and may not have been heard.
    pub fn begin_again(&mut self) {
        self.said_started = self.outcome.is_some();
        self.said_end = None;
        for flow in &mut self.flows {
            flow.sent = flow.kept;
            flow.rewound = false;
        }
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
        if offset > flow.kept {
            flow.rewound = false;
        } else if offset < flow.kept || !flow.rewound && flow.sent > offset {
            // What was sent last did not follow on what the server has.
            flow.rewound = true;
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

    /// A stream with bytes to send, the one that was sent least of first: a flood in one does not hold up the other.
    /// Little is sent only when the server has all that was sent before, so that a script that puts out little at a time
    /// does not make it keep a thousand small pieces.
    pub fn behind(&self) -> Option<Stream> {
        let behind = STREAMS.into_iter().filter(|stream| {
            let flow = &self.flows[place(*stream)];
            let left = flow.size - flow.sent;
            left > 0
                && !flow.lost
                && (left >= MAX_DATA as u64 || flow.sent == flow.kept || self.outcome.is_some())
        });
        behind.min_by_key(|stream| self.flows[place(*stream)].sent)
    }
}

fn spoil(outcome: &mut Outcome, stream: Stream) {
    outcome.succeeded = false;
    outcome.errors.push("the agent's disk lost some of the output".into());
    outcome.output.retain(|end| end.stream != stream);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let id = CommandId { action: "9509426d-490c-4f2b-90b4-4703674be8cf".into(), index: 0 };
        Entry::new(id, Timestamp::from_secs(0), Stage::Working)
    }

    #[test]
    fn little_is_sent_when_the_server_has_the_rest() {
        let mut entry = entry();
        let full = MAX_DATA as u64;
        entry.flows[0] = Flow { size: 10, ..Flow::default() };
        assert_eq!(entry.behind(), Some(Stream::Stdout));
        entry.flows[0].sent = 5;
        assert_eq!(entry.behind(), None);
        entry.flows[0].kept = 5;
        assert_eq!(entry.behind(), Some(Stream::Stdout));
        entry.flows[0] = Flow { size: full + 5, sent: 5, ..Flow::default() };
        entry.flows[1] = Flow { size: 10, ..Flow::default() };
        assert_eq!(entry.behind(), Some(Stream::Stderr));
        entry.flows[1].sent = 10;
        assert_eq!(entry.behind(), Some(Stream::Stdout));
    }

    #[test]
    fn sending_begins_again_once_where_the_server_says_that_something_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 100, Timestamp::from_secs(0)).unwrap();
        let mut entry = entry();
        entry.flows[0] = Flow { size: 100, sent: 60, ..Flow::default() };
        let mut hear = |offset| {
            entry.kept(&spool, Stream::Stdout, offset);
            let flow = &mut entry.flows[0];
            let sent = flow.sent;
            flow.sent = flow.sent.max(60);
            (flow.kept, sent)
        };
        assert_eq!(hear(20), (20, 60));
        assert_eq!(hear(20), (20, 20));
        assert_eq!(hear(20), (20, 60), "the next piece was on its way already");
        assert_eq!(hear(40), (40, 60));
        assert_eq!(hear(40), (40, 40));
        assert_eq!(hear(10), (10, 10), "the server has lost something");
        assert_eq!(hear(80), (80, 80));
        assert_eq!(hear(1000), (80, 80), "more than there is");
    }
}
