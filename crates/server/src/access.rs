//! Who is let in: the catalog's keys and app registrations behind the rules of `auth`. A client that was removed
//! is out within a second, whatever its tokens say.

pub mod clients;
pub mod keys;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use jumpbag_wire::time::Timestamp;
use tokio::sync::Semaphore;

use crate::auth::caller::{Caller, Kind};
use crate::auth::client::{Client, Reuse, authenticate};
use crate::auth::issue::{Grant, TokenResponse, mint};
use crate::auth::issuers::Issuer;
use crate::auth::keys::KeyRing;
use crate::auth::refusal::TokenError;
use crate::auth::request::TokenRequest;
use crate::auth::tenant::Tenant;
use crate::auth::throttle::Throttle;
use crate::auth::verify::{AuthError, Verifier};
use crate::catalog::Catalog;
use crate::catalog::audit::Actor;
use crate::config::Settings;
use crate::error::Error;

/// How long what the catalog said of a client or of the keys is believed.
const FRESH: i64 = 1_000_000;
/// Clients remembered before all are asked for again.
const MANY: usize = 10_000;
/// Slowed token requests that may wait at a time; more are refused at once.
const WAITING: usize = 256;

pub struct Access {
    catalog: Arc<Catalog>,
    tenant: Tenant,
    /// Addresses of this server that tokens may be for.
    audiences: Vec<String>,
    lifetime: i64,
    ring: ArcSwap<Keys>,
    loading: tokio::sync::Mutex<()>,
    verifier: Verifier,
    throttle: Throttle,
    waiting: Semaphore,
    clients: Mutex<HashMap<String, Known>>,
}

struct Keys {
    ring: Arc<KeyRing>,
    kids: Vec<String>,
    loaded: Timestamp,
}

/// What the catalog said of a client; no permissions where there is no such client.
#[derive(Clone)]
struct Known {
    permissions: Option<Arc<Vec<String>>>,
    at: Timestamp,
}

impl Access {
    /// Reads tenant and keys, and makes them when there are none.
    pub async fn open(settings: &Settings, catalog: Arc<Catalog>, now: Timestamp) -> Result<Access, Error> {
        let (tenant, _) = clients::tenant(&catalog, now).await?;
        let tenant = Tenant::new(tenant, settings.tenant_names.clone());
        let lifetime = settings.token_lifetime_seconds;
        keys::ensure(&catalog, Actor::operator("serve"), now).await?;
        let keys = load(&catalog, lifetime, now).await?;
        let issuers = settings.issuers.iter().cloned().map(Issuer::new).collect::<Result<Vec<_>, _>>();
        let issuers = issuers.map_err(|e| Error::Internal(format!("cannot prepare an issuer: {e}")))?;
        let mut audiences = settings.audiences.clone();
        audiences.extend(settings.public_url.clone());
        let verifier = Verifier::new(tenant.clone(), audiences.clone(), Arc::clone(&keys.ring), issuers);
        Ok(Access {
            catalog,
            tenant,
            audiences,
            lifetime,
            ring: ArcSwap::from_pointee(keys),
            loading: tokio::sync::Mutex::new(()),
            verifier,
            throttle: Throttle::default(),
            waiting: Semaphore::new(WAITING),
            clients: Mutex::default(),
        })
    }

    pub fn tenant(&self) -> &str {
        &self.tenant.id
    }

    pub fn is_tenant(&self, name: &str) -> bool {
        self.tenant.is(name)
    }

    /// Who sent a request.
    ///
    /// # Errors
    /// `Unauthorized`, with what was wrong with the token.
    pub async fn caller(&self, authorization: Option<&str>, now: Timestamp) -> Result<Arc<Caller>, Error> {
        let caller = match self.verifier.verify(authorization, now).await {
            // Another node, or `keys rotate`, may have made a key since.
            Err(AuthError::UnknownKey) if self.reload(now).await? => {
                self.verifier.verify(authorization, now).await
            }
            answer => answer,
        };
        let caller =
            caller.map_err(|e| Error::Unauthorized { message: e.message(), challenge: e.challenge() })?;
        self.confirm(caller, now).await
    }

    /// A token of ours counts only while its client is registered, and for what the client may do now.
    async fn confirm(&self, caller: Arc<Caller>, now: Timestamp) -> Result<Arc<Caller>, Error> {
        let Kind::App { client_id } = &caller.kind else {
            return Ok(caller);
        };
        if !caller.is_of(&self.tenant.id) {
            return Ok(caller);
        }
        let Some(permissions) = self.permissions(client_id, now).await? else {
            return Err(Error::Unauthorized {
                message:
                    "Unauthorized request - reason of failure: the token's client is not registered any more"
                        .into(),
                challenge: "Bearer error=\"invalid_token\", error_description=\"the client is gone\"".into(),
            });
        };
        if caller.granted.iter().all(|granted| permissions.contains(granted)) {
            return Ok(caller);
        }
        let mut reduced = Caller::clone(&caller);
        reduced.granted.retain(|granted| permissions.contains(granted));
        Ok(Arc::new(reduced))
    }

