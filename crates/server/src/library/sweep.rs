//! What nobody needs any more goes: versions of deleted files after the retention time, blobs that lost their
//! content, and blobs that never got one. A row goes before its blob; a blob goes only when no row names it.

use std::sync::atomic::Ordering;

use futures_util::TryStreamExt as _;
use jumpbag_wire::time::Timestamp;
use serde_json::json;

use super::Library;
use crate::blobs::Listed;
use crate::catalog::audit::{self, Actor, Change};
use crate::catalog::history::{self, Protected};
use crate::catalog::{Tx, contents, retries};
use crate::error::Error;

/// A blob without a row may belong to an upload that is not finished: longer than any upload may take.
pub const STAGED_GRACE_SECS: i64 = 24 * 3600;
/// How long a discarded blob stays, for a copy of the catalog that still names it.
pub const GARBAGE_GRACE_SECS: i64 = 3600;
/// How long an upload can be sent again under its key.
const RETRY_SECS: i64 = 24 * 3600;
const BATCH: i64 = 100;

/// What a sweep removed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    pub versions: u64,
    pub blobs: u64,
}

impl Library {
    /// Removes expired versions and discarded blobs.
    pub async fn sweep(&self, now: Timestamp) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        let days_ago = |days: i64| now.plus_secs(-days * 24 * 3600);
        let protected = Protected {
            deleted_since: days_ago(self.rules.retention_days),
            replaced_since: self.rules.replaced_retention_days.map(days_ago),
        };
        loop {
            let removed = self.catalog.write(move |tx| Box::pin(expire(tx, protected, now))).await?;
            swept.versions += removed;
            if removed > 0 {
                self.forgotten.store(true, Ordering::Relaxed);
            }
            if removed < BATCH.unsigned_abs() {
                break;
            }
        }
        self.compact().await?;
        let forgotten = now.plus_secs(-RETRY_SECS);
        self.catalog
            .write(move |tx| Box::pin(async move { Ok::<_, Error>(retries::forget(tx, forgotten).await?) }))
            .await?;
        let before = now.plus_secs(-GARBAGE_GRACE_SECS);
        let garbage = self
            .catalog
            .read(move |tx| {
                Box::pin(async move { Ok::<_, Error>(contents::garbage(tx, before, i64::MAX).await?) })
            })
            .await?;
        for blob in garbage {
            self.blobs.delete(&blob).await?;
            swept.blobs += 1;
            self.catalog
                .write(move |tx| {
                    Box::pin(async move { Ok::<_, Error>(contents::forget_garbage(tx, &blob).await?) })
                })
                .await?;
        }
        Ok(swept)
    }

    /// Blobs that no row names and that are older than `before`.
    pub async fn ownerless(&self, before: Timestamp) -> Result<Vec<Listed>, Error> {
        let mut found = Vec::new();
        let mut listed = self.blobs.list().try_chunks(BATCH as usize);
        while let Some(blobs) = listed.try_next().await.map_err(|e| e.1)? {
            let old: Vec<Listed> = blobs.into_iter().filter(|blob| blob.modified < before).collect();
            let keys: Vec<String> = old.iter().map(|blob| blob.key.clone()).collect();
            let owned = self
                .catalog
                .read(move |tx| Box::pin(async move { Ok::<_, Error>(contents::owned(tx, &keys).await?) }))
                .await?;
            found.extend(old.into_iter().filter(|blob| !owned.contains(&blob.key)));
        }
        Ok(found)
    }

    /// Removes what uploads left behind that were cut short before `before`: how many files that were.
    pub async fn remove_ownerless(&self, before: Timestamp) -> Result<u64, Error> {
        let mut removed = 0;
        for blob in self.ownerless(before).await? {
            self.blobs.delete(&blob.key).await?;
            removed += 1;
        }
        Ok(removed)
    }
}

async fn expire(tx: &mut Tx, protected: Protected, now: Timestamp) -> Result<u64, Error> {
    // What has expired is decided when nobody can hold it or bring it back any more.
    audit::wait(tx).await?;
    let expired = history::expired(tx, protected, BATCH).await?;
    for version in &expired {
        let mut turn = audit::turn(tx).await?;
        history::forget(tx, &mut turn, version, now).await?;
        let change = Change {
            action: "library.expire",
            target: &version.name,
            before: Some(
                json!({ "id": version.file.to_string(), "version": version.number, "sha256": version.sha256 }),
            ),
            after: None,
        };
        audit::append(tx, now, &Actor::operator("sweep"), turn, change).await?;
    }
    Ok(expired.len() as u64)
}
