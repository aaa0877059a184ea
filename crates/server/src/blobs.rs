//! The blob store: bytes too large for a row, in memory, a folder or a bucket. A blob is durable when
//! [`BlobWriter::finish`] returns; its key is made here, used for these bytes only and never again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use jumpbag_wire::time::Timestamp;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload, path::Path as Key};

#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("no space left for blobs")]
    Full(#[source] object_store::Error),
    #[error("blob `{0}` is missing")]
    Missing(String),
    #[error("blob store failed")]
    Failed(#[source] object_store::Error),
    #[error("{0}")]
    Setup(String),
}

/// A handle on the store. Cheap to clone.
#[derive(Clone)]
pub struct BlobStore {
    store: Arc<dyn ObjectStore>,
    prefix: Key,
    /// Where the folder is, when the store is one.
    folder: Option<PathBuf>,
    part: usize,
}

/// A blob as the store lists it.
pub struct Listed {
    pub key: String,
    pub size: u64,
    pub modified: Timestamp,
}

/// Bytes a folder takes at once: small, because as many wait in memory for every upload.
const FOLDER_PART: usize = 256 * 1024;
/// S3 takes no part below 5 MiB but the last.
const BUCKET_PART: usize = 5 * 1024 * 1024;

impl BlobStore {
    pub fn memory() -> BlobStore {
        BlobStore {
            store: Arc::new(object_store::memory::InMemory::new()),
            prefix: Key::default(),
            folder: None,
            part: FOLDER_PART,
        }
    }

    /// Opens or creates a folder. Every write is synced with the entry of its name.
    pub fn folder(path: &Path) -> Result<BlobStore, BlobError> {
        let setup = |what: &str, e: std::io::Error| {
            BlobError::Setup(format!("cannot {what} blob folder `{}`: {e}", path.display()))
        };
        crate::files::create_private_dir(path).map_err(|e| setup("create", e))?;
        let path = path.canonicalize().map_err(|e| setup("find", e))?;
        let parent = path.parent().unwrap_or(&path);
        std::fs::File::open(parent)
            .and_then(|folder| folder.sync_all())
            .map_err(|e| setup("sync", e))?;
        let store = object_store::local::LocalFileSystem::new_with_prefix(&path)
            .map_err(BlobError::Failed)?
            .with_fsync(true);
        Ok(BlobStore {
            store: Arc::new(store),
            prefix: Key::default(),
            folder: Some(path),
            part: FOLDER_PART,
        })
    }

    /// Opens a bucket: `s3://bucket/prefix`, `az://container/prefix` or `gs://bucket/prefix`. Options are those
    /// of the `object_store` crate, for example `aws_endpoint`; credentials may also come from the
    /// provider's usual environment variables.
    pub fn bucket(url: &str, options: &HashMap<String, String>) -> Result<BlobStore, BlobError> {
        let url = url::Url::parse(url)
            .map_err(|e| BlobError::Setup(format!("`blob_url` = `{url}` is not an address: {e}")))?;
        check_options(&url, options)?;
        let from_environment = std::env::vars()
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .filter(|(name, _)| {
                ["aws_", "azure_", "google_"]
                    .iter()
                    .any(|prefix| name.starts_with(prefix))
            });
        let options = from_environment.chain(options.clone());
        let (store, prefix) = object_store::parse_url_opts(&url, options)
            .map_err(|e| BlobError::Setup(format!("`blob_url` = `{url}` cannot be used: {e}")))?;
        Ok(BlobStore {
            store: Arc::from(store),
            prefix,
            folder: None,
            part: BUCKET_PART,
        })
    }

    /// Bytes of memory one upload may hold at a time.
    pub fn memory_per_upload(&self) -> usize {
        2 * self.part
    }

    fn key(&self, blob: &str) -> Key {
        self.prefix.clone().join(blob)
    }

    /// Starts a new blob.
    pub fn create(&self) -> BlobWriter {
        self.writer(uuid::Uuid::now_v7().simple().to_string())
    }

    fn writer(&self, blob: String) -> BlobWriter {
        BlobWriter {
            store: Arc::clone(&self.store),
            key: self.key(&blob),
            blob,
            upload: None,
            part: self.part,
            waiting: Vec::new(),
            held: 0,
            in_flight: None,
        }
    }

    /// Copies a blob into another store, under the same key.
    pub async fn copy_to(&self, blob: &str, to: &BlobStore) -> Result<(), BlobError> {
        let mut bytes = self.open(blob).await?;
        let mut writer = to.writer(blob.to_owned());
        while let Some(piece) = bytes.try_next().await? {
            writer.write(piece).await?;
        }
        writer.finish().await.map(|_| ())
    }

    /// The bytes of a blob, as they are stored: whoever serves them checks their digest.
    pub async fn open(&self, blob: &str) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        let found = self
            .store
            .get(&self.key(blob))
            .await
            .map_err(|e| missing(blob, e))?;
        let blob = blob.to_owned();
        Ok(found.into_stream().map_err(move |e| missing(&blob, e)).boxed())
    }

    /// Deletes a blob; one that is not there is deleted already.
    pub async fn delete(&self, blob: &str) -> Result<(), BlobError> {
        match self.store.delete(&self.key(blob)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(failed(e)),
        }
    }

    /// Every blob, in no order. Whatever else lies in the same place is none of ours and not listed.
    pub fn list(&self) -> BoxStream<'static, Result<Listed, BlobError>> {
        let prefix = self.prefix.clone();
        self.store
            .list((!prefix.as_ref().is_empty()).then_some(&self.prefix))
            .map_err(failed)
            .try_filter_map(move |meta| {
                let key = own_key(&prefix, &meta.location).map(|key| Listed {
                    key,
                    size: meta.size,
                    modified: Timestamp::from_micros(meta.last_modified.timestamp_micros()),
                });
                std::future::ready(Ok(key))
            })
            .boxed()
    }

    /// Files of uploads cut short before `before`, which a folder keeps beside the blobs and does not list.
    pub fn leftovers(&self, before: Timestamp) -> std::io::Result<Vec<PathBuf>> {
        let Some(folder) = &self.folder else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let modified: chrono::DateTime<chrono::Utc> = entry.metadata()?.modified()?.into();
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let staged = name.split_once('#').is_some_and(|(blob, _)| is_key(blob));
            if staged && modified.timestamp_micros() < before.micros() {
                found.push(entry.path());
            }
        }
        Ok(found)
    }

    /// Writes, reads and deletes a blob: whether the store really works.
    pub async fn probe(&self) -> Result<(), BlobError> {
        let mut writer = self.create();
        writer.write(Bytes::from_static(b"probe")).await?;
        let blob = writer.finish().await?;
        let read = self
            .open(&blob)
            .await?
            .try_fold(0, |sum, bytes| async move { Ok(sum + bytes.len()) })
            .await;
        self.delete(&blob).await?;
        read.map(|_| ())
    }
}

