//! Who signs in where: from the environment, or from a profile that `login` wrote. Files with secrets are their
//! owner's alone.

mod clouds;
mod secrets;
mod store;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

pub use clouds::Cloud;
pub use store::{Store, Turn};

use crate::failure::Failure;

/// One place to sign in to, and as whom.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The API's address, up to and without `/api`.
    pub url: String,
    /// Where tokens come from; the API's own address when it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// The tenant in the issuer's paths. Without one the issuer's discovery document says where its endpoints are;
    /// jumpbag has it at its own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// A PEM file with certificates to trust besides those of the operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Whether secrets may go over HTTP to another machine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plain_http: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// Whether the secret of the proof is in the operating system's keyring.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keyring: bool,
}

/// By what a client proves who it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    ClientSecret(String),
    /// PEM files: the certificate, and its private key (the same file may hold both).
    Certificate {
        certificate: PathBuf,
        key: PathBuf,
    },
    /// Of a user who signed in by device code.
    RefreshToken(String),
    /// A token that somebody else got.
    Token(String),
}

/// Secrets are not printed.
impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Proof::ClientSecret(_) => "ClientSecret(…)",
            Proof::Certificate { .. } => "Certificate",
            Proof::RefreshToken(_) => "RefreshToken(…)",
            Proof::Token(_) => "Token(…)",
        })
    }
}

/// What is asked for when nothing else is said: every host of the original takes it, and jumpbag does too.
const SCOPE: &str = "https://api.securitycenter.microsoft.com/.default";

/// A profile that is in force, and where it came from.
#[derive(Debug, Clone)]
pub struct Session {
    /// The profile's name; none: the environment.
    pub name: Option<String>,
    pub profile: Profile,
}

impl Session {
    /// The environment where it names an address, else the profile that was asked for, else the one in use.
    ///
    /// # Errors
    /// When neither says where to sign in.
    pub fn open(name: Option<&str>) -> Result<Session, Failure> {
        if name.is_none()
            && let Some(profile) = Profile::from_environment()?
        {
            return Ok(Session { name: None, profile });
        }
        let store = Store::read()?;
        let (name, mut profile) = store.profile(name)?;
        if profile.keyring {
            profile.proof = secrets::restore(&name, profile.proof)?;
        }
        Ok(Session { name: Some(name), profile })
    }

    /// The refresh token that was kept last.
    pub fn refresh_token(&self) -> Result<String, Failure> {
        let kept = match &self.name {
            Some(name) => Session::open(Some(name)).ok().and_then(|session| session.profile.proof),
            None => None,
        };
        match kept.or_else(|| self.profile.proof.clone()) {
            Some(Proof::RefreshToken(token)) => Ok(token),
            _ => Err(Failure::Usage("the profile was changed meanwhile: try again".into())),
        }
    }

    /// Keeps a refresh token that took the place of another.
    pub fn keep_refresh_token(&self, token: &str) -> Result<(), Failure> {
        let Some(name) = &self.name else { return Ok(()) };
        let proof = Proof::RefreshToken(token.to_owned());
        Store::keep(name, Profile { proof: Some(proof), ..self.profile.clone() })
    }
}

/// Whether a secret may go to an address: over HTTPS, or within this machine, or where somebody said so.
pub fn is_safe(address: &str, plain_http: bool) -> bool {
    let Ok(url) = Url::parse(address) else { return false };
    let loopback = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && (loopback || plain_http))
}

impl Profile {
    fn from_environment() -> Result<Option<Profile>, Failure> {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (url, cloud) = (text("JUMPBAG_URL"), text("JUMPBAG_CLOUD"));
        if url.is_none() && cloud.is_none() {
            return Ok(None);
        }
        let mut profile = match cloud {
            Some(name) => Cloud::named(&name)?.profile(),
            None => Profile::default(),
        };
        profile.url = url.unwrap_or(profile.url);
        profile.authority = text("JUMPBAG_AUTHORITY").or(profile.authority);
        profile.tenant = text("JUMPBAG_TENANT");
        profile.client_id = text("JUMPBAG_CLIENT_ID");
        profile.scope = text("JUMPBAG_SCOPE").or(profile.scope);
        profile.ca_file = text("JUMPBAG_CA_FILE").map(PathBuf::from);
        profile.plain_http = text("JUMPBAG_PLAIN_HTTP").is_some_and(|value| value != "0" && value != "false");
        let certificate = text("JUMPBAG_CERTIFICATE").map(PathBuf::from);
        profile.proof = if let Some(token) = text("JUMPBAG_TOKEN") {
            Some(Proof::Token(token))
        } else if let Some(certificate) = certificate {
            let key = text("JUMPBAG_CERTIFICATE_KEY").map_or_else(|| certificate.clone(), PathBuf::from);
            Some(Proof::Certificate { certificate, key })
        } else {
            text("JUMPBAG_CLIENT_SECRET").map(Proof::ClientSecret)
        };
        if profile.proof.is_none() {
            return Err(Failure::Usage(
                "JUMPBAG_URL is set, but nothing to sign in with: set JUMPBAG_CLIENT_SECRET, JUMPBAG_CERTIFICATE or \
                 JUMPBAG_TOKEN (or unset JUMPBAG_URL to use the profile of `jumpbag login`)"
                    .into(),
            ));
        }
        profile.check("JUMPBAG_URL")?;
        Ok(Some(profile))
    }

    /// The address without a slash at its end, and without the `/api` that people copy along.
    pub fn tidy(url: &str) -> String {
        let url = url.trim().trim_end_matches('/');
        url.strip_suffix("/api").unwrap_or(url).trim_end_matches('/').to_owned()
    }

    /// # Errors
    /// When an address is none, or secrets would cross a network that anybody may read.
    pub fn check(&mut self, source: &str) -> Result<(), Failure> {
        self.url = Profile::tidy(&self.url);
        if let Some(authority) = &mut self.authority {
            *authority = authority.trim().trim_end_matches('/').to_owned();
        }
        for (what, address) in [(source, self.url.as_str()), ("the authority", self.authority())] {
            let parsed = Url::parse(address).map_err(|e| {
                Failure::Usage(format!(
                    "{what}: `{address}` is no address such as `https://jumpbag.example`: {e}"
                ))
            })?;
            match parsed.scheme() {
                _ if is_safe(address, self.plain_http) => {}
                "http" => {
                    return Err(Failure::Usage(format!(
                        "{what}: `{address}` is not HTTPS, and whoever listens on the way could read the secret; \
                         `--plain-http` (JUMPBAG_PLAIN_HTTP=1) allows it"
                    )));
                }
                other => {
                    return Err(Failure::Usage(format!(
                        "{what}: `{address}` begins with `{other}:`; expected https"
                    )));
                }
            }
        }
        Ok(())
    }

    pub fn authority(&self) -> &str {
        self.authority.as_deref().unwrap_or(&self.url)
    }

    pub fn scope(&self) -> &str {
        self.scope.as_deref().unwrap_or(SCOPE)
    }

    pub fn client_id(&self) -> Result<&str, Failure> {
        self.client_id.as_deref().ok_or_else(|| {
            Failure::Usage(
                "no client id: give `--client-id` to `jumpbag login`, or set JUMPBAG_CLIENT_ID".into(),
            )
        })
    }
}
