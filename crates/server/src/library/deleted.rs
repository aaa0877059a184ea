//! Deletion and what comes after it: a deleted file is kept for the retention time, can come back or be purged,
//! and none of its versions goes while it is held.

use std::sync::atomic::Ordering;

use jumpbag_wire::library::{Cause, DeletedFile, LibraryFile};
use jumpbag_wire::time::Timestamp;
use serde_json::json;

use super::expect::Expect;
use super::{Library, Quotas, absent, lookup};
use crate::catalog::audit::{self, Actor, Change};
use crate::catalog::files::{self, NewVersion};
use crate::catalog::history::{self, DeletedAfter, Ended, FileRow, VersionRow};
use crate::catalog::{CatalogError, Tx};
use crate::error::Error;

/// Deleted files of a page.
const PAGE: i64 = 1000;
/// Bytes of a reason.
pub const MAX_REASON: usize = 1024;
const SECS_PER_DAY: i64 = 24 * 3600;

/// A page of deleted files, the last deleted first.
#[derive(Debug)]
pub struct DeletedPage {
    pub files: Vec<DeletedFile>,
    /// Where the next page begins; none after the last.
    pub next: Option<DeletedAfter>,
}

/// Which file is meant.
#[derive(Debug, Clone)]
pub enum Subject {
    /// The one that lives under a name.
    Living(String),
    /// A deleted one, by its id.
    Deleted(String),
}

impl Subject {
    /// The file, and the name it goes by.
    pub(super) async fn find(self, tx: &mut Tx) -> Result<(FileRow, String), Error> {
        match self {
            Subject::Living(name) => {
                let file = history::living(tx, &lookup(&name)?).await?.ok_or_else(|| absent(&name))?;
                let current = history::version(tx, file.id, file.version).await?;
                Ok((file, current.map_or(name, |version| version.name)))
            }
            Subject::Deleted(id) => {
                let (file, last) = deleted(tx, &id).await?;
                Ok((file, last.name))
            }
        }
    }
}

impl Library {
    /// Hides a name. Its versions stay for the retention time.
    ///
    /// # Errors
    /// `NotFound` when no file lives under the name; `PreconditionFailed` when it is not what was expected.
    pub async fn delete(
        &self,
        name: &str,
        expect: Expect,
        actor: Actor,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (name, key) = (name.to_owned(), lookup(name)?);
        self.catalog.write(move |tx| Box::pin(delete(tx, name, key, expect, actor, now))).await
    }

    /// Files that were deleted and are still kept.
    pub async fn deleted(&self, after: Option<DeletedAfter>) -> Result<DeletedPage, Error> {
        let rows = self.catalog.snapshot(move |tx| {
            Box::pin(async move { Ok::<_, Error>(history::all_deleted(tx, after, PAGE + 1).await?) })
        });
        let mut rows = rows.await?;
        let more = rows.len() as i64 > PAGE;
        rows.truncate(PAGE as usize);
        let last = rows.last().filter(|_| more);
        let next = last.and_then(|(file, _)| Some((file.deleted_at?, file.id)));
        Ok(DeletedPage {
            files: rows.iter().map(|(file, version)| self.shown(file, version)).collect(),
            next,
        })
    }

    /// One file that was deleted and is still kept.
    pub async fn find_deleted(&self, id: &str) -> Result<DeletedFile, Error> {
        let id = id.to_owned();
        let found = self.catalog.read(move |tx| Box::pin(async move { deleted(tx, &id).await }));
        let (file, version) = found.await?;
        Ok(self.shown(&file, &version))
    }

    fn shown(&self, file: &FileRow, version: &VersionRow) -> DeletedFile {
        let deleted_time = file.deleted_at.unwrap_or(version.created_at);
        let expires = deleted_time.plus_secs(self.rules.retention_days * SECS_PER_DAY);
        DeletedFile {
            id: file.id.to_string(),
            file_name: version.name.clone(),
            sha256: version.sha256.clone(),
            size: version.size,
            version: version.number.unsigned_abs(),
            deleted_time,
            deleted_by: file.deleted_by.clone(),
            expiration_time: file.held_at.is_none().then_some(expires),
            legal_hold: file.held_at.is_some(),
            legal_hold_reason: file.hold_reason.clone(),
        }
    }

    /// Brings a deleted file back, in a new version like its last one.
    ///
    /// # Errors
    /// `NotFound` when it is not kept any more; `InvalidInput` when its name was taken meanwhile.
    pub async fn undelete(&self, id: &str, actor: Actor, now: Timestamp) -> Result<LibraryFile, Error> {
        let (id, quotas) = (id.to_owned(), self.rules.quotas);
        self.catalog.write(move |tx| Box::pin(undelete(tx, id, quotas, actor, now))).await
    }

