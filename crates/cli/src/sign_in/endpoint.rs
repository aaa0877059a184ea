//! The issuer's token endpoint: where it is, what it is asked, how its refusals read.

use std::path::Path;
use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;
use url::Url;

use super::certificate;
use crate::client::refusal;
use crate::failure::{Failure, Refusal};
use crate::profile::{Profile, is_safe};
use crate::transport;

/// The issuer of a profile's tokens.
pub struct Issuer {
    pub(super) http: reqwest::Client,
    authority: String,
    tenant: Option<String>,
    /// Whether the server is its own issuer, because nobody named another: then its secrets go nowhere else.
    own: bool,
    plain_http: bool,
    found: OnceCell<Endpoints>,
}

#[derive(Clone, Deserialize)]
pub struct Endpoints {
    token_endpoint: String,
    device_authorization_endpoint: Option<String>,
}

/// What the issuer grants.
#[derive(Deserialize)]
pub struct Granted {
    #[serde(rename = "access_token")]
    pub access: String,
    /// Seconds. Some issuers write a text.
    #[serde(rename = "expires_in", default, deserialize_with = "seconds")]
    pub lifetime: Option<i64>,
    #[serde(rename = "refresh_token")]
    pub refresh: Option<String>,
}

/// OAuth 2.0's form of a refusal.
#[derive(Deserialize)]
pub struct Denied {
    pub error: String,
    #[serde(default)]
    pub error_description: String,
    #[serde(default)]
    correlation_id: Option<String>,
}

/// An access token and how long it lives, in seconds, where that was said.
type Access = (String, Option<i64>);

/// Attempts while the issuer is busy or down for a moment.
const ATTEMPTS: u32 = 4;
/// Bytes of an answer.
const LARGEST: usize = 1 << 20;

impl Issuer {
    pub fn new(http: reqwest::Client, profile: &Profile) -> Issuer {
        Issuer {
            http,
            authority: profile.authority().to_owned(),
            tenant: profile.tenant.clone(),
            own: profile.authority.is_none(),
            plain_http: profile.plain_http,
            found: OnceCell::new(),
        }
    }

    pub(super) async fn by_secret(&self, profile: &Profile, secret: &str) -> Result<Access, Failure> {
        let form = [("client_secret", secret)];
        self.for_client(profile, &form).await
    }

    pub(super) async fn by_certificate(
        &self,
        profile: &Profile,
        certificate: &Path,
        key: &Path,
        now: i64,
    ) -> Result<Access, Failure> {
        let audience = self.endpoints().await?.token_endpoint.clone();
        let assertion = certificate::assertion(certificate, key, profile.client_id()?, &audience, now)?;
        let form = [
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", &assertion),
        ];
        self.for_client(profile, &form).await
    }

