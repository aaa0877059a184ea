//! An action followed to its end: its output as it comes where the server tells it, each byte once and in order within
//! its stream, whatever happens to the connection; else all of it when it has ended.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jumpbag_wire::action::{OutputData, OutputEnded, OutputPiece};
use reqwest::{Method, Response};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use super::events::{Event, Events};
use super::machines::{ACTIONS, Action, PUT_FILE, RUN_SCRIPT, is_final};
use super::{Again, Client, Outcome, segment};
use crate::failure::Failure;
use crate::transport;

/// Which of a command's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// How an action has ended.
pub struct Ended {
    pub status: String,
    /// The action as the server told it last; none where it may not be read.
    pub raw: Option<Box<RawValue>>,
    pub action: Option<Action>,
    pub errors: String,
}

impl Ended {
    pub fn succeeded(&self) -> bool {
        self.status == "Succeeded"
    }
}

/// Where bytes of a command's output go.
pub trait Show {
    /// # Errors
    /// When they cannot be written.
    fn bytes(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Failure>;
}

/// How long a server may be away while it is followed.
const PATIENCE: Duration = Duration::from_secs(300);
/// The original's parts know of a new action one after the other.
const SPREADS: Duration = Duration::from_secs(120);
/// Between two questions how an action is: it grows.
const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(10);

/// What was told of a command so far.
#[derive(Default)]
struct Heard {
    /// The last event's id.
    last: Option<String>,
    /// Bytes of each stream.
    bytes: [u64; 2],
    /// What the server asks to be waited before it is asked again.
    retry: Option<Duration>,
}

impl Client {
    /// Follows an action to its end. `crowd`: how many are followed at a time.
    ///
    /// # Errors
    /// When the server refuses or stays away, or the output cannot be written.
    pub async fn follow(
        &self,
        action: &Action,
        crowd: usize,
        show: &mut impl Show,
    ) -> Result<Ended, Failure> {
        let last = action.commands.len().saturating_sub(1);
        let (mut ends, mut silent) = (Vec::new(), None);
        for (place, step) in action.commands.iter().enumerate() {
            // Files are put without a word.
            if step.command.kind == PUT_FILE && place != last {
                continue;
            }
            match self.live(&action.id, step.index, show).await? {
                Some(end) => ends.push(end),
                None => {
                    silent = Some(place);
                    break;
                }
            }
        }
        let ended = match self.until_final(&action.id, crowd).await {
            // Who may run may see what comes out, and may not be one who may look at actions.
            Err(failure) if failure.is(403) => unseen(&ends, failure)?,
            other => other?,
        };
        let (Some(silent), Some(action)) = (silent, &ended.action) else { return Ok(ended) };
        let scripts = action.commands.iter().skip(silent);
        for step in scripts.filter(|step| step.command.kind == RUN_SCRIPT && step.has_ended()) {
            match self.script_result(&action.id, step.index).await {
                Ok(result) => {
                    show.bytes(Stream::Out, result.output.as_bytes())?;
                    show.bytes(Stream::Err, result.errors.as_bytes())?;
                }
                Err(failure) if failure.is(404) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(ended)
    }

    /// A command's output as it comes, to its end; none where the server tells nothing before that.
    async fn live(
        &self,
        action: &str,
        index: u32,
        show: &mut impl Show,
    ) -> Result<Option<OutputEnded>, Failure> {
        let path = format!("{ACTIONS}/{}/commands/{index}/output", segment(action));
        let (mut heard, mut since) = (Heard::default(), Instant::now());
        loop {
            let opened = self
                .attempt(Method::GET, &path, Again::Safe, async |request| {
                    let request = request.header("Accept", "text/event-stream");
                    Ok(match &heard.last {
                        Some(id) => request.header("Last-Event-ID", id),
                        None => request,
                    })
                })
                .await;
            let lost = match opened {
                Ok(Outcome::Answered(response)) => {
                    since = Instant::now();
                    match self.told(response, &mut heard, show).await? {
                        Some(end) => return Ok(Some(end)),
                        None => None,
                    }
                }
                Ok(Outcome::Unknown(failure)) => Some(failure),
                Err(failure)
                    if [404, 405, 503].iter().any(|status| failure.is(*status)) && heard.last.is_none() =>
                {
                    return Ok(None);
                }
                Err(failure) => Some(failure),
            };
            if let Some(failure) = lost {
                let away = match &failure {
                    Failure::Unreachable(_) => true,
                    Failure::Refused(refusal) => refusal.status >= 500,
                    _ => false,
                };
                if !away || since.elapsed() > PATIENCE {
                    return Err(failure);
                }
            }
            sleep(heard.retry.unwrap_or(FIRST)).await;
        }
    }

    /// What one connection tells, to the end of the command or of the connection.
    async fn told(
        &self,
        mut response: Response,
        heard: &mut Heard,
        show: &mut impl Show,
    ) -> Result<Option<OutputEnded>, Failure> {
        let mut events = Events::default();
        // A connection that breaks is made again.
        while let Ok(Some(piece)) = transport::piece(&mut response).await {
            events.feed(&piece)?;
            while let Some(event) = events.take() {
                heard.retry = events.retry.or(heard.retry);
                if let Some(end) = heard.event(&event, show)? {
                    return Ok(Some(end));
                }
                heard.last = events.last_id.clone().or_else(|| heard.last.take());
            }
        }
        Ok(None)
    }

    /// Asks how an action is until it stays as it is.
    async fn until_final(&self, id: &str, crowd: usize) -> Result<Ended, Failure> {
        let (begun, mut wait) = (Instant::now(), FIRST);
        // All that are followed ask once a second together at most: there are limits.
        let crowd = Duration::from_secs(crowd as u64);
        loop {
            match self.action(id).await {
                Ok(action) if action.is.is_final() => {
                    return Ok(Ended {
                        status: action.is.status.clone(),
                        errors: action.is.errors(),
                        raw: Some(action.raw),
                        action: Some(action.is),
                    });
                }
                Ok(_) => {}
                Err(failure) if failure.is(404) && begun.elapsed() < SPREADS => {}
                Err(failure) => return Err(failure),
            }
            sleep(wait.max(crowd)).await;
            wait = (wait * 3 / 2).min(LONGEST);
        }
    }
}

/// The end of an action that may not be looked at, from what its commands' outputs told at their ends.
fn unseen(ends: &[OutputEnded], failure: Failure) -> Result<Ended, Failure> {
    let Some(last) = ends.last() else { return Err(failure) };
    let status = serde_json::to_value(last.status).ok().and_then(|status| Some(status.as_str()?.to_owned()));
    let errors: Vec<&str> = ends.iter().flat_map(|end| &end.errors).map(String::as_str).collect();
    match status.filter(|status| is_final(status)) {
        Some(status) => Ok(Ended { status, errors: errors.join("; "), raw: None, action: None }),
        None => Err(failure),
    }
}

impl Heard {
    /// Takes in what an event tells; the command's end, if that is it.
    fn event(&mut self, event: &Event, show: &mut impl Show) -> Result<Option<OutputEnded>, Failure> {
        let stream = match event.name.as_str() {
            "stdout" => Stream::Out,
            "stderr" => Stream::Err,
            "end" => return parsed(&event.data).map(Some),
            _ => return Ok(None),
        };
        let piece: OutputPiece = parsed(&event.data)?;
        let bytes = match piece.data {
            OutputData::Text(text) => text.into_bytes(),
            OutputData::Base64(text) => STANDARD.decode(text).map_err(unknown)?,
        };
        let known = &mut self.bytes[stream as usize];
        if piece.offset != *known {
            return Err(Failure::Here(format!(
                "the server goes on at byte {} of an output of which it has told {known}",
                piece.offset
            )));
        }
        *known += bytes.len() as u64;
        show.bytes(stream, &bytes)?;
        Ok(None)
    }
}

fn parsed<'a, T: Deserialize<'a>>(data: &'a str) -> Result<T, Failure> {
    serde_json::from_str(data).map_err(unknown)
}

fn unknown(e: impl std::fmt::Display) -> Failure {
    Failure::Here(format!("the server told of an output in an unknown way: {e}"))
}
