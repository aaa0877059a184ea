//! `machines`: which there are, and their tags.

use clap::Subcommand;
use glob::MatchOptions;

use super::Context;
use super::files::short;
use crate::client::machines::{Machine, quoted};
use crate::client::{Client, Entity};
use crate::failure::{Failure, Status};
use crate::folder::manifest::pattern;
use crate::output::{CHANGED, GOOD, Output, shown};
use crate::work::{Worked, each};

#[derive(Subcommand)]
pub enum Command {
    /// List the machines, or what matches
    List(List),
    /// Show all about one machine
    Show {
        /// Its name or id
        machine: String,
    },
    /// Add tags to machines, or take them away
    Tag(Tag),
}

#[derive(clap::Args)]
pub struct List {
    /// Names, or patterns such as 'web*'; all machines when there is none
    names: Vec<String>,
    /// Machines with this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// A condition in OData, such as "startswith(osPlatform,'Windows') and healthStatus eq 'Active'"
    #[arg(long, value_name = "CONDITION")]
    filter: Option<String>,
}

#[derive(clap::Args)]
pub struct Tag {
    /// Names or ids
    #[arg(required = true, value_name = "MACHINE")]
    machines: Vec<String>,
    /// A tag to add; may be given again
    #[arg(long, value_name = "TAG", required_unless_present = "remove")]
    add: Vec<String>,
    /// A tag to take away; may be given again
    #[arg(long, value_name = "TAG")]
    remove: Vec<String>,
}

/// Machines that are tagged at a time.
const JOBS: usize = 4;

pub async fn run(context: &Context, command: Command) -> Result<Status, Failure> {
    let client = context.client()?;
    match command {
        Command::List(list) => self::list(context.output, &client, list).await,
        Command::Show { machine } => show(context.output, &client, &machine).await,
        Command::Tag(tag) => self::tag(context.output, client, tag).await,
    }
}

async fn list(output: Output, client: &Client, list: List) -> Result<Status, Failure> {
    let filter = match (list.tag.as_deref().map(tagged), list.filter) {
        (Some(tag), Some(filter)) => Some(format!("{tag} and ({filter})")),
        (tag, filter) => tag.or(filter),
    };
    let any_case = MatchOptions { case_sensitive: false, ..MatchOptions::new() };
    let patterns = list.names.iter().map(|name| pattern(name)).collect::<Result<Vec<_>, _>>()?;
    let mut machines = client.machines(filter.as_deref()).await?;
    machines.retain(|machine| {
        let is = |pattern: &glob::Pattern| {
            pattern.matches_with(machine.is.name(), any_case)
                || pattern.matches_with(&machine.is.id, any_case)
        };
        patterns.is_empty() || patterns.iter().any(is)
    });
    if output.json {
        output.json(&machines.iter().map(|machine| &machine.raw).collect::<Vec<_>>())?;
        return Ok(Status::Done);
    }
    let rows = machines.iter().map(|Entity { is, .. }| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        [
            is.name().to_owned(),
            is.id.clone(),
            text(&is.os_platform),
            text(&is.health_status),
            is.last_seen.map(short).unwrap_or_default(),
            is.machine_tags.join(","),
        ]
    });
    output.table(["name", "id", "system", "health", "last seen", "tags"], rows.collect())?;
    Ok(Status::Done)
}

/// The condition that a machine has a tag.
pub fn tagged(tag: &str) -> String {
    format!("machineTags/any(t: t eq {})", quoted(tag))
}

async fn show(output: Output, client: &Client, name: &str) -> Result<Status, Failure> {
    let Entity { raw, is } = client.machine(name).await?;
    if output.json {
        output.json(&raw)?;
        return Ok(Status::Done);
    }
    let time =
        |time: Option<jumpbag_wire::time::Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    output.facts(&[
        ("name", is.name().to_owned()),
        ("id", is.id.clone()),
        ("system", is.os_platform.unwrap_or_default()),
        ("version", [is.version, is.os_version].into_iter().flatten().collect::<Vec<_>>().join(", ")),
        ("processor", is.os_processor.unwrap_or_default()),
        ("agent", is.agent_version.unwrap_or_default()),
        ("health", is.health_status.unwrap_or_default()),
        ("first seen", time(is.first_seen)),
        ("last seen", time(is.last_seen)),
        ("address", is.last_ip_address.unwrap_or_default()),
        ("seen from", is.last_external_ip_address.unwrap_or_default()),
        ("tags", is.machine_tags.join(", ")),
    ])?;
    Ok(Status::Done)
}

async fn tag(output: Output, mut client: Client, tag: Tag) -> Result<Status, Failure> {
    client.progress.start(tag.machines.len() as u64, "tagged");
    let client = &client;
    let changes: Vec<(&str, bool)> = tag
        .add
        .iter()
        .map(|tag| (tag.as_str(), true))
        .chain(tag.remove.iter().map(|tag| (tag.as_str(), false)))
        .collect();
    let work = async |name: &String| {
        let mut last: Option<Entity<Machine>> = None;
        for (tag, add) in &changes {
            last = Some(client.tag(name, tag, *add).await?);
        }
        let tags = last.as_ref().map(|last| last.is.machine_tags.join(", ")).unwrap_or_default();
        let said = format!("{GOOD}{}{GOOD:#}: {CHANGED}{}{CHANGED:#}", shown(name), shown(&tags));
        Ok(Worked { said, json: last.map(|last| last.raw) })
    };
    let done = each(&client.progress, JOBS, &tag.machines, |name| name.clone(), work).await;
    client.progress.finish();
    done?.finish(output)
}
