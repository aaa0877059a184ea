//! Rows of browsers whose users an issuer elsewhere has signed in. What they may do is what was said then.

use jumpbag_wire::time::Timestamp;

use super::{CatalogError, Tx};

/// A sign-in at an issuer elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalSessionRow {
    pub id: String,
    /// Of the cookie.
    pub sha256: String,
    /// As the settings call it.
    pub issuer: String,
    /// The issuer's own id for the user.
    pub user: String,
    pub display_name: String,
    pub login: String,
    pub tenant: Option<String>,
    pub permissions: Vec<String>,
    pub created_at: Timestamp,
    pub seen_at: Timestamp,
    pub expires_at: Timestamp,
}

const ROW: &str =
    "id, sha256, issuer, user_id, display_name, login, tenant, permissions, created_at, seen_at, expires_at";

pub async fn insert(tx: &mut Tx, session: &ExternalSessionRow) -> Result<(), CatalogError> {
    tx.execute(
        &format!(
            "insert into external_sessions ({ROW}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
        ),
        &[
            session.id.as_str().into(),
            session.sha256.as_str().into(),
            session.issuer.as_str().into(),
            session.user.as_str().into(),
            session.display_name.as_str().into(),
            session.login.as_str().into(),
            session.tenant.clone().into(),
            session.permissions.join(" ").into(),
            session.created_at.into(),
            session.seen_at.into(),
            session.expires_at.into(),
        ],
    )
    .await?;
    Ok(())
}

pub async fn find(tx: &mut Tx, sha256: &str) -> Result<Option<ExternalSessionRow>, CatalogError> {
    let sql = format!("select {ROW} from external_sessions where sha256 = $1");
    let Some(mut row) = tx.first(&sql, &[sha256.into()]).await? else { return Ok(None) };
    Ok(Some(ExternalSessionRow {
        id: row.take()?,
        sha256: row.take()?,
        issuer: row.take()?,
        user: row.take()?,
        display_name: row.take()?,
        login: row.take()?,
        tenant: row.take()?,
        permissions: row.take::<String>()?.split(' ').map(str::to_owned).collect(),
        created_at: row.take()?,
        seen_at: row.take()?,
        expires_at: row.take()?,
    }))
}

/// Notes that a session was used.
pub async fn touch(tx: &mut Tx, id: &str, now: Timestamp) -> Result<(), CatalogError> {
    let sql = "update external_sessions set seen_at = $2 where id = $1 and seen_at < $2";
    tx.execute(sql, &[id.into(), now.into()]).await?;
    Ok(())
}

pub async fn end(tx: &mut Tx, id: &str) -> Result<(), CatalogError> {
    tx.execute("delete from external_sessions where id = $1", &[id.into()]).await?;
    Ok(())
}

/// Removes sessions that were last seen before `idle`, or are over.
pub async fn forget(tx: &mut Tx, idle: Timestamp, now: Timestamp) -> Result<(), CatalogError> {
    let sql = "delete from external_sessions where seen_at < $1 or expires_at < $2";
    tx.execute(sql, &[idle.into(), now.into()]).await?;
    Ok(())
}
