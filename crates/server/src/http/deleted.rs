//! `/api/deletedlibraryfiles`: files that were deleted and are still kept, and legal holds.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use jumpbag_wire::error::ErrorEnvelope;
use jumpbag_wire::library::{DeletedFile, FileVersion, LibraryFile};
use jumpbag_wire::odata::Collection;
use jumpbag_wire::time::Timestamp;
use serde_json::{Map, Value};

use super::allowed::{Allowed, LibraryManage, LibraryRead};
use super::conditional::marked;
use super::edge::Context;
use super::name::Name;
use super::{answer, json};
use crate::app::App;
use crate::error::Error;
use crate::library::Subject;

/// Why something is done, for the audit log.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "describes the body in the OpenAPI document")]
struct Reason {
    /// 1 to 1024 bytes.
    reason: String,
}

/// Whether a file is held, and why.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "describes the body in the OpenAPI document")]
struct Hold {
    /// True sets the hold, false lifts it.
    hold: bool,
    /// 1 to 1024 bytes.
    reason: String,
}

/// Files that were deleted and are still kept.
#[utoipa::path(
    get, path = "/api/deletedlibraryfiles", tag = "history", operation_id = "listDeletedLibraryFiles",
    params(("$skiptoken" = Option<String>, Query, description = "From `@odata.nextLink`")),
    responses((status = 200, description = "At most 1000, the last deleted first", body = Collection<DeletedFile>)),
    security(("oauth2" = ["Library.Read"]), ("oauth2" = ["Library.Manage"]))
)]
pub async fn list(
    _: Allowed<LibraryRead>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Error> {
    let after = answer::skip_token(raw.as_deref(), |token| {
        let (at, id) = token.split_once('.')?;
        Some((Timestamp::from_micros(at.parse().ok()?), id.parse().ok()?))
    })?;
    let page = app.library.deleted(after).await?;
    let next = page.next.map(|(at, id)| format!("{}.{id}", at.micros()));
    answer::collection(&context.base, "DeletedLibraryFiles", page.files, "/api/deletedlibraryfiles", next)
}

/// One file that was deleted and is still kept.
#[utoipa::path(
    get, path = "/api/deletedlibraryfiles/{id}", tag = "history", operation_id = "getDeletedLibraryFile",
    params(("id" = String, Path, description = "The file's id")),
    responses(
        (status = 200, description = "The deleted file", body = DeletedFile),
        (status = 404, description = "No deleted file has this id", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Read"]), ("oauth2" = ["Library.Manage"]))
)]
pub async fn show(
    _: Allowed<LibraryRead>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(id): Name,
) -> Result<Response, Error> {
    answer::entity(&context.base, "DeletedLibraryFiles", app.library.find_deleted(&id).await?)
}

/// The versions of a deleted file, newest first.
#[utoipa::path(
    get, path = "/api/deletedlibraryfiles/{id}/versions", tag = "history", operation_id = "listDeletedVersions",
    params(
        ("id" = String, Path, description = "The file's id"),
        ("$skiptoken" = Option<u64>, Query, description = "From `@odata.nextLink`"),
    ),
    responses(
        (status = 200, description = "At most 1000 of the versions that are kept", body = Collection<FileVersion>),
        (status = 404, description = "No deleted file has this id", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Read"]), ("oauth2" = ["Library.Manage"]))
)]
pub async fn versions(
    _: Allowed<LibraryRead>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(id): Name,
    RawQuery(raw): RawQuery,
) -> Result<Response, Error> {
    let below = answer::skip_token(raw.as_deref(), |token| token.parse().ok())?;
    let path = format!("/api/deletedlibraryfiles/{}/versions", answer::segment(&id));
    let page = app.library.versions(Subject::Deleted(id), below).await?;
    answer::collection(&context.base, "LibraryFileVersions", page.versions, &path, page.next)
}

/// Bring a deleted file back.
#[utoipa::path(
    post, path = "/api/deletedlibraryfiles/{id}/restore", tag = "history", operation_id = "restoreDeletedLibraryFile",
    params(("id" = String, Path, description = "The file's id")),
    responses(
        (status = 200, description = "The file lives again, in a new version", body = LibraryFile),
        (status = 400, description = "The name is taken, or a quota is used up", body = ErrorEnvelope),
        (status = 404, description = "No deleted file has this id", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Manage"]))
)]
pub async fn restore(
    allowed: Allowed<LibraryManage>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(id): Name,
) -> Result<Response, Error> {
    let file = app.library.undelete(&id, allowed.actor(&context), Timestamp::now()).await?;
    Ok(marked(answer::entity(&context.base, "LibraryFiles", &file)?, &file))
}

/// Remove a deleted file and all its versions for good.
#[utoipa::path(
    post, path = "/api/deletedlibraryfiles/{id}/purge", tag = "history", operation_id = "purgeDeletedLibraryFile",
    params(("id" = String, Path, description = "The file's id")),
    request_body(content = inline(Reason)),
    responses(
        (status = 204, description = "It is gone; bytes in a blob go with the first sweep after an hour"),
        (status = 400, description = "No reason, or the file is under a legal hold", body = ErrorEnvelope),
        (status = 404, description = "No deleted file has this id", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Manage"]))
)]
pub async fn purge(
    mut allowed: Allowed<LibraryManage>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(id): Name,
    request: Request,
) -> Result<StatusCode, Error> {
    let body = json::object(&allowed.json(&app, request).await?, &["reason"])?;
    app.library.purge(&id, reason(&body)?, allowed.actor(&context), Timestamp::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Set or lift the legal hold of a file.
#[utoipa::path(
    post, path = "/api/libraryfiles/{fileName}/legalhold", tag = "history", operation_id = "holdLibraryFile",
    params(("fileName" = String, Path, description = "The name, percent-encoded once; letter case does not count")),
    request_body(content = inline(Hold)),
    responses(
        (status = 204, description = "The hold is set, or lifted"),
        (status = 400, description = "No reason, or nothing to lift", body = ErrorEnvelope),
        (status = 404, description = "No such file", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Manage"]))
)]
pub async fn hold(
    allowed: Allowed<LibraryManage>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(name): Name,
    request: Request,
) -> Result<StatusCode, Error> {
    change_hold(&app, allowed, &context, Subject::Living(name), request).await
}

/// Set or lift the legal hold of a deleted file.
#[utoipa::path(
    post, path = "/api/deletedlibraryfiles/{id}/legalhold", tag = "history", operation_id = "holdDeletedLibraryFile",
    params(("id" = String, Path, description = "The file's id")),
    request_body(content = inline(Hold)),
    responses(
        (status = 204, description = "The hold is set, or lifted"),
        (status = 400, description = "No reason, or nothing to lift", body = ErrorEnvelope),
        (status = 404, description = "No deleted file has this id", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Manage"]))
)]
pub async fn hold_deleted(
    allowed: Allowed<LibraryManage>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(id): Name,
    request: Request,
) -> Result<StatusCode, Error> {
    change_hold(&app, allowed, &context, Subject::Deleted(id), request).await
}

async fn change_hold(
    app: &App,
    mut allowed: Allowed<LibraryManage>,
    context: &Context,
    subject: Subject,
    request: Request,
) -> Result<StatusCode, Error> {
    let body = json::object(&allowed.json(app, request).await?, &["hold", "reason"])?;
    let hold = body.get("hold").and_then(Value::as_bool);
    let hold = hold.ok_or_else(|| json::incorrect("`hold` must be true or false"))?;
    app.library.hold(subject, hold, reason(&body)?, allowed.actor(context), Timestamp::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn reason(body: &Map<String, Value>) -> Result<&str, Error> {
    let reason = body.get("reason").and_then(Value::as_str);
    reason.ok_or_else(|| json::incorrect("`reason` must be a string: say why, the audit log keeps it"))
}
