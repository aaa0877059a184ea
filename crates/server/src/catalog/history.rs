//! Rows of the history: versions that were, deleted files, holds, and what the retention time no longer protects.

use jumpbag_wire::library::Cause;
use jumpbag_wire::time::Timestamp;

use super::audit::Turn;
use super::contents;
use super::files::metadata;
use super::value::{FromValue, Row, Value};
use super::{CatalogError, Tx, search};
use crate::library::metadata::Metadata;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Replaced,
    Deleted,
}

impl FromValue for Ended {
    fn from_value(value: Value) -> Result<Ended, CatalogError> {
        match String::from_value(value)?.as_str() {
            "replaced" => Ok(Ended::Replaced),
            "deleted" => Ok(Ended::Deleted),
            other => Err(CatalogError::Shape(format!("a version that ended `{other}`"))),
        }
    }
}

/// One version of a file, whether it is current or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRow {
    pub born: i64,
    pub file: i64,
    pub number: i64,
    pub name: String,
    pub content: i64,
    pub sha256: String,
    pub size: u64,
    pub author: String,
    pub author_id: String,
    pub created_at: Timestamp,
    pub cause: Cause,
    pub ended: Option<Ended>,
    pub ended_at: Option<Timestamp>,
    pub metadata: Metadata,
}

const VERSION: &str = "v.born, v.file, v.number, v.name, v.content, c.sha256, c.size, v.author, v.author_id, \
                       v.created_at, v.cause, v.ended, v.ended_at, v.description, v.parameters_description, \
                       v.has_parameters, v.tags, v.platforms, v.category, v.instructions \
                       from versions v join contents c on c.id = v.content";

fn version_row(row: &mut Row) -> Result<VersionRow, CatalogError> {
    Ok(VersionRow {
        born: row.take()?,
        file: row.take()?,
        number: row.take()?,
        name: row.take()?,
        content: row.take()?,
        sha256: row.take()?,
        size: row.take::<i64>()?.unsigned_abs(),
        author: row.take()?,
        author_id: row.take()?,
        created_at: row.take()?,
        cause: row.take()?,
        ended: row.take()?,
        ended_at: row.take()?,
        metadata: metadata(row)?,
    })
}

/// A version of a file.
pub async fn version(tx: &mut Tx, file: i64, number: i64) -> Result<Option<VersionRow>, CatalogError> {
    let sql = format!("select {VERSION} where v.file = $1 and v.number = $2");
    tx.first(&sql, &[file.into(), number.into()]).await?.map(|mut row| version_row(&mut row)).transpose()
}

/// Versions of a file with numbers below `before`, newest first, at most `limit`.
pub async fn versions(
    tx: &mut Tx,
    file: i64,
    before: i64,
    limit: i64,
) -> Result<Vec<VersionRow>, CatalogError> {
    let sql = format!("select {VERSION} where v.file = $1 and v.number < $2 order by v.number desc limit $3");
    let rows = tx.query(&sql, &[file.into(), before.into(), limit.into()]).await?;
    rows.into_iter().map(|mut row| version_row(&mut row)).collect()
}

/// Versions that changes after one made, in order, at most `limit`.
pub async fn born_after(tx: &mut Tx, change: i64, limit: i64) -> Result<Vec<VersionRow>, CatalogError> {
    let sql = format!("select {VERSION} where v.born > $1 order by v.born limit $2");
    let rows = tx.query(&sql, &[change.into(), limit.into()]).await?;
    rows.into_iter().map(|mut row| version_row(&mut row)).collect()
}

/// How many versions of a file are kept.
pub async fn count_versions(tx: &mut Tx, file: i64) -> Result<i64, CatalogError> {
    tx.one("select count(*) from versions where file = $1", &[file.into()]).await?.take()
}

