//! `/api/library/events`: what happens in the library, as server-sent events. A stream remembers the number of the last
//! change it told and reads on from there, so it misses none and holds no more than one batch in memory.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as Wake, Poll};
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use jumpbag_wire::audit::AuditEntry;
use jumpbag_wire::error::ErrorEnvelope;
use jumpbag_wire::event::LibraryEvent;
use jumpbag_wire::time::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tokio::time::Instant;

use super::allowed::{Allowed, LibraryRead, Needs as _};
use super::patience::HangUp;
use crate::app::App;
use crate::catalog::audit;
use crate::error::Error;
use crate::news::Known;

/// How long a client should wait before it comes again, in milliseconds.
const RETRY: u64 = 2000;
/// Something is sent this often, so that everybody between sees that the stream lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often it is checked that the caller may still listen, and how old a check may be when events are told.
const CHECK: Duration = Duration::from_secs(5);
const CHECKED: Duration = Duration::from_secs(1);
/// Entries of the audit log that are read at a time.
const BATCH: i64 = 16;
/// Least time between two reads that found all there was: in a rush of changes, streams read several at a time.
const PACE: Duration = Duration::from_millis(50);
/// A reader that takes nothing for this long is cut off; when the server stops, it has this long to take the rest.
const STALL: Duration = Duration::from_secs(60);
const FAREWELL: Duration = Duration::from_secs(1);

/// What happens in the library, as it happens. A client that comes again with the last `id` it saw is told all that
/// came after it, in order; without one, what happens from now on.
#[utoipa::path(
    get, path = "/api/library/events", tag = "events", operation_id = "streamLibraryEvents",
    params(
        ("Last-Event-ID" = Option<i64>, Header, description = "Number of the last event that was seen"),
        ("lastEventId" = Option<i64>, Query, description = "The same, for clients that cannot set headers"),
        ("after" = Option<i64>, Query, description = "The same"),
    ),
    responses(
        (
            status = 200, content_type = "text/event-stream", body = LibraryEvent,
            description = "`id` is the event's number, `event` its type, `data` the event as JSON in one line"
        ),
        (status = 400, description = "The id is not one that an event had", body = ErrorEnvelope),
        (status = 503, description = "As many streams are open as may be", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Library.Read"]), ("oauth2" = ["Library.Manage"]))
)]
pub async fn events(
    _: Allowed<LibraryRead>,
    State(app): State<Arc<App>>,
    Extension(hang_up): Extension<HangUp>,
    RawQuery(raw): RawQuery,
    version: Version,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let last = app.catalog.read(|tx| Box::pin(audit::last_change(tx))).await?;
    let cursor = begin(&headers, raw.as_deref(), last)?;
    let place = app.news.place()?;
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let news = app.news.subscribe();
    let feed = Feed::new(app, news.clone(), authorization.unwrap_or_default().to_owned(), cursor, place);
    let feed = futures_util::stream::unfold(feed, async |mut feed| Some((feed.next().await?, feed)));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Some proxies gather an answer before they pass it on, unless they are told.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    let connection = Connection { hang_up, alone: version < Version::HTTP_2, stall: STALL };
    Ok((headers, Body::from_stream(Guarded::new(feed, connection, news))).into_response())
}

/// The number after which a stream begins. A client that comes again by itself sends the header, which is newer than
/// what its address says.
fn begin(headers: &HeaderMap, raw: Option<&str>, last: i64) -> Result<i64, Error> {
    let sent = headers.get("last-event-id").filter(|value| !value.is_empty());
    let sent =
        sent.map(|value| ("Last-Event-ID".to_owned(), String::from_utf8_lossy(value.as_bytes()).into()));
    let query = url::form_urlencoded::parse(raw.unwrap_or_default().as_bytes()).into_owned();
    let mut asked =
        query.filter(|(name, value)| (name == "lastEventId" || name == "after") && !value.is_empty());
    let Some((name, value)): Option<(String, String)> = sent.or_else(|| asked.next()) else {
        return Ok(last);
    };
    let shown: String = value.chars().take(40).collect();
    let shown = shown.escape_debug();
    match value.trim().parse::<i64>() {
        Ok(number) if number > last => Err(Error::InvalidInput(format!(
            "`{name}` is {number}, but the last change has number {last}: send the `id` of an event that was seen here"
        ))),
        Ok(number) if number >= 0 => Ok(number),
        _ => Err(Error::InvalidInput(format!(
            "`{name}` is `{shown}`: expected the `id` of the last event that was seen, a whole number"
        ))),
    }
}

/// Where a stream is.
struct Feed {
    app: Arc<App>,
    news: watch::Receiver<Known>,
    authorization: String,
    /// The last change that was told, or that is no event.
    cursor: i64,
    /// Nothing was sent yet.
    fresh: bool,
    /// The last was sent.
    parted: bool,
    checked: Instant,
    read: Option<Instant>,
    sent: Instant,
    _place: OwnedSemaphorePermit,
}

