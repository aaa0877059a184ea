//! Webhooks: addresses that are told what happens in the library, one verb a method. What is to be delivered is read
//! from the audit log, so that nothing is lost: a webhook is no more than a place in it.

pub mod address;
pub mod deliver;
pub mod send;
pub mod sign;

use std::sync::Arc;
use std::time::Duration;

use jumpbag_wire::event::EventType;
use jumpbag_wire::time::Timestamp;
use jumpbag_wire::webhook::{Webhook, WebhookState, WebhookTest};
use serde_json::json;

use crate::auth::secret::Hidden;
use crate::catalog::audit::{self, Actor, Change};
use crate::catalog::webhooks::{self, WebhookRow};
use crate::catalog::{Catalog, Tx};
use crate::error::Error;
use address::{Network, Reach};
use send::{Delivery, Outcome, Sender};

/// Webhooks there may be. Each has at most one delivery under way.
pub const MAX: usize = 32;
/// Bytes of a description.
pub const MAX_DESCRIPTION: usize = 1024;

/// What the operator decided about webhooks.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Networks that may be called beside the public ones.
    pub networks: Vec<Network>,
    /// How long a delivery may take.
    pub timeout: Duration,
    /// How long after a first failure it is tried again.
    pub retry_seconds: i64,
    /// How long it is tried before the webhook is disabled.
    pub give_up_days: i64,
}

/// A webhook to be made.
#[derive(Debug)]
pub struct NewWebhook {
    pub url: String,
    /// `None`: all types.
    pub events: Option<Vec<EventType>>,
    pub description: Option<String>,
    /// `None`: a new one is made.
    pub secret: Option<Hidden>,
}

pub struct Webhooks {
    catalog: Arc<Catalog>,
    rules: Rules,
    sender: Sender,
}

impl Webhooks {
    pub fn new(catalog: Arc<Catalog>, rules: Rules) -> Webhooks {
        let sender = Sender::new(Reach::new(&rules.networks), rules.timeout);
        Webhooks { catalog, rules, sender }
    }

    /// Makes a webhook that is told what happens from now on; with it, the secret that signs its deliveries.
    ///
    /// # Errors
    /// `InvalidInput` when its address is none that may be called, or there are as many webhooks as may be.
    pub async fn add(
        &self,
        new: NewWebhook,
        actor: Actor,
        now: Timestamp,
    ) -> Result<(Webhook, Hidden), Error> {
        let invalid = |why: String| Err(Error::InvalidInput(why));
        let url = match self.sender.reach().check(&new.url) {
            Ok(url) => url,
            Err(refused) => return invalid(format!("`url` {refused}")),
        };
        match &new.description {
            Some(long) if long.len() > MAX_DESCRIPTION => {
                return invalid(format!("`description` has {} bytes: at most {MAX_DESCRIPTION}", long.len()));
            }
            Some(odd) if odd.contains('\0') => {
                return invalid("`description` holds the character U+0000: remove it".into());
            }
            _ => {}
        }
        let mut events = new.events.unwrap_or_else(|| EventType::ALL.to_vec());
        events.sort_unstable();
        events.dedup();
        if events.is_empty() {
            return invalid("`events` is empty: leave it out for all types".into());
        }
        let secret = new.secret.unwrap_or_else(sign::new_secret);
        if !sign::is_secret(&secret) {
            return invalid(
                "`secret` must be `whsec_` and 24 to 64 bytes in base64; leave it out for a new one".into(),
            );
        }
        let row = WebhookRow {
            id: uuid::Uuid::new_v4().to_string(),
            // Its normal form has only ASCII letters, and may be longer.
            url: url.into(),
            description: new.description,
            events,
            secret: secret.clone(),
            created_at: now,
            created_by: actor.name.clone(),
            disabled_at: None,
            delivered: 0,
            attempts: 0,
            failing_since: None,
            next_try: None,
            last_at: None,
            last_status: None,
            last_error: None,
        };
        let row = self.catalog.write(move |tx| Box::pin(add(tx, row, actor, now))).await?;
        Ok((shown(row), secret))
    }

    /// All webhooks, the first made first.
    pub async fn all(&self) -> Result<Vec<Webhook>, Error> {
        let rows = self.catalog.read(|tx| Box::pin(webhooks::all(tx))).await?;
        Ok(rows.into_iter().map(shown).collect())
    }

    pub async fn find(&self, id: &str) -> Result<Webhook, Error> {
        self.row(id).await.map(shown)
    }

    async fn row(&self, id: &str) -> Result<WebhookRow, Error> {
        let key = known(id)?;
        let row = self
            .catalog
            .read(move |tx| Box::pin(async move { Ok::<_, Error>(webhooks::find(tx, &key).await?) }));
        row.await?.ok_or_else(|| absent(id))
    }

