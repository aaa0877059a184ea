//! Calls of the API: with a token, within the server's limits, again where that is safe. A call that may have been
//! carried out without an answer is told apart from one that was refused.

mod entity;
mod events;
mod fields;
pub mod library;
pub mod live;
pub mod machines;
mod name;
mod pause;
mod results;
mod upload;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

pub use entity::Entity;
pub use fields::Fields;
pub use library::Entry;
pub use upload::{Sent, Source};

use crate::failure::{Failure, Refusal};
use crate::output::Output;
use crate::profile::Session;
use crate::progress::Progress;
use crate::sign_in::SignIn;
use crate::transport;
use pause::Pause;

/// A server, and who calls it.
pub struct Client {
    http: reqwest::Client,
    base: String,
    sign_in: SignIn,
    pause: Pause,
    /// Whether the server has ever answered in this run: only then is it worth waiting for it to come back.
    answered: AtomicBool,
    pub progress: Progress,
}

/// Whether a call may be made again when nobody knows whether it was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Twice is as good as once.
    Safe,
    /// The caller has to look first.
    Ask,
}

/// What became of a call.
pub enum Outcome {
    Answered(Response),
    /// The connection was lost, or the server failed: the call may have been carried out.
    Unknown(Failure),
}

/// Attempts of a call while the server fails or is away.
const ATTEMPTS: u32 = 5;
/// Bytes of an answer, and of all pages of a list together: some 200,000 files, each told of in 600 bytes.
const LARGEST: usize = 128 << 20;
/// Pages of a list, and entities of a page.
const PAGES: usize = 1000;
const ENTITIES: usize = 1_000_000;
/// Bytes of a refusal.
const REFUSAL: usize = 64 << 10;
/// What must be escaped in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

impl Client {
    /// # Errors
    /// When the profile's certificates cannot be read.
    pub fn new(session: Session, output: Output) -> Result<Client, Failure> {
        let http = transport::client(&session.profile)?;
        let base = session.profile.url.clone();
        let progress = Progress::new(output);
        let sign_in = SignIn::new(session, http.clone());
        Ok(Client {
            http,
            base,
            sign_in,
            pause: Pause::default(),
            answered: AtomicBool::new(false),
            progress,
        })
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn sign_in(&self) -> &SignIn {
        &self.sign_in
    }

    /// An answer that is a success. `prepare` adds to the request what the call needs, for each attempt anew.
    ///
    /// # Errors
    /// When the server refuses, or cannot be reached.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        prepare: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, Failure> {
        let safe = method != Method::POST && method != Method::PATCH;
        let again = if safe { Again::Safe } else { Again::Ask };
        match self.attempt(method, path, again, async |request| Ok(prepare(request))).await? {
            Outcome::Answered(response) => Ok(response),
            Outcome::Unknown(failure) => Err(failure),
        }
    }

