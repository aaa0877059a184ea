//! Rows of devices that wait for a person's word. A device's code is answered with a grant once, by one statement.

use jumpbag_wire::time::Timestamp;

use super::value::Row;
use super::{CatalogError, Tx};

/// A device that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRow {
    /// Of what the device itself shows.
    pub sha256: String,
    /// What the person types: its SHA-256.
    pub user_code: String,
    pub client: String,
    pub scope: String,
    pub audience: String,
    /// From where the device asked.
    pub address: String,
    pub expires_at: Timestamp,
    /// When it asked for the last time whether it was approved.
    pub asked_at: Option<Timestamp>,
    /// Seconds that it has to let pass between two questions.
    pub pace: i64,
    /// `waiting`, `approved` or `denied`.
    pub status: String,
    pub by: Option<Approval>,
}

/// Who approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    pub user: String,
    pub epoch: i64,
    pub signed_in_at: Timestamp,
}

const DEVICE: &str = "sha256, user_code, client, scope, audience, address, expires_at, asked_at, pace, status, user_id, \
                      epoch, signed_in_at";

/// Adds a device that waits; `false` when its user code is taken.
pub async fn insert(tx: &mut Tx, device: &DeviceRow) -> Result<bool, CatalogError> {
    let rows = tx
        .execute(
            "insert into devices (sha256, user_code, client, scope, audience, address, expires_at, pace, status) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, 'waiting') on conflict (user_code) do nothing",
            &[
                device.sha256.as_str().into(),
                device.user_code.as_str().into(),
                device.client.as_str().into(),
                device.scope.as_str().into(),
                device.audience.as_str().into(),
                device.address.as_str().into(),
                device.expires_at.into(),
                device.pace.into(),
            ],
        )
        .await?;
    Ok(rows == 1)
}

/// The device that waits for whoever has this code.
pub async fn waiting(
    tx: &mut Tx,
    user_code: &str,
    now: Timestamp,
) -> Result<Option<DeviceRow>, CatalogError> {
    let sql = format!(
        "select {DEVICE} from devices where user_code = $1 and expires_at > $2 and status = 'waiting'"
    );
    tx.first(&sql, &[user_code.into(), now.into()]).await?.map(device).transpose()
}

/// Writes the person's word down; `false` when the device does not wait.
pub async fn decide(
    tx: &mut Tx,
    user_code: &str,
    approved: bool,
    by: &Approval,
    now: Timestamp,
) -> Result<bool, CatalogError> {
    let rows = tx
        .execute(
            "update devices set status = $2, user_id = $3, epoch = $4, signed_in_at = $5 \
             where user_code = $1 and status = 'waiting' and expires_at > $6",
            &[
                user_code.into(),
                if approved { "approved" } else { "denied" }.into(),
                by.user.as_str().into(),
                by.epoch.into(),
                by.signed_in_at.into(),
                now.into(),
            ],
        )
        .await?;
    Ok(rows == 1)
}

/// The device with this code, as it was before it asked this time.
pub async fn asks(
    tx: &mut Tx,
    sha256: &str,
    client: &str,
    now: Timestamp,
) -> Result<Option<DeviceRow>, CatalogError> {
    // Takes the row before it is read: of two that ask at once, the other one comes second.
    let sql = "update devices set sha256 = sha256 where sha256 = $1 and client = $2";
    tx.execute(sql, &[sha256.into(), client.into()]).await?;
    let sql = format!("select {DEVICE} from devices where sha256 = $1 and client = $2");
    let found = tx.first(&sql, &[sha256.into(), client.into()]).await?.map(device).transpose()?;
    let sql = "update devices set asked_at = $3 where sha256 = $1 and client = $2";
    tx.execute(sql, &[sha256.into(), client.into(), now.into()]).await?;
    Ok(found)
}

/// Makes a device ask less often.
pub async fn slow_down(tx: &mut Tx, sha256: &str, pace: i64) -> Result<(), CatalogError> {
    tx.execute("update devices set pace = $2 where sha256 = $1", &[sha256.into(), pace.into()]).await?;
    Ok(())
}

/// Ends the device's wait; `false` when somebody else did.
pub async fn end(tx: &mut Tx, sha256: &str) -> Result<bool, CatalogError> {
    Ok(tx.execute("delete from devices where sha256 = $1", &[sha256.into()]).await? == 1)
}

/// How many devices wait.
pub async fn count(tx: &mut Tx, now: Timestamp) -> Result<i64, CatalogError> {
    tx.one("select count(*) from devices where expires_at > $1", &[now.into()]).await?.take()
}

fn device(mut row: Row) -> Result<DeviceRow, CatalogError> {
    let mut device = DeviceRow {
        sha256: row.take()?,
        user_code: row.take()?,
        client: row.take()?,
        scope: row.take()?,
        audience: row.take()?,
        address: row.take()?,
        expires_at: row.take()?,
        asked_at: row.take()?,
        pace: row.take()?,
        status: row.take()?,
        by: None,
    };
    if let Some(user) = row.take()? {
        device.by = Some(Approval { user, epoch: row.take()?, signed_in_at: row.take()? });
    }
    Ok(device)
}

/// Removes devices that expired before.
pub async fn forget(tx: &mut Tx, before: Timestamp) -> Result<(), CatalogError> {
    tx.execute("delete from devices where expires_at < $1", &[before.into()]).await?;
    Ok(())
}
