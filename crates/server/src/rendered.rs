//! Lists rendered once for every change of the library, and compressed once. Bounded: the newest for each of the
//! few names a server is reached by.

use std::io::Write as _;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// The first page of the library without options, as it was at one change, for one way to reach the server.
pub struct Rendered {
    pub change: i64,
    pub base: String,
    pub json: Bytes,
    gzip: OnceLock<Bytes>,
}

impl Rendered {
    pub fn new(change: i64, base: &str, json: Vec<u8>) -> Rendered {
        Rendered { change, base: base.to_owned(), json: json.into(), gzip: OnceLock::new() }
    }

    /// The same, compressed, if somebody asked for it before.
    pub fn known_gzip(&self) -> Option<&Bytes> {
        self.gzip.get()
    }

    /// The same, compressed: takes milliseconds the first time.
    pub fn gzip(&self) -> &Bytes {
        self.gzip.get_or_init(|| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            // Writing into memory does not fail.
            let _ = encoder.write_all(&self.json);
            encoder.finish().unwrap_or_default().into()
        })
    }
}

pub struct Cache {
    rendered: Mutex<Vec<Arc<Rendered>>>,
    rendering: tokio::sync::Mutex<()>,
    places: Arc<Semaphore>,
}

impl Default for Cache {
    fn default() -> Cache {
        Cache {
            rendered: Mutex::default(),
            rendering: tokio::sync::Mutex::default(),
            places: Arc::new(Semaphore::new(PLACES)),
        }
    }
}

/// Lists with options that may be in memory at a time, until their last byte is taken; more wait.
const PLACES: usize = 16;
/// How long they wait.
const PATIENCE: Duration = Duration::from_secs(20);

/// Names that a server is reached by; more take turns.
const BASES: usize = 8;

impl Cache {
    pub fn find(&self, change: i64, base: &str) -> Option<Arc<Rendered>> {
        let rendered = self.rendered.lock().unwrap_or_else(|e| e.into_inner());
        rendered.iter().find(|known| known.change == change && known.base == base).cloned()
    }

    pub fn keep(&self, fresh: Arc<Rendered>) {
        let mut rendered = self.rendered.lock().unwrap_or_else(|e| e.into_inner());
        rendered.retain(|known| known.base != fresh.base);
        if rendered.len() >= BASES {
            rendered.remove(0);
        }
        rendered.push(fresh);
    }

    /// A place for a list that is made for one caller only; it is given back when the list has been taken.
    pub async fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        let place = tokio::time::timeout(PATIENCE, Arc::clone(&self.places).acquire_owned()).await;
        place.map_err(|_| Error::Crowded)?.map_err(|e| Error::Internal(e.to_string()))
    }

    /// One rendering at a time: those who wait find it done.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.rendering.lock().await
    }
}
