//! Reading what an app sends a user's browser with. Nothing is sent back to an address before it was found among the
//! client's: whoever reads a request here has to look there first.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;
use url::form_urlencoded;

use super::refusal::shown;
use super::secret::sha256;

/// What an app asks for, still unchecked but for its shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub client_id: String,
    pub redirect_uri: String,
    pub state: Option<String>,
    /// The rest, or what is wrong with it: told to the app, once its address is known to be its own.
    pub rest: Result<Details, Refused>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    pub scope: String,
    pub challenge: String,
    pub nonce: Option<String>,
    pub prompt: Prompt,
    /// The sign-in may be at most this many seconds old.
    pub max_age: Option<i64>,
    pub login_hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// The user is asked when there is need.
    Auto,
    /// Nothing is asked.
    None,
    /// The user signs in again.
    Login,
}

/// Why an app gets no code, in OAuth 2.0's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub code: &'static str,
    pub why: String,
}

impl Refused {
    pub fn new(code: &'static str, why: impl Into<String>) -> Refused {
        Refused { code, why: why.into() }
    }
}

/// Longer requests are not looked at.
const LONGEST: usize = 8 * 1024;
const KNOWN: [&str; 14] = [
    "client_id",
    "redirect_uri",
    "state",
    "response_type",
    "response_mode",
    "scope",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "prompt",
    "max_age",
    "login_hint",
    "request",
    "request_uri",
];

impl Asked {
    /// Reads a query.
    ///
    /// # Errors
    /// What is wrong, where nobody can be told of it but the user.
    pub fn parse(query: &str) -> Result<Asked, String> {
        if query.len() > LONGEST {
            return Err("The address is too long.".to_owned());
        }
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        for (at, (name, _)) in pairs.iter().enumerate() {
            if KNOWN.contains(&name.as_str()) && pairs[..at].iter().any(|(other, _)| other == name) {
                return Err(format!("The app gave `{name}` twice."));
            }
        }
        let get = |name: &str| {
            let found = pairs.iter().find(|(given, _)| given == name);
            found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
        };
        let missing = |name: &str| format!("The app did not say `{name}`.");
        let client_id = get("client_id").ok_or_else(|| missing("client_id"))?;
        let redirect_uri = get("redirect_uri").ok_or_else(|| missing("redirect_uri"))?;
        if [&client_id, &redirect_uri].iter().any(|text| text.contains('\0')) {
            return Err("The address is damaged.".to_owned());
        }
        Ok(Asked { client_id, redirect_uri, state: get("state"), rest: details(get) })
    }
}

fn details(get: impl Fn(&str) -> Option<String>) -> Result<Details, Refused> {
    let invalid = |why: &str| Refused::new("invalid_request", why);
    if get("request").is_some() {
        return Err(Refused::new("request_not_supported", "`request` is not read here"));
    }
    if get("request_uri").is_some() {
        return Err(Refused::new("request_uri_not_supported", "`request_uri` is not read here"));
    }
    match get("response_type").as_deref() {
        Some("code") => {}
        None => return Err(invalid("`response_type` is missing: expected `code`")),
        Some(other) => {
            let why = format!("response_type `{}`: expected `code`", shown(other));
            return Err(Refused::new("unsupported_response_type", why));
        }
    }
    if get("response_mode").is_some_and(|mode| mode != "query") {
        return Err(invalid("`response_mode`: expected `query`"));
    }
    let challenge = get("code_challenge")
        .ok_or_else(|| invalid("`code_challenge` is missing: every app has to use PKCE with S256"))?;
    if get("code_challenge_method").as_deref() != Some("S256") {
        return Err(invalid("`code_challenge_method`: expected `S256`"));
    }
    if challenge.len() != 43 || URL_SAFE_NO_PAD.decode(&challenge).is_err() {
        return Err(invalid("`code_challenge`: expected a SHA-256 in base64url"));
    }
    let prompt = match get("prompt").as_deref() {
        None => Prompt::Auto,
        Some("none") => Prompt::None,
        Some("login" | "select_account") => Prompt::Login,
        // Apps are registered by whoever runs the server: that is the consent.
        Some("consent") => Prompt::Auto,
        Some(_) => return Err(invalid("`prompt`: expected `none`, `login`, `select_account` or `consent`")),
    };
    let max_age = get("max_age").map(|text| text.parse::<u32>().map(i64::from)).transpose();
    let max_age = max_age.map_err(|_| invalid("`max_age`: expected a number of seconds"))?;
    let nonce = get("nonce");
    if nonce.as_ref().is_some_and(|nonce| nonce.len() > 1024 || nonce.contains('\0')) {
        return Err(invalid("`nonce`: expected at most 1024 bytes of text"));
    }
    Ok(Details {
        scope: get("scope").unwrap_or_default(),
        challenge,
        nonce,
        prompt,
        max_age,
        login_hint: get("login_hint"),
    })
}

/// Whether this is what the challenge was made of (RFC 7636).
pub fn proves(verifier: &str, challenge: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let made = URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()));
    (43..=128).contains(&verifier.len())
        && verifier.chars().all(fits)
        && bool::from(made.as_bytes().ct_eq(challenge.as_bytes()))
}

/// `uri` with these parameters added to its query.
pub fn with_query(uri: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        query.append_pair(name, value);
    }
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}{}", query.finish())
}

/// Whether an address may be registered: where a browser can be sent without anybody else hearing of it.
pub fn may_be_redirect(uri: &str) -> Result<(), &'static str> {
    if uri.len() > 2000 || !uri.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("expected at most 2000 visible ASCII characters");
    }
    let url =
        url::Url::parse(uri).map_err(|_| "expected a whole address, such as https://app.example/callback")?;
    if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err("expected an address without user, password and `#`");
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(&url) => Ok(()),
        "http" => Err("expected https: plain http only to this machine itself (127.0.0.1, [::1], localhost)"),
        // RFC 8252, 7.1: a name of the owner's domain, turned around.
        scheme if scheme.contains('.') => Ok(()),
        _ => Err("expected https, or a scheme of an app's own such as `com.example.app`"),
    }
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// What a content security policy calls the place that `uri` leads to.
pub fn source_of(uri: &str) -> Option<String> {
    let url = url::Url::parse(uri).ok()?;
    match url.origin() {
        url::Origin::Tuple(..) => Some(url.origin().ascii_serialization()),
        url::Origin::Opaque(_) => Some(format!("{}:", url.scheme())),
    }
}

#[cfg(test)]
mod tests;
