//! People who sign in here: add, list, change, disable, remove. A password is kept only as its hash, and whatever takes
//! something from a user ends the sign-ins of before.

use jumpbag_wire::time::Timestamp;
use serde_json::{Value, json};

use crate::auth::password;
use crate::auth::permission::Permission;
use crate::auth::secret::Hidden;
use crate::auth::totp;
use crate::catalog::audit::{self, Actor, Change};
use crate::catalog::users::{self, NewUser, UserRow};
use crate::catalog::{Catalog, Tx, setup};
use crate::error::Error;

/// Somebody to be added.
pub struct Person {
    pub name: String,
    /// `None`: the name.
    pub display_name: Option<String>,
    pub permissions: Vec<Permission>,
    pub password: Hidden,
    /// Whether one-time codes are asked for from the beginning.
    pub totp: bool,
}

/// Who was added.
pub struct Added {
    pub id: String,
    /// The secret of one-time codes, shown once.
    pub totp: Option<Hidden>,
}

pub async fn find(catalog: &Catalog, id: &str) -> Result<Option<UserRow>, Error> {
    if id.contains('\0') {
        return Ok(None);
    }
    let id = id.to_owned();
    catalog.read(move |tx| Box::pin(async move { Ok(users::find(tx, &id).await?) })).await
}

pub async fn named(catalog: &Catalog, name: &str) -> Result<Option<UserRow>, Error> {
    if name.contains('\0') {
        return Ok(None);
    }
    let name = name.to_owned();
    catalog.read(move |tx| Box::pin(async move { Ok(users::named(tx, &name).await?) })).await
}

/// Whether anybody can sign in with a password.
pub async fn any(catalog: &Catalog) -> Result<bool, Error> {
    catalog.read(|tx| Box::pin(async move { Ok(users::any(tx).await?) })).await
}

pub async fn all(catalog: &Catalog) -> Result<Vec<UserRow>, Error> {
    catalog.snapshot(|tx| Box::pin(async move { Ok(users::all(tx).await?) })).await
}

/// Adds a user.
///
/// # Errors
/// `InvalidInput` when the name is taken, or a value cannot be.
pub async fn add(catalog: &Catalog, new: Person, actor: Actor, now: Timestamp) -> Result<Added, Error> {
    insert(catalog, None, new, actor, now).await
}

/// Adds the first user, and uses up the link whose code has this SHA-256.
pub(super) async fn add_by_link(
    catalog: &Catalog,
    link: String,
    new: Person,
    actor: Actor,
    now: Timestamp,
) -> Result<Added, Error> {
    insert(catalog, Some(link), new, actor, now).await
}

async fn insert(
    catalog: &Catalog,
    link: Option<String>,
    new: Person,
    actor: Actor,
    now: Timestamp,
) -> Result<Added, Error> {
    check_name(&new.name)?;
    let display_name = new.display_name.clone().unwrap_or_else(|| new.name.clone());
    check_display_name(&display_name)?;
    let permissions = names(&new.permissions)?;
    let password = hashed(&new.password, &new.name).await?;
    let totp = new.totp.then(totp::new_secret);
    let added = Added { id: uuid::Uuid::new_v4().to_string(), totp };
    let (id, secret) = (added.id.clone(), added.totp.clone());
    // The tenant is made by whatever comes first.
    super::clients::tenant(catalog, now).await?;
    catalog
        .write(move |tx| {
            Box::pin(async move {
                let turn = audit::turn(tx).await?;
                if let Some(link) = &link
                    && !setup::take(tx, link, now).await?
                {
                    return Err(super::setup::spent());
                }
                let user = NewUser {
                    id: &id,
                    name: &new.name,
                    display_name: &display_name,
                    password: &password,
                    totp: secret.as_ref().map(Hidden::reveal),
                };
                if !users::insert(tx, &user, now).await? {
                    let text = format!("user `{}` exists: take another name", new.name);
                    return Err(Error::InvalidInput(text));
                }
                users::set_permissions(tx, &id, &permissions).await?;
                let after = json!({
                    "id": id, "displayName": display_name, "permissions": permissions, "totp": new.totp,
                });
                let change =
                    Change { action: "user.add", target: &new.name, before: None, after: Some(after) };
                Ok(audit::append(tx, now, &actor, turn, change).await?)
            })
        })
        .await?;
    Ok(added)
}

/// What becomes of a user.
pub enum Edit {
    /// Ends the sign-ins of before.
    Password(Hidden),
    /// Another secret for one-time codes, or none.
    Totp(Option<Hidden>),
    Permissions(Vec<Permission>),
    /// Ends the sign-ins of before.
    Disable,
    Enable,
    /// Ends all sign-ins, and lets the user sign in again.
    EndSessions,
    /// For good, with all sign-ins.
    Remove,
}

