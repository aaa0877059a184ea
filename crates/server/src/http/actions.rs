//! `/api/machineactions`, and live response on a machine: making actions, watching them, ending them, and what they
//! brought.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderValue, StatusCode, header};
use jumpbag_wire::action::MachineAction;
use jumpbag_wire::agent::Stream;
use jumpbag_wire::error::ErrorEnvelope;
use jumpbag_wire::odata::Collection;
use jumpbag_wire::time::Timestamp;
use serde_json::{Value, json};

use super::allowed::{ActionRead, Allowed, LiveResponse, LiveResponseCancel, ResultRead};
use super::edge::Context;
use super::name::{Name, Three, Two};
use super::{answer, json};
use crate::actions::result::CommandResult;
use crate::actions::{NewAction, SET};
use crate::app::App;
use crate::error::Error;
use crate::odata::Query;

/// How long a link to a result is good.
const LINK_SECS: i64 = 30 * 60;
/// Where links to results lead: anybody may follow one that is signed.
pub const RESULTS: &str = "/liveresponseresults/{id}/{index}";

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
    allowed: Allowed<LiveResponse>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(machine): Name,
    request: Request,
) -> Result<Response, Error> {
    app.machines.find(&machine).await?;
    let new = NewAction::parse(&json::read(request).await?)?;
    let action = app.actions.create(&machine, new, allowed.actor(&context), Timestamp::now()).await?;
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
    allowed: Allowed<LiveResponseCancel>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(id): Name,
    request: Request,
) -> Result<Response, Error> {
    app.actions.find(&id).await?;
    let body = json::object(&json::read(request).await?, &["Comment"])?;
    let comment = body.get("Comment").and_then(Value::as_str).filter(|comment| !comment.trim().is_empty());
    let comment = comment.ok_or_else(|| json::incorrect("`Comment` must be a string that is not empty"))?;
    let action = app.actions.cancel(&id, comment, allowed.actor(&context), Timestamp::now()).await?;
    app.hub.wake(&action.machine_id);
    answer::entity(&context.base, SET.name, action)
}

/// A link to what a command brought: good for 30 minutes, without a token.
#[utoipa::path(
    get, path = "/api/machineactions/{id}/{function}", tag = "machines", operation_id = "getLiveResponseResultDownloadLink",
    params(
        ("id" = String, Path, description = "The action's id"),
        ("function" = String, Path, description = "`GetLiveResponseResultDownloadLink(index=N)`, with the command's index, from 0"),
    ),
    responses(
        (status = 200, description = "The address, in `value`"),
        (status = 404, description = "No such action or command, or it has not ended", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Machine.Read.All"]), ("oauth2" = ["Machine.ReadWrite.All"]), ("oauth2" = ["Machine.LiveResponse"]))
)]
pub async fn link(
    _: Allowed<ResultRead>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Two(id, function): Two,
) -> Result<Response, Error> {
    let index = function
        .strip_prefix("getliveresponseresultdownloadlink(index=")
        .and_then(|rest| rest.strip_suffix(')'))
        .ok_or_else(|| Error::NoRoute { path: format!("/api/machineactions/{id}/{function}") })?;
    let index = number(index)?;
    let result = app.actions.result(&id, index).await?;
    let expires = Timestamp::now().plus_secs(LINK_SECS).secs();
    let action = result.action().to_owned();
    let signature = URL_SAFE_NO_PAD.encode(app.agent_key.sign(&link_text(&action, index, expires)));
    let value = format!("{}/liveresponseresults/{action}/{index}?se={expires}&sig={signature}", context.base);
    let body =
        json!({ "@odata.context": format!("{}/api/$metadata#Edm.String", context.base), "value": value });
    Ok(answer::odata(Body::from(body.to_string())))
}

/// What is signed of a link.
fn link_text(action: &str, index: u32, expires: i64) -> String {
    format!("jumpbag result v1\n{action}\n{index}\n{expires}\n")
}

