//! What a command brought, told as the original tells it: of a script a JSON object with all it put out, of a file its
//! bytes.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use jumpbag_wire::action::CommandType;
use jumpbag_wire::agent::{OutputEnd, Stream};

use super::output::Output;
use super::quote::Quoter;
use super::{Actions, known};
use crate::catalog::actions::{CommandRow, OutputId};
use crate::error::Error;

/// What a command that has ended brought.
pub struct CommandResult {
    action: String,
    number: i64,
    command: CommandRow,
}

/// A part of what is told.
enum Part {
    Text(String),
    /// As part of a JSON string.
    Quoted(Output),
    Raw(Output),
}

impl Actions {
    /// What a command brought.
    ///
    /// # Errors
    /// `NotFound` when there is no such command, it has not ended, or it was to bring a file and did not.
    pub async fn result(&self, action: &str, index: u32) -> Result<CommandResult, Error> {
        let action = known(action)?;
        let row = self.row(&action).await?;
        let command = row.commands.into_iter().find(|command| command.number == i64::from(index));
        let command = command.filter(|command| command.has_ended()).ok_or_else(|| {
            Error::NotFound(format!("action {action} has no command {index} that has ended"))
        })?;
        let result = CommandResult { action, number: row.number, command };
        if result.is_file() && result.end().is_none() {
            let why = result.command.errors.join("; ");
            let action = &result.action;
            return Err(Error::NotFound(format!(
                "command {index} of action {action} brought no file: {why}"
            )));
        }
        Ok(result)
    }

    /// The bytes of a stream from an offset to where it is.
    pub fn stream(&self, output: Output, offset: u64) -> BoxStream<'static, Result<Bytes, Error>> {
        let actions = self.clone();
        let pieces = stream::unfold(offset, move |at| {
            let actions = actions.clone();
            async move {
                if at >= output.size {
                    return None;
                }
                let piece = actions.piece(&output, at).await.and_then(|mut piece| {
                    piece.truncate(usize::try_from(output.size - at).unwrap_or(usize::MAX));
                    match piece.is_empty() {
                        true => Err(Error::Internal("a piece of output is missing".into())),
                        false => Ok(piece),
                    }
                });
                let next = piece.as_ref().map_or(output.size, |piece| at + piece.len() as u64);
                Some((piece, next))
            }
        });
        // Whoever compresses it asks once more behind its end.
        pieces.fuse().boxed()
    }
}

impl CommandResult {
    pub fn action(&self) -> &str {
        &self.action
    }

    pub fn is_file(&self) -> bool {
        self.command.kind == CommandType::GetFile
    }

    /// What it is saved as.
    pub fn name(&self) -> String {
        let path = self.command.path.as_deref().unwrap_or_default();
        match path.rsplit(['/', '\\']).find(|part| !part.is_empty()) {
            Some(name) if self.end().is_some_and(|end| end.archive) => format!("{name}.tar.gz"),
            Some(name) if self.is_file() => format!("{name}.gz"),
            _ => format!("{}-{}.json", self.action, self.command.number),
        }
    }

    /// The SHA-256 of a file's bytes as they are told, which its machine measured.
    pub fn digest(&self) -> Option<Vec<u8>> {
        jumpbag_wire::hex::bytes(&self.end()?.sha256)
    }

    /// What its machine measured of the file that it brought, if that is what it did.
    fn end(&self) -> Option<&OutputEnd> {
        let mut ends = self.command.ends.iter().flatten();
        ends.find(|end| self.is_file() && end.stream == Stream::File)
    }

    fn output(&self, stream: Stream) -> Output {
        let ends = self.command.ends.iter().flatten();
        let size = ends.filter(|end| end.stream == stream).map(|end| end.size).next().unwrap_or(0);
        let id = OutputId { action: self.number, command: self.command.number, stream };
        Output { id, size, open: false }
    }

    fn parts(&self) -> VecDeque<Part> {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let file = self.command.file.as_ref().map_or("", |file| &file.file_name);
        let exit_code = self.command.exit_code.unwrap_or(-1);
        match self.command.kind {
            CommandType::GetFile => VecDeque::from([Part::Raw(self.output(Stream::File))]),
            CommandType::RunScript => VecDeque::from([
                Part::Text(format!(
                    "{{\"script_name\":{},\"exit_code\":{exit_code},\"script_output\":\"",
                    quoted(file)
                )),
                Part::Quoted(self.output(Stream::Stdout)),
                Part::Text("\",\"script_errors\":\"".into()),
                Part::Quoted(self.output(Stream::Stderr)),
                Part::Text("\"}".into()),
            ]),
            CommandType::PutFile => {
                let errors = serde_json::Value::from(self.command.errors.as_slice());
                let text = format!("{{\"file_name\":{},\"errors\":{errors}}}", quoted(file));
                VecDeque::from([Part::Text(text)])
            }
        }
    }

    pub fn bytes(&self, actions: &Actions) -> BoxStream<'static, Result<Bytes, Error>> {
        let actions = actions.clone();
        let parts = stream::iter(self.parts()).flat_map(move |part| match part {
            Part::Text(text) => stream::iter([Ok(Bytes::from(text))]).boxed(),
            Part::Raw(output) => actions.stream(output, 0),
            Part::Quoted(output) => {
                let mut quoter = Quoter::default();
                let pieces = actions.stream(output, 0).map(Some).chain(stream::iter([None]));
                pieces.map(move |piece| piece.transpose().map(|piece| quoter.quote(piece))).boxed()
            }
        });
        parts.boxed()
    }
}
