//! Assignments: which are taken on, and what is said of the others. Only what the pinned key has signed for this
//! machine and this time is ever started.

use jumpbag_wire::action::CommandType;
use jumpbag_wire::agent::{Assignment, CommandId, assignment_text};
use serde::Deserialize;

use super::entry::Entry;
use super::{Duty, failed, find, is_plain_name};

impl Duty {
    pub(super) fn assign(&self, text: &str, signature: &str) {
        /// What every assignment says, whatever else it does.
        #[derive(Deserialize)]
        struct Named {
            command: CommandId,
        }
        let Ok(Named { command }) = serde_json::from_str(text) else {
            crate::say!("the server sent an assignment that names no command");
            return;
        };
        let known = find(&mut self.state().entries, &command).is_some();
        if known {
            return;
        }
        match self.check(text, signature) {
            Ok(assignment) => {
                self.state().entries.push_back(Entry::waiting(assignment));
                self.to_do.notify_one();
            }
            Err(reason) => {
                crate::say!("command {} of action {} is refused: {reason}", command.index, command.action);
                let outcome = failed(vec![reason], None, self.clock.now());
                self.state().refusals.push_back((command, outcome));
            }
        }
    }

    fn check(&self, text: &str, signature: &str) -> Result<Assignment, String> {
        if !self.server_key.signed(&assignment_text(text), signature) {
            return Err("the assignment is not signed by the server that this machine enrolled at".into());
        }
        let assignment: Assignment = serde_json::from_str(text)
            .map_err(|error| format!("this agent does not understand the assignment: {error}"))?;
        if assignment.machine_id != self.machine {
            return Err(format!("the assignment is for the machine `{}`", assignment.machine_id));
        }
        let id = &assignment.command.action;
        if uuid::Uuid::parse_str(id).map(|uuid| uuid.to_string()).ok().as_ref() != Some(id) {
            return Err(format!("`{id}` is not an action's GUID"));
        }
        if self.state().spool.knows(&assignment.command) {
            return Err("the command was done before and is not done again".into());
        }
        self.timely(&assignment)?;
        complete(&assignment)?;
        Ok(assignment)
    }

    /// Whether the command may still be started.
    pub(crate) fn timely(&self, assignment: &Assignment) -> Result<(), String> {
        let now = self.clock.now();
        if now > assignment.not_after {
            return Err(format!(
                "the command was to be started by {}, and it is {now}",
                assignment.not_after
            ));
        }
        Ok(())
    }
}

/// Whether the assignment says all that its kind of command needs.
fn complete(assignment: &Assignment) -> Result<(), String> {
    match assignment.kind {
        CommandType::GetFile => match &assignment.path {
            Some(path) if !path.is_empty() => Ok(()),
            _ => Err("the assignment names no file to get".into()),
        },
        CommandType::PutFile | CommandType::RunScript => {
            let content = assignment.content.as_ref().ok_or("the assignment names no library file")?;
            if !is_plain_name(&content.name) {
                return Err(format!("`{}` cannot be the name of a file here", content.name));
            }
            Ok(())
        }
    }
}
