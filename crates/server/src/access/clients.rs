//! App registrations: add, list, rotate, change, remove. A secret is shown once, to whoever asked for it, and kept only
//! as its SHA-256; nobody hands out more than they have.

mod change;
mod powers;

use jumpbag_wire::time::Timestamp;
use serde_json::json;

pub use change::{Patch, change, remove, remove_secret};
pub use powers::{By, Powers};

use crate::auth::authorize::may_be_redirect;
use crate::auth::client::{COMMAND_LINE, CertificateKey, Client};
use crate::auth::permission::Permission;
use crate::auth::secret::{Hidden, SecretHash, hash_secret, new_secret};
use crate::catalog::audit::{self, Change};
use crate::catalog::clients::{self, ClientRow, SecretRow};
use crate::catalog::{Catalog, CatalogError, Tx};
use crate::error::Error;
use jumpbag_wire::hex::{bytes, hex};

/// Secrets of one client that are good at a time.
pub const MAX_SECRETS: usize = 16;
/// The end of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;
/// Clients of a page.
pub const PAGE: usize = 100;

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
    pub client: ClientRow,
    pub secret: Option<Hidden>,
}

/// A new secret to be made.
pub struct Rotation {
    /// `None`: a new one is made.
    pub secret: Option<Hidden>,
    /// When the old ones end; `None`: when they would have ended anyway.
    pub old_until: Option<Timestamp>,
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

/// A page of clients behind one, by time and id, and what the next page is behind.
pub async fn page(
    catalog: &Catalog,
    after: Option<(Timestamp, String)>,
) -> Result<(Vec<ClientRow>, Option<(Timestamp, String)>), Error> {
    let (at, id) = after.unwrap_or((Timestamp::from_micros(i64::MIN), String::new()));
    let one_more = PAGE as i64 + 1;
    let mut rows = catalog
        .snapshot(move |tx| Box::pin(async move { clients::page(tx, (at, &id), one_more).await }))
        .await?;
    let more = rows.len() > PAGE;
    rows.truncate(PAGE);
    let next = rows.last().filter(|_| more).map(|last| (last.created_at, last.id.clone()));
    Ok((rows, next))
}

/// Registers a client.
///
/// # Errors
/// `InvalidInput` when the id is or was in use, or a value cannot be; `Forbidden` when it would get what is not in the
/// powers of who asks.
pub async fn add(catalog: &Catalog, new: NewClient, by: By, now: Timestamp) -> Result<Registered, Error> {
    check(&new)?;
    let permissions = names(&new.permissions);
    by.may_grant(&permissions)?;
    let (tenant, _) = tenant(catalog, now).await?;
    let id = new.id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let secret = match (&new.secret, &new.certificate) {
        (Some(secret), _) => Some(secret.clone()),
        (None, _) if new.public => None,
        (None, Some(_)) => None,
        (None, None) => Some(new_secret()),
    };
    let kept = secret.as_ref().map(sha256);
    let certificate = new.certificate.as_deref().map(certificate).transpose()?;
    let client = catalog
        .write(move |tx| {
            Box::pin(async move {
                let turn = audit::turn(tx).await?;
                if !clients::insert(tx, &id, &new.name, new.expires, now).await? {
                    return Err(Error::InvalidInput(format!(
                        "client `{id}` exists or existed: take another id"
                    )));
                }
                for permission in &permissions {
                    clients::grant(tx, &id, permission).await?;
                }
                if let Some(sha256) = &kept {
                    clients::insert_secret(tx, &id, sha256, None, now).await?;
                }
                if let Some((fingerprint, pem)) = &certificate {
                    clients::insert_certificate(tx, &id, fingerprint, pem, now).await?;
                }
                if new.public {
                    clients::set_public(tx, &id).await?;
                }
                for uri in &new.redirects {
                    clients::insert_redirect(tx, &id, uri).await?;
                }
                let after = Some(told(&new, &permissions));
                let change = Change { action: "client.add", target: &id, before: None, after };
                audit::append(tx, now, &by.actor, turn, change).await?;
                registered(tx, &id).await
            })
        })
        .await?;
    Ok(Registered { tenant, client, secret })
}

/// What the audit log says of a new client.
fn told(new: &NewClient, permissions: &[&str]) -> serde_json::Value {
    let mut after = json!({ "name": new.name, "permissions": permissions, "expires": new.expires });
    if new.public || !new.redirects.is_empty() {
        after["public"] = json!(new.public);
        after["redirectUris"] = json!(new.redirects);
    }
    after
}

/// The names of permissions, each once.
fn names(permissions: &[Permission]) -> Vec<&'static str> {
    let mut names: Vec<_> = permissions.iter().map(|permission| permission.name()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A permission by its name.
///
/// # Errors
/// `InvalidInput` when there is none.
pub fn permission(name: &str) -> Result<Permission, Error> {
    Permission::parse(name).ok_or_else(|| {
        let known: Vec<_> = Permission::ALL.iter().map(|permission| permission.name()).collect();
        bad("permission", name, &format!("one of {}", known.join(", ")))
    })
}

/// When a client ends; `what` is where it was said.
///
/// # Errors
/// `InvalidInput` when it is no time to come, or one whose year has more than four digits.
pub fn time_to_come(what: &str, text: &str, now: Timestamp) -> Result<Timestamp, Error> {
    const EXPECTED: &str = "a time to come, up to the year 9999, such as 2030-01-31 or 2030-01-31T12:00:00Z";
    // RFC 3339 has no later ones: no client could read what it is told.
    let fits = |time: &Timestamp| *time > now && time.secs() <= LAST_SECOND;
    Timestamp::parse(text).filter(fits).ok_or_else(|| bad(what, text, EXPECTED))
}

fn bad(what: &str, value: &str, expected: &str) -> Error {
    let shown: String = value.chars().take(300).collect();
    Error::InvalidInput(format!("{what} `{}`: expected {expected}", shown.escape_debug()))
}

fn check(new: &NewClient) -> Result<(), Error> {
    check_name(&new.name)?;
    if let Some(id) = &new.id {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        // In an address `.` and `..` are another place: nobody could ever reach the client there.
        let folded = id == "." || id == "..";
        if id.is_empty() || id.len() > 128 || !id.chars().all(fits) || folded {
            return Err(bad(
                "id",
                id,
                "1 to 128 letters, digits, `-`, `_` and `.`, but not `.` or `..` alone",
            ));
        }
        if id.eq_ignore_ascii_case(COMMAND_LINE) {
            return Err(bad("id", id, "another id: this one is the command line's"));
        }
    }
    check_redirects(&new.redirects)?;
    if new.public && (new.secret.is_some() || new.certificate.is_some()) {
        return Err(proves_nothing());
    }
    check_secret(new.secret.as_ref())
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.trim().is_empty() || name.len() > 256 || name.chars().any(char::is_control) {
        return Err(bad("name", name, "1 to 256 bytes without control characters"));
    }
    Ok(())
}

fn check_redirects(redirects: &[String]) -> Result<(), Error> {
    let wrong = |uri: &String| may_be_redirect(uri).err().map(|expected| (uri.clone(), expected));
    match redirects.iter().find_map(wrong) {
        Some((uri, expected)) => {
            Err(bad("redirect URI", &uri, expected.strip_prefix("expected ").unwrap_or(expected)))
        }
        None => Ok(()),
    }
}

fn proves_nothing() -> Error {
    Error::InvalidInput("a public client has neither secret nor certificate".into())
}

fn check_secret(secret: Option<&Hidden>) -> Result<(), Error> {
    if secret.is_some_and(|secret| secret.reveal().len() < 16) {
        return Err(Error::InvalidInput("the secret is shorter than 16 bytes: bring a longer one".into()));
    }
    Ok(())
}

/// The fingerprint of a certificate, and what is kept of the text: the certificate alone.
fn certificate(text: &str) -> Result<(String, String), Error> {
    if text.contains("PRIVATE KEY-----") {
        return Err(Error::InvalidInput(
            "certificate: the text holds a private key, which stays with the app and was not stored: \
             bring the certificate alone"
                .into(),
        ));
    }
    let read = CertificateKey::read(text).map_err(|e| Error::InvalidInput(format!("certificate: {e}")));
    read.map(|(key, pem)| (hex(&key.x5t_s256), pem))
}

fn sha256(secret: &Hidden) -> String {
    hex(&hash_secret(secret.reveal()))
}

/// What a secret of a client is called. It follows from client and time alone, so it tells nothing of the secret.
pub fn key_id(client: &str, secret: &SecretRow) -> String {
    let hash = hash_secret(&format!("{client} {}", secret.created_at.micros()));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

impl Registered {
    /// The row of the secret that is shown.
    pub fn kept(&self) -> Option<&SecretRow> {
        let sha256 = sha256(self.secret.as_ref()?);
        self.client.secrets.iter().find(|secret| secret.sha256 == sha256)
    }
}

/// Gives a client a new secret.
///
/// # Errors
/// `NotFound` when there is no such client, `InvalidInput` when the secret that was brought is too short or the client
/// may have no more, `Forbidden` when it may do what is not in the powers of who asks.
pub async fn rotate(
    catalog: &Catalog,
    id: &str,
    rotation: Rotation,
    by: By,
    now: Timestamp,
) -> Result<Registered, Error> {
    let Rotation { secret, old_until } = rotation;
    check_secret(secret.as_ref())?;
    let (tenant, _) = tenant(catalog, now).await?;
    let secret = secret.unwrap_or_else(new_secret);
    let (id, kept) = (id.to_owned(), sha256(&secret));
    let client = catalog
        .write(move |tx| {
            Box::pin(async move {
                let turn = audit::turn(tx).await?;
                let client = registered(tx, &id).await?;
                by.may_change(&client)?;
                if client.public {
                    return Err(proves_nothing());
                }
                if let Some(until) = old_until {
                    clients::end_secrets(tx, &id, until).await?;
                }
                let made = room(tx, &id, now).await?;
                clients::insert_secret(tx, &id, &kept, None, made).await?;
                let change = Change {
                    action: "client.rotate",
                    target: &id,
                    before: None,
                    after: Some(json!({ "oldSecretsUntil": old_until })),
                };
                audit::append(tx, now, &by.actor, turn, change).await?;
                registered(tx, &id).await
            })
        })
        .await?;
    Ok(Registered { tenant, client, secret: Some(secret) })
}

/// Makes room for one more secret; when it is made, which is when no other one was.
async fn room(tx: &mut Tx, id: &str, now: Timestamp) -> Result<Timestamp, Error> {
    if registered(tx, id).await?.secrets.len() >= MAX_SECRETS {
        clients::forget_secrets(tx, id, now).await?;
    }
    let secrets = registered(tx, id).await?.secrets;
    if secrets.len() >= MAX_SECRETS {
        return Err(Error::InvalidInput(format!(
            "client `{id}` has {MAX_SECRETS} secrets, and may have no more: remove one, or let the old ones end"
        )));
    }
    let last = secrets.iter().map(|secret| secret.created_at.micros()).max();
    Ok(last.map_or(now, |last| Timestamp::from_micros(now.micros().max(last + 1))))
}

async fn registered(tx: &mut Tx, id: &str) -> Result<ClientRow, Error> {
    // PostgreSQL does not even take it in a question.
    let found = if id.contains('\0') { None } else { clients::find(tx, id).await? };
    found.ok_or_else(|| absent(id))
}

/// No client has this id.
pub fn absent(id: &str) -> Error {
    let shown: String = id.chars().take(128).collect();
    Error::NotFound(format!("client `{}` was not found", shown.escape_debug()))
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
            .map(|certificate| {
                CertificateKey::from_pem(&certificate.pem)
                    .map_err(|e| CatalogError::Shape(format!("certificate: {e}")))
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

fn digest(digits: &str) -> Result<[u8; 32], CatalogError> {
    let bytes = bytes(digits).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| CatalogError::Shape("a secret's digest is not 64 hexadecimal digits".into()))
}
