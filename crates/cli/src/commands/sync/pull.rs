//! `sync --pull`: the library written into a folder. What was changed here since both were alike stays.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Only, Sync};
use crate::client::{Client, Entry};
use crate::commands::files::{is_plain, place, to_file};
use crate::failure::{Failure, Status};
use crate::folder::manifest::{self, Member};
use crate::folder::{self, LocalFile, MANIFEST};
use crate::output::{BAD, CHANGED, GOOD, Output, shown};
use crate::sync::Lock;

/// What happens to one file here.
enum Pulled {
    Alike,
    Write { new: bool },
    Remove(PathBuf),
    Kept(&'static str),
}

/// A file of either side.
struct Pair {
    name: String,
    here: Option<(Member, LocalFile)>,
    there: Option<Entry>,
}

pub async fn run(
    output: Output,
    client: &Client,
    sync: &Sync,
    mut lock: Lock,
    only: &Only,
) -> Result<Status, Failure> {
    if !sync.folder.exists() && !sync.plan {
        std::fs::create_dir_all(&sync.folder).map_err(|e| Failure::file("make", &sync.folder, &e))?;
    }
    let pairs = pairs(client, &sync.folder, only).await?;
    let files = pairs.iter().filter(|pair| pair.here.is_some()).count();
    let decided: Vec<(Pair, Pulled)> = pairs
        .into_iter()
        .map(|pair| {
            let pulled = decide(&pair, &lock, sync);
            (pair, pulled)
        })
        .collect();
    let removed = decided.iter().filter(|(_, pulled)| matches!(pulled, Pulled::Remove(_))).count();
    sync.rules.check(removed, files)?;
    let original =
        decided.iter().filter_map(|(pair, _)| pair.there.as_ref()).find(|entry| !entry.is_versioned());
    if original.is_some() && decided.iter().any(|(_, pulled)| matches!(pulled, Pulled::Write { .. })) {
        return Err(Failure::Usage(format!(
            "{} is Microsoft Defender for Endpoint, whose API gives no file back: `--pull` cannot write what is not here already. \
             Its portal can download files",
            client.base()
        )));
    }
    let (mut kept, mut changed) = (0, 0);
    for (pair, pulled) in &decided {
        match pulled {
            Pulled::Alike => {}
            Pulled::Kept(why) => {
                kept += 1;
                output.warn(format!("{BAD}{}{BAD:#}: kept as it is here: {why}", shown(&pair.name)));
                continue;
            }
            Pulled::Write { new } => {
                changed += 1;
                let (style, verb) = if *new { (GOOD, "add") } else { (CHANGED, "override") };
                output.said(format!("{style}{verb:8}{style:#}  {}", shown(&pair.name)))?;
            }
            Pulled::Remove(_) => {
                changed += 1;
                output.said(format!("{CHANGED}{:8}{CHANGED:#}  {}", "remove", shown(&pair.name)))?;
            }
        }
        if !sync.plan {
            carry_out(client, &sync.folder, pair, pulled, &mut lock).await?;
        }
    }
    let described = describe(&sync.folder, &decided, sync.plan)?;
    if sync.plan {
        let any = changed + described + kept > 0;
        output.said(format!(
            "{changed} to write or remove, {described} to describe in {MANIFEST}, {kept} kept"
        ))?;
        return Ok(if any { Status::UsageOrChanges } else { Status::Done });
    }
    lock.write()?;
    output.said(format!("{changed} written or removed, {described} described in {MANIFEST}, {kept} kept"))?;
    Ok(if kept > 0 { Status::Refused } else { Status::Done })
}

async fn pairs(client: &Client, folder: &Path, only: &Only) -> Result<Vec<Pair>, Failure> {
    let members = if folder.exists() { manifest::members(folder)? } else { Vec::new() };
    let files: Vec<_> = members.iter().map(|member| (member.path.clone(), member.name.clone())).collect();
    // No two members have one name in any case of letters.
    let mut here: BTreeMap<String, (Member, LocalFile)> = members
        .into_iter()
        .zip(folder::read(&files)?)
        .map(|(member, local)| (member.name.to_lowercase(), (member, local)))
        .collect();
    let mut pairs = Vec::new();
    for entry in client.files().await? {
        let here = here.remove(&entry.file_name.to_lowercase());
        pairs.push(Pair { name: entry.file_name.clone(), here, there: Some(entry) });
    }
    pairs.extend(here.into_values().map(|here| Pair {
        name: here.1.name.clone(),
        here: Some(here),
        there: None,
    }));
    pairs.retain(|pair| only.takes(&pair.name, pair.here.as_ref().map_or("", |(member, _)| &member.place)));
    Ok(pairs)
}

fn decide(pair: &Pair, lock: &Lock, sync: &Sync) -> Pulled {
    let before = lock.get(&pair.name);
    let locked = before.map(|locked| locked.sha256.as_str());
    let force = sync.rules.force;
    match (&pair.here, &pair.there) {
        (Some((_, here)), Some(there)) if here.sha256 == there.sha256 => Pulled::Alike,
        (Some((_, here)), Some(_)) if force || locked == Some(&here.sha256) => Pulled::Write { new: false },
        (Some(_), Some(there)) if before.is_some_and(|before| before.is(there)) => {
            Pulled::Kept("it was changed here, and `--apply` brings it to the server")
        }
        (Some(_), Some(_)) => {
            Pulled::Kept("it was changed here and on the server: `--force` takes the server's")
        }
        (None, Some(there)) if !folder::counts(&there.file_name) => {
            Pulled::Kept("in a folder, a file of this name does not count")
        }
        (None, Some(there)) if !is_plain(&there.file_name) => Pulled::Kept("no file here may have this name"),
        (None, Some(_)) if locked.is_some() && !force => Pulled::Kept(
            "it was removed here: `--force` brings it back, `--apply --delete` deletes it on the server",
        ),
        (None, Some(_)) => Pulled::Write { new: true },
        (Some((member, here)), None) if sync.rules.delete && (force || locked == Some(&here.sha256)) => {
            Pulled::Remove(member.path.clone())
        }
        _ => Pulled::Alike,
    }
}

async fn carry_out(
    client: &Client,
    folder: &Path,
    pair: &Pair,
    pulled: &Pulled,
    lock: &mut Lock,
) -> Result<(), Failure> {
    match pulled {
        Pulled::Write { .. } => {
            let Some(entry) = &pair.there else { return Ok(()) };
            let path = match &pair.here {
                Some((member, _)) => member.path.clone(),
                None => place(Some(folder), &entry.file_name, 1)?,
            };
            if pair.here.is_none() && path.exists() {
                return Err(Failure::Here(format!(
                    "`{}` is here, and {MANIFEST} leaves it out or calls it something else",
                    path.display()
                )));
            }
            to_file(client, entry, None, &path).await?;
        }
        Pulled::Remove(path) => {
            std::fs::remove_file(path).map_err(|e| Failure::file("remove", path, &e))?;
            lock.forget(&pair.name);
        }
        Pulled::Alike | Pulled::Kept(_) => {}
    }
    if let (Some(entry), Pulled::Write { .. } | Pulled::Alike) = (&pair.there, pulled) {
        lock.agree(entry);
    }
    Ok(())
}

/// Writes into the manifest what the server says of the files and the manifest does not. How many files that are.
fn describe(folder: &Path, decided: &[(Pair, Pulled)], only_count: bool) -> Result<usize, Failure> {
    let (mut said, mut removed) = (Vec::new(), Vec::new());
    for (pair, pulled) in decided {
        if let (Pulled::Remove(_), Some((member, _))) = (pulled, &pair.here) {
            removed.push(member.place.clone());
        }
        let (Some(entry), Pulled::Alike | Pulled::Write { .. }) = (&pair.there, pulled) else { continue };
        let place = pair.here.as_ref().map_or(entry.file_name.as_str(), |(member, _)| &member.place);
        let fields = pair.here.as_ref().map(|(member, _)| member.fields.clone()).unwrap_or_default();
        said.push((place.to_owned(), fields, entry));
    }
    manifest::describe(folder, &said, &removed, only_count)
}
