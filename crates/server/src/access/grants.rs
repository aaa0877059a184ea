//! What apps get for users: codes that browsers carry to them, tokens for codes, refresh tokens that are good once. A
//! code or refresh token that comes a second time ends all that was made of it.

use std::net::IpAddr;

use jumpbag_wire::time::Timestamp;

use super::sign_in::{SignedIn, kept};
use super::{Access, users};
use crate::auth::authorize::{Asked, Details, Refused, proves};
use crate::auth::client::{Client, Method, Reuse, authenticate};
use crate::auth::delegated::{Delegation, Subject, UserTokens, mint};
use crate::auth::refusal::{TokenError, shown};
use crate::auth::request::{UserGrant, UserRequest};
use crate::auth::scope::Scope;
use crate::auth::secret::{Hidden, new_secret};
use crate::catalog::grants::{self, GrantRow};
use crate::catalog::sessions::{self, CodeRow};
use crate::catalog::{Tx, users as user_rows};
use crate::error::Error;

/// Seconds that a code is good for.
const CODE: i64 = 60;
/// A grant ends when it was not used for this long, and when it is this old. In seconds.
const GRANT_IDLE: i64 = 14 * 24 * 3600;
const GRANT_OLDEST: i64 = 90 * 24 * 3600;

/// A request of an app whose address was found among the client's.
pub struct Authorizing {
    pub client: Client,
    pub asked: Asked,
    /// What it wants, or what is wrong with that: told to the app.
    pub wants: Result<(Details, Scope), Refused>,
}

/// What tokens are made of, once a code, a refresh token or a device's code was found good.
pub(super) struct Granted {
    pub(super) user: String,
    pub(super) epoch: i64,
    pub(super) scope: Scope,
    pub(super) nonce: Option<String>,
    pub(super) session: Option<String>,
    pub(super) signed_in: Timestamp,
    pub(super) refresh: Option<Hidden>,
}

impl Access {
    /// Checks an app's request: client and address first. The outer error is the server's; the inner one is for the
    /// user alone.
    pub async fn authorizing(
        &self,
        query: &str,
        base: &str,
        now: Timestamp,
    ) -> Result<Result<Authorizing, String>, Error> {
        let asked = match Asked::parse(query) {
            Ok(asked) => asked,
            Err(why) => return Ok(Err(why)),
        };
        let client = self.client(&asked.client_id).await?;
        let Some(client) = client.filter(|client| client.expires.is_none_or(|at| at > now)) else {
            return Ok(Err(format!("No app `{}` is registered here.", shown(&asked.client_id))));
        };
        if !client.redirects.contains(&asked.redirect_uri) {
            return Ok(Err(format!(
                "The app wants you to be sent to `{}`, which is not one of its registered addresses.",
                shown(&asked.redirect_uri)
            )));
        }
        let wants = asked.rest.clone().and_then(|details| {
            let scope = Scope::parse(&details.scope, base, &self.audiences, &self.tenant);
            let scope = scope.map_err(|refused| Refused::new("invalid_scope", refused.to_string()))?;
            Ok((details, scope))
        });
        Ok(Ok(Authorizing { client, asked, wants }))
    }

    /// A code for an app, from somebody who has signed in.
    ///
    /// # Errors
    /// Failures of the server.
    pub async fn code(
        &self,
        authorizing: &Authorizing,
        details: &Details,
        scope: &Scope,
        signed: &SignedIn,
        now: Timestamp,
    ) -> Result<Hidden, Error> {
        let code = new_secret();
        let row = CodeRow {
            sha256: kept(&code),
            grant: uuid::Uuid::new_v4().to_string(),
            client: authorizing.client.client_id.clone(),
            redirect_uri: authorizing.asked.redirect_uri.clone(),
            challenge: details.challenge.clone(),
            nonce: details.nonce.clone(),
            scope: scope.text(),
            audience: scope.audience.clone(),
            user: signed.user.id.clone(),
            epoch: signed.session.epoch,
            session: signed.session.id.clone(),
            signed_in_at: signed.session.created_at,
            expires_at: now.plus_secs(CODE),
        };
        self.catalog
            .write(move |tx| Box::pin(async move { Ok::<_, Error>(sessions::insert_code(tx, &row).await?) }))
            .await?;
        Ok(code)
    }

