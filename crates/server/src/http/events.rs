//! `/api/library/events`: what happens in the library, as server-sent events. A stream remembers the number of the last
//! change it told and reads on from there, so it misses none.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use jumpbag_wire::audit::AuditEntry;
use jumpbag_wire::error::ErrorEnvelope;
use jumpbag_wire::event::LibraryEvent;
use tokio::sync::watch;
use tokio::time::Instant;

use super::allowed::{Allowed, LibraryRead, Needs as _};
use super::sse::{self, Listener, Source, Told};
use crate::app::App;
use crate::catalog::{Catalog, audit};
use crate::error::Error;
use crate::news::Known;

/// Entries of the audit log that are read at a time.
const BATCH: i64 = 16;
/// Least time between two reads that found all there was: in a rush of changes, streams read several at a time.
const PACE: Duration = Duration::from_millis(50);

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
    listener: Listener,
) -> Result<Response, Error> {
    let last = app.catalog.read(|tx| Box::pin(audit::last_change(tx))).await?;
    let cursor = begin(listener.seen.as_ref(), last)?;
    let changes =
        Changes { catalog: Arc::clone(&app.catalog), news: app.news.subscribe(), cursor, read: None };
    sse::answer(app, listener, LibraryRead::ANY_OF, changes)
}

/// The number after which a stream begins.
fn begin(seen: Option<&(String, String)>, last: i64) -> Result<i64, Error> {
    let Some((name, value)) = seen else { return Ok(last) };
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

/// The audit log, as far as it tells of the library.
struct Changes {
    catalog: Arc<Catalog>,
    news: watch::Receiver<Known>,
    /// The last change that was told, or that is no event.
    cursor: i64,
    read: Option<Instant>,
}

impl Source for Changes {
    fn begins(&self) -> String {
        self.cursor.to_string()
    }

    async fn read(&mut self) -> Result<Told, Error> {
        while self.news.borrow_and_update().last > self.cursor {
            if let Some(read) = self.read.take() {
                tokio::time::sleep_until(read + PACE).await;
            }
            let after = self.cursor;
            let entries = self.catalog.read(move |tx| Box::pin(audit::entries(tx, after, BATCH))).await?;
            if entries.len() < BATCH as usize {
                self.read = Some(Instant::now());
            }
            self.cursor = entries.last().map_or(self.cursor, |entry| entry.number);
            let told: String = entries.iter().map(written).collect::<Result<_, _>>()?;
            if !told.is_empty() {
                return Ok(Told::Some(told));
            }
        }
        Ok(Told::Nothing)
    }

    async fn more(&mut self) {
        if self.news.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// An entry as an event of a stream, if it is one.
fn written(entry: &AuditEntry) -> Result<String, Error> {
    match LibraryEvent::of(entry) {
        Some(event) => sse::event(&event.number.to_string(), event.kind.name(), &event),
        None => Ok(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::begin;
    use crate::http::sse::seen;

    #[test]
    fn the_header_goes_before_the_address_and_nothing_means_now() {
        let from = |header: Option<&str>, query: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert("last-event-id", HeaderValue::from_str(header).unwrap());
            }
            begin(seen(&headers, query).as_ref(), 9)
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
