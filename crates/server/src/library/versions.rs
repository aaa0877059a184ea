//! What became of a file: its versions, going back to one, and changing what people say about it.

use jumpbag_wire::library::{Cause, FileVersion, LibraryFile, VersionState};
use jumpbag_wire::patch::FilePatch;
use jumpbag_wire::time::Timestamp;
use serde_json::json;

use super::expect::Expect;
use super::metadata::{Metadata, changed};
use super::{Library, Quotas, Stop, Subject, absent, lookup, replace};
use crate::catalog::audit::{self, Actor, Change, Turn};
use crate::catalog::files::{self, NewVersion};
use crate::catalog::history::{self, Ended, VersionRow};
use crate::catalog::{CatalogError, Tx};
use crate::error::Error;

/// Versions of a page.
const PAGE: i64 = 1000;

/// A page of a file's versions, newest first.
#[derive(Debug)]
pub struct VersionsPage {
    pub versions: Vec<FileVersion>,
    /// The version before which the next page begins; none after the last.
    pub next: Option<u64>,
}

impl Library {
    /// The versions of a file below one's number.
    pub async fn versions(&self, subject: Subject, below: Option<u64>) -> Result<VersionsPage, Error> {
        let below = below.map_or(i64::MAX, |below| i64::try_from(below).unwrap_or(i64::MAX));
        let rows = self
            .catalog
            .snapshot(move |tx| {
                Box::pin(async move {
                    let (file, _) = subject.find(tx).await?;
                    Ok::<_, Error>(history::versions(tx, file.id, below, PAGE + 1).await?)
                })
            })
            .await?;
        let more = rows.len() as i64 > PAGE;
        let shown = rows.len().min(PAGE as usize);
        let versions: Vec<_> = (0..shown).map(|index| version(&rows[index], rows.get(index + 1))).collect();
        let next = versions.last().filter(|_| more).map(|last| last.version);
        Ok(VersionsPage { versions, next })
    }

    /// One version of a file.
    pub async fn version(&self, subject: Subject, number: u64) -> Result<FileVersion, Error> {
        self.catalog
            .snapshot(move |tx| {
                Box::pin(async move {
                    let (file, name) = subject.find(tx).await?;
                    let row = one(tx, file.id, file.version, number, &name).await?;
                    let before = history::versions(tx, file.id, row.number, 1).await?;
                    Ok(version(&row, before.first()))
                })
            })
            .await
    }

    /// Makes a new version with the bytes and the metadata of an earlier one.
    ///
    /// # Errors
    /// `NotFound` when there is no such file or version; `InvalidInput` when it is the current one.
    pub async fn restore(
        &self,
        name: &str,
        number: u64,
        expect: Expect,
        actor: Actor,
        now: Timestamp,
    ) -> Result<LibraryFile, Error> {
        let wanted = Wanted { name: name.to_owned(), key: lookup(name)?, expect, quotas: self.rules.quotas };
        Stop::settle(self.catalog.write(move |tx| Box::pin(restore(tx, wanted, number, actor, now))).await)
    }

    /// Changes what people say about a file, in a new version with the same bytes.
    ///
    /// # Errors
    /// `InvalidInput` with the rule that a value breaks.
    pub async fn edit(
        &self,
        name: &str,
        patch: FilePatch,
        expect: Expect,
        actor: Actor,
        now: Timestamp,
    ) -> Result<LibraryFile, Error> {
        let wanted = Wanted { name: name.to_owned(), key: lookup(name)?, expect, quotas: self.rules.quotas };
        Stop::settle(self.catalog.write(move |tx| Box::pin(edit(tx, wanted, patch, actor, now))).await)
    }
}

/// Which file is to be changed, and what is expected of it.
struct Wanted {
    name: String,
    key: String,
    expect: Expect,
    quotas: Quotas,
}

async fn restore(
    tx: &mut Tx,
    wanted: Wanted,
    number: u64,
    actor: Actor,
    now: Timestamp,
) -> Result<LibraryFile, Stop> {
    let turn = audit::turn(tx).await?;
    let current = current(tx, &wanted).await?;
    let newest = current.row.number;
    let target = one(tx, current.row.file, newest, number, &wanted.name).await?;
    if target.number == newest {
        return Err(Stop::Refused(Error::InvalidInput(format!(
            "version {number} of Library file {} is the current one: there is nothing to restore",
            wanted.name
        ))));
    }
    let next = Next { row: &target, metadata: &target.metadata, cause: Cause::Restored };
    succeed(tx, turn, current, next, &wanted, &actor, now).await
}

