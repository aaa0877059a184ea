//! The agent: `Duty`, `Spool` and the worker.

use super::state::{COMMANDS, Command, End, Entry, Record, Stage, State, ToAgent, ToServer};
use super::{Flaw, Protocol};

impl Protocol {
    /// `Duty::hear` and `hear_chunk`.
    pub(super) fn agent_hears(&self, state: &mut State, word: ToAgent) {
        match word {
            ToAgent::Assign(command) => self.assign(state, command),
            ToAgent::Content(command) => {
                if let Some(entry) = &mut state.entries[command]
                    && entry.stage == (Stage::Fetching { asked: true })
                {
                    entry.stage = Stage::Ready;
                }
            }
            ToAgent::Kept(command, offset) => {
                if let Some(entry) = &mut state.entries[command] {
                    kept(entry, state.written.output[command], offset);
                }
            }
            ToAgent::Recorded(command) => {
                if state.entries[command].is_some_and(|entry| entry.has_ended()) {
                    state.entries[command] = None;
                    state.written.journal[command] = Record::Recorded;
                    state.written.output[command] = 0;
                }
            }
            ToAgent::Cancel(command) => {
                let Some(entry) = &mut state.entries[command] else { return };
                entry.stopped = true;
                if entry.stage == Stage::Waiting {
                    self.finish(state, command, false);
                }
            }
        }
    }

    fn assign(&self, state: &mut State, command: Command) {
        if state.entries[command].is_some() {
            return;
        }
        if state.written.journal[command] != Record::Nothing || state.late {
            state.refusals.push_back(command);
            return;
        }
        if state.entries.iter().all(Option::is_none) {
            state.first = command;
        }
        state.entries[command] = Some(Entry::new(Stage::Waiting));
        self.take(state);
    }

    /// A free worker takes the next command, and fetches its content.
    pub(super) fn take(&self, state: &mut State) {
        let busy = state.entries.iter().flatten().any(Entry::is_worked_on);
        let waits = |command: &Command| state.entries[*command].is_some_and(|e| e.stage == Stage::Waiting);
        if let Some(command) = state.order().into_iter().find(waits).filter(|_| !busy)
            && let Some(entry) = &mut state.entries[command]
        {
            entry.stage = Stage::Fetching { asked: false };
        }
    }

    /// `Duty::finish`.
    pub(super) fn finish(&self, state: &mut State, command: Command, succeeded: bool) {
        let size = state.written.output[command];
        let Some(entry) = &mut state.entries[command] else { return };
        let end = End { succeeded, size };
        entry.stage = Stage::Ended(end);
        state.written.journal[command] = Record::Finished(end);
        if self.has(Flaw::ForgottenAtOnce) {
            state.written.journal[command] = Record::Recorded;
        }
    }

    /// `Duty::connected`.
    pub(super) fn begin_again(&self, state: &mut State) {
        for entry in state.entries.iter_mut().flatten() {
            entry.said_started = entry.has_ended();
            if !self.has(Flaw::EndsAreSaidOnce) {
                entry.said_end = false;
            }
            entry.sent = entry.kept;
            entry.rewound = false;
            if let Stage::Fetching { asked } = &mut entry.stage {
                *asked = false;
            }
        }
    }

    /// `Duty::next_frame`.
    pub(super) fn next_frame(&self, state: &mut State) -> Option<ToServer> {
        if let Some(command) = state.refusals.pop_front() {
            return Some(ToServer::Finished(command, End { succeeded: false, size: 0 }));
        }
        for command in state.order() {
            let Some(entry) = &mut state.entries[command] else { continue };
            if entry.stage == (Stage::Fetching { asked: false }) {
                entry.stage = Stage::Fetching { asked: true };
                return Some(ToServer::Fetch(command));
            }
            if entry.started && !entry.said_started {
                entry.said_started = true;
                return Some(ToServer::Started(command));
            }
        }
        for command in state.order() {
            let Some(entry) = &mut state.entries[command] else { continue };
            if entry.sent < state.written.output[command] {
                entry.sent = 1;
                return Some(ToServer::Output(command));
            }
            if let Stage::Ended(end) = entry.stage
                && !entry.said_end
            {
                entry.said_end = true;
                return Some(ToServer::Finished(command, end));
            }
        }
        None
    }

    /// `Spool::open` and `Duty::new` on what is left.
    pub(super) fn restart(&self, state: &mut State, left: super::state::Disk) {
        state.going = None;
        state.refusals.clear();
        state.written = left;
        state.entries = [None; COMMANDS];
        for command in 0..COMMANDS {
            let size = state.written.output[command];
            let end = match state.written.journal[command] {
                Record::Started => End { succeeded: false, size },
                // Not all that it tells of is there.
                Record::Finished(end) if end.size != size => End { succeeded: false, size },
                Record::Finished(end) => end,
                Record::Nothing | Record::Recorded => {
                    state.written.output[command] = 0;
                    continue;
                }
            };
            if state.entries.iter().all(Option::is_none) {
                state.first = command;
            }
            state.entries[command] = Some(Entry { said_started: true, ..Entry::new(Stage::Ended(end)) });
            if state.written.journal[command] == Record::Started {
                state.written.journal[command] = Record::Finished(end);
            }
        }
        // The journal is written anew, and synced.
        state.synced.journal = state.written.journal;
        for command in 0..COMMANDS {
            state.synced.output[command] = state.synced.output[command].min(state.written.output[command]);
        }
    }
}

/// `Entry::kept`.
fn kept(entry: &mut Entry, size: u8, offset: u8) {
    if offset > size {
        return;
    }
    if offset > entry.kept {
        entry.rewound = false;
    } else if offset < entry.kept || (!entry.rewound && entry.sent > offset) {
        entry.rewound = true;
        entry.sent = offset;
        entry.said_end = false;
    }
    entry.kept = offset;
    entry.sent = entry.sent.max(offset);
}
