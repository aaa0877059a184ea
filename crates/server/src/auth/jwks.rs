//! Keys of an issuer elsewhere, kept as long as they are good for: fetched by discovery, one fetch
//! at a time, again after an hour or for an unknown `kid`, and used on while the issuer is down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jsonwebtoken::jwk::{Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use jumpbag_wire::time::Timestamp;
use reqwest::redirect;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use url::{Host, Url};

use super::refusal::shown;
use super::secret::sha256;

/// Keys older than this are fetched again, in seconds.
const FRESH: i64 = 3600;
/// Keys older than this are not trusted even when their issuer is down.
const TRUSTED: i64 = 24 * 3600;
/// Least time between two fetches, and where there are no keys at all.
const PAUSE: i64 = 30;
const PAUSE_WITHOUT_KEYS: i64 = 5;
/// Discovery and keys together may take this long.
const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_BODY: usize = 1024 * 1024;

/// Why keys could not be fetched. Goes to the log, not to callers.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error(
        "`{0}` is not an address keys may come from: it must be https, or http on loopback where that is allowed"
    )]
    Address(String),
    #[error("`{url}` cannot be fetched")]
    Http { url: String, source: reqwest::Error },
    #[error("`{url}` answers {status}")]
    Status { url: String, status: u16 },
    #[error("`{0}` answers more than 1 MiB")]
    TooLarge(String),
    #[error("`{url}` does not answer {what}")]
    Content { url: String, what: &'static str },
    #[error("the issuer did not answer within {} seconds", TIMEOUT.as_secs())]
    Timeout,
}

/// The public keys of an issuer at one moment.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<PublicKey>,
    fetched: Timestamp,
    /// Counts the changes of the set: a cached verdict is good for one generation.
    pub generation: u64,
    /// SHA-256 of the set as it was sent.
    digest: [u8; 32],
}

#[derive(Debug)]
struct PublicKey {
    /// A name to compare with and nothing else, whatever it looks like.
    kid: Option<String>,
    /// As in the set; most issuers leave it out.
    alg: Option<String>,
    key: DecodingKey,
}

impl KeySet {
    /// Reads a JWK set. Keys of kinds this server does not know are skipped.
    fn parse(text: &[u8], fetched: Timestamp, generation: u64) -> Option<KeySet> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(text).ok()?;
        let keys = set.keys.into_iter().filter_map(PublicKey::read).collect();
        Some(KeySet { keys, fetched, generation, digest: sha256(text) })
    }

    /// Keys that may have signed a token: those of its `kid`, or without a name, that are for its
    /// algorithm. Bounded, so that a nameless token cannot make one call try hundreds of keys.
    pub fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &DecodingKey> {
        const TRIES: usize = 8;
        let name = format!("{algorithm:?}");
        self.keys
            .iter()
            .filter(move |key| key.is_named(kid) && key.key.family() == algorithm.family())
            .filter(move |key| key.alg.as_deref().is_none_or(|alg| alg == name))
            .map(|key| &key.key)
            .take(TRIES)
    }

    fn names(&self, kid: Option<&str>) -> bool {
        self.keys.iter().any(|key| key.is_named(kid))
    }

    pub fn is_fresh(&self, now: Timestamp) -> bool {
        now < self.fetched.plus_secs(FRESH)
    }
}

impl PublicKey {
    fn read(json: Value) -> Option<PublicKey> {
        let alg = json.get("alg").and_then(Value::as_str).map(str::to_owned);
        let jwk: Jwk = serde_json::from_value(json).ok()?;
        let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let verifies =
            jwk.common.key_operations.as_ref().is_none_or(|list| list.contains(&KeyOperations::Verify));
        let key = DecodingKey::from_jwk(&jwk).ok().filter(|key| key.family() != AlgorithmFamily::Hmac)?;
        (signs && verifies).then_some(PublicKey { kid: jwk.common.key_id, alg, key })
    }

    fn is_named(&self, kid: Option<&str>) -> bool {
        match (&self.kid, kid) {
            (Some(own), Some(asked)) => own == asked,
            _ => true,
        }
    }
}

/// Where an issuer's keys come from, and the ones held.
#[derive(Debug)]
pub struct KeySource {
    http: reqwest::Client,
    discovery: String,
    issuers: Vec<String>,
    allow_http_loopback: bool,
    timeout: Duration,
    held: ArcSwapOption<KeySet>,
    /// The last fetch went wrong.
    failing: AtomicBool,
    /// When the last fetch began; locked while one is under way.
    begun: Arc<Mutex<Option<Timestamp>>>,
}

impl KeySource {
    /// `issuers` are the names the discovery document may give itself. Fails when the TLS library
    /// finds no trust anchors.
    pub fn new(
        discovery: String,
        issuers: Vec<String>,
        allow_http_loopback: bool,
    ) -> Result<KeySource, reqwest::Error> {
        let follow = redirect::Policy::custom(move |attempt| {
            if may_follow(attempt.previous(), attempt.url(), allow_http_loopback) {
                attempt.follow()
            } else {
                attempt.stop()
            }
        });
        let mut http = reqwest::Client::builder().redirect(follow).timeout(TIMEOUT);
        if allow_http_loopback {
            http = http.no_proxy();
        }
        Ok(KeySource {
            http: http.build()?,
            discovery,
            issuers,
            allow_http_loopback,
            timeout: TIMEOUT,
            held: ArcSwapOption::empty(),
            failing: AtomicBool::new(false),
            begun: Arc::default(),
        })
    }

