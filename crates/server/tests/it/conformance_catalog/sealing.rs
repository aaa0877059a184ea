//! The audit log as those read it who prove it: pages of entries, its head, and the checkpoints that seal it.

use jumpbag_server::catalog::audit::{self, Page};
use jumpbag_server::catalog::checkpoints::{self, CheckpointRow};
use jumpbag_server::catalog::{CatalogError, clients};

use super::{Bench, at, inline, put, remove};

on_both!(
    entries_come_in_pages,
    the_head_is_where_the_log_ends,
    a_number_has_one_checkpoint,
    a_log_has_one_key
);

fn page() -> Page {
    Page { filter: None, behind: None, descending: false, limit: 100, offset: 0 }
}

async fn entries_come_in_pages(bench: &Bench) {
    commit!(bench.catalog, tx => {
        for number in 0..6 {
            put(tx, &format!("{number}"), &inline("x"), at(number)).await?;
        }
        remove(tx, "5", at(6)).await
    })
    .expect("seven changes");
    let list = async |page: fn() -> Page| {
        let (found, count) = look!(bench.catalog, tx => {
            Ok::<_, CatalogError>((audit::list(tx, &page()).await?, audit::count(tx, &page()).await?))
        })
        .expect("answers");
        (found.into_iter().map(|entry| entry.number).collect::<Vec<_>>(), count)
    };
    assert_eq!(list(page).await, ((1..=7).collect(), 7));
    assert_eq!(list(|| Page { descending: true, limit: 2, ..page() }).await, (vec![7, 6], 7));
    assert_eq!(list(|| Page { limit: 2, offset: 5, ..page() }).await, (vec![6, 7], 7));
    assert_eq!(list(|| Page { behind: Some(5), ..page() }).await, (vec![6, 7], 2));
    assert_eq!(list(|| Page { behind: Some(3), descending: true, ..page() }).await, (vec![2, 1], 2));
    let filtered = || Page {
        filter: Some(("target = $1 or target = $2".into(), vec!["1".into(), "5".into()])),
        behind: Some(2),
        ..page()
    };
    assert_eq!(list(filtered).await, (vec![6, 7], 2));

    commit!(bench.catalog, tx => {
        tx.execute("update audit set after = 'no JSON' where number = 3", &[]).await
    })
    .expect("by hand");
    let (examined, entries) = look!(bench.catalog, tx => {
        let examined = audit::examine(tx, 1, 3).await?;
        Ok::<_, CatalogError>((examined, audit::entries(tx, 1, 3).await))
    })
    .expect("answers");
    let told: Vec<_> = examined.iter().map(|(number, entry)| (*number, entry.is_ok())).collect();
    assert_eq!(told, [(2, true), (3, false), (4, true)], "the row that makes no sense is known");
    assert!(matches!(&entries, Err(CatalogError::Shape(_))), "{entries:?}");
}

async fn the_head_is_where_the_log_ends(bench: &Bench) {
    let head = async || {
        look!(bench.catalog, tx => audit::head(tx).await).expect("an answer").expect("there is a tenant")
    };
    let before = head().await;
    assert_eq!((before.number, before.last, before.sealed), (0, 0, 0));
    commit!(bench.catalog, tx => put(tx, "a", &inline("x"), at(1)).await).expect("an upload");
    let checkpoint = CheckpointRow { number: 1, note: "note".into() };
    commit!(bench.catalog, tx => checkpoints::insert(tx, &checkpoint, at(2)).await).expect("a checkpoint");
    commit!(bench.catalog, tx => put(tx, "b", &inline("x"), at(3)).await).expect("an upload");
    let after = head().await;
    let (tenant, _) = commit!(bench.catalog, tx => clients::tenant(tx, at(9)).await).expect("the tenant");
    let entries = super::totals::chain(&bench.catalog).await;
    assert_eq!(after, audit::Head { tenant, number: 2, hash: entries[1].hash.clone(), last: 2, sealed: 1 });
    let home = super::Home::sqlite();
    let empty = home.open().await.expect("an empty database");
    assert_eq!(look!(empty, tx => audit::head(tx).await).expect("an answer"), None);
}

async fn a_number_has_one_checkpoint(bench: &Bench) {
    let row = |number: i64| CheckpointRow { number, note: format!("note {number}\n\n— ü\n") };
    let insert = async |checkpoint: CheckpointRow| {
        commit!(bench.catalog, tx => checkpoints::insert(tx, &checkpoint, at(1)).await).expect("an answer")
    };
    let newest = async || look!(bench.catalog, tx => checkpoints::newest(tx).await).expect("an answer");
    assert_eq!(newest().await, None);
    for number in [3, 9, 5] {
        assert!(insert(row(number)).await);
    }
    assert!(!insert(CheckpointRow { number: 9, note: "another".into() }).await);
    assert_eq!(newest().await, Some(row(9)));
    for (from, to, found) in [(0, 100, vec![3, 5, 9]), (3, 5, vec![3, 5]), (4, 4, vec![]), (9, 3, vec![])] {
        let rows = look!(bench.catalog, tx => checkpoints::between(tx, from, to).await).expect("an answer");
        assert_eq!(rows, found.into_iter().map(row).collect::<Vec<_>>());
    }
}

async fn a_log_has_one_key(bench: &Bench) {
    let key = async |name: &'static str| {
        look!(bench.catalog, tx => checkpoints::key(tx, name).await).expect("an answer")
    };
    assert_eq!(key("log").await, None);
    for pem in ["first", "second"] {
        commit!(bench.catalog, tx => checkpoints::insert_key(tx, "log", pem, at(1)).await)
            .expect("an answer");
        assert_eq!(key("log").await.as_deref(), Some("first"));
    }
    assert_eq!(key("other").await, None);
}
