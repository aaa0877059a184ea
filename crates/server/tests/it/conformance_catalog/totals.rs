//! Beside the change number the tenant's row has totals: right after every kind of change, and told when they are
//! not. Each change has its row in the audit log, chained to the one before.

use jumpbag_server::catalog::files::{self, NewVersion};
use jumpbag_server::catalog::history::{self, Ended};
use jumpbag_server::catalog::retries::{self, Retry};
use jumpbag_server::catalog::{Catalog, CatalogError, Tx, audit};
use jumpbag_server::library::metadata::Metadata;
use jumpbag_wire::audit::{AuditEntry, FIRST};
use jumpbag_wire::library::Cause;

use super::{Bench, Cell, at, blob, cells, end, inline, int, put, remove};

on_both!(
    totals_are_right_after_every_change,
    wrong_totals_are_told,
    changes_are_chained,
    a_change_that_is_taken_back_leaves_no_gap,
    what_was_answered_is_kept_by_caller_and_key,
);

/// All entries of the audit log, which must be one chain that ends where the tenant's row says.
pub async fn chain(catalog: &Catalog) -> Vec<AuditEntry> {
    let (entries, head, change) = catalog
        .snapshot(|tx| {
            Box::pin(async move {
                let mut row = tx.one("select head, change from tenant", &[]).await?;
                let mut entries: Vec<AuditEntry> = Vec::new();
                loop {
                    let after = entries.last().map_or(i64::MIN, |entry| entry.number);
                    let more = audit::entries(tx, after, 50).await?;
                    if more.is_empty() {
                        return Ok::<_, CatalogError>((entries, row.take::<String>()?, row.take::<i64>()?));
                    }
                    entries.extend(more);
                }
            })
        })
        .await
        .expect("the audit log");
    let mut previous = FIRST;
    for entry in &entries {
        assert_eq!(entry.previous, previous, "the chain breaks before {entry:?}");
        assert_eq!(entry.hash, entry.expected_hash(), "{entry:?} was changed");
        previous = &entry.hash;
    }
    assert_eq!(previous, head);
    assert_eq!(entries.last().map_or(0, |entry| entry.number), change, "the last change has its entry");
    entries
}

/// Files that live, and bytes, as the tenant's row has them; nothing contradicts them.
async fn size(bench: &Bench) -> (u64, u64) {
    let (size, found) = look!(bench.catalog, tx => {
        Ok::<_, CatalogError>((history::size(tx).await?, history::contradictions(tx).await?))
    })
    .expect("answers");
    assert_eq!(found, Vec::<String>::new());
    size
}

/// A new version of a living file, with the bytes of one that was.
async fn restore(tx: &mut Tx, key: &str, number: i64) -> Result<(), CatalogError> {
    let turn = audit::turn(tx).await?;
    let (file, next) = files::advance(tx, key).await?.expect("it lives");
    let old = history::version(tx, file, number).await?.expect("it was");
    history::end_version(tx, file, next - 1, turn.number, Ended::Replaced, at(5)).await?;
    insert_restored(tx, turn, file, next, old).await
}

/// A deleted file lives again.
async fn undelete(tx: &mut Tx, file: i64) -> Result<(), CatalogError> {
    let mut turn = audit::turn(tx).await?;
    let next = files::revive(tx, &mut turn, file).await?.expect("it was deleted");
    let old = history::version(tx, file, next - 1).await?.expect("it was");
    insert_restored(tx, turn, file, next, old).await
}

async fn insert_restored(
    tx: &mut Tx,
    turn: audit::Turn,
    file: i64,
    number: i64,
    old: history::VersionRow,
) -> Result<(), CatalogError> {
    let version = NewVersion {
        born: turn.number,
        file,
        number,
        name: &old.name,
        content: old.content,
        metadata: &Metadata::default(),
        cause: Cause::Restored,
        author: "somebody",
        author_id: "id of somebody",
        now: at(5),
    };
    files::insert_version(tx, &version).await?;
    end(tx, turn, &old.name, at(5)).await
}

async fn forget(tx: &mut Tx, file: i64, number: i64) -> Result<(), CatalogError> {
    let mut turn = audit::turn(tx).await?;
    let version = history::version(tx, file, number).await?.expect("it is there");
    history::forget(tx, &mut turn, &version, at(9)).await?;
    end(tx, turn, "it went", at(9)).await
}

