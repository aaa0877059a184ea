//! `check`: reads everything and says what does not fit together.

use std::collections::HashSet;
use std::io::IsTerminal as _;

use futures_util::TryStreamExt as _;
use jumpbag_wire::time::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{Failure, audit};
use crate::app::Stores;
use crate::blobs::{BlobError, BlobStore};
use crate::catalog::contents::{self, Content, Place};
use crate::catalog::{Catalog, actions, history};
use crate::config::Settings;
use crate::error::Error;
use crate::library::Library;
use jumpbag_wire::hex::hex;

const BATCH: i64 = 500;
/// Names told of a damaged content.
const NAMES: i64 = 5;

/// What a check found.
#[derive(Default)]
struct Report {
    contents: u64,
    bytes: u64,
    problems: Vec<String>,
    ownerless: u64,
}

pub async fn run(settings: &Settings, repair: bool) -> Result<(), Failure> {
    let stores = Stores::open_existing(settings).await?;
    let library = stores.library(settings);
    let mut report = Report::default();
    contents(&stores, &mut report).await?;
    output(&stores, &mut report).await?;
    rows(&stores, &mut report).await?;
    if let Err(fault) = audit::verify(settings, &stores, &[], &[]).await? {
        report.problems.push(format!("audit log, {fault}"));
    }
    ownerless(&library, &mut report, repair).await?;
    for problem in &report.problems {
        println!("{problem}");
    }
    println!(
        "checked {} contents, {} bytes: {} problems, {} ownerless blobs{}",
        report.contents,
        report.bytes,
        report.problems.len(),
        report.ownerless,
        if repair && report.ownerless > 0 { " removed" } else { "" }
    );
    if report.problems.is_empty() && (repair || report.ownerless == 0) {
        Ok(())
    } else {
        Err(Failure::Silent)
    }
}

/// Every content has its bytes, and they have their digest.
async fn contents(stores: &Stores, report: &mut Report) -> Result<(), Failure> {
    let progress = std::io::stderr().is_terminal();
    each_content(&stores.catalog, async |content| {
        report.contents += 1;
        report.bytes += content.size;
        if let Err(e) = verify(&stores.blobs, &content).await {
            let names = names(stores, content.sha256).await?;
            report.problems.push(format!("{e}; in the library as `{}`", names.join("`, `")));
        }
        if progress && report.contents.is_multiple_of(BATCH.unsigned_abs()) {
            eprint!("\r{} contents, {} bytes", report.contents, report.bytes);
        }
        Ok(())
    })
    .await?;
    if progress {
        eprintln!("\r{} contents, {} bytes", report.contents, report.bytes);
    }
    Ok(())
}

async fn names(stores: &Stores, sha256: String) -> Result<Vec<String>, Error> {
    stores
        .catalog
        .read(move |tx| Box::pin(async move { Ok(contents::names(tx, &sha256, NAMES).await?) }))
        .await
}

/// Walks over all contents in the order of their digests, one in memory at a time.
pub async fn each_content(
    catalog: &Catalog,
    mut work: impl AsyncFnMut(Content) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut last = String::new();
    loop {
        let after = last.clone();
        let digests = catalog
            .read(move |tx| {
                Box::pin(async move { Ok::<_, Error>(contents::digests(tx, &after, BATCH).await?) })
            })
            .await?;
        let Some(newest) = digests.last() else { return Ok(()) };
        last.clone_from(newest);
        for digest in digests {
            let content = catalog
                .read(move |tx| {
                    Box::pin(async move { Ok::<_, Error>(contents::content(tx, &digest).await?) })
                })
                .await?;
            // One that is not there has expired since the digests were read.
            if let Some(content) = content {
                work(content).await?;
            }
        }
    }
}

