//! The HTTP client: whom it trusts, and what it says when no answer comes.

use std::error::Error as _;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use reqwest::redirect::{Action, Attempt, Policy};
use tokio::time::timeout;

use crate::failure::Failure;
use crate::profile::Profile;

/// A client that trusts what the operating system trusts, and the profile's own authority beside it. Proxies are
/// those of the environment (HTTPS_PROXY, HTTP_PROXY, NO_PROXY).
///
/// # Errors
/// When the file of certificates cannot be read.
pub fn client(profile: &Profile) -> Result<reqwest::Client, Failure> {
    // One library does all cryptography; the first that asks installs it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("jumpbag/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(20))
        .redirect(Policy::custom(stay));
    if let Some(file) = &profile.ca_file {
        let pem = std::fs::read(file).map_err(|e| Failure::file("read", file, &e))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).unwrap_or_default();
        if certificates.is_empty() {
            let text =
                format!("`{}` holds no certificate in PEM (`-----BEGIN CERTIFICATE-----`)", file.display());
            return Err(Failure::Usage(text));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|e| Failure::Here(format!("cannot prepare HTTPS: {}", chain(&e))))
}

/// The longest that no byte may come or go; how long all of them take depends on their number.
const SILENCE: Duration = Duration::from_secs(120);
/// Redirects after one another.
const REDIRECTS: usize = 5;

/// Tokens and secrets are for the address that was asked, and nobody else is asked in its place.
fn stay(attempt: Attempt<'_>) -> Action {
    let from = attempt.previous();
    let same = from.first().is_some_and(|first| first.origin() == attempt.url().origin());
    if same && from.len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
}

/// What a request is answered with; none when nothing moves for too long. `moved` counts the bytes that go.
pub async fn answer(
    sending: impl Future<Output = reqwest::Result<Response>>,
    moved: impl Fn() -> u64,
) -> Option<reqwest::Result<Response>> {
    let mut sending = std::pin::pin!(sending);
    loop {
        let before = moved();
        match timeout(SILENCE, &mut sending).await {
            Ok(answered) => return Some(answered),
            Err(_) if moved() != before => {}
            Err(_) => return None,
        }
    }
}

/// The next bytes of an answer; none at its end.
///
/// # Errors
/// When it breaks off, or nothing comes for too long.
pub async fn piece(answer: &mut Response) -> Result<Option<Bytes>, Failure> {
    match timeout(SILENCE, answer.chunk()).await {
        Ok(piece) => piece.map_err(|e| unreachable(answer.url().as_str(), &e.without_url())),
        Err(_) => Err(silent(answer.url().as_str())),
    }
}

/// An answer in memory.
///
/// # Errors
/// When it breaks off, or has more bytes than it may.
pub async fn whole(mut answer: Response, largest: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(piece) = piece(&mut answer).await? {
        if bytes.len() + piece.len() > largest {
            let text = format!("`{}` answered more than {largest} bytes", answer.url());
            return Err(Failure::Here(text));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// As much of an answer as came, and as may come.
pub async fn beginning(mut answer: Response, most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < most
        && let Ok(Some(piece)) = piece(&mut answer).await
    {
        bytes.extend_from_slice(&piece);
    }
    bytes.truncate(most);
    bytes
}

/// Nothing moved for too long.
pub fn silent(url: &str) -> Failure {
    let seconds = SILENCE.as_secs();
    Failure::Unreachable(format!("no answer from {}: nothing has moved for {seconds} s", host(url)))
}

fn host(url: &str) -> String {
    let host = url::Url::parse(url).ok().and_then(|url| {
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{}{port}", url.host_str()?))
    });
    host.unwrap_or_else(|| url.to_owned())
}

/// Why no answer came, and what would help.
pub fn unreachable(url: &str, error: &reqwest::Error) -> Failure {
    let why = chain(error);
    let host = host(url);
    let untrusted = ["UnknownIssuer", "unknown issuer", "SelfSigned", "self-signed"];
    let hint = if untrusted.iter().any(|text| why.contains(text)) {
        "; nobody whom this machine trusts has signed its certificate: where it is your own, give its authority's \
         certificate in PEM as `--ca-file FILE` to `jumpbag login`, or set JUMPBAG_CA_FILE"
    } else if why.contains("NotValidForName") {
        "; its certificate is for another name: use the name that is in it"
    } else {
        ""
    };
    Failure::Unreachable(format!("no answer from {host}: {why}{hint}"))
}

/// An error with what caused it, each once.
fn chain(error: &reqwest::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(error) = next {
        let text = error.to_string();
        // Some repeat what caused them, or say nothing.
        if !text.starts_with("client error") && !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    if parts.is_empty() { error.to_string() } else { parts.join(": ") }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::{SILENCE, answer};

    /// A request that is answered after a time.
    async fn after(time: Duration) -> reqwest::Result<reqwest::Response> {
        tokio::time::sleep(time).await;
        Ok(reqwest::Response::from(http::Response::new("")))
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_upload_has_the_time_that_it_takes_and_silence_has_not() {
        let moved = Cell::new(0);
        let moving = || {
            moved.set(moved.get() + 1);
            moved.get()
        };
        assert!(answer(after(SILENCE * 100), moving).await.is_some());
        assert!(answer(after(SILENCE / 2), || 0).await.is_some());
        assert!(answer(after(SILENCE * 100), || 0).await.is_none());
    }
}
