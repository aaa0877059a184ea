//! `/api/library/webhooks`: addresses that are told what happens in the library.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use jumpbag_wire::error::ErrorEnvelope;
use jumpbag_wire::event::EventType;
use jumpbag_wire::odata::Collection;
use jumpbag_wire::time::Timestamp;
use jumpbag_wire::webhook::{Webhook, WebhookTest, WebhookWithSecret};
use serde_json::Value;

use super::allowed::{Allowed, LibraryManage};
use super::edge::Context;
use super::name::Name;
use super::{answer, json};
use crate::app::App;
use crate::auth::secret::Hidden;
use crate::error::Error;

const SET: &str = "LibraryWebhooks";
const PATH: &str = "/api/library/webhooks";

/// A webhook to be made.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "describes the body in the OpenAPI document")]
struct NewWebhook {
    /// `https:`, at most 2048 bytes; it must lead to a public address, unless the setting `webhook_networks` allows more.
    url: String,
    /// The types of events it is told; all unless given.
    events: Option<Vec<EventType>>,
    /// At most 1024 bytes.
    description: Option<String>,
    /// `whsec_` and 24 to 64 bytes in base64; a new one unless given.
    secret: Option<String>,
}

/// All webhooks.
#[utoipa::path(
    get, path = "/api/library/webhooks", tag = "events", operation_id = "listLibraryWebhooks",
    responses((status = 200, description = "The first made first", body = Collection<Webhook>)),
    security(("oauth2" = ["Library.Manage"]))
)]
pub async fn list(
    _: Allowed<LibraryManage>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
) -> Result<Response, Error> {
    answer::collection(&context.base, SET, app.webhooks.all().await?, PATH, None::<i64>)
}

/// Make a webhook that is told what happens from now on.
#[utoipa::path(
    post, path = "/api/library/webhooks", tag = "events", operation_id = "addLibraryWebhook",
    request_body(content = inline(NewWebhook)),
    responses(
        (status = 201, description = "The webhook, and its secret, which is shown only now", body = WebhookWithSecret),
        (status = 400, description = "An address that may not be called, or too many webhooks", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Manage"]))
)]
pub async fn add(
    mut allowed: Allowed<LibraryManage>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    request: Request,
) -> Result<Response, Error> {
    let body =
        json::object(&allowed.json(&app, request).await?, &["url", "events", "description", "secret"])?;
    let url = json::text(&body, "url")?.ok_or_else(|| json::incorrect("`url` must be a string"))?;
    let new = crate::webhooks::NewWebhook {
        url,
        events: events(body.get("events"))?,
        description: json::text(&body, "description")?,
        secret: json::text(&body, "secret")?.map(Hidden::new),
    };
    let (webhook, secret) = app.webhooks.add(new, allowed.actor(&context), Timestamp::now()).await?;
    let location = format!("{}{PATH}/{}", context.base, webhook.id);
    let made = WebhookWithSecret { webhook, secret: secret.reveal().to_owned() };
    Ok(answer::created(answer::entity(&context.base, SET, made)?, &location))
}

fn events(value: Option<&Value>) -> Result<Option<Vec<EventType>>, Error> {
    let names = EventType::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    let wrong = || json::incorrect(&format!("`events` must be a list of some of {names}"));
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => {
            let parsed = items.iter().map(|item| EventType::parse(item.as_str()?));
            parsed.collect::<Option<Vec<_>>>().map(Some).ok_or_else(wrong)
        }
        Some(_) => Err(wrong()),
    }
}

/// One webhook, and how its last delivery went.
#[utoipa::path(
    get, path = "/api/library/webhooks/{id}", tag = "events", operation_id = "getLibraryWebhook",
    params(("id" = String, Path, description = "The webhook's id")),
    responses(
        (status = 200, description = "The webhook", body = Webhook),
        (status = 404, description = "No such webhook", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Manage"]))
)]
pub async fn show(
    _: Allowed<LibraryManage>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(id): Name,
) -> Result<Response, Error> {
    answer::entity(&context.base, SET, app.webhooks.find(&id).await?)
}

/// Remove a webhook. What was not delivered yet is not delivered any more.
#[utoipa::path(
    delete, path = "/api/library/webhooks/{id}", tag = "events", operation_id = "removeLibraryWebhook",
    params(("id" = String, Path, description = "The webhook's id")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "No such webhook", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Manage"]))
)]
pub async fn remove(
    allowed: Allowed<LibraryManage>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(id): Name,
) -> Result<StatusCode, Error> {
    app.webhooks.remove(&id, allowed.actor(&context), Timestamp::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Send a signed event of the type `test` now, and tell what came of it.
#[utoipa::path(
    post, path = "/api/library/webhooks/{id}/test", tag = "events", operation_id = "testLibraryWebhook",
    params(("id" = String, Path, description = "The webhook's id")),
    responses(
        (status = 200, description = "What came of it", body = WebhookTest),
        (status = 404, description = "No such webhook", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Manage"]))
)]
pub async fn test(
    _: Allowed<LibraryManage>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(id): Name,
) -> Result<Response, Error> {
    answer::entity(&context.base, "LibraryWebhookTest", app.webhooks.test(&id, Timestamp::now()).await?)
}

/// Let a disabled webhook go on where it stopped: it is told all that happened since.
#[utoipa::path(
    post, path = "/api/library/webhooks/{id}/enable", tag = "events", operation_id = "enableLibraryWebhook",
    params(("id" = String, Path, description = "The webhook's id")),
    responses(
        (status = 200, description = "The webhook", body = Webhook),
        (status = 400, description = "It is not disabled", body = ErrorEnvelope),
        (status = 404, description = "No such webhook", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Manage"]))
)]
pub async fn enable(
    allowed: Allowed<LibraryManage>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(id): Name,
) -> Result<Response, Error> {
    let webhook = app.webhooks.enable(&id, allowed.actor(&context), Timestamp::now()).await?;
    answer::entity(&context.base, SET, webhook)
}
