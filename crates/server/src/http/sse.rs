//! Server-sent events: a stream tells what its source has, says now and then that it lives, and ends when its caller may
//! no longer listen, when the server stops, or when nobody takes what it gives. It holds no more than one piece in memory.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as Wake, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::Stream;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Version, header};
use jumpbag_wire::time::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tokio::time::Instant;

use super::allowed::Proof;
use super::patience::HangUp;
use crate::app::App;
use crate::auth::permission::Permission;
use crate::error::Error;
use crate::news::{Known, ended};

/// How long a client should wait before it comes again, in milliseconds.
const RETRY: u64 = 2000;
/// Something is sent this often, so that everybody between sees that the stream lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often it is checked that the caller may still listen, and how old a check may be when something is told.
const CHECK: Duration = Duration::from_secs(5);
const CHECKED: Duration = Duration::from_secs(1);
/// A reader that takes nothing for this long is cut off; when the server stops, it has this long to take the rest.
const STALL: Duration = Duration::from_secs(60);
const FAREWELL: Duration = Duration::from_secs(1);

/// Where a stream takes what it tells.
pub trait Source: Send + 'static {
    /// The `id` from which a client can go on that sees nothing else.
    fn begins(&self) -> String;

    /// What there is now.
    ///
    /// # Errors
    /// When it cannot be read: the stream ends, and its client comes again.
    fn read(&mut self) -> impl Future<Output = Result<Told, Error>> + Send;

    /// Waits until there may be more.
    fn more(&mut self) -> impl Future<Output = ()> + Send;
}

/// What a source has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Events. There may be more at once.
    Some(String),
    /// Nothing new.
    Nothing,
    /// The last events: nothing can come after them.
    Last(String),
}

/// Who listens, and how: taken from the request.
pub struct Listener {
    hang_up: HangUp,
    /// The same that let them in, for as long as they listen.
    proof: Proof,
    version: Version,
    /// What the client says that it has seen, and where it says so.
    pub seen: Option<(String, String)>,
}

impl<S: Send + Sync> FromRequestParts<S> for Listener {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Listener, Error> {
        let hang_up = parts.extensions.get::<HangUp>().cloned().unwrap_or_default();
        let seen = seen(&parts.headers, parts.uri.query());
        Ok(Listener { hang_up, proof: Proof::of(parts), version: parts.version, seen })
    }
}

/// The `id` that a client has seen last. One that comes again by itself sends the header, which is newer than what its
/// address says.
pub(super) fn seen(headers: &http::HeaderMap, raw: Option<&str>) -> Option<(String, String)> {
    let sent = headers.get("last-event-id").filter(|value| !value.is_empty());
    let sent =
        sent.map(|value| ("Last-Event-ID".to_owned(), String::from_utf8_lossy(value.as_bytes()).into()));
    let query = url::form_urlencoded::parse(raw.unwrap_or_default().as_bytes()).into_owned();
    let mut asked =
        query.filter(|(name, value)| (name == "lastEventId" || name == "after") && !value.is_empty());
    sent.or_else(|| asked.next())
}

/// The answer that tells what a source has, to who holds one of the permissions.
///
/// # Errors
/// `Crowded` when as many streams are open as may be.
pub fn answer(
    app: Arc<App>,
    listener: Listener,
    needs: &'static [Permission],
    source: impl Source,
) -> Result<Response, Error> {
    let place = app.news.place()?;
    let news = app.news.subscribe();
    let connection =
        Connection { hang_up: listener.hang_up, alone: listener.version < Version::HTTP_2, stall: STALL };
    let feed = Feed::new(app, needs, listener.proof, source, place);
    let feed = futures_util::stream::unfold(feed, async |mut feed| Some((feed.next().await?, feed)));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Some proxies gather an answer before they pass it on, unless they are told.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::from_stream(Guarded::new(feed, connection, news))).into_response())
}

/// Where a stream is.
struct Feed<S> {
    app: Arc<App>,
    needs: &'static [Permission],
    proof: Proof,
    source: S,
    news: watch::Receiver<Known>,
    /// Nothing was sent yet.
    fresh: bool,
    /// The last was sent.
    parted: bool,
    checked: Instant,
    sent: Instant,
    _place: OwnedSemaphorePermit,
}

impl<S: Source> Feed<S> {
    fn new(
        app: Arc<App>,
        needs: &'static [Permission],
        proof: Proof,
        source: S,
        place: OwnedSemaphorePermit,
    ) -> Feed<S> {
        app.metrics.event_streams.inc();
        let (now, news) = (Instant::now(), app.news.subscribe());
        Feed {
            app,
            needs,
            proof,
            source,
            news,
            fresh: true,
            parted: false,
            checked: now,
            sent: now,
            _place: place,
        }
    }

