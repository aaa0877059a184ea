//! JSON bodies of requests: small, read whole, keys in any letter case.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use jumpbag_wire::json::Members;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::http::body::Stalled;

/// Bytes of a body, and how long it may take.
pub const MAX: usize = 64 * 1024;
const MAX_TIME: Duration = Duration::from_secs(30);

/// The whole body, whatever its content type says.
///
/// # Errors
/// `InvalidRequestBody` when it is too large or was cut short; `Slow` when it stalled or took too long.
pub async fn read(request: Request<Body>) -> Result<Bytes, Error> {
    let body = Limited::new(request.into_body(), MAX).collect();
    let slow = |_| Error::Slow(format!("a JSON body may take {} seconds", MAX_TIME.as_secs()));
    match tokio::time::timeout(MAX_TIME, body).await.map_err(slow)? {
        Ok(body) => Ok(body.to_bytes()),
        Err(e) if e.is::<LengthLimitError>() => {
            Err(incorrect(&format!("it is larger than the limit of {MAX} bytes")))
        }
        Err(e) => match Stalled::behind(e.as_ref()) {
            Some(stalled) => Err(Error::Slow(stalled.to_string())),
            None => Err(incorrect("it was cut short")),
        },
    }
}

pub fn incorrect(why: &str) -> Error {
    Error::InvalidRequestBody(format!("Request body is incorrect: {why}"))
}

/// A member that may be left out; null is the same.
///
/// # Errors
/// `InvalidRequestBody` when it is no string.
pub fn text(body: &Map<String, Value>, name: &str) -> Result<Option<String>, Error> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(incorrect(&format!("`{name}` must be a string"))),
    }
}

/// An object whose keys are among `known`, by their names there.
///
/// # Errors
/// `InvalidRequestBody` when it is none.
pub fn object(body: &[u8], known: &[&'static str]) -> Result<Map<String, Value>, Error> {
    let Members(members) = Members::parse(body).map_err(|e| match e.is_data() {
        true => incorrect("it is not a JSON object"),
        false => incorrect(&format!("it is not valid JSON: {e}")),
    })?;
    let mut object = Map::new();
    for (key, value) in members {
        let name = known.iter().find(|name| name.eq_ignore_ascii_case(&key)).ok_or_else(|| {
            let shown: String = key.chars().take(64).collect();
            incorrect(&format!("`{}` is none of {}", shown.escape_debug(), known.join(", ")))
        })?;
        if object.insert((*name).to_owned(), value).is_some() {
            return Err(incorrect(&format!("`{name}` is there twice")));
        }
    }
    Ok(object)
}
