//! Bytes of an upload on their way in: hashed, counted and put where their size says. Nothing staged is part of
//! the library, and what is dropped on the way leaves nothing behind.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Rules;
use crate::blobs::{BlobStore, BlobWriter};
use crate::catalog::contents::{Content, Place};
use crate::error::Error;
use jumpbag_wire::hex::hex;

/// How long an upload waits for others to give their memory back.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Stage {
    blobs: BlobStore,
    memory: Arc<Semaphore>,
    max: u64,
    small_max: usize,
    hasher: Sha256,
    size: u64,
    small: BytesMut,
    large: Option<Large>,
}

struct Large {
    writer: BlobWriter,
    _memory: OwnedSemaphorePermit,
}

impl Stage {
    pub(super) fn new(blobs: BlobStore, rules: &Rules, memory: Arc<Semaphore>) -> Stage {
        Stage {
            blobs,
            memory,
            max: rules.max_file_bytes,
            small_max: rules.small_file_bytes,
            hasher: Sha256::new(),
            size: 0,
            small: BytesMut::new(),
            large: None,
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// `InvalidRequestBody` as soon as the file is larger than the limit.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.size += bytes.len() as u64;
        if self.size > self.max {
            return Err(Error::InvalidRequestBody(format!(
                "Request body is incorrect: the file is larger than the limit of {} bytes",
                self.max
            )));
        }
        self.hasher.update(&bytes);
        if let Some(large) = &mut self.large {
            return Ok(large.writer.write(bytes).await?);
        }
        if self.small.len() + bytes.len() <= self.small_max {
            self.small.extend_from_slice(&bytes);
            return Ok(());
        }
        let memory = tokio::time::timeout(PATIENCE, Arc::clone(&self.memory).acquire_owned()).await;
        let memory = memory.map_err(|_| Error::Crowded)?.map_err(|e| Error::Internal(e.to_string()))?;
        let mut writer = self.blobs.create();
        if !self.small.is_empty() {
            writer.write(self.small.split().freeze()).await?;
        }
        writer.write(bytes).await?;
        self.large = Some(Large { writer, _memory: memory });
        Ok(())
    }

    /// All bytes are there: makes those of a blob durable.
    ///
    /// # Errors
    /// `InvalidInput` when there were none.
    pub async fn finish(self) -> Result<Content, Error> {
        if self.size == 0 {
            return Err(Error::InvalidInput(
                "the file is empty: a library file has at least one byte".into(),
            ));
        }
        let place = match self.large {
            Some(large) => Place::Blob(large.writer.finish().await?),
            None => Place::Inline(self.small.freeze()),
        };
        Ok(Content { sha256: hex(&self.hasher.finalize()), size: self.size, place })
    }

    /// Gives the bytes up.
    pub async fn abort(self) {
        if let Some(large) = self.large {
            large.writer.abort().await;
        }
    }
}
