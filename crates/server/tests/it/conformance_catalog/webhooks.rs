//! Rows of webhooks, their leases, and what is told of commits.

use jumpbag_server::auth::secret::Hidden;
use jumpbag_server::catalog::webhooks::{self, Failure, Lease, WebhookRow};
use jumpbag_server::catalog::{Catalog, CatalogError};
use jumpbag_wire::event::EventType;
use jumpbag_wire::time::Timestamp;

use super::{Bench, at};

on_both!(
    webhooks_come_back_as_they_were,
    one_holder_at_a_time_delivers,
    a_cursor_never_goes_back,
    failures_are_written_down,
    leases_end,
    commits_are_told,
);

/// A new webhook.
pub fn webhook(id: &str, delivered: i64) -> WebhookRow {
    WebhookRow {
        id: id.into(),
        url: "https://example.org/ü?a=b".into(),
        description: Some("Ünïcode 𝄞".into()),
        events: vec![EventType::Uploaded, EventType::Purged],
        secret: Hidden::new("whsec_x"),
        created_at: at(delivered),
        created_by: "Ann".into(),
        disabled_at: None,
        delivered,
        attempts: 0,
        failing_since: None,
        next_try: None,
        last_at: None,
        last_status: None,
        last_error: None,
    }
}

async fn add(catalog: &Catalog, id: &'static str, delivered: i64) {
    commit!(catalog, tx => webhooks::insert(tx, &webhook(id, delivered)).await).expect("a webhook");
}

async fn find(catalog: &Catalog, id: &'static str) -> WebhookRow {
    look!(catalog, tx => webhooks::find(tx, id).await).expect("an answer").expect("a webhook")
}

async fn lease(catalog: &Catalog, holder: &'static str, until: i64, now: i64) -> Option<WebhookRow> {
    let lease = Lease { holder, until: at(until) };
    commit!(catalog, tx => webhooks::lease(tx, "a", lease, at(now)).await).expect("an answer")
}

async fn delivered(catalog: &Catalog, holder: &'static str, number: i64) -> bool {
    let lease = Lease { holder, until: at(100) };
    commit!(catalog, tx => webhooks::delivered(tx, "a", lease, number, 204, at(50)).await).expect("an answer")
}

fn failure(next_try: Option<Timestamp>) -> Failure {
    Failure { at: at(7), status: Some(500), error: "it answered 500".into(), failing_since: at(6), next_try }
}

async fn failed(catalog: &Catalog, holder: &'static str, next_try: Option<Timestamp>) -> bool {
    let failure = failure(next_try);
    commit!(catalog, tx => webhooks::failed(tx, "a", holder, failure).await).expect("an answer")
}

async fn webhooks_come_back_as_they_were(bench: &Bench) {
    let catalog = &bench.catalog;
    add(catalog, "b", 2).await;
    add(catalog, "a", 1).await;
    let bare = WebhookRow { description: None, events: Vec::new(), ..webhook("c", 3) };
    let inserted = bare.clone();
    commit!(catalog, tx => webhooks::insert(tx, &inserted).await).expect("a webhook");
    let all = look!(catalog, tx => webhooks::all(tx).await).expect("a list");
    assert_eq!(all, [webhook("a", 1), webhook("b", 2), bare]);
    assert_eq!(find(catalog, "b").await, webhook("b", 2));
    assert_eq!(look!(catalog, tx => webhooks::find(tx, "x").await).expect("an answer"), None);
    let again = commit!(catalog, tx => webhooks::insert(tx, &webhook("a", 1)).await);
    assert!(matches!(again, Err(CatalogError::Constraint(_))), "{again:?}");
    assert!(commit!(catalog, tx => webhooks::remove(tx, "a").await).expect("an answer"));
    assert!(!commit!(catalog, tx => webhooks::remove(tx, "a").await).expect("an answer"));
}

async fn one_holder_at_a_time_delivers(bench: &Bench) {
    let catalog = &bench.catalog;
    add(catalog, "a", 1).await;
    assert_eq!(lease(catalog, "one", 10, 0).await, Some(webhook("a", 1)));
    assert_eq!(lease(catalog, "two", 19, 9).await, None);
    assert!(lease(catalog, "one", 12, 9).await.is_some());
    assert_eq!(lease(catalog, "two", 20, 11).await, None);
    assert!(lease(catalog, "two", 20, 12).await.is_some());
    assert!(!delivered(catalog, "one", 2).await);
    assert!(!failed(catalog, "one", None).await);
    assert_eq!(find(catalog, "a").await, webhook("a", 1));
    assert!(delivered(catalog, "two", 2).await);
    // Each delivery renews the lease.
    assert_eq!(lease(catalog, "one", 200, 99).await, None);
    assert!(lease(catalog, "one", 200, 100).await.is_some());
}

