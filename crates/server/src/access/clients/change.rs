//! What becomes of a registration that is there: its name, what it may do, where it may send browsers, when it ends, and
//! which of its secrets are good.

use jumpbag_wire::time::Timestamp;
use serde_json::{Map, Value, json};

use super::{By, absent, check_name, check_redirects, key_id, names, registered};
use crate::auth::permission::Permission;
use crate::catalog::audit::{self, Actor, Change};
use crate::catalog::clients::{self, ClientRow};
use crate::catalog::{Catalog, Tx};
use crate::error::Error;

/// What changes of a registration; `None`: it stays.
#[derive(Default)]
pub struct Patch {
    pub name: Option<String>,
    /// These and no others.
    pub permissions: Option<Vec<Permission>>,
    /// These and no others.
    pub redirects: Option<Vec<String>>,
    /// `Some(None)`: it does not end.
    pub expires: Option<Option<Timestamp>>,
}

impl Patch {
    fn check(&self) -> Result<(), Error> {
        let nothing = self.name.is_none()
            && self.permissions.is_none()
            && self.redirects.is_none()
            && self.expires.is_none();
        if nothing {
            return Err(Error::InvalidInput(
                "nothing to change: give a name, permissions, redirect URIs or an end".into(),
            ));
        }
        self.name.as_deref().map_or(Ok(()), check_name)?;
        check_redirects(self.redirects.as_deref().unwrap_or_default())
    }

    async fn apply(self, tx: &mut Tx, client: &ClientRow) -> Result<(Value, Value), Error> {
        let (mut before, mut after) = (Map::new(), Map::new());
        let mut told = |key: &str, was: Value, is: Value| {
            before.insert(key.into(), was);
            after.insert(key.into(), is);
        };
        if let Some(name) = &self.name {
            told("name", json!(client.name), json!(name));
        }
        if let Some(expires) = self.expires {
            told("expires", json!(client.expires_at), json!(expires));
        }
        let name = self.name.as_deref().unwrap_or(&client.name);
        clients::rename(tx, &client.id, name, self.expires.unwrap_or(client.expires_at)).await?;
        if let Some(permissions) = &self.permissions {
            let permissions = names(permissions);
            clients::revoke_all(tx, &client.id).await?;
            for permission in &permissions {
                clients::grant(tx, &client.id, permission).await?;
            }
            told("permissions", json!(client.permissions), json!(permissions));
        }
        if let Some(redirects) = &self.redirects {
            clients::remove_redirects(tx, &client.id).await?;
            for uri in redirects {
                clients::insert_redirect(tx, &client.id, uri).await?;
            }
            told("redirectUris", json!(client.redirects), json!(redirects));
        }
        Ok((before.into(), after.into()))
    }
}

/// Changes a client; as it is now. Its tokens lose within a second what it may do no more.
///
/// # Errors
/// `NotFound` when there is no such client, `InvalidInput` when a value cannot be, `Forbidden` when it may do, or would
/// get, what is not in the powers of who asks.
pub async fn change(
    catalog: &Catalog,
    id: &str,
    patch: Patch,
    by: By,
    now: Timestamp,
) -> Result<ClientRow, Error> {
    patch.check()?;
    let id = id.to_owned();
    catalog
        .write(move |tx| {
            Box::pin(async move {
                let turn = audit::turn(tx).await?;
                let client = registered(tx, &id).await?;
                by.may_change(&client)?;
                by.may_grant(&names(patch.permissions.as_deref().unwrap_or_default()))?;
                let (before, after) = patch.apply(tx, &client).await?;
                let change =
                    Change { action: "client.change", target: &id, before: Some(before), after: Some(after) };
                audit::append(tx, now, &by.actor, turn, change).await?;
                registered(tx, &id).await
            })
        })
        .await
}

/// Takes one secret away; the tokens that it got stay good until they expire.
///
/// # Errors
/// `NotFound` when there is no such client, or it has no secret of this name.
pub async fn remove_secret(
    catalog: &Catalog,
    id: &str,
    key: &str,
    actor: Actor,
    now: Timestamp,
) -> Result<(), Error> {
    let (id, key) = (id.to_owned(), key.to_owned());
    catalog
        .write(move |tx| {
            Box::pin(async move {
                let turn = audit::turn(tx).await?;
                let client = registered(tx, &id).await?;
                let keys: Vec<_> = client.secrets.iter().map(|secret| key_id(&id, secret)).collect();
                let Some(at) = keys.iter().position(|one| *one == key) else {
                    let shown: String = key.chars().take(64).collect();
                    return Err(Error::NotFound(format!(
                        "client `{id}` has no secret `{}`: its secrets are {}",
                        shown.escape_debug(),
                        if keys.is_empty() { "none".to_owned() } else { keys.join(", ") }
                    )));
                };
                clients::remove_secret(tx, &id, &client.secrets[at].sha256).await?;
                let left: Vec<_> = keys.iter().filter(|one| **one != key).collect();
                let (before, after) = (json!({ "secrets": keys }), json!({ "secrets": left }));
                let change =
                    Change { action: "client.change", target: &id, before: Some(before), after: Some(after) };
                Ok(audit::append(tx, now, &actor, turn, change).await?)
            })
        })
        .await
}

/// Takes a client out of use, with every token it holds.
///
/// # Errors
/// `NotFound` when there is no such client.
pub async fn remove(catalog: &Catalog, id: &str, actor: Actor, now: Timestamp) -> Result<(), Error> {
    let id = id.to_owned();
    catalog
        .write(move |tx| {
            Box::pin(async move {
                let turn = audit::turn(tx).await?;
                let client = registered(tx, &id).await?;
                if !clients::remove(tx, &id, now).await? {
                    return Err(absent(&id));
                }
                let before = json!({ "name": client.name, "permissions": client.permissions });
                let change =
                    Change { action: "client.remove", target: &id, before: Some(before), after: None };
                Ok(audit::append(tx, now, &actor, turn, change).await?)
            })
        })
        .await
}
