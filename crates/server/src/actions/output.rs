//! What commands put out: kept piece by piece while they run, read from any offset, and told as the original tells it.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use jumpbag_wire::agent::{Chunk, Stream};

use super::measure::Measured;
use super::{Actions, known, of_machine};
use crate::catalog::actions::{self, OutputId};
use crate::catalog::contents::Place;
use crate::error::Error;

/// Pieces up to this size are rows.
const SMALL: usize = 64 * 1024;

/// One stream of one command, as it is now.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub(super) id: OutputId,
    /// Bytes that are there.
    pub size: u64,
    /// Whether more may come.
    pub open: bool,
}

impl Actions {
    /// Keeps a piece of output; up to where the stream is durable. A piece that is there already is not kept twice,
    /// one that leaves a gap not at all. `None` when the command is none of this machine's.
    pub async fn keep(
        &self,
        machine: &str,
        chunk: Chunk,
        measured: &mut Measured,
    ) -> Result<Option<u64>, Error> {
        let Some(stream) = chunk.stream else {
            return Err(Error::InvalidRequestBody("a chunk of no output stream".into()));
        };
        let (machine, command) = (machine.to_owned(), chunk.command.clone());
        let at = self.catalog.read(move |tx| {
            Box::pin(async move {
                let Some((action, row)) = of_machine(tx, &machine, &command).await? else { return Ok(None) };
                let id = OutputId { action: action.number, command: row.number, stream };
                let size = actions::output_size(tx, id).await?;
                Ok::<_, Error>(Some((id, size, row.has_ended())))
            })
        });
        let Some((id, size, ended)) = at.await? else { return Ok(None) };
        let end = chunk.offset.saturating_add(chunk.data.len() as u64);
        if ended || chunk.offset > size || end <= size {
            return Ok(Some(size));
        }
        let new = chunk.data.slice((size - chunk.offset) as usize..);
        let length = new.len() as u64;
        let place = if new.len() <= SMALL {
            Place::Inline(new.clone())
        } else {
            let mut writer = self.blobs.create();
            writer.write(new.clone()).await?;
            Place::Blob(writer.finish().await?)
        };
        let (kept, bytes) = (place.clone(), new);
        let appended = self
            .catalog
            .write(move |tx| {
                Box::pin(
                    async move { Ok::<_, Error>(actions::append_output(tx, id, size, length, &kept).await?) },
                )
            })
            .await?;
        if appended {
            self.stirred.send_replace(());
            measured.follow(id, size, &bytes);
            return Ok(Some(end));
        }
        if let Place::Blob(key) = &place {
            self.blobs.delete(key).await?;
        }
        let size = self.catalog.read(move |tx| Box::pin(async move { actions::output_size(tx, id).await }));
        Ok(Some(size.await?))
    }

    /// One stream of a command of an action.
    ///
    /// # Errors
    /// `NotFound` when there is no such command.
    pub async fn output(&self, action: &str, index: u32, stream: Stream) -> Result<Output, Error> {
        let action = known(action)?;
        self.catalog
            .read(move |tx| {
                Box::pin(async move {
                    let found = super::found(tx, &action).await?;
                    let row = found.commands.iter().find(|row| row.number == i64::from(index));
                    let row = row.ok_or_else(|| no_command(index))?;
                    let id = OutputId { action: found.number, command: row.number, stream };
                    let size = actions::output_size(tx, id).await?;
                    Ok(Output { id, size, open: !row.has_ended() && !found.status.is_final() })
                })
            })
            .await
    }

    /// The piece that begins at an offset, at most to where the stream is; nothing behind its end.
    pub async fn piece(&self, output: &Output, offset: u64) -> Result<Bytes, Error> {
        let id = output.id;
        let found = self
            .catalog
            .read(move |tx| {
                Box::pin(async move { Ok::<_, Error>(actions::output_at(tx, id, offset).await?) })
            })
            .await?;
        let Some((start, _, place)) = found else { return Ok(Bytes::new()) };
        let whole = match place {
            Place::Inline(bytes) => bytes,
            Place::Blob(key) => {
                let pieces: Vec<Bytes> = self.blobs.open(&key).await?.try_collect().await?;
                pieces.concat().into()
            }
        };
        Ok(whole.slice(((offset - start) as usize).min(whole.len())..))
    }
}

pub(super) fn no_command(index: u32) -> Error {
    Error::NotFound(format!("the action has no command {index}: they are counted from 0"))
}
