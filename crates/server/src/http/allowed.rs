//! Who may call, in a handler's signature: token, permission and rate limit, in this order, before a byte of the
//! body is read.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use bytes::Bytes;
use http::header;
use http::request::Parts;
use jumpbag_wire::time::Timestamp;

use super::browser::{Browser, check_call};
use super::edge::Context;
use super::json;
use crate::app::App;
use crate::auth::caller::Caller;
use crate::auth::permission::Permission;
use crate::auth::secret::Hidden;
use crate::catalog::audit::Actor;
use crate::error::Error;
use crate::limit::Family;

/// What a handler needs: one of these permissions, and a call of this family.
pub trait Needs {
    const ANY_OF: &'static [Permission];
    const FAMILY: Family;
}

/// Seeing what is in the library.
pub struct LibraryRead;

impl Needs for LibraryRead {
    const ANY_OF: &'static [Permission] = &[Permission::LibraryRead, Permission::LibraryManage];
    const FAMILY: Family = Family::Library;
}

/// Everything about the library.
pub struct LibraryManage;

impl Needs for LibraryManage {
    const ANY_OF: &'static [Permission] = &[Permission::LibraryManage];
    const FAMILY: Family = Family::Library;
}

/// Seeing the audit log.
pub struct AuditRead;

impl Needs for AuditRead {
    const ANY_OF: &'static [Permission] = &[Permission::AuditRead];
    const FAMILY: Family = Family::Library;
}

/// Everything about app registrations, as far as the caller's own permissions reach.
pub struct ApplicationWrite;

impl Needs for ApplicationWrite {
    const ANY_OF: &'static [Permission] = &[Permission::ApplicationReadWriteAll];
    const FAMILY: Family = Family::Library;
}

/// Seeing machines and actions. The last two are what users have, the first two what apps have.
pub struct MachineRead;

impl Needs for MachineRead {
    const ANY_OF: &'static [Permission] = &[
        Permission::MachineReadAll,
        Permission::MachineReadWriteAll,
        Permission::MachineRead,
        Permission::MachineReadWrite,
    ];
    const FAMILY: Family = Family::Machines;
}

/// Changing what is known of machines.
pub struct MachineWrite;

impl Needs for MachineWrite {
    const ANY_OF: &'static [Permission] = &[Permission::MachineReadWriteAll, Permission::MachineReadWrite];
    const FAMILY: Family = Family::Machines;
}

/// Running live response.
pub struct LiveResponse;

impl Needs for LiveResponse {
    const ANY_OF: &'static [Permission] = &[Permission::MachineLiveResponse];
    const FAMILY: Family = Family::LiveResponse;
}

/// Ending live response.
pub struct LiveResponseCancel;

impl Needs for LiveResponseCancel {
    const ANY_OF: &'static [Permission] = &[Permission::MachineLiveResponse];
    const FAMILY: Family = Family::Actions;
}

/// Seeing actions.
pub struct ActionRead;

impl Needs for ActionRead {
    const ANY_OF: &'static [Permission] = MachineRead::ANY_OF;
    const FAMILY: Family = Family::Actions;
}

/// Seeing what commands put out.
pub struct ResultRead;

impl Needs for ResultRead {
    const ANY_OF: &'static [Permission] = &[
        Permission::MachineReadAll,
        Permission::MachineReadWriteAll,
        Permission::MachineRead,
        Permission::MachineReadWrite,
        Permission::MachineLiveResponse,
    ];
    const FAMILY: Family = Family::Results;
}

/// What says who calls.
pub enum Proof {
    /// `Authorization`, or nothing at all.
    Token(Option<String>),
    /// The console's cookie, where there is no `Authorization`.
    Cookie(Hidden),
}

impl Proof {
    pub fn of(parts: &Parts) -> Proof {
        let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let context = parts.extensions.get::<Arc<Context>>();
        let cookie = || Browser::of(&parts.headers, context?).console;
        match authorization.map_or_else(cookie, |_| None) {
            Some(cookie) => Proof::Cookie(cookie),
            None => Proof::Token(authorization.map(str::to_owned)),
        }
    }

    /// # Errors
    /// `Unauthorized`, with what is wrong with it.
    pub async fn caller(&self, app: &App, now: Timestamp) -> Result<Arc<Caller>, Error> {
        match self {
            Proof::Token(authorization) => app.access.caller(authorization.as_deref(), now).await,
            Proof::Cookie(cookie) => app.access.caller_with(cookie, now).await,
        }
    }
}

/// A caller who may do what `N` needs.
pub struct Allowed<N> {
    pub caller: Arc<Caller>,
    proof: Proof,
    needs: PhantomData<fn() -> N>,
}

impl<N> Allowed<N> {
    /// The caller, as the audit log names it.
    pub fn actor(&self, context: &Context) -> Actor {
        Actor {
            name: self.caller.display_name.clone(),
            id: self.caller.limit_key(),
            address: Some(context.address.to_string()),
            request_id: context.id.clone(),
        }
    }

    /// The same, by the name that the original has for who starts or ends something on a machine.
    pub fn requestor(&self, context: &Context) -> Actor {
        Actor { name: self.caller.requestor.clone(), ..self.actor(context) }
    }
}

impl<N: Needs> Allowed<N> {
    /// Asks again once a body has come, before anything is done with it: whoever was put out, or lost the permission,
    /// while it was on its way is out. A token that expired meanwhile was good when the call began.
    ///
    /// # Errors
    /// `Unauthorized` and `Forbidden`, as at the beginning.
    pub async fn still(&mut self, app: &App) -> Result<(), Error> {
        let now = Timestamp::now();
        self.caller = match &self.proof {
            Proof::Cookie(_) => self.proof.caller(app, now).await?,
            Proof::Token(_) => app.access.still(Arc::clone(&self.caller), now).await?,
        };
        self.caller.require(N::ANY_OF).map_err(|e| Error::Forbidden(e.to_string()))
    }

    /// A JSON body, whose sender is still allowed.
    ///
    /// # Errors
    /// Those of [`json::read`] and of [`Allowed::still`].
    pub async fn json(&mut self, app: &App, request: Request) -> Result<Bytes, Error> {
        let body = json::read(request).await?;
        self.still(app).await?;
        Ok(body)
    }
}

impl<N: Needs> FromRequestParts<Arc<App>> for Allowed<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let context = parts
            .extensions
            .get::<Arc<Context>>()
            .cloned()
            .ok_or_else(|| Error::Internal("a request without context".into()))?;
        let now = Timestamp::now();
        let proof = Proof::of(parts);
        // A cookie comes along whoever made the call: only pages of ours may.
        if let Proof::Cookie(_) = &proof {
            check_call(&parts.method, &parts.headers, &context)?;
        }
        let caller = proof.caller(app, now).await?;
        let _ = context.caller.set(caller.limit_key());
        caller.require(N::ANY_OF).map_err(|e| Error::Forbidden(e.to_string()))?;
        if let Some(verdict) = app.limiter.admit(&caller.limit_key(), N::FAMILY, now).await? {
            let retry_after = verdict.retry_after;
            let _ = context.verdict.set(verdict);
            if let Some(seconds) = retry_after {
                return Err(Error::TooManyRequests(
                    format!(
                        "Too many requests: the quota of this API is used up, try again in {seconds} seconds"
                    ),
                    seconds.unsigned_abs(),
                ));
            }
        }
        Ok(Allowed { caller, proof, needs: PhantomData })
    }
}
