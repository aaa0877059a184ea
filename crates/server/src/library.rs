//! THE LIBRARY: what can be done with files, one verb a method. A name lives at most once, ignoring case; every
//! change of a file makes an immutable version; bytes are durable before a version names them.

mod compare;
mod deleted;
pub mod diff;
pub mod expect;
pub mod metadata;
pub mod name;
mod open;
pub(crate) mod page;
mod search;
mod stage;
pub mod sweep;
pub mod text;
mod upload;
mod versions;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use jumpbag_wire::library::{LibraryFile, Usage};
use tokio::sync::Semaphore;

use crate::blobs::BlobStore;
use crate::catalog::audit::Turn;
use crate::catalog::contents::{Content, Place};
use crate::catalog::history::Ended;
use crate::catalog::{Catalog, CatalogError, Tx, files, history};
use crate::error::Error;
use name::{FileName, Strictness};

pub use deleted::{DeletedPage, Subject};
pub use open::{ContentRef, Flow, Opened};
pub use page::{Listing, SET};
pub use stage::Stage;
pub use upload::{Override, Retry, Upload};
pub use versions::VersionsPage;

/// What the operator decided about the library.
#[derive(Debug, Clone)]
pub struct Rules {
    pub max_file_bytes: u64,
    /// Files up to this size are rows of the catalog, larger ones blobs.
    pub small_file_bytes: usize,
    pub names: Strictness,
    /// Memory that all uploads of blobs may hold together.
    pub upload_memory_bytes: usize,
    /// How long versions of a deleted file are kept.
    pub retention_days: i64,
    /// How long replaced versions of a living file are kept; `None`: for as long as the file.
    pub replaced_retention_days: Option<i64>,
    pub quotas: Quotas,
}

/// How much the library may hold; `None`: no limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quotas {
    pub files: Option<u64>,
    /// Of all contents that are kept, each once.
    pub bytes: Option<u64>,
    pub versions_per_file: Option<u64>,
}

pub struct Library {
    catalog: Arc<Catalog>,
    blobs: BlobStore,
    rules: Rules,
    upload_memory: Arc<Semaphore>,
    download_memory: Arc<Semaphore>,
    verified: Arc<open::Verified>,
    follower: search::Follower,
    /// Versions were removed since the index was compacted, or before this process began.
    forgotten: AtomicBool,
    comparing: Semaphore,
}

impl Library {
    pub fn new(catalog: Arc<Catalog>, blobs: BlobStore, rules: Rules) -> Library {
        let uploads = (rules.upload_memory_bytes / blobs.memory_per_upload()).max(1);
        let upload_memory = Arc::new(Semaphore::new(uploads));
        Library {
            catalog,
            blobs,
            rules,
            upload_memory,
            download_memory: open::memory(),
            verified: Arc::default(),
            follower: search::Follower::default(),
            forgotten: AtomicBool::new(true),
            comparing: compare::places(),
        }
    }

    /// The name of a file to be uploaded.
    ///
    /// # Errors
    /// `InvalidInput` with the rule that the name breaks.
    pub fn name(&self, text: &str) -> Result<FileName, Error> {
        FileName::parse(text, self.rules.names).map_err(|e| Error::InvalidInput(e.to_string()))
    }

    /// A place for the bytes of an upload to go to while they come in.
    pub fn stage(&self) -> Stage {
        Stage::new(self.blobs.clone(), &self.rules, Arc::clone(&self.upload_memory))
    }

    /// Takes back staged bytes that nobody is going to name.
    pub async fn discard(&self, content: &Content) {
        if let Place::Blob(key) = &content.place
            && let Err(e) = self.blobs.delete(key).await
        {
            tracing::warn!(blob = key, error = %e, "staged blob is left for the sweep");
        }
    }

    /// The file that lives under a name.
    pub async fn find(&self, name: &str) -> Result<LibraryFile, Error> {
        let key = lookup(name)?;
        self.catalog
            .read(move |tx| Box::pin(async move { Ok::<_, Error>(files::find(tx, &key).await?) }))
            .await?
            .ok_or_else(|| absent(name))
    }

