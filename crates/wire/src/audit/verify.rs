//! Whether an audit log is whole: reads it from its first entry on and stops at the first that cannot have been written
//! there. Memory does not grow with the log.

use std::collections::VecDeque;
use std::fmt;

use serde_json::Value;

use super::{AuditEntry, FIRST, RESTORE};
use crate::note::{CheckEd25519, Checkpoint, NoteError, PublicKey};

/// Where a log is not what was written, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The first bad entry: all before it are good, as far as the chain and the checkpoints tell.
    pub first: i64,
    /// Where it is not known which one: the first bad entry is none after this one.
    pub last: i64,
    pub why: String,
}

impl Fault {
    pub fn at(number: i64, why: impl Into<String>) -> Fault {
        Fault { first: number, last: number, why: why.into() }
    }

    pub fn within(first: i64, last: i64, why: impl Into<String>) -> Fault {
        Fault { first, last: last.max(first), why: why.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "entry {}: {}", self.first, self.why)
        } else {
            write!(f, "entries {} to {}: {}", self.first, self.last, self.why)
        }
    }
}

/// What was found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub entries: u64,
    /// Checkpoints in the log itself.
    pub checkpoints: u64,
    /// The last entry's number, and its hash.
    pub last: i64,
    pub head: String,
    /// The last entry that a checkpoint covers.
    pub sealed: i64,
}

/// Takes a log, entry by entry, with the checkpoints in their places.
#[derive(Clone)]
pub struct Verifier {
    keys: Vec<PublicKey>,
    check: CheckEd25519,
    /// Checkpoints that were kept elsewhere, by number, as far as their entry is still to come.
    kept: VecDeque<Checkpoint>,
    /// The hash of the entry before the last.
    before: String,
    /// The entry that the log's last checkpoint covers.
    counted: Option<i64>,
    done: Verified,
}

impl Verifier {
    /// `keys` are those whose checkpoints count.
    pub fn new(keys: Vec<PublicKey>, check: CheckEd25519) -> Verifier {
        let done = Verified { entries: 0, checkpoints: 0, last: 0, head: FIRST.into(), sealed: 0 };
        Verifier { keys, check, kept: VecDeque::new(), before: String::new(), counted: None, done }
    }

    /// Asks that the log still be one that this checkpoint covers: one that was kept where nobody who can change the log
    /// can change it. To be called before the first entry. A `\n` written as two characters is the end of a line.
    ///
    /// # Errors
    /// When it is none by the log's keys.
    pub fn keep(&mut self, note: &str) -> Result<(), NoteError> {
        let note = note.replace("\\n", "\n");
        let note = format!("{}\n", note.trim_matches(|c: char| c.is_whitespace() || c == '"'));
        let checkpoint = Checkpoint::open(&note, &self.keys, self.check)?;
        let place = self.kept.partition_point(|other| other.number <= checkpoint.number);
        self.kept.insert(place, checkpoint);
        Ok(())
    }

    /// What was found good so far.
    pub fn so_far(&self) -> &Verified {
        &self.done
    }

    /// A line of an export: an entry, or `{"checkpoint": "…"}`.
    ///
    /// # Errors
    /// The first fault of the log.
    pub fn line(&mut self, line: &str) -> Result<(), Fault> {
        let broken = |e: serde_json::Error| self.broken(format!("no entry and no checkpoint: {e}"));
        let value: Value = serde_json::from_str(line).map_err(broken)?;
        if let Some(object) = value.as_object().filter(|object| object.contains_key("checkpoint")) {
            return match (object.len(), &object["checkpoint"]) {
                (1, Value::String(note)) => self.checkpoint(note),
                _ => Err(self.broken("no checkpoint: that is a text, and alone")),
            };
        }
        // From the text, which tells where a name is there twice.
        let entry: AuditEntry = serde_json::from_str(line).map_err(broken)?;
        // The hash is that of the one way to write an entry.
        if serde_json::to_value(&entry).ok().as_ref() != Some(&value) {
            let number = entry.number.min(self.next());
            return Err(Fault::at(number, "its line was altered: it is not written as it is exported"));
        }
        self.entry(&entry)
    }

    /// A line that may be an entry or a checkpoint.
    fn broken(&self, what: impl fmt::Display) -> Fault {
        let why = format!("the line behind {} is {what}", self.place());
        Fault::within(self.done.last.max(1), self.next(), why)
    }

    /// The next entry.
    ///
    /// # Errors
    /// The first fault of the log.
    pub fn entry(&mut self, entry: &AuditEntry) -> Result<(), Fault> {
        let hash = entry.expected_hash();
        let sound = entry.hash == hash;
        // Behind a gap it may be the number that is not true.
        let next = self.next().min(entry.number);
        let altered = || {
            let why =
                format!("altered: entry {} has the hash {}, its content {hash}", entry.number, entry.hash);
            Fault::within(next, entry.number, why)
        };
        self.numbered(entry, sound).map_err(|fault| fault.unwrap_or_else(altered))?;
        self.follows(entry, sound).map_err(|fault| fault.unwrap_or_else(altered))?;
        if !sound {
            return Err(altered());
        }
        let kept = self.kept(entry);
        if kept.is_ok() {
            self.before = std::mem::replace(&mut self.done.head, hash);
            self.done.last = entry.number;
            self.done.entries += 1;
        }
        kept
    }

