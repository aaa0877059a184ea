//! `bundle`: the library as one signed file, for sites that no network reaches.

use std::io::{BufWriter, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;

use super::files::{fetch, matching};
use super::sync::apply::Apply;
use super::sync::{Only, Rules, wanted};
use super::{Context, Jobs};
use crate::bundle::key::{SigningKey, public};
use crate::bundle::{self, Bytes, Content, Item};
use crate::client::{Entry, Fields, Source};
use crate::failure::{Failure, Status};
use crate::folder::{beside, keep, manifest};
use crate::output::{GOOD, Output, shown, size};
use crate::sync::{Plan, Wanted};

#[derive(Subcommand)]
pub enum Command {
    /// Make a key that signs bundles, and print the public one
    Key {
        /// A file that does not exist yet, for the private key
        file: PathBuf,
        /// What the key is called in signatures
        #[arg(long, default_value = "bundle")]
        name: String,
    },
    /// Put the library, or a folder, into one signed file
    Create(Create),
    /// Check signature and digests, and list what is in it
    Verify {
        file: PathBuf,
        /// Public key that must have signed it, or a file that holds it; may be given again
        #[arg(long = "key", value_name = "VKEY", required = true)]
        keys: Vec<String>,
    },
    /// Make a library like the bundle
    Apply(Box<Unpack>),
}

#[derive(clap::Args)]
pub struct Create {
    /// The bundle to write
    file: PathBuf,
    /// Names of the library, or patterns such as '*.ps1'; all files when there is none
    names: Vec<String>,
    /// The private key to sign with, of `bundle key`
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Take the files from a folder, as `sync` would, instead of from the server
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Replace the bundle if it is there
    #[arg(long = "override")]
    override_existing: bool,
}

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["plan", "apply"]))]
pub struct Unpack {
    file: PathBuf,
    /// Public key that must have signed it, or a file that holds it; may be given again
    #[arg(long = "key", value_name = "VKEY", required = true)]
    keys: Vec<String>,
    /// Show what would change and do nothing; exits 2 when something would
    #[arg(long)]
    plan: bool,
    /// Do it
    #[arg(long)]
    apply: bool,
    /// Show what differs in the texts of files
    #[arg(long)]
    diff: bool,
    #[command(flatten)]
    rules: Rules,
    #[command(flatten)]
    jobs: Jobs,
}

pub async fn run(context: &Context, command: Command) -> Result<Status, Failure> {
    match command {
        Command::Key { file, name } => key(context.output, &file, &name),
        Command::Create(create) => self::create(context, create).await,
        Command::Verify { file, keys } => verify(context.output, &file, &keys),
        Command::Apply(unpack) => apply(context, *unpack).await,
    }
}

fn key(output: Output, file: &Path, name: &str) -> Result<Status, Failure> {
    let key = SigningKey::make(file, name)?;
    output.line(key.public().to_string())?;
    Ok(Status::Done)
}

async fn create(context: &Context, create: Create) -> Result<Status, Failure> {
    let key = SigningKey::read(&create.key)?;
    if create.file.exists() && !create.override_existing {
        return Err(Failure::Here(format!(
            "`{}` is here already: `--override` replaces it",
            create.file.display()
        )));
    }
    let mut contents = match &create.dir {
        Some(folder) => from_folder(folder, &create.names)?,
        None => from_server(context, &create.names).await?,
    };
    if contents.is_empty() {
        return Err(Failure::Here("there is no file to put into a bundle".into()));
    }
    contents.sort_by_cached_key(|content| content.item.file_name.to_lowercase());
    let (files, bytes) = (contents.len(), contents.iter().map(|content| content.item.size).sum());
    let mut file = beside(&create.file)?;
    {
        let mut buffer = BufWriter::with_capacity(1 << 20, file.as_file_mut());
        bundle::write(contents, &key, &mut buffer)?;
        buffer.flush().map_err(|e| Failure::file("write", &create.file, &e))?;
    }
    keep(file, &create.file)?;
    let (path, public) = (create.file.display(), key.public());
    context
        .output
        .said(format!("{GOOD}{path}{GOOD:#}: {files} files, {}, signed by {public}", size(bytes)))?;
    Ok(Status::Done)
}