    /// The JSON of a `GET`.
    ///
    /// # Errors
    /// Those of [`Client::call`], or the answer is no such thing.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        read(self.call(Method::GET, path, |request| request).await?).await
    }

    /// The entity of a `GET`.
    ///
    /// # Errors
    /// As of [`Client::get`].
    pub async fn entity<T: DeserializeOwned>(&self, path: &str) -> Result<Entity<T>, Failure> {
        Entity::read(self.get(path).await?)
    }

    /// All entities of a collection.
    ///
    /// # Errors
    /// As of [`Client::get`].
    pub async fn entities<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<Entity<T>>, Failure> {
        self.all(path).await?.into_iter().map(Entity::read).collect()
    }

    /// All entities of a collection as the server sent them, page after page.
    ///
    /// # Errors
    /// As of [`Client::get`].
    pub async fn all(&self, path: &str) -> Result<Vec<Box<RawValue>>, Failure> {
        #[derive(serde::Deserialize)]
        struct Page {
            value: Entities,
            #[serde(rename = "@odata.nextLink")]
            next: Option<String>,
        }
        let (mut all, mut next, mut left) = (Vec::new(), Some(path.to_owned()), LARGEST);
        for _ in 0..PAGES {
            let Some(path) = next else { return Ok(all) };
            let answer = self.call(Method::GET, &path, |request| request).await?;
            let url = answer.url().to_string();
            let body = transport::whole(answer, left).await?;
            left -= body.len();
            let page: Page = parsed(&url, &body)?;
            all.extend(page.value.0);
            next = page.next.map(|link| self.own_path(&link)).transpose()?;
        }
        Err(Failure::Here(format!("`{}{path}` has more than {PAGES} pages", self.base)))
    }

    /// The path of a link that the server gave. The token goes to no other host.
    fn own_path(&self, link: &str) -> Result<String, Failure> {
        let url = url::Url::parse(link).ok();
        let base = url::Url::parse(&self.base).ok();
        match (url, base) {
            (Some(url), Some(base)) if url.origin() == base.origin() => {
                let path = &url[url::Position::BeforePath..];
                Ok(path.strip_prefix(base.path().trim_end_matches('/')).unwrap_or(path).to_owned())
            }
            _ => Err(Failure::Here(format!(
                "the server's next page is at `{link}`, which is another host than `{}`",
                self.base
            ))),
        }
    }

    /// Makes a call until it is answered, at most [`ATTEMPTS`] times.
    pub async fn attempt(
        &self,
        method: Method,
        path: &str,
        again: Again,
        prepare: impl AsyncFn(RequestBuilder) -> Result<RequestBuilder, Failure>,
    ) -> Result<Outcome, Failure> {
        let url = format!("{}{path}", self.base);
        let (mut attempts, mut renewed) = (1, false);
        let mut token = self.sign_in.token().await?;
        loop {
            self.pause.over(&self.progress).await;
            let request = self.http.request(method.clone(), &url).bearer_auth(&token.access);
            let sending = prepare(request).await?.send();
            let failed = match transport::answer(sending, || self.progress.moved()).await {
                None => Lost { failure: transport::silent(&url), wait: None, untouched: false },
                Some(Ok(response)) => {
                    self.answered.store(true, Ordering::Relaxed);
                    let status = response.status().as_u16();
                    if status != 429 {
                        self.pause.answered();
                    }
                    match status {
                        200..=299 | 304 => return Ok(Outcome::Answered(response)),
                        // Nothing was carried out; what is waited for does not count as an attempt.
                        429 => {
                            self.pause.until(response).await?;
                            continue;
                        }
                        401 if !renewed => {
                            renewed = true;
                            token = self.sign_in.instead_of(&token).await?;
                            continue;
                        }
                        500 | 502 | 503 | 504 => {
                            let wait = crate::sign_in::retry_after(response.headers());
                            // Busy: it says itself that it has done nothing.
                            let untouched = status == 503 && wait.is_some();
                            Lost { failure: refusal(response).await, wait, untouched }
                        }
                        _ => return Err(refusal(response).await),
                    }
                }
                Some(Err(e)) => {
                    let untouched = e.is_connect();
                    if untouched && !self.answered.load(Ordering::Relaxed) {
                        return Err(transport::unreachable(&url, &e));
                    }
                    match upload::broken(&e) {
                        Some(failure) => return Err(failure),
                        None => Lost { failure: transport::unreachable(&url, &e), wait: None, untouched },
                    }
                }
            };
            if again == Again::Ask && !failed.untouched {
                return Ok(Outcome::Unknown(failed.failure));
            }
            if attempts == ATTEMPTS {
                return Err(failed.failure);
            }
            self.back_off(attempts, &failed).await;
            attempts += 1;
        }
    }

    async fn back_off(&self, attempts: u32, failed: &Lost) {
        let wait = failed
            .wait
            .map_or(Duration::from_millis(250 << attempts), |seconds| Duration::from_secs(seconds.min(60)));
        let why = if matches!(failed.failure, Failure::Refused(_)) {
            "the server fails"
        } else {
            "the server is away"
        };
        if wait >= Duration::from_secs(1) {
            self.progress.waiting(wait.as_secs(), why);
        }
        tokio::time::sleep(wait).await;
        self.progress.going_on();
    }

    /// What is said about a file and the original does not keep.
    pub fn say_what_is_not_kept(&self) {
        self.progress.warn(&format!(
            "{} is Microsoft Defender for Endpoint, which keeps no tags, platforms, category or instructions: they stay \
             here only",
            self.base
        ));
    }

    /// Waits a little before a call whose outcome is unknown is made again.
    pub async fn breathe(&self, attempts: u32) {
        tokio::time::sleep(Duration::from_millis(250 << attempts.min(5))).await;
    }
}

/// An attempt that brought no answer that counts.
struct Lost {
    failure: Failure,
    wait: Option<u64>,
    /// Nothing was carried out, so that any call may be made again.
    untouched: bool,
}

/// Entities as they were sent; no more of them than there may be, however short they are.
struct Entities(Vec<Box<RawValue>>);

impl<'de> serde::Deserialize<'de> for Entities {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Entities, D::Error> {
        struct Reader;
        impl<'de> serde::de::Visitor<'de> for Reader {
            type Value = Entities;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Entities, A::Error> {
                let mut entities = Vec::new();
                while let Some(entity) = list.next_element()? {
                    if entities.len() == ENTITIES {
                        let text = format!("more than {ENTITIES} entries");
                        return Err(serde::de::Error::custom(text));
                    }
                    entities.push(entity);
                }
                Ok(Entities(entities))
            }
        }
        deserializer.deserialize_seq(Reader)
    }
}

/// A segment of a path.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// The JSON of an answer.
///
/// # Errors
/// When the answer breaks off, or is no such thing.
pub async fn read<T: DeserializeOwned>(response: Response) -> Result<T, Failure> {
    let url = response.url().to_string();
    parsed(&url, &transport::whole(response, LARGEST).await?)
}

fn parsed<T: DeserializeOwned>(url: &str, body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|e| {
        Failure::Here(format!("`{url}` answered what is not expected there: {e}; is it the right address?"))
    })
}

/// What an answer that is no success says.
pub async fn refusal(response: Response) -> Failure {
    let status = response.status();
    let leads = response.headers().get("location").filter(|_| status.is_redirection());
    if let Some(to) = leads {
        return Failure::Refused(Refusal {
            status: status.as_u16(),
            code: "Redirect".into(),
            message: format!(
                "it leads to `{}`, and nothing is sent to another address than the one that was given",
                String::from_utf8_lossy(to.as_bytes())
            ),
            target: None,
        });
    }
    let body = transport::beginning(response, REFUSAL).await;
    let envelope: Option<jumpbag_wire::error::ErrorEnvelope> = serde_json::from_slice(&body).ok();
    Failure::Refused(match envelope {
        Some(envelope) => Refusal {
            status: status.as_u16(),
            code: envelope.error.code,
            message: envelope.error.message,
            target: Some(envelope.error.target).filter(|target| !target.is_empty()),
        },
        None => {
            let text = String::from_utf8_lossy(&body[..body.len().min(200)]).trim().to_owned();
            let message = if text.is_empty() { "the server gave no reason".into() } else { text };
            let code = status.canonical_reason().unwrap_or("unknown").to_owned();
            Refusal { status: status.as_u16(), code, message, target: None }
        }
    })
}
