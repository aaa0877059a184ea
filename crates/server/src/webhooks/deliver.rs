//! Delivery: every webhook is told its events in order, each at least once, one at a time. What was delivered is written
//! down before the next is sent; who is slow or down holds up nobody else; of several nodes one delivers at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jumpbag_wire::event::LibraryEvent;
use jumpbag_wire::time::Timestamp;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::{self, JoinSet};

use super::Webhooks;
use super::send::{Delivery, Outcome};
use crate::app::App;
use crate::catalog::audit::{self, Actor, Change};
use crate::catalog::webhooks::{self, Failure, Lease, WebhookRow};
use crate::catalog::{Catalog, CatalogError};
use crate::error::Error;

/// How often it is looked for what is due.
const TICK: Duration = Duration::from_secs(1);
/// Least time between two looks, however many changes there are.
const PACE: Duration = Duration::from_millis(50);
/// How long deliveries under way may take when the server stops.
const FAREWELL: Duration = Duration::from_secs(2);
/// How much longer than a delivery a lease lasts, in seconds.
const SLACK: i64 = 20;
/// Longest time between two attempts, in seconds.
const LONGEST: i64 = 3600;
/// Entries of the audit log that are read at a time.
const BATCH: i64 = 64;
/// How far a webhook that nothing concerned is behind before that is written down.
const BEHIND: i64 = 1000;
const SECS_PER_DAY: i64 = 24 * 3600;

/// Delivers until `stop` turns true.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>, clock: fn() -> Timestamp) {
    let holder: Arc<str> = uuid::Uuid::new_v4().to_string().into();
    if !app.catalog.is_shared() {
        // Nobody else has this database, so a lease is one of a former life.
        let freed = app.catalog.write(|tx| Box::pin(async { webhooks::release_all(tx, None).await })).await;
        report(freed.map_err(Error::from));
    }
    let mut news = app.news.subscribe();
    let mut round = Round {
        app: Arc::clone(&app),
        holder,
        clock,
        stop: stop.clone(),
        busy: HashMap::new(),
        seen: HashMap::new(),
    };
    let mut workers = JoinSet::new();
    loop {
        let last = news.borrow_and_update().last;
        report(round.begin(&mut workers, last).await);
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            Some(done) = workers.join_next(), if !workers.is_empty() => round.finished(done),
            _ = paced(&mut news) => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
    let ended = async { while workers.join_next().await.is_some() {} };
    if tokio::time::timeout(FAREWELL, ended).await.is_err() {
        workers.shutdown().await;
    }
    let holder = Arc::clone(&round.holder);
    let freed =
        app.catalog.write(move |tx| Box::pin(async move { webhooks::release_all(tx, Some(&holder)).await }));
    report(freed.await.map_err(Error::from));
}

async fn paced<T>(news: &mut watch::Receiver<T>) {
    tokio::time::sleep(PACE).await;
    if news.changed().await.is_err() {
        std::future::pending().await
    }
}

fn report(outcome: Result<(), Error>) {
    if let Err(e) = outcome {
        tracing::warn!(error = e.chain(), "webhooks: something failed and is tried again");
    }
}

/// Who is being delivered to, and how far each webhook's part of the log was looked through.
struct Round {
    app: Arc<App>,
    holder: Arc<str>,
    clock: fn() -> Timestamp,
    stop: watch::Receiver<bool>,
    busy: HashMap<String, task::Id>,
    seen: HashMap<String, i64>,
}

/// A webhook that was delivered to, and up to where.
type Done = (String, Result<i64, Error>);

impl Round {
    /// Begins a delivery to every webhook that something waits for.
    async fn begin(&mut self, workers: &mut JoinSet<Done>, last: i64) -> Result<(), Error> {
        let rows = self.app.catalog.read(|tx| Box::pin(webhooks::all(tx))).await?;
        self.seen.retain(|id, _| rows.iter().any(|row| row.id == *id));
        let now = (self.clock)();
        for row in rows {
            let seen = self.seen.get(&row.id).map_or(row.delivered, |seen| row.delivered.max(*seen));
            let due = row.disabled_at.is_none() && row.next_try.is_none_or(|at| at <= now);
            if due && seen < last && !self.busy.contains_key(&row.id) {
                let worker = Worker {
                    app: Arc::clone(&self.app),
                    holder: Arc::clone(&self.holder),
                    clock: self.clock,
                    stop: self.stop.clone(),
                };
                let id = row.id.clone();
                let task = workers.spawn(async move { (row.id.clone(), worker.work(row, seen).await) });
                self.busy.insert(id, task.id());
            }
        }
        Ok(())
    }

