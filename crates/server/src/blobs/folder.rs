//! Blobs as files of a folder. Each is written under its final name. Nobody knows the name before the blob's row does, so a
//! file cut short by a crash is an ownerless blob like any other and needs no name of its own.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

/// Written bytes after which a sync begins beside the writing, so that the last one has little left to do.
const SYNC_EVERY: usize = 4 * 1024 * 1024;

/// What failed, and on which file.
#[derive(Debug, thiserror::Error)]
#[error("`{}`", .path.display())]
pub(super) struct At {
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

impl At {
    pub(super) fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// A blob that is open for reading.
pub(super) struct Open {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) size: u64,
}

/// Opens a blob, to be read from byte `at` on.
pub(super) async fn open(folder: &Path, blob: &str, at: u64) -> Result<Open, At> {
    let path = folder.join(blob);
    let name = path.clone();
    let opened = blocking(move || {
        let mut file = File::open(name)?;
        let size = file.metadata()?.len();
        if at > 0 {
            file.seek(SeekFrom::Start(at))?;
        }
        Ok((file, size))
    });
    match opened.await {
        Ok((file, size)) => Ok(Open { file, path, size }),
        Err(source) => Err(At { path, source }),
    }
}

pub(super) struct FileWriter {
    file: Arc<File>,
    path: PathBuf,
    unsynced: usize,
    writing: Option<JoinHandle<io::Result<()>>>,
    /// The folder's entry first, then the bytes as they come.
    syncing: Option<JoinHandle<io::Result<()>>>,
}

impl FileWriter {
    fn at(&self) -> impl FnOnce(io::Error) -> At {
        let path = self.path.clone();
        move |source| At { path, source }
    }

    pub(super) async fn create(folder: &Path, blob: &str) -> Result<FileWriter, At> {
        let (folder, path) = (folder.to_owned(), folder.join(blob));
        let name = path.clone();
        let file = blocking(move || {
            let mut options = File::options();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(&name)
        })
        .await
        .map_err(|source| At { path: path.clone(), source })?;
        let syncing = Some(spawn_blocking(move || File::open(folder)?.sync_all()));
        Ok(FileWriter { file: Arc::new(file), path, unsynced: 0, writing: None, syncing })
    }

    /// Writes after what was written before; at most one call's bytes are on their way when it returns.
    pub(super) async fn write(&mut self, pieces: Vec<Bytes>) -> Result<(), At> {
        settle(&mut self.writing).await.map_err(self.at())?;
        self.unsynced += pieces.iter().map(Bytes::len).sum::<usize>();
        let file = Arc::clone(&self.file);
        self.writing =
            Some(spawn_blocking(move || pieces.iter().try_for_each(|piece| (&*file).write_all(piece))));
        if self.unsynced >= SYNC_EVERY && self.syncing.as_ref().is_none_or(JoinHandle::is_finished) {
            settle(&mut self.syncing).await.map_err(self.at())?;
            self.unsynced = 0;
            let file = Arc::clone(&self.file);
            self.syncing = Some(spawn_blocking(move || file.sync_data()));
        }
        Ok(())
    }

    /// Everything is on stable storage when it returns.
    pub(super) async fn finish(&mut self) -> Result<(), At> {
        settle(&mut self.writing).await.map_err(self.at())?;
        let file = Arc::clone(&self.file);
        let last = spawn_blocking(move || file.sync_all());
        settle(&mut self.syncing).await.map_err(self.at())?;
        settle(&mut Some(last)).await.map_err(self.at())
    }

    pub(super) async fn abort(mut self) -> Result<(), At> {
        let _ = settle(&mut self.writing).await;
        let _ = settle(&mut self.syncing).await;
        let path = self.path.clone();
        blocking(move || std::fs::remove_file(path)).await.map_err(self.at())
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|e| Err(io::Error::other(e)))
}

async fn settle(task: &mut Option<JoinHandle<io::Result<()>>>) -> io::Result<()> {
    match task.take() {
        None => Ok(()),
        Some(task) => task.await.unwrap_or_else(|e| Err(io::Error::other(e))),
    }
}
