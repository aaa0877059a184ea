//! Sign-in for devices without a browser (RFC 8628): the device shows a short code, a person who has signed in says yes
//! or no to it, and the device, which asks again and again, gets its tokens once.

use std::net::IpAddr;

use jumpbag_wire::time::Timestamp;
use serde_json::json;

use super::Access;
use super::grants::{Granted, start};
use super::sign_in::{SignedIn, kept};
use crate::auth::client::Client;
use crate::auth::refusal::{TokenError, shown};
use crate::auth::scope::Scope;
use crate::auth::secret::{Hidden, hash_secret, new_secret, random};
use crate::catalog::audit::{self, Actor, Change};
use crate::catalog::devices::{self, Approval, DeviceRow};
use crate::error::Error;
use jumpbag_wire::hex::hex;

/// Seconds that a device waits at most, and that it lets pass between two questions.
pub const LIFETIME: i64 = 900;
pub const PACE: i64 = 5;
/// By how much who asks too often is made to ask less.
const SLOWER: i64 = 5;
/// Devices that wait at a time. A short code stays hard to guess while there are no more.
const MANY: i64 = 1000;
/// Letters of a user code: no vowels, so that no words come of it, and none that look alike.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const LENGTH: usize = 8;

/// What a device is told.
pub struct Waiting {
    pub device_code: Hidden,
    /// As it is shown: `WDJB-MJHT`.
    pub user_code: String,
}

