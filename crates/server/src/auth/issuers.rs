//! Issuers elsewhere (Entra ID, Keycloak, any OpenID provider): what a setting says about one, and
//! what its tokens have to say.

use std::collections::HashSet;
use std::sync::Arc;

use jumpbag_wire::time::Timestamp;
use serde::Deserialize;
use url::Url;

use super::audience;
use super::caller::{Caller, Reading};
use super::jwks::{KeySet, KeySource, may_fetch};
use super::jwt::{Claims, Jws};
use super::provider::{Provider, SignInConfig};
use super::verify::AuthError;

/// One issuer, as the settings describe it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// `iss` of its tokens, character for character.
    pub issuer: String,
    /// Other values of `iss` that mean the same issuer: Entra ID signs as
    /// `https://sts.windows.net/{tid}/` and as `https://login.microsoftonline.com/{tid}/v2.0`.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// `aud` must be, or contain, one of these; a trailing slash does not matter.
    pub audiences: Vec<String>,
    /// Claim with the permissions of an app, a list; a path with dots reaches into objects.
    /// `roles` unless given.
    pub roles_claim: Option<String>,
    /// Claim with the permissions of a user, words or a list. `scp`, else `scope`, unless given.
    pub scopes_claim: Option<String>,
    /// Claim with the name people see. `name` unless given.
    pub name_claim: Option<String>,
    /// Where the discovery document is, when not below the issuer itself.
    pub discovery_url: Option<String>,
    /// The tenant its callers belong to; a `tid` that says otherwise is refused.
    pub tenant: Option<String>,
    /// Allows plain http to an issuer on this very machine.
    #[serde(default)]
    pub allow_http_loopback: bool,
    /// How people sign in to the console with it.
    pub sign_in: Option<SignInConfig>,
}

impl IssuerConfig {
    /// Everything that is wrong with the setting, in words that name the key.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |key: &str, url: &str| {
            if !Url::parse(url).is_ok_and(|url| may_fetch(&url, self.allow_http_loopback)) {
                problems.push(format!(
                    "`{key}` is `{url}`; it must be an https address (http only on loopback and with `allow_http_loopback`)"
                ));
            }
        };
        check("issuer", &self.issuer);
        self.aliases.iter().for_each(|alias| check("aliases", alias));
        self.discovery_url.iter().for_each(|url| check("discovery_url", url));
        if self.audiences.iter().all(|audience| audience.trim().is_empty()) {
            problems.push("`audiences` is empty; name what `aud` of a token for this server is".to_owned());
        }
        problems.extend(self.sign_in.iter().flat_map(SignInConfig::problems));
        problems
    }

    fn discovery(&self) -> String {
        self.discovery_url.clone().unwrap_or_else(|| {
            format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'))
        })
    }
}

/// Names that more than one of the issuers goes by: whose keys would count is not to be guessed.
pub fn clashes(configs: &[IssuerConfig]) -> Vec<String> {
    let mut seen = HashSet::new();
    let names = configs.iter().flat_map(|config| [&config.issuer].into_iter().chain(&config.aliases));
    let again = names.filter(|name| !seen.insert(*name));
    let mut clashes: Vec<_> = again
        .map(|name| format!("`issuer` or `aliases` name `{name}` more than once; only one issuer may"))
        .collect();
    let mut ids = HashSet::new();
    for id in configs.iter().filter_map(|config| Some(config.sign_in.as_ref()?.id())) {
        if !ids.insert(id.clone()) {
            clashes.push(format!("`sign_in.id` is `{id}` more than once; give one of them another"));
        }
    }
    clashes
}

/// A configured issuer and its keys.
#[derive(Debug)]
pub struct Issuer {
    config: IssuerConfig,
    keys: Arc<KeySource>,
    provider: Option<Provider>,
}

impl Issuer {
    /// Needs the process-wide rustls provider to be installed. Fetches nothing yet.
    pub fn new(config: IssuerConfig) -> Result<Issuer, reqwest::Error> {
        let names = [&config.issuer].into_iter().chain(&config.aliases).cloned().collect();
        let keys = KeySource::new(config.discovery(), names, config.allow_http_loopback)?;
        let provider = config.sign_in.clone();
        let provider = provider.map(|sign_in| Provider::new(sign_in, config.allow_http_loopback));
        let provider = provider.transpose()?;
        Ok(Issuer { config, keys: Arc::new(keys), provider })
    }

    /// The name that its callers are filed under.
    pub fn name(&self) -> &str {
        &self.config.issuer
    }

    /// What people sign in with, and where it says what it is.
    pub fn provider(&self) -> Option<(&Provider, &KeySource)> {
        self.provider.as_ref().map(|provider| (provider, self.keys.as_ref()))
    }

