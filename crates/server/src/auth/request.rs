//! Reading a token request in every form clients send it. Nothing here decides; a request that
//! was read is not yet one that is granted.

mod grant;

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use url::form_urlencoded;

pub use grant::{Asked, UserGrant, UserRequest, device_request};

use super::assertion;
use super::audience;
use super::refusal::{TokenError, shown};
use super::secret::Hidden;
use super::tenant::Tenant;

/// Which of the original's two token endpoints was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

/// How the client proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// The secret; after HTTP Basic also as it stood there, unescaped, should that differ.
    Secret(Vec<Hidden>),
    /// A JWT signed with the client's certificate.
    Assertion(Hidden),
}

/// A request for a token with the client's own permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    pub version: Version,
    pub client_id: String,
    /// What the token is for, as it was asked for, `/.default` removed.
    pub resource: String,
    pub credential: Credential,
}

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl TokenRequest {
    /// Reads a body (a form, or a JSON object whatever it is labelled) and an `Authorization`
    /// header. Fails when something required is missing, given twice or not for this endpoint.
    pub fn parse(
        version: Version,
        content_type: Option<&str>,
        authorization: Option<&str>,
        body: &[u8],
    ) -> Result<TokenRequest, TokenError> {
        match Asked::parse(version, content_type, authorization, body)? {
            Asked::Client(request) => Ok(request),
            Asked::User(_) => Err(TokenError::UnsupportedGrant("of a user".to_owned())),
        }
    }

    fn of_client(
        version: Version,
        fields: &Fields,
        authorization: Option<&str>,
    ) -> Result<TokenRequest, TokenError> {
        let (client_id, credential) = credential(fields, authorization)?;
        let resource = match version {
            Version::V1 => fields.required("resource")?.to_owned(),
            Version::V2 => resource_of(fields.required("scope")?)?.to_owned(),
        };
        Ok(TokenRequest { version, client_id, resource, credential })
    }

    /// The `aud` of the token to be made; `own` are this server's addresses beside `base`. Fails
    /// for a resource of somebody else.
    pub fn audience(&self, base: &str, own: &[String], tenant: &Tenant) -> Result<String, TokenError> {
        audience::resolve(&self.resource, base, own).ok_or_else(|| TokenError::UnknownResource {
            resource: shown(&self.resource),
            tenant: tenant.id.clone(),
        })
    }
}

/// The parameters of a request, names ignoring case.
struct Fields(Vec<(String, Hidden)>);

impl Fields {
    fn read(content_type: Option<&str>, body: &[u8]) -> Result<Fields, TokenError> {
        let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
        let text = std::str::from_utf8(body)
            .map_err(|_| TokenError::Malformed("the body is not UTF-8 text"))?
            .trim_matches(['\r', '\n', ' ', '\t']);
        let labelled_json = content_type.is_some_and(|label| label.to_ascii_lowercase().contains("json"));
        let fields = if text.starts_with('{') || (labelled_json && !text.contains('=')) {
            json(text)?
        } else {
            let pairs = form_urlencoded::parse(text.as_bytes());
            pairs.map(|(name, value)| (name.into_owned(), Hidden::new(value))).collect()
        };
        for (at, (name, value)) in fields.iter().enumerate() {
            let again = |(other, different): &(String, Hidden)| {
                other.eq_ignore_ascii_case(name) && different != value
            };
            if is_known(name) && fields[..at].iter().any(again) {
                return Err(TokenError::Malformed("a parameter is given twice"));
            }
        }
        Ok(Fields(fields))
    }

    /// An empty parameter is as good as none.
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(given, _)| given.eq_ignore_ascii_case(name))?;
        Some(found.1.reveal()).filter(|value| !value.is_empty())
    }

    fn required(&self, name: &'static str) -> Result<&str, TokenError> {
        self.get(name).ok_or(TokenError::MissingParameter(name))
    }
}

