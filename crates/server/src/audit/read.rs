//! The whole log from one number on, in order, each checkpoint behind the entry it covers. Read in small steps, so that
//! neither memory nor a transaction grows with the log; it ends where the log ended when the reading began.

use std::collections::VecDeque;

use serde_json::json;

use crate::catalog::Catalog;
use crate::catalog::audit::{self, Examined, Head};
use crate::catalog::checkpoints::{self, CheckpointRow};
use crate::error::Error;

/// Entries read at a time: each may hold all that is said of a file twice, up to some hundred KiB.
const BATCH: i64 = 100;

/// What the log is made of.
pub enum Item {
    Entry(Box<Examined>),
    Checkpoint(CheckpointRow),
}

pub struct Reader {
    /// Where the log ended.
    pub head: Head,
    /// The last number read.
    after: i64,
    /// The first number whose checkpoint was not read.
    unsealed: i64,
    done: bool,
}

impl Reader {
    /// Begins behind the entry `after`, with the checkpoint over it.
    pub async fn open(catalog: &Catalog, after: i64) -> Result<Reader, Error> {
        let head = catalog.read(|tx| Box::pin(async move { Ok::<_, Error>(audit::head(tx).await?) })).await?;
        let head = head.ok_or_else(|| Error::NotFound("no installation was begun here".into()))?;
        Ok(Reader { head, after, unsealed: after, done: false })
    }

    /// The next items; none at the end.
    pub async fn next(&mut self, catalog: &Catalog) -> Result<Vec<Item>, Error> {
        if self.done {
            return Ok(Vec::new());
        }
        let (after, from, last, sealed) = (self.after, self.unsealed, self.head.number, self.head.sealed);
        let (rows, seals, end) = catalog
            .snapshot(move |tx| {
                Box::pin(async move {
                    let mut rows = audit::examine(tx, after, BATCH).await?;
                    rows.retain(|(number, _)| *number <= last);
                    let end = if rows.len() < BATCH as usize { None } else { rows.last().map(|row| row.0) };
                    let seals = checkpoints::between(tx, from, end.unwrap_or(last.max(sealed))).await?;
                    Ok::<_, Error>((rows, seals, end))
                })
            })
            .await?;
        match end {
            Some(end) => (self.after, self.unsealed) = (end, end.saturating_add(1)),
            None => self.done = true,
        }
        Ok(interleave(rows, seals))
    }

    /// The next items as lines of an export; empty at the end.
    ///
    /// # Errors
    /// When the database fails, or holds a row that is no entry.
    pub async fn lines(&mut self, catalog: &Catalog) -> Result<Vec<u8>, Error> {
        let failed = |e: serde_json::Error| Error::Internal(e.to_string());
        let mut lines = Vec::new();
        for item in self.next(catalog).await? {
            match item {
                Item::Entry(row) => match *row {
                    (_, Ok(entry)) => serde_json::to_writer(&mut lines, &entry).map_err(failed)?,
                    (number, Err(e)) => {
                        return Err(Error::Internal(format!("entry {number} of the audit log: {e}")));
                    }
                },
                Item::Checkpoint(row) => {
                    serde_json::to_writer(&mut lines, &json!({ "checkpoint": row.note })).map_err(failed)?;
                }
            }
            lines.push(b'\n');
        }
        Ok(lines)
    }
}

fn interleave(rows: Vec<Examined>, seals: Vec<CheckpointRow>) -> Vec<Item> {
    let mut items = Vec::with_capacity(rows.len() + seals.len());
    let mut seals = VecDeque::from(seals);
    for row in rows {
        while let Some(seal) = seals.pop_front_if(|seal| seal.number < row.0) {
            items.push(Item::Checkpoint(seal));
        }
        items.push(Item::Entry(Box::new(row)));
    }
    items.extend(seals.into_iter().map(Item::Checkpoint));
    items
}
