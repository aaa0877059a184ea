//! Rows of people who sign in here, and of their failed attempts. A name lives at most once; an id is never used again.

use jumpbag_wire::time::Timestamp;

use super::value::Row;
use super::{CatalogError, Tx};

/// A user that was not removed.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRow {
    pub id: String,
    pub name: String,
    pub display_name: String,
    /// In PHC's form.
    pub password: String,
    /// The secret of one-time codes, in base32.
    pub totp: Option<String>,
    /// What sessions and tokens carry; those of another epoch count no more.
    pub epoch: i64,
    pub created_at: Timestamp,
    pub disabled_at: Option<Timestamp>,
    pub permissions: Vec<String>,
}

/// What a new user begins with.
pub struct NewUser<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub display_name: &'a str,
    pub password: &'a str,
    pub totp: Option<&'a str>,
}

/// Names are the same that differ only in letter case.
fn key(name: &str) -> String {
    name.to_lowercase()
}

/// Adds a user; `false` when the name is taken.
pub async fn insert(tx: &mut Tx, user: &NewUser<'_>, now: Timestamp) -> Result<bool, CatalogError> {
    let rows = tx
        .execute(
            "insert into users (id, name, name_key, display_name, password, totp, epoch, created_at, password_at) \
             values ($1, $2, $3, $4, $5, $6, 1, $7, $7) \
             on conflict (name_key) where removed_at is null do nothing",
            &[
                user.id.into(),
                user.name.into(),
                key(user.name).into(),
                user.display_name.into(),
                user.password.into(),
                user.totp.into(),
                now.into(),
            ],
        )
        .await?;
    Ok(rows == 1)
}

const USER: &str = "select id, name, display_name, password, totp, epoch, created_at, disabled_at from users \
                    where removed_at is null";

/// By name, in any letter case.
pub async fn named(tx: &mut Tx, name: &str) -> Result<Option<UserRow>, CatalogError> {
    match tx.first(&format!("{USER} and name_key = $1"), &[key(name).into()]).await? {
        None => Ok(None),
        Some(row) => user(tx, row).await.map(Some),
    }
}

pub async fn find(tx: &mut Tx, id: &str) -> Result<Option<UserRow>, CatalogError> {
    match tx.first(&format!("{USER} and id = $1"), &[id.into()]).await? {
        None => Ok(None),
        Some(row) => user(tx, row).await.map(Some),
    }
}

/// Whether there is anybody.
pub async fn any(tx: &mut Tx) -> Result<bool, CatalogError> {
    Ok(tx.first("select 1 from users where removed_at is null limit 1", &[]).await?.is_some())
}

pub async fn all(tx: &mut Tx) -> Result<Vec<UserRow>, CatalogError> {
    let mut found = Vec::new();
    for row in tx.query(&format!("{USER} order by name_key"), &[]).await? {
        found.push(user(tx, row).await?);
    }
    Ok(found)
}

async fn user(tx: &mut Tx, mut row: Row) -> Result<UserRow, CatalogError> {
    let id: String = row.take()?;
    let sql = "select permission from user_permissions where user_id = $1 order by permission";
    let permissions = tx.query(sql, &[id.as_str().into()]).await?;
    Ok(UserRow {
        id,
        name: row.take()?,
        display_name: row.take()?,
        password: row.take()?,
        totp: row.take()?,
        epoch: row.take()?,
        created_at: row.take()?,
        disabled_at: row.take()?,
        permissions: permissions.into_iter().map(|mut row| row.take()).collect::<Result<_, _>>()?,
    })
}

/// Gives a user these permissions and no others.
pub async fn set_permissions(tx: &mut Tx, id: &str, permissions: &[&str]) -> Result<(), CatalogError> {
    tx.execute("delete from user_permissions where user_id = $1", &[id.into()]).await?;
    for permission in permissions {
        tx.execute(
            "insert into user_permissions (user_id, permission) values ($1, $2) \
             on conflict (user_id, permission) do nothing",
            &[id.into(), (*permission).into()],
        )
        .await?;
    }
    Ok(())
}

pub async fn set_password(tx: &mut Tx, id: &str, password: &str, now: Timestamp) -> Result<(), CatalogError> {
    let sql = "update users set password = $2, password_at = $3 where id = $1";
    tx.execute(sql, &[id.into(), password.into(), now.into()]).await?;
    Ok(())
}

/// Another secret for one-time codes, or none.
pub async fn set_totp(tx: &mut Tx, id: &str, secret: Option<&str>) -> Result<(), CatalogError> {
    let sql = "update users set totp = $2, totp_step = null where id = $1";
    tx.execute(sql, &[id.into(), secret.into()]).await?;
    Ok(())
}

/// Uses up the code of this step and of those before; `false` when it was used already.
pub async fn use_step(tx: &mut Tx, id: &str, step: i64) -> Result<bool, CatalogError> {
    let sql = "update users set totp_step = $2 where id = $1 and (totp_step is null or totp_step < $2)";
    Ok(tx.execute(sql, &[id.into(), step.into()]).await? == 1)
}

pub async fn set_disabled(tx: &mut Tx, id: &str, at: Option<Timestamp>) -> Result<(), CatalogError> {
    tx.execute("update users set disabled_at = $2 where id = $1", &[id.into(), at.into()]).await?;
    Ok(())
}

/// Takes a user out for good; the name is free again.
pub async fn remove(tx: &mut Tx, id: &str, now: Timestamp) -> Result<(), CatalogError> {
    tx.execute("update users set removed_at = $2 where id = $1", &[id.into(), now.into()]).await?;
    Ok(())
}

/// Ends what the user's sign-ins hold: sessions, refresh tokens, and by the epoch the tokens made of them.
pub async fn end_sessions(tx: &mut Tx, id: &str) -> Result<(), CatalogError> {
    tx.execute("update users set epoch = epoch + 1 where id = $1", &[id.into()]).await?;
    for table in ["sessions", "codes", "grants", "devices"] {
        tx.execute(&format!("delete from {table} where user_id = $1"), &[id.into()]).await?;
    }
    Ok(())
}

/// Failures in a row: how many, and when the last one was. The row stays locked until the transaction ends.
pub async fn failures(tx: &mut Tx, subject: &str) -> Result<Option<(i64, Timestamp)>, CatalogError> {
    let sql = "insert into sign_in_failures (subject, count, last) values ($1, 0, 0) \
               on conflict (subject) do update set count = sign_in_failures.count \
               returning sign_in_failures.count, sign_in_failures.last";
    let mut row = tx.one(sql, &[subject.into()]).await?;
    let (count, last): (i64, Timestamp) = (row.take()?, row.take()?);
    Ok((count > 0).then_some((count, last)))
}

pub async fn set_failures(
    tx: &mut Tx,
    subject: &str,
    count: i64,
    last: Timestamp,
) -> Result<(), CatalogError> {
    let sql = "update sign_in_failures set count = $2, last = $3 where subject = $1";
    tx.execute(sql, &[subject.into(), count.into(), last.into()]).await?;
    Ok(())
}

/// Forgets failures whose last one was before.
pub async fn forget_failures(tx: &mut Tx, before: Timestamp) -> Result<(), CatalogError> {
    tx.execute("delete from sign_in_failures where last < $1", &[before.into()]).await?;
    Ok(())
}