    /// Numbers are in order and without gaps, but for those that a restore explains. `None`: the entry was altered.
    fn numbered(&self, entry: &AuditEntry, sound: bool) -> Result<(), Option<Fault>> {
        let (number, last) = (entry.number, self.done.last);
        if number <= last {
            let why = format!("repeated, moved or inserted: it stands behind entry {last}");
            return Err(Some(Fault::at(number, why)));
        }
        if number == self.next() {
            return Ok(());
        }
        let restored = if entry.action == RESTORE { restored_at(entry) } else { None };
        match restored {
            Some(at) if at == last => Ok(()),
            Some(at) if at < last && sound => {
                let why = format!("inserted: entry {number} continues a backup that ends with entry {at}");
                Err(Some(Fault::within(at.saturating_add(1), last, why)))
            }
            // The chain has no gap here.
            _ if entry.previous == self.done.head => Err(self.leaps(entry, sound)),
            _ => {
                let why = format!("missing: entry {number} stands behind {}", self.place());
                Err(Some(Fault::within(self.next(), number - i64::from(sound), why)))
            }
        }
    }

    /// A gap in the numbers of entries that name each other.
    fn leaps(&self, entry: &AuditEntry, sound: bool) -> Option<Fault> {
        let (number, next) = (entry.number, self.next());
        if sound {
            let why = format!(
                "missing or forged: entry {number} follows {}, and no restore tells why",
                self.place()
            );
            return Some(Fault::within(next, number, why));
        }
        let numbered = AuditEntry { number: next, ..entry.clone() };
        let moved = numbered.expected_hash() == entry.hash;
        moved.then(|| Fault::at(next, format!("altered: its number is {number} now")))
    }

    /// The entry names the hash of the one before it. `None`: the entry was altered.
    fn follows(&self, entry: &AuditEntry, sound: bool) -> Result<(), Option<Fault>> {
        let (number, last) = (entry.number, self.done.last);
        if entry.previous == self.done.head {
            return Ok(());
        }
        if self.done.entries > 0 && entry.previous == self.before {
            let why = format!("inserted: entries {last} and {number} name the same predecessor");
            return Err(Some(Fault::within(last, number, why)));
        }
        if !sound {
            return Err(None);
        }
        if self.done.entries == 0 {
            return Err(Some(Fault::at(
                number,
                format!("it is the first and names a predecessor: {}", entry.previous),
            )));
        }
        let why = format!(
            "replaced: it has the hash {}, and entry {number} names {} as its predecessor's",
            self.done.head, entry.previous
        );
        Err(Some(Fault::at(last, why)))
    }

    /// Checkpoints kept elsewhere that cover entries up to this one.
    fn kept(&mut self, entry: &AuditEntry) -> Result<(), Fault> {
        while let Some(checkpoint) = self.kept.pop_front_if(|checkpoint| checkpoint.number <= entry.number) {
            if checkpoint.number < entry.number {
                return Err(self.beyond(&checkpoint));
            }
            self.covered(&checkpoint, entry.number, &entry.hash)?;
        }
        Ok(())
    }

    /// A checkpoint that stands behind the entry it covers.
    ///
    /// # Errors
    /// The first fault of the log.
    pub fn checkpoint(&mut self, note: &str) -> Result<(), Fault> {
        let (last, head) = (self.done.last, self.done.head.clone());
        let checkpoint = Checkpoint::open(note, &self.keys, self.check)
            .map_err(|e| Fault::at(last, format!("the checkpoint behind it does not count: {e}")))?;
        if checkpoint.number > last {
            return Err(self.beyond(&checkpoint));
        }
        if checkpoint.number < last {
            let why = format!("its checkpoint stands behind entry {last}");
            return Err(Fault::at(checkpoint.number, why));
        }
        self.covered(&checkpoint, last, &head)?;
        // Exports that follow each other both have the one between them.
        if self.counted.replace(last) != Some(last) {
            self.done.checkpoints += 1;
        }
        Ok(())
    }

    fn covered(&mut self, checkpoint: &Checkpoint, number: i64, head: &str) -> Result<(), Fault> {
        if checkpoint.head != head {
            let why = format!(
                "rewritten: a checkpoint says that entry {number} has the hash {}, here it has {head}",
                checkpoint.head
            );
            return Err(Fault::within(self.done.sealed.saturating_add(1).min(number), number, why));
        }
        self.done.sealed = number;
        Ok(())
    }

    fn beyond(&self, checkpoint: &Checkpoint) -> Fault {
        let why = format!(
            "missing: a checkpoint covers entry {}, and what comes before is {}",
            checkpoint.number,
            self.place()
        );
        Fault::within(self.next(), checkpoint.number, why)
    }

    /// The log ends here.
    ///
    /// # Errors
    /// When a checkpoint that was kept covers more.
    pub fn finish(self) -> Result<Verified, Fault> {
        match self.kept.front() {
            Some(checkpoint) => Err(self.beyond(checkpoint)),
            None => Ok(self.done),
        }
    }

    fn next(&self) -> i64 {
        self.done.last.saturating_add(1)
    }

    fn place(&self) -> String {
        match self.done.entries {
            0 => "nothing".into(),
            _ => format!("entry {}", self.done.last),
        }
    }
}

/// The last entry of the backup that was restored.
fn restored_at(entry: &AuditEntry) -> Option<i64> {
    entry.before.as_ref()?.get("number")?.as_i64()
}

#[cfg(test)]
mod tests;
