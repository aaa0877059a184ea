//! What a library is, in plain collections.

use std::collections::{BTreeMap, BTreeSet};

use jumpbag_server::library::sweep::GARBAGE_GRACE_SECS;
use jumpbag_server::odata::Query;
use jumpbag_wire::library::LibraryFile;
use jumpbag_wire::time::Timestamp;

use crate::conformance_catalog::random::matching;

pub const SECS_PER_DAY: i64 = 24 * 3600;
pub const RETENTION: i64 = 7 * SECS_PER_DAY;

pub struct Model {
    pub now: Timestamp,
    /// Bytes up to this many are in rows.
    pub small: usize,
    pub change: i64,
    /// Blobs that no row names.
    pub abandoned: u64,
    files: Vec<File>,
    contents: BTreeMap<String, Kept>,
    /// Since when a blob has been garbage.
    garbage: Vec<Timestamp>,
}

struct File {
    id: Option<String>,
    deleted: Option<Timestamp>,
    versions: Vec<LibraryFile>,
}

struct Kept {
    size: u64,
    in_blob: bool,
}

pub struct Uploaded {
    pub name: String,
    pub sha256: String,
    pub size: usize,
    pub description: Option<String>,
    pub parameters: Option<String>,
    pub has_parameters: Option<bool>,
    pub actor: String,
    pub replace: bool,
}

impl File {
    fn current(&self) -> &LibraryFile {
        self.versions.last().expect("a file has a version")
    }

    fn lives_as(&self, name: &str) -> bool {
        self.deleted.is_none() && self.current().file_name.to_lowercase() == name.to_lowercase()
    }
}

impl Model {
    pub fn new(small: usize) -> Model {
        Model {
            now: Timestamp::from_secs(1_767_225_600),
            small,
            change: 0,
            abandoned: 0,
            files: Vec::new(),
            contents: BTreeMap::new(),
            garbage: Vec::new(),
        }
    }

    fn living(&mut self, name: &str) -> Option<&mut File> {
        self.files.iter_mut().find(|file| file.lives_as(name))
    }

    /// The new entity, whose id is not known yet when the name is new; `None` when the name is taken.
    pub fn upload(&mut self, upload: Uploaded) -> Option<LibraryFile> {
        let now = self.now;
        let mut entity = LibraryFile {
            file_name: upload.name,
            sha256: upload.sha256,
            description: upload.description,
            creation_time: now,
            last_updated_time: now,
            created_by: upload.actor,
            has_parameters: upload.has_parameters.unwrap_or(upload.parameters.is_some()),
            parameters_description: upload.parameters,
            id: String::new(),
            size: upload.size as u64,
            version: 1,
            tags: Vec::new(),
            platforms: Vec::new(),
            category: None,
            instructions: None,
            legal_hold: false,
        };
        match self.living(&entity.file_name.clone()) {
            Some(_) if !upload.replace => return None,
            Some(file) => {
                let first = file.current();
                entity.creation_time = first.creation_time;
                entity.created_by.clone_from(&first.created_by);
                entity.id.clone_from(&first.id);
                entity.version = first.version + 1;
                file.versions.push(entity.clone());
            }
            None => self.files.push(File { id: None, deleted: None, versions: vec![entity.clone()] }),
        }
        self.change += 1;
        let kept = Kept { size: entity.size, in_blob: upload.size > self.small };
        // The newest copy of the bytes is the one that is kept.
        if self.contents.insert(entity.sha256.clone(), kept).is_some_and(|before| before.in_blob) {
            self.garbage.push(now);
        }
        Some(entity)
    }

    /// Takes the id that a new file was given, which must be one of its own; the id that its entity has to have.
    pub fn learn_id(&mut self, name: &str, id: &str) -> String {
        let used = self.files.iter().any(|file| file.id.as_deref() == Some(id));
        let file = self.living(name).expect("it was uploaded");
        if file.id.is_none() {
            assert!(!used, "the id `{id}` is used twice");
            file.id = Some(id.to_owned());
            file.versions[0].id = id.to_owned();
        }
        file.current().id.clone()
    }

    pub fn delete(&mut self, name: &str) -> bool {
        let now = self.now;
        let Some(file) = self.living(name) else {
            return false;
        };
        file.deleted = Some(now);
        self.change += 1;
        true
    }

    pub fn find(&self, name: &str) -> Option<&LibraryFile> {
        self.files.iter().find(|file| file.lives_as(name)).map(File::current)
    }

    /// The page that a query asks for, and how many match in all if that is asked.
    pub fn list(&self, query: &Query) -> (Vec<LibraryFile>, Option<u64>) {
        let living: Vec<LibraryFile> = self
            .files
            .iter()
            .filter(|file| file.deleted.is_none())
            .map(|file| file.current().clone())
            .collect();
        let found = matching(&living, query);
        let count = query.count.then_some(found.len() as u64);
        let top = query.top.unwrap_or(u64::MAX) as usize;
        (found.into_iter().skip(query.skip as usize).take(top).collect(), count)
    }

    /// How many versions and blobs go.
    pub fn sweep(&mut self) -> (u64, u64) {
        let before = self.now.plus_secs(-RETENTION);
        let (expired, kept): (Vec<File>, Vec<File>) = std::mem::take(&mut self.files)
            .into_iter()
            .partition(|file| file.deleted.is_some_and(|at| at < before));
        self.files = kept;
        let needed: BTreeSet<&String> =
            self.files.iter().flat_map(|file| &file.versions).map(|v| &v.sha256).collect();
        let freed = self.contents.iter().filter(|(digest, _)| !needed.contains(digest));
        let freed: Vec<String> = freed.map(|(digest, _)| digest.clone()).collect();
        for digest in freed {
            if self.contents.remove(&digest).is_some_and(|kept| kept.in_blob) {
                self.garbage.push(self.now);
            }
        }
        let before = self.now.plus_secs(-GARBAGE_GRACE_SECS);
        let garbage = self.garbage.len();
        self.garbage.retain(|since| *since >= before);
        let versions: usize = expired.iter().map(|file| file.versions.len()).sum();
        self.change += versions as i64;
        (versions as u64, (garbage - self.garbage.len()) as u64)
    }

    /// How many blobs the store has.
    pub fn blobs(&self) -> u64 {
        let owned = self.contents.values().filter(|kept| kept.in_blob).count();
        (owned + self.garbage.len()) as u64 + self.abandoned
    }

    pub fn usage(&self) -> (u64, u64) {
        let living = self.files.iter().filter(|file| file.deleted.is_none()).count();
        (living as u64, self.contents.values().map(|kept| kept.size).sum())
    }

    pub fn digests(&self) -> BTreeSet<String> {
        self.contents.keys().cloned().collect()
    }

    pub fn ids(&self) -> Vec<String> {
        self.files.iter().filter_map(|file| file.id.clone()).collect()
    }

    /// Every version that is kept, by its file's id and its number.
    pub fn versions(&self) -> BTreeMap<(String, i64), (String, Option<String>)> {
        let numbered = |file: &File| {
            let id = file.id.clone().unwrap_or_default();
            let versions = (1..).zip(file.versions.iter().map(|v| (v.sha256.clone(), v.description.clone())));
            versions.map(move |(number, version)| ((id.clone(), number), version)).collect::<Vec<_>>()
        };
        self.files.iter().flat_map(numbered).collect()
    }
}