    /// Every `iss` this issuer goes by.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [&self.config.issuer].into_iter().chain(&self.config.aliases).map(String::as_str)
    }

    /// Whether a verdict given by `generation` of the keys may be repeated without looking again.
    pub fn stands(&self, generation: u64, now: Timestamp) -> bool {
        self.keys.held().is_some_and(|set| set.generation == generation && set.is_fresh(now))
    }

    /// Checks everything but the lifetime of a token whose `iss` is one of `names`. Returns the
    /// caller and the generation of the keys that vouch for it.
    pub async fn verify(&self, jws: &Jws<'_>, now: Timestamp) -> Result<(Caller, u64), AuthError> {
        self.check_audience(&jws.claims)?;
        self.check_tenant(&jws.claims)?;
        let kid = jws.header.kid.as_deref();
        let keys = self.keys.keys(kid, now).await.ok_or(AuthError::IssuerUnavailable)?;
        check_signature(jws, &keys)?;
        Ok((Caller::from_claims(&jws.claims, &self.reading())?, keys.generation))
    }

    /// Who an id token says has signed in. It must be for `client`, and have the `nonce` that went out.
    pub async fn signed_in(
        &self,
        id_token: &str,
        client: &str,
        nonce: &str,
        now: Timestamp,
    ) -> Result<Caller, AuthError> {
        let jws = Jws::parse(id_token)?;
        jws.claims.lifetime()?.covers(now)?;
        if !jws.claims.text("iss").is_some_and(|iss| self.names().any(|name| name == iss)) {
            return Err(AuthError::Issuer);
        }
        let audiences = jws.claims.audiences()?;
        let party = jws.claims.get("azp").is_none_or(|party| party.as_str() == Some(client));
        if !audiences.contains(&client) || !party {
            return Err(AuthError::Audience);
        }
        if jws.claims.text("nonce") != Some(nonce) {
            return Err(AuthError::Nonce);
        }
        self.check_tenant(&jws.claims)?;
        let keys =
            self.keys.keys(jws.header.kid.as_deref(), now).await.ok_or(AuthError::IssuerUnavailable)?;
        check_signature(&jws, &keys)?;
        Ok(Caller::from_claims(&jws.claims, &self.reading())?)
    }

    fn check_audience(&self, claims: &Claims) -> Result<(), AuthError> {
        let given = claims.audiences()?;
        let ours = |aud: &&str| self.config.audiences.iter().any(|known| audience::same(known, aud));
        if given.iter().any(ours) { Ok(()) } else { Err(AuthError::Audience) }
    }

    fn check_tenant(&self, claims: &Claims) -> Result<(), AuthError> {
        match (&self.config.tenant, claims.get("tid")) {
            (Some(own), Some(tid)) => match tid.as_str() {
                Some(tid) if tid.eq_ignore_ascii_case(own) => Ok(()),
                _ => Err(AuthError::Tenant),
            },
            _ => Ok(()),
        }
    }

    fn reading(&self) -> Reading<'_> {
        let config = &self.config;
        let mut reading = Reading::plain(&config.issuer, config.tenant.as_deref());
        if let Some(claim) = &config.roles_claim {
            reading.roles_claim = claim;
        }
        if let Some(claim) = &config.scopes_claim {
            reading.scopes_claim = Some(claim);
        }
        if let Some(claim) = &config.name_claim {
            reading.name_claim = claim;
        }
        reading
    }
}

fn check_signature(jws: &Jws<'_>, keys: &KeySet) -> Result<(), AuthError> {
    let mut candidates = keys.candidates(jws.header.kid.as_deref(), jws.algorithm).peekable();
    if candidates.peek().is_none() {
        return Err(AuthError::UnknownKey);
    }
    if candidates.any(|key| jws.signed_by(key)) { Ok(()) } else { Err(AuthError::Signature) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> IssuerConfig {
        IssuerConfig {
            issuer: "https://idp.example/realm".to_owned(),
            aliases: vec![],
            audiences: vec!["api://jumpbag".to_owned()],
            roles_claim: None,
            scopes_claim: None,
            name_claim: None,
            discovery_url: None,
            tenant: None,
            allow_http_loopback: false,
            sign_in: None,
        }
    }

    #[test]
    fn every_problem_of_a_setting_is_named() {
        assert!(config().problems().is_empty());
        assert_eq!(config().discovery(), "https://idp.example/realm/.well-known/openid-configuration");
        let bad = IssuerConfig {
            issuer: "http://127.0.0.1:1".to_owned(),
            aliases: vec!["ldap://idp.example".to_owned()],
            discovery_url: Some("idp.example".to_owned()),
            audiences: vec![" ".to_owned()],
            ..config()
        };
        let problems = bad.problems();
        let keys: Vec<_> = problems.iter().map(|text| text.split('`').nth(1).unwrap()).collect();
        assert_eq!(keys, ["issuer", "aliases", "discovery_url", "audiences"]);
        assert!(
            IssuerConfig { issuer: bad.issuer, allow_http_loopback: true, ..config() }.problems().is_empty()
        );
        let outside =
            IssuerConfig { issuer: "http://idp.example".to_owned(), allow_http_loopback: true, ..config() };
        assert_eq!(outside.problems().len(), 1);
    }

    #[test]
    fn no_two_issuers_share_a_name() {
        let other = IssuerConfig { issuer: "https://other.example".to_owned(), ..config() };
        assert!(clashes(&[config(), other.clone()]).is_empty());
        let same = IssuerConfig { aliases: vec![config().issuer], ..other };
        assert_eq!(clashes(&[config(), same]).len(), 1);
    }

    #[test]
    fn a_setting_is_read_strictly() {
        let read = |text: &str| toml::from_str::<IssuerConfig>(text);
        let good = "issuer = 'https://idp.example/realm'\naudiences = ['api://jumpbag']";
        assert_eq!(read(good).unwrap(), config());
        assert!(read(&format!("{good}\naudience = 'x'")).is_err());
        assert!(read("issuer = 'https://idp.example'").is_err());
    }
}
