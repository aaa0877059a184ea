//! Rows of library files and of their current versions. Rules live in `library`; here are the statements.

use jumpbag_wire::library::{Cause, LibraryFile};
use jumpbag_wire::time::Timestamp;

use super::audit::Turn;
use super::value::{FromValue, Row, Value};
use super::{CatalogError, Tx};
use crate::library::metadata::Metadata;

pub struct NewVersion<'a> {
    /// The change that makes it.
    pub born: i64,
    pub file: i64,
    pub number: i64,
    pub name: &'a str,
    /// From [`keep_content`](super::contents::keep_content), or that of a version before.
    pub content: i64,
    pub metadata: &'a Metadata,
    pub cause: Cause,
    pub author: &'a str,
    pub author_id: &'a str,
    pub now: Timestamp,
}

/// The select list that [`file`] reads; `f` is `files`, `v` is `versions`, `c` is `contents`.
const FILE: &str = "v.name, c.sha256, f.created_at, v.created_at, f.created_by, f.id, c.size, v.number, \
                    f.held_at is not null, v.description, v.parameters_description, v.has_parameters, v.tags, \
                    v.platforms, v.category, v.instructions";

/// A version's tags, each as `l.value`.
pub const TAGS: &str = "select 1 from labels l where l.version = v.born and l.kind = 'tag'";
/// A version's platforms, each as `l.value`.
pub const PLATFORMS: &str = "select 1 from labels l where l.version = v.born and l.kind = 'platform'";

/// Each file with its newest version.
const CURRENT: &str = "files f join versions v on v.file = f.id and v.number = f.version \
                       join contents c on c.id = v.content";
/// Each file with all its versions.
const EVERY: &str = "files f join versions v on v.file = f.id join contents c on c.id = v.content";

fn file(row: &mut Row) -> Result<LibraryFile, CatalogError> {
    let (file_name, sha256) = (row.take()?, row.take()?);
    let (creation_time, last_updated_time, created_by) = (row.take()?, row.take()?, row.take()?);
    let (id, size, version): (i64, i64, i64) = (row.take()?, row.take()?, row.take()?);
    let legal_hold = row.take()?;
    let metadata = metadata(row)?;
    Ok(LibraryFile {
        file_name,
        sha256,
        description: metadata.description,
        creation_time,
        last_updated_time,
        created_by,
        has_parameters: metadata.has_parameters,
        parameters_description: metadata.parameters_description,
        id: id.to_string(),
        size: size.unsigned_abs(),
        version: version.unsigned_abs(),
        tags: metadata.tags,
        platforms: metadata.platforms,
        category: metadata.category,
        instructions: metadata.instructions,
        legal_hold,
    })
}

/// Reads the columns that end [`FILE`].
pub(super) fn metadata(row: &mut Row) -> Result<Metadata, CatalogError> {
    Ok(Metadata {
        description: row.take()?,
        parameters_description: row.take()?,
        has_parameters: row.take()?,
        tags: labels(row)?,
        platforms: labels(row)?,
        category: row.take()?,
        instructions: row.take()?,
    })
}

pub(super) fn labels(row: &mut Row) -> Result<Vec<String>, CatalogError> {
    let text: String = row.take()?;
    if text == "[]" {
        return Ok(Vec::new());
    }
    serde_json::from_str(&text).map_err(|e| CatalogError::Shape(format!("labels `{text}`: {e}")))
}

/// A file's id and the number of its current version.
fn identity(row: Option<Row>) -> Result<Option<(i64, i64)>, CatalogError> {
    row.map(|mut row| Ok((row.take()?, row.take()?))).transpose()
}

/// Enters a name; `false` when it lives already. The file's id is the number of the change.
pub async fn insert_file(
    tx: &mut Tx,
    turn: &mut Turn,
    name_key: &str,
    created_by: &str,
    now: Timestamp,
) -> Result<bool, CatalogError> {
    let rows = tx
        .execute(
            "insert into files (id, name_key, version, created_at, created_by) values ($1, $2, 1, $3, $4) \
             on conflict (name_key) where deleted_at is null do nothing",
            &[turn.number.into(), name_key.into(), now.into(), created_by.into()],
        )
        .await?;
    turn.files += rows as i64;
    Ok(rows == 1)
}

/// Moves a living name to its next version: its id and that version's number. The row stays locked.
pub async fn advance(tx: &mut Tx, name_key: &str) -> Result<Option<(i64, i64)>, CatalogError> {
    let sql = "update files set version = version + 1 where name_key = $1 and deleted_at is null \
               returning id, version";
    identity(tx.first(sql, &[name_key.into()]).await?)
}

/// Hides a living name: its id and current version's number.
pub async fn hide(
    tx: &mut Tx,
    turn: &mut Turn,
    name_key: &str,
    by: &str,
    now: Timestamp,
) -> Result<Option<(i64, i64)>, CatalogError> {
    let sql = "update files set deleted_at = $2, deleted_by = $3 where name_key = $1 and deleted_at is null \
               returning id, version";
    let hidden = identity(tx.first(sql, &[name_key.into(), now.into(), by.into()]).await?)?;
    turn.files -= i64::from(hidden.is_some());
    Ok(hidden)
}

