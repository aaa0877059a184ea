//! Whether what was handed out is taken. The memory of a content is given back when the last of its bytes is, and
//! only then.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Kept by everything that holds bytes of a content.
pub(super) struct Held {
    counts: Arc<Counts>,
    _memory: OwnedSemaphorePermit,
    /// Closed when nobody keeps this any more.
    _over: oneshot::Sender<()>,
}

#[derive(Default)]
struct Counts {
    given: AtomicU64,
    taken: AtomicU64,
}

impl Held {
    pub(super) fn new(memory: OwnedSemaphorePermit) -> (Arc<Held>, Flow) {
        let (open, over) = oneshot::channel();
        let counts = Arc::new(Counts::default());
        let flow = Flow { counts: Arc::clone(&counts), over };
        (Arc::new(Held { counts, _memory: memory, _over: open }), flow)
    }

    /// A part of some bytes, which counts as taken when it is dropped.
    pub(super) fn give(
        self: &Arc<Held>,
        bytes: impl AsRef<[u8]> + Send + 'static,
        part: Range<usize>,
    ) -> Bytes {
        self.counts.given.fetch_add(1, Ordering::Relaxed);
        Bytes::from_owner(Given { bytes, held: Arc::clone(self) }).slice(part)
    }
}

struct Given<B> {
    bytes: B,
    held: Arc<Held>,
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Given<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl<B> Drop for Given<B> {
    fn drop(&mut self) {
        self.held.counts.taken.fetch_add(1, Ordering::Relaxed);
    }
}

/// Looks on while bytes are taken.
pub struct Flow {
    counts: Arc<Counts>,
    over: oneshot::Receiver<()>,
}

impl Flow {
    /// Waits until all is over: `false`; or until, for `limit` at least and twice that at most, nothing moved
    /// although something waited to be taken: `true`. A store that is slow to read from is not the reader's fault.
    pub async fn stalls(mut self, limit: Duration) -> bool {
        let mut before = None;
        loop {
            if tokio::time::timeout(limit, &mut self.over).await.is_ok() {
                return false;
            }
            let (given, taken) =
                (self.counts.given.load(Ordering::Relaxed), self.counts.taken.load(Ordering::Relaxed));
            if given > taken && before == Some((given, taken)) {
                return true;
            }
            before = Some((given, taken));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    async fn held(memory: &Arc<Semaphore>) -> (Arc<Held>, Flow) {
        Held::new(Arc::clone(memory).acquire_owned().await.unwrap())
    }

    #[tokio::test]
    async fn what_is_not_taken_stalls_and_keeps_its_memory() {
        let memory = Arc::new(Semaphore::new(1));
        let (held, flow) = held(&memory).await;
        let bytes = held.give("abc", 1..2);
        assert_eq!(bytes, "b");
        drop(held);
        let stalls = tokio::time::timeout(SOON, flow.stalls(Duration::from_millis(5)));
        assert_eq!(stalls.await, Ok(true));
        assert_eq!(memory.available_permits(), 0);
        drop(bytes);
        assert_eq!(memory.available_permits(), 1);
    }

    #[tokio::test]
    async fn what_is_slow_to_come_does_not_stall() {
        let memory = Arc::new(Semaphore::new(1));
        let (held, flow) = held(&memory).await;
        drop(held.give("abc", 0..3));
        let mut stalls = Box::pin(flow.stalls(Duration::from_millis(2)));
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut stalls).await.is_err());
        drop(held);
        assert_eq!(tokio::time::timeout(SOON, stalls).await, Ok(false));
    }
}
