//! The HTTP client: whom it trusts, and what it says when no answer comes.

use std::error::Error as _;
use std::time::Duration;

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
        // Between two bytes; how long all of them take depends on their number.
        .read_timeout(Duration::from_secs(120));
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

/// Why no answer came, and what would help.
pub fn unreachable(url: &str, error: &reqwest::Error) -> Failure {
    let why = chain(error);
    let host = url::Url::parse(url).ok().and_then(|url| {
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{}{port}", url.host_str()?))
    });
    let host = host.unwrap_or_else(|| url.to_owned());
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