pub async fn end_version(
    tx: &mut Tx,
    file: i64,
    number: i64,
    change: i64,
    ended: Ended,
    now: Timestamp,
) -> Result<(), CatalogError> {
    let ended = match ended {
        Ended::Replaced => "replaced",
        Ended::Deleted => "deleted",
    };
    tx.execute(
        "update versions set died = $3, ended = $4, ended_at = $5 where file = $1 and number = $2",
        &[file.into(), number.into(), change.into(), ended.into(), now.into()],
    )
    .await?;
    Ok(())
}

/// A file, whether it lives or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    pub id: i64,
    pub name_key: String,
    /// Number of the current, or last, version.
    pub version: i64,
    pub deleted_at: Option<Timestamp>,
    pub deleted_by: Option<String>,
    pub held_at: Option<Timestamp>,
    pub hold_reason: Option<String>,
}

const FILE_ROW: &str = "f.id, f.name_key, f.version, f.deleted_at, f.deleted_by, f.held_at, f.hold_reason";

fn file_row(row: &mut Row) -> Result<FileRow, CatalogError> {
    Ok(FileRow {
        id: row.take()?,
        name_key: row.take()?,
        version: row.take()?,
        deleted_at: row.take()?,
        deleted_by: row.take()?,
        held_at: row.take()?,
        hold_reason: row.take()?,
    })
}

/// The file that lives under a name.
pub async fn living(tx: &mut Tx, name_key: &str) -> Result<Option<FileRow>, CatalogError> {
    let sql = format!("select {FILE_ROW} from files f where f.name_key = $1 and f.deleted_at is null");
    tx.first(&sql, &[name_key.into()]).await?.map(|mut row| file_row(&mut row)).transpose()
}

/// A deleted file that is still kept.
pub async fn deleted(tx: &mut Tx, id: i64) -> Result<Option<FileRow>, CatalogError> {
    let sql = format!("select {FILE_ROW} from files f where f.id = $1 and f.deleted_at is not null");
    tx.first(&sql, &[id.into()]).await?.map(|mut row| file_row(&mut row)).transpose()
}

/// Where a page of deleted files begins: after one with this time and id.
pub type DeletedAfter = (Timestamp, i64);

/// Deleted files, the last deleted first, at most `limit`; each with its last version.
pub async fn all_deleted(
    tx: &mut Tx,
    after: Option<DeletedAfter>,
    limit: i64,
) -> Result<Vec<(FileRow, VersionRow)>, CatalogError> {
    let (at, id) = after.map_or((Value::Int(i64::MAX), i64::MAX), |(at, id)| (at.into(), id));
    let sql = format!(
        "select {FILE_ROW}, {VERSION} join files f on f.id = v.file and f.version = v.number \
         where f.deleted_at is not null and (f.deleted_at, f.id) < ($1, $2) \
         order by f.deleted_at desc, f.id desc limit $3"
    );
    let rows = tx.query(&sql, &[at, id.into(), limit.into()]).await?;
    rows.into_iter().map(|mut row| Ok((file_row(&mut row)?, version_row(&mut row)?))).collect()
}

/// Holds a file, or lets it go.
pub async fn hold(
    tx: &mut Tx,
    id: i64,
    held: Option<(&str, &str)>,
    now: Timestamp,
) -> Result<(), CatalogError> {
    let (by, reason) = held.unzip();
    tx.execute(
        "update files set held_at = $2, held_by = $3, hold_reason = $4 where id = $1",
        &[id.into(), held.map(|_| now).into(), by.into(), reason.into()],
    )
    .await?;
    Ok(())
}

/// Until when versions are protected.
#[derive(Debug, Clone, Copy)]
pub struct Protected {
    /// Versions of files deleted since then.
    pub deleted_since: Timestamp,
    /// Versions replaced since then; `None`: all of them.
    pub replaced_since: Option<Timestamp>,
}

