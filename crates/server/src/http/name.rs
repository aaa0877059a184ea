//! The file name in a path: one segment, percent-decoded once.

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

use crate::error::Error;

pub struct Name(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Name, Error> {
        let raw = RawPathParams::from_request_parts(parts, state)
            .await
            .ok()
            .and_then(|params| params.iter().next().map(|(_, value)| value.to_owned()))
            .ok_or_else(|| {
                Error::InvalidInput("the file name in the path is not UTF-8 when decoded".into())
            })?;
        Ok(Name(raw))
    }
}
