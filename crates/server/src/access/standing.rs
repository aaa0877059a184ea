//! Whether who a token speaks for still stands: its app is registered, its user may sign in. What the catalog said of
//! them is believed for a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jumpbag_wire::time::Timestamp;

use super::{clients, is_fresh, users};
use crate::auth::caller::{Caller, Kind};
use crate::auth::client::COMMAND_LINE;
use crate::auth::tenant::Tenant;
use crate::catalog::Catalog;
use crate::error::Error;

/// Apps, or users, remembered before all are asked for again.
const MANY: usize = 10_000;

#[derive(Default)]
pub(super) struct Standing {
    clients: Remembered<Arc<Vec<String>>>,
    users: Remembered<User>,
}

/// A user who may sign in.
#[derive(Clone)]
struct User {
    permissions: Arc<Vec<String>>,
    epoch: i64,
}

impl Standing {
    /// A token of ours counts only while its app is registered and its user may sign in, and for what they may do now.
    pub(super) async fn confirm(
        &self,
        catalog: &Catalog,
        tenant: &Tenant,
        caller: Arc<Caller>,
        now: Timestamp,
    ) -> Result<Arc<Caller>, Error> {
        if !caller.is_of(&tenant.id) {
            return Ok(caller);
        }
        let mut may: Vec<Arc<Vec<String>>> = Vec::new();
        let client = match &caller.kind {
            Kind::App { client_id } => Some(client_id),
            Kind::User { id } => {
                let user = self.user(catalog, id, now).await?;
                let user = user.filter(|user| caller.epoch == Some(user.epoch));
                may.push(
                    user.ok_or_else(|| {
                        gone("user has ended its sign-ins, or may not sign in", "the sign-in has ended")
                    })?
                    .permissions,
                );
                caller.client.as_ref().filter(|client| *client != COMMAND_LINE)
            }
        };
        if let Some(client) = client {
            let permissions = self.client(catalog, client, now).await?;
            may.push(
                permissions.ok_or_else(|| gone("client is not registered any more", "the client is gone"))?,
            );
        }
        let stands = |granted: &String| may.iter().all(|may| may.contains(granted));
        if caller.granted.iter().all(stands) {
            return Ok(caller);
        }
        let mut reduced = Caller::clone(&caller);
        reduced.granted.retain(stands);
        Ok(Arc::new(reduced))
    }

    async fn client(
        &self,
        catalog: &Catalog,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<Vec<String>>>, Error> {
        if let Some(known) = self.clients.get(id, now) {
            return Ok(known);
        }
        let client = clients::find(catalog, id).await?;
        let live = client.filter(|client| client.expires_at.is_none_or(|at| at > now));
        Ok(self.clients.put(id, live.map(|client| Arc::new(client.permissions)), now))
    }

    async fn user(&self, catalog: &Catalog, id: &str, now: Timestamp) -> Result<Option<User>, Error> {
        if let Some(known) = self.users.get(id, now) {
            return Ok(known);
        }
        let live = users::find(catalog, id).await?.filter(|user| user.disabled_at.is_none());
        let user = live.map(|user| User { permissions: Arc::new(user.permissions), epoch: user.epoch });
        Ok(self.users.put(id, user, now))
    }
}

fn gone(what: &str, why: &str) -> Error {
    Error::Unauthorized {
        message: format!("Unauthorized request - reason of failure: the token's {what}"),
        challenge: format!("Bearer error=\"invalid_token\", error_description=\"{why}\""),
    }
}

/// What the catalog said, and when; `None` where it knows nobody.
struct Remembered<T>(Mutex<HashMap<String, (Option<T>, Timestamp)>>);

impl<T> Default for Remembered<T> {
    fn default() -> Remembered<T> {
        Remembered(Mutex::default())
    }
}

impl<T: Clone> Remembered<T> {
    fn get(&self, id: &str, now: Timestamp) -> Option<Option<T>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        known.filter(|(_, at)| is_fresh(*at, now)).map(|(value, _)| value)
    }

    fn put(&self, id: &str, value: Option<T>, now: Timestamp) -> Option<T> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MANY {
            known.clear();
        }
        known.insert(id.to_owned(), (value.clone(), now));
        value
    }
}
