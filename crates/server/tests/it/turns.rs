//! Changes take turns also with the sweep: what it found expired may be held or brought back before it comes to it.

use std::sync::Arc;
use std::sync::mpsc;

use jumpbag_server::blobs::BlobStore;
use jumpbag_server::catalog::audit::{self, Actor, Change};
use jumpbag_server::catalog::{Catalog, CatalogError, clients, history, search};
use jumpbag_server::library::expect::Expect;
use jumpbag_server::library::name::Strictness;
use jumpbag_server::library::{Library, Override, Quotas, Rules, Upload};
use jumpbag_wire::patch::FilePatch;
use jumpbag_wire::time::Timestamp;

use crate::support::postgres::postgres_database;
use crate::support::{SOON, install_crypto};

const DAY: i64 = 24 * 3600;

fn day(number: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + number * DAY)
}

fn actor() -> Actor {
    Actor::operator("a test")
}

/// A library on PostgreSQL, where transactions overlap, with a file of two versions that was deleted long ago.
async fn library(catalog: &Arc<Catalog>) -> Library {
    catalog.write(|tx| Box::pin(clients::tenant(tx, day(0)))).await.expect("a tenant");
    let rules = Rules {
        max_file_bytes: 1000,
        small_file_bytes: 1000,
        names: Strictness::Strict,
        upload_memory_bytes: 1 << 20,
        retention_days: 1,
        replaced_retention_days: None,
        quotas: Quotas::default(),
    };
    let library = Library::new(Arc::clone(catalog), BlobStore::memory(), rules);
    for bytes in ["one", "two"] {
        let mut stage = library.stage();
        stage.write(bytes.into()).await.expect("room");
        let upload = Upload {
            name: library.name("a.ps1").expect("a good name"),
            content: stage.finish().await.expect("staged bytes"),
            metadata: FilePatch::default(),
            replace: Override::Yes,
            expect: Expect::Anything,
            retry: None,
        };
        library.upload(upload, actor(), day(0)).await.expect("an upload");
    }
    library.delete("a.ps1", Expect::Anything, actor(), day(1)).await.expect("a delete");
    library
}

/// Ends when some statement waits for a lock.
async fn somebody_waits(url: &str) {
    let (client, connection) =
        tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let waits = async {
        let sql =
            "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        while client.query(sql, &[]).await.expect("an answer").is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, waits).await.expect("the sweep waits for its turn");
}

/// Words of bytes that are purged while they are being indexed go with them.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_is_purged_leaves_no_words() {
    install_crypto();
    let database = postgres_database().await;
    let catalog = Arc::new(Catalog::open_postgres(&database.url, 4).await.expect("a database"));
    let library = Arc::new(library(&catalog).await);

    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let indexer = Arc::clone(&catalog);
    let index = tokio::spawn(async move {
        let work = indexer.write(move |tx| {
            Box::pin(async move {
                let behind = search::behind(tx, 10).await?;
                let documents: Vec<_> =
                    behind.versions.iter().map(|row| (row.born, "secret".into())).collect();
                let indexed = search::index(tx, &behind, &documents).await?;
                begun.send(()).expect("the test waits");
                tokio::task::block_in_place(|| may_go_on.recv_timeout(SOON)).expect("the test goes on");
                Ok(indexed)
            })
        });
        work.await as Result<bool, CatalogError>
    });
    tokio::task::spawn_blocking(move || has_begun.recv_timeout(SOON))
        .await
        .expect("no panic")
        .expect("documents are written, not committed");
    let purger = Arc::clone(&library);
    let mut purge = tokio::spawn(async move { purger.purge("1", "a mistake", actor(), day(2)).await });
    let ended = tokio::select! {
        ended = &mut purge => Some(ended),
        () = somebody_waits(&database.url) => None,
    };
    go_on.send(()).expect("the index waits");
    assert!(index.await.expect("no panic").expect("an index"));
    let ended = match ended {
        Some(ended) => ended,
        None => purge.await,
    };
    ended.expect("no panic").expect("a purge");
    let rows = catalog.read(|tx| {
        Box::pin(async move { tx.one("select count(*) from documents", &[]).await?.take::<i64>() })
    });
    assert_eq!(rows.await.expect("an answer"), 0, "words of purged bytes are left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_hold_that_is_under_way_stops_a_sweep() {
    install_crypto();
    let database = postgres_database().await;
    let catalog = Arc::new(Catalog::open_postgres(&database.url, 4).await.expect("a database"));
    let library = Arc::new(library(&catalog).await);

    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let holder = Arc::clone(&catalog);
    let hold = tokio::spawn(async move {
        let work = holder.write(move |tx| {
            Box::pin(async move {
                let turn = audit::turn(tx).await?;
                begun.send(()).expect("the test waits");
                tokio::task::block_in_place(|| may_go_on.recv_timeout(SOON)).expect("the test goes on");
                history::hold(tx, 1, Some(("Ann", "case 7")), day(9)).await?;
                let change = Change { action: "library.hold", target: "a.ps1", before: None, after: None };
                audit::append(tx, day(9), &actor(), turn, change).await
            })
        });
        work.await as Result<(), CatalogError>
    });
    tokio::task::spawn_blocking(move || has_begun.recv_timeout(SOON))
        .await
        .expect("no panic")
        .expect("the hold has begun");
    let sweeper = Arc::clone(&library);
    let sweep = tokio::spawn(async move { sweeper.sweep(day(9)).await });
    somebody_waits(&database.url).await;
    go_on.send(()).expect("the hold waits");
    hold.await.expect("no panic").expect("a hold");

    let swept = sweep.await.expect("no panic").expect("a sweep");
    assert_eq!(swept.versions, 0, "versions of a held file went");
    assert_eq!(library.deleted(None).await.expect("a page").files.len(), 1);
    let back = library.undelete("1", actor(), day(9)).await.expect("it is kept");
    assert_eq!(back.version, 3);
}
