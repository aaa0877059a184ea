//! Output on its way into the spool: hashed while it is written, and cut where the spool is full.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use jumpbag_wire::agent::{CommandId, OutputEnd, Stream};
use jumpbag_wire::hex::hex;
use sha2::{Digest, Sha256};

use super::{Duty, find};
use crate::disk;
use crate::error::{Context, Error, Result};
use crate::spool::place;

/// One stream of a command that runs. Its file is there from the first byte on.
pub struct Output {
    duty: Arc<Duty>,
    command: CommandId,
    stream: Stream,
    file: Option<File>,
    hash: Sha256,
    size: u64,
    /// Whether it is a tar archive.
    pub archive: bool,
    cut: Option<Error>,
}

impl Output {
    pub fn new(duty: Arc<Duty>, command: &CommandId, stream: Stream) -> Output {
        Output {
            duty,
            command: command.clone(),
            stream,
            file: None,
            hash: Sha256::new(),
            size: 0,
            archive: false,
            cut: None,
        }
    }

    /// Spools what came. What follows a cut is dropped.
    ///
    /// # Errors
    /// When there is no room for it, from then on each time.
    pub fn write(&mut self, data: &[u8]) -> Result<()> {
        if let Some(cut) = &self.cut {
            return Err(cut.clone());
        }
        let written = self.spool(data);
        if let Err(error) = &written {
            self.cut = Some(error.clone());
        }
        written
    }

    fn spool(&mut self, data: &[u8]) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let failed = || format!("cannot keep the output after {} bytes", self.size);
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.create().context(failed)?,
        };
        let (room, limit) = {
            let mut state = self.duty.state();
            (state.spool.claim(data.len() as u64), state.spool.limit())
        };
        let fits = &data[..usize::try_from(room).unwrap_or(0)];
        if let Err(error) = file.write_all(fits) {
            // Nothing of what was not written whole stays.
            let _ = file.set_len(self.size);
            self.duty.state().spool.release(room);
            self.file = Some(file);
            return Err(error).context(failed);
        }
        self.file = Some(file);
        self.hash.update(fits);
        self.size += room;
        if let Some(entry) = find(&mut self.duty.state().entries, &self.command) {
            entry.flows[place(self.stream)].size = self.size;
        }
        self.duty.to_send.notify_one();
        if fits.len() < data.len() {
            return Err(Error::new(format!(
                "the spool of the agent is full ({limit} bytes wait for the server): the output is cut after {} bytes",
                self.size
            )));
        }
        Ok(())
    }

    fn create(&self) -> Result<File> {
        disk::private_folder(&self.duty.spool_folder(&self.command))?;
        let path = self.duty.state().spool.file_of(&self.command, self.stream);
        let created = disk::private_file().write(true).create_new(true).open(&path);
        created.context(|| format!("cannot make `{}`", path.display()))
    }

    /// How the stream ends, and its file when there is one. A cut is told.
    pub fn end(mut self) -> (Option<OutputEnd>, Option<File>, Option<Error>) {
        if self.size == 0 {
            return (None, None, self.cut);
        }
        let sha256 = hex(&std::mem::take(&mut self.hash).finalize());
        let file = self.file.take();
        (
            Some(OutputEnd { stream: self.stream, size: self.size, sha256, archive: self.archive }),
            file,
            self.cut,
        )
    }
}
