//! `/api/machines`: the machines that agents run on.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use jumpbag_wire::error::ErrorEnvelope;
use jumpbag_wire::machine::Machine;
use jumpbag_wire::odata::Collection;
use jumpbag_wire::time::Timestamp;
use serde_json::Value;

use super::allowed::{Allowed, MachineRead, MachineWrite};
use super::edge::Context;
use super::name::Name;
use super::{answer, json};
use crate::app::App;
use crate::error::Error;
use crate::machines::{SET, shown};
use crate::odata::Query;

/// A tag, and whether it comes or goes.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "describes the body in the OpenAPI document")]
#[schema(rename_all = "PascalCase")]
struct TagChange {
    /// 1 to 200 characters.
    value: String,
    /// `Add` or `Remove`.
    action: String,
}

/// The machines that are enrolled.
#[utoipa::path(
    get, path = "/api/machines", tag = "machines", operation_id = "listMachines",
    params(
        ("$filter" = Option<String>, Query, description = "For example `startswith(computerDnsName,'web') and machineTags/any(t: t eq 'dmz')`"),
        ("$orderby" = Option<String>, Query, description = "For example `lastSeen desc`"),
        ("$top" = Option<u64>, Query, description = "At most 10000"),
        ("$skip" = Option<u64>, Query, description = "Rows to leave out"),
        ("$count" = Option<bool>, Query, description = "Adds `@odata.count`"),
        ("$select" = Option<String>, Query, description = "Properties, separated by commas"),
    ),
    responses(
        (status = 200, description = "The machines, by name", body = Collection<Machine>),
        (status = 400, description = "An invalid query", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Machine.Read.All"]), ("oauth2" = ["Machine.ReadWrite.All"]))
)]
pub async fn list(
    _: Allowed<MachineRead>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Error> {
    let query = Query::parse(raw.as_deref(), &SET).map_err(|e| Error::OData(e.to_string()))?;
    let select = query.select.clone();
    let place = app.listings.place().await?;
    let now = Timestamp::now();
    let page = app.machines.list(query, now).await?.map(|row| shown(row, now));
    let link = (context.base.as_str(), "/api/machines", raw.as_deref());
    answer::page(link, SET.name, page, select.as_deref(), place)
}

/// One machine.
#[utoipa::path(
    get, path = "/api/machines/{id}", tag = "machines", operation_id = "getMachine",
    params(("id" = String, Path, description = "The machine's id or computer name")),
    responses(
        (status = 200, description = "The machine", body = Machine),
        (status = 404, description = "No such machine", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Machine.Read.All"]), ("oauth2" = ["Machine.ReadWrite.All"]))
)]
pub async fn show(
    _: Allowed<MachineRead>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(id): Name,
) -> Result<Response, Error> {
    answer::entity(&context.base, SET.name, shown(app.machines.find(&id).await?, Timestamp::now()))
}

/// Add a tag to a machine, or take it away.
#[utoipa::path(
    post, path = "/api/machines/{id}/tags", tag = "machines", operation_id = "tagMachine",
    params(("id" = String, Path, description = "The machine's id or computer name")),
    request_body(content = inline(TagChange)),
    responses(
        (status = 200, description = "The machine as it is now", body = Machine),
        (status = 400, description = "No tag, or it breaks a rule", body = ErrorEnvelope),
        (status = 404, description = "No such machine", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Machine.ReadWrite.All"]))
)]
pub async fn tag(
    mut allowed: Allowed<MachineWrite>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(id): Name,
    request: Request,
) -> Result<Response, Error> {
    let body = json::object(&allowed.json(&app, request).await?, &["Value", "Action"])?;
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    let add = match text("Action").to_ascii_lowercase().as_str() {
        "add" => true,
        "remove" => false,
        _ => return Err(json::incorrect("`Action` must be Add or Remove")),
    };
    let row = app.machines.tag(&id, text("Value"), add, allowed.actor(&context), Timestamp::now()).await?;
    answer::entity(&context.base, SET.name, shown(row, Timestamp::now()))
}
