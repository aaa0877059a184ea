//! Successful answers, dressed as the original dresses them: entities, and collections that link to their next page.

use std::fmt::Display;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use jumpbag_wire::odata::{self, Collection, Entity};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use super::listing::{NextLink, chosen, held};
use crate::error::Error;
use crate::listed::Listed;
use crate::odata::Property;

/// What may stand in a path as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A successful OData answer.
pub fn odata(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(odata::CONTENT_TYPE)),
        (header::HeaderName::from_static("odata-version"), HeaderValue::from_static("4.0")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, body).into_response()
}

/// One entity of a set.
pub fn entity<T: Serialize>(base: &str, set: &str, entity: T) -> Result<Response, Error> {
    let entity = Entity { context: format!("{base}/api/$metadata#{set}/$entity"), entity };
    let json = serde_json::to_vec(&entity).map_err(|e| Error::Internal(e.to_string()))?;
    Ok(odata(Body::from(json)))
}

/// The answer to whoever made what it shows, which stands at `location` from now on.
pub fn created(mut response: Response, location: &str) -> Response {
    *response.status_mut() = StatusCode::CREATED;
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// A page of a set; `next` is where the next one begins.
pub fn collection<T: Serialize>(
    base: &str,
    set: &str,
    value: Vec<T>,
    path: &str,
    next: Option<impl Display>,
) -> Result<Response, Error> {
    let next_link = next.map(|next| format!("{base}{path}?$skiptoken={next}"));
    let page = Collection { context: format!("{base}/api/$metadata#{set}"), count: None, value, next_link };
    let json = serde_json::to_vec(&page).map_err(|e| Error::Internal(e.to_string()))?;
    Ok(odata(Body::from(json)))
}

/// A page of a set that was asked for with query options.
pub fn page<T: Serialize>(
    (base, path, raw): (&str, &'static str, Option<&str>),
    set: &str,
    page: Listed<T>,
    select: Option<&[&Property]>,
    place: OwnedSemaphorePermit,
) -> Result<Response, Error> {
    let failed = |e: serde_json::Error| Error::Internal(e.to_string());
    let next_link = page.next.map(|next| NextLink { base, path, raw }.to(&next.to_string()));
    let (context, count) = (format!("{base}/api/$metadata#{set}"), page.count);
    let json = match select {
        None => serde_json::to_vec(&Collection { context, count, value: page.rows, next_link }),
        Some(select) => {
            let names: Vec<_> = select.iter().map(|property| property.name).collect();
            let context = format!("{context}({})", names.join(","));
            let value: Result<Vec<_>, _> = page.rows.iter().map(|row| chosen(row, &names)).collect();
            value.and_then(|value| serde_json::to_vec(&Collection { context, count, value, next_link }))
        }
    };
    Ok(odata(held(json.map_err(failed)?, place)))
}

/// A name as a segment of a path.
pub fn segment(name: &str) -> impl Display + '_ {
    utf8_percent_encode(name, SEGMENT)
}

/// Where a page begins, from the only option that such a collection takes.
///
/// # Errors
/// `OData` when there is another option, or `read` makes nothing of the token.
pub fn skip_token<T>(raw: Option<&str>, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Error> {
    let mut token = None;
    for (name, value) in url::form_urlencoded::parse(raw.unwrap_or_default().as_bytes()) {
        match name.as_ref() {
            "$skiptoken" => token = Some(value.into_owned()),
            other if other.starts_with('$') => {
                let shown: String = other.chars().take(60).collect();
                return Err(Error::OData(format!(
                    "`{}` is not supported here: follow `@odata.nextLink` for more",
                    shown.escape_debug()
                )));
            }
            // As elsewhere: parameters that are no query options are nobody's concern.
            _ => {}
        }
    }
    token
        .map(|token| {
            read(&token).ok_or_else(|| {
                Error::OData(
                    "`$skiptoken` is not one that this server made: follow `@odata.nextLink` as it is".into(),
                )
            })
        })
        .transpose()
}
