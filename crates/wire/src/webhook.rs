//! Webhooks: addresses that are told what happens in the library.

use serde::{Deserialize, Serialize};

use crate::event::EventType;
use crate::time::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum WebhookState {
    /// Events are delivered.
    Active,
    /// It failed for too long, or answered `410 Gone`: nothing is sent until it is enabled again.
    Disabled,
}

/// An address that is told what happens in the library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Webhook {
    pub id: String,
    pub url: String,
    /// The types of events it is told.
    pub events: Vec<EventType>,
    pub description: Option<String>,
    pub state: WebhookState,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub creation_time: Timestamp,
    /// Display name of who made it.
    pub created_by: String,
    /// Every event up to this number was delivered, or is of a type it is not told.
    pub delivered: i64,
    /// How often the next event could not be delivered so far.
    pub failed_attempts: u64,
    /// Since when every attempt has failed; null when the last one did not.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub failing_since: Option<Timestamp>,
    /// When the next event is tried again; null when nothing waits for its time.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub next_attempt_time: Option<Timestamp>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub last_attempt_time: Option<Timestamp>,
    /// The status of the last answer; null when there was none.
    pub last_status: Option<u16>,
    /// Why the last attempt failed; null when it did not.
    pub last_error: Option<String>,
}

/// A webhook that was just made, with what signs its deliveries: shown only now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookWithSecret {
    #[serde(flatten)]
    pub webhook: Webhook,
    /// `whsec_` and the key in base64.
    pub secret: String,
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookTest {
    /// The address answered with a status from 200 to 299.
    pub delivered: bool,
    pub status: Option<u16>,
    pub error: Option<String>,
}
