//! `actions`: what machines were asked to do, how far it is, and what came of it.

mod result;

use clap::{Subcommand, ValueEnum};

use super::Context;
use super::files::short;
use super::run::watch::Watch;
use super::run::{How, who};
use crate::client::machines::{Action, Step, quoted};
use crate::client::{Client, Entity};
use crate::failure::{Failure, Status};
use crate::output::{CHANGED, Output, shown};
use crate::work::{Worked, each};

#[derive(Subcommand)]
pub enum Command {
    /// List actions, the newest first
    List(List),
    /// Show all about one action
    Show { id: String },
    /// End actions that have not ended
    Cancel(Cancel),
    /// Print what a script said, or save a file that was fetched
    Result(result::Wanted),
    /// Follow an action to its end
    Follow(Follow),
}

#[derive(clap::Args)]
pub struct List {
    /// Of this machine, by name or id
    #[arg(long, short, value_name = "NAME")]
    machine: Option<String>,
    /// With this status
    #[arg(long, value_name = "STATUS", ignore_case = true)]
    status: Option<WantedStatus>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    top: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum WantedStatus {
    #[value(name = "Pending")]
    Pending,
    #[value(name = "InProgress")]
    InProgress,
    #[value(name = "Succeeded")]
    Succeeded,
    #[value(name = "Failed")]
    Failed,
    #[value(name = "TimeOut")]
    TimeOut,
    #[value(name = "Cancelled")]
    Cancelled,
}

#[derive(clap::Args)]
pub struct Cancel {
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

#[derive(clap::Args)]
pub struct Follow {
    id: String,
    #[command(flatten)]
    how: How,
}

/// Actions that are ended at a time.
const JOBS: usize = 4;

pub async fn run(context: &Context, command: Command) -> Result<Status, Failure> {
    let client = context.client()?;
    match command {
        Command::List(list) => self::list(context.output, &client, list).await,
        Command::Show { id } => show(context.output, &client, &id).await,
        Command::Cancel(cancel) => self::cancel(context.output, client, cancel).await,
        Command::Result(result) => result::run(context.output, &client, result).await,
        Command::Follow(follow) => self::follow(context.output, &client, follow).await,
    }
}

async fn list(output: Output, client: &Client, list: List) -> Result<Status, Failure> {
    let mut conditions = Vec::new();
    if let Some(name) = &list.machine {
        conditions.push(format!("machineId eq {}", quoted(&client.machine(name).await?.is.id)));
    }
    if let Some(status) = list.status.as_ref().and_then(WantedStatus::to_possible_value) {
        conditions.push(format!("status eq {}", quoted(status.get_name())));
    }
    let filter = conditions.join(" and ");
    let actions = client.actions(Some(filter.as_str()).filter(|filter| !filter.is_empty()), list.top).await?;
    if output.json {
        output.json(&actions.iter().map(|action| &action.raw).collect::<Vec<_>>())?;
        return Ok(Status::Done);
    }
    let rows = actions.iter().map(|Entity { is, .. }| {
        [
            is.id.clone(),
            is.name().to_owned(),
            is.status.clone(),
            is.creation_date_time_utc.map(short).unwrap_or_default(),
            what(is),
            is.requestor_comment.clone().unwrap_or_default(),
        ]
    });
    output.table(["id", "machine", "status", "asked", "what", "comment"], rows.collect())?;
    Ok(Status::Done)
}

/// An action in a few words.
fn what(action: &Action) -> String {
    let of = |step: &Step| match step.command.kind.as_str() {
        "PutFile" => format!("put {}", step.command.about()),
        "RunScript" => format!("run {}", step.command.about()),
        "GetFile" => format!("get {}", step.command.about()),
        other => other.to_owned(),
    };
    match action.commands.is_empty() {
        true => action.kind.clone().unwrap_or_default(),
        false => action.commands.iter().map(of).collect::<Vec<_>>().join(", "),
    }
}

async fn show(output: Output, client: &Client, id: &str) -> Result<Status, Failure> {
    let Entity { raw, is } = client.action(id).await?;
    if output.json {
        output.json(&raw)?;
        return Ok(Status::Done);
    }
    let time =
        |time: Option<jumpbag_wire::time::Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    output.facts(&[
        ("id", is.id.clone()),
        ("machine", is.name().to_owned()),
        ("machine id", is.machine_id.clone()),
        ("status", is.status.clone()),
        ("asked", time(is.creation_date_time_utc)),
        ("changed", time(is.last_update_date_time_utc)),
        ("by", text(&is.requestor)),
        ("comment", text(&is.requestor_comment)),
        ("cancelled by", text(&is.cancellation_requestor)),
        ("because", text(&is.cancellation_comment)),
    ])?;
    let rows = is.commands.iter().map(|step| {
        let args = step.command.param("Args").or(step.command.param("ArgsList")).unwrap_or_default();
        [
            step.index.to_string(),
            step.command.kind.clone(),
            [step.command.about(), args].join(" ").trim_end().to_owned(),
            step.command_status.clone(),
            step.exit_code.map(|code| code.to_string()).unwrap_or_default(),
            step.start_time.map(short).unwrap_or_default(),
            step.end_time.map(short).unwrap_or_default(),
            step.errors.join("; "),
        ]
    });
    if !is.commands.is_empty() {
        let headings = ["command", "type", "what", "status", "exit code", "started", "ended", "errors"];
        output.line("")?;
        output.table(headings, rows.collect())?;
    }
    Ok(Status::Done)
}

async fn cancel(output: Output, mut client: Client, cancel: Cancel) -> Result<Status, Failure> {
    let comment = cancel.comment.unwrap_or_else(|| format!("jumpbag actions cancel by {}", who()));
    client.progress.start(cancel.ids.len() as u64, "cancelled");
    let client = &client;
    let work = async |id: &String| {
        let action = client.cancel(id, &comment).await?;
        if action.is.status != "Cancelled" {
            return Err(Failure::Here(format!("it has ended already: {}", action.is.status)));
        }
        let said = format!("{CHANGED}{}{CHANGED:#}: {}", shown(id), shown(&action.is.status));
        Ok(Worked { said, json: Some(action.raw) })
    };
    let done = each(&client.progress, JOBS, &cancel.ids, |id| id.clone(), work).await;
    client.progress.finish();
    done?.finish(output)
}

async fn follow(output: Output, client: &Client, follow: Follow) -> Result<Status, Failure> {
    let action = client.action(&follow.id).await?;
    let machines = [(action.is.name().to_owned(), action.is.machine_id.clone())];
    let watch = Watch::new(output, client, &follow.how, &machines)?;
    watch.started(0, action);
    let timeout = follow.how.timeout.map(std::time::Duration::from_secs);
    let status = watch.all(timeout, async |place| watch.follow(place).await).await;
    watch.json()?;
    status
}
