//! A small identity provider on loopback: a discovery document, keys, counters, and every way of
//! misbehaving.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use std::sync::Mutex;
use tokio::sync::Semaphore;

/// What the provider answers where its keys are.
#[derive(Clone)]
pub enum Answer {
    Keys(Vec<Value>),
    Text(String),
    Down,
    Redirect(String),
}

pub struct Idp {
    pub base: String,
    pub keys: Mutex<Answer>,
    /// The discovery document, where it is not the right one.
    pub discovery: Mutex<Option<Answer>>,
    pub discoveries: AtomicUsize,
    pub fetches: AtomicUsize,
    /// Requests for keys wait for a permit of this gate.
    pub gate: Semaphore,
}

impl Idp {
    /// Starts on a free port and answers until the test's runtime ends.
    pub async fn start(keys: Vec<Value>) -> Arc<Idp> {
        super::install_crypto();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let idp = Arc::new(Idp {
            base: format!("http://{}", listener.local_addr().unwrap()),
            keys: Mutex::new(Answer::Keys(keys)),
            discovery: Mutex::new(None),
            discoveries: AtomicUsize::new(0),
            fetches: AtomicUsize::new(0),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys_of))
            .with_state(Arc::clone(&idp));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        idp
    }

    pub fn answer(&self, answer: Answer) {
        *self.keys.lock().unwrap() = answer;
    }

    pub fn discover(&self, answer: Answer) {
        *self.discovery.lock().unwrap() = Some(answer);
    }

    /// How often the keys were asked for.
    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    pub fn url(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.base)
    }

    /// Holds back all answers about keys until `open`.
    pub fn close(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub fn open(&self) {
        self.gate.add_permits(1000);
    }
}

async fn discovery(State(idp): State<Arc<Idp>>) -> Response {
    idp.discoveries.fetch_add(1, Ordering::SeqCst);
    let other = idp.discovery.lock().unwrap().clone();
    match other {
        Some(answer) => respond(answer),
        None => {
            let document = json!({"issuer": idp.base, "jwks_uri": format!("{}/keys", idp.base)});
            respond(Answer::Text(document.to_string()))
        }
    }
}

async fn keys_of(State(idp): State<Arc<Idp>>) -> Response {
    idp.fetches.fetch_add(1, Ordering::SeqCst);
    let answer = idp.keys.lock().unwrap().clone();
    let _open = idp.gate.acquire().await.unwrap();
    respond(answer)
}

fn respond(answer: Answer) -> Response {
    match answer {
        Answer::Keys(keys) => json!({"keys": keys}).to_string().into_response(),
        Answer::Text(text) => text.into_response(),
        Answer::Down => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Answer::Redirect(to) => (StatusCode::FOUND, [("location", to)]).into_response(),
    }
}
