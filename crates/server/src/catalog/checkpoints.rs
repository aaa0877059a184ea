//! Rows of the audit log's checkpoints, and of the key that signs them. One number has one checkpoint at most.

use jumpbag_wire::time::Timestamp;

use super::value::Row;
use super::{CatalogError, Tx};

/// A signed note and the number of the entry that it says it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRow {
    pub number: i64,
    pub note: String,
}

fn row(mut row: Row) -> Result<CheckpointRow, CatalogError> {
    Ok(CheckpointRow { number: row.take()?, note: row.take()? })
}

/// Adds a checkpoint; `false` when the number has one already.
pub async fn insert(tx: &mut Tx, checkpoint: &CheckpointRow, now: Timestamp) -> Result<bool, CatalogError> {
    let sql =
        "insert into checkpoints (number, at, note) values ($1, $2, $3) on conflict (number) do nothing";
    let params = [checkpoint.number.into(), now.into(), checkpoint.note.as_str().into()];
    Ok(tx.execute(sql, &params).await? > 0)
}

/// The checkpoint over the highest number.
pub async fn newest(tx: &mut Tx) -> Result<Option<CheckpointRow>, CatalogError> {
    let sql = "select number, note from checkpoints order by number desc limit 1";
    tx.first(sql, &[]).await?.map(row).transpose()
}

/// Checkpoints over the numbers `from` to `to`, in order.
pub async fn between(tx: &mut Tx, from: i64, to: i64) -> Result<Vec<CheckpointRow>, CatalogError> {
    let sql = "select number, note from checkpoints where number between $1 and $2 order by number";
    tx.query(sql, &[from.into(), to.into()]).await?.into_iter().map(row).collect()
}

/// The private key, as PEM, that signs for the log of this name.
pub async fn key(tx: &mut Tx, name: &str) -> Result<Option<String>, CatalogError> {
    let sql = "select private_key from audit_keys where name = $1";
    tx.first(sql, &[name.into()]).await?.map(|mut row| row.take()).transpose()
}

/// Keeps the private key of a log that has none yet.
pub async fn insert_key(tx: &mut Tx, name: &str, pem: &str, now: Timestamp) -> Result<(), CatalogError> {
    let sql = "insert into audit_keys (name, private_key, created_at) values ($1, $2, $3) \
               on conflict (name) do nothing";
    tx.execute(sql, &[name.into(), pem.into(), now.into()]).await?;
    Ok(())
}
