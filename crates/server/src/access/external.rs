//! Signing in to the console with an issuer elsewhere. Whoever comes back has what the issuer's token would give at the
//! API, for as long as the session lasts.

use std::net::IpAddr;

use jumpbag_wire::time::Timestamp;
use serde_json::json;
use subtle::ConstantTimeEq as _;

use super::Access;
use super::sign_in::{IDLE, Origin, TOUCH, end_former, kept, slowed};
use crate::auth::caller::{Caller, Kind};
use crate::auth::issuers::Issuer;
use crate::auth::jwks::KeySource;
use crate::auth::permission::Permission;
use crate::auth::provider::{Errand, PermissionsFrom, Provider, ProviderError, Tokens};
use crate::auth::refusal::shown;
use crate::auth::secret::{Hidden, new_secret};
use crate::catalog::audit::{self, Actor, Change};
use crate::catalog::external_sessions::{self, ExternalSessionRow};
use crate::error::Error;

/// Characters of a name that somebody else gives.
const LONGEST_NAME: usize = 256;

/// What an issuer sends a browser back with.
#[derive(Default)]
pub struct Answer {
    pub code: Option<Hidden>,
    pub state: String,
    /// Who says that it answers.
    pub issuer: Option<String>,
    /// Why it did not sign anybody in.
    pub error: Option<String>,
}

/// An issuer that people can sign in with.
struct Elsewhere<'a> {
    issuer: &'a Issuer,
    provider: &'a Provider,
    source: &'a KeySource,
}

impl Access {
    /// The issuers that people can sign in with: their ids, and what their buttons say.
    pub fn providers(&self) -> impl Iterator<Item = (String, &str)> {
        let issuers = self.verifier.issuers().iter();
        issuers.filter_map(|issuer| {
            let config = &issuer.provider()?.0.config;
            Some((config.id(), config.name.as_str()))
        })
    }

