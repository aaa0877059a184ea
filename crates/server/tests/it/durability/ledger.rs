//! What clients asked for, what they were told, and whether the library agrees.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use jumpbag_server::catalog::history::VersionRow;
use jumpbag_wire::library::{FileVersion, LibraryFile};

use super::clients::Keyed;

/// What tells one upload from all others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub sha256: String,
    pub size: u64,
    pub description: String,
}

impl State {
    pub fn of(file: &LibraryFile) -> State {
        State {
            sha256: file.sha256.clone(),
            size: file.size,
            description: file.description.clone().unwrap_or_default(),
        }
    }

    pub fn of_version(version: &FileVersion) -> State {
        State {
            sha256: version.sha256.clone(),
            size: version.size,
            description: version.description.clone().unwrap_or_default(),
        }
    }

    pub fn of_row(version: &VersionRow) -> State {
        State {
            sha256: version.sha256.clone(),
            size: version.size,
            description: version.metadata.description.clone().unwrap_or_default(),
        }
    }
}

/// What a change leaves under a name.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Gone,
    Is(State),
    /// A file, in a state that its client did not see.
    Anything,
}

impl Outcome {
    fn explains(&self, found: Option<&State>) -> bool {
        match self {
            Outcome::Gone => found.is_none(),
            Outcome::Is(state) => found == Some(state),
            Outcome::Anything => found.is_some(),
        }
    }
}

/// One change that was asked for, and the moments between which it happened.
#[derive(Debug, Clone)]
struct Change {
    began: u64,
    /// None: in doubt, its answer never came.
    ended: Option<u64>,
    outcome: Outcome,
}

#[derive(Default)]
pub struct Ledger {
    clock: AtomicU64,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    changes: HashMap<String, Vec<Change>>,
    /// What was acknowledged as a version, by its file's id and its number.
    versions: BTreeMap<String, BTreeMap<u64, State>>,
    sent: HashSet<State>,
    /// Files that are purged for certain, or perhaps.
    purged: BTreeMap<String, bool>,
    again: Vec<Keyed>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    made: u64,
    deletes: u64,
    purges: u64,
    in_doubt: u64,
    happened: u64,
    sent_again: u64,
}

impl Ledger {
    /// The next moment: of two moments the earlier is smaller.
    pub fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("no client panics inside")
    }

    pub fn acknowledge(&self, name: &str, began: u64, outcome: Outcome) {
        let ended = Some(self.tick());
        let mut books = self.books();
        match &outcome {
            Outcome::Gone => books.counts.deletes += 1,
            _ => books.counts.made += 1,
        }
        books.note(name, Change { began, ended, outcome });
    }

    pub fn doubt(&self, name: &str, began: u64, outcome: Outcome) {
        let mut books = self.books();
        books.counts.in_doubt += 1;
        books.note(name, Change { began, ended: None, outcome });
    }

    pub fn acknowledge_version(&self, file: &LibraryFile) {
        let mut books = self.books();
        let versions = books.versions.entry(file.id.clone()).or_default();
        let before = versions.insert(file.version, State::of(file));
        assert!(before.is_none_or(|before| before == State::of(file)), "two versions are {file:?}");
    }

    pub fn send(&self, state: &State) {
        self.books().sent.insert(state.clone());
    }

    pub fn was_sent(&self, state: &State) -> bool {
        self.books().sent.contains(state)
    }

    /// A file is purged; in doubt when no answer came.
    pub fn purge(&self, id: &str, acknowledged: Option<()>) {
        let mut books = self.books();
        match acknowledged {
            Some(()) => books.counts.purges += 1,
            None => books.counts.in_doubt += 1,
        }
        *books.purged.entry(id.to_owned()).or_default() |= acknowledged.is_some();
    }

    /// Whether a file was purged; `None`: perhaps.
    pub fn was_purged(&self, id: &str) -> Option<bool> {
        match self.books().purged.get(id) {
            None => Some(false),
            Some(true) => Some(true),
            Some(false) => None,
        }
    }

    pub fn send_again_later(&self, upload: Keyed) {
        self.books().again.push(upload);
    }

    /// Uploads that nobody answered.
    pub fn to_send_again(&self) -> Vec<Keyed> {
        let mut books = self.books();
        let again = std::mem::take(&mut books.again);
        books.counts.sent_again += again.len() as u64;
        again
    }

    /// What was acknowledged as a version, by its file's id and its number.
    pub fn versions(&self) -> BTreeMap<String, BTreeMap<u64, State>> {
        self.books().versions.clone()
    }

    /// Files of which something is known.
    pub fn files(&self) -> BTreeSet<String> {
        let books = self.books();
        books.versions.keys().chain(books.purged.keys()).cloned().collect()
    }

    pub fn acknowledged(&self) -> u64 {
        let books = self.books();
        books.counts.made + books.counts.deletes + books.counts.purges
    }

    pub fn summary(&self) -> String {
        let Counts { made, deletes, purges, in_doubt, happened, sent_again } = self.books().counts;
        format!(
            "acknowledged {made} versions, {deletes} deletes, {purges} purges; {in_doubt} in doubt, of which at least \
             {happened} happened and {sent_again} uploads were sent again; lost 0"
        )
    }

    /// Compares with what a server lists that nobody calls any more, and begins anew from there. Panics when something
    /// acknowledged is not there, or something is there that nobody asked for.
    pub fn compare(&self, listed: &[LibraryFile]) {
        let listed: BTreeMap<&str, State> =
            listed.iter().map(|file| (file.file_name.as_str(), State::of(file))).collect();
        let mut books = self.books();
        let Books { changes, counts, sent, .. } = &mut *books;
        for (name, state) in &listed {
            assert!(changes.contains_key(*name), "nobody uploaded `{name}`");
            assert!(sent.contains(state), "nobody sent {state:?}");
        }
        for (name, changes) in changes.iter_mut() {
            let found = listed.get(name.as_str()).cloned();
            let last = explains(changes, found.as_ref());
            let Some(last) = last else {
                panic!("`{name}` is {found:?}, which does not follow from {changes:#?}")
            };
            if last.ended.is_none() {
                counts.happened += 1;
            }
            *changes = vec![Change { outcome: found.map_or(Outcome::Gone, Outcome::Is), ..absent() }];
        }
    }
}