/// Lets a deleted file live again, in its next version: that version's number. The name must be free.
pub async fn revive(tx: &mut Tx, turn: &mut Turn, id: i64) -> Result<Option<i64>, CatalogError> {
    let sql = "update files set deleted_at = null, deleted_by = null, version = version + 1 \
               where id = $1 and deleted_at is not null returning version";
    let version = tx.first(sql, &[id.into()]).await?.map(|mut row| row.take()).transpose()?;
    turn.files += i64::from(version.is_some());
    Ok(version)
}

pub async fn insert_version(tx: &mut Tx, version: &NewVersion<'_>) -> Result<(), CatalogError> {
    let metadata = version.metadata;
    tx.execute(
        "insert into versions (born, file, number, name, content, description, has_parameters, \
         parameters_description, author, author_id, created_at, cause, tags, platforms, category, instructions) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        &[
            version.born.into(),
            version.file.into(),
            version.number.into(),
            version.name.into(),
            version.content.into(),
            metadata.description.clone().into(),
            metadata.has_parameters.into(),
            metadata.parameters_description.clone().into(),
            version.author.into(),
            version.author_id.into(),
            version.now.into(),
            cause_name(version.cause).into(),
            json_list(&metadata.tags).into(),
            json_list(&metadata.platforms).into(),
            metadata.category.clone().into(),
            metadata.instructions.clone().into(),
        ],
    )
    .await?;
    for (kind, values) in [("tag", &metadata.tags), ("platform", &metadata.platforms)] {
        for value in values {
            tx.execute(
                "insert into labels (version, kind, value) values ($1, $2, $3)",
                &[version.born.into(), kind.into(), value.as_str().into()],
            )
            .await?;
        }
    }
    Ok(())
}

fn json_list(labels: &[String]) -> String {
    serde_json::Value::from(labels).to_string()
}

fn cause_name(cause: Cause) -> &'static str {
    match cause {
        Cause::Uploaded => "uploaded",
        Cause::Overridden => "overridden",
        Cause::Changed => "changed",
        Cause::Restored => "restored",
    }
}

impl FromValue for Cause {
    fn from_value(value: Value) -> Result<Cause, CatalogError> {
        let name = String::from_value(value)?;
        [Cause::Uploaded, Cause::Overridden, Cause::Changed, Cause::Restored]
            .into_iter()
            .find(|cause| cause_name(*cause) == name)
            .ok_or_else(|| CatalogError::Shape(format!("a version of cause `{name}`")))
    }
}

/// The file that lives under a name.
pub async fn find(tx: &mut Tx, name_key: &str) -> Result<Option<LibraryFile>, CatalogError> {
    let sql = format!("select {FILE} from {CURRENT} where f.name_key = $1 and f.deleted_at is null");
    tx.first(&sql, &[name_key.into()]).await?.map(|mut row| file(&mut row)).transpose()
}

/// Which rows of the library a page holds.
pub struct Page<'a> {
    /// The change at which the library is looked at; `None` is now.
    pub at: Option<i64>,
    /// A condition over `f` and `v`, and its parameters from `$1` on.
    pub filter: Option<(String, Vec<Value>)>,
    /// Only names after this key: needs the order by name.
    pub after: Option<&'a str>,
    /// What follows `order by`; the name's key when empty.
    pub order: String,
    pub limit: u64,
    pub offset: u64,
}

impl Page<'_> {
    fn source(&self) -> (String, Vec<Value>) {
        let (condition, mut params) = self.filter.clone().unwrap_or_default();
        let mut sql = match self.at {
            None => format!(" from {CURRENT} where f.deleted_at is null"),
            Some(change) => {
                params.push(change.into());
                let n = params.len();
                format!(" from {EVERY} where v.born <= ${n} and (v.died is null or v.died > ${n})")
            }
        };
        if !condition.is_empty() {
            sql.push_str(" and (");
            sql.push_str(&condition);
            sql.push(')');
        }
        (sql, params)
    }
}

pub async fn list(tx: &mut Tx, page: &Page<'_>) -> Result<Vec<LibraryFile>, CatalogError> {
    let (mut sql, mut params) = page.source();
    if let Some(after) = page.after {
        params.push(after.into());
        sql.push_str(&format!(" and f.name_key > ${}", params.len()));
    }
    sql.push_str(" order by ");
    if !page.order.is_empty() {
        sql.push_str(&page.order);
        sql.push_str(", ");
    }
    params.push((page.limit as i64).into());
    params.push((page.offset as i64).into());
    let n = params.len();
    sql.push_str(&format!("f.name_key limit ${} offset ${n}", n - 1));
    let rows = tx.query(&format!("select {FILE}{sql}"), &params).await?;
    rows.into_iter().map(|mut row| file(&mut row)).collect()
}

pub async fn count(tx: &mut Tx, page: &Page<'_>) -> Result<u64, CatalogError> {
    let (sql, params) = page.source();
    let mut row = tx.one(&format!("select count(*){sql}"), &params).await?;
    Ok(row.take::<i64>()?.unsigned_abs())
}
