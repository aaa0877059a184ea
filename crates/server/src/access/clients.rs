//! App registrations: add, list, rotate, remove. A secret is shown once, to whoever asked for it, and kept only as
//! its SHA-256.

use jumpbag_wire::time::Timestamp;
use serde_json::json;

use crate::auth::authorize::may_be_redirect;
use crate::auth::client::{COMMAND_LINE, CertificateKey, Client};
use crate::auth::permission::Permission;
use crate::auth::secret::{Hidden, SecretHash, hash_secret, new_secret};
use crate::catalog::audit::{self, Actor, Change};
use crate::catalog::clients::{self, ClientRow};
use crate::catalog::{Catalog, CatalogError};
use crate::error::Error;
use jumpbag_wire::hex::hex;

/// A registration to be made.
pub struct NewClient {
    /// `None`: a new GUID.
    pub id: Option<String>,
    pub name: String,
    pub permissions: Vec<Permission>,
    /// `None`: a new one is made.
    pub secret: Option<Hidden>,
    /// PEM; a client with a certificate needs no secret and gets none.
    pub certificate: Option<String>,
    pub expires: Option<Timestamp>,
    /// No secret at all: an app in a browser or on people's machines.
    pub public: bool,
    /// Where browsers may be sent that signed in for it.
    pub redirects: Vec<String>,
}

/// What a new or rotated client needs to know, once.
pub struct Registered {
    pub tenant: String,
    pub client_id: String,
    pub secret: Option<Hidden>,
}

/// The id of the tenant, made on the first call; `true` when it was made now.
pub async fn tenant(catalog: &Catalog, now: Timestamp) -> Result<(String, bool), Error> {
    catalog
        .write(move |tx| {
            Box::pin(async move {
                tx.lock("tenant").await?;
                Ok(clients::tenant(tx, now).await?)
            })
        })
        .await
}

pub async fn find(catalog: &Catalog, id: &str) -> Result<Option<ClientRow>, Error> {
    // PostgreSQL does not even take it in a question.
    if id.contains('\0') {
        return Ok(None);
    }
    let id = id.to_owned();
    catalog.read(move |tx| Box::pin(async move { Ok(clients::find(tx, &id).await?) })).await
}

pub async fn all(catalog: &Catalog) -> Result<Vec<ClientRow>, Error> {
    catalog.snapshot(|tx| Box::pin(async move { Ok(clients::all(tx).await?) })).await
}

/// Registers a client.
///
/// # Errors
/// `InvalidInput` when the id is or was in use, or a value cannot be.
pub async fn add(
    catalog: &Catalog,
    new: NewClient,
    actor: Actor,
    now: Timestamp,
) -> Result<Registered, Error> {
    check(&new)?;
    let (tenant, _) = tenant(catalog, now).await?;
    let client_id = new.id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let secret = match (&new.secret, &new.certificate) {
        (Some(secret), _) => Some(secret.clone()),
        (None, _) if new.public => None,
        (None, Some(_)) => None,
        (None, None) => Some(new_secret()),
    };
    let (id, kept) = (client_id.clone(), secret.as_ref().map(sha256));
    catalog
        .write(move |tx| {
            Box::pin(async move {
                if !clients::insert(tx, &id, &new.name, new.expires, now).await? {
                    return Err(Error::InvalidInput(format!(
                        "client `{id}` exists or existed: take another id"
                    )));
                }
                for permission in &new.permissions {
                    clients::grant(tx, &id, permission.name()).await?;
                }
                if let Some(sha256) = &kept {
                    clients::insert_secret(tx, &id, sha256, None, now).await?;
                }
                if let Some(pem) = &new.certificate {
                    let fingerprint = certificate(pem)?;
                    clients::insert_certificate(tx, &id, &fingerprint, pem, now).await?;
                }
                if new.public {
                    clients::set_public(tx, &id).await?;
                }
                for uri in &new.redirects {
                    clients::insert_redirect(tx, &id, uri).await?;
                }
                let after = told(&new);
                let turn = audit::turn(tx).await?;
                let change = Change { action: "client.add", target: &id, before: None, after: Some(after) };
                Ok(audit::append(tx, now, &actor, turn, change).await?)
            })
        })
        .await?;
    Ok(Registered { tenant, client_id, secret })
}

/// What the audit log says of a new client.
fn told(new: &NewClient) -> serde_json::Value {
    let permissions: Vec<_> = new.permissions.iter().map(|permission| permission.name()).collect();
    let mut after = json!({ "name": new.name, "permissions": permissions, "expires": new.expires });
    if new.public || !new.redirects.is_empty() {
        after["public"] = json!(new.public);
        after["redirectUris"] = json!(new.redirects);
    }
    after
}