impl Books {
    fn note(&mut self, name: &str, change: Change) {
        self.changes.entry(name.into()).or_insert_with(|| vec![absent()]).push(change);
    }
}

/// Before anything else a name is not there.
fn absent() -> Change {
    Change { began: 0, ended: Some(0), outcome: Outcome::Gone }
}

/// A change that may have been the last one to happen and left what was found; none when that is impossible.
fn explains<'a>(changes: &'a [Change], found: Option<&State>) -> Option<&'a Change> {
    // Nothing acknowledged began after it had ended.
    let may_be_last = |change: &&Change| {
        let ended = change.ended.unwrap_or(u64::MAX);
        !changes.iter().any(|other| other.ended.is_some() && other.began > ended)
    };
    let left = changes.iter().filter(|change| change.outcome.explains(found));
    left.filter(may_be_last).max_by_key(|change| change.ended.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(began: u64, ended: Option<u64>, outcome: &str) -> Change {
        let outcome = if outcome.is_empty() { Outcome::Gone } else { Outcome::Is(state(outcome)) };
        Change { began, ended, outcome }
    }

    fn state(text: &str) -> State {
        State { sha256: text.into(), size: 1, description: String::new() }
    }

    #[test]
    fn only_what_may_have_come_last_explains_what_is_found() {
        let cases: [(&[Change], &str, bool); 12] = [
            (&[change(1, Some(2), "a")], "a", true),
            (&[change(1, Some(2), "a")], "", false),
            (&[change(1, Some(2), "a")], "b", false),
            // One after the other, or both at once.
            (&[change(1, Some(2), "a"), change(3, Some(4), "b")], "a", false),
            (&[change(1, Some(3), "a"), change(2, Some(4), "b")], "a", true),
            (&[change(1, Some(2), "a"), change(3, Some(4), "")], "", true),
            (&[change(1, Some(2), "a"), change(3, Some(4), "")], "a", false),
            // In doubt: before or after.
            (&[change(1, Some(2), "a"), change(3, None, "b")], "a", true),
            (&[change(1, Some(2), "a"), change(3, None, "b")], "b", true),
            (&[change(1, None, "a")], "", true),
            (&[], "", true),
            (&[change(1, None, "b"), change(2, Some(3), "a")], "", false),
        ];
        for (number, (changes, found, explained)) in cases.into_iter().enumerate() {
            let found = (!found.is_empty()).then(|| state(found));
            let changes = [&[absent()], changes].concat();
            assert_eq!(explains(&changes, found.as_ref()).is_some(), explained, "case {number}");
        }
    }
}
