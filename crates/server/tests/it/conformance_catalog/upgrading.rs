//! A database from before there was a history gets one: what it has is kept, and what its audit log tells is found
//! in the rows.

use std::path::Path;

use jumpbag_server::catalog::history::{self, Ended};
use jumpbag_server::catalog::{CatalogError, files};
use jumpbag_wire::library::Cause;

use super::totals::chain;
use super::{Bench, Home, at, everything, inline, put, sha256};
use crate::support::install_crypto;
use crate::support::postgres::postgres_database;

/// A library with a file of two versions, a deleted one, and content that two versions share.
fn old_rows() -> String {
    let sha = ["a", "bb"].map(|text| sha256(text.as_bytes()));
    let time = |seconds: i64| at(seconds).micros();
    format!(
        "insert into tenant (id, created_at, change) values ('t', {t0}, 5);\n\
         insert into contents (id, sha256, size, bytes, created_at) values (1, '{a}', 1, '\\x61', {t1});\n\
         insert into contents (id, sha256, size, blob, created_at) values (2, '{b}', 2, 'key', {t2});\n\
         insert into files (id, name_key, version, created_at, created_by, deleted_at) values \
         (1, 'lives.ps1', 2, {t1}, 'Ann', null), (3, 'gone.ps1', 1, {t3}, 'Ann', {t4});\n\
         insert into versions (born, file, number, name, content, has_parameters, author, author_id, created_at, \
         died, ended) values (1, 1, 1, 'lives.ps1', 1, false, 'Ann', 'a', {t1}, 2, 'replaced'), \
         (2, 1, 2, 'Lives.ps1', 2, true, 'bob', 'b', {t2}, null, null), \
         (3, 3, 1, 'gone.ps1', 1, false, 'Ann', 'a', {t3}, 4, 'deleted');\n\
         insert into audit (number, at, actor, actor_id, address, action, target, before, after, request_id) values \
         (1, {t1}, 'Ann', 'a', null, 'library.upload', 'lives.ps1', null, '{{\"z\":1,\"a\":\"é\"}}', 'r1'), \
         (2, {t2}, 'bob', 'b', '127.0.0.1', 'library.override', 'Lives.ps1', '{{}}', '[null]', 'r2'), \
         (3, {t3}, 'Ann', 'a', null, 'library.upload', 'gone.ps1', null, '{{}}', 'r3'), \
         (4, {t4}, 'bob', 'b', null, 'library.delete', 'gone.ps1', '{{}}', null, 'r4'), \
         (5, {t4}, 'operator', 'command:x', null, 'client.add', 'c', null, null, 'r5');\n",
        a = sha[0],
        b = sha[1],
        t0 = time(0),
        t1 = time(1),
        t2 = time(2),
        t3 = time(3),
        t4 = time(4),
    )
}

const FIRST: &str = include_str!("../../../migrations/0001_library.sql");
const STATE: &str = "create table schema_migrations (number bigint not null primary key);\n\
                     insert into schema_migrations (number) values (1);\n";

#[tokio::test]
async fn from_sqlite_of_the_first_version() {
    let home = Home::sqlite();
    let Home::Sqlite(folder) = &home else { unreachable!("made for SQLite") };
    old_sqlite(&folder.path().join("catalog.db"));
    upgraded(home).await;
}

fn old_sqlite(file: &Path) {
    let database = rusqlite::Connection::open(file).expect("a new file");
    let rows = old_rows().replace("'\\x61'", "x'61'");
    database.execute_batch(&format!("{FIRST}{STATE}{rows}")).expect("tables of the first version");
}

#[tokio::test]
async fn from_postgres_of_the_first_version() {
    install_crypto();
    let database = postgres_database().await;
    let (client, connection) =
        tokio_postgres::connect(&database.url, tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let lines = FIRST.lines().filter(|line| !line.starts_with("--"));
    let tables: Vec<_> = lines
        .map(|line| line.replacen(" text", " text collate \"C\"", 1).replacen(" integer", " bigint", 1))
        .collect();
    let script = format!("{}\n{STATE}{}", tables.join("\n"), old_rows());
    client.batch_execute(&script).await.expect("tables of the first version");
    upgraded(Home::Postgres(database)).await;
}

async fn upgraded(home: Home) {
    let catalog = home.open().await.expect("a database that can be brought up to date");
    let bench = Bench { catalog: catalog.into(), home };
    let (totals, found) = look!(bench.catalog, tx => {
        Ok::<_, CatalogError>((history::totals(tx).await?, history::contradictions(tx).await?))
    })
    .expect("answers");
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(totals, history::Totals { files: 1, bytes: 3, versions: 3, deleted: 1, held: 0 });

    let entries = chain(&bench.catalog).await;
    let told: Vec<_> = entries.iter().map(|entry| entry.action.as_str()).collect();
    let actions = ["library.upload", "library.override", "library.upload", "library.delete", "client.add"];
    assert_eq!(told, actions);
    assert_eq!(entries[0].after, Some(serde_json::json!({ "a": "é", "z": 1 })));

    let (versions, deleted) = look!(bench.catalog, tx => {
        Ok::<_, CatalogError>((history::born_after(tx, 0, 9).await?, history::deleted(tx, 3).await?))
    })
    .expect("answers");
    let told: Vec<_> =
        versions.iter().map(|version| (version.cause, version.ended, version.ended_at)).collect();
    let ended = |ended, seconds| (Some(ended), Some(at(seconds)));
    let (replaced, deleted_) = (ended(Ended::Replaced, 2), ended(Ended::Deleted, 4));
    let expected = [
        (Cause::Uploaded, replaced.0, replaced.1),
        (Cause::Overridden, None, None),
        (Cause::Uploaded, deleted_.0, deleted_.1),
    ];
    assert_eq!(told, expected);
    let deleted = deleted.expect("it is kept");
    assert_eq!((deleted.deleted_at, deleted.deleted_by.as_deref()), (Some(at(4)), Some("bob")));
    let files = everything(&bench.catalog).await;
    assert_eq!((files.len(), files[0].version, files[0].tags.len()), (1, 2, 0));

    // Life goes on, and so does the chain.
    commit!(bench.catalog, tx => put(tx, "new.ps1", &inline("new"), at(9)).await).expect("an upload");
    assert_eq!(chain(&bench.catalog).await.len(), 6);
    let again = bench.reopen().await.expect("it is up to date");
    assert_eq!(chain(&again).await.len(), 6);
    assert!(look!(again, tx => files::find(tx, "new.ps1").await).expect("an answer").is_some());
}
