//! The spool: what was started, how it ended and what it put out, on the disk until the server has it. A command that
//! was written down as started is never started again.

pub mod journal;

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use jumpbag_wire::agent::{CommandId, Outcome, OutputEnd, Stream};
use jumpbag_wire::hex::hex;
use jumpbag_wire::time::Timestamp;
use sha2::{Digest, Sha256};

use crate::disk;
use crate::error::{Context, Result};
use journal::{Journal, Record};

pub const STREAMS: [Stream; 3] = [Stream::Stdout, Stream::Stderr, Stream::File];
/// Where a stream is in [`STREAMS`].
pub fn place(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
        Stream::File => 2,
    }
}

/// A done command is remembered for so long after the time at which it must not be started any more.
const REMEMBERED_SECS: i64 = 24 * 3600;
/// The journal is written anew when it is longer than this and twice what it need be.
const LONG_JOURNAL: u64 = 1 << 20;

/// A command that the server does not know the end of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    pub command: CommandId,
    pub not_after: Timestamp,
    pub started: Option<Timestamp>,
    /// `None`: the agent was stopped while the command ran.
    pub outcome: Option<Outcome>,
}

pub struct Spool {
    folder: PathBuf,
    journal: Journal,
    left: Vec<Left>,
    /// Commands that are over for the server too.
    done: HashMap<CommandId, Timestamp>,
    /// Bytes of output.
    used: u64,
    limit: u64,
    /// Length at which the journal is looked at again.
    long: u64,
}

impl Spool {
    /// # Errors
    /// When the journal is damaged, or the folder cannot be used.
    pub fn open(folder: &Path, limit: u64, now: Timestamp) -> Result<Spool> {
        disk::private_folder(folder)?;
        let (journal, records) = Journal::open(&folder.join("journal"))?;
        let mut spool = Spool {
            folder: folder.to_owned(),
            journal,
            left: Vec::new(),
            done: HashMap::new(),
            used: 0,
            limit,
            long: LONG_JOURNAL,
        };
        records.into_iter().for_each(|record| spool.apply(record));
        spool.tidy(now)?;
        spool.used = spool.left.iter().map(|left| spool.bytes(&left.command)).sum();
        Ok(spool)
    }

    fn apply(&mut self, record: Record) {
        match record {
            Record::Started { command, time, not_after } => {
                self.left.push(Left { command, not_after, started: Some(time), outcome: None });
            }
            Record::Finished { command, outcome, not_after } => {
                match self.left.iter_mut().find(|left| left.command == command) {
                    Some(left) => left.outcome = Some(outcome),
                    None => {
                        self.left.push(Left { command, not_after, started: None, outcome: Some(outcome) })
                    }
                }
            }
            Record::Recorded { command, not_after } => {
                self.left.retain(|left| left.command != command);
                self.done.insert(command, not_after);
            }
        }
    }

    /// Forgets what need not be known any more, and removes folders of commands that are not known.
    fn tidy(&mut self, now: Timestamp) -> Result<()> {
        self.compact(now)?;
        let known: Vec<PathBuf> = self.left.iter().map(|left| self.folder_of(&left.command)).collect();
        let failed = || format!("cannot read `{}`", self.folder.display());
        for entry in std::fs::read_dir(&self.folder).context(failed)? {
            let path = entry.context(failed)?.path();
            if path.is_dir() && !known.contains(&path) {
                std::fs::remove_dir_all(&path).context(|| format!("cannot remove `{}`", path.display()))?;
            }
        }
        Ok(())
    }

    fn compact(&mut self, now: Timestamp) -> Result<()> {
        self.done.retain(|_, not_after| not_after.plus_secs(REMEMBERED_SECS) > now);
        let mut records = Vec::new();
        for Left { command, not_after, started, outcome } in self.left.iter().cloned() {
            if let Some(time) = started {
                records.push(Record::Started { command: command.clone(), time, not_after });
            }
            records.extend(outcome.map(|outcome| Record::Finished { command, outcome, not_after }));
        }
        let done = self.done.iter();
        records.extend(done.map(|(command, not_after)| Record::Recorded {
            command: command.clone(),
            not_after: *not_after,
        }));
        self.journal.replace(&records)?;
        self.long = LONG_JOURNAL.max(2 * self.journal.length());
        Ok(())
    }

    /// What the server does not know the end of, in the order it was started.
    pub fn left(&self) -> &[Left] {
        &self.left
    }

    /// Whether the command was started or is over.
    pub fn knows(&self, command: &CommandId) -> bool {
        self.done.contains_key(command) || self.left.iter().any(|left| left.command == *command)
    }

    /// Whether the server has the command's end.
    pub fn is_done(&self, command: &CommandId) -> bool {
        self.done.contains_key(command)
    }

