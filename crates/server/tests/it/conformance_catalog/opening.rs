//! Opening: tables are made once, whoever comes first; a database of a newer program is left alone.

use jumpbag_server::catalog::{Catalog, CatalogError};

use super::{Bench, Home, at, cells, inline, int, put};
use crate::support::install_crypto;

on_both!(
    opening_again_finds_what_was_there,
    a_newer_database_is_refused,
    it_says_whether_others_share_it,
    locks_are_taken_in_turns,
);

async fn opened_at_once(home: Home) {
    let opened = futures_util::future::join_all((0..8).map(|_| home.open())).await;
    for catalog in opened {
        let catalog = catalog.expect("each finds its tables");
        let migrations = cells(&catalog, "select number from schema_migrations order by number").await;
        // A migration that ran twice would have failed: here each is written down once.
        assert_eq!(migrations[..2], [[int(1)], [int(2)]]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_open_an_empty_sqlite_file_at_once() {
    opened_at_once(Home::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_open_an_empty_postgres_database_at_once() {
    opened_at_once(Home::postgres().await).await;
}

async fn opening_again_finds_what_was_there(bench: &Bench) {
    commit!(bench.catalog, tx => put(tx, "a.ps1", &inline("a"), at(1)).await).expect("an upload");
    let again = bench.reopen().await.expect("the same database");
    assert_eq!(super::everything(&again).await, super::everything(&bench.catalog).await);
    // Both are good for writing.
    commit!(again, tx => put(tx, "b.ps1", &inline("b"), at(1)).await).expect("an upload");
    commit!(bench.catalog, tx => put(tx, "c.ps1", &inline("c"), at(1)).await).expect("an upload");
    assert_eq!(super::everything(&again).await.len(), 3);
}

async fn a_newer_database_is_refused(bench: &Bench) {
    commit!(bench.catalog, tx => {
        tx.execute("insert into schema_migrations (number) values ($1)", &[999.into()]).await
    })
    .expect("a migration from the future");
    match bench.reopen().await.err() {
        Some(CatalogError::Migration(why)) => {
            assert!(why.contains("999") && why.contains("newer"), "{why}");
        }
        other => panic!("expected `Migration`, got {other:?}"),
    }
}

async fn it_says_whether_others_share_it(bench: &Bench) {
    assert_eq!(bench.catalog.is_shared(), matches!(bench.home, Home::Postgres(_)));
}

async fn locks_are_taken_in_turns(bench: &Bench) {
    // Read, then write: only a lock keeps two of these from reading the same.
    let tasks = (0..20).map(|_| async {
        commit!(bench.catalog, tx => {
            tx.lock("a counter").await?;
            let mut row = tx.one("select created_at from tenant", &[]).await?;
            let next = row.take::<i64>()? + 1;
            tx.execute("update tenant set created_at = $1", &[next.into()]).await
        })
        .expect("a turn");
    });
    futures_util::future::join_all(tasks).await;
    let expected = int(at(0).micros() + 20);
    assert_eq!(cells(&bench.catalog, "select created_at from tenant").await, [[expected]]);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("catalog.db");
    std::fs::write(&file, vec![b'x'; 10_000]).expect("write");
    assert!(Catalog::open_sqlite(&file).await.is_err());
    assert_eq!(std::fs::read(&file).expect("read").len(), 10_000, "it is left alone");
    assert!(Catalog::open_sqlite(&folder.path().join("no/such/folder.db")).await.is_err());
}

#[tokio::test]
async fn a_postgres_that_cannot_be_used_is_told() {
    install_crypto();
    let outcome = Catalog::open_postgres("postgres://nobody@127.0.0.1:1/none", 1).await;
    assert!(matches!(outcome.err(), Some(CatalogError::Unreachable(_))));
    let outcome = Catalog::open_postgres("postgres://a:b:c", 1).await;
    assert!(matches!(outcome.err(), Some(CatalogError::Failed(_))));
}

/// A restart of the database, or an impatient firewall, ends connections that wait in the pool.
#[tokio::test]
async fn connections_that_were_ended_are_replaced() {
    let bench = Bench::postgres().await;
    let connect = || async { futures_util::future::join_all((0..8).map(|_| bench.catalog.ping())).await };
    for outcome in connect().await {
        outcome.expect("a connection");
    }
    let Home::Postgres(database) = &bench.home else { unreachable!("made for PostgreSQL") };
    let (client, connection) =
        tokio_postgres::connect(&database.url, tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let ended = client
        .query(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity \
             where datname = current_database() and pid <> pg_backend_pid()",
            &[],
        )
        .await
        .expect("an administrator");
    assert!(!ended.is_empty());
    for outcome in connect().await {
        outcome.expect("a connection in place of one that was ended");
    }
}
