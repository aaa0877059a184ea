//! `sync`: the library made like a folder, or the folder like the library.

pub mod apply;
mod pull;
pub mod show;

use std::collections::HashSet;
use std::path::PathBuf;

use glob::Pattern;

use super::{Context, Jobs};
use crate::client::{Client, Entry, Source};
use crate::failure::{Failure, Status};
use crate::folder::manifest::Member;
use crate::folder::{self, manifest};
use crate::sync::{Lock, Plan, Wanted};
use apply::Apply;

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["plan", "apply", "pull"]))]
pub struct Sync {
    /// Folder with the files, and with library.toml if there is one
    folder: PathBuf,
    /// Show what would change and do nothing; exits 2 when something would
    #[arg(long, conflicts_with = "apply")]
    plan: bool,
    /// Do it
    #[arg(long)]
    apply: bool,
    /// The other way: write the library into the folder
    #[arg(long, conflicts_with = "apply")]
    pull: bool,
    /// Show what differs in the texts of files
    #[arg(long)]
    diff: bool,
    #[command(flatten)]
    rules: Rules,
    /// Only files whose name, or path from the folder, matches; may be given again
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// The lock file, when it is not to be library.lock in the folder
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    #[command(flatten)]
    jobs: Jobs,
}

/// What a plan may do.
#[derive(clap::Args, Clone)]
pub struct Rules {
    /// Delete what is not there any more
    #[arg(long)]
    pub delete: bool,
    /// How many files --delete may take, or which share of them: 5, 10%
    #[arg(long, value_name = "LIMIT", default_value = "10%", value_parser = limit)]
    pub max_delete: Limit,
    /// Overwrite what somebody else changed meanwhile
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Clone, Copy)]
pub enum Limit {
    Files(usize),
    Percent(usize),
}

fn limit(text: &str) -> Result<Limit, String> {
    let wrong = |_| "expected a number of files, or a share such as 10%".to_owned();
    Ok(match text.strip_suffix('%') {
        Some(share) => Limit::Percent(share.parse::<u8>().map_err(wrong)?.min(100).into()),
        None => Limit::Files(text.parse().map_err(wrong)?),
    })
}

impl Rules {
    pub fn plan(&self) -> crate::sync::plan::Rules {
        crate::sync::plan::Rules { delete: self.delete, force: self.force }
    }

    /// # Errors
    /// When more would be deleted than may be: nothing is done then.
    pub fn check(&self, deleted: usize, all: usize) -> Result<(), Failure> {
        let allowed = match self.max_delete {
            Limit::Files(files) => files,
            Limit::Percent(share) => (all * share).div_ceil(100),
        };
        if deleted <= allowed {
            return Ok(());
        }
        let said = match self.max_delete {
            Limit::Files(files) => files.to_string(),
            Limit::Percent(share) => format!("{share}%"),
        };
        Err(Failure::Here(format!(
            "{deleted} of {all} files would be deleted, and `--max-delete {said}` allows {allowed}: nothing was done; \
             is it the right folder?"
        )))
    }
}

pub async fn run(context: &Context, sync: Sync) -> Result<Status, Failure> {
    let only = Only::read(&sync.only)?;
    let client = context.client()?;
    let lock_file = sync.lock.clone().unwrap_or_else(|| sync.folder.join(folder::LOCK));
    let mut lock = Lock::read(&lock_file, client.base())?;
    if sync.pull {
        return pull::run(context.output, &client, &sync, lock, &only).await;
    }
    let members = manifest::members(&sync.folder)?;
    let mut library = client.files().await?;
    let all = library.len();
    forget_what_is_gone(&mut lock, &members, &library);
    let sizes = sizes(&members, &only);
    check_sizes(&client, &sizes, library.first().is_some_and(Entry::is_versioned)).await?;
    let wanted = wanted(members, &only)?;
    let names: HashSet<String> = wanted.iter().map(|file| file.name.to_lowercase()).collect();
    library
        .retain(|entry| only.takes(&entry.file_name, "") || names.contains(&entry.file_name.to_lowercase()));
    let plan = Plan::make(wanted, library, Some(&lock), sync.rules.plan());
    let steps = Apply { client, plan, lock: Some(lock), rules: sync.rules, all, jobs: sync.jobs.into() };
    steps.run(context.output, sync.plan, sync.diff).await
}

/// What `--only` leaves.
pub struct Only(Vec<Pattern>);

impl Only {
    pub fn read(globs: &[String]) -> Result<Only, Failure> {
        Ok(Only(globs.iter().map(|glob| manifest::pattern(glob)).collect::<Result<_, _>>()?))
    }

    fn takes(&self, name: &str, place: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| pattern.matches(name) || pattern.matches(place))
    }
}

/// What was alike once and is on neither side any more is like what never was.
fn forget_what_is_gone(lock: &mut Lock, members: &[Member], library: &[Entry]) {
    let here = members.iter().map(|member| member.name.to_lowercase());
    let alive: HashSet<String> =
        here.chain(library.iter().map(|entry| entry.file_name.to_lowercase())).collect();
    for name in lock.names().iter().filter(|name| !alive.contains(&name.to_lowercase())) {
        lock.forget(name);
    }
}

/// The folder's files with their digests.
pub fn wanted(mut members: Vec<Member>, only: &Only) -> Result<Vec<Wanted>, Failure> {
    members.retain(|member| only.takes(&member.name, &member.place));
    let files: Vec<_> = members.iter().map(|member| (member.path.clone(), member.name.clone())).collect();
    let read = folder::read(&files)?;
    let wanted = members.into_iter().zip(read).map(|(member, local)| Wanted {
        name: local.name,
        place: member.place,
        source: Source::File(local.path),
        sha256: local.sha256,
        size: local.size,
        fields: member.fields,
    });
    Ok(wanted.collect())
}

/// The original's limit, which jumpbag has too where nobody set another.
const USUAL_LIMIT: u64 = 20 << 20;

/// Files and how large they are, as far as it can be seen before they are read.
fn sizes<'a>(members: &'a [Member], only: &Only) -> Vec<(&'a str, u64)> {
    let counts = |member: &&Member| only.takes(&member.name, &member.place);
    let size = |member: &'a Member| {
        (member.place.as_str(), member.path.metadata().map_or(0, |metadata| metadata.len()))
    };
    members.iter().filter(counts).map(size).collect()
}

/// Too large is told before anything is read or sent. Only a file over the usual limit makes it worth a question.
async fn check_sizes(client: &Client, sizes: &[(&str, u64)], versioned: bool) -> Result<(), Failure> {
    if sizes.iter().all(|(_, size)| *size <= USUAL_LIMIT) {
        return Ok(());
    }
    let limit = match client.get::<jumpbag_wire::library::Usage>("/api/library/usage").await {
        Ok(usage) => usage.max_file_bytes,
        // Whether it is the original is not known of an empty library; this call tells.
        Err(failure) if failure.is(404) && !versioned => USUAL_LIMIT,
        Err(failure) => return Err(failure),
    };
    let problems: Vec<_> = sizes
        .iter()
        .filter(|(_, size)| *size > limit)
        .map(|(place, size)| format!("`{place}` has {size} bytes, and the server takes at most {limit}"))
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(Failure::Here(problems.join("\n"))) }
}
