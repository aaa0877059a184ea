//! MACHINE ACTIONS: create, assign, report, end: the state machine. An action is bound to the bytes that its
//! library files had when it was made; it goes from pending over in progress to one final status, and stays there.

mod args;
mod ending;
pub mod live;
pub mod measure;
pub mod output;
mod over;
mod quote;
mod request;
pub mod result;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jumpbag_wire::action::{ActionCommand, ActionStatus, Command, CommandStatus, MachineAction};
use jumpbag_wire::agent::{AssignedContent, Assignment, CommandId, assignment_text};
use jumpbag_wire::time::Timestamp;
use tokio::sync::watch;

use crate::agents::AgentKey;
use crate::blobs::BlobStore;
use crate::catalog::actions::{self, ActionRow, CommandRow};
use crate::catalog::audit::{self, Actor};
use crate::catalog::{Catalog, Tx};
use crate::error::Error;
use crate::library::ContentRef;
use crate::listed::{Listed, paged};
use crate::odata::{EntitySet, Kind, Property, Query};

pub use ending::Ending;
pub use over::end_all_of;
pub use request::{NewAction, NewCommand};

/// What the operator decided about actions.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Whether an action may wait for another on the same machine.
    pub queue: bool,
    /// Actions that may be open at a time.
    pub sessions: u64,
    /// How long an action may wait for its machine, in seconds.
    pub queue_seconds: i64,
    /// How long a command may run, in seconds.
    pub script_seconds: u64,
    /// How long an action and what it brought are kept once it is final, in days; for good if nothing is said.
    pub retention_days: Option<i64>,
}

/// What may be asked of the collection.
pub static SET: EntitySet = EntitySet {
    name: "MachineActions",
    properties: &[
        Property::new("id", "a.id", Kind::Text),
        Property::new("type", "(cast('LiveResponse' as text) collate \"C\")", Kind::Text),
        Property::new("requestor", "a.requestor", Kind::Text),
        Property::new("requestorComment", "a.comment", Kind::Text),
        Property::new("status", "a.status", Kind::Text),
        Property::new("machineId", "a.machine", Kind::Text),
        Property::new("computerDnsName", "a.machine_name", Kind::Text),
        Property::new("creationDateTimeUtc", "a.created_at", Kind::Time),
        Property::new("lastUpdateDateTimeUtc", "a.updated_at", Kind::Time),
        Property::new("cancellationRequestor", "a.cancelled_by", Kind::Text),
        Property::new("cancellationDateTimeUtc", "a.cancelled_at", Kind::Time),
        Property::shown("title"),
        Property::shown("cancellationComment"),
        Property::shown("errorHResult"),
        Property::shown("scope"),
        Property::shown("externalId"),
        Property::shown("requestSource"),
        Property::shown("relatedFileInfo"),
        Property::shown("commands"),
        Property::shown("troubleshootInfo"),
    ],
    max_top: MAX_PAGE,
    searchable: false,
};
/// Actions that are told of one version.
const RUNS: i64 = 1000;
/// Actions of a page.
const MAX_PAGE: u64 = 10_000;

#[derive(Clone)]
pub struct Actions {
    catalog: Arc<Catalog>,
    blobs: BlobStore,
    rules: Rules,
    /// Something came in from a machine, or an action ended.
    stirred: Arc<watch::Sender<()>>,
}

/// What an agent is to be told.
#[derive(Debug, Clone)]
pub struct Assigned {
    pub command: CommandId,
    pub assignment: String,
    pub signature: String,
}

impl Actions {
    pub fn new(catalog: Arc<Catalog>, blobs: BlobStore, rules: Rules) -> Actions {
        Actions { catalog, blobs, rules, stirred: Arc::new(watch::Sender::new(())) }
    }

    /// Makes an action, bound to the library as it is now.
    ///
    /// # Errors
    /// `NotFound` without such a machine; `InvalidInput` when a library file is missing; `ActiveRequest` when the
    /// machine is busy; `TooManyRequests` when too many actions are open.
    pub async fn create(
        &self,
        machine: &str,
        new: NewAction,
        actor: Actor,
        now: Timestamp,
    ) -> Result<MachineAction, Error> {
        let (machine, rules) = (machine.to_owned(), self.rules.clone());
        let row =
            self.catalog.write(move |tx| Box::pin(request::commit(tx, machine, new, rules, actor, now)));
        row.await.map(shown)
    }

