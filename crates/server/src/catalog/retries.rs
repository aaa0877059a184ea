//! Rows of uploads that may be sent again: what the first one was answered, by caller and key.

use jumpbag_wire::time::Timestamp;

use super::{CatalogError, Tx};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// What was sent.
    pub fingerprint: String,
    /// What was answered.
    pub answer: String,
}

pub async fn find(tx: &mut Tx, caller: &str, key: &str) -> Result<Option<Retry>, CatalogError> {
    let sql = "select fingerprint, answer from retries where caller = $1 and retry_key = $2";
    let row = tx.first(sql, &[caller.into(), key.into()]).await?;
    row.map(|mut row| Ok(Retry { fingerprint: row.take()?, answer: row.take()? })).transpose()
}

pub async fn insert(
    tx: &mut Tx,
    caller: &str,
    key: &str,
    retry: Retry,
    now: Timestamp,
) -> Result<(), CatalogError> {
    tx.execute(
        "insert into retries (caller, retry_key, fingerprint, answer, at) values ($1, $2, $3, $4, $5)",
        &[caller.into(), key.into(), retry.fingerprint.into(), retry.answer.into(), now.into()],
    )
    .await?;
    Ok(())
}

/// Forgets uploads from before `before`; how many those were.
pub async fn forget(tx: &mut Tx, before: Timestamp) -> Result<u64, CatalogError> {
    tx.execute("delete from retries where at < $1", &[before.into()]).await
}
