//! A strict simulation of the original service, Microsoft Defender for Endpoint's live response API
//! with its sign-in, inside the test's process, on a thread of its own and the loopback interface alone. It can do what
//! the original can and nothing more: a client that leans on an extension of jumpbag fails here.
//!
//! ```ignore
//! let original = Original::start().await;                       // or
//! let original = Original::options().roles(&["Library.Manage"]).per_minute(5).tls().start().await;
//! original.put("triage.ps1", "Get-Process");                    // as if somebody else had done it
//! original.fail("POST /api/libraryfiles", Fault::Status(503)).times(2);
//! // … run the program against original.url() with original.tenant(), client_id(), client_secret()
//! assert_eq!(original.count("POST /api/libraryfiles"), 3);
//! assert_eq!(original.file("new.ps1").unwrap().description.as_deref(), Some("First script"));
//! ```
//!
//! One address plays all hosts: the API, the sign-in (`/{tenant}/oauth2/v2.0/…`) and the store that
//! results are downloaded from. It ends when it is dropped.

mod actions;
mod answer;
mod assertion;
mod faults;
mod library;
mod line;
mod machines;
mod odata;
mod options;
mod sign_in;
mod token;
mod world;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header, request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use tokio::sync::oneshot;

pub use faults::Fault;
pub use library::StoredFile;
pub use options::Options;

use answer::Refusal;
use line::{Cut, Lines};

/// The tenant: its id, and the domain that signs in just as well.
const TENANT: &str = "3f1c9a52-6d0e-4b7a-9c58-1e2d7f60ab34";
const DOMAIN: &str = "contoso.onmicrosoft.com";
/// The app that is registered in it.
const CLIENT: &str = "a6d0f2b8-94c1-4e37-8b1f-52c07d9e6613";
const CLIENT_NAME: &str = "library-sync";
const SECRET: &str = "kQ8~correct.horse-battery_staple";

/// A body longer than this is answered by the host and never reaches the service.
const HOST_LIMIT: usize = 30_000_000;

pub struct Original {
    service: Arc<Service>,
    url: String,
    ca: Option<(tempfile::TempDir, String)>,
    /// Dropped with the rest, it ends the service and its connections.
    _alive: oneshot::Sender<()>,
}

/// What the requests see.
struct Service {
    options: Options,
    issuer: token::Issuer,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: Vec<String>,
    faults: faults::Queue,
    library: library::Library,
    sign_in: sign_in::SignIn,
    tokens: token::Tokens,
    machines: machines::Machines,
    actions: actions::Actions,
    world: world::World,
    quota: answer::Quota,
}

impl Options {
    pub async fn start(self) -> Original {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        tcp.set_nonblocking(true).expect("a socket that does not block");
        let scheme = if self.tls { "https" } else { "http" };
        let url = format!("{scheme}://{}", tcp.local_addr().expect("the port"));
        let (acceptor, ca) = self.tls.then(line::authority).unzip();
        let issuer = token::Issuer::new();
        let service = Arc::new(Service { options: self, issuer, state: Mutex::default() });
        let app = Router::new().fallback(entry).with_state(Arc::clone(&service));
        let app = app.into_make_service_with_connect_info::<Cut>();
        let (alive, ended) = oneshot::channel::<()>();
        // A thread of its own: a test may block while it waits for a program.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let lines = Lines::new(tokio::net::TcpListener::from_std(tcp).expect("a socket"), acceptor);
                tokio::select! {
                    served = axum::serve(lines, app).into_future() => served.expect("it serves"),
                    _ = ended => {}
                }
            });
        });
        Original { service, url, ca, _alive: alive }
    }
}

impl Original {
    /// A service over plain HTTP whose app may do everything.
    pub async fn start() -> Original {
        Original::options().start().await
    }

    pub fn options() -> Options {
        Options::default()
    }