    fn finished(&mut self, done: Result<Done, task::JoinError>) {
        let (id, outcome) = match done {
            Ok(done) => done,
            Err(panicked) => {
                self.busy.retain(|_, task| *task != panicked.id());
                return report(Err(Error::Internal(panicked.to_string())));
            }
        };
        self.busy.remove(&id);
        match outcome {
            Ok(seen) => {
                self.seen.insert(id, seen);
            }
            Err(e) => report(Err(e)),
        }
    }
}

struct Worker {
    app: Arc<App>,
    holder: Arc<str>,
    clock: fn() -> Timestamp,
    stop: watch::Receiver<bool>,
}

impl Worker {
    fn hooks(&self) -> &Webhooks {
        &self.app.webhooks
    }

    /// Delivers what waits, until nothing does or a delivery fails; up to where the log holds nothing that waits.
    async fn work(&self, row: WebhookRow, seen: i64) -> Result<i64, Error> {
        let catalog = &self.app.catalog;
        // Most changes of a busy library may be of no concern: that is found out without writing anything.
        let (next, seen) = next_event(catalog, &row, seen).await?;
        if next.is_none() {
            if seen - row.delivered > BEHIND {
                let write =
                    catalog.write(move |tx| Box::pin(async move { webhooks::skip(tx, &row.id, seen).await }));
                write.await?;
            }
            return Ok(seen);
        }
        let Some(mut row) = self.lease(&row.id).await? else {
            // Another node has it: what it wrote down is seen in the next round.
            return Ok(row.delivered);
        };
        loop {
            let (next, seen) = next_event(catalog, &row, row.delivered).await?;
            let Some(event) = next.filter(|_| !*self.stop.borrow()) else {
                self.release(&row.id).await?;
                return Ok(if *self.stop.borrow() { row.delivered } else { seen });
            };
            if !self.deliver(&row, &event).await? {
                self.release(&row.id).await?;
                return Ok(row.delivered);
            }
            row.delivered = event.number;
            row.failing_since = None;
        }
    }

    fn until(&self, now: Timestamp) -> Timestamp {
        now.plus_secs(i64::try_from(self.hooks().rules.timeout.as_secs()).unwrap_or(0) + SLACK)
    }

    async fn lease(&self, id: &str) -> Result<Option<WebhookRow>, CatalogError> {
        let now = (self.clock)();
        let (id, holder, until) = (id.to_owned(), Arc::clone(&self.holder), self.until(now));
        let work = self.app.catalog.write(move |tx| {
            Box::pin(async move { webhooks::lease(tx, &id, Lease { holder: &holder, until }, now).await })
        });
        work.await
    }

    async fn release(&self, id: &str) -> Result<(), CatalogError> {
        let (id, holder) = (id.to_owned(), Arc::clone(&self.holder));
        let work = self
            .app
            .catalog
            .write(move |tx| Box::pin(async move { webhooks::release(tx, &id, &holder).await }));
        work.await
    }

    /// Sends one event and writes down what came of it; whether the next may follow.
    async fn deliver(&self, row: &WebhookRow, event: &LibraryEvent) -> Result<bool, Error> {
        let message = format!("{}-{}", row.id, event.number);
        let body = json!({ "type": event.kind, "timestamp": event.time, "data": event }).to_string();
        let delivery = Delivery { url: &row.url, secret: &row.secret, id: &message, body };
        let outcome = self.hooks().sender.send(delivery, (self.clock)()).await;
        let now = (self.clock)();
        let status = match outcome {
            Outcome::Delivered(status) => {
                self.app.metrics.delivered();
                return Ok(self.keep(row, event.number, status.into(), now).await?);
            }
            Outcome::Gone => {
                let error = "it answered 410: it wants no more".to_owned();
                self.failed(row, Some(410), error, true, now).await?;
                return Ok(false);
            }
            Outcome::Failed { status, error } => (status, error),
        };
        let (status, error) = status;
        let since = row.failing_since.unwrap_or(now);
        let last = now >= since.plus_secs(self.hooks().rules.give_up_days * SECS_PER_DAY);
        self.failed(row, status.map(i64::from), error, last && row.attempts > 0, now).await?;
        Ok(false)
    }

