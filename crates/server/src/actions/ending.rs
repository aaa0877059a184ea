//! How commands end: a machine's word for it counts once, and only for output that is here as the machine had it.

use jumpbag_wire::action::{ActionStatus, CommandStatus};
use jumpbag_wire::agent::{CommandId, Outcome, OutputEnd, Stream};
use jumpbag_wire::time::Timestamp;

use super::measure::{Measured, STREAMS};
use super::over::finish;
use super::{Actions, of_machine};
use crate::catalog::Tx;
use crate::catalog::actions::{self, OutputId};
use crate::catalog::audit::{self, Actor};
use crate::error::Error;

/// Errors of a command that are kept, and characters of each.
const MAX_ERRORS: usize = 50;
const MAX_ERROR: usize = 2000;
/// How often output may grow under the hands of whoever measures it.
const ATTEMPTS: usize = 3;

/// What became of a machine's word that a command has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It counts, or did before, or there is no such command of this machine: nothing is left to say.
    Recorded,
    /// Output is missing: up to where each stream is here.
    Missing(Vec<(Stream, u64)>),
}

/// The output of a command, as it is now.
struct Kept {
    id: OutputId,
    size: u64,
}

impl Actions {
    /// A machine says how a command ended. It counts once, and not before the output is here that it tells of.
    ///
    /// # Errors
    /// `InvalidRequestBody` when it tells of a stream twice.
    pub async fn finished(
        &self,
        machine: &str,
        command: CommandId,
        mut outcome: Outcome,
        measured: &Measured,
        now: Timestamp,
    ) -> Result<Ending, Error> {
        check(&mut outcome)?;
        for _ in 0..ATTEMPTS {
            let Some(kept) = self.kept(machine, &command).await? else { return Ok(Ending::Recorded) };
            let told = |stream| outcome.output.iter().find(|end| end.stream == stream);
            if kept.iter().any(|kept| told(kept.id.stream).is_some_and(|end| end.size > kept.size)) {
                let told = kept.iter().filter(|kept| told(kept.id.stream).is_some());
                return Ok(Ending::Missing(told.map(|kept| (kept.id.stream, kept.size)).collect()));
            }
            let mut ends = Vec::new();
            for Kept { id, size } in kept.into_iter().filter(|kept| kept.size > 0) {
                let archive = told(id.stream).is_some_and(|end| end.archive);
                ends.push(OutputEnd { archive, ..self.measure(id, size, measured).await? });
            }
            let (machine, command, outcome) = (machine.to_owned(), command.clone(), outcome.clone());
            let written = self.catalog.write(move |tx| {
                Box::pin(async move { finished(tx, machine, command, outcome, ends, now).await })
            });
            if written.await? {
                self.stirred.send_replace(());
                return Ok(Ending::Recorded);
            }
        }
        Err(Error::Internal("the output of a command grows although it has ended".into()))
    }

    /// What is here of a command that has not ended; `None` when it has, or is not this machine's.
    async fn kept(&self, machine: &str, command: &CommandId) -> Result<Option<Vec<Kept>>, Error> {
        let (machine, command) = (machine.to_owned(), command.clone());
        self.catalog
            .read(move |tx| {
                Box::pin(async move {
                    let found = of_machine(tx, &machine, &command).await?;
                    let Some((action, row)) = found.filter(|(_, row)| !row.has_ended()) else {
                        return Ok(None);
                    };
                    let mut kept = Vec::with_capacity(STREAMS.len());
                    for stream in STREAMS {
                        let id = OutputId { action: action.number, command: row.number, stream };
                        kept.push(Kept { id, size: actions::output_size(tx, id).await? });
                    }
                    Ok(Some(kept))
                })
            })
            .await
    }
}

/// Whether an outcome makes sense; what is too long in it is cut.
fn check(outcome: &mut Outcome) -> Result<(), Error> {
    let many = |stream| outcome.output.iter().filter(|end| end.stream == stream).count() > 1;
    if STREAMS.into_iter().any(many) {
        return Err(Error::InvalidRequestBody("an agent's message: a stream ends twice".into()));
    }
    outcome.errors.truncate(MAX_ERRORS);
    for error in &mut outcome.errors {
        if let Some((cut, _)) = error.char_indices().nth(MAX_ERROR) {
            error.truncate(cut);
        }
    }
    Ok(())
}

/// What is not as the machine told it.
fn differs(told: &[OutputEnd], kept: &[OutputEnd]) -> Vec<String> {
    let nothing = |stream| OutputEnd { stream, size: 0, sha256: String::new(), archive: false };
    let of = |ends: &[OutputEnd], stream| {
        ends.iter().find(|end| end.stream == stream).cloned().unwrap_or_else(|| nothing(stream))
    };
    let differences = STREAMS.into_iter().filter_map(|stream| {
        let (told, kept) = (of(told, stream), of(kept, stream));
        let same = told.size == kept.size && (told.size == 0 || told.sha256 == kept.sha256);
        (!same).then(|| {
            format!(
                "the output `{}` is not what the machine had: {} bytes with the SHA-256 `{}` are here, and it told of \
                 {} bytes with `{}`",
                name(stream),
                kept.size,
                kept.sha256,
                told.size,
                told.sha256.chars().take(64).collect::<String>().escape_debug()
            )
        })
    });
    differences.collect()
}

fn name(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
        Stream::File => "file",
    }
}

/// `false` when there is more output than was measured.
async fn finished(
    tx: &mut Tx,
    machine: String,
    command: CommandId,
    outcome: Outcome,
    ends: Vec<OutputEnd>,
    now: Timestamp,
) -> Result<bool, Error> {
    audit::wait(tx).await?;
    let Some((action, mut row)) = of_machine(tx, &machine, &command).await? else { return Ok(true) };
    if row.has_ended() {
        return Ok(true);
    }
    for stream in STREAMS {
        let id = OutputId { action: action.number, command: row.number, stream };
        let measured = ends.iter().find(|end| end.stream == stream).map_or(0, |end| end.size);
        if actions::output_size(tx, id).await? != measured {
            return Ok(false);
        }
    }
    let differences = differs(&outcome.output, &ends);
    let succeeded = outcome.succeeded && differences.is_empty();
    row.status = if succeeded { CommandStatus::Completed } else { CommandStatus::Failed };
    row.started_at = row.started_at.or(outcome.started.map(|at| at.min(now)));
    row.ended_at = Some(outcome.ended.min(now));
    row.errors = outcome.errors.into_iter().chain(differences).collect();
    row.exit_code = outcome.exit_code;
    row.ends = Some(ends);
    actions::set_command(tx, action.number, &row).await?;
    if action.status.is_final() {
        // It was cancelled, or given up: what its machine says later is kept, its status too.
        return Ok(true);
    }
    let is_last = action.commands.last().is_some_and(|last| last.number == row.number);
    if succeeded && !is_last {
        actions::set_status(tx, action.number, ActionStatus::InProgress, now).await?;
        return Ok(true);
    }
    let status = if succeeded { ActionStatus::Succeeded } else { ActionStatus::Failed };
    let actor = Actor {
        name: action.machine_name.clone(),
        id: format!("machine {machine}"),
        address: None,
        request_id: action.id.clone(),
    };
    finish(tx, &action, status, None, &actor, now).await?;
    Ok(true)
}
