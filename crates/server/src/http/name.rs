//! Names in a path: one segment, percent-decoded once.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

use crate::error::Error;

/// The name of a file.
pub struct Name(pub String);

/// A version of a file.
pub struct VersionOf {
    pub name: String,
    pub version: u64,
}

/// Two versions of a file.
pub struct TwoVersionsOf {
    pub name: String,
    pub from: u64,
    pub to: u64,
}

/// The tenant, by id or name; empty where it is not UTF-8 and so nobody's.
pub struct TenantName(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Name, Error> {
        let name = first(parts, state).await.ok_or_else(|| {
            Error::InvalidInput("the file name in the path is not UTF-8 when decoded".into())
        })?;
        Ok(Name(name))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for VersionOf {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<VersionOf, Error> {
        let Name(name) = Name::from_request_parts(parts, state).await?;
        let version = numbered(parts, state, 1).await?;
        Ok(VersionOf { name, version })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for TwoVersionsOf {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<TwoVersionsOf, Error> {
        let VersionOf { name, version: from } = VersionOf::from_request_parts(parts, state).await?;
        let to = numbered(parts, state, 2).await?;
        Ok(TwoVersionsOf { name, from, to })
    }
}

/// The number of a version, from the parameter at this place.
async fn numbered<S: Send + Sync>(parts: &mut Parts, state: &S, place: usize) -> Result<u64, Error> {
    let params = RawPathParams::from_request_parts(parts, state).await.ok();
    let text = params.as_ref().and_then(|params| params.iter().nth(place)).map_or("", |(_, value)| value);
    canonical(text).ok_or_else(|| {
        let shown: String = text.chars().take(60).collect();
        Error::InvalidInput(format!(
            "`{}` in the path is not the number of a version: expected 1, 2, …",
            shown.escape_debug()
        ))
    })
}

/// A number in the one way in which it is written in paths: `+1` and `01` are none.
fn canonical(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

impl<S: Send + Sync> FromRequestParts<S> for TenantName {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<TenantName, Infallible> {
        Ok(TenantName(first(parts, state).await.unwrap_or_default()))
    }
}

async fn first<S: Send + Sync>(parts: &mut Parts, state: &S) -> Option<String> {
    let params = RawPathParams::from_request_parts(parts, state).await.ok()?;
    params.iter().next().map(|(_, value)| value.to_owned())
}
