//! Delete, and change what is said about a file.

use std::path::PathBuf;

use jumpbag_wire::patch::{Edit as Change, FilePatch};

use super::{Said, is_pattern, matching};
use crate::client::{Client, Entity, Entry, Fields, Sent, Source};
use crate::failure::{Failure, Status};
use crate::folder;
use crate::output::{CHANGED, GOOD, Output, shown};

#[derive(clap::Args)]
pub struct Delete {
    /// Names, or patterns such as 'old-*' with --yes
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Delete all that a pattern means
    #[arg(long, short)]
    yes: bool,
    /// Delete the file only while it has this SHA-256, or this entity tag (jumpbag only)
    #[arg(long, value_name = "SHA256")]
    if_match: Option<String>,
}

#[derive(clap::Args)]
pub struct Edit {
    name: String,
    #[command(flatten)]
    said: Said,
    /// Change it only while the file has this SHA-256, or this entity tag (jumpbag only)
    #[arg(long, value_name = "SHA256")]
    if_match: Option<String>,
    /// The file itself, for the original: it takes descriptions only with the bytes
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub async fn delete(output: Output, client: &Client, delete: Delete) -> Result<Status, Failure> {
    let if_match = delete.if_match.as_deref().map(quoted);
    let patterns = delete.names.iter().any(|name| is_pattern(name));
    let names: Vec<String> = if patterns || if_match.is_some() {
        let entries = matching(client, &delete.names).await?;
        if if_match.is_some() && entries.iter().any(|entry| !entry.is_versioned()) {
            return Err(unconditional(client));
        }
        entries.into_iter().map(|entry| entry.file_name).collect()
    } else {
        delete.names
    };
    if patterns && !delete.yes {
        let list = names.iter().map(|name| format!("  {}", shown(name))).collect::<Vec<_>>().join("\n");
        return Err(Failure::Usage(format!("this would delete\n{list}\n`--yes` does it")));
    }
    if if_match.is_some() && names.len() != 1 {
        return Err(Failure::Usage("--if-match is for one file".into()));
    }
    for name in &names {
        client.delete(name, if_match.as_deref()).await?;
        output.said(format!("{CHANGED}{}{CHANGED:#}: deleted", shown(name)))?;
    }
    Ok(Status::Done)
}

pub fn quoted(tag: &str) -> String {
    format!("\"{}\"", tag.trim_matches('"'))
}

pub fn unconditional(client: &Client) -> Failure {
    Failure::Usage(format!(
        "{} is Microsoft Defender for Endpoint, which knows no conditions: `--if-match` cannot be kept there",
        client.base()
    ))
}

pub async fn edit(output: Output, client: &Client, edit: Edit) -> Result<Status, Failure> {
    let fields = edit.said.fields()?;
    if fields == Fields::default() {
        return Err(Failure::Usage(
            "nothing to change: give `--description`, `--parameters`, `--tag` or the like".into(),
        ));
    }
    let entry = client.file(&edit.name).await?.is;
    if !entry.is_versioned() {
        return by_upload(output, client, &entry, fields, edit.file, edit.if_match.is_some()).await;
    }
    let if_match = edit.if_match.as_deref().map(quoted);
    let Entity { raw, is } = client.patch(&entry.file_name, &fields.patch(), if_match.as_deref()).await?;
    if output.json {
        output.json(&raw)?;
        return Ok(Status::Done);
    }
    let what = if is.version == entry.version { "unchanged: it is described so already" } else { "changed" };
    output.said(format!("{GOOD}{}{GOOD:#}: {what}", shown(&entry.file_name)))?;
    Ok(Status::Done)
}

/// The original changes a description only with an upload of the same bytes.
async fn by_upload(
    output: Output,
    client: &Client,
    entry: &Entry,
    fields: Fields,
    file: Option<PathBuf>,
    conditional: bool,
) -> Result<Status, Failure> {
    if conditional {
        return Err(unconditional(client));
    }
    fields.check_original(client.base())?;
    let path = file.ok_or_else(|| {
        Failure::Usage(format!(
            "{} is Microsoft Defender for Endpoint, which changes a description only when the file is uploaded again, and \
             cannot give the file back: say where it is with `--file`",
            client.base()
        ))
    })?;
    let local = folder::read(&[(path.clone(), entry.file_name.clone())])?.remove(0);
    if local.sha256 != entry.sha256 {
        return Err(Failure::Here(format!(
            "`{}` is not the file in the library (SHA-256 {} there): `files upload --override` replaces it",
            path.display(),
            entry.sha256
        )));
    }
    let fields = fields.or_kept(entry);
    let sent = Sent {
        name: &entry.file_name,
        source: &Source::File(path),
        sha256: &local.sha256,
        size: local.size,
        fields: &fields,
        override_existing: true,
        if_match: None,
    };
    let stored = client.upload(&sent, &client.progress.file(&local.name, local.size)).await?;
    if output.json {
        output.json(&stored.raw)?;
    } else {
        output.said(format!(
            "{GOOD}{}{GOOD:#}: changed, by uploading the same bytes",
            shown(&entry.file_name)
        ))?;
    }
    Ok(Status::Done)
}

impl Fields {
    /// As a change of what is said: what is empty is taken away.
    pub fn patch(&self) -> FilePatch {
        let text = |text: &Option<String>| match text.as_deref() {
            None => Change::Keep,
            Some("") => Change::Clear,
            Some(text) => Change::Set(text.to_owned()),
        };
        let list = |items: &Option<Vec<String>>| items.clone().map_or(Change::Keep, Change::Set);
        FilePatch {
            description: text(&self.description),
            parameters_description: text(&self.parameters_description),
            has_parameters: self.has_parameters.map_or(Change::Keep, Change::Set),
            tags: list(&self.tags),
            platforms: list(&self.platforms),
            category: text(&self.category),
            instructions: text(&self.instructions),
        }
    }
}