async fn a_cursor_never_goes_back(bench: &Bench) {
    let catalog = &bench.catalog;
    add(catalog, "a", 5).await;
    lease(catalog, "one", 10, 0).await.expect("the lease");
    assert!(delivered(catalog, "one", 8).await);
    assert!(!delivered(catalog, "one", 8).await);
    assert!(!delivered(catalog, "one", 7).await);
    for (skipped, cursor) in [(7, 8), (8, 8), (9, 9)] {
        commit!(catalog, tx => webhooks::skip(tx, "a", skipped).await).expect("an update");
        assert_eq!(find(catalog, "a").await.delivered, cursor);
    }
}

async fn failures_are_written_down(bench: &Bench) {
    let catalog = &bench.catalog;
    add(catalog, "a", 5).await;
    lease(catalog, "one", 10, 0).await.expect("the lease");
    for attempts in 1..3 {
        assert!(failed(catalog, "one", Some(at(9))).await);
        let wanted = WebhookRow {
            attempts,
            failing_since: Some(at(6)),
            next_try: Some(at(9)),
            last_at: Some(at(7)),
            last_status: Some(500),
            last_error: Some("it answered 500".into()),
            ..webhook("a", 5)
        };
        assert_eq!(find(catalog, "a").await, wanted);
    }
    // Its time has not come.
    assert_eq!(lease(catalog, "one", 10, 8).await, None);
    assert!(lease(catalog, "one", 10, 9).await.is_some());
    assert!(delivered(catalog, "one", 6).await);
    let well = WebhookRow { last_at: Some(at(50)), last_status: Some(204), ..webhook("a", 6) };
    let well = WebhookRow { created_at: at(5), ..well };
    assert_eq!(find(catalog, "a").await, well);

    assert!(!commit!(catalog, tx => webhooks::disable(tx, "a", "two", at(60)).await).expect("an answer"));
    assert!(failed(catalog, "one", Some(at(70))).await);
    assert!(commit!(catalog, tx => webhooks::disable(tx, "a", "one", at(60)).await).expect("an answer"));
    assert!(!commit!(catalog, tx => webhooks::disable(tx, "a", "one", at(61)).await).expect("an answer"));
    let disabled = find(catalog, "a").await;
    assert_eq!((disabled.disabled_at, disabled.next_try, disabled.attempts), (Some(at(60)), None, 1));
    assert_eq!(lease(catalog, "one", 900, 800).await, None);
    assert!(commit!(catalog, tx => webhooks::enable(tx, "a").await).expect("an answer"));
    assert!(!commit!(catalog, tx => webhooks::enable(tx, "a").await).expect("an answer"));
    let enabled = find(catalog, "a").await;
    assert_eq!((enabled.disabled_at, enabled.failing_since, enabled.attempts), (None, None, 0));
    assert_eq!(enabled.delivered, 6);
    assert!(lease(catalog, "one", 900, 800).await.is_some());
}

async fn leases_end(bench: &Bench) {
    let catalog = &bench.catalog;
    add(catalog, "a", 5).await;
    lease(catalog, "one", 10, 0).await.expect("the lease");
    commit!(catalog, tx => webhooks::release(tx, "a", "two").await).expect("no failure");
    commit!(catalog, tx => webhooks::release_all(tx, Some("two")).await).expect("no failure");
    assert_eq!(lease(catalog, "two", 10, 1).await, None);
    commit!(catalog, tx => webhooks::release(tx, "a", "one").await).expect("no failure");
    lease(catalog, "two", 10, 1).await.expect("the lease");
    commit!(catalog, tx => webhooks::release_all(tx, Some("two")).await).expect("no failure");
    lease(catalog, "one", 10, 1).await.expect("the lease");
    commit!(catalog, tx => webhooks::release_all(tx, None).await).expect("no failure");
    lease(catalog, "two", 10, 1).await.expect("the lease");
}

async fn commits_are_told(bench: &Bench) {
    let mut told = bench.catalog.written();
    assert!(!told.has_changed().expect("a catalog"));
    add(&bench.catalog, "a", 1).await;
    assert!(told.has_changed().expect("a catalog"));
    told.mark_unchanged();
    // What is taken back, and what is only read, is not told.
    commit!(bench.catalog, tx => webhooks::insert(tx, &webhook("a", 1)).await).expect_err("it is there");
    find(&bench.catalog, "a").await;
    assert!(!told.has_changed().expect("a catalog"));
}
