//! Signing in with name and password, and the browser's session that begins with it. Of
//! what a browser has only the SHA-256 is kept.

use std::net::IpAddr;

use jumpbag_wire::time::Timestamp;
use serde_json::json;
use tokio::sync::Semaphore;

use super::attempts::{MEMORY, forgive_one, subjects};
use super::{Access, users};
use crate::auth::password;
use crate::auth::secret::{Hidden, hash_secret, new_secret};
use crate::auth::totp;
use crate::catalog::audit::{self, Actor, Change};
use crate::catalog::sessions::{self, SessionRow};
use crate::catalog::users::UserRow;
use crate::catalog::{Catalog, CatalogError, Tx, devices, external_sessions, grants, setup, users as rows};
use crate::error::Error;
use jumpbag_wire::hex::hex;

/// A session ends when it was not used for this long, and when it is this old. In seconds.
pub(super) const IDLE: i64 = 3600;
const OLDEST: i64 = 12 * 3600;
/// Uses of a session are written down this often.
pub(super) const TOUCH: i64 = 60;
/// Passwords that are checked at a time, each with 19 MiB, and attempts that may wait for it.
const CHECKS: usize = 2;
const QUEUE: usize = 64;

/// Where attempts wait for their turn.
pub(super) struct Desk {
    checks: Semaphore,
    queue: Semaphore,
}

impl Default for Desk {
    fn default() -> Desk {
        Desk { checks: Semaphore::new(CHECKS), queue: Semaphore::new(QUEUE) }
    }
}

/// What somebody typed.
pub struct Attempt {
    pub name: String,
    pub password: Hidden,
    pub code: String,
}

/// Where it came from.
pub struct Origin {
    pub address: IpAddr,
    pub request_id: String,
    /// The sessions that the browser had, which end: a new sign-in has a new one.
    pub former: Vec<Hidden>,
    /// What is signed in to.
    pub app: String,
}

pub enum Outcome {
    /// The second is the cookie.
    In(Box<SignedIn>, Hidden),
    /// Name, password or code is wrong; which is not said.
    Wrong,
    /// Too many failures: wait so many seconds.
    Wait(i64),
}

/// What an attempt is told that has to wait.
pub fn slowed(seconds: i64) -> Error {
    let words = format!("Too many failed sign-ins: wait {seconds} seconds and try again.");
    Error::TooManyRequests(words, seconds.unsigned_abs())
}

/// Somebody whose browser has signed in.
#[derive(Clone)]
pub struct SignedIn {
    pub user: UserRow,
    pub session: SessionRow,
}

impl Access {
    /// Signs somebody in.
    ///
    /// # Errors
    /// `TooManyRequests` when too many wait for their turn; failures of the server.
    pub async fn sign_in(&self, attempt: Attempt, from: Origin, now: Timestamp) -> Result<Outcome, Error> {
        let subjects = subjects(&attempt.name, from.address);
        if let Some(wait) = self.count(subjects.clone(), now).await? {
            return Ok(Outcome::Wait(wait));
        }
        let _place =
            self.desk.queue.try_acquire().map_err(|_| {
                Error::TooManyRequests("too many sign-ins at once: wait and try again".into(), 5)
            })?;
        let user = users::named(&self.catalog, &attempt.name).await?;
        let right = self.is_password(&attempt.password, user.as_ref()).await?;
        let Some(user) = user.filter(|user| right && user.disabled_at.is_none()) else {
            return Ok(Outcome::Wrong);
        };
        let step = match &user.totp {
            None => None,
            Some(secret) => match totp::step_of(&Hidden::new(secret), &attempt.code, now.secs()) {
                None => return Ok(Outcome::Wrong),
                step => step,
            },
        };
        let cookie = new_secret();
        let session = SessionRow {
            id: uuid::Uuid::new_v4().to_string(),
            sha256: kept(&cookie),
            user: user.id.clone(),
            epoch: user.epoch,
            created_at: now,
            seen_at: now,
        };
        let signed_in = SignedIn { user, session };
        if !self.enter(signed_in.clone(), step, subjects, from, now).await? {
            return Ok(Outcome::Wrong);
        }
        Ok(Outcome::In(Box::new(signed_in), cookie))
    }

