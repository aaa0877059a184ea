//! The console: pages and modules that are part of the program. It runs nothing that is not here, asks no other host, and
//! does only what the public API does.

pub mod external;
pub mod session;
pub mod setup;

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use rust_embed::Embed;

use crate::error::Error;
use jumpbag_wire::hex::hex;

#[derive(Embed)]
#[folder = "../../console"]
#[exclude = "tests/*"]
#[exclude = "*.json"]
struct Files;

/// A file as it is sent.
struct Page {
    plain: Bytes,
    gzip: Bytes,
    tag: HeaderValue,
    kind: HeaderValue,
}

/// Compressed once, with the tags by which browsers know what they have.
static PAGES: LazyLock<HashMap<String, Page>> = LazyLock::new(|| {
    Files::iter()
        .filter_map(|name| {
            let file = Files::get(&name)?;
            let plain = Bytes::from(file.data.into_owned());
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            let gzip = encoder.write_all(&plain).and_then(|()| encoder.finish()).ok()?;
            let tag = format!("\"{}\"", hex(&file.metadata.sha256_hash()[..12]));
            let kind = match name.rsplit('.').next() {
                Some("html") => "text/html; charset=utf-8",
                Some("js") => "text/javascript; charset=utf-8",
                Some("css") => "text/css; charset=utf-8",
                Some("svg") => "image/svg+xml",
                _ => return None,
            };
            let page = Page {
                plain,
                gzip: gzip.into(),
                tag: HeaderValue::from_str(&tag).ok()?,
                kind: HeaderValue::from_static(kind),
            };
            Some((name.into_owned(), page))
        })
        .collect()
});

/// What a page of the console may do: load what is served here, and talk to this server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The page at all of the console's own addresses: what is shown there is the business of its modules.
pub async fn page(headers: HeaderMap) -> Result<Response, Error> {
    sent("index.html", &headers)
}

/// A module, a style sheet, a picture.
pub async fn file(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Error> {
    sent(&name, &headers)
}

fn sent(name: &str, asked: &HeaderMap) -> Result<Response, Error> {
    let page = PAGES.get(name).ok_or_else(|| Error::NoRoute { path: format!("/console/{name}") })?;
    let says = |name, value: &str| {
        asked.get_all(name).iter().filter_map(|is| is.to_str().ok()).any(|is| is.contains(value))
    };
    let known = says(header::IF_NONE_MATCH, page.tag.to_str().unwrap_or_default());
    let gzip = says(header::ACCEPT_ENCODING, "gzip");
    let body = match (known, gzip) {
        (true, _) => Body::empty(),
        (false, true) => Body::from(page.gzip.clone()),
        (false, false) => Body::from(page.plain.clone()),
    };
    let mut answer = body.into_response();
    if known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = answer.headers_mut();
    if gzip && !known {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(header::CONTENT_TYPE, page.kind.clone());
    headers.insert(header::ETAG, page.tag.clone());
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    Ok(answer)
}
