//! Rows of webhooks: where each stands in the audit log, how its last attempt went, and which node may deliver.

use jumpbag_wire::event::EventType;
use jumpbag_wire::time::Timestamp;

use super::value::Row;
use super::{CatalogError, Tx};
use crate::auth::secret::Hidden;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRow {
    pub id: String,
    pub url: String,
    pub description: Option<String>,
    pub events: Vec<EventType>,
    pub secret: Hidden,
    pub created_at: Timestamp,
    pub created_by: String,
    pub disabled_at: Option<Timestamp>,
    /// Number of the last change that was delivered or does not concern it.
    pub delivered: i64,
    /// How often the next event failed.
    pub attempts: i64,
    pub failing_since: Option<Timestamp>,
    pub next_try: Option<Timestamp>,
    pub last_at: Option<Timestamp>,
    pub last_status: Option<i64>,
    pub last_error: Option<String>,
}

/// Who delivers, and until when nobody else does.
#[derive(Debug, Clone, Copy)]
pub struct Lease<'a> {
    pub holder: &'a str,
    pub until: Timestamp,
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub at: Timestamp,
    pub status: Option<i64>,
    pub error: String,
    pub failing_since: Timestamp,
    /// `None`: it is not tried again.
    pub next_try: Option<Timestamp>,
}

const COLUMNS: &str = "id, url, description, events, secret, created_at, created_by, disabled_at, delivered, attempts, \
                       failing_since, next_try, last_at, last_status, last_error";

fn webhook(mut row: Row) -> Result<WebhookRow, CatalogError> {
    Ok(WebhookRow {
        id: row.take()?,
        url: row.take()?,
        description: row.take()?,
        events: serde_json::from_str(&row.take::<String>()?)
            .map_err(|e| CatalogError::Shape(format!("the events of a webhook: {e}")))?,
        secret: Hidden::new(row.take::<String>()?),
        created_at: row.take()?,
        created_by: row.take()?,
        disabled_at: row.take()?,
        delivered: row.take()?,
        attempts: row.take()?,
        failing_since: row.take()?,
        next_try: row.take()?,
        last_at: row.take()?,
        last_status: row.take()?,
        last_error: row.take()?,
    })
}

/// A new webhook, to which nothing was delivered yet.
pub async fn insert(tx: &mut Tx, webhook: &WebhookRow) -> Result<(), CatalogError> {
    let events = serde_json::to_string(&webhook.events)
        .map_err(|e| CatalogError::Shape(format!("the events of a webhook: {e}")))?;
    tx.execute(
        "insert into webhooks (id, url, description, events, secret, created_at, created_by, delivered, attempts) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, 0)",
        &[
            webhook.id.as_str().into(),
            webhook.url.as_str().into(),
            webhook.description.clone().into(),
            events.into(),
            webhook.secret.reveal().into(),
            webhook.created_at.into(),
            webhook.created_by.as_str().into(),
            webhook.delivered.into(),
        ],
    )
    .await?;
    Ok(())
}

/// All webhooks, the first made first.
pub async fn all(tx: &mut Tx) -> Result<Vec<WebhookRow>, CatalogError> {
    let sql = format!("select {COLUMNS} from webhooks order by created_at, id");
    tx.query(&sql, &[]).await?.into_iter().map(webhook).collect()
}

pub async fn find(tx: &mut Tx, id: &str) -> Result<Option<WebhookRow>, CatalogError> {
    let sql = format!("select {COLUMNS} from webhooks where id = $1");
    tx.first(&sql, &[id.into()]).await?.map(webhook).transpose()
}

/// `false` when there is none.
pub async fn remove(tx: &mut Tx, id: &str) -> Result<bool, CatalogError> {
    Ok(tx.execute("delete from webhooks where id = $1", &[id.into()]).await? == 1)
}

