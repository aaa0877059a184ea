//! The log in the database against its own chain, its checkpoints, and what the tenant's row says is its end.

use jumpbag_wire::audit::{Fault, Verified, Verifier};

use super::read::{Item, Reader};
use crate::catalog::Catalog;
use crate::catalog::audit::Head;
use crate::catalog::checkpoints::CheckpointRow;
use crate::error::Error;

/// Verifies every entry and checkpoint up to the end that the log has when it begins. `progress` is told how many
/// entries are done.
///
/// # Errors
/// When the database cannot be read. What is wrong with the log is the inner result.
pub async fn verify(
    catalog: &Catalog,
    mut verifier: Verifier,
    progress: impl Fn(u64),
) -> Result<Result<Verified, Fault>, Error> {
    let mut reader = Reader::open(catalog, 0).await?;
    loop {
        let items = reader.next(catalog).await?;
        if items.is_empty() {
            break;
        }
        for item in items {
            if let Err(fault) = take(&mut verifier, item) {
                return Ok(Err(fault));
            }
        }
        progress(verifier.so_far().entries);
    }
    Ok(ends(verifier.so_far(), &reader.head).and_then(|()| verifier.finish()))
}

fn take(verifier: &mut Verifier, item: Item) -> Result<(), Fault> {
    match item {
        Item::Entry(row) => match *row {
            (_, Ok(entry)) => verifier.entry(&entry),
            (number, Err(e)) => Err(Fault::at(number, format!("altered: {e}"))),
        },
        Item::Checkpoint(CheckpointRow { number, note }) => {
            // The row's number is not signed: the note's is.
            if number < verifier.so_far().last {
                let last = verifier.so_far().last;
                return Err(Fault::at(
                    number,
                    format!("a checkpoint's row says that it covers it, and entry {last} is there"),
                ));
            }
            verifier.checkpoint(&note)?;
            if number != verifier.so_far().last {
                return Err(Fault::at(
                    number,
                    format!("the checkpoint in its row covers entry {}", verifier.so_far().last),
                ));
            }
            Ok(())
        }
    }
}

/// The last entry is the tenant's last change.
fn ends(found: &Verified, head: &Head) -> Result<(), Fault> {
    let Head { number, hash, last, .. } = head;
    if found.last < *number {
        let why = format!("missing: the last change has the number {number}, the last entry {}", found.last);
        return Err(Fault::within(found.last.saturating_add(1), *number, why));
    }
    if found.head != *hash {
        let why = format!("altered: its hash is {}, the last change has {hash}", found.head);
        return Err(Fault::at(found.last, why));
    }
    if last > number {
        let why = format!("inserted: the last change has the number {number}");
        return Err(Fault::within(number.saturating_add(1), *last, why));
    }
    Ok(())
}
