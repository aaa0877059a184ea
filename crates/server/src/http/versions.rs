//! `/api/libraryfiles/{fileName}/versions`: what became of a file, and going back.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, header};
use jumpbag_wire::action::MachineAction;
use jumpbag_wire::diff::Diff;
use jumpbag_wire::error::ErrorEnvelope;
use jumpbag_wire::library::{FileVersion, LibraryFile};
use jumpbag_wire::odata::Collection;
use jumpbag_wire::time::Timestamp;

use super::allowed::{ActionRead, Allowed, LibraryManage, LibraryRead};
use super::answer;
use super::conditional::{expected, marked};
use super::edge::Context;
use super::name::{Name, TwoVersionsOf, VersionOf};
use crate::app::App;
use crate::error::Error;
use crate::library::Subject;

/// The versions of a file, newest first.
#[utoipa::path(
    get, path = "/api/libraryfiles/{fileName}/versions", tag = "history", operation_id = "listVersions",
    params(
        ("fileName" = String, Path, description = "The name, percent-encoded once; letter case does not count"),
        ("$skiptoken" = Option<u64>, Query, description = "From `@odata.nextLink`"),
    ),
    responses(
        (status = 200, description = "At most 1000 of the versions that are kept", body = Collection<FileVersion>),
        (status = 404, description = "No such file", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Read"]), ("oauth2" = ["Library.Manage"]))
)]
pub async fn list(
    _: Allowed<LibraryRead>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Name(name): Name,
    RawQuery(raw): RawQuery,
) -> Result<Response, Error> {
    let below = answer::skip_token(raw.as_deref(), |token| token.parse().ok())?;
    let page = app.library.versions(Subject::Living(name.clone()), below).await?;
    let path = format!("/api/libraryfiles/{}/versions", answer::segment(&name));
    answer::collection(&context.base, "LibraryFileVersions", page.versions, &path, page.next)
}

/// One version of a file.
#[utoipa::path(
    get, path = "/api/libraryfiles/{fileName}/versions/{version}", tag = "history", operation_id = "getVersion",
    params(("fileName" = String, Path, description = "The name, percent-encoded once; letter case does not count"), ("version" = u64, Path, description = "The version's number")),
    responses(
        (status = 200, description = "The version", body = FileVersion),
        (status = 404, description = "No such file or version", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Read"]), ("oauth2" = ["Library.Manage"]))
)]
pub async fn show(
    _: Allowed<LibraryRead>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    VersionOf { name, version }: VersionOf,
) -> Result<Response, Error> {
    answer::entity(
        &context.base,
        "LibraryFileVersions",
        app.library.version(Subject::Living(name), version).await?,
    )
}

/// Make a new version with the bytes and the metadata of an earlier one.
#[utoipa::path(
    post, path = "/api/libraryfiles/{fileName}/versions/{version}/restore", tag = "history", operation_id = "restoreVersion",
    params(
        ("fileName" = String, Path, description = "The name, percent-encoded once; letter case does not count"), ("version" = u64, Path, description = "The version's number"),
        ("If-Match" = Option<String>, Header, description = "The file's `ETag` or the SHA-256 of its bytes, in double quotes"),
    ),
    responses(
        (status = 200, description = "The file as it is now", body = LibraryFile),
        (status = 400, description = "The version is the current one, or a quota is used up", body = ErrorEnvelope),
        (status = 404, description = "No such file or version", body = ErrorEnvelope),
        (status = 412, description = "The file is not what `If-Match` asks for", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Manage"]))
)]
pub async fn restore(
    allowed: Allowed<LibraryManage>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    VersionOf { name, version }: VersionOf,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let (expect, actor) = (expected(&headers)?, allowed.actor(&context));
    let file = app.library.restore(&name, version, expect, actor, Timestamp::now()).await?;
    Ok(marked(answer::entity(&context.base, "LibraryFiles", &file)?, &file))
}

/// In which lines two versions of a file differ.
#[utoipa::path(
    get, path = "/api/libraryfiles/{fileName}/versions/{version}/diff/{other}", tag = "history", operation_id = "diffVersions",
    params(
        ("fileName" = String, Path, description = "The name, percent-encoded once; letter case does not count"),
        ("version" = u64, Path, description = "The version to come from"),
        ("other" = u64, Path, description = "The version to get to"),
        ("Accept" = Option<String>, Header, description = "`text/x-diff` for a unified diff"),
    ),
    responses(
        (status = 200, description = "Hunks of texts; digests and sizes of all else", content(
            (Diff = "application/json"), (String = "text/x-diff")
        )),
        (status = 400, description = "A text is too large to be compared", body = ErrorEnvelope),
        (status = 404, description = "No such file or version", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Read"]), ("oauth2" = ["Library.Manage"]))
)]
pub async fn diff(
    _: Allowed<LibraryRead>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    TwoVersionsOf { name, from, to }: TwoVersionsOf,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let diff = app.library.diff(&name, from, to).await?;
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepted.to_ascii_lowercase().contains("text/x-diff") {
        return Ok(
            ([(header::CONTENT_TYPE, "text/x-diff; charset=utf-8")], diff.unified(&name)).into_response()
        );
    }
    answer::entity(&context.base, "LibraryFileDiffs", diff)
}

/// Where a version of a file ran: the actions that were bound to it, the newest first.
#[utoipa::path(
    get, path = "/api/libraryfiles/{fileName}/versions/{version}/runs", tag = "history", operation_id = "listVersionRuns",
    params(
        ("fileName" = String, Path, description = "The name, percent-encoded once; letter case does not count"),
        ("version" = u64, Path, description = "The version's number"),
    ),
    responses(
        (status = 200, description = "At most 1000 actions", body = Collection<MachineAction>),
        (status = 404, description = "No such file or version", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Machine.Read.All"]), ("oauth2" = ["Machine.ReadWrite.All"]))
)]
pub async fn runs(
    _: Allowed<ActionRead>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    VersionOf { name, version }: VersionOf,
) -> Result<Response, Error> {
    let file = app.library.find(&name).await?;
    app.library.version(Subject::Living(name), version).await?;
    let runs = app.actions.runs(&file.id, version).await?;
    answer::collection(&context.base, "MachineActions", runs, "", None::<u64>)
}
