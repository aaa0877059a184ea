//! Rows of contents: bytes, once per digest, and the garbage that blobs without one become.

use bytes::Bytes;
use jumpbag_wire::time::Timestamp;

use super::audit::Turn;
use super::value::Value;
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

/// Gives the bytes a row; its id, which is the change's number when the row is new. Bytes that were there before
/// are where they were offered now: what is durable this moment heals what may have been damaged since. The blob
/// that held them becomes garbage. Only within a change, because changes take turns.
pub async fn keep_content(
    tx: &mut Tx,
    turn: &mut Turn,
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
                turn.number.into(),
                content.sha256.as_str().into(),
                (content.size as i64).into(),
                bytes,
                blob,
                now.into(),
            ],
        )
        .await?;
        turn.bytes += content.size as i64;
        return Ok(turn.number);
    };
    let (id, before): (i64, Option<String>) = (known.take()?, known.take()?);
    tx.execute("update contents set bytes = $2, blob = $3 where id = $1", &[id.into(), bytes, blob]).await?;
    if let Some(before) = before {
        discard(tx, &before, now).await?;
    }
    Ok(id)
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
    let sql = "select v.name from versions v join contents c on c.id = v.content \
               where c.sha256 = $1 order by v.born desc limit $2";
    let rows = tx.query(sql, &[sha256.into(), limit.into()]).await?;
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
        "select blob from contents where blob in ({list}) union select blob from garbage where blob in ({list}) \
         union select blob from output where blob in ({list})"
    );
    let params: Vec<Value> = blobs.iter().map(|blob| blob.as_str().into()).collect();
    let rows = tx.query(&sql, &params).await?;
    rows.into_iter().map(|mut row| row.take()).collect()
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

/// Removes a content that no version has any more and no open action needs. Its blob becomes garbage.
pub(super) async fn free(tx: &mut Tx, turn: &mut Turn, id: i64, now: Timestamp) -> Result<(), CatalogError> {
    let freed = tx
        .first(
            "delete from contents where id = $1 and not exists (select 1 from versions where content = $1) \
             and not exists (select 1 from commands where content = $1) returning size, blob",
            &[id.into()],
        )
        .await?;
    if let Some(mut freed) = freed {
        turn.bytes -= freed.take::<i64>()?;
        if let Some(blob) = freed.take::<Option<String>>()? {
            discard(tx, &blob, now).await?;
        }
    }
    Ok(())
}