impl Access {
    /// A device begins to wait.
    ///
    /// # Errors
    /// The inner error is a refusal, the outer one a failure of the server, or `TooManyRequests`.
    pub async fn device(
        &self,
        client_id: &str,
        scope: &str,
        base: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Result<Waiting, TokenError>, Error> {
        self.slow_down(client_id, address, now).await?;
        let known = self.client(client_id).await?;
        let Some(client) = known.filter(|client| client.expires.is_none_or(|at| at > now)) else {
            self.throttle.failed(client_id, address, now);
            let client = shown(client_id);
            return Ok(Err(TokenError::UnknownClient { client, tenant: self.tenant.id.clone() }));
        };
        if !client.public {
            return Ok(Err(TokenError::NotForUsers(client.client_id)));
        }
        let scope = match Scope::parse(scope, base, &self.audiences, &self.tenant) {
            Ok(scope) => scope,
            Err(refused) => return Ok(Err(refused)),
        };
        let waiting = Waiting { device_code: new_secret(), user_code: user_code() };
        let row = DeviceRow {
            sha256: kept(&waiting.device_code),
            user_code: kept_code(&waiting.user_code),
            client: client.client_id,
            scope: scope.text(),
            audience: scope.audience.clone(),
            address: address.to_string(),
            expires_at: now.plus_secs(LIFETIME),
            asked_at: None,
            pace: PACE,
            status: "waiting".to_owned(),
            by: None,
        };
        self.catalog
            .write(move |tx| {
                Box::pin(async move {
                    if devices::count(tx, now).await? >= MANY || !devices::insert(tx, &row).await? {
                        let text = "too many devices wait for a sign-in: try again in a minute";
                        return Err(Error::TooManyRequests(text.into(), 60));
                    }
                    Ok(())
                })
            })
            .await?;
        Ok(Ok(waiting))
    }

    /// What waits for the word of somebody who has this code, and which app it is. Wrong codes are counted against
    /// who types them; the inner error says how long to wait.
    ///
    /// # Errors
    /// Failures of the server.
    pub async fn device_waiting(
        &self,
        typed: &str,
        signed: &SignedIn,
        now: Timestamp,
    ) -> Result<Result<Option<(DeviceRow, Client)>, i64>, Error> {
        if let Some(wait) = self.count_code(&signed.user.id, now).await? {
            return Ok(Err(wait));
        }
        let code = kept_code(typed);
        let found = self
            .catalog
            .read(move |tx| Box::pin(async move { Ok::<_, Error>(devices::waiting(tx, &code, now).await?) }));
        let Some(device) = found.await? else { return Ok(Ok(None)) };
        let Some(client) = self.client(&device.client).await? else { return Ok(Ok(None)) };
        self.forgive_code(&signed.user.id, now).await?;
        Ok(Ok(Some((device, client))))
    }

    /// Writes down what a person says; `false` when no device waits for it any more.
    ///
    /// # Errors
    /// Failures of the server.
    pub async fn decide_device(
        &self,
        device: &DeviceRow,
        approved: bool,
        signed: &SignedIn,
        actor: Actor,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let (device, signed) = (device.clone(), signed.clone());
        self.catalog
            .write(move |tx| {
                Box::pin(async move {
                    let turn = audit::turn(tx).await?;
                    let by = Approval {
                        user: signed.user.id.clone(),
                        epoch: signed.session.epoch,
                        signed_in_at: signed.session.created_at,
                    };
                    let decided = devices::decide(tx, &device.user_code, approved, &by, now).await?;
                    let after = json!({
                        "id": signed.user.id, "app": device.client, "deviceAddress": device.address,
                        "decided": decided,
                    });
                    let action = if approved { "user.device-approve" } else { "user.device-deny" };
                    let change =
                        Change { action, target: &signed.user.name, before: None, after: Some(after) };
                    audit::append(tx, now, &actor, turn, change).await?;
                    Ok(decided)
                })
            })
            .await
    }

    /// A device asks for its tokens.
    pub(super) async fn device_grant(
        &self,
        client: &Client,
        code: &Hidden,
        now: Timestamp,
    ) -> Result<Result<Granted, TokenError>, Error> {
        let (client, sha256) = (client.client_id.clone(), kept(code));
        self.catalog
            .write(move |tx| {
                Box::pin(async move {
                    let asked = devices::asks(tx, &sha256, &client, now).await?;
                    let Some(device) = asked.filter(|device| device.expires_at > now) else {
                        return Ok(Err(TokenError::DeviceExpired));
                    };
                    let early = |at: Timestamp| now < at.plus_secs(device.pace);
                    if device.status == "waiting" {
                        if device.asked_at.is_some_and(early) {
                            let pace = (device.pace + SLOWER).min(60);
                            devices::slow_down(tx, &sha256, pace).await?;
                            return Ok(Err(TokenError::TooOften(pace)));
                        }
                        return Ok(Err(TokenError::Pending));
                    }
                    if !devices::end(tx, &sha256).await? {
                        return Ok(Err(TokenError::DeviceExpired));
                    }
                    let Some(by) = device.by.filter(|_| device.status == "approved") else {
                        return Ok(Err(TokenError::Declined));
                    };
                    let granted = Granted {
                        user: by.user,
                        epoch: by.epoch,
                        scope: Scope::kept(&device.scope, &device.audience),
                        nonce: None,
                        // It outlives the browser's session: signing out there does not sign out here.
                        session: None,
                        signed_in: by.signed_in_at,
                        refresh: None,
                    };
                    start(tx, uuid::Uuid::new_v4().to_string(), &client, granted, now).await.map(Ok)
                })
            })
            .await
    }
}

/// Eight letters in two halves, every code as likely as every other.
fn user_code() -> String {
    let mut code = String::new();
    while code.len() <= LENGTH {
        for byte in random::<16>() {
            // 240 is the largest multiple of 20 in a byte: no letter is likelier.
            if byte >= 240 || code.len() > LENGTH {
                continue;
            }
            if code.len() == LENGTH / 2 {
                code.push('-');
            }
            code.push(char::from(LETTERS[usize::from(byte % 20)]));
        }
    }
    code
}

/// What is kept of a user code, however it was typed.
fn kept_code(typed: &str) -> String {
    let letters: String = typed
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(2 * LENGTH)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    hex(&hash_secret(&letters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_easy_to_type_and_does_not_repeat() {
        let codes: std::collections::HashSet<String> = (0..1000).map(|_| user_code()).collect();
        assert_eq!(codes.len(), 1000);
        for code in codes {
            let (one, two) = code.split_once('-').expect("two halves");
            assert_eq!((one.len(), two.len()), (4, 4), "{code}");
            assert!(one.bytes().chain(two.bytes()).all(|letter| LETTERS.contains(&letter)), "{code}");
            assert_eq!(kept_code(&code), kept_code(&format!(" {} {} ", one.to_lowercase(), two)));
        }
        assert_ne!(kept_code("AAAA-BBBB"), kept_code("AAAA-BBBC"));
    }
}
