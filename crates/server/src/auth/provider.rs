//! Signing people in at an issuer elsewhere, as a client of it: code flow with PKCE. What comes back counts only with the
//! state and the nonce that this browser went out with.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jumpbag_wire::time::Timestamp;
use reqwest::redirect;
use serde::Deserialize;
use tokio::sync::{Mutex, Semaphore};
use url::Url;

use super::authorize::with_query;
use super::jwks::{Description, KeySource, limited, may_fetch};
use super::refusal::shown;
use super::secret::{Hidden, hash_secret};

/// How long what the provider says of itself is believed, in seconds.
const FRESH: i64 = 3600;
/// The provider's answer to a code may take this long, and be this large.
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_BODY: usize = 256 * 1024;
/// Least time between two questions what the provider is, where the first one brought nothing, in seconds.
const PAUSE: i64 = 5;
/// Codes that are redeemed at a time.
const REDEEMING: usize = 16;
/// The longest session, in minutes.
const LONGEST: u32 = 12 * 60;

/// Where the permissions of somebody who signs in stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PermissionsFrom {
    AccessToken,
    IdToken,
}

/// What the settings of an issuer say about signing in with it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInConfig {
    /// What people call it: the button says it.
    pub name: String,
    /// What it is called in addresses; the name in lower case unless given.
    pub id: Option<String>,
    pub client_id: String,
    /// Neither this nor the file: a client without a secret, with PKCE alone.
    pub client_secret: Option<Hidden>,
    pub client_secret_file: Option<PathBuf>,
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    #[serde(default = "access_token")]
    pub permissions_from: PermissionsFrom,
    /// After this somebody signs in again.
    #[serde(default = "session_minutes")]
    pub session_minutes: u32,
}

fn scopes() -> Vec<String> {
    ["openid", "profile"].map(str::to_owned).into()
}

fn access_token() -> PermissionsFrom {
    PermissionsFrom::AccessToken
}

fn session_minutes() -> u32 {
    60
}

impl SignInConfig {
    /// What it is called in addresses.
    pub fn id(&self) -> String {
        let dashed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let named = || self.name.chars().map(dashed).collect::<String>().trim_matches('-').to_owned();
        self.id.clone().unwrap_or_else(named)
    }

    /// Everything that is wrong with the setting, in words that name the key.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (key, value) in [("name", &self.name), ("client_id", &self.client_id)] {
            if value.trim().is_empty() {
                problems.push(format!("`sign_in.{key}` is empty"));
            }
        }
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let id = self.id();
        if id.is_empty() || id.len() > 64 || !id.chars().all(fits) {
            problems.push(format!("`sign_in.id` is `{id}`; it must be 1 to 64 of a-z, 0-9 and `-`"));
        }
        if !self.scopes.iter().any(|scope| scope == "openid") {
            problems.push("`sign_in.scopes` lacks `openid`, without which nobody says who signed in".into());
        }
        if !(1..=LONGEST).contains(&self.session_minutes) {
            problems.push(format!(
                "`sign_in.session_minutes` is {}; it must be from 1 to {LONGEST}",
                self.session_minutes
            ));
        }
        if self.client_secret.is_some() && self.client_secret_file.is_some() {
            problems.push("`sign_in.client_secret` and `sign_in.client_secret_file` are both there".into());
        }
        if let Err(problem) = self.secret() {
            problems.push(problem);
        }
        problems
    }

    fn secret(&self) -> Result<Option<Hidden>, String> {
        let Some(file) = &self.client_secret_file else { return Ok(self.client_secret.clone()) };
        let text = std::fs::read_to_string(file)
            .map_err(|e| format!("`sign_in.client_secret_file`: cannot read `{}`: {e}", file.display()))?;
        Ok(Some(Hidden::new(text.trim())))
    }
}

/// What a browser carries while its user is at the provider, from which all else is made that goes out.
pub struct Errand {
    secret: Hidden,
    /// The provider's id.
    pub provider: String,
    /// Where to go on afterwards.
    pub to: String,
}

impl Errand {
    pub fn new(secret: Hidden, provider: String, to: String) -> Errand {
        Errand { secret, provider, to }
    }

    /// As it stands in a cookie.
    pub fn cookie(&self) -> Hidden {
        let to = URL_SAFE_NO_PAD.encode(&self.to);
        Hidden::new(format!("{}.{}.{to}", self.secret.reveal(), self.provider))
    }

    pub fn read(cookie: &Hidden) -> Option<Errand> {
        let mut parts = cookie.reveal().splitn(3, '.');
        let (secret, provider, to) = (parts.next()?, parts.next()?, parts.next()?);
        let to = String::from_utf8(URL_SAFE_NO_PAD.decode(to).ok()?).ok()?;
        Some(Errand { secret: Hidden::new(secret), provider: provider.to_owned(), to })
    }