/// Lets deliveries go on where they stopped; `false` when there is none that is disabled.
pub async fn enable(tx: &mut Tx, id: &str) -> Result<bool, CatalogError> {
    let sql = "update webhooks set disabled_at = null, attempts = 0, failing_since = null, next_try = null \
               where id = $1 and disabled_at is not null";
    Ok(tx.execute(sql, &[id.into()]).await? == 1)
}

/// Stops deliveries; `false` when they have stopped, or the lease is another's.
pub async fn disable(tx: &mut Tx, id: &str, holder: &str, now: Timestamp) -> Result<bool, CatalogError> {
    let sql = "update webhooks set disabled_at = $3, next_try = null \
               where id = $1 and lease_holder = $2 and disabled_at is null";
    Ok(tx.execute(sql, &[id.into(), holder.into(), now.into()]).await? == 1)
}

/// The webhook as it is now, for its holder to deliver to; none when another holds it, it is disabled, or its time has
/// not come.
pub async fn lease(
    tx: &mut Tx,
    id: &str,
    lease: Lease<'_>,
    now: Timestamp,
) -> Result<Option<WebhookRow>, CatalogError> {
    let sql = format!(
        "update webhooks set lease_holder = $2, lease_until = $3 where id = $1 and disabled_at is null \
         and (next_try is null or next_try <= $4) \
         and (lease_until is null or lease_until <= $4 or lease_holder = $2) returning {COLUMNS}"
    );
    let params = [id.into(), lease.holder.into(), lease.until.into(), now.into()];
    tx.first(&sql, &params).await?.map(webhook).transpose()
}

/// Everything up to a change was delivered, and the lease goes on; `false` when it is another's by now.
pub async fn delivered(
    tx: &mut Tx,
    id: &str,
    lease: Lease<'_>,
    number: i64,
    status: i64,
    now: Timestamp,
) -> Result<bool, CatalogError> {
    let sql = "update webhooks set delivered = $4, lease_until = $3, attempts = 0, failing_since = null, \
               next_try = null, last_at = $6, last_status = $5, last_error = null \
               where id = $1 and lease_holder = $2 and delivered < $4";
    let params =
        [id.into(), lease.holder.into(), lease.until.into(), number.into(), status.into(), now.into()];
    Ok(tx.execute(sql, &params).await? == 1)
}

/// An attempt failed; `false` when the lease is another's by now.
pub async fn failed(tx: &mut Tx, id: &str, holder: &str, failure: Failure) -> Result<bool, CatalogError> {
    let sql = "update webhooks set attempts = attempts + 1, last_at = $3, last_status = $4, last_error = $5, \
               failing_since = $6, next_try = $7 where id = $1 and lease_holder = $2";
    let params = [
        id.into(),
        holder.into(),
        failure.at.into(),
        failure.status.into(),
        failure.error.into(),
        failure.failing_since.into(),
        failure.next_try.into(),
    ];
    Ok(tx.execute(sql, &params).await? == 1)
}

/// Notes that nothing up to a change concerns the webhook.
pub async fn skip(tx: &mut Tx, id: &str, number: i64) -> Result<(), CatalogError> {
    tx.execute(
        "update webhooks set delivered = $2 where id = $1 and delivered < $2",
        &[id.into(), number.into()],
    )
    .await?;
    Ok(())
}

/// Ends a lease.
pub async fn release(tx: &mut Tx, id: &str, holder: &str) -> Result<(), CatalogError> {
    let sql = "update webhooks set lease_until = null where id = $1 and lease_holder = $2";
    tx.execute(sql, &[id.into(), holder.into()]).await?;
    Ok(())
}

/// Ends all leases, or those of one holder.
pub async fn release_all(tx: &mut Tx, holder: Option<&str>) -> Result<(), CatalogError> {
    match holder {
        Some(holder) => {
            let sql = "update webhooks set lease_until = null where lease_holder = $1";
            tx.execute(sql, &[holder.into()]).await?
        }
        None => tx.execute("update webhooks set lease_until = null", &[]).await?,
    };
    Ok(())
}