    /// What is to be sent next, when there is something; `None` when the stream ends.
    async fn next(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.fresh) {
            return Some(format!("retry: {RETRY}\nid: {}\n\n", self.source.begins()).into());
        }
        loop {
            let stops = self.news.borrow().ended;
            if stops && !std::mem::replace(&mut self.parted, true) {
                // Whoever asks for more after this has taken what came before.
                return Some(Bytes::from_static(b":\n\n"));
            }
            if self.parted || !self.belongs(CHECK).await {
                return None;
            }
            if let Some(told) = self.read().await? {
                self.sent = Instant::now();
                return Some(told);
            }
            tokio::select! {
                () = self.source.more() => {}
                () = ended(&mut self.news) => {}
                () = tokio::time::sleep_until(self.checked + CHECK) => {}
                () = tokio::time::sleep_until(self.sent + KEEP_ALIVE) => {
                    self.sent = Instant::now();
                    return Some(Bytes::from_static(b":\n\n"));
                }
            }
        }
    }

    /// What the source has; the outer `None` ends the stream, whose client comes again.
    async fn read(&mut self) -> Option<Option<Bytes>> {
        let (text, last) = match self.source.read().await {
            Ok(Told::Nothing) => return Some(None),
            Ok(Told::Some(text)) => (text, false),
            Ok(Told::Last(text)) => (text, true),
            Err(e) => {
                tracing::warn!(error = e.chain(), "a stream of events ends: it cannot read on");
                return None;
            }
        };
        if !self.belongs(CHECKED).await {
            return None;
        }
        self.parted = last;
        Some(Some(text.into()))
    }

    /// Whether the caller may still listen, as of a check of no more than this age.
    async fn belongs(&mut self, age: Duration) -> bool {
        if self.checked.elapsed() < age {
            return true;
        }
        let caller = self.proof.caller(&self.app, Timestamp::now()).await;
        self.checked = Instant::now();
        caller.is_ok_and(|caller| caller.require(self.needs).is_ok())
    }
}

impl<S> Drop for Feed<S> {
    fn drop(&mut self) {
        self.app.metrics.event_streams.dec();
    }
}

/// One event: its data is JSON, which has no line breaks.
pub fn event(id: &str, name: &str, data: &impl serde::Serialize) -> Result<String, Error> {
    let data = serde_json::to_string(data).map_err(|e| Error::Internal(format!("an event: {e}")))?;
    Ok(format!("id: {id}\nevent: {name}\ndata: {data}\n\n"))
}

/// The connection that a stream goes out by.
struct Connection {
    hang_up: HangUp,
    /// It carries nothing else.
    alone: bool,
    stall: Duration,
}

/// A stream whose connection is cut off when nobody takes what it gives: neither a token that ended nor the server's
/// stop could end it otherwise, because it is not asked for more.
struct Guarded<S> {
    stream: Pin<Box<S>>,
    begun: Instant,
    /// When it was last asked for more, in milliseconds since it began.
    asked: Arc<AtomicU64>,
    _alive: oneshot::Sender<()>,
}

impl<S> Guarded<S> {
    fn new(stream: S, connection: Connection, news: watch::Receiver<Known>) -> Guarded<S> {
        let (alive, gone) = oneshot::channel();
        let asked = Arc::new(AtomicU64::new(0));
        let begun = Instant::now();
        tokio::spawn(guard(gone, (begun, Arc::clone(&asked)), connection, news));
        Guarded { stream: Box::pin(stream), begun, asked, _alive: alive }
    }
}

async fn guard(
    mut gone: oneshot::Receiver<()>,
    (begun, asked): (Instant, Arc<AtomicU64>),
    connection: Connection,
    mut news: watch::Receiver<Known>,
) {
    let deadline = || begun + Duration::from_millis(asked.load(Ordering::Relaxed)) + connection.stall;
    loop {
        tokio::select! {
            _ = &mut gone => return,
            () = ended(&mut news) => return part(gone, &connection).await,
            () = tokio::time::sleep_until(deadline()) => {
                if deadline() <= Instant::now() {
                    return connection.hang_up.now();
                }
            }
        }
    }
}

/// Waits a moment for a stream to end by itself, and for its connection too where it has no other use: the last of the
/// stream may wait there for somebody to take it.
async fn part(gone: oneshot::Receiver<()>, connection: &Connection) {
    let left = tokio::time::timeout(FAREWELL, gone).await.is_ok();
    if left && !connection.alone {
        return;
    }
    if left {
        tokio::time::sleep(FAREWELL).await;
    }
    connection.hang_up.now();
}

impl<S: Stream<Item = Bytes>> Stream for Guarded<S> {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Wake<'_>) -> Poll<Option<Self::Item>> {
        let passed = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.asked.store(passed, Ordering::Relaxed);
        self.stream.as_mut().poll_next(cx).map(|next| next.map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use futures_util::StreamExt as _;
    use tokio::sync::watch;

    use super::{Connection, Guarded, HangUp, Known};

    #[tokio::test]
    async fn a_stream_that_nobody_asks_for_more_is_cut_off() {
        let news = watch::Sender::new(Known::default());
        let endless = || futures_util::stream::repeat(Bytes::from_static(b":"));
        let guarded = |stall: u64, hang_up: &HangUp| {
            let connection =
                Connection { hang_up: hang_up.clone(), alone: false, stall: Duration::from_millis(stall) };
            Guarded::new(endless(), connection, news.subscribe())
        };
        let stalled = HangUp::default();
        let mut stream = guarded(100, &stalled);
        assert!(stream.next().await.is_some());
        stalled.wanted().await;

        // Who goes is not cut off, whether the server stops or not; who stays when it stops is.
        let gone = HangUp::default();
        drop(guarded(60_000, &gone));
        let stays = HangUp::default();
        let stream = guarded(60_000, &stays);
        news.send_modify(|known| known.ended = true);
        stays.wanted().await;
        assert!(futures_util::FutureExt::now_or_never(gone.wanted()).is_none());
        drop(stream);
    }
}
