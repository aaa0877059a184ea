//! Rows of library files, their versions and contents. Rules live in `library`; here are the statements.

use bytes::Bytes;
use jumpbag_wire::library::LibraryFile;
use jumpbag_wire::time::Timestamp;

use super::value::{Row, Value};
use super::{CatalogError, Tx};

/// Where a content's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Inline(Bytes),
    Blob(String),
}

#[derive(Debug, Clone)]
pub struct Content {
    pub sha256: String,
    pub size: u64,
    pub place: Place,
}

pub struct NewVersion<'a> {
    /// The change that makes it.
    pub born: i64,
    pub file: i64,
    pub number: i64,
    pub name: &'a str,
    /// From [`keep_content`].
    pub content: i64,
    pub description: Option<&'a str>,
    pub has_parameters: bool,
    pub parameters_description: Option<&'a str>,
    pub author: &'a str,
    pub author_id: &'a str,
    pub now: Timestamp,
}

/// The select list that [`file`] reads; `f` is `files`, `v` is `versions`, `c` is `contents`.
const FILE: &str = "v.name, c.sha256, v.description, f.created_at, v.created_at, f.created_by, v.has_parameters, \
                    v.parameters_description, f.id, c.size";

/// Each file with its newest version.
const CURRENT: &str = "files f join versions v on v.file = f.id and v.number = f.version \
                       join contents c on c.id = v.content";
/// Each file with all its versions.
const EVERY: &str = "files f join versions v on v.file = f.id join contents c on c.id = v.content";

fn file(row: &mut Row) -> Result<LibraryFile, CatalogError> {
    Ok(LibraryFile {
        file_name: row.take()?,
        sha256: row.take()?,
        description: row.take()?,
        creation_time: row.take()?,
        last_updated_time: row.take()?,
        created_by: row.take()?,
        has_parameters: row.take()?,
        parameters_description: row.take()?,
        id: row.take::<i64>()?.to_string(),
        size: row.take::<i64>()?.unsigned_abs(),
    })
}

/// Enters a name; `false` when it lives already. `id` is the number of the change.
pub async fn insert_file(
    tx: &mut Tx,
    id: i64,
    name_key: &str,
    created_by: &str,
    now: Timestamp,
) -> Result<bool, CatalogError> {
    let rows = tx
        .execute(
            "insert into files (id, name_key, version, created_at, created_by) values ($1, $2, 1, $3, $4) \
             on conflict (name_key) where deleted_at is null do nothing",
            &[id.into(), name_key.into(), now.into(), created_by.into()],
        )
        .await?;
    Ok(rows == 1)
}

/// Moves a living name to its next version: its id and that version's number. The row stays locked.
pub async fn advance(tx: &mut Tx, name_key: &str) -> Result<Option<(i64, i64)>, CatalogError> {
    let row = tx
        .first(
            "update files set version = version + 1 where name_key = $1 and deleted_at is null \
             returning id, version",
            &[name_key.into()],
        )
        .await?;
    row.map(|mut row| Ok((row.take()?, row.take()?))).transpose()
}

/// Hides a living name: its id and current version's number.
pub async fn hide(tx: &mut Tx, name_key: &str, now: Timestamp) -> Result<Option<(i64, i64)>, CatalogError> {
    let row = tx
        .first(
            "update files set deleted_at = $2 where name_key = $1 and deleted_at is null returning id, version",
            &[name_key.into(), now.into()],
        )
        .await?;
    row.map(|mut row| Ok((row.take()?, row.take()?))).transpose()
}

/// Gives the bytes a row; its id, which is the change's number when the row is new. Bytes that were there before
/// are where they were offered now: what is durable this moment heals what may have been damaged since. The blob
/// that held them becomes garbage. Only within a change, because changes take turns.
pub async fn keep_content(
    tx: &mut Tx,
    change: i64,
    content: &Content,
    now: Timestamp,
) -> Result<i64, CatalogError> {
    let (bytes, blob) = match &content.place {
        Place::Inline(bytes) => (Value::Bytes(bytes.clone()), Value::Null),
        Place::Blob(key) => (Value::Null, Value::Text(key.clone())),
    };
    let known = tx
        .first("select id, blob from contents where sha256 = $1", &[content.sha256.as_str().into()])
        .await?;
    let Some(mut known) = known else {
        tx.execute(
            "insert into contents (id, sha256, size, bytes, blob, created_at) values ($1, $2, $3, $4, $5, $6)",
            &[
                change.into(),
                content.sha256.as_str().into(),
                (content.size as i64).into(),
                bytes,
                blob,
                now.into(),
            ],
        )
        .await?;
        return Ok(change);
    };
    let (id, before): (i64, Option<String>) = (known.take()?, known.take()?);
    tx.execute("update contents set bytes = $2, blob = $3 where id = $1", &[id.into(), bytes, blob]).await?;
    if let Some(before) = before {
        discard(tx, &before, now).await?;
    }
    Ok(id)
}