    /// Scheme, host and port, without a slash at the end: the API's base and the sign-in's.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn tenant(&self) -> &'static str {
        TENANT
    }

    /// The tenant under its other name.
    pub fn domain(&self) -> &'static str {
        DOMAIN
    }

    pub fn client_id(&self) -> &'static str {
        CLIENT
    }

    pub fn client_secret(&self) -> &'static str {
        SECRET
    }

    /// The certificate that TLS can be checked with, as PEM. Panics without [`Options::tls`].
    pub fn ca_pem(&self) -> &str {
        &self.ca.as_ref().expect("a service with TLS").1
    }

    /// A file that holds [`Original::ca_pem`].
    pub fn ca_file(&self) -> PathBuf {
        self.ca.as_ref().expect("a service with TLS").0.path().join("ca.pem")
    }

    /// Every request so far in order, as `GET /api/libraryfiles`: method, path and query as they were
    /// sent. Those that a fault met are among them.
    pub fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    /// How many calls begin with `what`: `count("DELETE /api/libraryfiles")` counts them all.
    pub fn count(&self, what: &str) -> usize {
        self.state().calls.iter().filter(|call| call.starts_with(what)).count()
    }

    pub fn forget_calls(&self) {
        self.state().calls.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.service.state()
    }
}

impl Service {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request, read to its end.
struct Call {
    method: Method,
    /// As it was sent.
    uri: Uri,
    /// Decoded, the letter case kept.
    segments: Vec<String>,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
    /// The address it came by.
    base: String,
}

impl Call {
    fn new(parts: &request::Parts, body: Bytes, tls: bool) -> Call {
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let decode = |segment| percent_decode_str(segment).decode_utf8_lossy().into_owned();
        let query = parts.uri.query().unwrap_or_default();
        Call {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            segments: parts.uri.path().trim_matches('/').split('/').map(decode).collect(),
            query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            headers: parts.headers.clone(),
            body,
            base: format!("{}://{host}", if tls { "https" } else { "http" }),
        }
    }

    fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The segments after `/api` or `/api/v1.0`; None elsewhere.
    fn of_api(&self) -> Option<&[String]> {
        let (api, rest) = self.segments.split_first()?;
        let rest = match rest.split_first() {
            Some((version, rest)) if version.eq_ignore_ascii_case("v1.0") => rest,
            _ => rest,
        };
        api.eq_ignore_ascii_case("api").then_some(rest)
    }
}

async fn entry(
    Shared(service): Shared<Arc<Service>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: axum::extract::Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let name = format!("{} {path}", parts.method);
    let fault = {
        let mut state = service.state();
        state.calls.push(name.clone());
        state.faults.meet(&name)
    };
    match fault {
        Some(Fault::DropBefore) => return cut.now(),
        Some(Fault::Hang) => std::future::pending().await,
        _ => {}
    }
    // To the end before anything is answered, so that the client is listening again.
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return cut.now();
    };
    match fault {
        Some(Fault::Status(status)) => return Refusal::of_status(status).into_response(),
        Some(Fault::TooMany(seconds)) => return Refusal::too_many(seconds).into_response(),
        _ if body.len() > HOST_LIMIT => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        _ => {}
    }
    let call = Call::new(&parts, body, service.options.tls);
    let answer = answer(&service, &call).await.unwrap_or_else(IntoResponse::into_response);
    match fault {
        Some(Fault::DropAfter) => cut.now(),
        Some(Fault::CutShort) => faults::cut_short(answer).await,
        _ => answer,
    }
}

async fn answer(service: &Service, call: &Call) -> Result<Response, Refusal> {
    if let Some(answer) = sign_in::answer(service, call) {
        return Ok(answer);
    }
    if call.segments[0] == "investigation-actions-data" {
        return Ok(actions::download(service, call));
    }
    let Some(path) = call.of_api() else { return Err(Refusal::not_found()) };
    let lower: Vec<String> = path.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    match lower.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["libraryfiles"] => library::files(service, call).await,
        ["libraryfiles", _] => library::one(service, call, &path[1]),
        ["machines"] => machines::list(service, call),
        ["machines", name] => machines::one(service, call, name),
        ["machines", name, "tags"] => machines::tag(service, call, name),
        ["machines", id, "runliveresponse"] => actions::run(service, call, id),
        ["machineactions"] => actions::list(service, call),
        ["machineactions", id] => actions::one(service, call, id),
        ["machineactions", id, "cancel"] => actions::cancel(service, call, id),
        ["machineactions", id, function] => {
            let index = function.strip_prefix("getliveresponseresultdownloadlink(index=");
            let index = index.and_then(|rest| rest.strip_suffix(')')).ok_or_else(Refusal::not_found)?;
            actions::link(service, call, id, index)
        }
        _ => Err(Refusal::not_found()),
    }
}

/// For answers made of this module's parts.
fn empty(status: StatusCode) -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}