    pub async fn find(&self, id: &str) -> Result<MachineAction, Error> {
        self.row(id).await.map(shown)
    }

    async fn row(&self, id: &str) -> Result<ActionRow, Error> {
        let wanted = known(id)?;
        let row = self.catalog.read(move |tx| Box::pin(async move { found(tx, &wanted).await }));
        row.await
    }

    /// One page of what a query asks for.
    pub async fn list(&self, query: Query) -> Result<Listed<MachineAction>, Error> {
        let (page, limit) = paged(&query, MAX_PAGE)?;
        let rows = self.catalog.snapshot(move |tx| {
            Box::pin(async move {
                let rows = actions::list(tx, &page).await?;
                let count = if query.count { Some(actions::count(tx, &page).await?) } else { None };
                Ok::<_, Error>(Listed::new(rows, count, limit, &query))
            })
        });
        Ok(rows.await?.map(shown))
    }

    /// The newest actions that were bound to a version of a library file.
    pub async fn runs(&self, file: &str, version: u64) -> Result<Vec<MachineAction>, Error> {
        let (file, version) = (file.parse().unwrap_or(-1), i64::try_from(version).unwrap_or(-1));
        let rows = self.catalog.snapshot(move |tx| {
            Box::pin(async move { Ok::<_, Error>(actions::runs(tx, file, version, RUNS).await?) })
        });
        Ok(rows.await?.into_iter().map(shown).collect())
    }

    /// What a machine is to do next: the first command that has not ended of its oldest open action.
    pub async fn next(
        &self,
        machine: &str,
        key: &AgentKey,
        now: Timestamp,
    ) -> Result<Option<Assigned>, Error> {
        let (id, script_seconds) = (machine.to_owned(), self.rules.script_seconds);
        let open = self.catalog.write(move |tx| {
            Box::pin(async move {
                audit::wait(tx).await?;
                let Some(action) = actions::open(tx, &id).await? else { return Ok(None) };
                if action.status == ActionStatus::Pending && action.deadline < now {
                    // It is about to be ended.
                    return Ok(None);
                }
                let command = action.commands.iter().find(|command| !command.has_ended()).cloned();
                // One that its machine has begun is told of once: whoever else holds its key must not begin it again.
                let Some(mut command) = command.filter(|command| command.status != CommandStatus::Executing)
                else {
                    return Ok(None);
                };
                if command.status == CommandStatus::Created {
                    command.status = CommandStatus::Submitted;
                    actions::set_command(tx, action.number, &command).await?;
                }
                Ok::<_, Error>(Some((action, command)))
            })
        });
        let Some((action, command)) = open.await? else { return Ok(None) };
        let id = command_id(&action, &command);
        let assignment = Assignment {
            machine_id: action.machine,
            command: id.clone(),
            kind: command.kind,
            content: command.file.map(|file| AssignedContent {
                name: file.file_name,
                sha256: file.sha256,
                size: file.size,
            }),
            args: command.args,
            path: command.path,
            timeout_seconds: script_seconds,
            not_after: action.deadline,
        };
        let assignment = serde_json::to_string(&assignment).map_err(|e| Error::Internal(e.to_string()))?;
        let signature = BASE64.encode(key.sign(&assignment_text(&assignment)));
        Ok(Some(Assigned { command: id, assignment, signature }))
    }

    /// A machine says that it has started a command; `false` when it is to stop it.
    pub async fn started(
        &self,
        machine: &str,
        command: CommandId,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let machine = machine.to_owned();
        self.catalog
            .write(move |tx| {
                Box::pin(async move {
                    audit::wait(tx).await?;
                    let Some((action, mut row)) = of_machine(tx, &machine, &command).await? else {
                        return Ok(false);
                    };
                    if action.status.is_final() || row.has_ended() {
                        return Ok(false);
                    }
                    row.status = CommandStatus::Executing;
                    row.started_at = Some(at.min(now));
                    actions::set_command(tx, action.number, &row).await?;
                    actions::set_status(tx, action.number, ActionStatus::InProgress, now).await?;
                    Ok(true)
                })
            })
            .await
    }