async fn totals_are_right_after_every_change(bench: &Bench) {
    let upload = async |name: &'static str, content| {
        commit!(bench.catalog, tx => put(tx, name, &content, at(1)).await).expect("an upload").id
    };
    assert_eq!(size(bench).await, (0, 0));
    let a = upload("a", inline("22")).await;
    assert_eq!(size(bench).await, (1, 2));
    let b = upload("b", blob("first", "333")).await;
    assert_eq!(size(bench).await, (2, 5));
    upload("c", inline("22")).await;
    assert_eq!(size(bench).await, (3, 5), "bytes that are there already");
    upload("a", blob("second", "4444")).await;
    assert_eq!(size(bench).await, (3, 9), "an override keeps the bytes before");
    upload("a", blob("third", "333")).await;
    assert_eq!(size(bench).await, (3, 9), "a new copy of bytes that are there");
    commit!(bench.catalog, tx => restore(tx, "a", 2).await).expect("a restore");
    assert_eq!(size(bench).await, (3, 9));
    commit!(bench.catalog, tx => remove(tx, "b", at(3)).await).expect("a delete");
    assert_eq!(size(bench).await, (2, 9), "a deleted file keeps its bytes");
    commit!(bench.catalog, tx => undelete(tx, b).await).expect("it comes back");
    assert_eq!(size(bench).await, (3, 9));
    commit!(bench.catalog, tx => remove(tx, "b", at(3)).await).expect("a delete");
    for number in [1, 2] {
        commit!(bench.catalog, tx => forget(tx, b, number).await).expect("it goes");
        assert_eq!(size(bench).await, (2, 9), "another file has these bytes");
    }
    commit!(bench.catalog, tx => forget(tx, a, 3).await).expect("it goes");
    assert_eq!(size(bench).await, (2, 6), "nobody has these bytes any more");
    commit!(bench.catalog, tx => remove(tx, "a", at(3)).await).expect("a delete");
    for (number, left) in [(1, 6), (2, 6), (4, 2)] {
        commit!(bench.catalog, tx => forget(tx, a, number).await).expect("it goes");
        assert_eq!(size(bench).await, (1, left));
    }
    let totals = look!(bench.catalog, tx => history::totals(tx).await).expect("an answer");
    let expected = history::Totals { files: 1, bytes: 2, versions: 1, deleted: 0, held: 0 };
    assert_eq!(totals, expected);
    chain(&bench.catalog).await;
}

async fn wrong_totals_are_told(bench: &Bench) {
    commit!(bench.catalog, tx => put(tx, "a", &inline("22"), at(1)).await).expect("an upload");
    for (column, wrong, says) in [("files", 7, "number of files"), ("bytes", 8, "number of bytes")] {
        for step in [1, -1] {
            let sql = format!("update tenant set {column} = {column} + $1");
            let change = async |by: i64| {
                let sql = sql.clone();
                commit!(bench.catalog, tx => tx.execute(&sql, &[by.into()]).await).expect("by hand");
            };
            change(wrong * step).await;
            let found = look!(bench.catalog, tx => history::contradictions(tx).await).expect("an answer");
            assert!(found.len() == 1 && found[0].contains(says), "{found:?}");
            change(-wrong * step).await;
        }
    }
    assert_eq!(size(bench).await, (1, 2));
}

async fn changes_are_chained(bench: &Bench) {
    let tasks: Vec<_> = (0..30)
        .map(|number| {
            let catalog = bench.catalog.clone();
            tokio::spawn(async move {
                commit!(catalog, tx => {
                    let name = format!("{}.ps1", number % 4);
                    put(tx, &name, &inline(&format!("{number}")), at(number)).await?;
                    if number % 5 == 0 {
                        remove(tx, &name, at(number)).await?;
                    }
                    Ok::<_, CatalogError>(())
                })
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("a change");
    }
    let entries = chain(&bench.catalog).await;
    let numbers: Vec<_> = entries.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, (1..=36).collect::<Vec<_>>());
    let some = look!(bench.catalog, tx => audit::entries(tx, 5, 3).await).expect("an answer");
    assert_eq!(some, entries[5..8]);
    let none = look!(bench.catalog, tx => audit::entries(tx, 36, 3).await).expect("an answer");
    assert_eq!(none, []);
}

async fn a_change_that_is_taken_back_leaves_no_gap(bench: &Bench) {
    commit!(bench.catalog, tx => put(tx, "a", &inline("a"), at(1)).await).expect("an upload");
    for _ in 0..3 {
        let refused: Result<(), _> = commit!(bench.catalog, tx => {
            put(tx, "b", &inline("b"), at(1)).await?;
            Err(CatalogError::Shape("refused".into()))
        });
        assert!(refused.is_err());
    }
    commit!(bench.catalog, tx => put(tx, "c", &inline("c"), at(1)).await).expect("an upload");
    assert_eq!(chain(&bench.catalog).await.len(), 2);
    assert_eq!(size(bench).await, (2, 2));
}

async fn what_was_answered_is_kept_by_caller_and_key(bench: &Bench) {
    let retry =
        |text: &str| Retry { fingerprint: format!("print {text}"), answer: format!("{{\"{text}\":1}}") };
    let insert = async |caller: &'static str, key: &'static str, kept: Retry, now: i64| commit!(bench.catalog, tx => retries::insert(tx, caller, key, kept, at(now)).await);
    let find = async |caller: &'static str, key: &'static str| {
        look!(bench.catalog, tx => retries::find(tx, caller, key).await).expect("an answer")
    };
    assert_eq!(find("ann", "k").await, None);
    for (caller, key, now) in [("ann", "k", 1), ("ann", "K", 2), ("bob", "k", 3)] {
        insert(caller, key, retry(&format!("{caller} {key}")), now).await.expect("a new key");
    }
    assert_eq!(find("ann", "k").await, Some(retry("ann k")));
    assert_eq!(find("ann", "K").await, Some(retry("ann K")));
    assert_eq!(find("bob", "k").await, Some(retry("bob k")));
    let again = insert("ann", "k", retry("other"), 4).await;
    assert!(matches!(again, Err(CatalogError::Constraint(_))), "{again:?}");
    for (before, forgotten) in [(1, 0), (3, 2), (3, 0)] {
        let found = commit!(bench.catalog, tx => retries::forget(tx, at(before)).await).expect("an answer");
        assert_eq!(found, forgotten);
    }
    assert_eq!(find("ann", "k").await, None);
    assert_eq!(find("bob", "k").await, Some(retry("bob k")));
    let rows: Vec<Vec<Cell>> = cells(&bench.catalog, "select at from retries").await;
    assert_eq!(rows, [[int(at(3).micros())]]);
}