    /// The memory of a check is what limits how many there are at a time.
    async fn is_password(&self, given: &Hidden, user: Option<&UserRow>) -> Result<bool, Error> {
        if given.reveal().len() > password::LONGEST {
            return Ok(false);
        }
        let _turn = self.desk.checks.acquire().await.map_err(|e| Error::Internal(e.to_string()))?;
        let (given, hash) = (given.clone(), user.map(|user| user.password.clone()));
        let check = tokio::task::spawn_blocking(move || password::verify(&given, hash.as_deref()));
        check.await.map_err(|e| Error::Internal(e.to_string()))
    }

    /// Begins the session; `false` when the one-time code was used already, or the user changed meanwhile.
    async fn enter(
        &self,
        signed_in: SignedIn,
        step: Option<i64>,
        subjects: [(String, i64); 2],
        from: Origin,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let actor = self.actor(&signed_in, from.address, &from.request_id);
        self.catalog
            .write(move |tx| {
                Box::pin(async move {
                    let turn = audit::turn(tx).await?;
                    let SignedIn { user, session } = &signed_in;
                    let stands = rows::find(tx, &user.id).await?.is_some_and(|now| now.epoch == user.epoch);
                    let fresh = match step {
                        Some(step) => rows::use_step(tx, &user.id, step).await?,
                        None => true,
                    };
                    if !stands || !fresh {
                        return Err(Refusal::Wrong);
                    }
                    end_former(tx, &from.former).await?;
                    let [(name, _), (address, _)] = &subjects;
                    rows::set_failures(tx, name, 0, now).await?;
                    // The address keeps its failures: one's own password is no way to guess at those of others.
                    forgive_one(tx, address, now).await?;
                    sessions::insert(tx, session).await?;
                    let after =
                        json!({ "id": user.id, "app": from.app, "session": session.id, "totp": step.is_some() });
                    let change = Change {
                        action: "user.sign-in",
                        target: &user.name,
                        before: None,
                        after: Some(after),
                    };
                    audit::append(tx, now, &actor, turn, change).await?;
                    Ok(())
                })
            })
            .await
            .map_or_else(Refusal::answer, |()| Ok(true))
    }

    /// Somebody who has signed in, as the audit log names callers.
    pub fn actor(&self, signed: &SignedIn, address: IpAddr, request_id: &str) -> Actor {
        Actor {
            name: signed.user.display_name.clone(),
            id: format!("user {} {}", self.tenant.id, signed.user.id),
            address: Some(address.to_string()),
            request_id: request_id.to_owned(),
        }
    }

    /// Who has this cookie, if the session is alive.
    pub async fn session(&self, cookie: &Hidden, now: Timestamp) -> Result<Option<SignedIn>, Error> {
        let sha256 = kept(cookie);
        let found = self.catalog.read(move |tx| {
            Box::pin(async move {
                let Some(session) = sessions::find(tx, &sha256).await? else { return Ok(None) };
                let user = rows::find(tx, &session.user).await?;
                Ok::<_, Error>(user.map(|user| SignedIn { user, session }))
            })
        });
        let alive = |signed: &SignedIn| {
            let SignedIn { user, session } = signed;
            user.disabled_at.is_none()
                && user.epoch == session.epoch
                && now < session.seen_at.plus_secs(IDLE)
                && now < session.created_at.plus_secs(OLDEST)
        };
        let Some(signed) = found.await?.filter(alive) else { return Ok(None) };
        if signed.session.seen_at.plus_secs(TOUCH) < now {
            let id = signed.session.id.clone();
            let touched = self.catalog.write(move |tx| {
                Box::pin(async move { Ok::<_, Error>(sessions::touch(tx, &id, now).await?) })
            });
            touched.await?;
        }
        Ok(Some(signed))
    }