fn check(new: &NewClient) -> Result<(), Error> {
    let bad = |what: &str, value: &str, expected: &str| {
        Err(Error::InvalidInput(format!("{what} `{value}`: expected {expected}")))
    };
    if new.name.trim().is_empty() || new.name.len() > 256 || new.name.chars().any(char::is_control) {
        return bad("name", &new.name, "1 to 256 bytes without control characters");
    }
    if let Some(id) = &new.id {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if id.is_empty() || id.len() > 128 || !id.chars().all(fits) {
            return bad("id", id, "1 to 128 letters, digits, `-`, `_` and `.`");
        }
        if id.eq_ignore_ascii_case(COMMAND_LINE) {
            return bad("id", id, "another id: this one is the command line's");
        }
    }
    for uri in &new.redirects {
        if let Err(expected) = may_be_redirect(uri) {
            return bad("redirect URI", uri, expected);
        }
    }
    if new.public && (new.secret.is_some() || new.certificate.is_some()) {
        return Err(Error::InvalidInput("a public client has neither secret nor certificate".into()));
    }
    check_secret(new.secret.as_ref())?;
    if let Some(pem) = &new.certificate {
        certificate(pem)?;
    }
    Ok(())
}

fn check_secret(secret: Option<&Hidden>) -> Result<(), Error> {
    if secret.is_some_and(|secret| secret.reveal().len() < 16) {
        return Err(Error::InvalidInput("the secret is shorter than 16 bytes: bring a longer one".into()));
    }
    Ok(())
}

fn certificate(pem: &str) -> Result<String, Error> {
    let key = CertificateKey::from_pem(pem).map_err(|e| Error::InvalidInput(format!("certificate: {e}")))?;
    Ok(hex(&key.x5t_s256))
}

fn sha256(secret: &Hidden) -> String {
    hex(&hash_secret(secret.reveal()))
}

/// Gives a client a new secret. The old ones end at `old_until`.
///
/// # Errors
/// `NotFound` when there is no such client, `InvalidInput` when the secret that was brought is too short.
pub async fn rotate(
    catalog: &Catalog,
    id: &str,
    secret: Option<Hidden>,
    old_until: Timestamp,
    actor: Actor,
    now: Timestamp,
) -> Result<Registered, Error> {
    check_secret(secret.as_ref())?;
    let (tenant, _) = tenant(catalog, now).await?;
    let secret = secret.unwrap_or_else(new_secret);
    let (client_id, kept) = (id.to_owned(), sha256(&secret));
    catalog
        .write(move |tx| {
            Box::pin(async move {
                if clients::find(tx, &client_id).await?.is_none() {
                    return Err(absent(&client_id));
                }
                clients::end_secrets(tx, &client_id, old_until).await?;
                clients::insert_secret(tx, &client_id, &kept, None, now).await?;
                let after = json!({ "oldSecretsUntil": old_until });
                let turn = audit::turn(tx).await?;
                let change =
                    Change { action: "client.rotate", target: &client_id, before: None, after: Some(after) };
                Ok(audit::append(tx, now, &actor, turn, change).await?)
            })
        })
        .await?;
    Ok(Registered { tenant, client_id: id.to_owned(), secret: Some(secret) })
}

/// Takes a client out of use, with every token it holds.
///
/// # Errors
/// `NotFound` when there is no such client.
pub async fn remove(catalog: &Catalog, id: &str, actor: Actor, now: Timestamp) -> Result<(), Error> {
    let client_id = id.to_owned();
    catalog
        .write(move |tx| {
            Box::pin(async move {
                let Some(client) = clients::find(tx, &client_id).await? else {
                    return Err(absent(&client_id));
                };
                clients::remove(tx, &client_id, now).await?;
                let before = json!({ "name": client.name, "permissions": client.permissions });
                let turn = audit::turn(tx).await?;
                let change =
                    Change { action: "client.remove", target: &client_id, before: Some(before), after: None };
                Ok(audit::append(tx, now, &actor, turn, change).await?)
            })
        })
        .await
}

fn absent(id: &str) -> Error {
    Error::NotFound(format!("client `{id}` was not found: `clients list` shows them"))
}

impl TryFrom<ClientRow> for Client {
    type Error = Error;

    fn try_from(row: ClientRow) -> Result<Client, Error> {
        let secret_hashes = row
            .secrets
            .iter()
            .map(|secret| Ok(SecretHash { sha256: digest(&secret.sha256)?, expires: secret.expires_at }))
            .collect::<Result<_, CatalogError>>()?;
        let certificates = row
            .certificates
            .iter()
            .map(|pem| {
                CertificateKey::from_pem(pem).map_err(|e| CatalogError::Shape(format!("certificate: {e}")))
            })
            .collect::<Result<_, CatalogError>>()?;
        Ok(Client {
            client_id: row.id,
            display_name: row.name,
            permissions: row.permissions,
            secret_hashes,
            certificates,
            expires: row.expires_at,
            public: row.public,
            redirects: row.redirects,
        })
    }
}

fn digest(hex: &str) -> Result<[u8; 32], CatalogError> {
    let malformed = || CatalogError::Shape("a secret's digest is not 64 hexadecimal digits".into());
    let mut bytes = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return Err(malformed());
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).map_err(|_| malformed())?;
    }
    Ok(bytes)
}
