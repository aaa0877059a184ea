//! The audit log's rows: one for every change, written in the transaction that makes the change.

use jumpbag_wire::time::Timestamp;
use serde_json::Value as Json;

use super::{CatalogError, Tx};

/// Who changes something, from where, and in which request.
#[derive(Debug, Clone)]
pub struct Actor {
    pub name: String,
    pub id: String,
    pub address: Option<String>,
    pub request_id: String,
}

impl Actor {
    /// The person at the server's own command line.
    pub fn operator(command: &str) -> Actor {
        Actor {
            name: "operator".into(),
            id: format!("command:{command}"),
            address: None,
            request_id: uuid::Uuid::new_v4().to_string(),
        }
    }
}

/// What was changed.
pub struct Change<'a> {
    /// From [`next_change`].
    pub number: i64,
    /// For example `library.upload`.
    pub action: &'static str,
    pub target: &'a str,
    pub before: Option<Json>,
    pub after: Option<Json>,
}

/// Takes the next change number. The row stays locked until the transaction ends, so changes commit in the
/// order of their numbers.
pub async fn next_change(tx: &mut Tx) -> Result<i64, CatalogError> {
    tx.one("update tenant set change = change + 1 returning change", &[]).await?.take()
}

/// The number of the last change.
pub async fn last_change(tx: &mut Tx) -> Result<i64, CatalogError> {
    tx.one("select change from tenant", &[]).await?.take()
}

pub async fn append(
    tx: &mut Tx,
    now: Timestamp,
    actor: &Actor,
    change: Change<'_>,
) -> Result<(), CatalogError> {
    tx.execute(
        "insert into audit (number, at, actor, actor_id, address, action, target, before, after, request_id) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        &[
            change.number.into(),
            now.into(),
            actor.name.as_str().into(),
            actor.id.as_str().into(),
            actor.address.clone().into(),
            change.action.into(),
            change.target.into(),
            change.before.map(|json| json.to_string()).into(),
            change.after.map(|json| json.to_string()).into(),
            actor.request_id.as_str().into(),
        ],
    )
    .await?;
    Ok(())
}
