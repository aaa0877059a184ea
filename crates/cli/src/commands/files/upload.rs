//! `files upload`: what the library has already is not sent again.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::change::{quoted, unconditional};
use super::{Said, is_pattern};
use crate::client::library::same_name;
use crate::client::{Client, Entry, Fields, Sent, Source};
use crate::commands::Jobs;
use crate::failure::{Failure, Status};
use crate::folder::{self, LocalFile};
use crate::output::{GOOD, Output, shown, size};
use crate::work::{Worked, each};

#[derive(clap::Args)]
pub struct Upload {
    /// Files, folders, patterns, or `-` for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// What it is called in the library, for one file or standard input
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Replace files of the same name
    #[arg(long = "override")]
    override_existing: bool,
    /// Replace the file only while it has this SHA-256, or this entity tag (jumpbag only); implies --override
    #[arg(long, value_name = "SHA256")]
    if_match: Option<String>,
    #[command(flatten)]
    said: Said,
    #[command(flatten)]
    jobs: Jobs,
}

/// Standard input is kept in memory until its digest is known; larger files are better on a disk.
const LARGEST_INPUT: u64 = 256 << 20;

/// A file on its way.
struct Item {
    source: Source,
    local: LocalFile,
    /// As it is in the library now.
    there: Option<Entry>,
}

pub async fn run(output: Output, mut client: Client, upload: Upload) -> Result<Status, Failure> {
    let if_match = upload.if_match.as_deref().map(quoted);
    let override_existing = upload.override_existing || if_match.is_some();
    let fields = upload.said.clone().fields()?;
    let items = items(&upload)?;
    if if_match.is_some() && items.len() != 1 {
        return Err(Failure::Usage("--if-match is for one file".into()));
    }
    folder::clash(items.iter().map(|(_, local)| (local.name.as_str(), local.path.as_path())))?;
    let library = client.files().await?;
    if if_match.is_some() && library.first().is_some_and(|entry| !entry.is_versioned()) {
        return Err(unconditional(&client));
    }
    if fields.is_more_than_the_originals() && library.first().is_some_and(|entry| !entry.is_versioned()) {
        client.say_what_is_not_kept();
    }
    let with_library = |(source, local): (Source, LocalFile)| {
        let there = library.iter().find(|entry| same_name(&entry.file_name, &local.name)).cloned();
        Item { source, local, there }
    };
    let items: Vec<Item> = items.into_iter().map(with_library).collect();
    client.progress.start(items.len() as u64, "uploaded");
    let client = &client;
    let (fields, if_match) = (&fields, if_match.as_deref());
    let work = async |item: &Item| one(output, client, item, fields, if_match, override_existing).await;
    let done = each(&client.progress, upload.jobs.into(), &items, |item| item.local.name.clone(), work).await;
    client.progress.finish();
    done?.finish(output)
}

async fn one(
    output: Output,
    client: &Client,
    item: &Item,
    fields: &Fields,
    if_match: Option<&str>,
    override_existing: bool,
) -> Result<Worked, Failure> {
    let Item { source, local, there } = item;
    let name = shown(&local.name).into_owned();
    let same =
        there.as_ref().filter(|entry| entry.sha256 == local.sha256 && fields.differing(entry).is_empty());
    if let Some(entry) = same
        && if_match.is_none_or(|tag| tag.trim_matches('"') == entry.sha256)
    {
        return Ok(Worked::said(format!("{name}: there already, with the same bytes")));
    }
    // The original forgets what an override does not say.
    let fields = match there {
        Some(entry) => fields.clone().or_kept(entry),
        None => fields.clone(),
    };
    let bar = client.progress.file(&local.name, local.size);
    let sent = Sent {
        name: &local.name,
        source,
        sha256: &local.sha256,
        size: local.size,
        fields: &fields,
        override_existing,
        if_match,
    };
    let stored = client.upload(&sent, &bar).await.map_err(|failure| match failure {
        Failure::Refused(mut refusal) if refusal.message.contains("already exists") => {
            refusal.message = "it is in the library already and is another: `--override` replaces it".into();
            Failure::Refused(refusal)
        }
        other => other,
    })?;
    if output.json {
        return Ok(Worked { json: Some(stored.raw), ..Worked::default() });
    }
    let what = if there.is_some() { "replaced" } else { "uploaded" };
    Ok(Worked::said(format!("{GOOD}{name}{GOOD:#}: {what}, {}", size(local.size))))
}

/// What is to be sent, read once.
fn items(upload: &Upload) -> Result<Vec<(Source, LocalFile)>, Failure> {
    let mut files = Vec::new();
    let mut input = None;
    for path in &upload.paths {
        if path == Path::new("-") {
            input = Some(from_input(upload.name.as_deref())?);
        } else if path.is_dir() {
            files.extend(folder::walk(path)?.into_iter().map(|relative| path.join(relative)));
        } else if !path.exists() && path.to_str().is_some_and(is_pattern) {
            files.extend(expanded(&path.to_string_lossy())?);
        } else {
            files.push(path.clone());
        }
    }
    if upload.name.is_some() && files.len() + usize::from(input.is_some()) != 1 {
        return Err(Failure::Usage("--name is for one file".into()));
    }
    let named = |path: PathBuf| {
        let own = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let name = upload.name.clone().or(own).ok_or_else(|| {
            Failure::Here(format!("`{}` has no name that is UTF-8: give one with `--name`", path.display()))
        })?;
        Ok((path, name))
    };
    let files = files.into_iter().map(named).collect::<Result<Vec<_>, Failure>>()?;
    let read = folder::read(&files)?;
    let files = read.into_iter().map(|local| (Source::File(local.path.clone()), local));
    Ok(files.chain(input).collect())
}

fn expanded(pattern: &str) -> Result<Vec<PathBuf>, Failure> {
    let found = glob::glob(pattern).map_err(|e| Failure::Usage(format!("`{pattern}`: {e}")))?;
    let files: Vec<_> = found.filter_map(Result::ok).filter(|path| path.is_file()).collect();
    if files.is_empty() {
        return Err(Failure::Here(format!("no file here is called `{pattern}`")));
    }
    Ok(files)
}

fn from_input(name: Option<&str>) -> Result<(Source, LocalFile), Failure> {
    let name =
        name.ok_or_else(|| Failure::Usage("standard input has no name: give one with `--name`".into()))?;
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(LARGEST_INPUT + 1).read_to_end(&mut bytes);
    read.map_err(|e| Failure::Here(format!("cannot read standard input: {e}")))?;
    if bytes.is_empty() {
        return Err(Failure::Here("standard input is empty: a library file has at least one byte".into()));
    }
    if bytes.len() as u64 > LARGEST_INPUT {
        return Err(Failure::Usage("standard input is larger than 256 MiB: put it into a file first".into()));
    }
    let sha256 = jumpbag_wire::hex::hex(&Sha256::digest(&bytes));
    let local = LocalFile { path: "-".into(), name: name.to_owned(), size: bytes.len() as u64, sha256 };
    Ok((Source::Memory(Bytes::from(bytes)), local))
}