pub async fn insert_version(tx: &mut Tx, version: &NewVersion<'_>) -> Result<(), CatalogError> {
    tx.execute(
        "insert into versions (born, file, number, name, content, description, has_parameters, \
         parameters_description, author, author_id, created_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        &[
            version.born.into(),
            version.file.into(),
            version.number.into(),
            version.name.into(),
            version.content.into(),
            version.description.map(str::to_owned).into(),
            version.has_parameters.into(),
            version.parameters_description.map(str::to_owned).into(),
            version.author.into(),
            version.author_id.into(),
            version.now.into(),
        ],
    )
    .await?;
    Ok(())
}

#[derive(Debug, Clone, Copy)]
pub enum Ended {
    Replaced,
    Deleted,
}

pub async fn end_version(
    tx: &mut Tx,
    file: i64,
    number: i64,
    change: i64,
    ended: Ended,
) -> Result<(), CatalogError> {
    let ended = match ended {
        Ended::Replaced => "replaced",
        Ended::Deleted => "deleted",
    };
    tx.execute(
        "update versions set died = $3, ended = $4 where file = $1 and number = $2",
        &[file.into(), number.into(), change.into(), ended.into()],
    )
    .await?;
    Ok(())
}

/// The file that lives under a name.
pub async fn find(tx: &mut Tx, name_key: &str) -> Result<Option<LibraryFile>, CatalogError> {
    let sql = format!("select {FILE} from {CURRENT} where f.name_key = $1 and f.deleted_at is null");
    tx.first(&sql, &[name_key.into()]).await?.map(|mut row| file(&mut row)).transpose()
}