/// A blob that is being written. Dropped or aborted, it never existed.
pub struct BlobWriter {
    store: Arc<dyn ObjectStore>,
    key: Key,
    blob: String,
    /// Begun with the first full part: what fits into one is put in one request.
    upload: Option<Box<dyn MultipartUpload>>,
    part: usize,
    waiting: Vec<Bytes>,
    held: usize,
    in_flight: Option<tokio::task::JoinHandle<object_store::Result<()>>>,
}

impl BlobWriter {
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        self.held += bytes.len();
        self.waiting.push(bytes);
        if self.held >= self.part {
            self.flush().await
        } else {
            Ok(())
        }
    }

    fn take_waiting(&mut self) -> PutPayload {
        self.held = 0;
        std::mem::take(&mut self.waiting).into_iter().collect()
    }

    /// Hands one part to the store; at most one is on its way while the next gathers.
    async fn flush(&mut self) -> Result<(), BlobError> {
        self.settle().await?;
        let payload = self.take_waiting();
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => none.insert(self.store.put_multipart(&self.key).await.map_err(failed)?),
        };
        self.in_flight = Some(tokio::spawn(upload.put_part(payload)));
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), BlobError> {
        match self.in_flight.take() {
            None => Ok(()),
            Some(task) => task.await.unwrap_or_else(|e| Err(e.into())).map_err(failed),
        }
    }

    /// Makes the blob durable; its key.
    pub async fn finish(mut self) -> Result<String, BlobError> {
        match self.complete().await {
            Ok(()) => Ok(self.blob),
            Err(e) => {
                self.abort().await;
                Err(e)
            }
        }
    }

    async fn complete(&mut self) -> Result<(), BlobError> {
        if self.upload.is_none() {
            let payload = self.take_waiting();
            return self
                .store
                .put(&self.key, payload)
                .await
                .map(|_| ())
                .map_err(failed);
        }
        if self.held > 0 {
            self.flush().await?;
        }
        self.settle().await?;
        match &mut self.upload {
            Some(upload) => upload.complete().await.map(|_| ()).map_err(failed),
            None => Ok(()),
        }
    }

    /// Takes back what was written so far. What cannot be taken back is swept later.
    pub async fn abort(mut self) {
        let _ = self.settle().await;
        if let Some(mut upload) = self.upload.take()
            && let Err(e) = upload.abort().await
        {
            tracing::debug!(blob = self.blob, error = %e, "unfinished blob could not be taken back");
        }
    }
}