/// Only what is read may not be given twice; this also keeps a body of a thousand fields cheap.
fn is_known(name: &str) -> bool {
    const KNOWN: [&str; 12] = [
        "code",
        "code_verifier",
        "redirect_uri",
        "refresh_token",
        "device_code",
        "grant_type",
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
        "scope",
        "resource",
    ];
    KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn json(text: &str) -> Result<Vec<(String, Hidden)>, TokenError> {
    let unreadable = TokenError::Malformed("the body is not a JSON object of texts");
    let Ok(Value::Object(object)) = serde_json::from_str(text) else {
        return Err(unreadable);
    };
    let mut fields = Vec::new();
    for (name, value) in object {
        match value {
            Value::String(text) => fields.push((name, Hidden::new(text))),
            _ if is_known(&name) && !value.is_null() => return Err(unreadable),
            _ => {}
        }
    }
    Ok(fields)
}

fn credential(fields: &Fields, authorization: Option<&str>) -> Result<(String, Credential), TokenError> {
    let in_body = fields.get("client_id");
    if let Some((id, secrets)) = authorization.and_then(basic) {
        let differs = TokenError::Malformed("the Authorization header and the body name different clients");
        if in_body.is_some_and(|other| other != id) {
            return Err(differs);
        }
        if fields.get("client_assertion").is_some()
            || fields
                .get("client_secret")
                .is_some_and(|other| !secrets.iter().any(|secret| secret.reveal() == other))
        {
            return Err(TokenError::Malformed("the client proves itself in two ways at once"));
        }
        return Ok((id, Credential::Secret(secrets)));
    }
    if let Some(jwt) = fields.get("client_assertion") {
        if fields.get("client_secret").is_some() {
            return Err(TokenError::Malformed("the client proves itself in two ways at once"));
        }
        if fields.required("client_assertion_type")? != ASSERTION_TYPE {
            return Err(TokenError::Malformed("the client assertion is of an unknown type"));
        }
        let id = match in_body {
            Some(id) => id.to_owned(),
            None => assertion::subject(jwt).ok_or(TokenError::MissingParameter("client_id"))?,
        };
        return Ok((id, Credential::Assertion(Hidden::new(jwt))));
    }
    let id = in_body.ok_or(TokenError::MissingParameter("client_id"))?;
    let secret = fields.get("client_secret").ok_or(TokenError::NoCredential)?;
    Ok((id.to_owned(), Credential::Secret(vec![Hidden::new(secret)])))
}

/// Id and secret of an HTTP Basic header. Both should be form-encoded inside it; many clients do
/// not, so the secret comes in both readings. Another scheme is no credential.
fn basic(authorization: &str) -> Option<(String, Vec<Hidden>)> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &ALPHABET,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let (scheme, encoded) = authorization.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(LENIENT.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let unescaped = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8().ok().map(|text| text.into_owned())
    };
    let mut secrets = vec![Hidden::new(secret)];
    if let Some(other) = unescaped(secret).filter(|other| other != secret) {
        secrets.insert(0, Hidden::new(other));
    }
    Some((unescaped(id).unwrap_or_else(|| id.to_owned()), secrets))
}

/// The resource of a v2 scope: `<resource>/.default`, beside which the OpenID scopes do not count.
fn resource_of(scope: &str) -> Result<&str, TokenError> {
    const OPENID: [&str; 4] = ["openid", "offline_access", "profile", "email"];
    let mut resource = None;
    for one in scope.split_ascii_whitespace().filter(|one| !OPENID.contains(one)) {
        let not_default = || TokenError::ScopeNotDefault(shown(scope));
        let named = one.strip_suffix("/.default").filter(|name| !name.is_empty()).ok_or_else(not_default)?;
        if resource.is_some_and(|other| other != named) {
            return Err(TokenError::SeveralResources);
        }
        resource = Some(named);
    }
    resource.ok_or_else(|| TokenError::ScopeNotDefault(shown(scope)))
}

#[cfg(test)]
mod tests;
