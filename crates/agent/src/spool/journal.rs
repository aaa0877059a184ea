//! The journal: one line for each thing that must be known after a restart, in the order it happened.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use jumpbag_wire::agent::{CommandId, Outcome};
use jumpbag_wire::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::disk;
use crate::error::{Context, Error, Result};

/// What is written down. `not_after` says until when the command must be remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Record {
    /// On the disk before the command starts.
    Started {
        command: CommandId,
        time: Timestamp,
        not_after: Timestamp,
    },
    Finished {
        command: CommandId,
        outcome: Outcome,
        not_after: Timestamp,
    },
    /// The server has its end: it is not to be told again, nor to be run again.
    Recorded {
        command: CommandId,
        not_after: Timestamp,
    },
}

pub struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Journal {
    /// Opens the journal, or begins one, and reads what it holds. A last line that was not finished is dropped: what
    /// it tells of had not begun.
    ///
    /// # Errors
    /// When it is damaged in its midst, or cannot be read or written.
    pub fn open(path: &Path) -> Result<(Journal, Vec<Record>)> {
        let failed = || format!("cannot open the journal `{}`", path.display());
        let mut file = disk::private_file()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .context(failed)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).context(failed)?;
        let (records, length) = read(&text).map_err(|line| {
            Error::new(format!(
                "the journal `{}` is damaged in line {line}: what was started is not known. Move the spool folder \
                 away to begin anew; commands that the server still assigns may then run a second time",
                path.display()
            ))
        })?;
        file.set_len(length).context(failed)?;
        file.seek(SeekFrom::Start(length)).context(failed)?;
        file.sync_all().context(failed)?;
        path.parent().map_or(Ok(()), disk::sync_folder).context(failed)?;
        Ok((Journal { path: path.to_owned(), file, length }, records))
    }

    /// Writes a record down. It is on the disk when the file of [`Journal::handle`] is synced.
    ///
    /// # Errors
    /// When it cannot be written; then nothing of it stays.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let failed = || "cannot write to the journal".to_owned();
        let mut line = serde_json::to_vec(record).context(failed)?;
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line) {
            let undone =
                self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
            undone.context(failed)?;
            return Err(error).context(failed);
        }
        self.length += line.len() as u64;
        Ok(())
    }

    /// The file, to sync it.
    ///
    /// # Errors
    /// When the system has no more handles.
    pub fn handle(&self) -> std::io::Result<File> {
        self.file.try_clone()
    }

    /// Bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Leaves only these records.
    ///
    /// # Errors
    /// When the new journal cannot be written: then the old one stays.
    pub fn replace(&mut self, records: &[Record]) -> Result<()> {
        let mut text = Vec::new();
        for record in records {
            serde_json::to_writer(&mut text, record).context(|| "cannot write to the journal".into())?;
            text.push(b'\n');
        }
        // Windows puts nothing in the place of a file that is open. Until the journal is open again, nothing can be
        // written down, and so nothing starts.
        self.file = File::open(NOTHING).context(|| format!("cannot open `{NOTHING}`"))?;
        let written = disk::write_private(&self.path, &text);
        let opened = disk::private_file().write(true).open(&self.path).and_then(|mut file| {
            let length = file.seek(SeekFrom::End(0))?;
            Ok((file, length))
        });
        (self.file, self.length) =
            opened.context(|| format!("cannot open the journal `{}`", self.path.display()))?;
        written
    }
}

/// A file that cannot be written to.
const NOTHING: &str = if cfg!(windows) { "NUL" } else { "/dev/null" };

/// The records and where the last of them ends.
///
/// # Errors
/// The number of the line that is damaged.
pub fn read(text: &[u8]) -> std::result::Result<(Vec<Record>, u64), usize> {
    let mut records = Vec::new();
    let mut length = 0;
    let mut bad = None;
    for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        match serde_json::from_slice(line).ok().filter(|_| line.ends_with(b"\n")) {
            Some(_) if bad.is_some() => return Err(bad.unwrap_or(number)),
            Some(record) => {
                records.push(record);
                length += line.len() as u64;
            }
            None => bad = bad.or(Some(number + 1)),
        }
    }
    Ok((records, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(index: u32) -> Record {
        let command = CommandId { action: "9509426d-490c-4f2b-90b4-4703674be8cf".into(), index };
        Record::Started { command, time: Timestamp::from_secs(1), not_after: Timestamp::from_secs(2) }
    }

    #[test]
    fn what_was_written_is_read_and_a_torn_last_line_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, records) = Journal::open(&path).unwrap();
        assert_eq!(records, []);
        journal.append(&started(0)).unwrap();
        journal.append(&started(1)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let half = whole.len() / 2;
        for end in half..whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            assert_eq!(Journal::open(&path).unwrap().1, [started(0)]);
        }
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.append(&started(2)).unwrap();
        journal.replace(&[started(2)]).unwrap();
        journal.append(&started(3)).unwrap();
        assert_eq!(Journal::open(&path).unwrap().1, [started(2), started(3)]);
    }

    #[test]
    fn damage_before_a_whole_line_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.append(&started(0)).unwrap();
        journal.append(&started(1)).unwrap();
        let mut text = std::fs::read(&path).unwrap();
        text[3] = b'\n';
        std::fs::write(&path, text).unwrap();
        assert!(Journal::open(&path).err().unwrap().to_string().contains("line 1"));
    }
}
