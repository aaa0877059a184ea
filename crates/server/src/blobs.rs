//! The blob store: bytes too large for a row, in memory, a folder or a bucket. A blob is durable when
//! [`BlobWriter::finish`] returns; its key is made here, used for these bytes only and never again.

mod folder;
mod reader;

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use jumpbag_wire::time::Timestamp;
use object_store::{
    GetOptions, MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload, path::Path as Key,
};
use tokio::task::JoinHandle;

use folder::FileWriter;
pub use reader::{BlobReader, PIECE, Piece};

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
/// Pieces below this size are copied together: each that waits on its own costs more than it holds, and keeps the
/// whole buffer alive that it was read into.
const SMALL_PIECE: usize = 16 * 1024;

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
        std::fs::File::open(parent).and_then(|folder| folder.sync_all()).map_err(|e| setup("sync", e))?;
        let store =
            object_store::local::LocalFileSystem::new_with_prefix(&path).map_err(BlobError::Failed)?;
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
            .filter(|(name, _)| ["aws_", "azure_", "google_"].iter().any(|prefix| name.starts_with(prefix)));
        let options = from_environment.chain(options.clone());
        let (store, prefix) = object_store::parse_url_opts(&url, options)
            .map_err(|e| BlobError::Setup(format!("`blob_url` = `{url}` cannot be used: {e}")))?;
        Ok(BlobStore { store: Arc::from(store), prefix, folder: None, part: BUCKET_PART })
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
            store: self.clone(),
            blob,
            sink: None,
            waiting: Vec::new(),
            small: BytesMut::new(),
            held: 0,
        }
    }

    /// Copies a blob into another store, under the same key.
    pub async fn copy_to(&self, blob: &str, to: &BlobStore) -> Result<(), BlobError> {
        let mut bytes = self.open(blob).await?;
        // What a copy that was cut off has left there.
        to.delete(blob).await?;
        let mut writer = to.writer(blob.to_owned());
        while let Some(piece) = bytes.try_next().await? {
            writer.write(piece).await?;
        }
        writer.finish().await.map(|_| ())
    }

    /// The bytes of a blob, as they are stored: whoever serves them checks their digest.
    pub async fn open(&self, blob: &str) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        let found = self.store.get(&self.key(blob)).await.map_err(|e| missing(blob, e))?;
        let blob = blob.to_owned();
        Ok(found.into_stream().map_err(move |e| missing(&blob, e)).boxed())
    }

    /// A blob to be read in large pieces, unverified as well; a folder's file is read on a thread of its own.
    pub async fn reader(&self, blob: &str) -> Result<BlobReader, BlobError> {
        self.reading(blob, None).await
    }

    /// The same of a part of a blob, which must not be empty.
    ///
    /// # Errors
    /// `Failed` also when a bucket has nothing in this range or cannot give parts.
    pub async fn reader_within(&self, blob: &str, range: Range<u64>) -> Result<BlobReader, BlobError> {
        self.reading(blob, Some(range)).await
    }

    async fn reading(&self, blob: &str, range: Option<Range<u64>>) -> Result<BlobReader, BlobError> {
        let Some(folder) = &self.folder else {
            let options = GetOptions::new().with_range(range);
            let found = self.store.get_opts(&self.key(blob), options).await.map_err(|e| missing(blob, e))?;
            let (size, blob) = (found.meta.size, blob.to_owned());
            let bytes = found.into_stream().map_err(move |e| missing(&blob, e)).boxed();
            return Ok(BlobReader::bucket(bytes, size));
        };
        match folder::open(folder, blob, range.as_ref().map_or(0, |range| range.start)).await {
            Ok(file) => Ok(BlobReader::folder(file, range)),
            Err(e) if e.is_missing() => Err(BlobError::Missing(blob.to_owned())),
            Err(e) => Err(local(e)),
        }
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

    /// Writes, reads and deletes a blob: whether the store really works.
    pub async fn probe(&self) -> Result<(), BlobError> {
        let mut writer = self.create();
        writer.write(Bytes::from_static(b"probe")).await?;
        let blob = writer.finish().await?;
        let read =
            self.open(&blob).await?.try_fold(0, |sum, bytes| async move { Ok(sum + bytes.len()) }).await;
        self.delete(&blob).await?;
        read.map(|_| ())
    }
}

/// A blob that is being written. Aborted or dropped, it never existed.
pub struct BlobWriter {
    store: BlobStore,
    blob: String,
    /// Begun with the first full part: what fits into one is put in one request.
    sink: Option<Sink>,
    waiting: Vec<Bytes>,
    /// Small pieces behind those that wait.
    small: BytesMut,
    held: usize,
}

