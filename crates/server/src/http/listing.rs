//! Answers with lists of the library: conditional, compressed when asked, in pages that link to each other.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::Full;
use jumpbag_wire::odata::Collection;
use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use super::answer::odata;
use super::conditional;
use crate::app::App;
use crate::error::Error;
use crate::library::Listing;
use crate::odata::{Property, Query};
use crate::rendered::Rendered;

const PATH: &str = "/api/libraryfiles";

pub async fn answer(
    app: &App,
    base: &str,
    raw: Option<&str>,
    query: Query,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let change = app.library.last_change().await?;
    let etag = etag(&app.tenant, change, base, raw);
    if conditional::knows(headers, &etag) {
        return Ok(marked(StatusCode::NOT_MODIFIED.into_response(), &etag));
    }
    if !query.is_plain() {
        let place = app.listings.place().await?;
        let (link, select) = (NextLink { base, path: PATH, raw }, query.select.clone());
        let listing = app.library.list(query).await?;
        // A change between the two readings: this answer must not pass for the state before it.
        let etag =
            if listing.change == change { etag } else { self::etag(&app.tenant, listing.change, base, raw) };
        let page = render(&link, listing, select.as_deref())?;
        return Ok(marked(odata(held(page, place)), &etag));
    }
    let page = first_page(app, base, query, change).await?;
    let etag = self::etag(&app.tenant, page.change, base, raw);
    if !accepts_gzip(headers) {
        return Ok(marked(odata(Body::from(page.json.clone())), &etag));
    }
    let compressed = match page.known_gzip() {
        Some(compressed) => compressed.clone(),
        None => compress(page).await?,
    };
    let mut response = odata(Body::from(compressed));
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    Ok(marked(response, &etag))
}

/// A body that holds its place until its last byte is taken.
pub(super) fn held(page: Vec<u8>, place: OwnedSemaphorePermit) -> Body {
    Body::new(Full::new(Bytes::from_owner(Held { page, _place: place })))
}

struct Held {
    page: Vec<u8>,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.page
    }
}

async fn first_page(app: &App, base: &str, query: Query, change: i64) -> Result<Arc<Rendered>, Error> {
    if let Some(known) = app.listings.find(change, base) {
        return Ok(known);
    }
    let _turn = app.listings.turn().await;
    if let Some(known) = app.listings.find(change, base) {
        return Ok(known);
    }
    let listing = app.library.list(query).await?;
    let change = listing.change;
    let json = render(&NextLink { base, path: PATH, raw: None }, listing, None)?;
    let fresh = Arc::new(Rendered::new(change, base, json));
    app.listings.keep(Arc::clone(&fresh));
    Ok(fresh)
}

async fn compress(page: Arc<Rendered>) -> Result<Bytes, Error> {
    let compressed = tokio::task::spawn_blocking(move || page.gzip().clone());
    compressed.await.map_err(|e| Error::Internal(e.to_string()))
}

fn render(link: &NextLink<'_>, listing: Listing, select: Option<&[&Property]>) -> Result<Vec<u8>, Error> {
    let failed = |e: serde_json::Error| Error::Internal(e.to_string());
    let next_link = listing.next.as_deref().map(|token| link.to(token));
    let Some(select) = select else {
        let context = format!("{}/api/$metadata#LibraryFiles", link.base);
        let page = Collection { context, count: listing.count, value: listing.files, next_link };
        return serde_json::to_vec(&page).map_err(failed);
    };
    let names: Vec<_> = select.iter().map(|property| property.name).collect();
    let context = format!("{}/api/$metadata#LibraryFiles({})", link.base, names.join(","));
    let value = listing
        .files
        .iter()
        .map(|file| chosen(file, &names))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    serde_json::to_vec(&Collection { context, count: listing.count, value, next_link }).map_err(failed)
}

/// The chosen properties of an entity, in the order in which they were chosen.
pub(super) struct Chosen<'a>(Vec<(&'a str, serde_json::Value)>);

impl serde::Serialize for Chosen<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

pub(super) fn chosen<'a>(
    entity: &impl serde::Serialize,
    names: &[&'a str],
) -> Result<Chosen<'a>, serde_json::Error> {
    let mut all = serde_json::to_value(entity)?;
    Ok(Chosen(names.iter().map(|name| (*name, all[*name].take())).collect()))
}

/// The address of the next page: the options of this one, but for where it begins.
pub(super) struct NextLink<'a> {
    pub base: &'a str,
    pub path: &'static str,
    pub raw: Option<&'a str>,
}

impl NextLink<'_> {
    pub fn to(&self, token: &str) -> String {
        let mut options: Vec<String> = self
            .raw
            .unwrap_or_default()
            .split('&')
            .filter(|option| {
                let name =
                    option.split('=').next().unwrap_or_default().to_ascii_lowercase().replace("%24", "$");
                !name.is_empty() && name != "$skiptoken" && name != "$skip"
            })
            .map(str::to_owned)
            .collect();
        options.push(format!("$skiptoken={token}"));
        format!("{}{}?{}", self.base, self.path, options.join("&"))
    }
}

/// Weak, because the same list goes out compressed and not.
fn etag(tenant: &str, change: i64, base: &str, raw: Option<&str>) -> String {
    let digest = Sha256::digest(format!("{tenant}\n{base}\n{}", raw.unwrap_or_default()));
    format!("W/\"{change}-{}\"", jumpbag_wire::hex::hex(&digest[..8]))
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = parts.any(|part| {
            part.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()).is_some_and(|q| q <= 0.0)
        });
        gzip && !refused
    })
}

fn marked(mut response: Response, etag: &str) -> Response {
    let headers = response.headers_mut();
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, etag);
    }
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}
