//! What can be done with a library, and why not: the rules once more, over plain collections.

use jumpbag_server::error::Error;
use jumpbag_server::library::expect::Expect;
use jumpbag_wire::library::{Cause, LibraryFile, VersionState};
use jumpbag_wire::patch::{Edit, FilePatch};

use super::plain::{File, Kept, Model, Retry, Version};
use super::steps::Expected;

/// What people say about a file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Said {
    pub description: Option<String>,
    pub parameters_description: Option<String>,
    pub has_parameters: bool,
    pub tags: Vec<String>,
    pub platforms: Vec<String>,
    pub category: Option<String>,
    pub instructions: Option<String>,
}

impl Said {
    fn patched(&self, patch: FilePatch) -> Said {
        fn optional(before: &Option<String>, edit: Edit<String>) -> Option<String> {
            match edit {
                Edit::Keep => before.clone(),
                Edit::Clear => None,
                Edit::Set(text) => Some(text),
            }
        }
        fn list(before: &[String], edit: Edit<Vec<String>>) -> Vec<String> {
            match edit {
                Edit::Keep => before.to_vec(),
                Edit::Clear => Vec::new(),
                Edit::Set(names) => names,
            }
        }
        let parameters_description = optional(&self.parameters_description, patch.parameters_description);
        Said {
            description: optional(&self.description, patch.description),
            has_parameters: match patch.has_parameters {
                Edit::Keep => self.has_parameters,
                Edit::Clear => parameters_description.is_some(),
                Edit::Set(flag) => flag,
            },
            parameters_description,
            tags: list(&self.tags, patch.tags),
            platforms: list(&self.platforms, patch.platforms),
            category: optional(&self.category, patch.category),
            instructions: optional(&self.instructions, patch.instructions),
        }
    }
}

/// Why something is not done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Refusal {
    Exists,
    Unexpected,
    TooManyFiles,
    TooManyBytes,
    TooManyVersions,
    KeyUsed,
    Absent,
    NoVersion,
    IsCurrent,
    NotKept,
    NameTaken,
    Held,
    NotHeld,
}

impl Refusal {
    /// Whether the library says so as well.
    pub fn fits(self, error: &Error) -> bool {
        let (invalid, missing) = match error {
            Error::InvalidInput(why) => (why.as_str(), ""),
            Error::NotFound(why) => ("", why.as_str()),
            _ => ("", ""),
        };
        match self {
            Refusal::Unexpected => matches!(error, Error::PreconditionFailed(_)),
            Refusal::Exists => invalid.contains("already exists. Set OverrideIfExists"),
            Refusal::TooManyFiles => invalid.contains("`max_files`"),
            Refusal::TooManyBytes => invalid.contains("`max_library_bytes`"),
            Refusal::TooManyVersions => invalid.contains("`max_versions_per_file`"),
            Refusal::KeyUsed => invalid.contains("`Idempotency-Key`"),
            Refusal::IsCurrent => invalid.contains("is the current one"),
            Refusal::NameTaken => invalid.contains("already exists: delete it first"),
            Refusal::Held => invalid.contains("is under a legal hold ("),
            Refusal::NotHeld => invalid.contains("is not under a legal hold"),
            Refusal::Absent => missing.starts_with("Library file "),
            Refusal::NoVersion => missing.starts_with("version "),
            Refusal::NotKept => missing.starts_with("no deleted file"),
        }
    }
}

pub struct Uploaded {
    pub name: String,
    pub sha256: String,
    pub size: usize,
    pub patch: FilePatch,
    pub actor: Who,
    pub replace: bool,
    pub expect: Expect,
    pub key: Option<String>,
}

#[derive(Clone)]
pub struct Who {
    pub name: String,
    pub id: String,
}

type Outcome<T> = Result<T, Refusal>;

impl Model {
    fn living_index(&self, name: &str) -> Option<usize> {
        self.files.iter().position(|file| file.lives_as(name))
    }

    fn deleted_index(&self, id: &str) -> Outcome<usize> {
        let found = self.files.iter().position(|file| file.deleted.is_some() && file.id.to_string() == id);
        found.ok_or(Refusal::NotKept)
    }

