//! Who is let in: the catalog's keys, app registrations and users behind the rules of `auth`. A client that was removed
//! or a user who was disabled is out within a second, whatever the tokens say.

mod attempts;
pub mod clients;
pub mod devices;
pub mod external;
pub mod grants;
pub mod keys;
pub mod setup;
pub mod sign_in;
mod standing;
pub mod users;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jumpbag_wire::time::Timestamp;
use tokio::sync::Semaphore;

use sign_in::SignedIn;
use standing::Standing;

use crate::auth::caller::Caller;
use crate::auth::client::{COMMAND_LINE, Client, Reuse, authenticate};
use crate::auth::issue::{Grant, TokenResponse, mint};
use crate::auth::issuers::Issuer;
use crate::auth::keys::KeyRing;
use crate::auth::refusal::TokenError;
use crate::auth::request::TokenRequest;
use crate::auth::secret::Hidden;
use crate::auth::tenant::Tenant;
use crate::auth::throttle::Throttle;
use crate::auth::verify::{AuthError, Verifier};
use crate::catalog::Catalog;
use crate::catalog::audit::Actor;
use crate::catalog::external_sessions::ExternalSessionRow;
use crate::config::Settings;
use crate::error::Error;

/// How long what the catalog said of a client or of the keys is believed.
const FRESH: i64 = 1_000_000;
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
    standing: Standing,
    desk: sign_in::Desk,
}

struct Keys {
    ring: Arc<KeyRing>,
    kids: Vec<String>,
    loaded: Timestamp,
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
            standing: Standing::default(),
            desk: sign_in::Desk::default(),
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
        self.standing.confirm(&self.catalog, &self.tenant, caller, now).await
    }

    /// A caller whose token was good a while ago, as it stands now.
    ///
    /// # Errors
    /// `Unauthorized` when its app is gone, or its user may not sign in any more.
    pub async fn still(&self, caller: Arc<Caller>, now: Timestamp) -> Result<Arc<Caller>, Error> {
        self.standing.confirm(&self.catalog, &self.tenant, caller, now).await
    }

    /// Who has signed in at the console with this cookie.
    ///
    /// # Errors
    /// `Unauthorized` when the session is over.
    pub async fn caller_with(&self, cookie: &Hidden, now: Timestamp) -> Result<Arc<Caller>, Error> {
        let tenant = &self.tenant.id;
        if let Some(SignedIn { user, .. }) = self.session(cookie, now).await? {
            let caller = Caller::signed_in(tenant, Some(tenant), user.id, user.permissions);
            return Ok(Arc::new(caller.called(user.display_name, user.name)));
        }
        if let Some(session) = self.external(cookie, now).await? {
            let ExternalSessionRow { issuer, tenant, user, permissions, display_name, login, .. } = session;
            let caller = Caller::signed_in(&issuer, tenant.as_deref(), user, permissions);
            return Ok(Arc::new(caller.called(display_name, login)));
        }
        Err(Error::Unauthorized {
            message: "Unauthorized request - reason of failure: the session is over".into(),
            challenge: "Bearer error=\"invalid_token\", error_description=\"the session is over\"".into(),
        })
    }

    /// Ends the session at the console with this cookie, whoever's it is.
    ///
    /// # Errors
    /// Failures of the server.
    pub async fn leave(
        &self,
        cookie: &Hidden,
        address: IpAddr,
        request_id: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        if let Some(signed) = self.session(cookie, now).await? {
            let actor = self.actor(&signed, address, request_id);
            return self.sign_out(&signed, actor, now).await;
        }
        match self.external(cookie, now).await? {
            Some(session) => self.leave_from(session, address, request_id, now).await,
            None => Ok(()),
        }
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
        request: TokenRequest,
        base: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Result<TokenResponse, TokenError>, Error> {
        self.slow_down(&request.client_id, address, now).await?;
        let client = self.client(&request.client_id).await?;
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

    /// A registration, the command line's own among them.
    async fn client(&self, id: &str) -> Result<Option<Client>, Error> {
        if id == COMMAND_LINE {
            return Ok(Some(Client::command_line()));
        }
        clients::find(&self.catalog, id).await?.map(Client::try_from).transpose()
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
        sign_in::forget(&self.catalog, now).await?;
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
