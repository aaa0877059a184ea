//! How actions end without their machine: cancelled, out of time, with their machine's revocation; and how they go once
//! they were kept long enough.

use jumpbag_wire::action::{ActionStatus, MachineAction};
use jumpbag_wire::time::Timestamp;
use serde_json::json;

use super::{Actions, found, known, shown};
use crate::catalog::Tx;
use crate::catalog::actions::{self, ActionRow};
use crate::catalog::audit::{self, Actor, Change};
use crate::error::Error;

/// How long after the end of its time an action that began is waited for: its machine may be away, and keeps what it
/// has to say.
const SILENCE_SECS: i64 = 24 * 3600;
/// Actions that end in one step, or go.
const BATCH: i64 = 100;

impl Actions {
    /// Ends an action that is not final; one that is stays as it is.
    pub async fn cancel(
        &self,
        id: &str,
        comment: &str,
        actor: Actor,
        now: Timestamp,
    ) -> Result<MachineAction, Error> {
        let (id, comment) = (known(id)?, comment.to_owned());
        let row = self.catalog.write(move |tx| {
            Box::pin(async move {
                audit::wait(tx).await?;
                let action = found(tx, &id).await?;
                if action.status.is_final() {
                    return Ok(action);
                }
                cancel(tx, &action, &comment, &actor, now).await?;
                found(tx, &id).await
            })
        });
        let row = row.await?;
        self.stirred.send_replace(());
        Ok(shown(row))
    }

    /// Ends actions whose time is over; how many those were.
    pub async fn expire(&self, now: Timestamp) -> Result<u64, Error> {
        let begun = now.plus_secs(-(SILENCE_SECS + self.rules.script_seconds as i64));
        let ended = self.catalog.write(move |tx| {
            Box::pin(async move {
                audit::wait(tx).await?;
                let overdue = actions::overdue(tx, now, begun, BATCH).await?;
                for action in &overdue {
                    finish(tx, action, ActionStatus::TimeOut, None, &Actor::operator("expire"), now).await?;
                }
                Ok::<_, Error>(overdue.len() as u64)
            })
        });
        ended.await
    }

    /// Removes actions that were final for the time that they are kept, with all that they brought; how many those were.
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, Error> {
        let Some(days) = self.rules.retention_days else { return Ok(0) };
        let before = now.plus_secs(-days * 24 * 3600);
        let mut removed = 0;
        loop {
            let batch = self.catalog.write(move |tx| Box::pin(remove(tx, before, now))).await?;
            removed += batch;
            if batch < BATCH.unsigned_abs() {
                return Ok(removed);
            }
        }
    }
}

/// Cancels all that a machine was still to do.
pub async fn end_all_of(tx: &mut Tx, machine: &str, actor: &Actor, now: Timestamp) -> Result<(), Error> {
    while let Some(action) = actions::open(tx, machine).await? {
        cancel(tx, &action, "the machine was revoked", actor, now).await?;
    }
    Ok(())
}

async fn cancel(
    tx: &mut Tx,
    action: &ActionRow,
    comment: &str,
    actor: &Actor,
    now: Timestamp,
) -> Result<(), Error> {
    actions::set_cancelled(tx, action.number, &actor.name, comment, now).await?;
    finish(tx, action, ActionStatus::Cancelled, Some(json!({ "comment": comment })), actor, now).await
}

/// Gives an action its final status and lets go of what it was bound to.
pub(super) async fn finish(
    tx: &mut Tx,
    action: &ActionRow,
    status: ActionStatus,
    why: Option<serde_json::Value>,
    actor: &Actor,
    now: Timestamp,
) -> Result<(), Error> {
    let mut turn = audit::turn(tx).await?;
    actions::set_status(tx, action.number, status, now).await?;
    actions::set_ended(tx, action.number, turn.number).await?;
    actions::unpin(tx, &mut turn, action.number, now).await?;
    let change = Change {
        action: if status == ActionStatus::Cancelled { "action.cancel" } else { "action.end" },
        target: &action.id,
        before: Some(json!({ "status": action.status })),
        after: Some(json!({ "status": status, "machine": action.machine, "why": why })),
    };
    Ok(audit::append(tx, now, actor, turn, change).await?)
}

/// Removes a batch of actions that became final before a time.
async fn remove(tx: &mut Tx, before: Timestamp, now: Timestamp) -> Result<u64, Error> {
    audit::wait(tx).await?;
    let old = actions::final_before(tx, before, BATCH).await?;
    for action in &old {
        let turn = audit::turn(tx).await?;
        actions::remove(tx, action.number, now).await?;
        let brought: Vec<_> = action.commands.iter().map(|command| &command.ends).collect();
        let change = Change {
            action: "action.remove",
            target: &action.id,
            before: Some(json!({ "status": action.status, "machine": action.machine, "output": brought })),
            after: None,
        };
        audit::append(tx, now, &Actor::operator("sweep"), turn, change).await?;
    }
    Ok(old.len() as u64)
}
