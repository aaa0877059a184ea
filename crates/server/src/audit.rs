//! The audit log for those who read it: pages, exports, verification, and the checkpoints that seal it. Nothing here
//! changes an entry.

pub mod key;
pub mod read;
pub mod verify;

use std::path::Path;
use std::sync::Arc;

use futures_util::stream::{Stream, try_unfold};
use jumpbag_wire::audit::AuditEntry;
use jumpbag_wire::note::{Checkpoint, PublicKey};
use jumpbag_wire::time::Timestamp;
use tokio::sync::Semaphore;

use self::key::SealKey;
use self::read::Reader;
use crate::catalog::Catalog;
use crate::catalog::audit::{self, Page};
use crate::catalog::checkpoints::{self, CheckpointRow};
use crate::error::Error;
use crate::library::page::value;
use crate::odata::{EntitySet, Kind, Property, Query};

/// Entries of a page.
const PAGE: u64 = 1000;
/// Exports at a time: each holds some entries for as long as its client reads.
const EXPORTS: usize = 4;

/// What may be asked of the collection.
pub static SET: EntitySet = EntitySet {
    name: "AuditEntries",
    properties: &[
        Property::new("number", "number", Kind::Int),
        Property::new("time", "at", Kind::Time),
        Property::new("actor", "actor", Kind::Text),
        Property::new("actorId", "actor_id", Kind::Text),
        Property::new("address", "address", Kind::Text),
        Property::new("action", "action", Kind::Text),
        Property::new("target", "target", Kind::Text),
        Property::new("requestId", "request_id", Kind::Text),
        Property::new("previous", "previous", Kind::Text),
        Property::new("hash", "hash", Kind::Text),
        Property::shown("before"),
        Property::shown("after"),
    ],
    max_top: PAGE,
    searchable: false,
};

/// A page of the log.
pub struct Entries {
    pub entries: Vec<AuditEntry>,
    /// How many match in all, if that was asked.
    pub count: Option<u64>,
    /// The number that the next page begins behind; none after the last.
    pub next: Option<i64>,
}

/// The log of one tenant, and the key that seals it.
pub struct Audit {
    catalog: Arc<Catalog>,
    key: SealKey,
    exports: Arc<Semaphore>,
}

impl Audit {
    /// # Errors
    /// When the key cannot be had or made.
    pub async fn open(
        catalog: Arc<Catalog>,
        key_file: Option<&Path>,
        tenant: &str,
        now: Timestamp,
    ) -> Result<Audit, Error> {
        let key = SealKey::ensure(&catalog, key_file, tenant, now).await?;
        let audit = Audit { catalog, key, exports: Arc::new(Semaphore::new(EXPORTS)) };
        if let Some(note) = audit.newest().await?
            && let Err(e) = Checkpoint::open(&note, &[audit.key.public().clone()], key::check)
        {
            tracing::warn!(
                key = %audit.key.public(),
                "the newest checkpoint of the audit log is not of the key in use: {e}"
            );
        }
        Ok(audit)
    }

    /// The key that checkpoints are verified with.
    pub fn key(&self) -> &PublicKey {
        self.key.public()
    }

    /// Seals the log as it is now. The new checkpoint, or `None` where it has one already.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn seal(&self, now: Timestamp) -> Result<Option<CheckpointRow>, Error> {
        let head =
            self.catalog.read(|tx| Box::pin(async move { Ok::<_, Error>(audit::head(tx).await?) })).await?;
        let Some(head) = head.filter(|head| head.number > head.sealed) else { return Ok(None) };
        let checkpoint = CheckpointRow { number: head.number, note: self.key.seal(head.number, &head.hash)? };
        let row = checkpoint.clone();
        let made = self
            .catalog
            .write(move |tx| {
                Box::pin(async move { Ok::<_, Error>(checkpoints::insert(tx, &row, now).await?) })
            })
            .await?;
        Ok(made.then_some(checkpoint))
    }

    /// The newest checkpoint.
    pub async fn newest(&self) -> Result<Option<String>, Error> {
        let row = self
            .catalog
            .read(|tx| Box::pin(async move { Ok::<_, Error>(checkpoints::newest(tx).await?) }))
            .await?;
        Ok(row.map(|row| row.note))
    }

    /// One page of what a query asks for.
    ///
    /// # Errors
    /// `OData` when it asks for another order than that of numbers, or the page's token is none.
    pub async fn list(&self, query: Query) -> Result<Entries, Error> {
        let descending = match query.order_by.as_slice() {
            [] => false,
            [order] if order.property.name == "number" => order.descending,
            _ => return Err(Error::OData("`$orderby`: entries are ordered by `number` alone".into())),
        };
        let behind = query.skip_token.as_deref().map(behind).transpose()?;
        let mut params = Vec::new();
        let filter = query.filter.as_ref().map(|filter| filter.to_sql(&mut params));
        let limit = query.top.unwrap_or(PAGE);
        let mut page = Page {
            filter: filter.map(|sql| (sql, params.into_iter().map(value).collect())),
            behind,
            descending,
            limit: limit + 1,
            // The next pages begin behind what was skipped.
            offset: if behind.is_some() { 0 } else { query.skip },
        };
        let (mut entries, count) = self
            .catalog
            .snapshot(move |tx| {
                Box::pin(async move {
                    let entries = if limit == 0 { Vec::new() } else { audit::list(tx, &page).await? };
                    page.behind = None;
                    let count = if query.count { Some(audit::count(tx, &page).await?) } else { None };
                    Ok::<_, Error>((entries, count))
                })
            })
            .await?;
        let more = entries.len() as u64 > limit;
        entries.truncate(limit as usize);
        // A client that says `$top` turns the pages itself.
        let next = if more && query.top.is_none() { entries.last().map(|entry| entry.number) } else { None };
        Ok(Entries { entries, count, next })
    }

    /// The log behind the entry `after` as it is now, as lines of JSON, each checkpoint behind the entry it covers.
    ///
    /// # Errors
    /// `Crowded` when enough of them are under way; when the database fails. Later the stream ends with an error.
    pub async fn export(
        &self,
        after: i64,
    ) -> Result<impl Stream<Item = Result<Vec<u8>, Error>> + Send + use<>, Error> {
        let permit = Arc::clone(&self.exports).try_acquire_owned().map_err(|_| Error::Crowded)?;
        let catalog = Arc::clone(&self.catalog);
        let reader = Reader::open(&catalog, after).await?;
        Ok(try_unfold((catalog, reader, permit), |(catalog, mut reader, permit)| async move {
            let lines = reader.lines(&catalog).await?;
            Ok(if lines.is_empty() { None } else { Some((lines, (catalog, reader, permit))) })
        }))
    }
}

fn behind(token: &str) -> Result<i64, Error> {
    let number = token.parse().ok().filter(|number| *number >= 0);
    number.ok_or_else(|| {
        Error::OData(
            "`$skiptoken` is not one that this server made: follow `@odata.nextLink` as it is".into(),
        )
    })
}