    async fn permissions(&self, client_id: &str, now: Timestamp) -> Result<Option<Arc<Vec<String>>>, Error> {
        let known = self.clients().get(client_id).cloned();
        if let Some(known) = known.filter(|known| is_fresh(known.at, now)) {
            return Ok(known.permissions);
        }
        let client = clients::find(&self.catalog, client_id).await?;
        let live = client.filter(|client| client.expires_at.is_none_or(|at| at > now));
        let permissions = live.map(|client| Arc::new(client.permissions));
        let mut clients = self.clients();
        if clients.len() >= MANY {
            clients.clear();
        }
        clients.insert(client_id.to_owned(), Known { permissions: permissions.clone(), at: now });
        Ok(permissions)
    }

    fn clients(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.clients.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Reads the keys again when what is known is old; whether they are others now.
    async fn reload(&self, now: Timestamp) -> Result<bool, Error> {
        let _turn = self.loading.lock().await;
        let known = self.ring.load_full();
        if is_fresh(known.loaded, now) {
            return Ok(false);
        }
        let fresh = load(&self.catalog, self.lifetime, now).await?;
        let changed = fresh.kids != known.kids;
        if changed {
            self.verifier.replace_keys(Arc::clone(&fresh.ring));
        }
        self.ring.store(Arc::new(fresh));
        Ok(changed)
    }

    /// A token for a client that proves itself. Failed attempts slow down those that follow.
    ///
    /// # Errors
    /// The inner error is the original's refusal, the outer one a failure of the server.
    pub async fn token(
        &self,
        request: Result<TokenRequest, TokenError>,
        base: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Result<TokenResponse, TokenError>, Error> {
        let request = match request {
            Ok(request) => request,
            Err(refused) => return Ok(Err(refused)),
        };
        self.slow_down(&request.client_id, address, now).await?;
        let found = clients::find(&self.catalog, &request.client_id).await?;
        let client = found.map(Client::try_from).transpose()?;
        let method = match authenticate(client.as_ref(), &request, &self.tenant, Reuse::Allowed, now) {
            Ok(method) => method,
            Err(refused) => {
                if refused.is_failed_sign_in() {
                    self.throttle.failed(&request.client_id, address, now);
                }
                return Ok(Err(refused));
            }
        };
        self.throttle.succeeded(&request.client_id, address);
        let audience = match request.audience(base, &self.audiences, &self.tenant) {
            Ok(audience) => audience,
            Err(refused) => return Ok(Err(refused)),
        };
        let Some(client) = client else {
            return Err(Error::Internal("nobody was let in".into()));
        };
        self.reload(now).await?;
        let keys = self.ring.load_full();
        let grant = Grant {
            client: &client,
            method,
            version: request.version,
            audience: &audience,
            base,
            tenant: &self.tenant,
        };
        mint(&keys.ring, &grant, now).map(Ok).map_err(|e| Error::Internal(e.to_string()))
    }

    async fn slow_down(&self, client_id: &str, address: IpAddr, now: Timestamp) -> Result<(), Error> {
        let delay = self.throttle.delay(client_id, address, now);
        if delay == Duration::ZERO {
            return Ok(());
        }
        let Ok(_place) = self.waiting.try_acquire() else {
            let seconds = delay.as_secs() + 1;
            return Err(Error::TooManyRequests(
                "too many failed token requests: wait and try again".into(),
                seconds,
            ));
        };
        tokio::time::sleep(delay).await;
        Ok(())
    }

    /// The public keys, as clients and other servers fetch them.
    pub async fn jwks(&self, now: Timestamp) -> Result<serde_json::Value, Error> {
        self.reload(now).await?;
        serde_json::to_value(self.ring.load().ring.jwks(now)).map_err(|e| Error::Internal(e.to_string()))
    }

    /// Removes what no token needs any more.
    pub async fn sweep(&self, now: Timestamp) -> Result<(), Error> {
        keys::forget(&self.catalog, self.lifetime, now).await
    }
}

fn is_fresh(at: Timestamp, now: Timestamp) -> bool {
    (0..FRESH).contains(&(now.micros() - at.micros()))
}

async fn load(catalog: &Catalog, lifetime: i64, now: Timestamp) -> Result<Keys, Error> {
    let keys = keys::all(catalog).await?;
    let kids = keys.iter().map(|key| format!("{} {:?}", key.kid, key.retired)).collect();
    let ring = KeyRing::new(keys, lifetime).map_err(|e| Error::Internal(format!("signing keys: {e}")))?;
    Ok(Keys { ring: Arc::new(ring), kids, loaded: now })
}