    /// The keys held now, for looking whether a verdict still stands.
    pub fn held(&self) -> Option<Arc<KeySet>> {
        self.held.load_full()
    }

    /// Keys among which `kid` should be. Waits for a fetch, at most `TIMEOUT`, when the keys are
    /// old or do not name it; keys that name it are used on while their issuer is down. `None` when
    /// there are no keys that may be trusted.
    pub async fn keys(self: &Arc<Self>, kid: Option<&str>, now: Timestamp) -> Option<Arc<KeySet>> {
        let held = self.held.load_full();
        let named = held.as_ref().is_some_and(|set| set.names(kid));
        if let Some(set) = held.as_ref().filter(|set| named && set.is_fresh(now)) {
            return Some(Arc::clone(set));
        }
        let pause = if held.is_some() { PAUSE } else { PAUSE_WITHOUT_KEYS };
        let wait = !(named && self.failing.load(Ordering::Acquire));
        self.refresh(pause, wait, now).await;
        self.held.load_full().filter(|set| now < set.fetched.plus_secs(TRUSTED))
    }

    /// Begins a fetch unless one began within `pause`, or joins the one under way.
    async fn refresh(self: &Arc<Self>, pause: i64, wait: bool, now: Timestamp) {
        let Ok(mut begun) = Arc::clone(&self.begun).try_lock_owned() else {
            if wait {
                drop(self.begun.lock().await);
            }
            return;
        };
        if begun.is_some_and(|at| (now.secs() - at.secs()).abs() < pause) {
            return;
        }
        *begun = Some(now);
        // A task of its own: a caller that goes away must not end a fetch others wait for.
        let source = Arc::clone(self);
        let fetching = tokio::spawn(async move {
            let fetched = tokio::time::timeout(source.timeout, source.fetch())
                .await
                .unwrap_or(Err(FetchError::Timeout));
            source.take(fetched, now);
            drop(begun);
        });
        if wait {
            let _ = fetching.await;
        }
    }

    fn take(&self, fetched: Result<Vec<u8>, FetchError>, now: Timestamp) {
        let taken = fetched.and_then(|text| {
            let generation = match self.held.load().as_ref() {
                None => 0,
                Some(held) if held.digest == sha256(&text) => held.generation,
                Some(held) => held.generation + 1,
            };
            KeySet::parse(&text, now, generation).ok_or_else(|| FetchError::Content {
                url: self.discovery.clone(),
                what: "a JWK set at its `jwks_uri`",
            })
        });
        self.failing.store(taken.is_err(), Ordering::Release);
        match taken {
            Ok(set) => self.held.store(Some(Arc::new(set))),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(issuer = self.issuers.first(), error, "cannot fetch an issuer's keys");
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        let found = self.describe().await?;
        let keys = found.text("jwks_uri").ok_or_else(|| self.content("a document with `jwks_uri`"))?;
        self.get(keys).await
    }

    /// What the issuer says of itself.
    pub(super) async fn describe(&self) -> Result<Description, FetchError> {
        let text = self.get(&self.discovery).await?;
        let found = serde_json::from_slice(&text).map(Description);
        let found = found.map_err(|_| self.content("a document with `issuer`"))?;
        let name = found.text("issuer").ok_or_else(|| self.content("a document with `issuer`"))?;
        if !self.issuers.iter().any(|known| known.trim_end_matches('/') == name.trim_end_matches('/')) {
            return Err(self.content("for the configured issuer"));
        }
        Ok(found)
    }

    fn content(&self, what: &'static str) -> FetchError {
        FetchError::Content { url: self.discovery.clone(), what }
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let allowed = Url::parse(url).ok().filter(|url| may_fetch(url, self.allow_http_loopback));
        let target = allowed.ok_or_else(|| FetchError::Address(shown(url)))?;
        let http = |source| FetchError::Http { url: shown(url), source };
        let answer = self.http.get(target).send().await.map_err(http)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status { url: shown(url), status: answer.status().as_u16() });
        }
        let body = limited(answer, MAX_BODY).await.map_err(http)?;
        body.ok_or_else(|| FetchError::TooLarge(shown(url)))
    }
}

/// The body of an answer; `None` when it is larger than `most`.
pub(super) async fn limited(
    mut answer: reqwest::Response,
    most: usize,
) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > most {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// A discovery document.
pub(super) struct Description(serde_json::Map<String, Value>);

impl Description {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    pub(super) fn list(&self, name: &str) -> Option<Vec<&str>> {
        Some(self.0.get(name)?.as_array()?.iter().filter_map(Value::as_str).collect())
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(false)
    }
}

/// Three redirects, none to another scheme or to where nothing may be fetched from.
fn may_follow(previous: &[Url], next: &Url, allow_http_loopback: bool) -> bool {
    let same_scheme = previous.last().is_some_and(|last| last.scheme() == next.scheme());
    same_scheme && previous.len() <= 3 && may_fetch(next, allow_http_loopback)
}

/// https anywhere; plain http on loopback where the issuer's settings allow it.
pub fn may_fetch(url: &Url, allow_http_loopback: bool) -> bool {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(v4)) => v4.is_loopback(),
        Some(Host::Ipv6(v6)) => v6.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => url.host().is_some(),
        "http" => allow_http_loopback && loopback,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
