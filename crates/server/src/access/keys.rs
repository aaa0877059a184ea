//! The keys that sign tokens: made on first start, rotated on demand.

use jumpbag_wire::time::Timestamp;
use serde_json::json;

use crate::auth::jwt::SKEW;
use crate::auth::keys::SigningKey;
use crate::catalog::audit::{self, Actor, Change};
use crate::catalog::keys::{self, KeyRow};
use crate::catalog::{Catalog, Tx};
use crate::error::Error;

pub async fn all(catalog: &Catalog) -> Result<Vec<SigningKey>, Error> {
    let rows = catalog.read(|tx| Box::pin(async move { Ok::<_, Error>(keys::all(tx).await?) })).await?;
    rows.iter()
        .map(|row| SigningKey::from_pem(&row.private_key, row.created_at, row.retired_at))
        .collect::<Result<_, _>>()
        .map_err(|e| Error::Internal(format!("signing keys: {e}")))
}

/// Makes the first key where there is none.
pub async fn ensure(catalog: &Catalog, actor: Actor, now: Timestamp) -> Result<(), Error> {
    if all(catalog).await?.iter().any(|key| key.retired.is_none()) {
        return Ok(());
    }
    let key = generate(now).await?;
    catalog
        .write(move |tx| {
            Box::pin(async move {
                // Two nodes may start at once: the first key stands.
                tx.lock("signing keys").await?;
                if keys::all(tx).await?.iter().any(|row| row.retired_at.is_none()) {
                    return Ok(());
                }
                insert(tx, key, actor, now, "key.create").await
            })
        })
        .await
}

/// Makes a new key. Tokens of the old ones are good until they expire. The new key's id.
pub async fn rotate(catalog: &Catalog, actor: Actor, now: Timestamp) -> Result<String, Error> {
    let key = generate(now).await?;
    let kid = key.kid.clone();
    catalog.write(move |tx| Box::pin(insert(tx, key, actor, now, "key.rotate"))).await?;
    Ok(kid)
}

/// Removes keys whose last token expired.
pub async fn forget(catalog: &Catalog, lifetime: i64, now: Timestamp) -> Result<(), Error> {
    let before = now.plus_secs(-(lifetime + SKEW));
    catalog.write(move |tx| Box::pin(async move { Ok::<_, Error>(keys::forget(tx, before).await?) })).await?;
    Ok(())
}

async fn generate(now: Timestamp) -> Result<SigningKey, Error> {
    tokio::task::spawn_blocking(move || SigningKey::generate(now))
        .await
        .map_err(|e| Error::Internal(e.to_string()))?
        .map_err(|e| Error::Internal(e.to_string()))
}

async fn insert(
    tx: &mut Tx,
    key: SigningKey,
    actor: Actor,
    now: Timestamp,
    action: &'static str,
) -> Result<(), Error> {
    let row = KeyRow { kid: key.kid.clone(), private_key: key.to_pem(), created_at: now, retired_at: None };
    keys::insert(tx, &row).await?;
    let turn = audit::turn(tx).await?;
    let change = Change { action, target: &key.kid, before: None, after: Some(json!({ "kid": key.kid })) };
    audit::append(tx, now, &actor, turn, change).await?;
    Ok(())
}
