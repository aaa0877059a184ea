//! Request bodies: watched for stalls while they are read, and read to a bounded end when the answer comes early,
//! because a client that is still sending would lose the answer with its connection.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

/// What a drain reads at the most.
const DRAIN_BYTES: u64 = 64 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// The body came too slowly.
#[derive(Debug, thiserror::Error)]
#[error("no byte came for {0} seconds")]
pub struct Stalled(u64);

impl Stalled {
    /// Whether a body that failed did so because nothing came.
    pub fn behind<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Stalled> {
        let mut cause = Some(error);
        while let Some(at) = cause {
            if let Some(stalled) = at.downcast_ref::<Stalled>() {
                return Some(stalled);
            }
            cause = at.source();
        }
        None
    }
}

/// A body that counts what it gives, ends with [`Stalled`] when nothing comes, and hands what is left of itself
/// back when it is dropped unread.
pub struct Watched {
    inner: Option<Incoming>,
    back: Option<oneshot::Sender<Incoming>>,
    received: Arc<AtomicU64>,
    idle: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    pub fn new(
        inner: Incoming,
        idle: Duration,
        received: Arc<AtomicU64>,
    ) -> (Watched, oneshot::Receiver<Incoming>) {
        let (back, rest) = oneshot::channel();
        (Watched { inner: Some(inner), back: Some(back), received, idle, timer: None }, rest)
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        match Pin::new(inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.timer = None;
                match &frame {
                    Some(Ok(frame)) => {
                        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                        this.received.fetch_add(bytes, Ordering::Relaxed);
                    }
                    // Broken or at its end: nothing is left to hand back.
                    Some(Err(_)) | None => this.inner = None,
                }
                Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::new)))
            }
            Poll::Pending => {
                let deadline = Instant::now() + this.idle;
                let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
                if timer.as_mut().poll(cx).is_ready() {
                    // Whoever stalls is not waited for once more: the connection ends with the answer.
                    this.inner = None;
                    return Poll::Ready(Some(Err(axum::Error::new(Stalled(this.idle.as_secs())))));
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let (Some(inner), Some(back)) = (self.inner.take(), self.back.take())
            && !inner.is_end_stream()
        {
            let _ = back.send(inner);
        }
    }
}

/// Reads and forgets what a client is still sending. `false` when that was too much or took too long.
pub async fn drain(mut rest: Incoming) -> bool {
    let read = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = rest.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
            if bytes > DRAIN_BYTES {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(DRAIN_TIME, read).await.unwrap_or(false)
}
