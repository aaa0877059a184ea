//! Reading the audit log, its checkpoints and their key; and what becomes of a log that comes from a version without
//! a chain.

use jumpbag_server::audit::key::check;
use jumpbag_server::audit::verify::verify;
use jumpbag_server::catalog::audit::{self, Actor, Change, Head, Page};
use jumpbag_server::catalog::checkpoints::{self, CheckpointRow};
use jumpbag_server::catalog::value::Value;
use jumpbag_server::catalog::{Catalog, CatalogError};
use jumpbag_wire::audit::{FIRST, RESTORE, Verified, Verifier};
use serde_json::json;

use super::{Bench, Home, at, cells, int};

on_both!(
    entries_are_read_in_pages,
    rows_that_make_no_sense_are_told_by_number,
    the_head_is_the_last_change,
    one_number_has_one_checkpoint,
    a_log_has_one_key,
);

/// So many changes, by two people in turns.
async fn changes(catalog: &Catalog, count: i64) {
    commit!(catalog, tx => {
        for number in 0..count {
            let mut actor = Actor::operator("test");
            actor.name = if number % 2 == 0 { "Ann" } else { "Béa" }.into();
            let turn = audit::turn(tx).await?;
            let change = Change {
                action: "library.upload",
                target: "a.ps1",
                before: (number > 0).then(|| json!({ "version": number })),
                after: Some(json!({ "version": number + 1 })),
            };
            audit::append(tx, at(number), &actor, turn, change).await?;
        }
        Ok::<_, CatalogError>(())
    })
    .expect("changes");
}

async fn verified(catalog: &Catalog) -> Verified {
    let found = verify(catalog, Verifier::new(Vec::new(), check), |_| {}).await.expect("a log");
    found.unwrap_or_else(|fault| panic!("{fault}"))
}

async fn entries_are_read_in_pages(bench: &Bench) {
    changes(&bench.catalog, 25).await;
    let read = async |after, limit| {
        look!(bench.catalog, tx => audit::entries(tx, after, limit).await).expect("entries")
    };
    let all = read(0, 100).await;
    assert_eq!(all.iter().map(|entry| entry.number).collect::<Vec<_>>(), (1..=25).collect::<Vec<_>>());
    assert_eq!((all[0].previous.as_str(), all[3].time), (FIRST, at(3)));
    for pair in all.windows(2) {
        assert_eq!(pair[1].previous, pair[0].hash);
        assert_eq!(pair[1].hash, pair[1].expected_hash());
    }
    assert_eq!(read(20, 3).await, all[20..23]);
    assert_eq!(read(25, 3).await, []);

    let list = async |behind, descending, filter: bool| {
        let filter = filter.then(|| ("actor = $1".to_owned(), vec![Value::Text("Béa".into())]));
        look!(bench.catalog, tx => {
            let page = Page { filter, behind, descending, limit: 4, offset: 1 };
            let entries = audit::list(tx, &page).await?;
            Ok::<_, CatalogError>((entries, audit::count(tx, &page).await?))
        })
        .map(|(entries, count)| (entries.iter().map(|entry| entry.number).collect::<Vec<_>>(), count))
        .expect("a page")
    };
    assert_eq!(list(None, false, false).await, (vec![2, 3, 4, 5], 25));
    assert_eq!(list(None, true, false).await, (vec![24, 23, 22, 21], 25));
    assert_eq!(list(Some(20), false, false).await, (vec![22, 23, 24, 25], 5));
    assert_eq!(list(Some(3), true, false).await, (vec![1], 2));
    assert_eq!(list(Some(8), false, true).await, (vec![12, 14, 16, 18], 8));
    assert_eq!(verified(&bench.catalog).await.entries, 25);
}

async fn rows_that_make_no_sense_are_told_by_number(bench: &Bench) {
    changes(&bench.catalog, 5).await;
    commit!(bench.catalog, tx => {
        tx.execute("update audit set before = '{' where number = 4", &[]).await
    })
    .expect("a broken row");
    let examined = look!(bench.catalog, tx => audit::examine(tx, 1, 10).await).expect("rows");
    let good: Vec<_> = examined.iter().map(|(number, entry)| (*number, entry.is_ok())).collect();
    assert_eq!(good, [(2, true), (3, true), (4, false), (5, true)]);
    let fault = verify(&bench.catalog, Verifier::new(Vec::new(), check), |_| {}).await.expect("a log");
    assert_eq!(fault.expect_err("a broken row").first, 4);
}

