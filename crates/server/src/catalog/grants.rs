//! Rows of what apps hold for users. A grant knows one refresh token, and each use replaces it by one statement: of two
//! that come with the same one, one gets nothing.

use jumpbag_wire::time::Timestamp;

use super::value::Row;
use super::{CatalogError, Tx};

/// What an app holds for a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRow {
    pub id: String,
    /// Of the refresh token that is good now.
    pub sha256: String,
    pub client: String,
    pub scope: String,
    pub audience: String,
    pub user: String,
    pub epoch: i64,
    /// The browser's session that it came from and ends with.
    pub session: Option<String>,
    pub signed_in_at: Timestamp,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

const GRANT: &str =
    "id, sha256, client, scope, audience, user_id, epoch, session, signed_in_at, created_at, expires_at";

pub async fn insert(tx: &mut Tx, grant: &GrantRow) -> Result<(), CatalogError> {
    tx.execute(
        &format!("insert into grants ({GRANT}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"),
        &[
            grant.id.as_str().into(),
            grant.sha256.as_str().into(),
            grant.client.as_str().into(),
            grant.scope.as_str().into(),
            grant.audience.as_str().into(),
            grant.user.as_str().into(),
            grant.epoch.into(),
            grant.session.clone().into(),
            grant.signed_in_at.into(),
            grant.created_at.into(),
            grant.expires_at.into(),
        ],
    )
    .await?;
    Ok(())
}

/// Puts a new refresh token in place of the one that was shown, of this client; `None` when that one is not the one
/// that is good now, or has expired.
pub async fn rotate(
    tx: &mut Tx,
    id: &str,
    client: &str,
    shown: &str,
    next: &str,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<Option<GrantRow>, CatalogError> {
    let sql = format!(
        "update grants set sha256 = $4, expires_at = $5 \
         where id = $1 and client = $2 and sha256 = $3 and expires_at > $6 returning {GRANT}"
    );
    let values = [id.into(), client.into(), shown.into(), next.into(), expires_at.into(), now.into()];
    tx.first(&sql, &values).await?.map(grant).transpose()
}

pub async fn find(tx: &mut Tx, id: &str) -> Result<Option<GrantRow>, CatalogError> {
    let sql = format!("select {GRANT} from grants where id = $1");
    tx.first(&sql, &[id.into()]).await?.map(grant).transpose()
}

/// Ends a grant; `false` when there is none.
pub async fn end(tx: &mut Tx, id: &str) -> Result<bool, CatalogError> {
    Ok(tx.execute("delete from grants where id = $1", &[id.into()]).await? == 1)
}

fn grant(mut row: Row) -> Result<GrantRow, CatalogError> {
    Ok(GrantRow {
        id: row.take()?,
        sha256: row.take()?,
        client: row.take()?,
        scope: row.take()?,
        audience: row.take()?,
        user: row.take()?,
        epoch: row.take()?,
        session: row.take()?,
        signed_in_at: row.take()?,
        created_at: row.take()?,
        expires_at: row.take()?,
    })
}

/// Removes grants that expired before.
pub async fn forget(tx: &mut Tx, before: Timestamp) -> Result<(), CatalogError> {
    tx.execute("delete from grants where expires_at < $1", &[before.into()]).await?;
    Ok(())
}
