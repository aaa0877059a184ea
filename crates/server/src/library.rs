//! THE LIBRARY: upload, list, find, open, delete. A name lives at most once, ignoring case; every upload makes an
//! immutable version; bytes are durable before a version names them.

pub mod name;
mod open;
mod page;
mod stage;
pub mod sweep;

use std::sync::Arc;

use jumpbag_wire::library::LibraryFile;
use jumpbag_wire::time::Timestamp;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::blobs::BlobStore;
use crate::catalog::audit::{self, Actor, Change};
use crate::catalog::files::{self, Content, Ended, NewVersion, Place};
use crate::catalog::{Catalog, CatalogError, Tx};
use crate::error::Error;
use name::{FileName, Strictness};

pub use open::{Flow, Opened};
pub use page::{Listing, SET};
pub use stage::Stage;

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
    pub retention_secs: i64,
}

pub struct Library {
    catalog: Arc<Catalog>,
    blobs: BlobStore,
    rules: Rules,
    upload_memory: Arc<Semaphore>,
    download_memory: Arc<Semaphore>,
}

/// Whether an upload may take the place of the file that has its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Override {
    Yes,
    No,
}

/// An upload whose bytes are staged.
#[derive(Debug)]
pub struct Upload {
    pub name: FileName,
    pub content: Content,
    pub description: Option<String>,
    pub parameters_description: Option<String>,
    /// `None`: true exactly when there is a description of parameters.
    pub has_parameters: Option<bool>,
    pub replace: Override,
}

impl Library {
    pub fn new(catalog: Arc<Catalog>, blobs: BlobStore, rules: Rules) -> Library {
        let uploads = (rules.upload_memory_bytes / blobs.memory_per_upload()).max(1);
        let upload_memory = Arc::new(Semaphore::new(uploads));
        Library { catalog, blobs, rules, upload_memory, download_memory: open::memory() }
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

    /// Puts staged bytes into the library under their name. Durable when it returns.
    ///
    /// # Errors
    /// `InvalidInput` when the name is taken and may not be replaced; then the staged bytes are gone.
    pub async fn upload(&self, upload: Upload, actor: Actor, now: Timestamp) -> Result<LibraryFile, Error> {
        let content = upload.content.clone();
        let outcome = self.catalog.write(move |tx| Box::pin(commit_upload(tx, upload, actor, now))).await;
        match outcome {
            Ok(file) => Ok(file),
            Err(Error::Catalog(lost @ (CatalogError::Unreachable(_) | CatalogError::Failed(_)))) => {
                // The commit may stand although its answer was lost: the sweep decides about the bytes.
                Err(Error::Catalog(lost))
            }
            Err(refused) => {
                self.discard(&content).await;
                Err(refused)
            }
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

    /// Hides a name. Its versions stay for the retention time.
    ///
    /// # Errors
    /// `NotFound` when no file lives under the name.
    pub async fn delete(&self, name: &str, actor: Actor, now: Timestamp) -> Result<(), Error> {
        let (name, key) = (name.to_owned(), lookup(name)?);
        self.catalog.write(move |tx| Box::pin(commit_delete(tx, name, key, actor, now))).await
    }

    /// How many files live in the library, and how many bytes its contents have.
    pub async fn usage(&self) -> Result<(u64, u64), Error> {
        self.catalog.read(|tx| Box::pin(async move { Ok(files::usage(tx).await?) })).await
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

async fn commit_upload(
    tx: &mut Tx,
    upload: Upload,
    actor: Actor,
    now: Timestamp,
) -> Result<LibraryFile, Error> {
    let key = upload.name.key();
    let change = audit::next_change(tx).await?;
    let (id, number) = if files::insert_file(tx, change, &key, &actor.name, now).await? {
        (change, 1)
    } else if upload.replace == Override::Yes {
        // Changes take turns from their number on: the name cannot have gone since the statement before.
        files::advance(tx, &key).await?.ok_or_else(|| CatalogError::Shape("a name came and went".into()))?
    } else {
        return Err(Error::InvalidInput(format!(
            "Library file {} already exists. Set OverrideIfExists to true to replace it",
            upload.name.as_str()
        )));
    };
    let before = if number > 1 { files::version(tx, id, number - 1).await? } else { None };
    let content = files::keep_content(tx, change, &upload.content, now).await?;
    if number > 1 {
        files::end_version(tx, id, number - 1, change, Ended::Replaced).await?;
    }
    let has_parameters = upload.has_parameters.unwrap_or(upload.parameters_description.is_some());
    let version = NewVersion {
        born: change,
        file: id,
        number,
        name: upload.name.as_str(),
        content,
        description: upload.description.as_deref(),
        has_parameters,
        parameters_description: upload.parameters_description.as_deref(),
        author: &actor.name,
        author_id: &actor.id,
        now,
    };
    files::insert_version(tx, &version).await?;
    let (creation_time, created_by) = match &before {
        Some(before) => (before.creation_time, before.created_by.clone()),
        None => (now, actor.name.clone()),
    };
    let file = LibraryFile {
        file_name: upload.name.as_str().to_owned(),
        sha256: upload.content.sha256,
        description: upload.description,
        creation_time,
        last_updated_time: now,
        created_by,
        has_parameters,
        parameters_description: upload.parameters_description,
        id: id.to_string(),
        size: upload.content.size,
    };
    let change = Change {
        number: change,
        action: if before.is_some() { "library.override" } else { "library.upload" },
        target: &file.file_name,
        before: before.map(|before| json!(before)),
        after: Some(json!({ "version": number, "file": &file })),
    };
    audit::append(tx, now, &actor, change).await?;
    Ok(file)
}

/// Takes its number first, as every change of the library does: on PostgreSQL they would wait for each other
/// otherwise.
async fn commit_delete(
    tx: &mut Tx,
    name: String,
    key: String,
    actor: Actor,
    now: Timestamp,
) -> Result<(), Error> {
    let change = audit::next_change(tx).await?;
    let Some((id, number)) = files::hide(tx, &key, now).await? else {
        return Err(absent(&name));
    };
    files::end_version(tx, id, number, change, Ended::Deleted).await?;
    let before = files::version(tx, id, number).await?;
    let target = before.as_ref().map_or(name, |file| file.file_name.clone());
    let change = Change {
        number: change,
        action: "library.delete",
        target: &target,
        before: before.map(|file| json!({ "version": number, "file": file })),
        after: None,
    };
    Ok(audit::append(tx, now, &actor, change).await?)
}