async fn the_head_is_the_last_change(bench: &Bench) {
    let head =
        async || look!(bench.catalog, tx => audit::head(tx).await).expect("an answer").expect("a tenant");
    let Head { number, hash, last, sealed, .. } = head().await;
    assert_eq!((number, hash.as_str(), last, sealed), (0, FIRST, 0, 0));
    changes(&bench.catalog, 3).await;
    let entry = look!(bench.catalog, tx => audit::entries(tx, 2, 1).await).expect("an entry").remove(0);
    let now = head().await;
    assert_eq!((now.number, now.hash, now.last), (3, entry.hash, 3));
    commit!(bench.catalog, tx => tx.execute("delete from tenant", &[]).await).expect("no tenant");
    assert_eq!(look!(bench.catalog, tx => audit::head(tx).await).expect("an answer"), None);
}

async fn one_number_has_one_checkpoint(bench: &Bench) {
    let insert = async |number, note: &str| {
        let row = CheckpointRow { number, note: note.into() };
        commit!(bench.catalog, tx => checkpoints::insert(tx, &row, at(1)).await).expect("an answer")
    };
    let newest = async || look!(bench.catalog, tx => checkpoints::newest(tx).await).expect("an answer");
    assert_eq!(newest().await, None);
    assert!(insert(7, "one").await);
    assert!(!insert(7, "another").await, "the first stands");
    assert!(insert(12, "two").await && insert(3, "three").await);
    assert_eq!(newest().await, Some(CheckpointRow { number: 12, note: "two".into() }));
    let between = async |from, to| {
        let rows = look!(bench.catalog, tx => checkpoints::between(tx, from, to).await).expect("rows");
        rows.into_iter().map(|row| row.note).collect::<Vec<_>>()
    };
    assert_eq!(between(3, 7).await, ["three", "one"]);
    assert_eq!(between(4, 100).await, ["one", "two"]);
    assert_eq!(between(13, 100).await, Vec::<String>::new());
    let head = look!(bench.catalog, tx => audit::head(tx).await).expect("an answer").expect("a tenant");
    assert_eq!(head.sealed, 12);
}

async fn a_log_has_one_key(bench: &Bench) {
    let key = async |name: &'static str| {
        look!(bench.catalog, tx => checkpoints::key(tx, name).await).expect("an answer")
    };
    assert_eq!(key("log").await, None);
    for pem in ["PEM", "another"] {
        commit!(bench.catalog, tx => checkpoints::insert_key(tx, "log", pem, at(1)).await).expect("kept");
    }
    assert_eq!(key("log").await.as_deref(), Some("PEM"), "the first stands");
    assert_eq!(key("other").await, None);
}

/// The tables of the first version, with rows of its audit log: a restore has left a gap, and another at the end.
fn first_version(shared: bool) -> String {
    let tables = include_str!("../../../migrations/0001_library.sql");
    let bigint = |line: &str| line.replacen(" integer", " bigint", 1);
    let mut sql: String =
        tables.lines().map(|line| if shared { bigint(line) } else { line.into() } + "\n").collect();
    sql += "create table schema_migrations (number bigint not null primary key);\n\
            insert into schema_migrations (number) values (1);\n\
            insert into tenant (id, created_at, change) values ('t', 1, 2001300);\n";
    for number in (1..=900).chain(1_000_901..=1_001_300) {
        sql += &format!(
            "insert into audit values ({number}, {number}000000, 'Zoë', 'app t c', null, 'library.upload', 'a''.ps1', \
             null, '{{\"b\": 1, \"a\": \"é\"}}', 'r');\n"
        );
    }
    sql
}

async fn is_sealed(home: &Home) {
    let catalog = home.open().await.expect("a database of the first version");
    let verified = verified(&catalog).await;
    assert_eq!((verified.entries, verified.last), (1302, 2_001_300));
    let told = format!("select number, at from audit where action = '{RESTORE}' order by number");
    let told = cells(&catalog, &told).await;
    assert_eq!(told, [[int(1_000_900), int(1_000_901_000_000)], [int(2_001_300), int(1_001_300_000_000)]]);
    changes(&catalog, 3).await;
    assert_eq!(self::verified(&catalog).await.last, 2_001_303);
    // Opened again it is left as it is.
    drop(catalog);
    assert_eq!(self::verified(&home.open().await.expect("open again")).await.entries, 1305);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_log_without_a_chain_is_chained_on_sqlite() {
    let home = Home::sqlite();
    let Home::Sqlite(folder) = &home else { unreachable!("made for SQLite") };
    let connection = rusqlite::Connection::open(folder.path().join("catalog.db")).expect("a file");
    connection.execute_batch(&first_version(false)).expect("tables and rows");
    drop(connection);
    is_sealed(&home).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_log_without_a_chain_is_chained_on_postgres() {
    let home = Home::postgres().await;
    let Home::Postgres(database) = &home else { unreachable!("made for PostgreSQL") };
    let (client, connection) =
        tokio_postgres::connect(&database.url, tokio_postgres::NoTls).await.expect("a connection");
    let connection = tokio::spawn(connection);
    client.batch_execute(&first_version(true)).await.expect("tables and rows");
    connection.abort();
    is_sealed(&home).await;
}
