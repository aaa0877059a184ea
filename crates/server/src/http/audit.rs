//! `/api/audit`: who changed what, in pages or as an export, and what it takes to verify it.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use futures_util::TryStreamExt as _;
use http::{HeaderMap, header};
use jumpbag_wire::audit::AuditEntry;
use jumpbag_wire::error::ErrorEnvelope;
use jumpbag_wire::odata::Collection;

use super::allowed::{Allowed, AuditRead};
use super::answer::odata;
use super::edge::Context;
use super::listing::{NextLink, chosen, held};
use crate::app::App;
use crate::audit::{Entries, SET};
use crate::error::Error;
use crate::odata::Query;

const NDJSON: &str = "application/x-ndjson";
const PLAIN: &str = "text/plain; charset=utf-8";

/// List the audit log, or export it.
#[utoipa::path(
    get, path = "/api/audit", tag = "audit", operation_id = "listAuditEntries",
    params(
        ("$filter" = Option<String>, Query, description = "On number, time, actor, actorId, address, action, target, requestId, previous, hash"),
        ("$orderby" = Option<String>, Query, description = "`number` or `number desc`"),
        ("$top" = Option<u64>, Query, description = "At most 1000"),
        ("$skip" = Option<u64>, Query),
        ("$count" = Option<bool>, Query),
        ("$select" = Option<String>, Query, description = "Properties, separated by commas"),
        ("$skiptoken" = Option<String>, Query, description = "From `@odata.nextLink`"),
        ("$format" = Option<String>, Query, description = "`json`, or `ndjson` for an export, as with `Accept: application/x-ndjson`"),
        ("after" = Option<u64>, Query, description = "Of an export: only entries behind this number"),
    ),
    responses(
        (status = 200, description = "A page in the order of numbers; or, as an export, the whole log: an entry a line, and behind each \
                                      entry that a checkpoint covers a line `{\"checkpoint\": \"…\"}`",
            content((Collection<AuditEntry> = "application/json"), (AuditEntry = "application/x-ndjson"))),
        (status = 400, description = "A query option is wrong", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Audit.Read"]))
)]
pub async fn list(
    _: Allowed<AuditRead>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let raw = raw.as_deref();
    if wants_export(raw, &headers) {
        return export(&app, after(raw)?).await;
    }
    let query = Query::parse(raw, &SET).map_err(|e| Error::OData(e.to_string()))?;
    let place = app.listings.place().await?;
    let select = query.select.clone();
    let Entries { entries, count, next } = app.audit.list(query).await?;
    let next_link =
        next.map(|number| NextLink { base: &context.base, path: "/api/audit", raw }.to(&number.to_string()));
    let context = format!("{}/api/$metadata#{}", context.base, SET.name);
    let json = match select {
        None => serde_json::to_vec(&Collection { context, count, value: entries, next_link }),
        Some(select) => {
            let names: Vec<_> = select.iter().map(|property| property.name).collect();
            let context = format!("{context}({})", names.join(","));
            let value: Result<Vec<_>, _> = entries.iter().map(|entry| chosen(entry, &names)).collect();
            value.and_then(|value| serde_json::to_vec(&Collection { context, count, value, next_link }))
        }
    };
    Ok(odata(held(json.map_err(|e| Error::Internal(e.to_string()))?, place)))
}

/// The newest checkpoint of the audit log.
#[utoipa::path(
    get, path = "/api/audit/checkpoint", tag = "audit", operation_id = "getAuditCheckpoint",
    responses(
        (status = 200, description = "A signed note: which entry is the last, and its hash", body = String, content_type = "text/plain"),
        (status = 404, description = "None was made yet", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Audit.Read"]))
)]
pub async fn checkpoint(_: Allowed<AuditRead>, State(app): State<Arc<App>>) -> Result<Response, Error> {
    let note = app.audit.newest().await?;
    let note = note.ok_or_else(|| Error::NotFound("the audit log has no checkpoint yet".into()))?;
    Ok(plain(note))
}

/// The public key that the audit log's checkpoints are verified with.
#[utoipa::path(
    get, path = "/api/audit/key", tag = "audit", operation_id = "getAuditKey",
    responses((status = 200, description = "`name+id+key`", body = String, content_type = "text/plain")),
    security(("oauth2" = ["Audit.Read"]))
)]
pub async fn key(_: Allowed<AuditRead>, State(app): State<Arc<App>>) -> Response {
    plain(format!("{}\n", app.audit.key()))
}

fn plain(text: String) -> Response {
    ([(header::CONTENT_TYPE, PLAIN), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}

async fn export(app: &App, after: i64) -> Result<Response, Error> {
    let lines = app.audit.export(after).await?.inspect_err(|e| {
        tracing::error!(error = e.chain(), "an export of the audit log broke off");
    });
    // The connection breaks when a line cannot be had: what came before does not pass for the whole.
    let body = Body::from_stream(lines);
    Ok(([(header::CONTENT_TYPE, NDJSON), (header::CACHE_CONTROL, "no-cache")], body).into_response())
}

fn options(raw: Option<&str>) -> Vec<(String, String)> {
    let pairs = url::form_urlencoded::parse(raw.unwrap_or_default().as_bytes());
    pairs.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned())).collect()
}

/// `$format` says it, or else `Accept`.
fn wants_export(raw: Option<&str>, headers: &HeaderMap) -> bool {
    let options = options(raw);
    if let Some((_, format)) = options.iter().find(|(name, _)| name == "$format") {
        return format.eq_ignore_ascii_case("ndjson") || format.eq_ignore_ascii_case(NDJSON);
    }
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|media_type| {
        let name = media_type.split(';').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case(NDJSON)
    })
}

/// Where an export begins. It takes no other options.
fn after(raw: Option<&str>) -> Result<i64, Error> {
    let mut after = 0;
    for (name, value) in options(raw) {
        match name.as_str() {
            "after" => {
                after = value
                    .parse()
                    .ok()
                    .filter(|number| *number >= 0)
                    .ok_or_else(|| Error::OData("`after` must be the number of an entry, or 0".into()))?;
            }
            "$format" => {}
            other if other.starts_with('$') => {
                return Err(Error::OData(
                    "an export takes no query options but `$format` and `after`: it is the whole log".into(),
                ));
            }
            // As elsewhere: parameters that are no query options are nobody's concern.
            _ => {}
        }
    }
    Ok(after)
}
