//! What clients asked for, what they were told, and whether the library agrees.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use jumpbag_server::catalog::history::VersionRow;
use jumpbag_wire::library::LibraryFile;

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

    pub fn of_version(version: &VersionRow) -> State {
        State {
            sha256: version.sha256.clone(),
            size: version.size,
            description: version.metadata.description.clone().unwrap_or_default(),
        }
    }
}

/// One change that was asked for, and the moments between which it happened.
#[derive(Debug, Clone)]
struct Change {
    began: u64,
    /// None: in doubt, its answer never came.
    ended: Option<u64>,
    outcome: Option<State>,
}

#[derive(Default)]
pub struct Ledger {
    clock: AtomicU64,
    changes: Mutex<HashMap<String, Vec<Change>>>,
    versions: Mutex<HashMap<String, Vec<State>>>,
    sent: Mutex<HashSet<State>>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    uploads: u64,
    deletes: u64,
    in_doubt: u64,
    happened: u64,
}

impl Ledger {
    /// The next moment: of two moments the earlier is smaller.
    pub fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn note(&self, name: &str, change: Change) {
        let mut changes = self.changes.lock().expect("no client panics inside");
        changes.entry(name.into()).or_insert_with(|| vec![absent()]).push(change);
    }

    pub fn acknowledge(&self, name: &str, began: u64, outcome: Option<State>) {
        let mut counts = self.counts.lock().expect("no client panics inside");
        match &outcome {
            Some(_) => counts.uploads += 1,
            None => counts.deletes += 1,
        }
        drop(counts);
        let ended = Some(self.tick());
        self.note(name, Change { began, ended, outcome });
    }

    pub fn doubt(&self, name: &str, began: u64, outcome: Option<State>) {
        self.counts.lock().expect("no client panics inside").in_doubt += 1;
        let ended = None;
        self.note(name, Change { began, ended, outcome });
    }

    pub fn acknowledge_version(&self, id: &str, state: &State) {
        let mut versions = self.versions.lock().expect("no client panics inside");
        versions.entry(id.into()).or_default().push(state.clone());
    }

    pub fn send(&self, state: &State) {
        self.sent.lock().expect("no client panics inside").insert(state.clone());
    }

    pub fn was_sent(&self, state: &State) -> bool {
        self.sent.lock().expect("no client panics inside").contains(state)
    }

    /// What was acknowledged as a version of each file, by its id.
    pub fn versions(&self) -> HashMap<String, Vec<State>> {
        self.versions.lock().expect("no client panics inside").clone()
    }

    pub fn acknowledged(&self) -> u64 {
        let counts = self.counts.lock().expect("no client panics inside");
        counts.uploads + counts.deletes
    }

    pub fn summary(&self) -> String {
        let counts = self.counts.lock().expect("no client panics inside");
        format!(
            "acknowledged {} uploads and overrides, {} deletes; {} in doubt, of which at least {} happened; lost 0",
            counts.uploads, counts.deletes, counts.in_doubt, counts.happened
        )
    }

    /// Compares with what a server lists that nobody calls any more, and begins anew from there. Panics when something
    /// acknowledged is not there, or something is there that nobody asked for.
    pub fn compare(&self, listed: &[LibraryFile]) {
        let listed: BTreeMap<&str, State> =
            listed.iter().map(|file| (file.file_name.as_str(), State::of(file))).collect();
        let mut changes = self.changes.lock().expect("no client panics inside");
        for name in listed.keys() {
            assert!(changes.contains_key(*name), "nobody uploaded `{name}`");
        }
        for (name, changes) in changes.iter_mut() {
            let found = listed.get(name.as_str()).cloned();
            let last = explains(changes, found.as_ref());
            let Some(last) = last else {
                panic!("`{name}` is {found:?}, which does not follow from {changes:#?}")
            };
            if last.ended.is_none() {
                self.counts.lock().expect("no client panics inside").happened += 1;
            }
            *changes = vec![Change { outcome: found, ..absent() }];
        }
    }
}

/// Before anything else a name is not there.
fn absent() -> Change {
    Change { began: 0, ended: Some(0), outcome: None }
}

/// A change that may have been the last one to happen and left what was found; none when that is impossible.
fn explains<'a>(changes: &'a [Change], found: Option<&State>) -> Option<&'a Change> {
    // Nothing acknowledged began after it had ended.
    let may_be_last = |change: &&Change| {
        let ended = change.ended.unwrap_or(u64::MAX);
        !changes.iter().any(|other| other.ended.is_some() && other.began > ended)
    };
    let left = changes.iter().filter(|change| change.outcome.as_ref() == found);
    left.filter(may_be_last).max_by_key(|change| change.ended.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(began: u64, ended: Option<u64>, outcome: &str) -> Change {
        let outcome = (!outcome.is_empty()).then(|| state(outcome));
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
