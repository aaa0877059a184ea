//! Writes a blob into a folder under its final name. Nobody knows the name before the blob's row does, so a
//! file cut short by a crash is an ownerless blob like any other and needs no name of its own.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

/// Written bytes after which a sync begins beside the writing, so that the last one has little left to do.
const SYNC_EVERY: usize = 4 * 1024 * 1024;

pub(super) struct FileWriter {
    file: Arc<File>,
    path: std::path::PathBuf,
    unsynced: usize,
    writing: Option<JoinHandle<io::Result<()>>>,
    /// The folder's entry first, then the bytes as they come.
    syncing: Option<JoinHandle<io::Result<()>>>,
}

impl FileWriter {
    pub(super) async fn create(folder: &Path, blob: &str) -> io::Result<FileWriter> {
        let (folder, path) = (folder.to_owned(), folder.join(blob));
        let name = path.clone();
        let file = blocking(move || {
            let mut options = File::options();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(&name)
        })
        .await?;
        let syncing = Some(spawn_blocking(move || File::open(folder)?.sync_all()));
        Ok(FileWriter {
            file: Arc::new(file),
            path,
            unsynced: 0,
            writing: None,
            syncing,
        })
    }

    /// Writes after what was written before; at most one call's bytes are on their way when it returns.
    pub(super) async fn write(&mut self, pieces: Vec<Bytes>) -> io::Result<()> {
        settle(&mut self.writing).await?;
        self.unsynced += pieces.iter().map(Bytes::len).sum::<usize>();
        let file = Arc::clone(&self.file);
        self.writing = Some(spawn_blocking(move || {
            pieces.iter().try_for_each(|piece| (&*file).write_all(piece))
        }));
        if self.unsynced >= SYNC_EVERY && self.syncing.as_ref().is_none_or(JoinHandle::is_finished) {
            settle(&mut self.syncing).await?;
            self.unsynced = 0;
            let file = Arc::clone(&self.file);
            self.syncing = Some(spawn_blocking(move || file.sync_data()));
        }
        Ok(())
    }

    /// Everything is on stable storage when it returns.
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        settle(&mut self.writing).await?;
        let file = Arc::clone(&self.file);
        let last = spawn_blocking(move || file.sync_all());
        settle(&mut self.syncing).await?;
        settle(&mut Some(last)).await
    }

    pub(super) async fn abort(mut self) -> io::Result<()> {
        let _ = settle(&mut self.writing).await;
        let _ = settle(&mut self.syncing).await;
        let path = std::mem::take(&mut self.path);
        blocking(move || std::fs::remove_file(path)).await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Err(io::Error::other(e)))
}

async fn settle(task: &mut Option<JoinHandle<io::Result<()>>>) -> io::Result<()> {
    match task.take() {
        None => Ok(()),
        Some(task) => task.await.unwrap_or_else(|e| Err(io::Error::other(e))),
    }
}
