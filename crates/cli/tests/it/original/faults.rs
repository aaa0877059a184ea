//! What goes wrong between a client and the service. A fault meets the first call that begins with
//! what it waits for, and then it is used up.

use axum::body::Body;
use axum::response::Response;
use futures_util::{StreamExt, stream};

use super::Original;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This status and an error's body; nothing is done.
    Status(u16),
    /// 429 and these seconds to wait; nothing is done.
    TooMany(u32),
    /// The connection is closed; nothing is done.
    DropBefore,
    /// It is done; the connection is closed without an answer.
    DropAfter,
    /// It is done; the connection is closed in the middle of the answer's body.
    CutShort,
    /// Never an answer, and nothing is done.
    Hang,
}

#[derive(Default)]
pub struct Queue(Vec<Waiting>);

struct Waiting {
    what: String,
    fault: Fault,
    passed: usize,
    times: usize,
}

impl Queue {
    /// The fault that meets this call, if one does.
    pub(super) fn meet(&mut self, call: &str) -> Option<Fault> {
        let mut met = None;
        for waiting in self.0.iter_mut().filter(|waiting| call.starts_with(&waiting.what)) {
            if waiting.passed == 0 {
                waiting.times -= 1;
                met = Some(waiting.fault);
                break;
            }
            waiting.passed -= 1;
        }
        self.0.retain(|waiting| waiting.times > 0);
        met
    }
}

/// A fault just queued, to be told more about.
pub struct Failing<'a> {
    original: &'a Original,
    at: usize,
}

impl Failing<'_> {
    /// It meets so many calls, not one.
    pub fn times(self, times: usize) -> Self {
        assert!(times > 0, "a fault that meets no call");
        self.original.state().faults.0[self.at].times = times;
        self
    }

    /// It lets so many calls pass first.
    pub fn after(self, calls: usize) -> Self {
        self.original.state().faults.0[self.at].passed = calls;
        self
    }
}

impl Original {
    /// The next call that begins with `what`, as `POST /api/libraryfiles`, meets this fault; `""` is any
    /// call. Faults for the same call are met in the order they were queued.
    pub fn fail(&self, what: &str, fault: Fault) -> Failing<'_> {
        let queue = &mut self.state().faults.0;
        queue.push(Waiting { what: what.to_owned(), fault, passed: 0, times: 1 });
        Failing { original: self, at: queue.len() - 1 }
    }

    /// Whatever has not been met yet is forgotten.
    pub fn mend(&self) {
        self.state().faults.0.clear();
    }
}

/// The first half of an answer that still tells its whole length.
pub(super) async fn cut_short(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let whole = axum::body::to_bytes(body, usize::MAX).await.expect("a body made here");
    parts.headers.insert("content-length", whole.len().into());
    let half = whole.slice(..whole.len() / 2);
    let pieces = stream::iter([Ok(half)]).chain(stream::once(async {
        // The half is sent before the end is noticed.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("cut short"))
    }));
    Response::from_parts(parts, Body::from_stream(pieces))
}
