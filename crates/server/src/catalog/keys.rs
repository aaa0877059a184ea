//! Rows of the keys that sign tokens.

use jumpbag_wire::time::Timestamp;

use super::{CatalogError, Tx};

pub struct KeyRow {
    pub kid: String,
    pub private_key: String,
    pub created_at: Timestamp,
    pub retired_at: Option<Timestamp>,
}

/// All keys, newest first.
pub async fn all(tx: &mut Tx) -> Result<Vec<KeyRow>, CatalogError> {
    let rows = tx
        .query(
            "select kid, private_key, created_at, retired_at from signing_keys order by created_at desc, kid",
            &[],
        )
        .await?;
    rows.into_iter()
        .map(|mut row| {
            Ok(KeyRow {
                kid: row.take()?,
                private_key: row.take()?,
                created_at: row.take()?,
                retired_at: row.take()?,
            })
        })
        .collect()
}

/// Adds a key and retires those before it.
pub async fn insert(tx: &mut Tx, key: &KeyRow) -> Result<(), CatalogError> {
    tx.execute("update signing_keys set retired_at = $1 where retired_at is null", &[key.created_at.into()])
        .await?;
    tx.execute(
        "insert into signing_keys (kid, private_key, created_at) values ($1, $2, $3)",
        &[key.kid.as_str().into(), key.private_key.as_str().into(), key.created_at.into()],
    )
    .await?;
    Ok(())
}

/// Removes keys that retired before `before`: nothing they signed is valid any more.
pub async fn forget(tx: &mut Tx, before: Timestamp) -> Result<u64, CatalogError> {
    tx.execute("delete from signing_keys where retired_at < $1", &[before.into()]).await
}
