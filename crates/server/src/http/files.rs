//! `/api/libraryfiles`: the library on the wire.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jumpbag_wire::error::ErrorEnvelope;
use jumpbag_wire::library::LibraryFile;
use jumpbag_wire::odata::Collection;
use jumpbag_wire::patch::FilePatch;
use jumpbag_wire::time::Timestamp;

use super::allowed::{Allowed, LibraryManage, LibraryRead};
use super::conditional::{expected, knows, marked};
use super::edge::Context;
use super::name::Name;
use super::{answer, json, listing, upload};
use crate::app::App;
use crate::error::Error;
use crate::library::SET;
use crate::odata::Query;

/// The form of an upload. Field names are matched ignoring case; parts may come in any order.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "describes the form in the OpenAPI document")]
#[schema(rename_all = "PascalCase")]
struct UploadForm {
    /// The content; the part's `filename` is the name in the library.
    #[schema(rename = "file", value_type = String, format = Binary)]
    file: String,
    description: Option<String>,
    parameters_description: Option<String>,
    /// Absent: true exactly when `ParametersDescription` is not empty.
    has_parameters: Option<bool>,
    /// A JSON array, or names separated by commas. Absent: as they were.
    tags: Option<String>,
    /// `windows`, `linux`, `macos`: a JSON array, or separated by commas. Absent: as they were.
    platforms: Option<String>,
    /// Absent: as it was.
    category: Option<String>,
    /// For the people who run it. Absent: as they were.
    instructions: Option<String>,
    /// Whether the upload may take the place of a file of this name. Absent: false.
    override_if_exists: Option<bool>,
}

/// Upload a file to the library.
#[utoipa::path(
    post, path = "/api/libraryfiles", tag = "library", operation_id = "uploadLibraryFile",
    request_body(content = inline(UploadForm), content_type = "multipart/form-data"),
    params(
        ("If-None-Match" = Option<String>, Header, description = "`*`: only if no file has the name"),
        ("If-Match" = Option<String>, Header, description = "Only if the file that is to be replaced has this `ETag` or SHA-256, in double quotes"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the upload safe to send again for a day: it is answered as the first time"),
    ),
    responses(
        (status = 200, description = "The file is stored durably", body = LibraryFile),
        (status = 400, description = "The name exists, or the form is incorrect", body = ErrorEnvelope),
        (status = 412, description = "The file is not what the conditions ask for", body = ErrorEnvelope),
        (status = 507, description = "No space left", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Manage"]))
)]
pub async fn upload(
    mut allowed: Allowed<LibraryManage>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    request: Request,
) -> Result<Response, Error> {
    let actor = allowed.actor(&context);
    let base = context.base.clone();
    // In a task of its own: a client that goes away must not stop a commit half way or leave staged bytes.
    let task = tokio::spawn(async move {
        let (parts, body) = request.into_parts();
        let limit = app.settings.upload_seconds;
        let conditions = upload::Conditions::read(&parts.headers, &actor)?;
        let form = upload::read(&app.library, &parts.headers, body, conditions);
        let upload = tokio::time::timeout(Duration::from_secs(limit), form)
            .await
            .map_err(|_| Error::Slow(format!("an upload may take {limit} seconds")))??;
        if let Err(out) = allowed.still(&app).await {
            app.library.discard(&upload.content).await;
            return Err(out);
        }
        app.library.upload(upload, actor, Timestamp::now()).await
    });
    let file = task.await.map_err(|e| Error::Internal(e.to_string()))??;
    let nameless = file.file_name == "file";
    let mut response = marked(answer::entity(&base, SET.name, &file)?, &file);
    if nameless {
        response.headers_mut().insert(
            "jumpbag-warning",
            HeaderValue::from_static(
                "stored under the name `file`: the client seems to have sent no file name",
            ),
        );
    }
    Ok(response)
}

/// List the files of the library.
#[utoipa::path(
    get, path = "/api/libraryfiles", tag = "library", operation_id = "listLibraryFiles",
    params(
        ("$filter" = Option<String>, Query, description = "For example `startswith(fileName,'triage') and tags/any(t: t eq 'windows')`"),
        ("$search" = Option<String>, Query, description = "Words, \"phrases\" and beginnings* in names, descriptions, tags and texts, with AND, OR, NOT"),
        ("$orderby" = Option<String>, Query, description = "For example `lastUpdatedTime desc`"),
        ("$top" = Option<u64>, Query, description = "At most 10000"),
        ("$skip" = Option<u64>, Query, description = "Rows to leave out"),
        ("$count" = Option<bool>, Query, description = "Adds `@odata.count`"),
        ("$select" = Option<String>, Query, description = "Properties, separated by commas"),
        ("$skiptoken" = Option<String>, Query, description = "From `@odata.nextLink`"),
    ),
    responses(
        (status = 200, description = "The files, by name", body = Collection<LibraryFile>),
        (status = 304, description = "Nothing changed since the `ETag` of `If-None-Match`"),
        (status = 400, description = "An invalid query", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Read"]), ("oauth2" = ["Library.Manage"]))
)]
pub async fn list(
    _: Allowed<LibraryRead>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let query = Query::parse(raw.as_deref(), &SET).map_err(|e| Error::OData(e.to_string()))?;
    listing::answer(&app, &context.base, raw.as_deref(), query, &headers).await
}

/// One file of the library.
#[utoipa::path(
    get, path = "/api/libraryfiles/{fileName}", tag = "library", operation_id = "getLibraryFile",
    params(("fileName" = String, Path, description = "The name, percent-encoded once; letter case does not count")),
    responses(
        (status = 200, description = "The file", body = LibraryFile),
        (status = 404, description = "No such file", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Read"]), ("oauth2" = ["Library.Manage"]))
)]
pub async fn show(
    _: Allowed<LibraryRead>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(name): Name,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let file = app.library.find(&name).await?;
    let response = marked(answer::entity(&context.base, SET.name, &file)?, &file);
    let etag = response.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok());
    if etag.is_some_and(|etag| knows(&headers, etag)) {
        return Ok(marked(StatusCode::NOT_MODIFIED.into_response(), &file));
    }
    Ok(response)
}