    /// Binds the answer to this browser, this provider, and where it goes on.
    pub fn state(&self) -> String {
        self.made(&format!("state {} {}", self.provider, self.to))
    }

    /// Binds the id token to this errand.
    pub fn nonce(&self) -> String {
        self.made("nonce")
    }

    /// PKCE's secret half; the other one is its SHA-256.
    fn verifier(&self) -> String {
        self.made("verifier")
    }

    fn made(&self, what: &str) -> String {
        URL_SAFE_NO_PAD.encode(hash_secret(&format!("{} {what}", self.secret.reveal())))
    }
}

/// What the provider gives for a code.
#[derive(Deserialize)]
pub struct Tokens {
    pub id_token: String,
    pub access_token: String,
}

/// Why the provider gave nothing. Goes to the log, and in short to whoever signs in.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    #[error("it cannot be asked what it is")]
    Fetch,
    #[error("its description does not name `{0}`, or one that may not be used")]
    Endpoint(&'static str),
    #[error("its token endpoint cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("too many sign-ins are under way")]
    Crowded,
    #[error("its token endpoint refuses the code: {0}")]
    Refused(String),
    #[error("its token endpoint answers no `id_token` with an `access_token`")]
    Answer,
}

/// The endpoints of a provider.
#[derive(Debug, Clone)]
struct Endpoints {
    authorization: String,
    token: String,
    /// The secret goes into the `Authorization` header, rather than the form.
    basic: bool,
    /// It names itself in its answers.
    pub names_itself: bool,
}

/// A provider that people sign in at.
#[derive(Debug)]
pub struct Provider {
    pub config: SignInConfig,
    secret: Option<Hidden>,
    allow_http_loopback: bool,
    http: reqwest::Client,
    known: Mutex<Known>,
    redeeming: Semaphore,
}

/// What was found when the provider was asked for the last time.
#[derive(Debug, Default)]
struct Known {
    endpoints: Option<Endpoints>,
    asked: Option<Timestamp>,
}

impl Provider {
    /// The settings were checked: see [`SignInConfig::problems`].
    pub fn new(config: SignInConfig, allow_http_loopback: bool) -> Result<Provider, reqwest::Error> {
        let mut http = reqwest::Client::builder().redirect(redirect::Policy::none()).timeout(TIMEOUT);
        if allow_http_loopback {
            http = http.no_proxy();
        }
        let secret = config.secret().ok().flatten();
        Ok(Provider {
            config,
            secret,
            allow_http_loopback,
            http: http.build()?,
            known: Mutex::default(),
            redeeming: Semaphore::new(REDEEMING),
        })
    }

    /// Where a browser is sent to sign in.
    ///
    /// # Errors
    /// When the provider cannot be asked where that is.
    pub async fn leads_to(
        &self,
        source: &KeySource,
        errand: &Errand,
        redirect_uri: &str,
        now: Timestamp,
    ) -> Result<String, ProviderError> {
        let endpoints = self.endpoints(source, now).await?;
        let challenge = URL_SAFE_NO_PAD.encode(hash_secret(&errand.verifier()));
        Ok(with_query(
            &endpoints.authorization,
            &[
                ("client_id", &self.config.client_id),
                ("response_type", "code"),
                ("redirect_uri", redirect_uri),
                ("scope", &self.config.scopes.join(" ")),
                ("state", &errand.state()),
                ("nonce", &errand.nonce()),
                ("code_challenge", &challenge),
                ("code_challenge_method", "S256"),
            ],
        ))
    }

    /// Whether an answer without `iss` is one of this provider.
    ///
    /// # Errors
    /// When the provider cannot be asked.
    pub async fn names_itself(&self, source: &KeySource, now: Timestamp) -> Result<bool, ProviderError> {
        Ok(self.endpoints(source, now).await?.names_itself)
    }

