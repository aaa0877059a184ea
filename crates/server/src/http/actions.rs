//! `/api/machineactions`, and live response on a machine: making actions, watching them, ending them.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use jumpbag_wire::action::MachineAction;
use jumpbag_wire::error::ErrorEnvelope;
use jumpbag_wire::odata::Collection;
use jumpbag_wire::time::Timestamp;
use serde_json::Value;

use super::allowed::{ActionRead, Allowed, LiveResponse, LiveResponseCancel};
use super::edge::Context;
use super::name::Name;
use super::{answer, json};
use crate::actions::{NewAction, SET};
use crate::app::App;
use crate::error::Error;
use crate::odata::Query;

/// What is to be done, in this order: PutFile, RunScript, GetFile.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "describes the body in the OpenAPI document")]
#[schema(rename_all = "PascalCase")]
struct RunLiveResponse {
    commands: Vec<jumpbag_wire::action::Command>,
    comment: String,
}

/// Why an action is ended.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "describes the body in the OpenAPI document")]
#[schema(rename_all = "PascalCase")]
struct Cancel {
    comment: String,
}

/// Run live response on a machine.
#[utoipa::path(
    post, path = "/api/machines/{id}/runliveresponse", tag = "machines", operation_id = "runLiveResponse",
    params(("id" = String, Path, description = "The machine's id or computer name")),
    request_body(content = inline(RunLiveResponse)),
    responses(
        (status = 201, description = "The action, bound to the library as it is now", body = MachineAction),
        (status = 400, description = "The request is incorrect, a library file is missing, or the machine is busy", body = ErrorEnvelope),
        (status = 404, description = "No such machine", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Machine.LiveResponse"]))
)]
pub async fn run(
    mut allowed: Allowed<LiveResponse>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(machine): Name,
    request: Request,
) -> Result<Response, Error> {
    app.machines.find(&machine).await?;
    let new = NewAction::parse(&allowed.json(&app, request).await?)?;
    let action = app.actions.create(&machine, new, allowed.requestor(&context), Timestamp::now()).await?;
    app.hub.wake(&action.machine_id);
    let mut response = answer::entity(&context.base, SET.name, action)?;
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// Machine actions, the newest first.
#[utoipa::path(
    get, path = "/api/machineactions", tag = "machines", operation_id = "listMachineActions",
    params(
        ("$filter" = Option<String>, Query, description = "For example `machineId eq '…' and status in ('Pending','InProgress')`"),
        ("$orderby" = Option<String>, Query, description = "For example `creationDateTimeUtc desc`"),
        ("$top" = Option<u64>, Query, description = "At most 10000"),
        ("$skip" = Option<u64>, Query, description = "Rows to leave out"),
        ("$count" = Option<bool>, Query, description = "Adds `@odata.count`"),
        ("$select" = Option<String>, Query, description = "Properties, separated by commas"),
    ),
    responses(
        (status = 200, description = "The actions", body = Collection<MachineAction>),
        (status = 400, description = "An invalid query", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Machine.Read.All"]), ("oauth2" = ["Machine.ReadWrite.All"]))
)]
pub async fn list(
    _: Allowed<ActionRead>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Error> {
    let query = Query::parse(raw.as_deref(), &SET).map_err(|e| Error::OData(e.to_string()))?;
    let select = query.select.clone();
    let place = app.listings.place().await?;
    let page = app.actions.list(query).await?;
    let link = (context.base.as_str(), "/api/machineactions", raw.as_deref());
    answer::page(link, SET.name, page, select.as_deref(), place)
}

/// One machine action.
#[utoipa::path(
    get, path = "/api/machineactions/{id}", tag = "machines", operation_id = "getMachineAction",
    params(("id" = String, Path, description = "The action's id")),
    responses(
        (status = 200, description = "The action", body = MachineAction),
        (status = 404, description = "No such action", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Machine.Read.All"]), ("oauth2" = ["Machine.ReadWrite.All"]))
)]
pub async fn show(
    _: Allowed<ActionRead>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(id): Name,
) -> Result<Response, Error> {
    answer::entity(&context.base, SET.name, app.actions.find(&id).await?)
}

/// End a machine action that is not final.
#[utoipa::path(
    post, path = "/api/machineactions/{id}/cancel", tag = "machines", operation_id = "cancelMachineAction",
    params(("id" = String, Path, description = "The action's id")),
    request_body(content = inline(Cancel)),
    responses(
        (status = 200, description = "The action as it is now; one that was final stays as it was", body = MachineAction),
        (status = 400, description = "No comment", body = ErrorEnvelope),
        (status = 404, description = "No such action", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Machine.LiveResponse"]))
)]
pub async fn cancel(
    mut allowed: Allowed<LiveResponseCancel>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(id): Name,
    request: Request,
) -> Result<Response, Error> {
    app.actions.find(&id).await?;
    let body = json::object(&allowed.json(&app, request).await?, &["Comment"])?;
    let comment = body.get("Comment").and_then(Value::as_str).filter(|comment| !comment.trim().is_empty());
    let comment = comment.ok_or_else(|| json::incorrect("`Comment` must be a string that is not empty"))?;
    let action = app.actions.cancel(&id, comment, allowed.requestor(&context), Timestamp::now()).await?;
    app.hub.wake(&action.machine_id);
    answer::entity(&context.base, SET.name, action)
}
