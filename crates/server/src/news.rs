//! News: the number of the last change as this process knows it, for those who wait for changes. It never goes back,
//! and it is behind the catalog by no more than the time of a poll, whoever made the change.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::catalog::{Catalog, CatalogError, audit};
use crate::error::Error;

/// Changes of this process are heard of at once; those of others on the same database by asking this often.
const POLL: Duration = Duration::from_secs(1);
/// Least time between two questions.
const PACE: Duration = Duration::from_millis(20);

/// What is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// Number of the last change.
    pub last: i64,
    /// The server stops: there will be no more.
    pub ended: bool,
}

/// Waits until the server stops.
pub async fn ended(news: &mut watch::Receiver<Known>) {
    let _ = news.wait_for(|known| known.ended).await;
}

pub struct News {
    known: watch::Sender<Known>,
    places: Arc<Semaphore>,
}

impl News {
    /// News for so many streams at a time.
    pub fn new(streams: usize) -> News {
        let places = Arc::new(Semaphore::new(streams.min(Semaphore::MAX_PERMITS)));
        News { known: watch::Sender::new(Known::default()), places }
    }

    pub fn subscribe(&self) -> watch::Receiver<Known> {
        self.known.subscribe()
    }

    /// A place for one more stream, until it is dropped.
    ///
    /// # Errors
    /// `Crowded` when all are taken.
    pub fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| Error::Crowded)
    }

    /// Keeps it up to date until `stop` turns true, and then tells the end.
    pub async fn follow(&self, catalog: &Catalog, mut stop: watch::Receiver<bool>) {
        let mut written = catalog.written();
        loop {
            written.mark_unchanged();
            match self.look(catalog).await {
                Ok(()) => {}
                Err(e) => tracing::warn!(error = Error::from(e).chain(), "cannot ask for the last change"),
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                _ = paced(&mut written) => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
        self.known.send_modify(|known| known.ended = true);
    }

    /// Asks the catalog for the last change.
    pub async fn look(&self, catalog: &Catalog) -> Result<(), CatalogError> {
        let last = catalog.read(|tx| Box::pin(audit::last_change(tx))).await?;
        self.known.send_if_modified(|known| {
            let newer = last > known.last;
            known.last = known.last.max(last);
            newer
        });
        Ok(())
    }
}

/// Waits for a commit, but not at once after the one before: in a rush of changes one question is for several.
async fn paced(written: &mut watch::Receiver<u64>) {
    tokio::time::sleep(PACE).await;
    if written.changed().await.is_err() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jumpbag_wire::time::Timestamp;
    use tokio::sync::watch;

    use super::{Known, News};
    use crate::catalog::audit::{self, Actor, Change};
    use crate::catalog::{Catalog, CatalogError, clients};

    async fn change(catalog: &Catalog) -> i64 {
        let now = Timestamp::from_secs(1);
        let work = catalog.write(move |tx| {
            Box::pin(async move {
                clients::tenant(tx, now).await?;
                let turn = audit::turn(tx).await?;
                let number = turn.number;
                let change = Change { action: "library.upload", target: "a", before: None, after: None };
                audit::append(tx, now, &Actor::operator("test"), turn, change).await?;
                Ok::<_, CatalogError>(number)
            })
        });
        work.await.unwrap()
    }

    #[tokio::test]
    async fn changes_of_this_process_and_of_others_are_heard_of_and_the_end_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("catalog.db");
        let catalog = Arc::new(Catalog::open_sqlite(&file).await.unwrap());
        change(&catalog).await;
        let news = Arc::new(News::new(1));
        let (stop, stopped) = watch::channel(false);
        let mut heard = news.subscribe();
        let (follower, followed) = (Arc::clone(&news), Arc::clone(&catalog));
        let following = tokio::spawn(async move { follower.follow(&followed, stopped).await });
        heard.wait_for(|known| *known == Known { last: 1, ended: false }).await.unwrap();
        assert_eq!(change(&catalog).await, 2);
        heard.wait_for(|known| known.last == 2).await.unwrap();
        let other = Catalog::open_sqlite(&file).await.unwrap();
        assert_eq!(change(&other).await, 3);
        heard.wait_for(|known| known.last == 3).await.unwrap();
        stop.send(true).unwrap();
        heard.wait_for(|known| known.ended).await.unwrap();
        following.await.unwrap();
    }

    #[test]
    fn there_are_only_so_many_places() {
        let news = News::new(1);
        let first = news.place().unwrap();
        assert!(news.place().is_err());
        drop(first);
        assert!(news.place().is_ok());
    }
}