    /// Removes a deleted file and all its versions for good. Bytes that no other version has go with them.
    ///
    /// # Errors
    /// `InvalidInput` while it is held, or without a reason.
    pub async fn purge(&self, id: &str, reason: &str, actor: Actor, now: Timestamp) -> Result<(), Error> {
        let (id, reason) = (id.to_owned(), check_reason(reason)?);
        self.catalog.write(move |tx| Box::pin(purge(tx, id, reason, actor, now))).await?;
        self.forgotten.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Holds a file, so that no version of it is removed, or lets it go.
    ///
    /// # Errors
    /// `InvalidInput` without a reason, or when a file is to be let go that is not held.
    pub async fn hold(
        &self,
        subject: Subject,
        hold: bool,
        reason: &str,
        actor: Actor,
        now: Timestamp,
    ) -> Result<(), Error> {
        let reason = check_reason(reason)?;
        self.catalog.write(move |tx| Box::pin(commit_hold(tx, subject, hold, reason, actor, now))).await
    }
}

fn check_reason(reason: &str) -> Result<String, Error> {
    let reason = reason.trim();
    let bad = |why: &str| Err(Error::InvalidInput(format!("`reason` {why}")));
    match reason {
        "" => bad("is empty: say why, the audit log keeps it"),
        long if long.len() > MAX_REASON => bad(&format!("has {} bytes: at most {MAX_REASON}", long.len())),
        odd if odd.contains('\0') => bad("holds the character U+0000: remove it"),
        reason => Ok(reason.to_owned()),
    }
}

async fn delete(
    tx: &mut Tx,
    name: String,
    key: String,
    expect: Expect,
    actor: Actor,
    now: Timestamp,
) -> Result<(), Error> {
    let mut turn = audit::turn(tx).await?;
    let before = files::find(tx, &key).await?.ok_or_else(|| absent(&name))?;
    expect.check(&name, Some(&before))?;
    let hidden = files::hide(tx, &mut turn, &key, &actor.name, now).await?;
    let (id, number) = hidden.ok_or_else(|| absent(&name))?;
    history::end_version(tx, id, number, turn.number, Ended::Deleted, now).await?;
    let change = Change {
        action: "library.delete",
        target: &before.file_name,
        before: Some(json!({ "file": &before })),
        after: None,
    };
    Ok(audit::append(tx, now, &actor, turn, change).await?)
}

fn not_kept(id: &str) -> Error {
    Error::NotFound(format!(
        "no deleted file has the id {id}: it lives, was purged, or its retention time has passed"
    ))
}

/// A deleted file with its last version.
async fn deleted(tx: &mut Tx, id: &str) -> Result<(FileRow, VersionRow), Error> {
    // In the one way in which ids are written: `+1` and `01` are none.
    let number = id.parse().ok().filter(|number: &i64| number.to_string() == id);
    let number = number.ok_or_else(|| not_kept(id))?;
    let file = history::deleted(tx, number).await?.ok_or_else(|| not_kept(id))?;
    let version = history::version(tx, file.id, file.version).await?;
    let version = version.ok_or_else(|| CatalogError::Shape("a file without its version".into()))?;
    Ok((file, version))
}

async fn undelete(
    tx: &mut Tx,
    id: String,
    quotas: Quotas,
    actor: Actor,
    now: Timestamp,
) -> Result<LibraryFile, Error> {
    let mut turn = audit::turn(tx).await?;
    let (file, last) = deleted(tx, &id).await?;
    if let Some(taken) = files::find(tx, &file.name_key).await? {
        return Err(Error::InvalidInput(format!(
            "Library file {} already exists: delete it first, then this one can come back",
            taken.file_name
        )));
    }
    quotas.check_versions(tx, file.id, &last.name).await?;
    let number = files::revive(tx, &mut turn, file.id).await?.ok_or_else(|| not_kept(&id))?;
    quotas.check_files(&turn)?;
    let version = NewVersion {
        born: turn.number,
        file: file.id,
        number,
        name: &last.name,
        content: last.content,
        metadata: &last.metadata,
        cause: Cause::Restored,
        author: &actor.name,
        author_id: &actor.id,
        now,
    };
    files::insert_version(tx, &version).await?;
    let back = files::find(tx, &file.name_key).await?.ok_or_else(|| not_kept(&id))?;
    let change = Change {
        action: "library.restore",
        target: &back.file_name,
        before: None,
        after: Some(json!({ "file": &back, "restoredVersion": last.number })),
    };
    audit::append(tx, now, &actor, turn, change).await?;
    Ok(back)
}

async fn purge(tx: &mut Tx, id: String, reason: String, actor: Actor, now: Timestamp) -> Result<(), Error> {
    let mut turn = audit::turn(tx).await?;
    let (file, last) = deleted(tx, &id).await?;
    if file.held_at.is_some() {
        return Err(Error::InvalidInput(format!(
            "Library file {} is under a legal hold ({}): it can be purged when the hold is lifted",
            last.name,
            file.hold_reason.unwrap_or_default()
        )));
    }
    let versions = history::versions(tx, file.id, i64::MAX, i64::MAX).await?;
    for version in &versions {
        history::forget(tx, &mut turn, version, now).await?;
    }
    let gone: Vec<_> = versions
        .iter()
        .map(|version| json!({ "version": version.number, "sha256": version.sha256 }))
        .collect();
    let change = Change {
        action: "library.purge",
        target: &last.name,
        before: Some(json!({ "id": id, "versions": gone })),
        after: Some(json!({ "reason": reason })),
    };
    Ok(audit::append(tx, now, &actor, turn, change).await?)
}

async fn commit_hold(
    tx: &mut Tx,
    subject: Subject,
    hold: bool,
    reason: String,
    actor: Actor,
    now: Timestamp,
) -> Result<(), Error> {
    let turn = audit::turn(tx).await?;
    let (file, name) = subject.find(tx).await?;
    if !hold && file.held_at.is_none() {
        return Err(Error::InvalidInput(format!("Library file {name} is not under a legal hold")));
    }
    history::hold(tx, file.id, hold.then_some((actor.name.as_str(), reason.as_str())), now).await?;
    let change = Change {
        action: if hold { "library.hold" } else { "library.release" },
        target: &name,
        before: file.hold_reason.as_ref().map(|reason| json!({ "reason": reason })),
        after: Some(json!({ "id": file.id.to_string(), "reason": reason })),
    };
    Ok(audit::append(tx, now, &actor, turn, change).await?)
}
