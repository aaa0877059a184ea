//! Rows of app registrations, their permissions, secrets and certificates, and of the tenant.

use jumpbag_wire::time::Timestamp;

use super::value::Row;
use super::{CatalogError, Tx};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRow {
    pub id: String,
    pub name: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub permissions: Vec<String>,
    pub secrets: Vec<SecretRow>,
    pub certificates: Vec<CertificateRow>,
    /// It has no secret, and proves nothing.
    pub public: bool,
    /// Where browsers may be sent that signed in for it.
    pub redirects: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRow {
    /// Hexadecimal.
    pub sha256: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRow {
    /// Of the certificate, hexadecimal.
    pub sha256: String,
    pub pem: String,
    pub created_at: Timestamp,
}

/// The tenant's id, made on the first call. `true` when it was made now.
pub async fn tenant(tx: &mut Tx, now: Timestamp) -> Result<(String, bool), CatalogError> {
    if let Some(mut row) = tx.first("select id from tenant", &[]).await? {
        return Ok((row.take()?, false));
    }
    let id = uuid::Uuid::new_v4().to_string();
    tx.execute(
        "insert into tenant (id, created_at, change) values ($1, $2, 0)",
        &[id.as_str().into(), now.into()],
    )
    .await?;
    Ok((id, true))
}

/// Registers a client; `false` when the id is taken, even by one that was removed.
pub async fn insert(
    tx: &mut Tx,
    id: &str,
    name: &str,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool, CatalogError> {
    let rows = tx
        .execute(
            "insert into clients (id, name, created_at, expires_at) values ($1, $2, $3, $4) \
             on conflict (id) do nothing",
            &[id.into(), name.into(), now.into(), expires_at.into()],
        )
        .await?;
    Ok(rows == 1)
}

pub async fn grant(tx: &mut Tx, id: &str, permission: &str) -> Result<(), CatalogError> {
    tx.execute(
        "insert into client_permissions (client, permission) values ($1, $2) \
         on conflict (client, permission) do nothing",
        &[id.into(), permission.into()],
    )
    .await?;
    Ok(())
}

pub async fn insert_secret(
    tx: &mut Tx,
    id: &str,
    sha256: &str,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), CatalogError> {
    tx.execute(
        "insert into client_secrets (client, sha256, created_at, expires_at) values ($1, $2, $3, $4) \
         on conflict (client, sha256) do update set expires_at = excluded.expires_at",
        &[id.into(), sha256.into(), now.into(), expires_at.into()],
    )
    .await?;
    Ok(())
}

/// Removes one secret of a client; `false` when there is none.
pub async fn remove_secret(tx: &mut Tx, id: &str, sha256: &str) -> Result<bool, CatalogError> {
    let sql = "delete from client_secrets where client = $1 and sha256 = $2";
    Ok(tx.execute(sql, &[id.into(), sha256.into()]).await? == 1)
}

/// Removes a client's secrets that have ended.
pub async fn forget_secrets(tx: &mut Tx, id: &str, now: Timestamp) -> Result<(), CatalogError> {
    tx.execute("delete from client_secrets where client = $1 and expires_at <= $2", &[id.into(), now.into()])
        .await?;
    Ok(())
}

/// Lets every secret of a client end at `at`, where it does not end before.
pub async fn end_secrets(tx: &mut Tx, id: &str, at: Timestamp) -> Result<(), CatalogError> {
    tx.execute(
        "update client_secrets set expires_at = $2 where client = $1 and (expires_at is null or expires_at > $2)",
        &[id.into(), at.into()],
    )
    .await?;
    Ok(())
}

pub async fn insert_certificate(
    tx: &mut Tx,
    id: &str,
    sha256: &str,
    pem: &str,
    now: Timestamp,
) -> Result<(), CatalogError> {
    tx.execute(
        "insert into client_certificates (client, sha256, pem, created_at) values ($1, $2, $3, $4) \
         on conflict (client, sha256) do nothing",
        &[id.into(), sha256.into(), pem.into(), now.into()],
    )
    .await?;
    Ok(())
}

/// Says that a client has no secret.
pub async fn set_public(tx: &mut Tx, id: &str) -> Result<(), CatalogError> {
    tx.execute("update clients set public = true where id = $1", &[id.into()]).await?;
    Ok(())
}

pub async fn insert_redirect(tx: &mut Tx, id: &str, uri: &str) -> Result<(), CatalogError> {
    tx.execute(
        "insert into client_redirects (client, uri) values ($1, $2) on conflict (client, uri) do nothing",
        &[id.into(), uri.into()],
    )
    .await?;
    Ok(())
}

/// Another name, and another end.
pub async fn rename(
    tx: &mut Tx,
    id: &str,
    name: &str,
    expires_at: Option<Timestamp>,
) -> Result<(), CatalogError> {
    tx.execute(
        "update clients set name = $2, expires_at = $3 where id = $1",
        &[id.into(), name.into(), expires_at.into()],
    )
    .await?;
    Ok(())
}

/// Takes all permissions away.
pub async fn revoke_all(tx: &mut Tx, id: &str) -> Result<(), CatalogError> {
    tx.execute("delete from client_permissions where client = $1", &[id.into()]).await?;
    Ok(())
}

pub async fn remove_redirects(tx: &mut Tx, id: &str) -> Result<(), CatalogError> {
    tx.execute("delete from client_redirects where client = $1", &[id.into()]).await?;
    Ok(())
}

/// Takes a client out of use; `false` when there is none.
pub async fn remove(tx: &mut Tx, id: &str, now: Timestamp) -> Result<bool, CatalogError> {
    let rows = tx
        .execute(
            "update clients set removed_at = $2 where id = $1 and removed_at is null",
            &[id.into(), now.into()],
        )
        .await?;
    Ok(rows == 1)
}

const CLIENT: &str = "select id, name, created_at, expires_at, public from clients where removed_at is null";

pub async fn find(tx: &mut Tx, id: &str) -> Result<Option<ClientRow>, CatalogError> {
    match tx.first(&format!("{CLIENT} and id = $1"), &[id.into()]).await? {
        None => Ok(None),
        Some(row) => client(tx, row).await.map(Some),
    }
}

pub async fn all(tx: &mut Tx) -> Result<Vec<ClientRow>, CatalogError> {
    let mut found = Vec::new();
    for row in tx.query(&format!("{CLIENT} order by created_at, id"), &[]).await? {
        found.push(client(tx, row).await?);
    }
    Ok(found)
}

/// Some clients behind one, which time and id name, in the order in which they were made.
pub async fn page(
    tx: &mut Tx,
    (at, id): (Timestamp, &str),
    limit: i64,
) -> Result<Vec<ClientRow>, CatalogError> {
    let sql = format!(
        "{CLIENT} and (created_at > $1 or (created_at = $1 and id > $2)) order by created_at, id limit $3"
    );
    let mut found = Vec::new();
    for row in tx.query(&sql, &[at.into(), id.into(), limit.into()]).await? {
        found.push(client(tx, row).await?);
    }
    Ok(found)
}

async fn client(tx: &mut Tx, mut row: Row) -> Result<ClientRow, CatalogError> {
    let id: String = row.take()?;
    let of = [id.as_str().into()];
    let permissions = tx
        .query("select permission from client_permissions where client = $1 order by permission", &of)
        .await?;
    let secrets = tx
        .query(
            "select sha256, created_at, expires_at from client_secrets where client = $1 order by created_at",
            &of,
        )
        .await?;
    let certificates = tx
        .query(
            "select sha256, pem, created_at from client_certificates where client = $1 order by created_at",
            &of,
        )
        .await?;
    let redirects = tx.query("select uri from client_redirects where client = $1 order by uri", &of).await?;
    Ok(ClientRow {
        name: row.take()?,
        created_at: row.take()?,
        expires_at: row.take()?,
        public: row.take()?,
        redirects: redirects.into_iter().map(|mut row| row.take()).collect::<Result<_, _>>()?,
        permissions: permissions.into_iter().map(|mut row| row.take()).collect::<Result<_, _>>()?,
        secrets: secrets
            .into_iter()
            .map(|mut row| {
                Ok(SecretRow { sha256: row.take()?, created_at: row.take()?, expires_at: row.take()? })
            })
            .collect::<Result<_, CatalogError>>()?,
        certificates: certificates
            .into_iter()
            .map(|mut row| {
                Ok(CertificateRow { sha256: row.take()?, pem: row.take()?, created_at: row.take()? })
            })
            .collect::<Result<_, CatalogError>>()?,
        id,
    })
}