/// A misspelt option must not send bytes elsewhere, and an address must not lead to a store that does not sync.
fn check_options(url: &url::Url, options: &HashMap<String, String>) -> Result<(), BlobError> {
    use object_store::{
        ObjectStoreScheme, aws::AmazonS3ConfigKey, azure::AzureConfigKey, gcp::GoogleConfigKey,
    };
    let knows: fn(&str) -> bool = match ObjectStoreScheme::parse(url).map(|(scheme, _)| scheme) {
        Ok(ObjectStoreScheme::AmazonS3) => |name| name.parse::<AmazonS3ConfigKey>().is_ok(),
        Ok(ObjectStoreScheme::MicrosoftAzure) => |name| name.parse::<AzureConfigKey>().is_ok(),
        Ok(ObjectStoreScheme::GoogleCloudStorage) => |name| name.parse::<GoogleConfigKey>().is_ok(),
        _ => {
            return Err(BlobError::Setup(format!(
                "`blob_url` = `{url}` is no bucket: expected `s3://bucket/prefix`, `az://container/prefix` or \
                 `gs://bucket/prefix`"
            )));
        }
    };
    match options.keys().find(|name| !knows(&name.to_ascii_lowercase())) {
        None => Ok(()),
        Some(name) => Err(BlobError::Setup(format!(
            "`blob_options` has `{name}`, which is no option of `{}://`: see the configuration keys of the \
             `object_store` crate",
            url.scheme()
        ))),
    }
}

/// The key of a blob that lies directly below `prefix`.
fn own_key(prefix: &Key, location: &Key) -> Option<String> {
    let mut parts = location.prefix_match(prefix)?;
    let name = parts.next()?;
    (parts.next().is_none() && is_key(name.as_ref())).then(|| name.as_ref().to_owned())
}

/// Whether this is a name that `create` makes.
fn is_key(name: &str) -> bool {
    name.len() == 32 && uuid::Uuid::try_parse(name).is_ok_and(|id| id.get_version_num() == 7)
}

fn failed(error: object_store::Error) -> BlobError {
    if is_full(&error) {
        BlobError::Full(error)
    } else {
        BlobError::Failed(error)
    }
}

fn missing(blob: &str, error: object_store::Error) -> BlobError {
    match error {
        object_store::Error::NotFound { .. } => BlobError::Missing(blob.to_owned()),
        other => failed(other),
    }
}

/// Whether "no space left on device" or a quota is at the bottom of an error.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            let full = [std::io::ErrorKind::StorageFull, std::io::ErrorKind::QuotaExceeded];
            return full.contains(&io.kind());
        }
        at = error.source();
    }
    false
}
