//! Content on its way in: asked for from where it broke off, hashed while it is written, and right only when size and
//! SHA-256 are those that were assigned.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use jumpbag_wire::agent::{AssignedContent, Chunk, CommandId};
use jumpbag_wire::hex::hex;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use super::{Duty, find};
use crate::disk;
use crate::error::{Context, Error, Result};

pub(super) struct Fetch {
    file: File,
    hash: Sha256,
    /// Bytes that have come.
    got: u64,
    /// Whether the rest was asked for over this connection.
    asked: bool,
    content: AssignedContent,
    done: Option<oneshot::Sender<Result<()>>>,
}

impl Fetch {
    pub fn begin_again(&mut self) {
        self.asked = false;
    }

    /// From where on to ask, when that was not done yet.
    pub fn ask(&mut self) -> Option<u64> {
        let asks = !self.asked && self.done.is_some();
        self.asked = true;
        asks.then_some(self.got)
    }

    fn take(&mut self, chunk: &Chunk) {
        if chunk.offset != self.got || self.done.is_none() {
            return;
        }
        let written = self.write(&chunk.data);
        if (written.is_err() || self.got == self.content.size)
            && let Some(done) = self.done.take()
        {
            let _ = done.send(written.and_then(|()| self.check()));
        }
    }

    fn write(&mut self, data: &[u8]) -> Result<()> {
        let length = data.len() as u64;
        if length == 0 || self.got + length > self.content.size {
            return Err(Error::new(format!(
                "the server sends another number of bytes of `{}` than the {} that were assigned",
                self.content.name, self.content.size
            )));
        }
        self.file.write_all(data).context(|| format!("cannot keep `{}`", self.content.name))?;
        self.hash.update(data);
        self.got += length;
        Ok(())
    }

    fn check(&mut self) -> Result<()> {
        let sha256 = hex(&std::mem::take(&mut self.hash).finalize());
        if sha256 != self.content.sha256 {
            return Err(Error::new(format!(
                "`{}` has the SHA-256 {sha256}, and {} was assigned: it is not used",
                self.content.name, self.content.sha256
            )));
        }
        Ok(())
    }
}

impl Duty {
    /// Fetches the content of a command to a new file at `path`, however often the connection is lost meanwhile.
    ///
    /// # Errors
    /// When it cannot be written, or is not what was assigned.
    pub async fn fetch(&self, command: &CommandId, content: &AssignedContent, path: &Path) -> Result<()> {
        let file = disk::private_file().write(true).create_new(true).open(path);
        let file = file.context(|| format!("cannot keep `{}`", content.name))?;
        let (done, is_done) = oneshot::channel();
        let mut fetch = Fetch {
            file,
            hash: Sha256::new(),
            got: 0,
            asked: false,
            content: content.clone(),
            done: Some(done),
        };
        if content.size == 0 {
            return fetch.check();
        }
        match find(&mut self.state().entries, command) {
            Some(entry) => entry.fetch = Some(fetch),
            None => return Err(Error::new("the command is not known")),
        }
        self.to_send.notify_one();
        is_done.await.unwrap_or_else(|_| Err(Error::new("the command was given up")))
    }

    /// Gives up fetching.
    pub fn stop_fetching(&self, command: &CommandId) {
        if let Some(entry) = find(&mut self.state().entries, command) {
            entry.fetch = None;
        }
    }

    /// Takes in a piece of content.
    pub fn hear_chunk(&self, chunk: &Chunk) {
        if chunk.stream.is_some() {
            return;
        }
        let mut state = self.state();
        if let Some(fetch) = find(&mut state.entries, &chunk.command).and_then(|entry| entry.fetch.as_mut()) {
            fetch.take(chunk);
        }
        drop(state);
        self.to_send.notify_one();
    }
}
