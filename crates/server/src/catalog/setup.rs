//! The row of the link by which the first user is made. It counts once, and only while there never was a user.

use jumpbag_wire::time::Timestamp;

use super::{CatalogError, Tx};

pub async fn offer(tx: &mut Tx, sha256: &str, expires_at: Timestamp) -> Result<(), CatalogError> {
    let sql = "insert into setup (sha256, expires_at) values ($1, $2)";
    tx.execute(sql, &[sha256.into(), expires_at.into()]).await?;
    Ok(())
}

const GOOD: &str = "sha256 = $1 and expires_at > $2 and not exists (select 1 from users)";

pub async fn is_good(tx: &mut Tx, sha256: &str, now: Timestamp) -> Result<bool, CatalogError> {
    let sql = format!("select 1 from setup where {GOOD}");
    Ok(tx.first(&sql, &[sha256.into(), now.into()]).await?.is_some())
}

/// Uses the link up; `false` when it does not count.
pub async fn take(tx: &mut Tx, sha256: &str, now: Timestamp) -> Result<bool, CatalogError> {
    let sql = format!("delete from setup where {GOOD}");
    Ok(tx.execute(&sql, &[sha256.into(), now.into()]).await? == 1)
}

/// Removes links that expired before `now`.
pub async fn forget(tx: &mut Tx, now: Timestamp) -> Result<(), CatalogError> {
    tx.execute("delete from setup where expires_at < $1", &[now.into()]).await?;
    Ok(())
}
