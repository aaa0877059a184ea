//! What a command puts out, followed while it runs: each byte once and in order within its stream, then the end.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jumpbag_wire::action::{LiveEvent, OutputData, OutputEnded, OutputPiece};
use jumpbag_wire::agent::Stream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::output::Output;
use super::quote::incomplete;
use super::{Actions, known};
use crate::catalog::actions::{self, OutputId};
use crate::error::Error;

/// What comes in by this process is heard of at once, and by others on the same database by asking this often.
const POLL: Duration = Duration::from_secs(1);
/// Least time between two looks that found nothing.
const PACE: Duration = Duration::from_millis(50);

const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

/// A command that is followed.
pub struct Live {
    actions: Actions,
    action: String,
    index: u32,
    /// How much of each stream was told.
    told: [u64; 2],
    stirred: watch::Receiver<()>,
    /// When there was nothing new.
    looked: Option<Instant>,
}

/// A command, and what there is of its output.
struct Now {
    outputs: [Output; 2],
    ended: Option<OutputEnded>,
}

impl Actions {
    /// Follows a command's output from its beginning, or from a position that was told before.
    ///
    /// # Errors
    /// `NotFound` when there is no such command; `InvalidInput` when the position is not one that it had.
    pub async fn live(
        &self,
        action: &str,
        index: u32,
        seen: Option<&(String, String)>,
    ) -> Result<Live, Error> {
        let (stirred, action) = (self.stirred.subscribe(), known(action)?);
        let mut live = Live { actions: self.clone(), action, index, told: [0, 0], stirred, looked: None };
        let now = live.now().await?;
        if let Some((name, value)) = seen {
            let position = value.trim().split_once('-');
            let position = position.and_then(|(out, err)| Some([out.parse().ok()?, err.parse().ok()?]));
            let known = position.filter(|told: &[u64; 2]| {
                told.iter().zip(&now.outputs).all(|(told, output)| *told <= output.size)
            });
            live.told = known.ok_or_else(|| {
                let shown: String = value.chars().take(40).collect();
                Error::InvalidInput(format!(
                    "`{name}` is `{}`: expected the `id` of an event that was seen here, such as `{}-{}`",
                    shown.escape_debug(),
                    now.outputs[0].size,
                    now.outputs[1].size
                ))
            })?;
        }
        Ok(live)
    }
}

impl Live {
    /// How much was told of stdout and stderr: the place to go on from.
    pub fn position(&self) -> String {
        format!("{}-{}", self.told[0], self.told[1])
    }

    /// What is new; `None` when nothing is.
    pub async fn next(&mut self) -> Result<Option<LiveEvent>, Error> {
        if let Some(looked) = self.looked.take() {
            tokio::time::sleep_until(looked + PACE).await;
        }
        self.stirred.mark_unchanged();
        let now = self.now().await?;
        if let Some(piece) = self.piece(&now.outputs, 0).await? {
            return Ok(Some(LiveEvent::Stdout(piece)));
        }
        if let Some(piece) = self.piece(&now.outputs, 1).await? {
            return Ok(Some(LiveEvent::Stderr(piece)));
        }
        if now.ended.is_none() {
            self.looked = Some(Instant::now());
        }
        Ok(now.ended.map(LiveEvent::End))
    }

    /// Waits until there may be more.
    pub async fn changed(&mut self) {
        let _ = tokio::time::timeout(POLL, self.stirred.changed()).await;
    }

    async fn now(&self) -> Result<Now, Error> {
        let (action, index) = (self.action.clone(), self.index);
        let now = self.actions.catalog.snapshot(move |tx| {
            Box::pin(async move {
                let found = super::found(tx, &action).await?;
                let row = found.commands.iter().find(|row| row.number == i64::from(index));
                let row = row.ok_or_else(|| super::output::no_command(index))?;
                let open = !row.has_ended() && !found.status.is_final();
                let mut outputs = Vec::with_capacity(STREAMS.len());
                for stream in STREAMS {
                    let id = OutputId { action: found.number, command: row.number, stream };
                    outputs.push(Output { id, size: actions::output_size(tx, id).await?, open });
                }
                let ended = (!open).then(|| OutputEnded {
                    status: found.status,
                    command_status: row.status,
                    exit_code: row.exit_code,
                    errors: row.errors.clone(),
                });
                Ok::<_, Error>(Now { outputs: [outputs[0], outputs[1]], ended })
            })
        });
        now.await
    }

    /// The next piece of a stream, which does not end within a character unless the stream does.
    async fn piece(&mut self, outputs: &[Output; 2], place: usize) -> Result<Option<OutputPiece>, Error> {
        let (output, offset) = (&outputs[place], self.told[place]);
        if offset >= output.size {
            return Ok(None);
        }
        let mut bytes = self.actions.piece(output, offset).await?.to_vec();
        if incomplete(&bytes) < bytes.len() {
            // A character may go on in the next piece.
            bytes.extend(self.actions.piece(output, offset + bytes.len() as u64).await?);
        }
        bytes.truncate(usize::try_from(output.size - offset).unwrap_or(usize::MAX));
        let last = !output.open && offset + bytes.len() as u64 == output.size;
        if !last {
            bytes.truncate(incomplete(&bytes));
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        self.told[place] += bytes.len() as u64;
        let data = match String::from_utf8(bytes) {
            Ok(text) => OutputData::Text(text),
            Err(e) => OutputData::Base64(BASE64.encode(e.as_bytes())),
        };
        Ok(Some(OutputPiece { offset, data }))
    }
}
