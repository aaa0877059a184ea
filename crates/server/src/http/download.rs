//! `…/content`: the bytes of a version, whole or in a range. A transfer that ends well was verified; one that was
//! not ends before its last byte.

mod disposition;
mod range;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::Stream as _;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body::{Frame, SizeHint};
use jumpbag_wire::error::ErrorEnvelope;

use super::allowed::{Allowed, LibraryRead};
use super::conditional;
use super::edge::Context;
use super::name::{Name, VersionOf};
use super::patience::HangUp;
use crate::app::App;
use crate::error::Error;
use crate::library::{ContentRef, Flow, Opened, Subject};
pub use disposition::attachment;
use range::Asked;

const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// The bytes of a file.
#[utoipa::path(
    get, path = "/api/libraryfiles/{fileName}/content", tag = "library", operation_id = "getLibraryFileContent",
    params(
        ("fileName" = String, Path, description = "The name, percent-encoded once; letter case does not count"),
        ("Range" = Option<String>, Header, description = "One range of bytes, for example `bytes=0-1023`; several are answered with the whole"),
        ("If-Range" = Option<String>, Header, description = "The `ETag` that `Range` is meant for; another content is answered whole"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` that is known already"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` that the content must have"),
    ),
    responses(
        (status = 200, description = "All bytes. `ETag` is the SHA-256 in hexadecimal digits, `Repr-Digest` in base64. Bytes that are found damaged while they are sent end the transfer before its last byte",
            body = String, content_type = "application/octet-stream"),
        (status = 206, description = "The bytes of the range, which `Content-Range` tells",
            body = String, content_type = "application/octet-stream"),
        (status = 304, description = "The content has the `ETag` of `If-None-Match`"),
        (status = 404, description = "No such file", body = ErrorEnvelope),
        (status = 412, description = "The content does not have the `ETag` of `If-Match`", body = ErrorEnvelope),
        (status = 416, description = "The range begins behind the last byte", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Read"]), ("oauth2" = ["Library.Manage"]))
)]
pub async fn content(
    _: Allowed<LibraryRead>,
    State(app): State<Arc<App>>,
    Name(name): Name,
    download: Download,
) -> Result<Response, Error> {
    let file = app.library.find(&name).await?;
    download.of(app, file.into()).await
}

/// The bytes of one version of a file.
#[utoipa::path(
    get, path = "/api/libraryfiles/{fileName}/versions/{version}/content", tag = "history", operation_id = "getVersionContent",
    params(
        ("fileName" = String, Path, description = "The name, percent-encoded once; letter case does not count"),
        ("version" = u64, Path, description = "The version's number"),
    ),
    responses(
        (status = 200, description = "As of the file's content, with the same conditions and ranges",
            body = String, content_type = "application/octet-stream"),
        (status = 404, description = "No such file or version", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Read"]), ("oauth2" = ["Library.Manage"]))
)]
pub async fn version_content(
    _: Allowed<LibraryRead>,
    State(app): State<Arc<App>>,
    VersionOf { name, version }: VersionOf,
    download: Download,
) -> Result<Response, Error> {
    let version = app.library.version(Subject::Living(name), version).await?;
    download.of(app, version.into()).await
}

/// The bytes of one version of a deleted file.
#[utoipa::path(
    get, path = "/api/deletedlibraryfiles/{id}/versions/{version}/content", tag = "history", operation_id = "getDeletedVersionContent",
    params(
        ("id" = String, Path, description = "The file's id"),
        ("version" = u64, Path, description = "The version's number"),
    ),
    responses(
        (status = 200, description = "As of the file's content, with the same conditions and ranges",
            body = String, content_type = "application/octet-stream"),
        (status = 404, description = "No such deleted file or version", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Read"]), ("oauth2" = ["Library.Manage"]))
)]
pub async fn deleted_content(
    _: Allowed<LibraryRead>,
    State(app): State<Arc<App>>,
    VersionOf { name: id, version }: VersionOf,
    download: Download,
) -> Result<Response, Error> {
    let version = app.library.version(Subject::Deleted(id), version).await?;
    download.of(app, version.into()).await
}

/// How a client asks for bytes.
pub struct Download {
    method: Method,
    headers: HeaderMap,
    context: Arc<Context>,
    hang_up: HangUp,
}

impl<S: Send + Sync> FromRequestParts<S> for Download {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Download, Error> {
        let missing = || Error::Internal("a request without context or connection".into());
        Ok(Download {
            method: parts.method.clone(),
            headers: parts.headers.clone(),
            context: parts.extensions.get().cloned().ok_or_else(missing)?,
            hang_up: parts.extensions.get().cloned().ok_or_else(missing)?,
        })
    }
}

impl Download {
    /// Answers with the content of this version, whether it is current or not.
    ///
    /// # Errors
    /// `PreconditionFailed`, `RangeNotSatisfiable`, and what [`crate::library::Library::open`] fails with.
    pub async fn of(self, app: Arc<App>, file: ContentRef) -> Result<Response, Error> {
        let etag = format!("\"{}\"", file.sha256);
        if self.headers.contains_key(header::IF_MATCH)
            && !conditional::names(&self.headers, &header::IF_MATCH, &etag)
        {
            return Err(Error::PreconditionFailed(format!(
                "the content of {} has the entity tag {etag}, which `If-Match` does not name",
                file.file_name
            )));
        }
        if conditional::knows(&self.headers, &etag) {
            return Ok(validated(StatusCode::NOT_MODIFIED.into_response(), &etag));
        }
        let asked = self.range(&etag, file.size);
        let (status, range) = match asked {
            Asked::Whole => (StatusCode::OK, 0..file.size),
            Asked::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
            Asked::Nothing => return Err(Error::RangeNotSatisfiable { size: file.size }),
        };
        let length = range.end - range.start;
        let content_range = format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), file.size);
        let body = match self.method {
            Method::HEAD => Body::empty(),
            _ => self.open(app, &file, range).await?,
        };
        let mut response = validated((status, body).into_response(), &etag);
        describe(response.headers_mut(), &file, length)?;
        if status == StatusCode::PARTIAL_CONTENT {
            response.headers_mut().insert(header::CONTENT_RANGE, value(&content_range)?);
        }
        Ok(response)
    }

    /// Ranges are for GET only, and where `If-Range` names another content there is none.
    fn range(&self, etag: &str, size: u64) -> Asked {
        // A date cannot match: no time is told of a content, because none within a second is exact.
        let meant = self.headers.get(header::IF_RANGE).is_none_or(|tag| tag.as_bytes() == etag.as_bytes());
        if self.method != Method::GET || !meant {
            return Asked::Whole;
        }
        let mut all = self.headers.get_all(header::RANGE).iter();
        match (all.next().and_then(|range| range.to_str().ok()), all.next()) {
            (Some(range), None) => Asked::parse(range, size),
            _ => Asked::Whole,
        }
    }

    async fn open(
        self,
        app: Arc<App>,
        file: &ContentRef,
        range: std::ops::Range<u64>,
    ) -> Result<Body, Error> {
        let (opened, flow) = app.library.open(file, range).await.inspect_err(|error| count(&app, error))?;
        let limit = Duration::from_secs(app.settings.body_idle_seconds);
        tokio::spawn(look_on(flow, limit, self.hang_up, Arc::clone(&self.context)));
        Ok(Body::new(Sent { opened, app, context: self.context }))
    }
}