/// Changes a user.
///
/// # Errors
/// `NotFound` when there is no such user, `InvalidInput` when a value cannot be.
pub async fn edit(
    catalog: &Catalog,
    name: &str,
    edit: Edit,
    actor: Actor,
    now: Timestamp,
) -> Result<(), Error> {
    let edit = match edit {
        Edit::Password(password) => Prepared::Password(hashed(&password, name).await?),
        Edit::Totp(secret) => Prepared::Totp(secret),
        Edit::Permissions(permissions) => Prepared::Permissions(names(&permissions)?),
        Edit::Disable => Prepared::Disable,
        Edit::Enable => Prepared::Enable,
        Edit::EndSessions => Prepared::EndSessions,
        Edit::Remove => Prepared::Remove,
    };
    let name = name.to_owned();
    catalog
        .write(move |tx| {
            Box::pin(async move {
                let turn = audit::turn(tx).await?;
                let found = if name.contains('\0') { None } else { users::named(tx, &name).await? };
                let user = found.ok_or_else(|| absent(&name))?;
                let (action, before, after) = edit.apply(tx, &user, now).await?;
                let change = Change { action, target: &user.name, before, after };
                Ok(audit::append(tx, now, &actor, turn, change).await?)
            })
        })
        .await
}

/// An edit with what takes long done.
enum Prepared {
    Password(String),
    Totp(Option<Hidden>),
    Permissions(Vec<&'static str>),
    Disable,
    Enable,
    EndSessions,
    Remove,
}

/// An action, and what the audit log says was before and is after.
type Told = (&'static str, Option<Value>, Option<Value>);

impl Prepared {
    async fn apply(&self, tx: &mut Tx, user: &UserRow, now: Timestamp) -> Result<Told, Error> {
        let id = user.id.as_str();
        let of = |after: Value| Some(json!({ "id": id }).merged(after));
        Ok(match self {
            Prepared::Password(hash) => {
                users::set_password(tx, id, hash, now).await?;
                users::end_sessions(tx, id).await?;
                ("user.password", None, of(json!({})))
            }
            Prepared::Totp(secret) => {
                users::set_totp(tx, id, secret.as_ref().map(Hidden::reveal)).await?;
                let before = json!({ "totp": user.totp.is_some() });
                ("user.totp", Some(before), of(json!({ "totp": secret.is_some() })))
            }
            Prepared::Permissions(names) => {
                users::set_permissions(tx, id, names).await?;
                let before = json!({ "permissions": user.permissions });
                ("user.permissions", Some(before), of(json!({ "permissions": names })))
            }
            Prepared::Disable => {
                users::set_disabled(tx, id, Some(now)).await?;
                users::end_sessions(tx, id).await?;
                ("user.disable", None, of(json!({})))
            }
            Prepared::Enable => {
                users::set_disabled(tx, id, None).await?;
                ("user.enable", None, of(json!({})))
            }
            Prepared::EndSessions => {
                users::end_sessions(tx, id).await?;
                ("user.end-sessions", None, of(json!({})))
            }
            Prepared::Remove => {
                users::end_sessions(tx, id).await?;
                users::remove(tx, id, now).await?;
                let before = json!({
                    "id": id, "displayName": user.display_name, "permissions": user.permissions,
                });
                ("user.remove", Some(before), None)
            }
        })
    }
}

trait Merged {
    fn merged(self, other: Value) -> Value;
}

impl Merged for Value {
    fn merged(mut self, other: Value) -> Value {
        if let (Value::Object(all), Value::Object(more)) = (&mut self, other) {
            all.extend(more);
        }
        self
    }
}

fn absent(name: &str) -> Error {
    Error::NotFound(format!("user `{name}` was not found: `users list` shows them"))
}

/// A hash takes as long as it should: not on the threads that serve.
async fn hashed(password: &Hidden, name: &str) -> Result<String, Error> {
    password::check(password.reveal(), name).map_err(|e| Error::InvalidInput(e.to_string()))?;
    let password = password.clone();
    let hash = tokio::task::spawn_blocking(move || password::hash(&password)).await;
    hash.map_err(|e| Error::Internal(e.to_string()))?.map_err(|e| Error::Internal(e.to_string()))
}

fn check_name(name: &str) -> Result<(), Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-@+".contains(c);
    let begins = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if begins && name.len() <= 128 && name.chars().all(fits) {
        return Ok(());
    }
    Err(Error::InvalidInput(format!(
        "name `{}`: expected up to 128 letters, digits, `.`, `_`, `-`, `@` and `+`, the first a letter or digit",
        name.escape_debug()
    )))
}

fn check_display_name(name: &str) -> Result<(), Error> {
    if !name.trim().is_empty() && name.len() <= 256 && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Error::InvalidInput(format!(
        "display name `{}`: expected 1 to 256 bytes without control characters",
        name.escape_debug()
    )))
}

/// Names of permissions that users have.
fn names(permissions: &[Permission]) -> Result<Vec<&'static str>, Error> {
    let mut names = Vec::new();
    for permission in permissions {
        let name = permission.name();
        if !permission.is_for(false) {
            return Err(Error::InvalidInput(format!(
                "permission `{name}` is for apps: users have `{}`",
                name.trim_end_matches(".All")
            )));
        }
        names.push(name);
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}
