//! What a library is, in plain collections.

use std::collections::{BTreeMap, BTreeSet};

use jumpbag_server::library::sweep::GARBAGE_GRACE_SECS;
use jumpbag_server::odata::Query;
use jumpbag_wire::library::{Cause, DeletedFile, FileVersion, LibraryFile, Usage, VersionState};
use jumpbag_wire::patch::FilePatch;
use jumpbag_wire::time::Timestamp;

use super::steps::{SETTINGS, Settings};
use super::verbs::Said;
use crate::conformance_catalog::random::matching;

pub const DAY: i64 = 24 * 3600;
pub const RETENTION_DAYS: i64 = 7;
pub const MAX_FILE_BYTES: u64 = 1_000_000;

pub struct Model {
    pub now: Timestamp,
    pub settings: Settings,
    /// What was done by each change.
    pub actions: Vec<&'static str>,
    /// Blobs that no row names.
    pub abandoned: u64,
    pub(super) files: Vec<File>,
    pub(super) contents: BTreeMap<String, Kept>,
    /// Since when a blob has been garbage.
    pub(super) garbage: Vec<Timestamp>,
    /// Uploads by caller and key.
    pub(super) retries: BTreeMap<(String, String), Retry>,
}

pub(super) struct File {
    pub id: i64,
    pub created: Timestamp,
    pub created_by: String,
    pub deleted: Option<(Timestamp, String)>,
    /// Why it is held.
    pub held: Option<String>,
    /// By number; the last one is the current one, or was.
    pub versions: BTreeMap<u64, Version>,
}

#[derive(Clone)]
pub(super) struct Version {
    pub name: String,
    pub sha256: String,
    pub size: u64,
    pub said: Said,
    pub cause: Cause,
    pub created: Timestamp,
    pub author: String,
    pub author_id: String,
    pub ended: Option<(VersionState, Timestamp)>,
}

pub(super) struct Kept {
    pub size: u64,
    pub in_blob: bool,
}

pub(super) struct Retry {
    pub sent: (String, String, FilePatch, bool),
    pub answer: LibraryFile,
    pub at: Timestamp,
}

impl File {
    pub fn last(&self) -> (u64, &Version) {
        let (number, version) = self.versions.last_key_value().expect("a file has a version");
        (*number, version)
    }

    pub fn lives_as(&self, name: &str) -> bool {
        self.deleted.is_none() && self.last().1.name.to_lowercase() == name.to_lowercase()
    }

    pub fn entity(&self) -> LibraryFile {
        let (number, version) = self.last();
        let said = version.said.clone();
        LibraryFile {
            file_name: version.name.clone(),
            sha256: version.sha256.clone(),
            description: said.description,
            creation_time: self.created,
            last_updated_time: version.created,
            created_by: self.created_by.clone(),
            has_parameters: said.has_parameters,
            parameters_description: said.parameters_description,
            id: self.id.to_string(),
            size: version.size,
            version: number,
            tags: said.tags,
            platforms: said.platforms,
            category: said.category,
            instructions: said.instructions,
            legal_hold: self.held.is_some(),
        }
    }

    /// All versions, newest first.
    fn shown(&self) -> Vec<FileVersion> {
        let mut shown = Vec::new();
        let mut before: Option<&Version> = None;
        for (number, version) in &self.versions {
            let said = version.said.clone();
            shown.push(FileVersion {
                version: *number,
                file_name: version.name.clone(),
                sha256: version.sha256.clone(),
                size: version.size,
                cause: version.cause,
                changed: before.map_or_else(Vec::new, |before| differences(before, version)),
                creation_time: version.created,
                created_by: version.author.clone(),
                created_by_id: version.author_id.clone(),
                state: version.ended.map_or(VersionState::Current, |(state, _)| state),
                ended_time: version.ended.map(|(_, time)| time),
                description: said.description,
                has_parameters: said.has_parameters,
                parameters_description: said.parameters_description,
                tags: said.tags,
                platforms: said.platforms,
                category: said.category,
                instructions: said.instructions,
            });
            before = Some(version);
        }
        shown.reverse();
        shown
    }
}

fn differences(before: &Version, after: &Version) -> Vec<String> {
    let (b, a) = (&before.said, &after.said);
    let all = [
        ("fileName", before.name != after.name),
        ("sha256", before.sha256 != after.sha256),
        ("description", b.description != a.description),
        ("parametersDescription", b.parameters_description != a.parameters_description),
        ("hasParameters", b.has_parameters != a.has_parameters),
        ("tags", b.tags != a.tags),
        ("platforms", b.platforms != a.platforms),
        ("category", b.category != a.category),
        ("instructions", b.instructions != a.instructions),
    ];
    all.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned()).collect()
}

impl Model {
    pub fn new() -> Model {
        Model {
            now: Timestamp::from_secs(1_767_225_600),
            settings: SETTINGS,
            actions: Vec::new(),
            abandoned: 0,
            files: Vec::new(),
            contents: BTreeMap::new(),
            garbage: Vec::new(),
            retries: BTreeMap::new(),
        }
    }

    /// The number of the last change.
    pub fn change(&self) -> i64 {
        self.actions.len() as i64
    }

    pub fn find(&self, name: &str) -> Option<LibraryFile> {
        self.files.iter().find(|file| file.lives_as(name)).map(File::entity)
    }

    /// The id of a file, mostly of a deleted one, or one that no file has.
    pub fn id(&self, choice: usize) -> String {
        let all = self.files.iter().filter(|file| choice.is_multiple_of(4) || file.deleted.is_some());
        let all: Vec<i64> = all.map(|file| file.id).collect();
        all.get(choice % (all.len() + 1)).map_or_else(|| "77777".to_owned(), i64::to_string)
    }