    /// What an app that sends somebody here to sign out may ask for. An id token counts when we made it, however old
    /// it is.
    ///
    /// # Errors
    /// Failures of the server.
    pub async fn leaving(
        &self,
        hint: Option<&str>,
        client: Option<&str>,
        now: Timestamp,
    ) -> Result<Leaving, Error> {
        let hint = hint.and_then(|hint| self.verifier.hint(hint, now));
        let (named, session) = hint.map_or((None, None), |(client, session)| (Some(client), session));
        let Some(id) = named.or(client.map(str::to_owned)) else { return Ok(Leaving::default()) };
        let redirects = self.client(&id).await?.map(|client| client.redirects).unwrap_or_default();
        Ok(Leaving { session, redirects })
    }

    /// Ends a session and what apps got from it.
    ///
    /// # Errors
    /// Failures of the server.
    pub async fn sign_out(&self, signed: &SignedIn, actor: Actor, now: Timestamp) -> Result<(), Error> {
        let (session, user) = (signed.session.clone(), signed.user.clone());
        self.catalog
            .write(move |tx| {
                Box::pin(async move {
                    let turn = audit::turn(tx).await?;
                    sessions::end(tx, &session.id).await?;
                    let after = json!({ "id": user.id, "session": session.id });
                    let change = Change {
                        action: "user.sign-out",
                        target: &user.name,
                        before: None,
                        after: Some(after),
                    };
                    Ok(audit::append(tx, now, &actor, turn, change).await?)
                })
            })
            .await
    }
}

/// What is known of somebody who comes to sign out.
#[derive(Default)]
pub struct Leaving {
    /// The session that the app's id token was made in.
    pub session: Option<String>,
    /// Where the browser may be sent afterwards.
    pub redirects: Vec<String>,
}

/// Why a transaction is taken back.
enum Refusal {
    Wrong,
    Failed(Error),
}

impl Refusal {
    fn answer(self) -> Result<bool, Error> {
        match self {
            Refusal::Wrong => Ok(false),
            Refusal::Failed(error) => Err(error),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Failed(error)
    }
}

impl From<CatalogError> for Refusal {
    fn from(error: CatalogError) -> Refusal {
        Refusal::Failed(error.into())
    }
}

/// Ends the sessions that these cookies are of, whoever vouched for them.
pub(super) async fn end_former(tx: &mut Tx, cookies: &[Hidden]) -> Result<(), CatalogError> {
    for cookie in cookies {
        if let Some(former) = sessions::find(tx, &kept(cookie)).await? {
            sessions::end(tx, &former.id).await?;
        }
        if let Some(former) = external_sessions::find(tx, &kept(cookie)).await? {
            external_sessions::end(tx, &former.id).await?;
        }
    }
    Ok(())
}

/// What is kept of a secret that a browser or an app has.
pub(super) fn kept(secret: &Hidden) -> String {
    hex(&hash_secret(secret.reveal()))
}

/// Removes what has expired: sessions, codes, grants, devices, failures.
pub async fn forget(catalog: &Catalog, now: Timestamp) -> Result<(), Error> {
    catalog
        .write(move |tx| {
            Box::pin(async move {
                let (idle, old) = (now.plus_secs(-IDLE), now.plus_secs(-OLDEST));
                // A code that comes a second time is known for as long as what came of it can be new.
                sessions::forget(tx, idle, old, now.plus_secs(-OLDEST)).await?;
                grants::forget(tx, now).await?;
                devices::forget(tx, now).await?;
                setup::forget(tx, now).await?;
                external_sessions::forget(tx, idle, now).await?;
                Ok(rows::forget_failures(tx, now.plus_secs(-MEMORY)).await?)
            })
        })
        .await
}
