//! Tokens: from this run, from the last one, or new from the issuer. A token that was refused is never used again.

mod certificate;
mod claims;
mod device;
mod endpoint;
mod kept;

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::Mutex;

pub use claims::Claims;
pub use endpoint::{Granted, Issuer, retry_after};
pub use kept::forget;

use crate::failure::Failure;
use crate::profile::{Proof, Session, Turn};

/// A token is not used in the last minute of its life, or the last half of a short one: a call takes time, and clocks
/// differ.
const SPARE: i64 = 60;

#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub access: String,
    /// When another one is needed, in seconds since 1970.
    pub expires: i64,
}

/// Gets tokens for one session.
pub struct SignIn {
    session: Session,
    issuer: Issuer,
    current: Mutex<Option<Token>>,
}

impl SignIn {
    pub fn new(session: Session, http: reqwest::Client) -> SignIn {
        SignIn { issuer: Issuer::new(http, &session.profile), session, current: Mutex::default() }
    }

    /// A token that has not expired.
    ///
    /// # Errors
    /// When the issuer refuses or cannot be reached.
    pub async fn token(&self) -> Result<Token, Failure> {
        let mut current = self.current.lock().await;
        if current.is_none() {
            *current = kept::find(&self.session);
        }
        match &*current {
            Some(token) if token.expires > now() => Ok(token.clone()),
            _ => self.renewed(&mut current).await,
        }
    }

    /// The first token of a sign-in: what the user was granted, or a new one.
    ///
    /// # Errors
    /// When the issuer refuses or cannot be reached.
    pub async fn first(&self, granted: Option<Granted>) -> Result<Token, Failure> {
        let mut current = self.current.lock().await;
        match granted {
            Some(granted) => Ok(self.adopt(&mut current, granted.access, granted.lifetime)),
            None => self.renewed(&mut current).await,
        }
    }

    /// A token in place of one that the server has refused.
    ///
    /// # Errors
    /// When there is no other.
    pub async fn instead_of(&self, refused: &Token) -> Result<Token, Failure> {
        let mut current = self.current.lock().await;
        match &*current {
            // Another call was refused too, and was faster.
            Some(token) if token != refused => Ok(token.clone()),
            _ => self.renewed(&mut current).await,
        }
    }

    async fn renewed(&self, current: &mut Option<Token>) -> Result<Token, Failure> {
        let profile = &self.session.profile;
        let (access, lifetime) = match &profile.proof {
            Some(Proof::ClientSecret(secret)) => self.issuer.by_secret(profile, secret).await?,
            Some(Proof::Certificate { certificate, key }) => {
                self.issuer.by_certificate(profile, certificate, key, now()).await?
            }
            Some(Proof::RefreshToken(_)) => self.by_refresh_token().await?,
            Some(Proof::Token(token)) => (given(token, current.as_ref())?, None),
            None => {
                return Err(Failure::Usage(
                    "the profile has nothing to sign in with: `jumpbag login` again".into(),
                ));
            }
        };
        Ok(self.adopt(current, access, lifetime))
    }

    /// Refresh tokens may be good for one use: the one to use is the one that was kept last, by whatever run.
    async fn by_refresh_token(&self) -> Result<(String, Option<i64>), Failure> {
        // Kept ones are shared with other runs; one that is not kept is this run's alone.
        let _turn = self.session.name.as_ref().map(|_| Turn::refresh()).transpose()?;
        let mut refresh = self.session.refresh_token()?;
        let granted = loop {
            match self.issuer.by_refresh_token(&self.session.profile, &refresh).await {
                // Another run may have used it in this moment.
                Err(failure @ Failure::Refused(_)) => match self.session.refresh_token()? {
                    next if next != refresh => refresh = next,
                    _ => return Err(failure),
                },
                other => break other?,
            }
        };
        if let Some(next) = granted.refresh.filter(|next| *next != refresh) {
            self.session.keep_refresh_token(&next)?;
        }
        Ok((granted.access, granted.lifetime))
    }

    fn adopt(&self, current: &mut Option<Token>, access: String, lifetime: Option<i64>) -> Token {
        let said = || Claims::of(&access).and_then(|claims| claims.expires);
        let expires =
            lifetime.map(|lifetime| now().saturating_add(lifetime)).or_else(said).unwrap_or(i64::MAX);
        let expires = expires.saturating_sub(SPARE.min(expires.saturating_sub(now()) / 2));
        let token = Token { access, expires };
        kept::keep(&self.session, &token);
        *current = Some(token.clone());
        token
    }
}

/// A token that somebody else got: there is no other when it is refused.
fn given(token: &str, current: Option<&Token>) -> Result<String, Failure> {
    let expired = Claims::of(token).and_then(|claims| claims.expires).is_some_and(|expires| expires <= now());
    if expired || current.is_some() {
        let why = if expired { "has expired" } else { "is not accepted" };
        return Err(Failure::Refused(crate::failure::Refusal {
            status: 401,
            code: "Unauthorized".into(),
            message: format!("the token in JUMPBAG_TOKEN {why}: get another one"),
            target: None,
        }));
    }
    Ok(token.to_owned())
}

pub fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
