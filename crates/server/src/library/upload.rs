//! Upload: staged bytes get a name, and a version of their own.

use jumpbag_wire::library::{Cause, LibraryFile};
use jumpbag_wire::patch::FilePatch;
use jumpbag_wire::time::Timestamp;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::expect::Expect;
use super::metadata::Metadata;
use super::name::FileName;
use super::{Library, Quotas, Stop, replace};
use crate::catalog::audit::{self, Actor, Change};
use crate::catalog::contents::{self, Content};
use crate::catalog::files::{self, NewVersion};
use crate::catalog::{CatalogError, Tx, retries};
use crate::error::Error;
use jumpbag_wire::hex::hex;

/// Whether an upload may take the place of the file that has its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Override {
    Yes,
    No,
}

/// What makes an upload safe to send again: the caller's key for it.
#[derive(Debug, Clone)]
pub struct Retry {
    pub caller: String,
    pub key: String,
}

/// An upload whose bytes are staged.
#[derive(Debug)]
pub struct Upload {
    pub name: FileName,
    pub content: Content,
    /// What the form said; what it left out stays as it is when a file is replaced.
    pub metadata: FilePatch,
    pub replace: Override,
    pub expect: Expect,
    pub retry: Option<Retry>,
}

impl Library {
    /// Puts staged bytes into the library under their name. Durable when it returns. An upload that was sent
    /// again under the same key is answered as the first time.
    ///
    /// # Errors
    /// `InvalidInput` when the name is taken and may not be replaced, a quota is used up, or the key belongs to
    /// another upload; `PreconditionFailed` when the file is not what was expected. Then the staged bytes are gone.
    pub async fn upload(&self, upload: Upload, actor: Actor, now: Timestamp) -> Result<LibraryFile, Error> {
        let (content, quotas) = (upload.content.clone(), self.rules.quotas);
        let outcome = self.catalog.write(move |tx| Box::pin(commit(tx, upload, quotas, actor, now))).await;
        match &outcome {
            // The commit may stand although its answer was lost: the sweep decides about the bytes.
            Ok(_)
            | Err(Stop::Refused(Error::Catalog(CatalogError::Unreachable(_) | CatalogError::Failed(_)))) => {}
            Err(_) => self.discard(&content).await,
        }
        Stop::settle(outcome)
    }
}

async fn commit(
    tx: &mut Tx,
    upload: Upload,
    quotas: Quotas,
    actor: Actor,
    now: Timestamp,
) -> Result<LibraryFile, Stop> {
    let (key, name) = (upload.name.key(), upload.name.as_str());
    let mut turn = audit::turn(tx).await?;
    let fingerprint = match &upload.retry {
        Some(retry) => Some(first_of_its_key(tx, retry, &upload).await?),
        None => None,
    };
    let (id, number, before) = if files::insert_file(tx, &mut turn, &key, &actor.name, now).await? {
        upload.expect.check(name, None)?;
        quotas.check_files(&turn)?;
        (turn.number, 1, None)
    } else {
        let gone = || CatalogError::Shape("a name came and went".into());
        // Changes take turns: the name cannot have gone since the statement before.
        let before = files::find(tx, &key).await?.ok_or_else(gone)?;
        upload.expect.check(name, Some(&before))?;
        if upload.replace == Override::No {
            return Err(Stop::Refused(Error::InvalidInput(format!(
                "Library file {name} already exists. Set OverrideIfExists to true to replace it"
            ))));
        }
        let (id, number) = files::advance(tx, &key).await?.ok_or_else(gone)?;
        quotas.check_versions(tx, id, name).await?;
        (id, number, Some(before))
    };
    let known = before.as_ref().map(Metadata::from).unwrap_or_default();
    let metadata = known.apply(upload.metadata).map_err(|e| Error::InvalidInput(e.to_string()))?;
    let size = upload.content.size;
    let bytes_before = turn.bytes;
    let content = contents::keep_content(tx, &mut turn, &upload.content, now).await?;
    if turn.bytes > bytes_before {
        quotas.check_bytes(&turn, size)?;
    }
    let version = NewVersion {
        born: turn.number,
        file: id,
        number,
        name,
        content,
        metadata: &metadata,
        cause: if before.is_some() { Cause::Overridden } else { Cause::Uploaded },
        author: &actor.name,
        author_id: &actor.id,
        now,
    };
    match &before {
        Some(_) => replace(tx, &turn, &version).await?,
        None => files::insert_version(tx, &version).await?,
    }
    let file = LibraryFile {
        file_name: name.to_owned(),
        sha256: upload.content.sha256,
        description: metadata.description,
        creation_time: before.as_ref().map_or(now, |before| before.creation_time),
        last_updated_time: now,
        created_by: before.as_ref().map_or_else(|| actor.name.clone(), |before| before.created_by.clone()),
        has_parameters: metadata.has_parameters,
        parameters_description: metadata.parameters_description,
        id: id.to_string(),
        size,
        version: number.unsigned_abs(),
        tags: metadata.tags,
        platforms: metadata.platforms,
        category: metadata.category,
        instructions: metadata.instructions,
        legal_hold: before.as_ref().is_some_and(|before| before.legal_hold),
    };
    if let (Some(retry), Some(fingerprint)) = (&upload.retry, fingerprint) {
        let answer = serde_json::to_string(&file).map_err(|e| Error::Internal(e.to_string()))?;
        let row = retries::Retry { fingerprint, answer };
        retries::insert(tx, &retry.caller, &retry.key, row, now).await?;
    }
    let change = Change {
        action: if before.is_some() { "library.override" } else { "library.upload" },
        target: &file.file_name,
        before: before.map(|before| json!({ "file": before })),
        after: Some(json!({ "file": &file })),
    };
    audit::append(tx, now, &actor, turn, change).await?;
    Ok(file)
}

/// The fingerprint of an upload whose key was not used before.
///
/// # Errors
/// `Same` with the first answer when this very upload was made under the key.
async fn first_of_its_key(tx: &mut Tx, retry: &Retry, upload: &Upload) -> Result<String, Stop> {
    let sent = json!([
        upload.name.as_str(),
        upload.content.sha256,
        upload.metadata,
        upload.replace == Override::Yes
    ]);
    let fingerprint = hex(&Sha256::digest(sent.to_string()));
    match retries::find(tx, &retry.caller, &retry.key).await? {
        None => Ok(fingerprint),
        Some(first) if first.fingerprint == fingerprint => {
            let file = serde_json::from_str(&first.answer)
                .map_err(|e| CatalogError::Shape(format!("the answer to an upload: {e}")))?;
            Err(Stop::Same(Box::new(file)))
        }
        Some(_) => Err(Stop::Refused(Error::InvalidInput(
            "`Idempotency-Key` was used for another upload before: take a new key for each upload".into(),
        ))),
    }
}
