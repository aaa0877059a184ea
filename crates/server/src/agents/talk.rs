//! The talk with one agent that has proven which machine it is: what it is told, unasked and in answer. How the words
//! travel is not known here. Whatever it says of commands that are none of its machine's changes nothing and tells nothing.

use jumpbag_wire::agent::{Chunk, CommandId, FromAgent, FromServer};
use jumpbag_wire::time::Timestamp;

use super::AgentKey;
use crate::actions::measure::Measured;
use crate::actions::{Actions, Ending};
use crate::error::Error;
use crate::library::ContentRef;

pub struct Talk<'a> {
    actions: &'a Actions,
    key: &'a AgentKey,
    machine: &'a str,
    /// What the agent is at, as far as it is known on this connection.
    at: Option<CommandId>,
    measured: Measured,
}

/// What follows on what an agent said.
#[derive(Debug, Default)]
pub struct Answer {
    pub words: Vec<FromServer>,
    pub content: Option<Wanted>,
}

/// Content that an agent asks for, from an offset on.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub command: CommandId,
    pub content: ContentRef,
    pub offset: u64,
}

impl From<FromServer> for Answer {
    fn from(word: FromServer) -> Answer {
        Answer { words: vec![word], content: None }
    }
}

impl<'a> Talk<'a> {
    pub fn new(actions: &'a Actions, key: &'a AgentKey, machine: &'a str) -> Talk<'a> {
        Talk { actions, key, machine, at: None, measured: Measured::default() }
    }

    /// What it is to be told now: to stop, or what to do.
    pub async fn look(&mut self, now: Timestamp) -> Result<Vec<FromServer>, Error> {
        let mut words = self.stop().await?;
        if self.at.is_some() {
            return Ok(words);
        }
        if let Some(next) = self.actions.next(self.machine, self.key, now).await? {
            self.at = Some(next.command);
            words.push(FromServer::Assign { assignment: next.assignment, signature: next.signature });
        }
        Ok(words)
    }

    /// To stop what it is at, if that is over.
    pub async fn stop(&mut self) -> Result<Vec<FromServer>, Error> {
        match self.at.clone() {
            Some(command) if self.actions.is_over(self.machine, command.clone()).await? => {
                self.at = None;
                Ok(vec![FromServer::Cancel { command }])
            }
            _ => Ok(Vec::new()),
        }
    }

    /// What is answered to words.
    ///
    /// # Errors
    /// When they make no sense.
    pub async fn hear(&mut self, message: FromAgent, now: Timestamp) -> Result<Answer, Error> {
        match message {
            FromAgent::Prove { .. } | FromAgent::Confirmed => {
                Err(Error::Forbidden("a proof comes once".into()))
            }
            FromAgent::Started { command, time } => {
                if self.actions.started(self.machine, command.clone(), time, now).await? {
                    // It may have begun it when it was connected before.
                    self.at = Some(command);
                    return Ok(Answer::default());
                }
                Ok(FromServer::Cancel { command }.into())
            }
            FromAgent::Fetch { command, offset } => {
                Ok(match self.actions.content(self.machine, command.clone()).await? {
                    Some(content) => {
                        Answer { content: Some(Wanted { command, content, offset }), words: Vec::new() }
                    }
                    None => FromServer::Cancel { command }.into(),
                })
            }
            FromAgent::Finished { command, outcome } => {
                let ended = self
                    .actions
                    .finished(self.machine, command.clone(), outcome, &self.measured, now)
                    .await?;
                match ended {
                    Ending::Recorded => {
                        if self.at.as_ref() == Some(&command) {
                            self.at = None;
                        }
                        let mut words = vec![FromServer::Recorded { command }];
                        words.extend(self.look(now).await?);
                        Ok(Answer { words, content: None })
                    }
                    // It sends that first, and this again.
                    Ending::Missing(kept) => {
                        let kept = kept.into_iter().map(|(stream, offset)| FromServer::Kept {
                            command: command.clone(),
                            stream,
                            offset,
                        });
                        Ok(Answer { words: kept.collect(), content: None })
                    }
                }
            }
        }
    }

    /// What is answered to a piece of output.
    ///
    /// # Errors
    /// When it is none.
    pub async fn keep(&mut self, chunk: Chunk) -> Result<Vec<FromServer>, Error> {
        let (command, stream) = (chunk.command.clone(), chunk.stream);
        let kept = self.actions.keep(self.machine, chunk, &mut self.measured).await?;
        let mut words = Vec::new();
        if let (Some(offset), Some(stream)) = (kept, stream) {
            words.push(FromServer::Kept { command: command.clone(), stream, offset });
        }
        // It may have been ended while its machine was away.
        if self.actions.is_over(self.machine, command.clone()).await? {
            words.push(FromServer::Cancel { command });
        }
        Ok(words)
    }
}