enum Sink {
    Folder(FileWriter),
    Bucket { upload: Box<dyn MultipartUpload>, in_flight: Option<JoinHandle<object_store::Result<()>>> },
}

impl BlobWriter {
    /// Takes the next bytes. At most one part is on its way while the next gathers.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        self.held += bytes.len();
        if bytes.len() < SMALL_PIECE {
            self.small.extend_from_slice(&bytes);
        } else {
            self.gather();
            self.waiting.push(bytes);
        }
        if self.held >= self.store.part { self.flush().await } else { Ok(()) }
    }

    fn gather(&mut self) {
        if !self.small.is_empty() {
            self.waiting.push(self.small.split().freeze());
        }
    }

    fn take_waiting(&mut self) -> Vec<Bytes> {
        self.gather();
        self.held = 0;
        std::mem::take(&mut self.waiting)
    }

    async fn flush(&mut self) -> Result<(), BlobError> {
        let part = self.take_waiting();
        let sink = match &mut self.sink {
            Some(sink) => sink,
            none => none.insert(Sink::open(&self.store, &self.blob).await?),
        };
        sink.write(part).await
    }

    /// Makes the blob durable; its key.
    pub async fn finish(mut self) -> Result<String, BlobError> {
        self.complete().await?;
        // Nothing to take back any more.
        self.sink = None;
        Ok(std::mem::take(&mut self.blob))
    }

    async fn complete(&mut self) -> Result<(), BlobError> {
        if self.sink.is_none() && self.store.folder.is_none() {
            let payload: PutPayload = self.take_waiting().into_iter().collect();
            return self
                .store
                .store
                .put(&self.store.key(&self.blob), payload)
                .await
                .map(|_| ())
                .map_err(failed);
        }
        if self.held > 0 || self.sink.is_none() {
            self.flush().await?;
        }
        match &mut self.sink {
            Some(sink) => sink.finish().await,
            None => Ok(()),
        }
    }

    /// Takes back what was written so far. What cannot be taken back is swept later.
    pub async fn abort(mut self) {
        if let Some(sink) = self.sink.take() {
            take_back(sink, &self.blob).await;
        }
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if let (Some(sink), Ok(runtime)) = (self.sink.take(), tokio::runtime::Handle::try_current()) {
            let blob = std::mem::take(&mut self.blob);
            runtime.spawn(async move { take_back(sink, &blob).await });
        }
    }
}

async fn take_back(sink: Sink, blob: &str) {
    if let Err(e) = sink.abort().await {
        tracing::warn!(blob, error = %e, "unfinished blob could not be taken back: the sweep will");
    }
}

impl Sink {
    async fn open(store: &BlobStore, blob: &str) -> Result<Sink, BlobError> {
        match &store.folder {
            Some(folder) => FileWriter::create(folder, blob).await.map(Sink::Folder).map_err(local),
            None => {
                let upload = store.store.put_multipart(&store.key(blob)).await.map_err(failed)?;
                Ok(Sink::Bucket { upload, in_flight: None })
            }
        }
    }

    async fn write(&mut self, part: Vec<Bytes>) -> Result<(), BlobError> {
        match self {
            Sink::Folder(file) => file.write(part).await.map_err(local),
            Sink::Bucket { upload, in_flight } => {
                settle(in_flight).await?;
                *in_flight = Some(tokio::spawn(upload.put_part(part.into_iter().collect())));
                Ok(())
            }
        }
    }

    async fn finish(&mut self) -> Result<(), BlobError> {
        match self {
            Sink::Folder(file) => file.finish().await.map_err(local),
            Sink::Bucket { upload, in_flight } => {
                settle(in_flight).await?;
                upload.complete().await.map(|_| ()).map_err(failed)
            }
        }
    }

    async fn abort(self) -> Result<(), BlobError> {
        match self {
            Sink::Folder(file) => file.abort().await.map_err(local),
            Sink::Bucket { mut upload, mut in_flight } => {
                let _ = settle(&mut in_flight).await;
                upload.abort().await.map_err(failed)
            }
        }
    }
}

async fn settle(in_flight: &mut Option<JoinHandle<object_store::Result<()>>>) -> Result<(), BlobError> {
    match in_flight.take() {
        None => Ok(()),
        Some(task) => task.await.unwrap_or_else(|e| Err(e.into())).map_err(failed),
    }
}

fn local(source: folder::At) -> BlobError {
    failed(object_store::Error::Generic { store: "folder", source: source.into() })
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
    if is_full(&error) { BlobError::Full(error) } else { BlobError::Failed(error) }
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