    /// Writes down that a command starts. It may start when the file returned is synced.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn start(&mut self, command: &CommandId, time: Timestamp, not_after: Timestamp) -> Result<File> {
        self.append(Record::Started { command: command.clone(), time, not_after })
    }

    /// Writes down how a command ended.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&mut self, command: &CommandId, outcome: Outcome, not_after: Timestamp) -> Result<File> {
        self.append(Record::Finished { command: command.clone(), outcome, not_after })
    }

    fn append(&mut self, record: Record) -> Result<File> {
        self.journal.append(&record)?;
        self.apply(record);
        self.journal.handle().context(|| "cannot write to the journal".into())
    }

    /// Lets go of a command whose end the server has.
    ///
    /// # Errors
    /// When it cannot be written down; the server is told again after a restart.
    pub fn forget(&mut self, command: &CommandId, not_after: Timestamp, now: Timestamp) -> Result<()> {
        self.used = self.used.saturating_sub(self.bytes(command));
        // Not synced: told again, the server says again that it knows.
        let written = self.append(Record::Recorded { command: command.clone(), not_after });
        // Even then: the disk may be full.
        let _ = std::fs::remove_dir_all(self.folder_of(command));
        written?;
        if self.journal.length() > self.long { self.compact(now) } else { Ok(()) }
    }

    /// Claims room for output: how much of `bytes` there is.
    pub fn claim(&mut self, bytes: u64) -> u64 {
        let room = bytes.min(self.limit.saturating_sub(self.used));
        self.used += room;
        room
    }

    /// Gives back room that was claimed.
    pub fn release(&mut self, bytes: u64) {
        self.used = self.used.saturating_sub(bytes);
    }

    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Where a command's output is.
    pub fn folder_of(&self, command: &CommandId) -> PathBuf {
        self.folder.join(format!("{}-{}", command.action, command.index))
    }

    pub fn file_of(&self, command: &CommandId, stream: Stream) -> PathBuf {
        self.folder_of(command).join(match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
            Stream::File => "file",
        })
    }

    /// Bytes of a stream on the disk.
    pub fn size_of(&self, command: &CommandId, stream: Stream) -> u64 {
        std::fs::metadata(self.file_of(command, stream)).map_or(0, |metadata| metadata.len())
    }

    fn bytes(&self, command: &CommandId) -> u64 {
        STREAMS.iter().map(|stream| self.size_of(command, *stream)).sum()
    }

    /// Reads the streams of a command again, to know how they end.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn measure(&self, command: &CommandId) -> Result<Vec<OutputEnd>> {
        let mut ends = Vec::new();
        for stream in STREAMS {
            let path = self.file_of(command, stream);
            if path.exists() {
                ends.push(measure(&path, stream).context(|| format!("cannot read `{}`", path.display()))?);
            }
        }
        Ok(ends)
    }

    /// Up to where the server has a stream, as far as it was noted.
    pub fn kept(&self, command: &CommandId, stream: Stream) -> u64 {
        let text = std::fs::read_to_string(self.note_of(command, stream)).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }

    /// Notes it. A note that is lost costs only bytes that are sent twice.
    pub fn note_kept(&self, command: &CommandId, stream: Stream, offset: u64) {
        let _ = std::fs::write(self.note_of(command, stream), offset.to_string());
    }

    fn note_of(&self, command: &CommandId, stream: Stream) -> PathBuf {
        self.file_of(command, stream).with_extension("kept")
    }
}

fn measure(path: &Path, stream: Stream) -> std::io::Result<OutputEnd> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(OutputEnd { stream, size, sha256: hex(&hash.finalize()), archive: false });
        }
        hash.update(&buffer[..read]);
        size += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn id(index: u32) -> CommandId {
        CommandId { action: "9509426d-490c-4f2b-90b4-4703674be8cf".into(), index }
    }

    fn outcome() -> Outcome {
        Outcome {
            succeeded: true,
            exit_code: Some(0),
            errors: Vec::new(),
            started: Some(NOW),
            ended: NOW,
            output: Vec::new(),
        }
    }

    #[test]
    fn commands_are_known_until_long_after_they_may_start() {
        let folder = tempfile::tempdir().unwrap();
        let open = |now| Spool::open(folder.path(), 100, now).unwrap();
        let mut spool = open(NOW);
        spool.start(&id(0), NOW, NOW).unwrap();
        spool.start(&id(1), NOW, NOW).unwrap();
        spool.finish(&id(1), outcome(), NOW).unwrap();
        spool.finish(&id(2), outcome(), NOW).unwrap();
        spool.start(&id(3), NOW, NOW).unwrap();
        spool.forget(&id(3), NOW, NOW).unwrap();
        drop(spool);
        let spool = open(NOW);
        let left: Vec<_> = spool
            .left()
            .iter()
            .map(|left| (left.command.index, left.started, left.outcome.is_some()))
            .collect();
        assert_eq!(left, [(0, Some(NOW), false), (1, Some(NOW), true), (2, None, true)]);
        assert!(spool.knows(&id(3)) && spool.is_done(&id(3)) && !spool.is_done(&id(0)));
        drop(spool);
        let spool = open(NOW.plus_secs(REMEMBERED_SECS));
        assert!(!spool.knows(&id(3)));
        assert_eq!(spool.left().len(), 3);
    }

    #[test]
    fn room_is_claimed_and_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 100, NOW).unwrap();
        spool.start(&id(0), NOW, NOW).unwrap();
        std::fs::create_dir(spool.folder_of(&id(0))).unwrap();
        assert_eq!(spool.claim(60), 60);
        std::fs::write(spool.file_of(&id(0), Stream::Stdout), [b'x'; 60]).unwrap();
        assert_eq!(spool.claim(60), 40);
        assert_eq!(spool.claim(1), 0);
        drop(spool);
        let mut spool = Spool::open(folder.path(), 100, NOW).unwrap();
        assert_eq!(spool.claim(60), 40);
        spool.forget(&id(0), NOW, NOW).unwrap();
        assert_eq!(spool.claim(100), 60);
        assert!(!spool.folder_of(&id(0)).exists());
    }
}