/// One version of a file, whether it is current or not.
pub async fn version(tx: &mut Tx, id: i64, number: i64) -> Result<Option<LibraryFile>, CatalogError> {
    let sql = format!("select {FILE} from {EVERY} where f.id = $1 and v.number = $2");
    tx.first(&sql, &[id.into(), number.into()]).await?.map(|mut row| file(&mut row)).transpose()
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

/// Where the bytes of a digest are.
pub async fn content(tx: &mut Tx, sha256: &str) -> Result<Option<Content>, CatalogError> {
    let row = tx.first("select size, bytes, blob from contents where sha256 = $1", &[sha256.into()]).await?;
    row.map(|mut row| {
        let size = row.take::<i64>()?.unsigned_abs();
        let (bytes, blob): (Option<Bytes>, Option<String>) = (row.take()?, row.take()?);
        let place = match (bytes, blob) {
            (Some(bytes), _) => Place::Inline(bytes),
            (None, Some(key)) => Place::Blob(key),
            (None, None) => return Err(CatalogError::Shape(format!("content `{sha256}` is nowhere"))),
        };
        Ok(Content { sha256: sha256.to_owned(), size, place })
    })
    .transpose()
}

/// Names under which a content is or was in the library, newest first, at most `limit`.
pub async fn names(tx: &mut Tx, sha256: &str, limit: i64) -> Result<Vec<String>, CatalogError> {
    let sql = format!("select v.name from {EVERY} where c.sha256 = $1 order by v.born desc limit $2");
    let rows = tx.query(&sql, &[sha256.into(), limit.into()]).await?;
    rows.into_iter().map(|mut row| row.take()).collect()
}

/// Digests in order, after one, at most `limit`: to walk over all contents.
pub async fn digests(tx: &mut Tx, after: &str, limit: i64) -> Result<Vec<String>, CatalogError> {
    let rows = tx
        .query(
            "select sha256 from contents where sha256 > $1 order by sha256 limit $2",
            &[after.into(), limit.into()],
        )
        .await?;
    rows.into_iter().map(|mut row| row.take()).collect()
}

/// Which of these blobs have a row: a content's, or one that says that they are garbage.
pub async fn owned(tx: &mut Tx, blobs: &[String]) -> Result<Vec<String>, CatalogError> {
    if blobs.is_empty() {
        return Ok(Vec::new());
    }
    let list = (1..=blobs.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "select blob from contents where blob in ({list}) union select blob from garbage where blob in ({list})"
    );
    let params: Vec<Value> = blobs.iter().map(|blob| blob.as_str().into()).collect();
    let rows = tx.query(&sql, &params).await?;
    rows.into_iter().map(|mut row| row.take()).collect()
}

/// A version that the retention time no longer protects.
pub struct Expired {
    pub born: i64,
    pub file: i64,
    pub number: i64,
    pub name: String,
    pub content: i64,
    pub sha256: String,
}

/// Versions of files deleted before `before`, at most `limit`.
pub async fn expired(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<Vec<Expired>, CatalogError> {
    let rows = tx
        .query(
            &format!(
                "select v.born, v.file, v.number, v.name, v.content, c.sha256 from {EVERY} \
                 where f.deleted_at < $1 order by f.deleted_at, v.born limit $2"
            ),
            &[before.into(), limit.into()],
        )
        .await?;
    rows.into_iter()
        .map(|mut row| {
            Ok(Expired {
                born: row.take()?,
                file: row.take()?,
                number: row.take()?,
                name: row.take()?,
                content: row.take()?,
                sha256: row.take()?,
            })
        })
        .collect()
}

/// Removes a version of a deleted file, its file when that was the last version, and its content when no
/// version has the same bytes. A blob that lost its content becomes garbage.
pub async fn forget(tx: &mut Tx, expired: &Expired, now: Timestamp) -> Result<(), CatalogError> {
    tx.execute("delete from versions where born = $1", &[expired.born.into()]).await?;
    tx.execute(
        "delete from files where id = $1 and not exists (select 1 from versions where file = $1)",
        &[expired.file.into()],
    )
    .await?;
    let freed = tx
        .first(
            "delete from contents where id = $1 and not exists (select 1 from versions where content = $1) \
             returning blob",
            &[expired.content.into()],
        )
        .await?;
    let blob: Option<String> = freed.map(|mut row| row.take()).transpose()?.flatten();
    if let Some(blob) = blob {
        discard(tx, &blob, now).await?;
    }
    Ok(())
}

/// Writes down that nobody needs a blob.
pub async fn discard(tx: &mut Tx, blob: &str, now: Timestamp) -> Result<(), CatalogError> {
    tx.execute(
        "insert into garbage (blob, since) values ($1, $2) on conflict (blob) do nothing",
        &[blob.into(), now.into()],
    )
    .await?;
    Ok(())
}

/// Blobs discarded before `before`, at most `limit`.
pub async fn garbage(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<Vec<String>, CatalogError> {
    let rows = tx
        .query(
            "select blob from garbage where since < $1 order by since limit $2",
            &[before.into(), limit.into()],
        )
        .await?;
    rows.into_iter().map(|mut row| row.take()).collect()
}

pub async fn forget_garbage(tx: &mut Tx, blob: &str) -> Result<(), CatalogError> {
    tx.execute("delete from garbage where blob = $1", &[blob.into()]).await?;
    Ok(())
}

/// How many files live in the library, and how many bytes its contents have.
pub async fn usage(tx: &mut Tx) -> Result<(u64, u64), CatalogError> {
    let mut row = tx
        .one(
            "select (select count(*) from files where deleted_at is null), \
             (select cast(coalesce(sum(size), 0) as bigint) from contents)",
            &[],
        )
        .await?;
    Ok((row.take::<i64>()?.unsigned_abs(), row.take::<i64>()?.unsigned_abs()))
}

/// Rows that contradict each other, in words: none, unless somebody changed the database by hand.
pub async fn contradictions(tx: &mut Tx) -> Result<Vec<String>, CatalogError> {
    let checks = [
        (
            "select f.id from files f where not exists \
             (select 1 from versions v where v.file = f.id and v.number = f.version)",
            "has no current version",
        ),
        (
            "select f.id from files f join versions v on v.file = f.id and v.number = f.version \
             where (f.deleted_at is null) <> (v.died is null)",
            "lives and is deleted at once",
        ),
        (
            "select v.file from versions v join files f on f.id = v.file \
             where v.number <> f.version and v.died is null",
            "has a living version that is not the current one",
        ),
        (
            "select v.file from versions v where not exists (select 1 from contents c where c.id = v.content)",
            "has a version without content",
        ),
    ];
    let mut found = Vec::new();
    for (sql, problem) in checks {
        for mut row in tx.query(sql, &[]).await? {
            found.push(format!("file `{}` {problem}", row.take::<i64>()?));
        }
    }
    Ok(found)
}