    /// What is not delivered yet is not delivered any more.
    pub async fn remove(&self, id: &str, actor: Actor, now: Timestamp) -> Result<(), Error> {
        let id = known(id)?;
        self.catalog
            .write(move |tx| {
                Box::pin(async move {
                    let turn = audit::turn(tx).await?;
                    let before = webhooks::find(tx, &id).await?.ok_or_else(|| absent(&id))?;
                    webhooks::remove(tx, &id).await?;
                    let change = Change {
                        action: "webhook.remove",
                        target: &id,
                        before: Some(recorded(&before)),
                        after: None,
                    };
                    Ok(audit::append(tx, now, &actor, turn, change).await?)
                })
            })
            .await
    }

    /// Lets a disabled webhook go on where it stopped: it is told all that happened since.
    ///
    /// # Errors
    /// `InvalidInput` when it is not disabled.
    pub async fn enable(&self, id: &str, actor: Actor, now: Timestamp) -> Result<Webhook, Error> {
        let id = known(id)?;
        let row = self.catalog.write(move |tx| {
            Box::pin(async move {
                let turn = audit::turn(tx).await?;
                webhooks::find(tx, &id).await?.ok_or_else(|| absent(&id))?;
                if !webhooks::enable(tx, &id).await? {
                    return Err(Error::InvalidInput(format!("webhook {id} is not disabled")));
                }
                let change = Change { action: "webhook.enable", target: &id, before: None, after: None };
                audit::append(tx, now, &actor, turn, change).await?;
                webhooks::find(tx, &id).await?.ok_or_else(|| absent(&id))
            })
        });
        row.await.map(shown)
    }

    /// Sends a signed event of the type `test`, once, whatever state the webhook is in.
    pub async fn test(&self, id: &str, now: Timestamp) -> Result<WebhookTest, Error> {
        let row = self.row(id).await?;
        let message = format!("test-{}", uuid::Uuid::new_v4());
        let body = json!({ "type": "test", "timestamp": now, "data": { "webhook": row.id } }).to_string();
        let delivery = Delivery { url: &row.url, secret: &row.secret, id: &message, body };
        Ok(match self.sender.send(delivery, now).await {
            Outcome::Delivered(status) => WebhookTest { delivered: true, status: Some(status), error: None },
            Outcome::Gone => WebhookTest {
                delivered: false,
                status: Some(410),
                error: Some("it answered 410: a delivery would disable the webhook".into()),
            },
            Outcome::Failed { status, error } => WebhookTest { delivered: false, status, error: Some(error) },
        })
    }
}

async fn add(tx: &mut Tx, mut row: WebhookRow, actor: Actor, now: Timestamp) -> Result<WebhookRow, Error> {
    let turn = audit::turn(tx).await?;
    if webhooks::all(tx).await?.len() >= MAX {
        return Err(Error::InvalidInput(format!(
            "there are {MAX} webhooks, and there may be no more: remove one first"
        )));
    }
    row.delivered = turn.number;
    webhooks::insert(tx, &row).await?;
    let change = Change { action: "webhook.add", target: &row.id, before: None, after: Some(recorded(&row)) };
    audit::append(tx, now, &actor, turn, change).await?;
    Ok(row)
}

/// What the audit log keeps of a webhook. Its path and query may be secrets of the receiver's.
fn recorded(row: &WebhookRow) -> serde_json::Value {
    let origin = url::Url::parse(&row.url).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    json!({ "origin": origin, "events": row.events, "description": row.description })
}

/// An id that may be one: a GUID in the only form that is handed out.
fn known(id: &str) -> Result<String, Error> {
    let is_id = uuid::Uuid::parse_str(id).is_ok_and(|parsed| parsed.to_string() == id);
    if is_id { Ok(id.to_owned()) } else { Err(absent(id)) }
}

fn absent(id: &str) -> Error {
    let shown: String = id.chars().take(60).collect();
    Error::NotFound(format!("webhook {} was not found", shown.escape_debug()))
}

fn shown(row: WebhookRow) -> Webhook {
    Webhook {
        state: if row.disabled_at.is_some() { WebhookState::Disabled } else { WebhookState::Active },
        id: row.id,
        url: row.url,
        events: row.events,
        description: row.description,
        creation_time: row.created_at,
        created_by: row.created_by,
        delivered: row.delivered,
        failed_attempts: row.attempts.unsigned_abs(),
        failing_since: row.failing_since,
        next_attempt_time: row.next_try,
        last_attempt_time: row.last_at,
        last_status: row.last_status.and_then(|status| u16::try_from(status).ok()),
        last_error: row.last_error,
    }
}