/// Change what is said about a file, in a new version with the same bytes.
#[utoipa::path(
    patch, path = "/api/libraryfiles/{fileName}", tag = "library", operation_id = "changeLibraryFile",
    params(
        ("fileName" = String, Path, description = "The name, percent-encoded once; letter case does not count"),
        ("If-Match" = Option<String>, Header, description = "The file's `ETag` or the SHA-256 of its bytes, in double quotes"),
    ),
    request_body(content = FilePatch, content_type = "application/merge-patch+json"),
    responses(
        (status = 200, description = "The file as it is now", body = LibraryFile),
        (status = 400, description = "No merge patch, or a value breaks a rule", body = ErrorEnvelope),
        (status = 404, description = "No such file", body = ErrorEnvelope),
        (status = 412, description = "The file is not what `If-Match` asks for", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Manage"]))
)]
pub async fn change(
    mut allowed: Allowed<LibraryManage>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(name): Name,
    request: Request,
) -> Result<Response, Error> {
    let expect = expected(request.headers())?;
    let patch =
        FilePatch::parse(&allowed.json(&app, request).await?).map_err(|e| json::incorrect(&e.to_string()))?;
    let file = app.library.edit(&name, patch, expect, allowed.actor(&context), Timestamp::now()).await?;
    Ok(marked(answer::entity(&context.base, SET.name, &file)?, &file))
}

/// Delete a file from the library.
#[utoipa::path(
    delete, path = "/api/libraryfiles/{fileName}", tag = "library", operation_id = "deleteLibraryFile",
    params(
        ("fileName" = String, Path, description = "The name, percent-encoded once; letter case does not count"),
        ("If-Match" = Option<String>, Header, description = "The file's `ETag` or the SHA-256 of its bytes, in double quotes"),
    ),
    responses(
        (status = 204, description = "The file is gone; it is kept among the deleted ones for the retention time"),
        (status = 404, description = "No such file", body = ErrorEnvelope),
        (status = 412, description = "The file is not what `If-Match` asks for", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Manage"]))
)]
pub async fn delete(
    allowed: Allowed<LibraryManage>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(name): Name,
    headers: HeaderMap,
) -> Result<StatusCode, Error> {
    app.library.delete(&name, expected(&headers)?, allowed.actor(&context), Timestamp::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