    fn elsewhere(&self, id: &str) -> Result<Elsewhere<'_>, Error> {
        let mut found = self.verifier.issuers().iter().filter_map(|issuer| {
            let (provider, source) = issuer.provider()?;
            (provider.config.id() == id).then_some(Elsewhere { issuer, provider, source })
        });
        found.next().ok_or_else(|| Error::NotFound("There is no such way to sign in here.".into()))
    }

    /// Sends a browser out: the address, and the cookie that it brings back.
    ///
    /// # Errors
    /// `NotFound` when there is no such issuer, `Forbidden` when it cannot be asked.
    pub async fn go_out(
        &self,
        id: &str,
        to: String,
        redirect_uri: &str,
        now: Timestamp,
    ) -> Result<(String, Hidden), Error> {
        let Elsewhere { provider, source, .. } = self.elsewhere(id)?;
        let errand = Errand::new(new_secret(), id.to_owned(), to);
        let address = provider.leads_to(source, &errand, redirect_uri, now).await;
        Ok((address.map_err(|e| failed(provider, &e))?, errand.cookie()))
    }

    /// Signs in whoever comes back to the address of the provider `id`, `redirect_uri`: where to go on, as the browser
    /// says, the session, and its cookie.
    ///
    /// # Errors
    /// `Forbidden`, in words for who signs in.
    pub async fn come_back(
        &self,
        id: &str,
        errand: Option<&Hidden>,
        answer: Answer,
        redirect_uri: &str,
        from: Origin,
        now: Timestamp,
    ) -> Result<(String, ExternalSessionRow, Hidden), Error> {
        let errand = errand.and_then(Errand::read).filter(|errand| {
            // The state says that this browser went out, to this issuer, for this page. Each issuer has an address of
            // its own to send browsers back to, so that no code of one is shown to another.
            errand.provider == id && bool::from(errand.state().as_bytes().ct_eq(answer.state.as_bytes()))
        });
        let errand = errand.ok_or_else(|| {
            refused("This sign-in was not begun here, or it took longer than ten minutes. Begin again.")
        })?;
        let elsewhere = self.elsewhere(id)?;
        // Strangers can make what looks like an errand, and have us ask the provider about codes that they made up.
        if let Some(wait) = self.count_address(from.address, now).await? {
            return Err(slowed(wait));
        }
        let caller = self.identified(&elsewhere, &errand, answer, redirect_uri, now).await?;
        self.forgive_address(from.address, now).await?;
        let permissions: Vec<String> =
            caller.granted.iter().filter(|name| Permission::parse(name).is_some()).cloned().collect();
        if permissions.is_empty() {
            return Err(refused(&format!(
                "{} says that you are {}, and that you may do nothing here. Ask whoever runs it for a permission, \
                 such as Library.Read or Library.Manage.",
                elsewhere.provider.config.name, caller.requestor
            )));
        }
        let cookie = new_secret();
        let minutes = i64::from(elsewhere.provider.config.session_minutes);
        let session = ExternalSessionRow {
            id: uuid::Uuid::new_v4().to_string(),
            sha256: kept(&cookie),
            issuer: elsewhere.issuer.name().to_owned(),
            user: caller.id.clone(),
            display_name: caller.display_name.chars().take(LONGEST_NAME).collect(),
            login: caller.requestor.chars().take(LONGEST_NAME).collect(),
            tenant: caller.tenant.clone(),
            permissions,
            created_at: now,
            seen_at: now,
            expires_at: now.plus_secs(minutes * 60),
        };
        self.enter_from(session.clone(), from, now).await?;
        Ok((errand.to, session, cookie))
    }

    /// Who the issuer says it is, with what its token grants.
    async fn identified(
        &self,
        elsewhere: &Elsewhere<'_>,
        errand: &Errand,
        answer: Answer,
        redirect_uri: &str,
        now: Timestamp,
    ) -> Result<Caller, Error> {
        let Elsewhere { issuer, provider, source } = elsewhere;
        let name = &provider.config.name;
        let itself = match &answer.issuer {
            Some(given) => issuer.names().any(|name| name == given),
            None => !provider.names_itself(source, now).await.map_err(|e| failed(provider, &e))?,
        };
        if !itself {
            return Err(refused(&format!("The answer is not one of {name}. Begin again.")));
        }
        let code = answer.code.ok_or_else(|| {
            let why = answer.error.as_deref().map_or_else(|| "it gives no reason".into(), shown);
            refused(&format!("{name} did not sign you in: {why}."))
        })?;
        let tokens = provider.redeem(source, errand, code.reveal(), redirect_uri, now).await;
        let Tokens { id_token, access_token } = tokens.map_err(|e| failed(provider, &e))?;
        let unfit = |what: &str, why: &dyn std::fmt::Display| {
            tracing::warn!(issuer = issuer.name(), "sign-in: {what} does not count: {why}");
            refused(&format!("{what} of {name} does not count here: {why}."))
        };
        let signed = issuer.signed_in(&id_token, &provider.config.client_id, &errand.nonce(), now).await;
        let signed = signed.map_err(|e| unfit("The id token", &e))?;
        let caller = match provider.config.permissions_from {
            PermissionsFrom::IdToken => signed,
            PermissionsFrom::AccessToken => {
                let header = format!("Bearer {access_token}");
                let caller = self.verifier.verify(Some(&header), now).await;
                let caller = caller.map_err(|e| unfit("The access token", &e))?;
                if !issuer.names().any(|name| name == caller.issuer) {
                    return Err(unfit("The access token", &"another issuer has made it"));
                }
                Caller::clone(&caller)
            }
        };
        if !matches!(caller.kind, Kind::User { .. }) {
            return Err(unfit(
                "The token",
                &"it is an app's, or says nobody's name (is the scope `profile` there?)",
            ));
        }
        Ok(caller)
    }

    async fn enter_from(
        &self,
        session: ExternalSessionRow,
        from: Origin,
        now: Timestamp,
    ) -> Result<(), Error> {
        let actor = outside(&session, from.address, &from.request_id);
        self.catalog
            .write(move |tx| {
                Box::pin(async move {
                    let turn = audit::turn(tx).await?;
                    end_former(tx, &from.former).await?;
                    external_sessions::insert(tx, &session).await?;
                    let after = json!({
                        "id": session.user, "app": from.app, "issuer": session.issuer, "session": session.id,
                        "permissions": session.permissions,
                    });
                    let change = Change {
                        action: "user.sign-in",
                        target: &session.login,
                        before: None,
                        after: Some(after),
                    };
                    Ok(audit::append(tx, now, &actor, turn, change).await?)
                })
            })
            .await
    }

    /// The session with this cookie, while it lasts and people can sign in with its issuer.
    pub(super) async fn external(
        &self,
        cookie: &Hidden,
        now: Timestamp,
    ) -> Result<Option<ExternalSessionRow>, Error> {
        let sha256 = kept(cookie);
        let found = self.catalog.read(move |tx| {
            Box::pin(async move { Ok::<_, Error>(external_sessions::find(tx, &sha256).await?) })
        });
        let stands = |session: &ExternalSessionRow| {
            let named = |issuer: &Issuer| issuer.name() == session.issuer && issuer.provider().is_some();
            now < session.expires_at
                && now < session.seen_at.plus_secs(IDLE)
                && self.verifier.issuers().iter().any(named)
        };
        let Some(session) = found.await?.filter(stands) else { return Ok(None) };
        if session.seen_at.plus_secs(TOUCH) < now {
            let id = session.id.clone();
            let touched = self.catalog.write(move |tx| {
                Box::pin(async move { Ok::<_, Error>(external_sessions::touch(tx, &id, now).await?) })
            });
            touched.await?;
        }
        Ok(Some(session))
    }

    pub(super) async fn leave_from(
        &self,
        session: ExternalSessionRow,
        address: IpAddr,
        request_id: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let actor = outside(&session, address, request_id);
        self.catalog
            .write(move |tx| {
                Box::pin(async move {
                    let turn = audit::turn(tx).await?;
                    external_sessions::end(tx, &session.id).await?;
                    let after =
                        json!({ "id": session.user, "issuer": session.issuer, "session": session.id });
                    let change = Change {
                        action: "user.sign-out",
                        target: &session.login,
                        before: None,
                        after: Some(after),
                    };
                    Ok(audit::append(tx, now, &actor, turn, change).await?)
                })
            })
            .await
    }
}

/// Somebody of an issuer elsewhere, as the audit log names callers.
fn outside(session: &ExternalSessionRow, address: IpAddr, request_id: &str) -> Actor {
    Actor {
        name: session.display_name.clone(),
        id: format!("user {} {}", session.issuer, session.user),
        address: Some(address.to_string()),
        request_id: request_id.to_owned(),
    }
}

fn refused(words: &str) -> Error {
    Error::Forbidden(words.to_owned())
}

/// The provider cannot be asked, or refuses us: the log has all of it, who signs in enough.
fn failed(provider: &Provider, error: &ProviderError) -> Error {
    let name = &provider.config.name;
    let cause = error as &dyn std::error::Error;
    tracing::warn!(provider = name, error = cause, "cannot sign anybody in");
    refused(&format!("{name} cannot sign you in now: {error}. The server's log has more of it."))
}
