//! From an `Authorization` header to a caller. A token counts only when its signature, issuer,
//! audience, tenant and lifetime have all been checked, here or within its cached verdict's reach.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use jumpbag_wire::time::Timestamp;

use super::audience;
use super::caller::{Caller, Reading};
use super::issuers::Issuer;
use super::jwt::{Claims, Flaw, Jws, Lifetime, MAX_TOKEN};
use super::keys::KeyRing;
use super::secret::sha256;
use super::tenant::Tenant;

/// Why a call has no caller. What it says is for the one who sent the token, and says nothing of
/// the token's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("the authorization header with a bearer token is missing")]
    Missing,
    #[error(transparent)]
    Token(#[from] Flaw),
    #[error("the token's issuer is not known here")]
    Issuer,
    #[error("the token's signing key is not one of its issuer's")]
    UnknownKey,
    #[error("the token's signature is not valid")]
    Signature,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token is for another tenant")]
    Tenant,
    #[error("the id token is none of this sign-in")]
    Nonce,
    #[error("the keys of the token's issuer cannot be had now")]
    IssuerUnavailable,
}

impl AuthError {
    /// The error's text in the envelope.
    pub fn message(&self) -> String {
        format!("Unauthorized request - reason of failure: {self}")
    }

    /// The value of `WWW-Authenticate`: an error only where a token was sent (RFC 6750, 3.1).
    pub fn challenge(&self) -> String {
        match self {
            AuthError::Missing => "Bearer".to_owned(),
            reason => format!("Bearer error=\"invalid_token\", error_description=\"{reason}\""),
        }
    }
}

/// Checks tokens made here and by the configured issuers.
#[derive(Debug)]
pub struct Verifier {
    tenant: Tenant,
    own_audiences: Vec<String>,
    ring: ArcSwap<KeyRing>,
    /// Counts replacements of the ring.
    generation: AtomicU64,
    issuers: Vec<Issuer>,
    by_name: HashMap<String, usize>,
    cache: Mutex<Cache>,
}

impl Verifier {
    /// `own_audiences` are addresses of this server that tokens may be made for, beside those of
    /// the original and the one in the token's own `iss`.
    pub fn new(
        tenant: Tenant,
        own_audiences: Vec<String>,
        ring: Arc<KeyRing>,
        issuers: Vec<Issuer>,
    ) -> Verifier {
        let names = issuers
            .iter()
            .enumerate()
            .flat_map(|(at, issuer)| issuer.names().map(move |name| (name.to_owned(), at)));
        let by_name = names.collect();
        Verifier {
            tenant,
            own_audiences,
            ring: ArcSwap::new(ring),
            generation: AtomicU64::new(0),
            issuers,
            by_name,
            cache: Mutex::default(),
        }
    }

    /// Takes other keys for tokens made here; every cached verdict ends.
    pub fn replace_keys(&self, ring: Arc<KeyRing>) {
        self.ring.store(ring);
        self.generation.fetch_add(1, Ordering::AcqRel);
        *self.lock() = Cache::default();
    }

    /// Who sent the token in an `Authorization` header. Waits only for an issuer's keys, and then
    /// no longer than a fetch may take.
    pub async fn verify(
        &self,
        authorization: Option<&str>,
        now: Timestamp,
    ) -> Result<Arc<Caller>, AuthError> {
        let token = bearer(authorization.ok_or(AuthError::Missing)?).ok_or(AuthError::Missing)?;
        if token.len() > MAX_TOKEN {
            return Err(Flaw::TooLong.into());
        }
        let key = sha256(token.as_bytes());
        let cached = self.lock().find(&key);
        if let Some(verdict) = cached.filter(|verdict| self.stands(verdict, now)) {
            verdict.lifetime.covers(now)?;
            return Ok(verdict.caller);
        }
        let jws = Jws::parse(token)?;
        let lifetime = jws.claims.lifetime()?;
        lifetime.covers(now)?;
        let iss = jws.claims.text("iss").ok_or(AuthError::Issuer)?;
        let (caller, source) = match self.by_name.get(iss) {
            Some(&at) => {
                let (caller, generation) = self.issuers[at].verify(&jws, now).await?;
                (caller, Source::Issuer { at, generation })
            }
            None => self.verify_own(&jws, iss, now)?,
        };
        let verdict = Verdict { caller: Arc::new(caller), lifetime, source };
        self.lock().keep(key, verdict.clone());
        Ok(verdict.caller)
    }