    /// How many files live in the library, and how many bytes its contents have.
    pub async fn size(&self) -> Result<(u64, u64), Error> {
        self.catalog.read(|tx| Box::pin(async move { Ok(history::size(tx).await?) })).await
    }

    /// How much the library holds, and how much it may hold.
    pub async fn usage(&self) -> Result<Usage, Error> {
        let totals =
            self.catalog.snapshot(|tx| Box::pin(async move { Ok::<_, Error>(history::totals(tx).await?) }));
        let (totals, quotas) = (totals.await?, self.rules.quotas);
        Ok(Usage {
            files: totals.files,
            max_files: quotas.files,
            bytes: totals.bytes,
            max_bytes: quotas.bytes,
            versions: totals.versions,
            max_versions_per_file: quotas.versions_per_file,
            deleted_files: totals.deleted,
            held_files: totals.held,
            max_file_bytes: self.rules.max_file_bytes,
            retention_days: self.rules.retention_days.unsigned_abs(),
            replaced_retention_days: self.rules.replaced_retention_days.map(i64::unsigned_abs),
        })
    }
}

/// The key to look a name up by.
fn lookup(name: &str) -> Result<String, Error> {
    // No file has such a name, and PostgreSQL fails on the question.
    if name.contains('\0') {
        return Err(absent(name));
    }
    Ok(name::key(name))
}

fn absent(name: &str) -> Error {
    Error::NotFound(format!("Library file {name} was not found"))
}

/// Why a transaction ends without a change.
enum Stop {
    Refused(Error),
    /// What was asked for is there already.
    Same(Box<LibraryFile>),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Refused(error)
    }
}

impl From<CatalogError> for Stop {
    fn from(error: CatalogError) -> Stop {
        Stop::Refused(error.into())
    }
}

impl Stop {
    fn settle(outcome: Result<LibraryFile, Stop>) -> Result<LibraryFile, Error> {
        match outcome {
            Ok(file) => Ok(file),
            Err(Stop::Same(file)) => Ok(*file),
            Err(Stop::Refused(error)) => Err(error),
        }
    }
}

impl Quotas {
    /// # Errors
    /// `InvalidInput` when one more file, which `turn` counts already, is one too many.
    fn check_files(&self, turn: &Turn) -> Result<(), Error> {
        match self.files {
            Some(max) if turn.files.unsigned_abs() > max => Err(Error::InvalidInput(format!(
                "the library is full: it holds {max} files, and `max_files` allows no more; delete one first"
            ))),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// `InvalidInput` when new bytes, which `turn` counts already, are too many.
    fn check_bytes(&self, turn: &Turn, size: u64) -> Result<(), Error> {
        let total = turn.bytes.unsigned_abs();
        match self.bytes {
            Some(max) if total > max => Err(Error::InvalidInput(format!(
                "the library is full: it holds {} bytes, this file has {size}, and `max_library_bytes` allows \
                 {max} in all; deleted files count until they are purged",
                total - size.min(total)
            ))),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// `InvalidInput` when a file may not have one more version.
    async fn check_versions(&self, tx: &mut Tx, file: i64, name: &str) -> Result<(), Error> {
        let Some(max) = self.versions_per_file else { return Ok(()) };
        let kept = history::count_versions(tx, file).await?.unsigned_abs();
        if kept < max {
            return Ok(());
        }
        Err(Error::InvalidInput(format!(
            "Library file {name} has {kept} versions, and `max_versions_per_file` allows {max}; \
             `replaced_retention_days` lets old ones go, or delete and purge the file"
        )))
    }
}

/// Ends a file's current version, as [`files::advance`] has counted it, in favour of `next`.
async fn replace(tx: &mut Tx, turn: &Turn, next: &files::NewVersion<'_>) -> Result<(), CatalogError> {
    history::end_version(tx, next.file, next.number - 1, turn.number, Ended::Replaced, next.now).await?;
    files::insert_version(tx, next).await
}