    async fn for_client(&self, profile: &Profile, proof: &[(&str, &str)]) -> Result<Access, Failure> {
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", profile.client_id()?),
            ("scope", profile.scope()),
        ];
        form.extend(proof);
        let url = &self.endpoints().await?.token_endpoint;
        let granted: Granted =
            self.ask(url, &form).await?.map_err(|(status, denied)| denied.failure(status))?;
        Ok((granted.access, granted.lifetime))
    }

    /// # Errors
    /// When the user has to sign in again.
    pub async fn by_refresh_token(&self, profile: &Profile, refresh: &str) -> Result<Granted, Failure> {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", profile.client_id()?),
            ("scope", &user_scope(profile)),
            ("refresh_token", refresh),
        ];
        let url = &self.endpoints().await?.token_endpoint;
        self.ask(url, &form).await?.map_err(|(status, denied)| match denied.failure(status) {
            Failure::Refused(refusal) => Failure::Refused(Refusal {
                message: format!("the sign-in is over, `jumpbag login` again: {}", refusal.message),
                ..refusal
            }),
            other => other,
        })
    }

    /// Where the issuer takes requests for tokens, and for device codes.
    pub(super) async fn token_url(&self) -> Result<&str, Failure> {
        Ok(&self.endpoints().await?.token_endpoint)
    }

    pub(super) async fn device_url(&self) -> Result<&str, Failure> {
        self.endpoints()
            .await?
            .device_authorization_endpoint
            .as_deref()
            .ok_or_else(|| Failure::Usage(format!("{} offers no sign-in by device code", self.authority)))
    }

    async fn endpoints(&self) -> Result<&Endpoints, Failure> {
        self.found
            .get_or_try_init(|| async {
                match &self.tenant {
                    Some(tenant) => Ok(self.of_tenant(tenant)),
                    None => self.discovered().await,
                }
            })
            .await
    }

    /// The paths of Entra ID, which jumpbag's own issuer has too.
    fn of_tenant(&self, tenant: &str) -> Endpoints {
        let base = format!("{}/{tenant}/oauth2/v2.0", self.authority);
        Endpoints {
            token_endpoint: format!("{base}/token"),
            device_authorization_endpoint: Some(format!("{base}/devicecode")),
        }
    }

    async fn discovered(&self) -> Result<Endpoints, Failure> {
        let url = format!("{}/.well-known/openid-configuration", self.authority);
        let answer = send(&url, self.http.get(&url)).await?;
        let status = answer.status();
        if status.is_redirection() {
            return Err(refusal(answer).await);
        }
        let read = transport::whole(answer, LARGEST).await?;
        let found: Option<Endpoints> = serde_json::from_slice(&read).ok().filter(|_| status.is_success());
        let found = found.ok_or_else(|| {
            Failure::Usage(format!(
                "`{url}` is no discovery document of an issuer ({}): give the tenant with `--tenant` (JUMPBAG_TENANT), \
                 or another `--authority`",
                status.as_u16()
            ))
        })?;
        self.check(&url, &found.token_endpoint)?;
        found.device_authorization_endpoint.iter().try_for_each(|endpoint| self.check(&url, endpoint))?;
        Ok(found)
    }

    /// The secret goes where the document says, so that must be as safe as where the document came from.
    fn check(&self, document: &str, endpoint: &str) -> Result<(), Failure> {
        if self.own && !same_origin(endpoint, &self.authority) {
            return Err(Failure::Here(format!(
                "`{document}` names the endpoint `{endpoint}`, which is not at `{}`: no secret goes there; give the address \
                 by which the server knows itself (its `public_url`) as `--url`, or `--authority` where the issuer is \
                 another",
                self.authority
            )));
        }
        if !is_safe(endpoint, self.plain_http) {
            return Err(Failure::Here(format!(
                "`{document}` names an endpoint that is not HTTPS: no secret goes there"
            )));
        }
        Ok(())
    }

    /// Posts a form: what is granted, or OAuth 2.0's refusal with its status.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        url: &str,
        form: &[(&str, &str)],
    ) -> Result<Result<T, (u16, Denied)>, Failure> {
        let mut attempt = 1;
        loop {
            let answer = send(url, self.http.post(url).form(form)).await?;
            let status = answer.status().as_u16();
            if (status == 429 || status >= 500) && attempt < ATTEMPTS {
                let wait = retry_after(answer.headers()).unwrap_or(1 << attempt).min(60);
                tokio::time::sleep(Duration::from_secs(wait)).await;
                attempt += 1;
                continue;
            }
            if answer.status().is_redirection() {
                return Err(refusal(answer).await);
            }
            let body = transport::whole(answer, LARGEST).await?;
            if status == 200 {
                return serde_json::from_slice(&body)
                    .map(Ok)
                    .map_err(|e| Failure::Here(format!("`{url}` answered what is no token: {e}")));
            }
            return match serde_json::from_slice(&body) {
                Ok(denied) => Ok(Err((status, denied))),
                Err(_) => Err(Failure::Refused(Refusal {
                    status,
                    code: "no token".into(),
                    message: format!("`{url}` gives no tokens: is it the right authority and tenant?"),
                    target: None,
                })),
            };
        }
    }
}

async fn send(url: &str, request: RequestBuilder) -> Result<Response, Failure> {
    match transport::answer(request.send(), || 0).await {
        Some(answered) => answered.map_err(|e| transport::unreachable(url, &e)),
        None => Err(transport::silent(url)),
    }
}

fn same_origin(a: &str, b: &str) -> bool {
    let origin = |url: &str| Url::parse(url).ok().map(|url| url.origin());
    origin(a).is_some_and(|a| Some(a) == origin(b))
}

/// Whole seconds of a `Retry-After`.
pub fn retry_after(headers: &reqwest::header::HeaderMap) -> Option<u64> {
    headers.get("retry-after")?.to_str().ok()?.trim().parse().ok()
}

/// What a user's token is asked for with: a refresh token comes with it.
pub fn user_scope(profile: &Profile) -> String {
    format!("{} offline_access openid profile", profile.scope())
}

impl Denied {
    pub fn failure(self, status: u16) -> Failure {
        // Entra ID's description goes on with ids and times, of which one is told anyway.
        let first = self.error_description.lines().next().unwrap_or_default();
        let first = first.split(" Trace ID:").next().unwrap_or_default().trim();
        let message = if first.is_empty() { "the issuer gives no token".into() } else { first.to_owned() };
        Failure::Refused(Refusal { status, code: self.error, message, target: self.correlation_id })
    }
}

fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value.as_i64().or_else(|| value.as_str()?.parse().ok()))
}