    /// A token made here: its host is whichever the client used, the rest must be ours.
    fn verify_own(&self, jws: &Jws<'_>, iss: &str, now: Timestamp) -> Result<(Caller, Source), AuthError> {
        let source = Source::Own { generation: self.generation.load(Ordering::Acquire) };
        if !self.tenant.issues_as(iss) {
            return Err(AuthError::Issuer);
        }
        let ring = self.ring.load();
        let kid = jws.header.kid.as_deref().ok_or(AuthError::UnknownKey)?;
        let key = ring.verifier(kid, now).ok_or(AuthError::UnknownKey)?;
        if !jws.signed_by(key) {
            return Err(AuthError::Signature);
        }
        if jws.claims.text("tid") != Some(self.tenant.id.as_str()) {
            return Err(AuthError::Tenant);
        }
        self.check_own_audience(&jws.claims, iss)?;
        let reading = Reading::plain(&self.tenant.id, Some(&self.tenant.id));
        Ok((Caller::from_claims(&jws.claims, &reading)?, source))
    }

    /// The configured issuers, in the order of the settings.
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// The app and the session of an id token that was made here, expired or not.
    pub fn hint(&self, token: &str, now: Timestamp) -> Option<(String, Option<String>)> {
        let jws = Jws::parse(token).ok()?;
        let ring = self.ring.load();
        let ours = jws.signed_by(ring.verifier(jws.header.kid.as_deref()?, now)?)
            && jws.claims.text("ver") == Some("2.0")
            && jws.claims.text("tid") == Some(self.tenant.id.as_str());
        let client = jws.claims.audiences().ok()?.first().map(|client| (*client).to_owned())?;
        ours.then(|| (client, jws.claims.text("sid").map(str::to_owned)))
    }

    fn check_own_audience(&self, claims: &Claims, iss: &str) -> Result<(), AuthError> {
        let issued_under = iss.trim_end_matches("/v2.0").trim_end_matches('/').rsplit_once('/');
        let issued_under = issued_under.map_or("", |(base, _)| base);
        let ours = |aud: &&str| audience::resolve(aud, issued_under, &self.own_audiences).is_some();
        if claims.audiences()?.iter().any(ours) { Ok(()) } else { Err(AuthError::Audience) }
    }

    fn stands(&self, verdict: &Verdict, now: Timestamp) -> bool {
        match verdict.source {
            Source::Own { generation } => generation == self.generation.load(Ordering::Acquire),
            Source::Issuer { at, generation } => self.issuers[at].stands(generation, now),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The token behind `Bearer`, the scheme in any letter case. Another scheme brings no token.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once([' ', '\t'])?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Who vouched for a token.
#[derive(Debug, Clone, Copy)]
enum Source {
    Own { generation: u64 },
    Issuer { at: usize, generation: u64 },
}

#[derive(Debug, Clone)]
struct Verdict {
    caller: Arc<Caller>,
    lifetime: Lifetime,
    source: Source,
}

/// Verified tokens by their SHA-256, because checking a signature is most of a call's cost. Two
/// halves: when the young one is full it becomes the old one, and the old one is forgotten.
#[derive(Debug, Default)]
struct Cache {
    young: HashMap<[u8; 32], Verdict>,
    old: HashMap<[u8; 32], Verdict>,
}

impl Cache {
    const HALF: usize = 5_000;

    fn find(&mut self, key: &[u8; 32]) -> Option<Verdict> {
        if let Some(verdict) = self.young.get(key) {
            return Some(verdict.clone());
        }
        let verdict = self.old.remove(key)?;
        self.keep(*key, verdict.clone());
        Some(verdict)
    }

    fn keep(&mut self, key: [u8; 32], verdict: Verdict) {
        if self.young.len() >= Cache::HALF {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, verdict);
    }
}

#[cfg(test)]
mod tests;