async fn edit(
    tx: &mut Tx,
    wanted: Wanted,
    patch: FilePatch,
    actor: Actor,
    now: Timestamp,
) -> Result<LibraryFile, Stop> {
    let turn = audit::turn(tx).await?;
    let current = current(tx, &wanted).await?;
    let before = current.row.clone();
    let metadata = before.metadata.apply(patch).map_err(|e| Error::InvalidInput(e.to_string()))?;
    if metadata == before.metadata {
        return Err(Stop::Same(Box::new(current.file)));
    }
    let next = Next { row: &before, metadata: &metadata, cause: Cause::Changed };
    succeed(tx, turn, current, next, &wanted, &actor, now).await
}

/// A living file with its current version.
struct Current {
    file: LibraryFile,
    row: VersionRow,
}

async fn current(tx: &mut Tx, wanted: &Wanted) -> Result<Current, Error> {
    let Wanted { name, key, expect, .. } = wanted;
    let file = files::find(tx, key).await?.ok_or_else(|| absent(name))?;
    expect.check(name, Some(&file))?;
    let known = history::living(tx, key).await?.ok_or_else(|| absent(name))?;
    let row = history::version(tx, known.id, known.version).await?;
    Ok(Current { file, row: row.ok_or_else(|| CatalogError::Shape("a file without its version".into()))? })
}

async fn one(tx: &mut Tx, file: i64, newest: i64, number: u64, name: &str) -> Result<VersionRow, Error> {
    let row = history::version(tx, file, i64::try_from(number).unwrap_or(i64::MAX)).await?;
    row.ok_or_else(|| {
        Error::NotFound(format!(
            "version {number} of Library file {name} was not found: its newest is {newest}"
        ))
    })
}

/// What the next version of a file is made of.
struct Next<'a> {
    /// Whose bytes and name it has.
    row: &'a VersionRow,
    metadata: &'a Metadata,
    cause: Cause,
}

async fn succeed(
    tx: &mut Tx,
    turn: Turn,
    current: Current,
    next: Next<'_>,
    wanted: &Wanted,
    actor: &Actor,
    now: Timestamp,
) -> Result<LibraryFile, Stop> {
    let Current { file: before, row } = current;
    let gone = || CatalogError::Shape("a name went while it was changed".into());
    let (id, number) = files::advance(tx, &wanted.key).await?.ok_or_else(gone)?;
    wanted.quotas.check_versions(tx, id, &before.file_name).await?;
    let version = NewVersion {
        born: turn.number,
        file: row.file,
        number,
        name: &next.row.name,
        content: next.row.content,
        metadata: next.metadata,
        cause: next.cause,
        author: &actor.name,
        author_id: &actor.id,
        now,
    };
    replace(tx, &turn, &version).await?;
    let file = files::find(tx, &wanted.key).await?.ok_or_else(gone)?;
    let (action, after) = match next.cause {
        Cause::Restored => ("library.restore", json!({ "file": &file, "restoredVersion": next.row.number })),
        _ => ("library.change", json!({ "file": &file })),
    };
    let change = Change {
        action,
        target: &file.file_name,
        before: Some(json!({ "file": before })),
        after: Some(after),
    };
    audit::append(tx, now, actor, turn, change).await?;
    Ok(file)
}

/// A version as the wire shows it, beside the one before.
fn version(row: &VersionRow, before: Option<&VersionRow>) -> FileVersion {
    let mut differs = Vec::new();
    if let Some(before) = before {
        let bytes = [("fileName", row.name != before.name), ("sha256", row.sha256 != before.sha256)];
        differs.extend(bytes.into_iter().filter_map(|(property, differs)| differs.then_some(property)));
        differs.extend(changed(&before.metadata, &row.metadata));
    }
    let metadata = row.metadata.clone();
    FileVersion {
        version: row.number.unsigned_abs(),
        file_name: row.name.clone(),
        sha256: row.sha256.clone(),
        size: row.size,
        cause: row.cause,
        changed: differs.into_iter().map(str::to_owned).collect(),
        creation_time: row.created_at,
        created_by: row.author.clone(),
        created_by_id: row.author_id.clone(),
        state: match row.ended {
            None => VersionState::Current,
            Some(Ended::Replaced) => VersionState::Replaced,
            Some(Ended::Deleted) => VersionState::Deleted,
        },
        ended_time: row.ended_at,
        description: metadata.description,
        has_parameters: metadata.has_parameters,
        parameters_description: metadata.parameters_description,
        tags: metadata.tags,
        platforms: metadata.platforms,
        category: metadata.category,
        instructions: metadata.instructions,
    }
}
