//! The edge: every request gets its id, its address and its canonical path here, every answer its headers, its
//! envelope, its log line and its place in the metrics.

use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tower::ServiceExt as _;

use super::body::{Watched, drain};
use crate::app::App;
use crate::error::Error;
use crate::limit::Verdict;

/// What in /api is one thing and no collection of named ones.
const NAMELESS: [&str; 2] = ["library", "audit"];
/// Header fields of one request, names and values, in bytes.
const MAX_HEADERS: usize = 32 * 1024;

/// What is known of a request beside the request itself.
pub struct Context {
    pub id: String,
    /// Who asks: the peer, or whom a trusted proxy names.
    pub address: IpAddr,
    /// Scheme and host by which the server was reached.
    pub base: String,
    pub caller: OnceLock<String>,
    pub verdict: OnceLock<Verdict>,
    pub route: OnceLock<String>,
    received: Arc<AtomicU64>,
}

/// How a connection came in.
#[derive(Clone, Copy)]
pub struct Peer {
    pub address: SocketAddr,
    pub tls: bool,
}

/// Answers one request.
pub async fn handle(app: Arc<App>, router: Router, peer: Peer, request: Request<Incoming>) -> Response {
    let started = Instant::now();
    let context = Arc::new(context(&app, peer, &request));
    let (method, version) = (request.method().clone(), request.version());
    let path = request.uri().path().to_owned();
    let expects = request.headers().contains_key(header::EXPECT);
    let headers_size = size(request.headers());

    let (mut parts, body) = request.into_parts();
    let idle = Duration::from_secs(app.settings.body_idle_seconds);
    let (body, rest) = Watched::new(body, idle, Arc::clone(&context.received));
    parts.uri = canonical(&parts.uri);
    parts.extensions.insert(Arc::clone(&context));
    let request = Request::from_parts(parts, Body::new(body));

    let mut response = if headers_size > MAX_HEADERS {
        // What is left of its body is given back only now.
        drop(request);
        Error::HeadersTooLarge { limit: MAX_HEADERS }.into_response()
    } else {
        let answer = AssertUnwindSafe(router.oneshot(request)).catch_unwind().await;
        match answer {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => Error::Internal("a handler panicked".into()).into_response(),
        }
    };
    let failure = failure(&mut response, method.as_str(), &path);
    if let Some(failure) = &failure {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = failure.response(&context.id);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    if !may_answer(version, expects, &context, failure.as_deref(), rest).await {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    dress(&context, peer, &mut response);
    report(&app, &context, method.as_str(), &response, failure.as_deref(), started);
    response
}

/// Reads what the client is still sending, where it would miss the answer otherwise. `false` when the connection
/// is of no use any more.
async fn may_answer(
    version: Version,
    expects: bool,
    context: &Context,
    failure: Option<&Error>,
    rest: oneshot::Receiver<Incoming>,
) -> bool {
    // HTTP/2 can answer while the other side sends.
    if version >= Version::HTTP_2 {
        return true;
    }
    let Ok(rest) = rest.await else { return true };
    // A client that sends its body only when asked is not asked, and one that is too slow had its time.
    let asks = expects && context.received.load(Ordering::Relaxed) == 0;
    !asks && !matches!(failure, Some(Error::Slow(_))) && drain(rest).await
}

fn context(app: &App, peer: Peer, request: &Request<Incoming>) -> Context {
    let trusted = app.settings.trusted_proxies.contains(&peer.address.ip());
    let forwarded = |name: &str| {
        // The proxy's own word comes last; what comes before it may be the client's.
        let value = trusted.then(|| request.headers().get_all(name).iter().next_back()).flatten()?;
        value.to_str().ok().map(|value| value.rsplit(',').next().unwrap_or(value).trim().to_owned())
    };
    let address =
        forwarded("x-forwarded-for").and_then(|text| text.parse().ok()).unwrap_or(peer.address.ip());
    let base = app.settings.public_url.clone().unwrap_or_else(|| {
        let scheme = forwarded("x-forwarded-proto").filter(|scheme| scheme == "https" || scheme == "http");
        let scheme = scheme.unwrap_or_else(|| if peer.tls { "https" } else { "http" }.to_owned());
        let host = forwarded("x-forwarded-host").or_else(|| host(request)).filter(|host| is_host(host));
        format!("{scheme}://{}", host.unwrap_or_else(|| app.settings.listen.to_string()))
    });
    Context {
        id: uuid::Uuid::new_v4().to_string(),
        address,
        base,
        caller: OnceLock::new(),
        verdict: OnceLock::new(),
        route: OnceLock::new(),
        received: Arc::default(),
    }
}

fn host(request: &Request<Incoming>) -> Option<String> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok().map(str::to_owned));
    host.or_else(|| request.uri().authority().map(ToString::to_string))
}

/// The host goes into addresses that we hand out: only what a host may be made of.
fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 255
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
}

fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// The path as the routes know it: `/api/v1.0` is `/api`, letter case counts only in the third segment (a name or
/// an id) and in the tenant, and a slash at the end does not count.
fn canonical(uri: &Uri) -> Uri {
    let path = uri.path();
    let mut segments: Vec<&str> = path.split('/').skip(1).collect();
    while segments.len() > 1 && segments.last() == Some(&"") {
        segments.pop();
    }
    let is_api = segments.first().is_some_and(|first| first.eq_ignore_ascii_case("api"));
    if is_api && segments.get(1).is_some_and(|version| version.eq_ignore_ascii_case("v1.0")) {
        segments.remove(1);
    }
    // In /api the third segment is a name, but below what has no names; elsewhere the first is the tenant.
    let nameless =
        segments.get(1).is_some_and(|second| NAMELESS.iter().any(|name| second.eq_ignore_ascii_case(name)));
    let kept = match (is_api, nameless) {
        (true, true) => usize::MAX,
        (true, false) => 2,
        (false, _) => 0,
    };
    let mut canonical = String::with_capacity(path.len());
    for (index, segment) in segments.iter().enumerate() {
        canonical.push('/');
        if index == kept && segments.len() > 1 {
            canonical.push_str(segment);
        } else {
            canonical.push_str(&segment.to_ascii_lowercase().replace("%24", "$"));
        }
    }
    if let Some(query) = uri.query() {
        canonical.push('?');
        canonical.push_str(query);
    }
    canonical.parse().unwrap_or_else(|_| uri.clone())
}

/// What went wrong, if something did: a handler's error, or a bare answer of the router.
fn failure(response: &mut Response, method: &str, path: &str) -> Option<Arc<Error>> {
    if let Some(error) = response.extensions_mut().remove::<Arc<Error>>() {
        return Some(error);
    }
    let has_body = response.headers().contains_key(header::CONTENT_TYPE);
    match response.status() {
        StatusCode::NOT_FOUND if !has_body => Some(Arc::new(Error::NoRoute { path: path.to_owned() })),
        StatusCode::METHOD_NOT_ALLOWED if !has_body => {
            Some(Arc::new(Error::MethodNotAllowed { method: method.to_owned(), path: path.to_owned() }))
        }
        _ => None,
    }
}

fn dress(context: &Context, peer: Peer, response: &mut Response) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&context.id) {
        headers.insert("request-id", id);
    }
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    if peer.tls || context.base.starts_with("https://") {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=15724800; includeSubDomains"),
        );
    }
    if let Some(verdict) = context.verdict.get() {
        let (policy, standing) = rate_limit(verdict);
        for (name, value) in [("ratelimit-policy", policy), ("ratelimit", standing)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }
}

/// `RateLimit-Policy` and `RateLimit` as draft-ietf-httpapi-ratelimit-headers-10 writes them.
fn rate_limit(verdict: &Verdict) -> (String, String) {
    let policy = verdict.standings.iter().map(|standing| {
        let quota = standing.quota;
        format!("\"{}\";q={};w={}", quota.name, quota.calls, quota.seconds)
    });
    let standing = verdict
        .standings
        .iter()
        .map(|standing| format!("\"{}\";r={};t={}", standing.quota.name, standing.remaining, standing.reset));
    (policy.collect::<Vec<_>>().join(", "), standing.collect::<Vec<_>>().join(", "))
}

fn report(
    app: &App,
    context: &Context,
    method: &str,
    response: &Response,
    failure: Option<&Error>,
    started: Instant,
) {
    let elapsed = started.elapsed();
    let status = response.status().as_u16();
    let route = context.route.get().map_or("none", String::as_str);
    let caller = context.caller.get().map_or("-", String::as_str);
    let received = context.received.load(Ordering::Relaxed);
    let sent = response.body().size_hint().exact().unwrap_or(0);
    app.metrics.request(method, route, status, elapsed, received, sent);
    if let Some(error) = failure.filter(|_| status >= 500) {
        tracing::error!(request_id = context.id, route, error = error.chain(), "request failed");
    }
    tracing::info!(
        request_id = context.id,
        caller,
        address = %context.address,
        method,
        route,
        status,
        ms = (elapsed.as_secs_f64() * 1e6).round() / 1e3,
        received,
        sent,
        "request"
    );
}

#[cfg(test)]
mod tests {
    use super::{canonical, is_host};

    #[test]
    fn paths_are_canonical_but_for_names_and_tenants() {
        for (given, wanted) in [
            ("/API/LibraryFiles", "/api/libraryfiles"),
            ("/api/v1.0/LibraryFiles/A%20b.PS1?$Top=1", "/api/libraryfiles/A%20b.PS1?$Top=1"),
            ("/api/V1.0", "/api"),
            ("/api/libraryfiles/", "/api/libraryfiles"),
            ("/Api/%24Metadata", "/api/$metadata"),
            ("/Contoso/OAuth2/V2.0/Token?x=Y", "/Contoso/oauth2/v2.0/token?x=Y"),
            ("/", "/"),
        ] {
            assert_eq!(canonical(&given.parse().unwrap()).to_string(), wanted, "{given}");
        }
    }

    #[test]
    fn only_what_can_be_a_host_is_echoed() {
        for host in ["localhost:8080", "[::1]:80", "api.security.microsoft.com", "my_host"] {
            assert!(is_host(host), "{host}");
        }
        for host in ["", "a b", "a/b", "a\"b", "a@b", "ü"] {
            assert!(!is_host(host), "{host}");
        }
    }
}
