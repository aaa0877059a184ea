//! One delivery: a signed POST to an address that may be called, and what came of it. No redirect is followed, no proxy
//! asked, and nothing of the answer counts but its status.

use std::sync::OnceLock;
use std::time::Duration;

use jumpbag_wire::time::Timestamp;

use super::address::{Reach, Refused};
use super::sign::signature;
use crate::auth::secret::Hidden;

/// What of an answer's body is read, so that the connection can be used again, and for how long.
const READ_BYTES: usize = 16 * 1024;
const READ_TIME: Duration = Duration::from_secs(1);
/// Characters of a failure that are kept.
const MAX_ERROR: usize = 300;

/// What came of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered(u16),
    Failed {
        status: Option<u16>,
        error: String,
    },
    /// The receiver wants no more.
    Gone,
}

/// What is sent.
pub struct Delivery<'a> {
    pub url: &'a str,
    pub secret: &'a Hidden,
    /// The same whenever the same is sent to the same.
    pub id: &'a str,
    pub body: String,
}

pub struct Sender {
    reach: Reach,
    timeout: Duration,
    /// Made when first needed: reading the certificates that the system trusts takes a while.
    secure: OnceLock<reqwest::Client>,
    plain: OnceLock<reqwest::Client>,
}

impl Sender {
    pub fn new(reach: Reach, timeout: Duration) -> Sender {
        Sender { reach, timeout, secure: OnceLock::new(), plain: OnceLock::new() }
    }

    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Sends it, now.
    pub async fn send(&self, delivery: Delivery<'_>, now: Timestamp) -> Outcome {
        let failed = |error: String| Outcome::Failed { status: None, error };
        // The settings may have changed since the address was taken.
        let url = match self.reach.check(delivery.url) {
            Ok(url) => url,
            Err(refused) => return failed(format!("the address {refused}")),
        };
        let client = match self.client(url.scheme() == "https") {
            Ok(client) => client,
            Err(e) => return failed(told(e)),
        };
        let Some(signature) = signature(delivery.secret, delivery.id, now, &delivery.body) else {
            return failed("the webhook has no secret that can sign".into());
        };
        let request = client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", delivery.id)
            .header("webhook-timestamp", now.secs())
            .header("webhook-signature", signature)
            .body(delivery.body);
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(e) if e.is_timeout() => {
                return failed(format!("no answer within {} seconds", self.timeout.as_secs()));
            }
            Err(e) => return failed(told(e)),
        };
        let status = response.status();
        let read = async {
            let mut bytes = 0;
            while let Ok(Some(chunk)) = response.chunk().await {
                bytes += chunk.len();
                if bytes > READ_BYTES {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(READ_TIME, read).await;
        match status.as_u16() {
            200..=299 => Outcome::Delivered(status.as_u16()),
            410 => Outcome::Gone,
            other => Outcome::Failed { status: Some(other), error: format!("it answered {other}") },
        }
    }

    fn client(&self, tls: bool) -> Result<reqwest::Client, reqwest::Error> {
        let kept = if tls { &self.secure } else { &self.plain };
        if let Some(client) = kept.get() {
            return Ok(client.clone());
        }
        let made = reqwest::Client::builder()
            .user_agent(concat!("jumpbag/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            // A proxy would be the one to connect, to addresses that nobody checked.
            .no_proxy()
            .dns_resolver(self.reach.resolver(tls))
            .https_only(tls)
            .timeout(self.timeout)
            .pool_idle_timeout(Duration::from_secs(30))
            .build()?;
        Ok(kept.get_or_init(|| made).clone())
    }
}

/// A failure in words, without the address, which may hold secrets.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = String::new();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(at) = cause {
        if let Some(refused) = at.downcast_ref::<Refused>() {
            return format!("the name {refused}");
        }
        text = if text.is_empty() { at.to_string() } else { format!("{text}: {at}") };
        cause = at.source();
    }
    text.chars().take(MAX_ERROR).collect()
}
