//! The server: `Actions` and `Talk`. Each of these steps is one transaction there, or reads what only it changes.

use super::state::{COMMANDS, Command, End, Row, Session, State, Status, ToAgent, ToServer};
use super::{Flaw, Protocol};

impl Protocol {
    pub fn action_of(&self, command: Command) -> usize {
        if self.one_action { 0 } else { command }
    }

    fn commands_of(&self, action: usize) -> impl Iterator<Item = Command> {
        let one_action = self.one_action;
        (0..COMMANDS).filter(move |command| if one_action { action == 0 } else { *command == action })
    }

    pub(super) fn actions(&self) -> usize {
        if self.one_action { 1 } else { COMMANDS }
    }

    pub(super) fn set_status(&self, state: &mut State, action: usize, status: Status) {
        state.catalog.actions[action] = status;
        if status.is_final() && state.finals[action].is_none() {
            state.finals[action] = Some(status);
        }
    }

    /// `Actions::cancel` and `expire`.
    pub(super) fn end(&self, state: &mut State, action: usize, status: Status) {
        self.set_status(state, action, status);
        self.wake(state);
    }

    fn wake(&self, state: &mut State) {
        if let Some(session) = &mut state.sessions[0] {
            session.wake = true;
        }
    }

    fn is_over(&self, state: &State, command: Command) -> bool {
        let row = state.catalog.rows[command];
        row == Row::Created || row.has_ended() || state.catalog.actions[self.action_of(command)].is_final()
    }

    /// `Actions::next`.
    fn next(&self, state: &mut State) -> Option<Command> {
        let action = (0..self.actions()).find(|action| !state.catalog.actions[*action].is_final())?;
        if state.catalog.actions[action] == Status::Pending && state.late {
            return None;
        }
        let command = self.commands_of(action).find(|command| !state.catalog.rows[*command].has_ended())?;
        if state.catalog.rows[command] == Row::Executing {
            return None;
        }
        state.catalog.rows[command] = Row::Submitted;
        Some(command)
    }

    /// `Talk::look`.
    pub(super) fn look(&self, state: &mut State, session: &mut Session) -> Vec<ToAgent> {
        let mut words = Vec::new();
        if let Some(command) = session.at {
            if !self.is_over(state, command) {
                return words;
            }
            session.at = None;
            words.push(ToAgent::Cancel(command));
        }
        if let Some(command) = self.next(state) {
            session.at = Some(command);
            words.push(ToAgent::Assign(command));
        }
        words
    }

    /// `Talk::hear` and `Talk::keep`; `None` when the session ends.
    pub(super) fn hear(
        &self,
        state: &mut State,
        session: &mut Session,
        word: ToServer,
    ) -> Option<Vec<ToAgent>> {
        Some(match word {
            ToServer::Started(command) => {
                if self.is_over(state, command) && !self.has(Flaw::StaleStatus) {
                    return Some(vec![ToAgent::Cancel(command)]);
                }
                state.catalog.rows[command] = Row::Executing;
                state.catalog.actions[self.action_of(command)] = Status::InProgress;
                if !self.has(Flaw::BegunBeforeIsNotFollowed) {
                    session.at = Some(command);
                }
                Vec::new()
            }
            ToServer::Fetch(command) => match self.is_over(state, command) {
                false => vec![ToAgent::Content(command)],
                true if self.has(Flaw::LateFetchHangsUp) => return None,
                true => vec![ToAgent::Cancel(command)],
            },
            ToServer::Output(command) => {
                let mut words = Vec::new();
                if state.catalog.rows[command] != Row::Created {
                    if !state.catalog.rows[command].has_ended() {
                        state.catalog.kept[command] = 1;
                    }
                    words.push(ToAgent::Kept(command, state.catalog.kept[command]));
                }
                if self.is_over(state, command) {
                    words.push(ToAgent::Cancel(command));
                }
                words
            }
            ToServer::Finished(command, end) => {
                if self.has(Flaw::RecordedBeforeCommit) {
                    session.uncommitted = Some(word);
                } else if let Some(kept) = self.finished(state, command, end) {
                    return Some(vec![ToAgent::Kept(command, kept)]);
                }
                if session.at == Some(command) {
                    session.at = None;
                }
                let mut words = vec![ToAgent::Recorded(command)];
                words.extend(self.look(state, session));
                words
            }
        })
    }

    /// `Actions::finished`: what is kept, when output is missing.
    pub(super) fn finished(&self, state: &mut State, command: Command, end: End) -> Option<u8> {
        let row = state.catalog.rows[command];
        if row == Row::Created || (row.has_ended() && !self.has(Flaw::CountsAgain)) {
            return None;
        }
        let kept = state.catalog.kept[command];
        if end.size > kept || (end.size < kept && self.has(Flaw::MoreOutputIsMissing)) {
            // Only streams that it told of are answered.
            return Some(kept);
        }
        let succeeded = end.succeeded && end.size == kept;
        state.catalog.rows[command] = if succeeded { Row::Completed } else { Row::Failed };
        state.counted[command] = (state.counted[command] + 1).min(2);
        let action = self.action_of(command);
        if state.catalog.actions[action].is_final() {
            return None;
        }
        let is_last = self.commands_of(action).last() == Some(command);
        let status = match (succeeded, is_last) {
            (true, false) => Status::InProgress,
            (true, true) => Status::Succeeded,
            (false, _) => Status::Failed,
        };
        self.set_status(state, action, status);
        if status.is_final() {
            self.wake(state);
        }
        None
    }
}