    /// A file that is held: its name if it lives, or else its id.
    pub fn held(&self, choice: usize) -> Option<Result<String, String>> {
        let held: Vec<&File> = self.files.iter().filter(|file| file.held.is_some()).collect();
        let file = held.get(choice % held.len().max(1))?;
        Some(match file.deleted {
            None => Ok(file.last().1.name.clone()),
            Some(_) => Err(file.id.to_string()),
        })
    }

    pub fn living(&self) -> Vec<LibraryFile> {
        let mut living: Vec<_> =
            self.files.iter().filter(|file| file.deleted.is_none()).map(File::entity).collect();
        living.sort_by_key(|file| file.file_name.to_lowercase());
        living
    }

    /// The page that a query asks for, and how many match in all if that is asked.
    pub fn list(&self, query: &Query) -> (Vec<LibraryFile>, Option<u64>) {
        let found = matching(&self.living(), query);
        let count = query.count.then_some(found.len() as u64);
        let top = query.top.unwrap_or(u64::MAX) as usize;
        (found.into_iter().skip(query.skip as usize).take(top).collect(), count)
    }

    /// Deleted files, the last deleted first.
    pub fn deleted(&self) -> Vec<DeletedFile> {
        let mut deleted: Vec<&File> = self.files.iter().filter(|file| file.deleted.is_some()).collect();
        deleted.sort_by_key(|file| std::cmp::Reverse((file.deleted.as_ref().map(|(at, _)| *at), file.id)));
        let shown = deleted.into_iter().map(|file| {
            let (number, version) = file.last();
            let (at, by) = file.deleted.clone().expect("it is deleted");
            DeletedFile {
                id: file.id.to_string(),
                file_name: version.name.clone(),
                sha256: version.sha256.clone(),
                size: version.size,
                version: number,
                deleted_time: at,
                deleted_by: Some(by),
                expiration_time: file.held.is_none().then(|| at.plus_secs(RETENTION_DAYS * DAY)),
                legal_hold: file.held.is_some(),
                legal_hold_reason: file.held.clone(),
            }
        });
        shown.collect()
    }

    /// All versions of each file that is kept, newest first, by its id and whether it lives.
    pub fn histories(&self) -> Vec<(i64, Option<String>, Vec<FileVersion>)> {
        let living = |file: &File| file.deleted.is_none().then(|| file.last().1.name.clone());
        self.files.iter().map(|file| (file.id, living(file), file.shown())).collect()
    }

    /// How many versions and blobs go.
    pub fn sweep(&mut self) -> (u64, u64) {
        let deleted_since = self.now.plus_secs(-RETENTION_DAYS * DAY);
        let replaced_since =
            self.settings.replaced_retention_days.map(|days| self.now.plus_secs(-days * DAY));
        let before: usize = self.files.iter().map(|file| file.versions.len()).sum();
        self.files.retain(|file| {
            file.held.is_some() || file.deleted.as_ref().is_none_or(|(at, _)| *at >= deleted_since)
        });
        if let Some(since) = replaced_since {
            for file in self.files.iter_mut().filter(|file| file.held.is_none() && file.deleted.is_none()) {
                file.versions.retain(|_, version| {
                    !version.ended.is_some_and(|(state, at)| state == VersionState::Replaced && at < since)
                });
            }
        }
        let after: usize = self.files.iter().map(|file| file.versions.len()).sum();
        self.actions.extend(std::iter::repeat_n("library.expire", before - after));
        self.free();
        let forgotten = self.now.plus_secs(-DAY);
        self.retries.retain(|_, retry| retry.at >= forgotten);
        let before_grace = self.now.plus_secs(-GARBAGE_GRACE_SECS);
        let garbage = self.garbage.len();
        self.garbage.retain(|since| *since >= before_grace);
        ((before - after) as u64, (garbage - self.garbage.len()) as u64)
    }

    /// Contents that no version has any more go, and their blobs are garbage.
    pub(super) fn free(&mut self) {
        let versions = self.files.iter().flat_map(|file| file.versions.values());
        let needed: BTreeSet<&String> = versions.map(|version| &version.sha256).collect();
        let freed = self.contents.keys().filter(|digest| !needed.contains(digest));
        let freed: Vec<String> = freed.cloned().collect();
        for digest in freed {
            if self.contents.remove(&digest).is_some_and(|kept| kept.in_blob) {
                self.garbage.push(self.now);
            }
        }
    }

    /// How many blobs the store has.
    pub fn blobs(&self) -> u64 {
        let owned = self.contents.values().filter(|kept| kept.in_blob).count();
        (owned + self.garbage.len()) as u64 + self.abandoned
    }

    pub fn bytes(&self) -> u64 {
        self.contents.values().map(|kept| kept.size).sum()
    }

    pub fn usage(&self) -> Usage {
        let count = |of: fn(&&File) -> bool| self.files.iter().filter(of).count() as u64;
        let quotas = self.settings.quotas;
        Usage {
            files: count(|file| file.deleted.is_none()),
            max_files: quotas.files,
            bytes: self.bytes(),
            max_bytes: quotas.bytes,
            versions: self.files.iter().map(|file| file.versions.len() as u64).sum(),
            max_versions_per_file: quotas.versions_per_file,
            deleted_files: count(|file| file.deleted.is_some()),
            held_files: count(|file| file.held.is_some()),
            max_file_bytes: MAX_FILE_BYTES,
            retention_days: RETENTION_DAYS as u64,
            replaced_retention_days: self.settings.replaced_retention_days.map(i64::unsigned_abs),
        }
    }

    pub fn digests(&self) -> BTreeSet<String> {
        self.contents.keys().cloned().collect()
    }
}