    fn tag(file: &File) -> String {
        let held = if file.held.is_some() { "-held" } else { "" };
        format!("{}-{}{held}", file.id, file.last().0)
    }

    /// What a request says that expects this.
    pub fn expect(&self, name: &str, expected: Expected) -> Expect {
        let file = self.living_index(name).map(|index| &self.files[index]);
        let tag = |of: fn(&File) -> String| Expect::OneOf(vec!["x".into(), file.map_or("y".into(), of)]);
        match expected {
            Expected::Anything => Expect::Anything,
            Expected::Absent => Expect::Absent,
            Expected::Present => Expect::Present,
            Expected::Tag => tag(Model::tag),
            Expected::Digest => tag(|file| file.last().1.sha256.clone()),
            Expected::OldTag => tag(|file| format!("{}-{}", file.id, file.last().0 - 1)),
        }
    }

    fn meets(&self, file: Option<usize>, expect: &Expect) -> Outcome<()> {
        let fits = match (expect, file) {
            (Expect::Anything, _) => true,
            (Expect::Absent, file) => file.is_none(),
            (Expect::Present, file) => file.is_some(),
            (Expect::OneOf(_), None) => false,
            (Expect::OneOf(tags), Some(index)) => {
                let file = &self.files[index];
                tags.contains(&Model::tag(file)) || tags.contains(&file.last().1.sha256)
            }
        };
        if fits { Ok(()) } else { Err(Refusal::Unexpected) }
    }

    fn has_room(&self, index: usize) -> Outcome<()> {
        let versions = self.files[index].versions.len() as u64;
        let full = self.settings.quotas.versions_per_file.is_some_and(|max| versions >= max);
        if full { Err(Refusal::TooManyVersions) } else { Ok(()) }
    }

    fn may_live(&self) -> Outcome<()> {
        let living = self.files.iter().filter(|file| file.deleted.is_none()).count() as u64;
        let full = self.settings.quotas.files.is_some_and(|max| living >= max);
        if full { Err(Refusal::TooManyFiles) } else { Ok(()) }
    }

    /// The change is made: a file has its next version.
    fn succeed(&mut self, index: usize, action: &'static str, version: Version) -> LibraryFile {
        let now = self.now;
        let file = &mut self.files[index];
        let number = file.last().0;
        let last = file.versions.get_mut(&number).expect("a file has a version");
        if last.ended.is_none() {
            last.ended = Some((VersionState::Replaced, now));
        }
        file.versions.insert(number + 1, version);
        self.actions.push(action);
        self.files[index].entity()
    }

    pub fn upload(&mut self, upload: Uploaded) -> Outcome<LibraryFile> {
        let sent = (upload.name.clone(), upload.sha256.clone(), upload.patch.clone(), upload.replace);
        let key = upload.key.clone().map(|key| (upload.actor.name.clone(), key));
        if let Some(known) = key.as_ref().and_then(|key| self.retries.get(key)) {
            return if known.sent == sent { Ok(known.answer.clone()) } else { Err(Refusal::KeyUsed) };
        }
        let index = self.living_index(&upload.name);
        self.meets(index, &upload.expect)?;
        let before = match index {
            None => {
                self.may_live()?;
                Said::default()
            }
            Some(_) if !upload.replace => return Err(Refusal::Exists),
            Some(index) => {
                self.has_room(index)?;
                self.files[index].last().1.said.clone()
            }
        };
        let size = upload.size as u64;
        let is_new = !self.contents.contains_key(&upload.sha256);
        if is_new && self.settings.quotas.bytes.is_some_and(|max| self.bytes() + size > max) {
            return Err(Refusal::TooManyBytes);
        }
        // The newest copy of the bytes is the one that is kept.
        let kept = Kept { size, in_blob: upload.size > self.settings.small };
        if self.contents.insert(upload.sha256.clone(), kept).is_some_and(|before| before.in_blob) {
            self.garbage.push(self.now);
        }
        let version = Version {
            name: upload.name,
            sha256: upload.sha256,
            size,
            said: before.patched(upload.patch),
            cause: if index.is_some() { Cause::Overridden } else { Cause::Uploaded },
            created: self.now,
            author: upload.actor.name.clone(),
            author_id: upload.actor.id,
            ended: None,
        };
        let entity = match index {
            Some(index) => self.succeed(index, "library.override", version),
            None => self.enter(version, upload.actor.name),
        };
        if let Some(key) = key {
            self.retries.insert(key, Retry { sent, answer: entity.clone(), at: self.now });
        }
        Ok(entity)
    }

