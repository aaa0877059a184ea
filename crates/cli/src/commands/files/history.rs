//! What was: versions, what differs between them, and the way back.

use std::path::PathBuf;

use jumpbag_wire::library::{DeletedFile, FileVersion};
use reqwest::Method;

use super::look::short;
use crate::client::library::{DELETED, path, same_name};
use crate::client::{Client, Entity, Entry, read};
use crate::failure::{Failure, Status, output as written};
use crate::output::{GOOD, Output, shown, size};
use crate::sync::text;

#[derive(clap::Args)]
pub struct Diff {
    name: String,
    /// The version to compare from; the one before the current when it is not said
    from: Option<u64>,
    /// The version to compare with; the current one when it is not said
    to: Option<u64>,
    /// Compare the library's current version with a file here instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "to"])]
    local: Option<PathBuf>,
}

#[derive(clap::Args)]
pub struct Restore {
    /// Name of a file of the library; with --deleted, of one that was deleted
    name: String,
    /// The version to bring back
    #[arg(required_unless_present = "deleted")]
    version: Option<u64>,
    /// Bring a deleted file back: the last one of this name, or the one with this id
    #[arg(long, conflicts_with = "version")]
    deleted: bool,
}

/// Bytes of a difference.
const LARGEST: usize = 64 << 20;

pub async fn versions(output: Output, client: &Client, name: &str) -> Result<Status, Failure> {
    let raw = match client.all(&format!("{}/versions", path(name))).await {
        Err(failure) if failure.is(404) || failure.is(405) => {
            return Err(client.explained(name, failure, "versions").await?);
        }
        other => other?,
    };
    if output.json {
        // Programs get versions of kinds too that are not known here yet.
        output.json(&raw)?;
        return Ok(Status::Done);
    }
    let versions = raw.into_iter().map(Entity::<FileVersion>::read).collect::<Result<Vec<_>, _>>()?;
    let rows = versions.into_iter().map(|Entity { is: version, .. }| {
        let cause = format!("{:?}", version.cause).to_lowercase();
        let what = if version.changed.is_empty() {
            cause
        } else {
            format!("{cause}: {}", version.changed.join(", "))
        };
        let digest = version.sha256.get(..12).unwrap_or(&version.sha256).to_owned();
        [
            version.version.to_string(),
            short(version.creation_time),
            version.created_by,
            size(version.size),
            digest,
            what,
        ]
    });
    output.table(["version", "made (utc)", "by", "size", "sha256", "what"], rows.collect())?;
    Ok(Status::Done)
}

pub async fn diff(output: Output, client: &Client, diff: Diff) -> Result<Status, Failure> {
    if let Some(local) = &diff.local {
        return against_local(output, client, &diff.name, local).await;
    }
    let to = match diff.to {
        Some(to) => to,
        None => {
            let file = client.file(&diff.name).await?;
            file.is.version.ok_or_else(|| not_kept(client))?
        }
    };
    let from = diff.from.unwrap_or(to.saturating_sub(1));
    if from == 0 {
        return Err(Failure::Usage(format!(
            "`{}` has one version: there is nothing to compare it with",
            diff.name
        )));
    }
    let path = format!("{}/versions/{from}/diff/{to}", path(&diff.name));
    let answer = client.call(Method::GET, &path, |request| match output.json {
        true => request,
        false => request.header("Accept", "text/x-diff"),
    });
    let answer = answer.await?;
    if output.json {
        let raw: Box<serde_json::value::RawValue> = read(answer).await?;
        output.json(&raw)?;
        return Ok(Status::Done);
    }
    let patch = crate::transport::whole(answer, LARGEST).await?;
    let patch = String::from_utf8_lossy(&patch);
    if patch.is_empty() {
        output.said(format!(
            "versions {from} and {to} have the same text; `files versions` tells what else changed"
        ))?;
    }
    coloured(&patch)?;
    Ok(Status::Done)
}

async fn against_local(
    output: Output,
    client: &Client,
    name: &str,
    local: &std::path::Path,
) -> Result<Status, Failure> {
    let entry = client.file(name).await?.is;
    let here = std::fs::read(local).map_err(|e| Failure::file("read", local, &e))?;
    let there = text::content(client, &entry).await?;
    let labels = (format!("{} in the library", entry.file_name), local.display().to_string());
    let difference = text::difference(&there, &here, (&labels.0, &labels.1));
    if output.json {
        output.json(&serde_json::json!({ "identical": there == here, "diff": difference }))?;
    } else {
        coloured(&difference)?;
    }
    Ok(Status::Done)
}

/// A unified diff: additions green, removals red where there are colours.
pub fn coloured(patch: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    let mut stdout = anstream::stdout().lock();
    for line in patch.lines() {
        let style = match line.as_bytes().first() {
            Some(b'+') => GOOD,
            Some(b'-') => crate::output::BAD,
            Some(b'@') => crate::output::CHANGED,
            _ => crate::output::PLAIN,
        };
        writeln!(stdout, "{style}{}{style:#}", shown(line)).map_err(written)?;
    }
    Ok(())
}

pub async fn restore(output: Output, client: &Client, restore: Restore) -> Result<Status, Failure> {
    let path = match restore.version {
        Some(version) => format!("{}/versions/{version}/restore", path(&restore.name)),
        None => format!("{DELETED}/{}/restore", deleted_id(client, &restore.name).await?),
    };
    let answer = match client.call(Method::POST, &path, |request| request).await {
        Err(failure) if failure.is(404) && restore.version.is_some() => {
            return Err(client.explained(&restore.name, failure, "versions").await?);
        }
        other => other?,
    };
    let Entity { raw, is: entry } = Entity::<Entry>::read(read(answer).await?)?;
    if output.json {
        output.json(&raw)?;
        return Ok(Status::Done);
    }
    let version = entry.version.unwrap_or_default();
    output.said(format!("{GOOD}{}{GOOD:#}: restored, as version {version}", shown(&entry.file_name)))?;
    Ok(Status::Done)
}

/// The id of the file of this name that was deleted last, or the id itself.
async fn deleted_id(client: &Client, name: &str) -> Result<String, Failure> {
    let files: Vec<Entity<DeletedFile>> = client
        .entities(DELETED)
        .await
        .map_err(|failure| if failure.is(404) { not_kept(client) } else { failure })?;
    let found = files.into_iter().find(|file| file.is.id == name || same_name(&file.is.file_name, name));
    let missing = || {
        Failure::Usage(format!(
            "no deleted file is called `{name}`: `jumpbag files list --deleted` shows all"
        ))
    };
    Ok(found.ok_or_else(missing)?.is.id)
}

fn not_kept(client: &Client) -> Failure {
    Failure::Usage(format!("{} is Microsoft Defender for Endpoint, which keeps no versions", client.base()))
}
