//! `files`: the library, file by file.

mod change;
mod download;
mod history;
mod look;
mod upload;

use std::path::PathBuf;

use clap::Subcommand;
use glob::MatchOptions;

use super::Context;
pub use download::{fetch, is_plain, place, to_file};
pub use history::coloured;
pub use look::short;

use crate::client::{Client, Entry, Fields};
use crate::failure::{Failure, Status};

#[derive(Subcommand)]
pub enum Command {
    /// List the library, or what matches
    List(look::List),
    /// Show all about one file
    Show { name: String },
    /// Upload files or whole folders; what the library has already is not sent again
    Upload(Box<upload::Upload>),
    /// Download files, verified
    Download(download::Download),
    /// Delete files
    Delete(change::Delete),
    /// List the versions of a file
    Versions { name: String },
    /// Show what differs between two versions, or between the library and a file here
    Diff(history::Diff),
    /// Bring back an earlier version, or a deleted file
    Restore(history::Restore),
    /// Change what is said about a file
    Edit(Box<change::Edit>),
    /// Find files by words of their names, descriptions, tags and texts
    Search(look::Search),
}

pub async fn run(context: &Context, command: Command) -> Result<Status, Failure> {
    let client = context.client()?;
    match command {
        Command::List(list) => look::list(context.output, &client, list).await,
        Command::Show { name } => look::show(context.output, &client, &name).await,
        Command::Upload(upload) => upload::run(context.output, client, *upload).await,
        Command::Download(download) => download::run(context.output, &client, download).await,
        Command::Delete(delete) => change::delete(context.output, &client, delete).await,
        Command::Versions { name } => history::versions(context.output, &client, &name).await,
        Command::Diff(diff) => history::diff(context.output, &client, diff).await,
        Command::Restore(restore) => history::restore(context.output, &client, restore).await,
        Command::Edit(edit) => change::edit(context.output, &client, *edit).await,
        Command::Search(search) => look::search(context.output, &client, search).await,
    }
}

/// What can be said about a file.
#[derive(clap::Args, Clone, Default)]
pub struct Said {
    /// What it is
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    description: Option<String>,
    /// What its parameters are
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    parameters: Option<String>,
    /// A tag; may be given again. An empty one takes all away
    #[arg(long = "tag", value_name = "TAG")]
    tags: Option<Vec<String>>,
    /// windows, linux or macos; may be given again. An empty one takes all away
    #[arg(long = "platform", value_name = "NAME")]
    platforms: Option<Vec<String>>,
    /// One line
    #[arg(long, value_name = "TEXT")]
    category: Option<String>,
    /// A file with words for those who run it
    #[arg(long, value_name = "FILE")]
    instructions: Option<PathBuf>,
}

impl Said {
    fn fields(self) -> Result<Fields, Failure> {
        let read =
            |path: PathBuf| std::fs::read_to_string(&path).map_err(|e| Failure::file("read", &path, &e));
        let list = |items: Option<Vec<String>>| {
            items.map(|items| {
                crate::folder::manifest::tidy(items.into_iter().filter(|item| !item.is_empty()).collect())
            })
        };
        Ok(Fields {
            has_parameters: self.parameters.as_ref().map(|text| !text.is_empty()),
            description: self.description,
            parameters_description: self.parameters,
            tags: list(self.tags),
            platforms: list(self.platforms),
            category: self.category,
            instructions: self.instructions.map(read).transpose()?,
        })
    }
}

/// The files that names or patterns such as `*.ps1` mean, each once, in the library's order.
///
/// # Errors
/// When one of them means nothing.
pub async fn matching(client: &Client, names: &[String]) -> Result<Vec<Entry>, Failure> {
    let entries = client.files().await?;
    let mut wanted = vec![false; entries.len()];
    for name in names {
        let picks = picker(name)?;
        let mut found = false;
        for (_, wanted) in entries.iter().zip(&mut wanted).filter(|(entry, _)| picks(&entry.file_name)) {
            (found, *wanted) = (true, true);
        }
        if !found {
            return Err(Failure::Refused(crate::failure::Refusal {
                status: 404,
                code: "ResourceNotFound".into(),
                message: format!("no file of the library is called `{name}`"),
                target: None,
            }));
        }
    }
    Ok(entries.into_iter().zip(wanted).filter_map(|(entry, wanted)| wanted.then_some(entry)).collect())
}

/// Whether a name of the library is meant: the case of letters does not count there.
fn picker(name: &str) -> Result<impl Fn(&str) -> bool, Failure> {
    const ANY_CASE: MatchOptions = MatchOptions {
        case_sensitive: false,
        require_literal_separator: false,
        require_literal_leading_dot: false,
    };
    let pattern = is_pattern(name).then(|| crate::folder::manifest::pattern(name)).transpose()?;
    let name = name.to_owned();
    Ok(move |other: &str| match &pattern {
        Some(pattern) => {
            pattern.matches_with(other, ANY_CASE) || crate::client::library::same_name(other, &name)
        }
        None => crate::client::library::same_name(other, &name),
    })
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}
