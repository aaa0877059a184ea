//! What can go wrong with a request, and its face on the wire: the only place where a failure gets a status.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use jumpbag_wire::error::{ErrorBody, ErrorEnvelope};

use crate::blobs::BlobError;
use crate::catalog::CatalogError;

/// A request that ended without what it asked for. Each variant says what happened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    InvalidInput(String),
    #[error("{0}")]
    InvalidRequestBody(String),
    #[error("{0}")]
    OData(String),
    #[error("request header fields are larger than {limit} bytes in all")]
    HeadersTooLarge { limit: usize },
    /// No token, or one that does not count. `challenge` goes into `WWW-Authenticate`.
    #[error("{message}")]
    Unauthorized { message: String, challenge: String },
    #[error("the keys of the token's issuer cannot be had")]
    IssuerUnavailable,
    /// What the settings allow to be held in memory is held.
    #[error("too much is under way already")]
    Crowded,
    #[error("{0}")]
    Forbidden(String),
    #[error("no such resource: `{path}`")]
    NoRoute { path: String },
    #[error("{0}")]
    NotFound(String),
    /// A condition of the request, such as `If-Match`, does not hold.
    #[error("{0}")]
    PreconditionFailed(String),
    #[error("the content has {size} bytes, and the range begins behind them")]
    RangeNotSatisfiable { size: u64 },
    #[error("`{method}` is not allowed on `{path}`")]
    MethodNotAllowed { method: String, path: String },
    #[error("request body was not sent in time: {0}")]
    Slow(String),
    /// The resource is nothing but a WebSocket.
    #[error("{0}")]
    NoUpgrade(String),
    /// The machine is busy.
    #[error("{0}")]
    ActiveRequest(String),
    #[error("{0}")]
    TooManyRequests(String, u64),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Blobs(#[from] BlobError),
    #[error("content `{sha256}` is damaged: {problem}")]
    Damaged { sha256: String, problem: String },
    #[error("{0}")]
    Internal(String),
}

/// How a failure looks from outside.
pub struct Face {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
}

const BUSY_RETRY_SECS: u64 = 5;

impl Error {
    /// Status, code and message. A 5xx says nothing of the inside.
    pub fn face(&self) -> Face {
        let (status, code) = match self {
            Error::InvalidInput(_) => (StatusCode::BAD_REQUEST, "InvalidInput"),
            Error::InvalidRequestBody(_) => (StatusCode::BAD_REQUEST, "InvalidRequestBody"),
            Error::OData(_) => (StatusCode::BAD_REQUEST, "ODataError"),
            Error::HeadersTooLarge { .. } => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "BadRequest"),
            Error::Unauthorized { .. } => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            Error::Forbidden(_) => (StatusCode::FORBIDDEN, "Forbidden"),
            Error::NoRoute { .. } => (StatusCode::NOT_FOUND, "NotFound"),
            Error::NotFound(_) => (StatusCode::NOT_FOUND, "ResourceNotFound"),
            Error::PreconditionFailed(_) => (StatusCode::PRECONDITION_FAILED, "PreconditionFailed"),
            Error::RangeNotSatisfiable { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "RangeNotSatisfiable"),
            Error::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "BadRequest"),
            Error::ActiveRequest(_) => (StatusCode::BAD_REQUEST, "ActiveRequestAlreadyExists"),
            Error::NoUpgrade(_) => (StatusCode::UPGRADE_REQUIRED, "BadRequest"),
            Error::Slow(_) => (StatusCode::REQUEST_TIMEOUT, "BadRequest"),
            Error::TooManyRequests(..) => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
            Error::Catalog(CatalogError::Full(_)) | Error::Blobs(BlobError::Full(_)) => {
                (StatusCode::INSUFFICIENT_STORAGE, "InsufficientStorage")
            }
            Error::IssuerUnavailable
            | Error::Crowded
            | Error::Catalog(CatalogError::Busy(_) | CatalogError::Unreachable(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable")
            }
            Error::Catalog(_) | Error::Blobs(_) | Error::Damaged { .. } | Error::Internal(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError")
            }
        };
        let message = match status {
            StatusCode::INSUFFICIENT_STORAGE => "the server has no space left to store this".into(),
            StatusCode::SERVICE_UNAVAILABLE => "the server cannot answer right now: try again".into(),
            status if status.is_server_error() => {
                "the server failed: its log tells why, under this error's target".into()
            }
            _ => self.to_string(),
        };
        Face { status, code, message }
    }

    /// The failure with all its causes, for the log.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }

    /// In how many seconds it is worth another try.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Error::TooManyRequests(_, seconds) => Some(*seconds),
            Error::IssuerUnavailable
            | Error::Crowded
            | Error::Catalog(CatalogError::Busy(_) | CatalogError::Unreachable(_)) => Some(BUSY_RETRY_SECS),
            _ => None,
        }
    }

    /// The answer with its envelope.
    pub fn response(&self, request_id: &str) -> Response {
        let face = self.face();
        let body = ErrorEnvelope {
            error: ErrorBody { code: face.code.into(), message: face.message, target: request_id.to_owned() },
        };
        let mut response = (face.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Error::Unauthorized { challenge, .. } = self
            && let Ok(challenge) = HeaderValue::from_str(challenge)
        {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Error::NoUpgrade(_) = self {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        if let Error::RangeNotSatisfiable { size } = self
            && let Ok(range) = HeaderValue::from_str(&format!("bytes */{size}"))
        {
            headers.insert(header::CONTENT_RANGE, range);
        }
        response
    }
}

/// A handler's error travels to the edge in an extension: only there is the request's id known.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = self.face().status.into_response();
        response.extensions_mut().insert(std::sync::Arc::new(self));
        response
    }
}