/// The bytes that a link leads to.
pub async fn download(
    State(app): State<Arc<App>>,
    Two(id, index): Two,
    RawQuery(raw): RawQuery,
) -> Result<Response, Error> {
    let query = url::form_urlencoded::parse(raw.as_deref().unwrap_or_default().as_bytes());
    let (mut expires, mut signature) = (None, None);
    for (name, value) in query {
        match name.as_ref() {
            "se" => expires = value.parse::<i64>().ok(),
            "sig" => signature = URL_SAFE_NO_PAD.decode(value.as_bytes()).ok(),
            _ => {}
        }
    }
    let index = number(&index)?;
    let good = expires.zip(signature).is_some_and(|(expires, signature)| {
        expires > Timestamp::now().secs() && app.agent_key.verify(&link_text(&id, index, expires), &signature)
    });
    if !good {
        return Err(Error::Forbidden(
            "the link is not one that this server made, or it has expired: ask for another".into(),
        ));
    }
    told(&app, app.actions.result(&id, index).await?)
}

/// What a command brought, to be saved.
fn told(app: &App, result: CommandResult) -> Result<Response, Error> {
    let kind = if result.is_file() { "application/octet-stream" } else { "application/json; charset=utf-8" };
    let name = super::download::attachment(&result.name());
    let body = Body::from_stream(result.bytes(&app.actions));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    if let Some(digest) = result.digest() {
        let digest = format!("sha-256=:{}:", STANDARD.encode(digest));
        if let Ok(digest) = HeaderValue::from_str(&digest) {
            headers.insert("repr-digest", digest);
        }
    }
    Ok(response)
}

/// What a command has put out so far, from an offset on.
#[utoipa::path(
    get, path = "/api/machineactions/{id}/commands/{index}/{stream}", tag = "machines", operation_id = "getCommandOutput",
    params(
        ("id" = String, Path, description = "The action's id"),
        ("index" = u32, Path, description = "The command's index, from 0"),
        ("stream" = String, Path, description = "`stdout`, `stderr` or `file`; `result` for what a link to the result leads to"),
        ("offset" = Option<u64>, Query, description = "Bytes that are known already"),
    ),
    responses(
        (status = 200, description = "The bytes from there to where the output is now; `jumpbag-output-open: true` while more may come",
            body = String, content_type = "application/octet-stream"),
        (status = 404, description = "No such action, command or stream", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Machine.Read.All"]), ("oauth2" = ["Machine.ReadWrite.All"]), ("oauth2" = ["Machine.LiveResponse"]))
)]
pub async fn output(
    _: Allowed<ResultRead>,
    State(app): State<Arc<App>>,
    Three(id, index, stream): Three,
    RawQuery(raw): RawQuery,
) -> Result<Response, Error> {
    let stream = match stream.as_str() {
        "result" => return told(&app, app.actions.result(&id, number(&index)?).await?),
        "stdout" => Stream::Stdout,
        "stderr" => Stream::Stderr,
        "file" => Stream::File,
        _ => {
            return Err(Error::NotFound(
                "a command has the streams stdout, stderr and file, and a result".into(),
            ));
        }
    };
    let mut offset = 0;
    for (name, value) in url::form_urlencoded::parse(raw.as_deref().unwrap_or_default().as_bytes()) {
        if name == "offset" {
            offset = value
                .parse()
                .ok()
                .filter(|offset| *offset <= i64::MAX as u64)
                .ok_or_else(|| Error::InvalidInput("`offset` must be a whole number of bytes".into()))?;
        }
    }
    let output = app.actions.output(&id, number(&index)?, stream).await?;
    let open = if output.open { "true" } else { "false" };
    let left = output.size.saturating_sub(offset);
    let body = Body::from_stream(app.actions.stream(output, offset));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::CONTENT_LENGTH, HeaderValue::from(left)),
        (header::HeaderName::from_static("jumpbag-output-open"), HeaderValue::from_static(open)),
    ];
    Ok((headers, body).into_response())
}

fn number(text: &str) -> Result<u32, Error> {
    text.parse().map_err(|_| Error::NotFound("a command's index is a number, from 0".into()))
}