/// Every blob of output is there, as long as it was.
async fn output(stores: &Stores, report: &mut Report) -> Result<(), Failure> {
    each_output(&stores.catalog, async |blob, size| {
        if let Err(problem) = measure(&stores.blobs, &blob, size).await {
            report.problems.push(problem);
        }
        Ok(())
    })
    .await
}

/// Walks over all blobs of what commands put out, with their sizes, in the order of their names.
pub async fn each_output(
    catalog: &Catalog,
    mut work: impl AsyncFnMut(String, u64) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut last = String::new();
    loop {
        let after = last.clone();
        let blobs = catalog
            .read(move |tx| {
                Box::pin(async move { Ok::<_, Error>(actions::output_blobs(tx, &after, BATCH).await?) })
            })
            .await?;
        let Some((newest, _)) = blobs.last() else { return Ok(()) };
        last.clone_from(newest);
        for (blob, size) in blobs {
            work(blob, size).await?;
        }
    }
}

/// Reads a blob of output and compares its size.
///
/// # Errors
/// What does not fit, naming the blob.
pub async fn measure(blobs: &BlobStore, key: &str, size: u64) -> Result<(), String> {
    let read = async {
        let mut stream = blobs.open(key).await?;
        let mut read = 0;
        while let Some(bytes) = stream.try_next().await? {
            read += bytes.len() as u64;
        }
        Ok::<_, BlobError>(read)
    };
    match read.await {
        Ok(read) if read == size => Ok(()),
        Ok(read) => Err(format!("output in blob `{key}` has {read} bytes instead of {size}")),
        Err(e) => Err(format!("output in blob `{key}`: {}", Error::from(e).chain())),
    }
}

/// Reads a content and compares size and digest.
///
/// # Errors
/// `Damaged`, naming the digest and the blob.
pub async fn verify(blobs: &BlobStore, content: &Content) -> Result<(), Error> {
    let damaged = |problem: String| Error::Damaged { sha256: content.sha256.clone(), problem };
    let (hash, size) = match &content.place {
        Place::Inline(bytes) => (Sha256::digest(bytes), bytes.len() as u64),
        Place::Blob(key) => {
            let read = async {
                let mut stream = blobs.open(key).await?;
                let (mut hasher, mut size) = (Sha256::new(), 0);
                while let Some(bytes) = stream.try_next().await? {
                    hasher.update(&bytes);
                    size += bytes.len() as u64;
                }
                Ok::<_, BlobError>((hasher.finalize(), size))
            };
            read.await.map_err(|e| damaged(format!("blob `{key}`: {}", Error::from(e).chain())))?
        }
    };
    let place = match &content.place {
        Place::Inline(_) => "its row".to_owned(),
        Place::Blob(key) => format!("blob `{key}`"),
    };
    if size != content.size {
        return Err(damaged(format!("{place} has {size} bytes instead of {}", content.size)));
    }
    if hex(&hash) != content.sha256 {
        return Err(damaged(format!("{place} has the digest {}", hex(&hash))));
    }
    Ok(())
}

/// Rows that contradict each other.
async fn rows(stores: &Stores, report: &mut Report) -> Result<(), Failure> {
    let found = stores
        .catalog
        .snapshot(|tx| Box::pin(async move { Ok::<_, Error>(history::contradictions(tx).await?) }))
        .await?;
    let unique: HashSet<_> = found.into_iter().collect();
    report.problems.extend(unique);
    Ok(())
}

async fn ownerless(library: &Library, report: &mut Report, repair: bool) -> Result<(), Failure> {
    // An upload under way has a blob and no row yet. Whoever repairs says that none is.
    let before = if repair { Timestamp::now() } else { Timestamp::now().plus_secs(-60) };
    if repair {
        report.ownerless = library.remove_ownerless(before).await?;
    } else {
        let found = library.ownerless(before).await?;
        report.ownerless = found.len() as u64;
        for blob in found {
            println!("blob `{}` ({} bytes) has no row: --repair removes it", blob.key, blob.size);
        }
    }
    Ok(())
}