    /// What a code is good for.
    ///
    /// # Errors
    /// When the provider cannot be reached, or refuses the code.
    pub async fn redeem(
        &self,
        source: &KeySource,
        errand: &Errand,
        code: &str,
        redirect_uri: &str,
        now: Timestamp,
    ) -> Result<Tokens, ProviderError> {
        let _place = self.redeeming.try_acquire().map_err(|_| ProviderError::Crowded)?;
        let endpoints = self.endpoints(source, now).await?;
        let (client, verifier) = (self.config.client_id.as_str(), errand.verifier());
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", &verifier),
        ];
        let mut call = self.http.post(&endpoints.token).header("accept", "application/json");
        match &self.secret {
            Some(secret) if endpoints.basic => {
                call = call.basic_auth(encoded(client), Some(encoded(secret.reveal())))
            }
            Some(secret) => form.extend([("client_id", client), ("client_secret", secret.reveal())]),
            None => form.push(("client_id", client)),
        }
        let answer = call.form(&form).send().await.map_err(ProviderError::Unreachable)?;
        let good = answer.status() == reqwest::StatusCode::OK;
        let body = limited(answer, MAX_BODY).await.map_err(ProviderError::Unreachable)?;
        if !good {
            return Err(ProviderError::Refused(reason(&body.unwrap_or_default())));
        }
        body.and_then(|body| serde_json::from_slice(&body).ok()).ok_or(ProviderError::Answer)
    }

    /// One asks, and those who come meanwhile wait for the answer; one that was no use holds for a moment too.
    async fn endpoints(&self, source: &KeySource, now: Timestamp) -> Result<Endpoints, ProviderError> {
        let mut known = self.known.lock().await;
        let age = known.asked.map_or(i64::MAX, |at| (now.secs() - at.secs()).abs());
        match &known.endpoints {
            Some(endpoints) if age < FRESH => return Ok(endpoints.clone()),
            None if age < PAUSE => return Err(ProviderError::Fetch),
            _ => {}
        }
        known.asked = Some(now);
        match source.describe().await {
            Ok(found) => known.endpoints = Some(self.read(&found)?),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(provider = self.config.name, error, "cannot ask a provider what it is");
            }
        }
        // What it was before is used on while it is down.
        known.endpoints.clone().ok_or(ProviderError::Fetch)
    }

    fn read(&self, found: &Description) -> Result<Endpoints, ProviderError> {
        let endpoint = |name: &'static str| {
            let url = found.text(name).and_then(|text| Url::parse(text).ok());
            let allowed = url.filter(|url| may_fetch(url, self.allow_http_loopback));
            allowed.map(String::from).ok_or(ProviderError::Endpoint(name))
        };
        // What goes without saying is the header (RFC 8414, 2).
        let methods = found.list("token_endpoint_auth_methods_supported");
        let basic = methods.is_none_or(|methods| methods.contains(&"client_secret_basic"));
        Ok(Endpoints {
            authorization: endpoint("authorization_endpoint")?,
            token: endpoint("token_endpoint")?,
            basic,
            names_itself: found.is("authorization_response_iss_parameter_supported"),
        })
    }
}

/// Name and secret are encoded before they go into the header (RFC 6749, 2.3.1).
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// What the provider says of a refusal, short.
fn reason(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
        #[serde(default)]
        error_description: String,
    }
    let Ok(Refusal { error, error_description }) = serde_json::from_slice(body) else {
        return "it gives no reason".to_owned();
    };
    shown(&format!("{error}: {error_description}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errand() -> Errand {
        Errand::new(Hidden::new("secret"), "contoso".into(), "/files/a.ps1?x=1&y=\u{e4}".into())
    }

    #[test]
    fn a_cookie_brings_back_the_same_errand() {
        let back = Errand::read(&errand().cookie()).unwrap();
        assert_eq!((back.provider.as_str(), back.to.as_str()), ("contoso", "/files/a.ps1?x=1&y=\u{e4}"));
        assert_eq!((back.state(), back.nonce()), (errand().state(), errand().nonce()));
        for bad in ["", "secret", "secret.1", "secret.contoso.?"] {
            assert!(Errand::read(&Hidden::new(bad)).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn what_goes_out_is_bound_to_secret_provider_and_place() {
        let state = errand().state();
        for other in [
            Errand { secret: Hidden::new("other"), ..errand() },
            Errand { provider: "other".into(), ..errand() },
            Errand { to: "/".into(), ..errand() },
        ] {
            assert_ne!(other.state(), state);
        }
        let all = [state, errand().nonce(), errand().verifier()];
        assert!(all.iter().all(|text| text.len() == 43));
        assert!(all[0] != all[1] && all[1] != all[2]);
    }

    #[test]
    fn every_problem_of_a_setting_is_named() {
        let read = |text: &str| toml::from_str::<SignInConfig>(text).unwrap();
        let good = read("name = 'Contoso'\nclient_id = 'x'");
        assert_eq!((good.problems(), good.session_minutes), (vec![], 60));
        assert_eq!(read("name = 'Contoso (Entra ID)'\nclient_id = 'x'").id(), "contoso--entra-id");
        assert_eq!(read("name = '\u{65e5}'\nclient_id = 'x'").problems().len(), 1);
        assert_eq!(read("name = '\u{65e5}'\nid = 'jp'\nclient_id = 'x'").problems(), Vec::<String>::new());
        let bad = read(
            "name = ' '\nclient_id = ''\nscopes = ['profile']\nsession_minutes = 0\nclient_secret = 's'\n\
             client_secret_file = '/nowhere/at/all'",
        );
        let problems = bad.problems();
        assert_eq!(problems.len(), 7, "{problems:?}");
        assert!(!format!("{bad:?}").contains("'s'") && format!("{bad:?}").contains("[hidden]"));
    }
}