    /// The bytes that a command of a machine is bound to; `None` when it is not to be run any more.
    pub async fn content(&self, machine: &str, command: CommandId) -> Result<Option<ContentRef>, Error> {
        let machine = machine.to_owned();
        self.catalog
            .read(move |tx| {
                Box::pin(async move {
                    let found = of_machine(tx, &machine, &command).await?;
                    let found = found.filter(|(action, row)| !action.status.is_final() && !row.has_ended());
                    let file = found.and_then(|(_, row)| row.file);
                    Ok(file.map(|file| ContentRef {
                        file_name: file.file_name,
                        sha256: file.sha256,
                        size: file.size,
                    }))
                })
            })
            .await
    }

    /// Whether a command of a machine is not to be run any more.
    pub async fn is_over(&self, machine: &str, command: CommandId) -> Result<bool, Error> {
        let machine = machine.to_owned();
        self.catalog
            .read(move |tx| {
                Box::pin(async move {
                    let found = of_machine(tx, &machine, &command).await?;
                    Ok(found.is_none_or(|(action, row)| action.status.is_final() || row.has_ended()))
                })
            })
            .await
    }
}

/// An id that may be one.
fn known(id: &str) -> Result<String, Error> {
    match uuid::Uuid::parse_str(id) {
        Ok(id) => Ok(id.to_string()),
        Err(_) => Err(absent(id)),
    }
}

fn absent(id: &str) -> Error {
    let shown: String = id.chars().take(60).collect();
    Error::NotFound(format!("Machine action {} was not found", shown.escape_debug()))
}

async fn found(tx: &mut Tx, id: &str) -> Result<ActionRow, Error> {
    actions::find(tx, id).await?.ok_or_else(|| absent(id))
}

fn command_id(action: &ActionRow, command: &CommandRow) -> CommandId {
    CommandId { action: action.id.clone(), index: u32::try_from(command.number).unwrap_or(u32::MAX) }
}

/// A command that is this machine's and that it was told of. Of all others there is nothing to say to it.
async fn of_machine(
    tx: &mut Tx,
    machine: &str,
    command: &CommandId,
) -> Result<Option<(ActionRow, CommandRow)>, Error> {
    let Ok(id) = known(&command.action) else { return Ok(None) };
    let Some(action) = actions::find(tx, &id).await?.filter(|action| action.machine == machine) else {
        return Ok(None);
    };
    let row = action.commands.iter().find(|row| row.number == i64::from(command.index)).cloned();
    Ok(row.filter(|row| row.status != CommandStatus::Created).map(|row| (action, row)))
}

/// An action as the wire shows it.
pub fn shown(row: ActionRow) -> MachineAction {
    let commands = row.commands.into_iter().map(|command| ActionCommand {
        index: u32::try_from(command.number).unwrap_or(u32::MAX),
        start_time: command.started_at,
        end_time: command.ended_at,
        command_status: command.status,
        errors: command.errors,
        command: Command { kind: command.kind, params: command.params },
        library_file: command.file,
        exit_code: command.exit_code,
    });
    MachineAction {
        id: row.id,
        kind: "LiveResponse".into(),
        title: None,
        requestor: row.requestor,
        requestor_comment: row.comment,
        status: row.status,
        machine_id: row.machine,
        computer_dns_name: row.machine_name,
        creation_date_time_utc: row.created_at,
        last_update_date_time_utc: row.updated_at,
        cancellation_requestor: row.cancelled_by,
        cancellation_comment: row.cancel_comment,
        cancellation_date_time_utc: row.cancelled_at,
        error_h_result: 0,
        scope: None,
        external_id: None,
        request_source: "PublicApi".into(),
        related_file_info: None,
        commands: commands.collect(),
        troubleshoot_info: None,
    }
}
