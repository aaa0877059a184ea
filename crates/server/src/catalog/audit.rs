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
    /// For example `library.upload`.
    pub action: &'static str,
    pub target: &'a str,
    pub before: Option<Json>,
    pub after: Option<Json>,
}

pub async fn append(
    tx: &mut Tx,
    now: Timestamp,
    actor: &Actor,
    change: Change<'_>,
) -> Result<(), CatalogError> {
    tx.execute(
        "insert into audit (id, at, actor, actor_id, address, action, target, before, after, request_id) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        &[
            uuid::Uuid::now_v7().to_string().into(),
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