/// Ends the connection of a client that takes nothing: its stream alone could not be ended without waiting for it.
async fn look_on(flow: Flow, limit: Duration, hang_up: HangUp, context: Arc<Context>) {
    if flow.stalls(limit).await {
        let seconds = limit.as_secs();
        tracing::warn!(request_id = context.id, seconds, "a download is not taken: its connection ends");
        hang_up.now();
    }
}

fn count(app: &App, error: &Error) {
    if matches!(error, Error::Damaged { .. }) {
        app.metrics.damaged();
    }
}

/// What stands on 304 too.
fn validated(mut response: Response, etag: &str) -> Response {
    let headers = response.headers_mut();
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, etag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    response
}

/// Of no type that anything would run or show, and under a name that does not end early. There is no
/// `Last-Modified`: the entity tag is exact, and a restored version would be older than what it replaced.
fn describe(headers: &mut HeaderMap, file: &ContentRef, length: u64) -> Result<(), Error> {
    let digest = jumpbag_wire::hex::bytes(&file.sha256)
        .ok_or_else(|| Error::Internal(format!("`{}` is no digest", file.sha256)))?;
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CONTENT_DISPOSITION, value(&attachment(&file.file_name))?);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(REPR_DIGEST, value(&format!("sha-256=:{}:", BASE64.encode(digest)))?);
    let policy = HeaderValue::from_static("sandbox; default-src 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    Ok(())
}

fn value(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text).map_err(|e| Error::Internal(format!("`{text}`: {e}")))
}

/// A body that says why it broke off.
struct Sent {
    opened: Opened,
    app: Arc<App>,
    context: Arc<Context>,
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let piece = ready!(Pin::new(&mut self.opened).poll_next(cx));
        if let Some(Err(error)) = &piece {
            count(&self.app, error);
            let id = &self.context.id;
            tracing::error!(request_id = id, error = error.chain(), "download broken off");
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.opened.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.opened.left())
    }
}