fn from_folder(folder: &Path, globs: &[String]) -> Result<Vec<Content>, Failure> {
    let files = wanted(manifest::members(folder)?, &Only::read(globs)?)?;
    let content = |file: Wanted| {
        let Source::File(path) = file.source else { return None };
        let item = Item { file_name: file.name, sha256: file.sha256, size: file.size, fields: file.fields };
        Some(Content { item, bytes: Bytes::At(path) })
    };
    Ok(files.into_iter().filter_map(content).collect())
}

/// Each file is on this disk before the bundle is begun: its description comes first, and is signed.
async fn from_server(context: &Context, names: &[String]) -> Result<Vec<Content>, Failure> {
    let mut client = context.client()?;
    let entries = if names.is_empty() { client.files().await? } else { matching(&client, names).await? };
    client.progress.start(entries.len() as u64, "downloaded");
    let mut contents = Vec::with_capacity(entries.len());
    let failed = |e: std::io::Error| Failure::Here(format!("temporary file: {e}"));
    // One for all: a process may not have as many open as a library may have.
    let spool = Arc::new(tempfile::tempfile().map_err(failed)?);
    let mut begin = 0;
    for entry in entries {
        let sha256 = fetch(&client, &entry, entry.version, &mut &*spool).await?;
        let end = (&*spool).stream_position().map_err(failed)?;
        let size = end - begin;
        let item = Item { file_name: entry.file_name.clone(), sha256, size, fields: said(entry) };
        contents.push(Content { item, bytes: Bytes::Within(spool.clone(), begin) });
        begin = end;
        client.progress.one_done();
    }
    client.progress.finish();
    Ok(contents)
}

/// All that a server says of a file: in the other library it shall be the same.
fn said(entry: Entry) -> Fields {
    Fields {
        description: Some(entry.description.unwrap_or_default()),
        parameters_description: Some(entry.parameters_description.unwrap_or_default()),
        has_parameters: Some(entry.has_parameters),
        tags: Some(entry.tags),
        platforms: Some(entry.platforms),
        category: Some(entry.category.unwrap_or_default()),
        instructions: Some(entry.instructions.unwrap_or_default()),
    }
}

fn verify(output: Output, file: &Path, keys: &[String]) -> Result<Status, Failure> {
    let opened = bundle::open(file, &public(keys)?)?;
    if output.json {
        let items: Vec<&Item> = opened.files.iter().map(|(item, _)| item).collect();
        output.json(&items)?;
        return Ok(Status::Done);
    }
    let rows = opened.files.iter().map(|(item, _)| {
        let digest = item.sha256.get(..12).unwrap_or_default().to_owned();
        [item.file_name.clone(), size(item.size), digest, item.fields.description.clone().unwrap_or_default()]
    });
    if !output.quiet {
        output.table(["name", "size", "sha256", "description"], rows.collect())?;
    }
    output.said(format!(
        "{GOOD}good{GOOD:#}: {} files, signed by {}",
        opened.files.len(),
        shown(opened.signer.name())
    ))?;
    Ok(Status::Done)
}

async fn apply(context: &Context, unpack: Unpack) -> Result<Status, Failure> {
    let opened = bundle::open(&unpack.file, &public(&unpack.keys)?)?;
    let client = context.client()?;
    let library = client.files().await?;
    let all = library.len();
    let wanted = |(item, at): (Item, u64)| Wanted {
        place: item.file_name.clone(),
        name: item.file_name,
        source: Source::Piece(unpack.file.clone(), at),
        sha256: item.sha256,
        size: item.size,
        fields: item.fields,
    };
    let wanted = opened.files.into_iter().map(wanted).collect();
    let plan = Plan::make(wanted, library, None, unpack.rules.plan());
    let jobs = unpack.jobs.into();
    Apply { client, plan, lock: None, rules: unpack.rules, all, jobs }
        .run(context.output, unpack.plan, unpack.diff)
        .await
}