    async fn keep(
        &self,
        row: &WebhookRow,
        number: i64,
        status: i64,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let (id, holder, until) = (row.id.clone(), Arc::clone(&self.holder), self.until(now));
        let work = self.app.catalog.write(move |tx| {
            Box::pin(async move {
                webhooks::delivered(tx, &id, Lease { holder: &holder, until }, number, status, now).await
            })
        });
        work.await
    }

    /// Writes down a failure, and with the last one that the webhook is disabled.
    async fn failed(
        &self,
        row: &WebhookRow,
        status: Option<i64>,
        error: String,
        last: bool,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.app.metrics.delivery_failed();
        if row.attempts == 0 || last {
            tracing::warn!(webhook = row.id, error, disabled = last, "a webhook was not delivered");
        }
        let wait = backoff(row.attempts, self.hooks().rules.retry_seconds, random());
        let failure = Failure {
            at: now,
            status,
            error: error.clone(),
            failing_since: row.failing_since.unwrap_or(now),
            next_try: (!last).then(|| Timestamp::from_micros(now.micros() + wait)),
        };
        let (id, holder) = (row.id.clone(), Arc::clone(&self.holder));
        let work = self.app.catalog.write(move |tx| {
            Box::pin(async move {
                if !last {
                    webhooks::failed(tx, &id, &holder, failure).await?;
                    return Ok::<_, Error>(());
                }
                let turn = audit::turn(tx).await?;
                if !webhooks::failed(tx, &id, &holder, failure).await?
                    || !webhooks::disable(tx, &id, &holder, now).await?
                {
                    return Err(Error::Internal(format!("webhook {id} was taken over or removed")));
                }
                let after = Some(json!({ "reason": error }));
                let change = Change { action: "webhook.disable", target: &id, before: None, after };
                Ok(audit::append(tx, now, &Actor::operator("webhooks"), turn, change).await?)
            })
        });
        work.await
    }
}

/// The first event after a change that a webhook is told, and the last change before it that was looked at.
async fn next_event(
    catalog: &Catalog,
    row: &WebhookRow,
    after: i64,
) -> Result<(Option<LibraryEvent>, i64), CatalogError> {
    let mut seen = after;
    loop {
        let entries = catalog.read(move |tx| Box::pin(audit::entries(tx, seen, BATCH))).await?;
        for entry in &entries {
            match LibraryEvent::of(entry).filter(|event| row.events.contains(&event.kind)) {
                Some(event) => return Ok((Some(event), seen)),
                None => seen = entry.number,
            }
        }
        if entries.len() < BATCH as usize {
            return Ok((None, seen));
        }
    }
}

/// How long to wait after a failure, in microseconds: twice as long each time, and up to a quarter less by chance, so
/// that those who failed together do not come again together.
fn backoff(attempts: i64, first: i64, random: u64) -> i64 {
    let doubled = first.saturating_mul(1i64 << attempts.clamp(0, 20));
    let longest = doubled.min(LONGEST.max(first)) * 1_000_000;
    let less = i64::try_from(random % 1_000_000).unwrap_or(0);
    longest - longest / 4 * less / 1_000_000
}

fn random() -> u64 {
    u64::from_le_bytes(crate::auth::secret::random::<8>())
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, backoff};

    #[test]
    fn the_wait_doubles_up_to_an_hour_and_is_spread() {
        let longest = |attempts| backoff(attempts, 5, 0) / 1_000_000;
        let waits: Vec<_> = (0..12).map(longest).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]);
        for attempts in [0, 3, 63, 64, i64::MAX, -1] {
            for random in [0, 1, 499_999, 999_999, u64::MAX] {
                let wait = backoff(attempts, 5, random);
                let most = backoff(attempts, 5, 0);
                assert!(
                    most * 3 / 4 <= wait && wait <= most && most <= LONGEST * 1_000_000,
                    "{attempts} {random}"
                );
            }
        }
        assert!(backoff(0, 5, 0) > backoff(0, 5, 999_999));
    }
}
