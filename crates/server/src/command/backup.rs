//! `backup` and `restore`: an installation copied into a folder (SQLite and blob files, whatever the source runs
//! on) and back into an empty one (whatever the target runs on). Every digest is verified on the way.

use std::path::Path;

use jumpbag_wire::time::Timestamp;

use super::{Failure, check};
use crate::app::Stores;
use crate::blobs::BlobStore;
use crate::catalog::Catalog;
use crate::catalog::audit::Actor;
use crate::catalog::contents::Place;
use crate::catalog::copy::copy;
use crate::config::Settings;
use crate::library::sweep::GARBAGE_GRACE_SECS;

const DATABASE: &str = "catalog.db";
const BLOBS: &str = "blobs";

pub async fn backup(settings: &Settings, folder: &Path) -> Result<(), Failure> {
    if folder.exists() {
        return Err(Failure::Said(format!("`{}` exists: name a folder that does not", folder.display())));
    }
    let source = Stores::open_existing(settings).await?;
    crate::files::create_private_dir(folder)
        .map_err(|e| Failure::Said(format!("cannot create `{}`: {e}", folder.display())))?;
    let started = Timestamp::now();
    let target = Catalog::open_sqlite(&folder.join(DATABASE)).await?;
    let rows = copy(&source.catalog, &target).await?;
    let blobs = BlobStore::folder(&folder.join(BLOBS))?;
    let copied = copy_blobs(&target, &source.blobs, &blobs).await?;
    // Blobs that lost their content meanwhile stay for that long: beyond it one of ours may have gone.
    if Timestamp::now().secs() - started.secs() > GARBAGE_GRACE_SECS {
        eprintln!(
            "jumpbag-server: the backup took longer than {GARBAGE_GRACE_SECS} seconds; every blob was verified all the same"
        );
    }
    println!("backup in {}: {rows} rows, {copied} blobs, every digest verified", folder.display());
    Ok(())
}

pub async fn restore(settings: &Settings, folder: &Path) -> Result<(), Failure> {
    let database = folder.join(DATABASE);
    if !database.is_file() {
        return Err(Failure::Said(format!(
            "`{}` holds no backup: there is no `{DATABASE}`",
            folder.display()
        )));
    }
    let source = Catalog::open_sqlite(&database).await?;
    // The tenant's row is copied last.
    if source.ping().await.is_err() {
        return Err(Failure::Said(format!(
            "`{}` holds a backup that was cut off: take one that ended with `backup in …`",
            folder.display()
        )));
    }
    let blobs = BlobStore::folder(&folder.join(BLOBS))?;
    let target = Stores::open(settings).await?;
    crate::catalog::copy::require_empty(&target.catalog).await?;
    // Bytes before rows, as always.
    let copied = copy_blobs(&source, &blobs, &target.blobs).await?;
    let rows = copy(&source, &target.catalog).await?;
    crate::catalog::copy::begin_anew(&target.catalog, Actor::operator("restore"), Timestamp::now()).await?;
    println!("restored from {}: {rows} rows, {copied} blobs, every digest verified", folder.display());
    Ok(())
}

/// Copies the blobs of every content in `catalog` and of what commands put out, under their keys, and verifies each.
async fn copy_blobs(catalog: &Catalog, from: &BlobStore, to: &BlobStore) -> Result<u64, Failure> {
    let mut copied = 0;
    check::each_content(catalog, async |content| {
        if let Place::Blob(key) = &content.place {
            from.copy_to(key, to).await?;
            copied += 1;
        }
        Ok(check::verify(to, &content).await?)
    })
    .await?;
    check::each_output(catalog, async |key, size| {
        from.copy_to(&key, to).await?;
        copied += 1;
        check::measure(to, &key, size).await.map_err(Failure::Said)
    })
    .await?;
    Ok(copied)
}
