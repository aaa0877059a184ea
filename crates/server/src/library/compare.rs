//! Two versions of a file side by side: their bytes are fetched, verified and compared, a few pairs at a time.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use jumpbag_wire::diff::{Diff, DiffSide};
use jumpbag_wire::library::FileVersion;
use tokio::sync::Semaphore;

use super::diff::{DiffError, Side, diff};
use super::search::whole_characters;
use super::text::decode;
use super::{ContentRef, Library, Subject};
use crate::error::Error;

/// Bytes of a version that is compared line by line.
const MAX_BYTES: u64 = 1024 * 1024;
/// Pairs that are compared at a time, each for less than a second; more wait.
const PLACES: usize = 2;
const PATIENCE: Duration = Duration::from_secs(20);

/// The places for comparing.
pub(super) fn places() -> Semaphore {
    Semaphore::new(PLACES)
}

impl Library {
    /// In which lines two versions of the file that lives under a name differ. Of those that are no text: digests
    /// and sizes.
    ///
    /// # Errors
    /// `NotFound` when there is no such file or version; `InvalidInput` when texts are too large to be compared.
    pub async fn diff(&self, name: &str, from: u64, to: u64) -> Result<Diff, Error> {
        let version = |number| self.version(Subject::Living(name.to_owned()), number);
        let (from, to) = (version(from).await?, version(to).await?);
        let place = tokio::time::timeout(PATIENCE, self.comparing.acquire()).await;
        let _place = place.map_err(|_| Error::Crowded)?.map_err(|e| Error::Internal(e.to_string()))?;
        if let Some(large) = [&from, &to].into_iter().find(|version| version.size > MAX_BYTES) {
            return self.bytes_alone(&from, &to, large).await;
        }
        let (from_bytes, to_bytes) = (self.all_bytes(&from).await?, self.all_bytes(&to).await?);
        let compare =
            move || diff(side(&from, &from_bytes), side(&to, &to_bytes), MAX_BYTES as usize).map_err(refused);
        tokio::task::spawn_blocking(compare).await.map_err(|e| Error::Internal(e.to_string()))?
    }

    async fn all_bytes(&self, version: &FileVersion) -> Result<Vec<u8>, Error> {
        let (opened, _) = self.open(&ContentRef::from(version.clone()), 0..version.size).await?;
        let bytes = Vec::with_capacity(version.size as usize);
        opened
            .try_fold(bytes, async |mut bytes, piece| {
                bytes.extend_from_slice(&piece);
                Ok(bytes)
            })
            .await
    }

    /// What is told of versions of which one, `large`, is too large for lines.
    async fn bytes_alone(
        &self,
        from: &FileVersion,
        to: &FileVersion,
        large: &FileVersion,
    ) -> Result<Diff, Error> {
        let beginning = self.beginning(&large.sha256).await?;
        let (binary, identical) = (decode(whole_characters(&beginning)).is_none(), from.sha256 == to.sha256);
        if !binary && !identical {
            let (version, bytes) = (large.version, large.size as usize);
            return Err(refused(DiffError::TooManyBytes { version, bytes, max: MAX_BYTES as usize }));
        }
        let told = |version: &FileVersion| DiffSide {
            version: version.version,
            sha256: version.sha256.clone(),
            size: version.size,
            encoding: None,
        };
        Ok(Diff { from: told(from), to: told(to), identical, binary, hunks: Vec::new() })
    }
}

fn side<'a>(version: &'a FileVersion, bytes: &'a [u8]) -> Side<'a> {
    Side { version: version.version, sha256: &version.sha256, bytes }
}

fn refused(error: DiffError) -> Error {
    Error::InvalidInput(error.to_string())
}