    fn enter(&mut self, version: Version, created_by: String) -> LibraryFile {
        self.actions.push("library.upload");
        self.files.push(File {
            // A file's id is the number of the change that made it.
            id: self.change(),
            created: self.now,
            created_by,
            deleted: None,
            held: None,
            versions: [(1, version)].into(),
        });
        self.files[self.files.len() - 1].entity()
    }

    pub fn edit(&mut self, name: &str, patch: FilePatch, expect: &Expect, who: Who) -> Outcome<LibraryFile> {
        let index = self.living_index(name).ok_or(Refusal::Absent)?;
        self.meets(Some(index), expect)?;
        let last = self.files[index].last().1.clone();
        let said = last.said.patched(patch);
        if said == last.said {
            return Ok(self.files[index].entity());
        }
        self.has_room(index)?;
        let next = self.next(&Version { said, ..last }, Cause::Changed, who);
        Ok(self.succeed(index, "library.change", next))
    }

    pub fn restore(&mut self, name: &str, number: u64, expect: &Expect, who: Who) -> Outcome<LibraryFile> {
        let index = self.living_index(name).ok_or(Refusal::Absent)?;
        self.meets(Some(index), expect)?;
        let file = &self.files[index];
        let target = file.versions.get(&number).ok_or(Refusal::NoVersion)?;
        if file.last().0 == number {
            return Err(Refusal::IsCurrent);
        }
        let next = self.next(target, Cause::Restored, who);
        self.has_room(index)?;
        Ok(self.succeed(index, "library.restore", next))
    }

    /// A version like another one.
    fn next(&self, like: &Version, cause: Cause, who: Who) -> Version {
        Version { cause, created: self.now, author: who.name, author_id: who.id, ended: None, ..like.clone() }
    }

    pub fn delete(&mut self, name: &str, expect: &Expect, who: Who) -> Outcome<()> {
        let index = self.living_index(name).ok_or(Refusal::Absent)?;
        self.meets(Some(index), expect)?;
        let now = self.now;
        let file = &mut self.files[index];
        let number = file.last().0;
        file.versions.get_mut(&number).expect("a file has a version").ended =
            Some((VersionState::Deleted, now));
        file.deleted = Some((now, who.name));
        self.actions.push("library.delete");
        Ok(())
    }

    pub fn undelete(&mut self, id: &str, who: Who) -> Outcome<LibraryFile> {
        let index = self.deleted_index(id)?;
        let last = self.files[index].last().1.clone();
        if self.living_index(&last.name).is_some() {
            return Err(Refusal::NameTaken);
        }
        self.has_room(index)?;
        self.may_live()?;
        self.files[index].deleted = None;
        let next = self.next(&last, Cause::Restored, who);
        Ok(self.succeed(index, "library.restore", next))
    }

    pub fn purge(&mut self, id: &str) -> Outcome<()> {
        let index = self.deleted_index(id)?;
        if self.files[index].held.is_some() {
            return Err(Refusal::Held);
        }
        self.files.remove(index);
        self.actions.push("library.purge");
        self.free();
        Ok(())
    }

    pub fn hold_living(&mut self, name: &str, hold: bool, reason: &str) -> Outcome<()> {
        let index = self.living_index(name).ok_or(Refusal::Absent)?;
        self.hold(index, hold, reason)
    }

    pub fn hold_deleted(&mut self, id: &str, hold: bool, reason: &str) -> Outcome<()> {
        let index = self.deleted_index(id)?;
        self.hold(index, hold, reason)
    }

    fn hold(&mut self, index: usize, hold: bool, reason: &str) -> Outcome<()> {
        let file = &mut self.files[index];
        if !hold && file.held.is_none() {
            return Err(Refusal::NotHeld);
        }
        file.held = hold.then(|| reason.to_owned());
        self.actions.push(if hold { "library.hold" } else { "library.release" });
        Ok(())
    }
}