    /// Tokens for a user, for a client that proves itself or has nothing to prove. Failed attempts slow down those
    /// that follow.
    ///
    /// # Errors
    /// The inner error is a refusal, the outer one a failure of the server.
    pub async fn user_tokens(
        &self,
        request: &UserRequest,
        base: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Result<UserTokens, TokenError>, Error> {
        self.slow_down(&request.client_id, address, now).await?;
        let client = self.client(&request.client_id).await?;
        let (client, method) = match self.prover(client, request, now) {
            Ok(proven) => proven,
            Err(refused) => {
                if refused.is_failed_sign_in() {
                    self.throttle.failed(&request.client_id, address, now);
                }
                return Ok(Err(refused));
            }
        };
        let granted = match &request.grant {
            UserGrant::Code { code, redirect_uri, verifier } => {
                self.redeem(&client, code, redirect_uri, verifier, now).await?
            }
            UserGrant::Refresh { token } => self.refresh(&client, token, now).await?,
            UserGrant::Device { code } => self.device_grant(&client, code, now).await?,
        };
        match granted {
            Ok(granted) => self.mint_for(&client, method, granted, base, now).await,
            Err(refused) => Ok(Err(refused)),
        }
    }

    fn prover(
        &self,
        client: Option<Client>,
        request: &UserRequest,
        now: Timestamp,
    ) -> Result<(Client, Option<Method>), TokenError> {
        let Some(known) = client else {
            let client = shown(&request.client_id);
            return Err(TokenError::UnknownClient { client, tenant: self.tenant.id.clone() });
        };
        match (known.public, request.proving()) {
            (true, Some(_)) => Err(TokenError::PublicClient),
            (true, None) if known.expires.is_some_and(|at| at <= now) => {
                Err(TokenError::Disabled(known.client_id))
            }
            (true, None) => Ok((known, None)),
            (false, None) => Err(TokenError::NoCredential),
            (false, Some(proving)) => {
                let method = authenticate(Some(&known), &proving, &self.tenant, Reuse::Allowed, now)?;
                Ok((known, Some(method)))
            }
        }
    }

    async fn mint_for(
        &self,
        client: &Client,
        method: Option<Method>,
        granted: Granted,
        base: &str,
        now: Timestamp,
    ) -> Result<Result<UserTokens, TokenError>, Error> {
        let user = users::find(&self.catalog, &granted.user).await?;
        let Some(user) = user.filter(|user| user.disabled_at.is_none() && user.epoch == granted.epoch) else {
            return Ok(Err(TokenError::UserGone));
        };
        self.reload(now).await?;
        let keys = self.ring.load_full();
        let given = Delegation {
            client,
            method,
            user: Subject {
                id: &user.id,
                name: &user.name,
                display_name: &user.display_name,
                permissions: &user.permissions,
                epoch: user.epoch,
                signed_in: granted.signed_in,
                two_factors: user.totp.is_some(),
                session: granted.session.as_deref(),
            },
            scope: &granted.scope,
            nonce: granted.nonce.as_deref(),
            base,
            tenant: &self.tenant,
            refresh: granted.refresh,
        };
        mint(&keys.ring, &given, now).map(Ok).map_err(|e| Error::Internal(e.to_string()))
    }

    /// A code is used up by whoever shows it, rightly or not.
    async fn redeem(
        &self,
        client: &Client,
        code: &Hidden,
        redirect_uri: &str,
        verifier: &Hidden,
        now: Timestamp,
    ) -> Result<Result<Granted, TokenError>, Error> {
        let (client, sha256) = (client.client_id.clone(), kept(code));
        let (redirect_uri, verifier) = (redirect_uri.to_owned(), verifier.clone());
        self.catalog
            .write(move |tx| {
                Box::pin(async move {
                    let Some(code) = sessions::use_code(tx, &sha256, now).await? else {
                        let Some(grant) = sessions::used_for(tx, &sha256).await? else {
                            return Ok(Err(TokenError::InvalidGrant("The code is not known")));
                        };
                        grants::end(tx, &grant).await?;
                        return Ok(Err(TokenError::CodeUsed));
                    };
                    if code.client != client {
                        return Ok(Err(TokenError::InvalidGrant("The code was given to another app")));
                    }
                    if code.expires_at <= now {
                        return Ok(Err(TokenError::InvalidGrant("The code has expired")));
                    }
                    if code.redirect_uri != redirect_uri {
                        return Ok(Err(TokenError::OtherRedirect));
                    }
                    if !proves(verifier.reveal(), &code.challenge) {
                        return Ok(Err(TokenError::WrongVerifier));
                    }
                    let scope = Scope::kept(&code.scope, &code.audience);
                    let granted = Granted {
                        user: code.user,
                        epoch: code.epoch,
                        scope,
                        nonce: code.nonce,
                        session: Some(code.session),
                        signed_in: code.signed_in_at,
                        refresh: None,
                    };
                    start(tx, code.grant, &client, granted, now).await.map(Ok)
                })
            })
            .await
    }

    /// A refresh token that was used already is in two hands: whichever is the right one, both lose it.
    async fn refresh(
        &self,
        client: &Client,
        token: &Hidden,
        now: Timestamp,
    ) -> Result<Result<Granted, TokenError>, Error> {
        let unknown = Ok(Err(TokenError::InvalidGrant("The refresh token is not known")));
        let Some((id, _)) = token.reveal().split_once('.') else { return unknown };
        if uuid::Uuid::parse_str(id).is_err() {
            return unknown;
        }
        let (id, client, shown) = (id.to_owned(), client.client_id.clone(), kept(token));
        let next = refresh_token(&id);
        self.catalog
            .write(move |tx| {
                Box::pin(async move {
                    let Some(known) = grants::find(tx, &id).await? else {
                        return Ok(Err(TokenError::InvalidGrant("The refresh token is not known")));
                    };
                    let until = ends(known.created_at, now);
                    let Some(row) =
                        grants::rotate(tx, &id, &client, &shown, &kept(&next), until, now).await?
                    else {
                        grants::end(tx, &id).await?;
                        let refused = if known.expires_at <= now {
                            TokenError::InvalidGrant("The refresh token has expired")
                        } else {
                            TokenError::RefreshUsed
                        };
                        return Ok(Err(refused));
                    };
                    let user = user_rows::find(tx, &row.user).await?;
                    if user.is_none_or(|user| user.epoch != row.epoch || user.disabled_at.is_some()) {
                        grants::end(tx, &id).await?;
                        return Ok(Err(TokenError::UserGone));
                    }
                    Ok(Ok(Granted {
                        user: row.user,
                        epoch: row.epoch,
                        scope: Scope::kept(&row.scope, &row.audience),
                        nonce: None,
                        session: row.session,
                        signed_in: row.signed_in_at,
                        refresh: Some(next),
                    }))
                })
            })
            .await
    }
}

/// Writes a grant down where the app asked for a refresh token.
pub(super) async fn start(
    tx: &mut Tx,
    id: String,
    client: &str,
    granted: Granted,
    now: Timestamp,
) -> Result<Granted, Error> {
    if !granted.scope.offline() {
        return Ok(granted);
    }
    let refresh = refresh_token(&id);
    let row = GrantRow {
        id,
        sha256: kept(&refresh),
        client: client.to_owned(),
        scope: granted.scope.text(),
        audience: granted.scope.audience.clone(),
        user: granted.user.clone(),
        epoch: granted.epoch,
        session: granted.session.clone(),
        signed_in_at: granted.signed_in,
        created_at: now,
        expires_at: ends(now, now),
    };
    grants::insert(tx, &row).await?;
    Ok(Granted { refresh: Some(refresh), ..granted })
}

/// When a grant ends that is used now.
fn ends(created: Timestamp, now: Timestamp) -> Timestamp {
    now.plus_secs(GRANT_IDLE).min(created.plus_secs(GRANT_OLDEST))
}

/// It names its grant, so that one that was replaced is known.
fn refresh_token(grant: &str) -> Hidden {
    Hidden::new(format!("{grant}.{}", new_secret().reveal()))
}