/// Versions that no retention time and no hold protects, at most `limit`.
pub async fn expired(tx: &mut Tx, protected: Protected, limit: i64) -> Result<Vec<VersionRow>, CatalogError> {
    let sql = format!(
        "select {VERSION} join files f on f.id = v.file where f.deleted_at < $1 and f.held_at is null \
         order by f.deleted_at, v.born limit $2"
    );
    let mut rows = tx.query(&sql, &[protected.deleted_since.into(), limit.into()]).await?;
    let left = limit - rows.len() as i64;
    if let Some(since) = protected.replaced_since
        && left > 0
    {
        let sql = format!(
            "select {VERSION} join files f on f.id = v.file where v.ended = 'replaced' and v.ended_at < $1 \
             and f.deleted_at is null and f.held_at is null order by v.ended_at, v.born limit $2"
        );
        rows.extend(tx.query(&sql, &[since.into(), left.into()]).await?);
    }
    rows.into_iter().map(|mut row| version_row(&mut row)).collect()
}

/// Removes a version that is not current, its file when that was a deleted one's last version, and its content
/// when no version has the same bytes.
pub async fn forget(
    tx: &mut Tx,
    turn: &mut Turn,
    version: &VersionRow,
    now: Timestamp,
) -> Result<(), CatalogError> {
    tx.execute("delete from labels where version = $1", &[version.born.into()]).await?;
    tx.execute("delete from versions where born = $1", &[version.born.into()]).await?;
    // Whoever was writing the version's document has written it by now.
    search::forget(tx, version.born).await?;
    tx.execute(
        "delete from files where id = $1 and not exists (select 1 from versions where file = $1)",
        &[version.file.into()],
    )
    .await?;
    contents::free(tx, turn, version.content, now).await
}

/// What the library holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Files that live.
    pub files: u64,
    /// Bytes of contents.
    pub bytes: u64,
    pub versions: u64,
    pub deleted: u64,
    pub held: u64,
}

pub async fn totals(tx: &mut Tx) -> Result<Totals, CatalogError> {
    let sql = "select files, bytes, (select count(*) from versions), \
               (select count(*) from files f where f.deleted_at is not null), \
               (select count(*) from files f where f.held_at is not null) from tenant";
    let mut row = tx.one(sql, &[]).await?;
    let mut next = || row.take::<i64>().map(i64::unsigned_abs);
    Ok(Totals { files: next()?, bytes: next()?, versions: next()?, deleted: next()?, held: next()? })
}

/// How many files live in the library, and how many bytes its contents have.
pub async fn size(tx: &mut Tx) -> Result<(u64, u64), CatalogError> {
    let mut row = tx.one("select files, bytes from tenant", &[]).await?;
    Ok((row.take::<i64>()?.unsigned_abs(), row.take::<i64>()?.unsigned_abs()))
}

/// Rows that contradict each other, in words: none, unless somebody changed the database by hand.
pub async fn contradictions(tx: &mut Tx) -> Result<Vec<String>, CatalogError> {
    let checks = [
        (
            "select f.id from files f where not exists \
             (select 1 from versions v where v.file = f.id and v.number = f.version)",
            "file `{}` has no current version",
        ),
        (
            "select f.id from files f join versions v on v.file = f.id and v.number = f.version \
             where (f.deleted_at is null) <> (v.died is null)",
            "file `{}` lives and is deleted at once",
        ),
        (
            "select v.file from versions v join files f on f.id = v.file \
             where v.number <> f.version and v.died is null",
            "file `{}` has a living version that is not the current one",
        ),
        (
            "select v.file from versions v where not exists (select 1 from contents c where c.id = v.content)",
            "file `{}` has a version without content",
        ),
        (
            "select t.files from tenant t where t.files <> (select count(*) from files f where f.deleted_at is null)",
            "the tenant's row has a wrong number of files: {}",
        ),
        (
            "select t.bytes from tenant t where t.bytes <> \
             (select cast(coalesce(sum(size), 0) as bigint) from contents)",
            "the tenant's row has a wrong number of bytes: {}",
        ),
    ];
    let mut found = Vec::new();
    for (sql, problem) in checks {
        for mut row in tx.query(sql, &[]).await? {
            found.push(problem.replace("{}", &row.take::<i64>()?.to_string()));
        }
    }
    Ok(found)
}
