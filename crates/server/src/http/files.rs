//! `/api/libraryfiles`: the library on the wire.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jumpbag_wire::error::ErrorEnvelope;
use jumpbag_wire::library::LibraryFile;
use jumpbag_wire::odata::{self, Collection, Entity};
use jumpbag_wire::time::Timestamp;

use super::allowed::{Allowed, LibraryManage};
use super::edge::Context;
use super::name::Name;
use super::{listing, upload};
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
    /// Whether the upload may take the place of a file of this name. Absent: false.
    override_if_exists: Option<bool>,
}

/// Upload a file to the library.
#[utoipa::path(
    post, path = "/api/libraryfiles", tag = "library", operation_id = "uploadLibraryFile",
    request_body(content = inline(UploadForm), content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The file is stored durably", body = LibraryFile),
        (status = 400, description = "The name exists, or the form is incorrect", body = ErrorEnvelope),
        (status = 507, description = "No space left", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Manage"]))
)]
pub async fn upload(
    allowed: Allowed<LibraryManage>,
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
        let form = upload::read(&app.library, &parts.headers, body);
        let upload = tokio::time::timeout(Duration::from_secs(limit), form)
            .await
            .map_err(|_| Error::Slow(format!("an upload may take {limit} seconds")))??;
        app.library.upload(upload, actor, Timestamp::now()).await
    });
    let file = task.await.map_err(|e| Error::Internal(e.to_string()))??;
    let nameless = file.file_name == "file";
    let mut response = entity(&base, file)?;
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
        ("$filter" = Option<String>, Query, description = "For example `startswith(fileName,'triage') and hasParameters eq true`"),
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
    security(("oauth2" = ["Library.Manage"]))
)]
pub async fn list(
    _: Allowed<LibraryManage>,
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
    security(("oauth2" = ["Library.Manage"]))
)]
pub async fn show(
    _: Allowed<LibraryManage>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(name): Name,
) -> Result<Response, Error> {
    entity(&context.base, app.library.find(&name).await?)
}

/// Delete a file from the library.
#[utoipa::path(
    delete, path = "/api/libraryfiles/{fileName}", tag = "library", operation_id = "deleteLibraryFile",
    params(("fileName" = String, Path, description = "The name, percent-encoded once; letter case does not count")),
    responses(
        (status = 204, description = "The file is gone"),
        (status = 404, description = "No such file", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Manage"]))
)]
pub async fn delete(
    allowed: Allowed<LibraryManage>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(name): Name,
) -> Result<StatusCode, Error> {
    app.library.delete(&name, allowed.actor(&context), Timestamp::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn entity(base: &str, file: LibraryFile) -> Result<Response, Error> {
    let entity = Entity { context: format!("{base}/api/$metadata#LibraryFiles/$entity"), entity: file };
    let json = serde_json::to_vec(&entity).map_err(|e| Error::Internal(e.to_string()))?;
    Ok(odata(Body::from(json)))
}

/// A successful OData answer, dressed as the original dresses it.
pub fn odata(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(odata::CONTENT_TYPE)),
        (header::HeaderName::from_static("odata-version"), HeaderValue::from_static("4.0")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, body).into_response()
}
