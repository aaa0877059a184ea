//! Rows of browsers that signed in, and of the codes they carry to apps. A code is used once, by one statement.

use jumpbag_wire::time::Timestamp;

use super::value::Row;
use super::{CatalogError, Tx};

/// A browser's sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    pub id: String,
    /// Of the cookie.
    pub sha256: String,
    pub user: String,
    pub epoch: i64,
    pub created_at: Timestamp,
    pub seen_at: Timestamp,
}

pub async fn insert(tx: &mut Tx, session: &SessionRow) -> Result<(), CatalogError> {
    tx.execute(
        "insert into sessions (id, sha256, user_id, epoch, created_at, seen_at) values ($1, $2, $3, $4, $5, $6)",
        &[
            session.id.as_str().into(),
            session.sha256.as_str().into(),
            session.user.as_str().into(),
            session.epoch.into(),
            session.created_at.into(),
            session.seen_at.into(),
        ],
    )
    .await?;
    Ok(())
}

pub async fn find(tx: &mut Tx, sha256: &str) -> Result<Option<SessionRow>, CatalogError> {
    let sql = "select id, sha256, user_id, epoch, created_at, seen_at from sessions where sha256 = $1";
    let Some(mut row) = tx.first(sql, &[sha256.into()]).await? else { return Ok(None) };
    Ok(Some(SessionRow {
        id: row.take()?,
        sha256: row.take()?,
        user: row.take()?,
        epoch: row.take()?,
        created_at: row.take()?,
        seen_at: row.take()?,
    }))
}

/// Notes that a session was used.
pub async fn touch(tx: &mut Tx, id: &str, now: Timestamp) -> Result<(), CatalogError> {
    tx.execute("update sessions set seen_at = $2 where id = $1 and seen_at < $2", &[id.into(), now.into()])
        .await?;
    Ok(())
}

/// Ends a session and what apps got from it.
pub async fn end(tx: &mut Tx, id: &str) -> Result<(), CatalogError> {
    tx.execute("delete from sessions where id = $1", &[id.into()]).await?;
    tx.execute("delete from codes where session = $1", &[id.into()]).await?;
    tx.execute("delete from grants where session = $1", &[id.into()]).await?;
    Ok(())
}

/// What a user's browser carries to an app, which gets a grant for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeRow {
    pub sha256: String,
    /// Of the grant that it becomes.
    pub grant: String,
    pub client: String,
    pub redirect_uri: String,
    /// PKCE's, S256.
    pub challenge: String,
    pub nonce: Option<String>,
    pub scope: String,
    pub audience: String,
    pub user: String,
    pub epoch: i64,
    pub session: String,
    pub signed_in_at: Timestamp,
    pub expires_at: Timestamp,
}

const CODE: &str = "sha256, grant_id, client, redirect_uri, challenge, nonce, scope, audience, user_id, epoch, session, \
                    signed_in_at, expires_at";

pub async fn insert_code(tx: &mut Tx, code: &CodeRow) -> Result<(), CatalogError> {
    tx.execute(
        &format!(
            "insert into codes ({CODE}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
        ),
        &[
            code.sha256.as_str().into(),
            code.grant.as_str().into(),
            code.client.as_str().into(),
            code.redirect_uri.as_str().into(),
            code.challenge.as_str().into(),
            code.nonce.clone().into(),
            code.scope.as_str().into(),
            code.audience.as_str().into(),
            code.user.as_str().into(),
            code.epoch.into(),
            code.session.as_str().into(),
            code.signed_in_at.into(),
            code.expires_at.into(),
        ],
    )
    .await?;
    Ok(())
}

/// Uses a code up; `None` when there is none, or it was used.
pub async fn use_code(tx: &mut Tx, sha256: &str, now: Timestamp) -> Result<Option<CodeRow>, CatalogError> {
    let sql = format!("update codes set used_at = $2 where sha256 = $1 and used_at is null returning {CODE}");
    tx.first(&sql, &[sha256.into(), now.into()]).await?.map(code).transpose()
}

/// The grant that a code which was used has become.
pub async fn used_for(tx: &mut Tx, sha256: &str) -> Result<Option<String>, CatalogError> {
    let sql = "select grant_id from codes where sha256 = $1 and used_at is not null";
    tx.first(sql, &[sha256.into()]).await?.map(|mut row| row.take()).transpose()
}

fn code(mut row: Row) -> Result<CodeRow, CatalogError> {
    Ok(CodeRow {
        sha256: row.take()?,
        grant: row.take()?,
        client: row.take()?,
        redirect_uri: row.take()?,
        challenge: row.take()?,
        nonce: row.take()?,
        scope: row.take()?,
        audience: row.take()?,
        user: row.take()?,
        epoch: row.take()?,
        session: row.take()?,
        signed_in_at: row.take()?,
        expires_at: row.take()?,
    })
}

/// Removes sessions that were last seen before `idle` or began before `old`, and codes that expired before `codes`.
pub async fn forget(
    tx: &mut Tx,
    idle: Timestamp,
    old: Timestamp,
    codes: Timestamp,
) -> Result<(), CatalogError> {
    tx.execute("delete from sessions where seen_at < $1 or created_at < $2", &[idle.into(), old.into()])
        .await?;
    tx.execute("delete from codes where expires_at < $1", &[codes.into()]).await?;
    Ok(())
}