impl Feed {
    fn new(
        app: Arc<App>,
        news: watch::Receiver<Known>,
        authorization: String,
        cursor: i64,
        place: OwnedSemaphorePermit,
    ) -> Feed {
        app.metrics.event_streams.inc();
        let now = Instant::now();
        Feed {
            app,
            news,
            authorization,
            cursor,
            fresh: true,
            parted: false,
            checked: now,
            read: None,
            sent: now,
            _place: place,
        }
    }

    /// What is to be sent next, when there is something; `None` when the stream ends.
    async fn next(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.fresh) {
            // The number tells even a client that sees no event before it is cut off where to go on.
            return Some(format!("retry: {RETRY}\nid: {}\n\n", self.cursor).into());
        }
        loop {
            let known = *self.news.borrow_and_update();
            if known.ended && !std::mem::replace(&mut self.parted, true) {
                // Whoever asks for more after this has taken what came before.
                return Some(Bytes::from_static(b":\n\n"));
            }
            if known.ended || !self.belongs(CHECK).await {
                return None;
            }
            if known.last > self.cursor {
                if let Some(told) = self.batch().await? {
                    self.sent = Instant::now();
                    return Some(told);
                }
                continue;
            }
            tokio::select! {
                changed = self.news.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.checked + CHECK) => {}
                () = tokio::time::sleep_until(self.sent + KEEP_ALIVE) => {
                    self.sent = Instant::now();
                    return Some(Bytes::from_static(b":\n\n"));
                }
            }
        }
    }

    /// The events among the next entries; the outer `None` ends the stream, whose client comes again.
    async fn batch(&mut self) -> Option<Option<Bytes>> {
        if let Some(read) = self.read.take() {
            tokio::time::sleep_until(read + PACE).await;
        }
        let after = self.cursor;
        let read = self.app.catalog.read(move |tx| Box::pin(audit::entries(tx, after, BATCH))).await;
        let entries = match read {
            Ok(entries) => entries,
            Err(e) => {
                tracing::warn!(error = Error::from(e).chain(), "a stream of events ends: it cannot read on");
                return None;
            }
        };
        if !self.belongs(CHECKED).await {
            return None;
        }
        if entries.len() < BATCH as usize {
            self.read = Some(Instant::now());
        }
        self.cursor = entries.last().map_or(self.cursor, |entry| entry.number);
        let told: String = entries.iter().filter_map(written).collect();
        Some((!told.is_empty()).then(|| told.into()))
    }

    /// Whether the caller may still listen, as of a check of no more than this age.
    async fn belongs(&mut self, age: Duration) -> bool {
        if self.checked.elapsed() < age {
            return true;
        }
        let caller = self.app.access.caller(Some(&self.authorization), Timestamp::now()).await;
        self.checked = Instant::now();
        caller.is_ok_and(|caller| caller.require(LibraryRead::ANY_OF).is_ok())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.app.metrics.event_streams.dec();
    }
}

/// An entry as an event of a stream, if it is one.
fn written(entry: &AuditEntry) -> Option<String> {
    let event = LibraryEvent::of(entry)?;
    let data = serde_json::to_string(&event).ok()?;
    Some(format!("id: {}\nevent: {}\ndata: {data}\n\n", event.number, event.kind.name()))
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

async fn ended(news: &mut watch::Receiver<Known>) {
    let _ = news.wait_for(|known| known.ended).await;
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
    use http::{HeaderMap, HeaderValue};
    use tokio::sync::watch;

    use super::{Connection, Guarded, HangUp, Known, begin};

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

    #[test]
    fn the_header_goes_before_the_address_and_nothing_means_now() {
        let from = |header: Option<&str>, query: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert("last-event-id", HeaderValue::from_str(header).unwrap());
            }
            begin(&headers, query, 9)
        };
        for (header, query, cursor) in [
            (None, None, 9),
            (Some(""), Some("after="), 9),
            (Some("0"), None, 0),
            (Some(" 9 "), None, 9),
            (None, Some("lastEventId=4"), 4),
            (None, Some("x=1&after=5"), 5),
            (Some("7"), Some("after=5"), 7),
        ] {
            assert_eq!(from(header, query).unwrap(), cursor, "{header:?} {query:?}");
        }
        for (header, query, told) in [
            (Some("10"), None, "`Last-Event-ID` is 10, but the last change has number 9"),
            (Some("-1"), None, "`Last-Event-ID` is `-1`: expected"),
            (Some("9.0"), None, "expected the `id` of the last event"),
            (Some("99999999999999999999"), None, "a whole number"),
            (None, Some("after=x%0Ay"), "`after` is `x\\ny`"),
        ] {
            let refused = from(header, query).unwrap_err().to_string();
            assert!(refused.contains(told), "{refused}");
        }
    }
}
