//! What the library has.

use jumpbag_wire::library::DeletedFile;
use jumpbag_wire::time::Timestamp;

use super::picker;
use crate::client::library::{DELETED, FILES};
use crate::client::{Client, Entity, Entry, segment};
use crate::failure::{Failure, Status};
use crate::output::{Output, size};

#[derive(clap::Args)]
pub struct List {
    /// Names, or patterns such as '*.ps1'; all files when there is none
    names: Vec<String>,
    /// A condition in OData, such as "tags/any(t: t eq 'triage')" (jumpbag only)
    #[arg(long, value_name = "CONDITION")]
    filter: Option<String>,
    /// Deleted files that can be restored (jumpbag only)
    #[arg(long, conflicts_with_all = ["names", "filter"])]
    deleted: bool,
}

#[derive(clap::Args)]
pub struct Search {
    /// Words; "two words" in quotes stand together, `*` at the end of a word means any ending, AND, OR and NOT combine
    #[arg(required = true)]
    words: Vec<String>,
}

pub async fn list(output: Output, client: &Client, list: List) -> Result<Status, Failure> {
    if list.deleted {
        return deleted(output, client).await;
    }
    let query = list.filter.map(|filter| format!("$filter={}", segment(&filter)));
    entries(output, client, query, &list.names).await
}

pub async fn search(output: Output, client: &Client, search: Search) -> Result<Status, Failure> {
    let query = format!("$search={}", segment(&search.words.join(" ")));
    entries(output, client, Some(query), &[]).await
}

async fn entries(
    output: Output,
    client: &Client,
    query: Option<String>,
    names: &[String],
) -> Result<Status, Failure> {
    let path = query.as_ref().map_or(FILES.to_owned(), |query| format!("{FILES}?{query}"));
    let pickers = names.iter().map(|name| picker(name)).collect::<Result<Vec<_>, _>>()?;
    let mut files: Vec<Entity<Entry>> = client.entities(&path).await?;
    if query.is_some() && files.iter().any(|file| !file.is.is_versioned()) {
        return Err(Failure::Usage(format!(
            "{} is Microsoft Defender for Endpoint, whose library cannot be searched or filtered: `jumpbag files list '*word*'` \
             filters its list here",
            client.base()
        )));
    }
    files.retain(|file| pickers.is_empty() || pickers.iter().any(|picks| picks(&file.is.file_name)));
    if output.json {
        output.json(&files.iter().map(|file| &file.raw).collect::<Vec<_>>())?;
        return Ok(Status::Done);
    }
    let said = |entry: &Entry| entry.description.clone().unwrap_or_default();
    let changed = |entry: &Entry| entry.last_updated_time.map(short).unwrap_or_default();
    if files.iter().any(|file| file.is.is_versioned()) {
        let rows = files.iter().map(|Entity { is: entry, .. }| {
            let version = entry.version.map(|version| version.to_string()).unwrap_or_default();
            let size = entry.size.map(size).unwrap_or_default();
            [entry.file_name.clone(), version, size, changed(entry), said(entry), entry.tags.join(",")]
        });
        output.table(["name", "version", "size", "changed (utc)", "description", "tags"], rows.collect())?;
    } else {
        let rows = files.iter().map(|Entity { is: entry, .. }| {
            [
                entry.file_name.clone(),
                changed(entry),
                entry.created_by.clone().unwrap_or_default(),
                said(entry),
            ]
        });
        output.table(["name", "changed (utc)", "created by", "description"], rows.collect())?;
    }
    Ok(Status::Done)
}

/// A time in UTC, to the second.
pub fn short(time: Timestamp) -> String {
    Timestamp::from_secs(time.secs()).to_string().replace('T', " ").replace('Z', "")
}

async fn deleted(output: Output, client: &Client) -> Result<Status, Failure> {
    let files: Vec<Entity<DeletedFile>> = match client.entities(DELETED).await {
        Err(failure) if failure.is(404) => {
            return Err(Failure::Usage(format!(
                "{} keeps no deleted files: it is not jumpbag",
                client.base()
            )));
        }
        other => other?,
    };
    if output.json {
        output.json(&files.iter().map(|file| &file.raw).collect::<Vec<_>>())?;
        return Ok(Status::Done);
    }
    let rows = files.into_iter().map(|Entity { is: file, .. }| {
        let until = file.expiration_time.map_or("held".into(), short);
        [file.id, file.file_name, short(file.deleted_time), file.deleted_by.unwrap_or_default(), until]
    });
    output.table(["id", "name", "deleted (utc)", "by", "kept until"], rows.collect())?;
    Ok(Status::Done)
}

pub async fn show(output: Output, client: &Client, name: &str) -> Result<Status, Failure> {
    let Entity { raw, is: entry } = client.file(name).await?;
    if output.json {
        output.json(&raw)?;
        return Ok(Status::Done);
    }
    let yes = |yes: bool| if yes { "yes" } else { "" }.to_owned();
    output.facts(&[
        ("name", entry.file_name),
        ("sha256", entry.sha256),
        ("size", entry.size.map(size).unwrap_or_default()),
        ("version", entry.version.map(|version| version.to_string()).unwrap_or_default()),
        ("changed", entry.last_updated_time.map(|time| time.to_string()).unwrap_or_default()),
        ("created by", entry.created_by.unwrap_or_default()),
        ("description", entry.description.unwrap_or_default()),
        ("has parameters", yes(entry.has_parameters)),
        ("parameters", entry.parameters_description.unwrap_or_default()),
        ("tags", entry.tags.join(", ")),
        ("platforms", entry.platforms.join(", ")),
        ("category", entry.category.unwrap_or_default()),
        ("instructions", entry.instructions.unwrap_or_default()),
        ("legal hold", yes(entry.legal_hold)),
    ])?;
    Ok(Status::Done)
}
