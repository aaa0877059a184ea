//! A log is chained whatever comes: rows that make no sense are named, and a log from a version without a chain gets one,
//! gaps of restores included.

use jumpbag_server::audit::key::check;
use jumpbag_server::audit::verify::verify;
use jumpbag_server::catalog::audit::{self, Actor, Change};
use jumpbag_server::catalog::{Catalog, CatalogError};
use jumpbag_wire::audit::{RESTORE, Verified, Verifier};
use serde_json::json;

use super::{Bench, Home, at, cells, int};

on_both!(a_row_that_makes_no_sense_is_named);

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

async fn a_row_that_makes_no_sense_is_named(bench: &Bench) {
    changes(&bench.catalog, 5).await;
    assert_eq!(verified(&bench.catalog).await.entries, 5);
    commit!(bench.catalog, tx => {
        tx.execute("update audit set before = '{' where number = 4", &[]).await
    })
    .expect("a broken row");
    let found = verify(&bench.catalog, Verifier::new(Vec::new(), check), |_| {}).await.expect("a log");
    let fault = found.expect_err("a broken row");
    assert_eq!((fault.first, fault.last), (4, 4), "{fault}");
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
