//! Transactions: all or nothing, whatever becomes of whoever asked for them.

use std::sync::Arc;
use std::sync::mpsc;

use jumpbag_server::catalog::audit;
use jumpbag_server::catalog::files::{self, NewVersion};
use jumpbag_server::catalog::{Catalog, CatalogError, Tx, history};
use jumpbag_server::library::metadata::Metadata;
use jumpbag_wire::library::Cause;

use super::{Bench, at, cells, everything, inline, int, put};
use crate::support::SOON;

on_both!(
    an_error_leaves_nothing,
    neighbours_of_an_error_stand,
    a_panic_leaves_nothing,
    a_caller_who_leaves_changes_nothing_about_it,
    callers_who_leave_at_any_moment_leave_no_halves,
    a_violated_constraint_is_called_so,
    a_failed_statement_is_never_committed,
    a_name_is_won_by_one,
    changes_commit_in_the_order_of_their_numbers,
    who_waits_sees_what_was_under_way,
    a_snapshot_sees_one_state_and_a_read_the_newest,
    a_ping_answers,
    wrong_shapes_are_told,
);

async fn an_error_leaves_nothing(bench: &Bench) {
    let outcome: Result<(), _> = commit!(bench.catalog, tx => {
        put(tx, "a.ps1", &inline("a"), at(1)).await?;
        Err(CatalogError::Shape("refused".into()))
    });
    assert!(matches!(&outcome, Err(CatalogError::Shape(why)) if why == "refused"), "{outcome:?}");
    assert!(everything(&bench.catalog).await.is_empty());
    assert_eq!(cells(&bench.catalog, "select count(*) from contents").await, [[int(0)]]);
    assert_eq!(look!(bench.catalog, tx => audit::last_change(tx).await).expect("a tenant"), 0);
}

async fn neighbours_of_an_error_stand(bench: &Bench) {
    let tasks: Vec<_> = (0..60)
        .map(|number| {
            let catalog = Arc::clone(&bench.catalog);
            tokio::spawn(async move {
                commit!(catalog, tx => {
                    put(tx, &format!("{number:02}.ps1"), &inline("same for all"), at(1)).await?;
                    match number % 3 {
                        0 => Err(CatalogError::Shape("refused".into())),
                        1 => tx.execute("insert into nowhere (x) values ($1)", &[1.into()]).await.map(|_| ()),
                        _ => Ok(()),
                    }
                })
            })
        })
        .collect();
    for (number, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.expect("no panic").is_ok(), number % 3 == 2, "number {number}");
    }
    let names: Vec<_> = everything(&bench.catalog).await.into_iter().map(|file| file.file_name).collect();
    let expected: Vec<_> =
        (0..60).filter(|number| number % 3 == 2).map(|number| format!("{number:02}.ps1")).collect();
    assert_eq!(names, expected);
    assert_eq!(look!(bench.catalog, tx => audit::last_change(tx).await).expect("a tenant"), 20);
}

async fn a_panic_leaves_nothing(bench: &Bench) {
    for round in 0..6 {
        let outcome: Result<(), CatalogError> = commit!(bench.catalog, tx => {
            put(tx, "panicked.ps1", &inline("a"), at(1)).await?;
            panic!("on purpose, round {round}")
        });
        assert!(matches!(outcome, Err(CatalogError::Failed(_))), "{outcome:?}");
        // Whoever uses the connection next must not commit what was begun on it.
        let name = format!("{round}.ps1");
        commit!(bench.catalog, tx => put(tx, &name, &inline("b"), at(1)).await).expect("the writer lives");
    }
    let outcome: Result<(), CatalogError> =
        look!(bench.catalog, tx => { audit::last_change(tx).await?; panic!("on purpose, reading") });
    assert!(matches!(outcome, Err(CatalogError::Failed(_))), "{outcome:?}");
    let outcome: Result<(), CatalogError> = bench
        .catalog
        .snapshot(|tx| {
            Box::pin(async move {
                audit::last_change(tx).await?;
                panic!("on purpose, in a snapshot")
            })
        })
        .await;
    assert!(matches!(outcome, Err(CatalogError::Failed(_))), "{outcome:?}");
    usable(&bench.catalog).await;
    let files = everything(&bench.catalog).await;
    assert!(files.iter().all(|file| file.file_name != "panicked.ps1"), "{files:?}");
    assert_eq!(look!(bench.catalog, tx => audit::last_change(tx).await).expect("a tenant"), 6);
}

/// More at once than there are connections, of every kind.
async fn usable(catalog: &Arc<Catalog>) {
    let tasks: Vec<_> = (0..12)
        .map(|_| {
            let catalog = Arc::clone(catalog);
            tokio::spawn(async move {
                commit!(catalog, tx => tx.execute("update tenant set created_at = created_at", &[]).await)?;
                look!(catalog, tx => history::size(tx).await)?;
                catalog.snapshot(|tx| Box::pin(history::contradictions(tx))).await
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.expect("no panic").expect("it works"), Vec::<String>::new());
    }
}

async fn a_caller_who_leaves_changes_nothing_about_it(bench: &Bench) {
    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let catalog = Arc::clone(&bench.catalog);
    let caller = tokio::spawn(async move {
        commit!(catalog, tx => {
            let done = put(tx, "a.ps1", &inline("a"), at(1)).await;
            begun.send(()).expect("the test waits");
            tokio::task::block_in_place(|| may_go_on.recv_timeout(SOON)).expect("the test goes on");
            put(tx, "b.ps1", &inline("b"), at(1)).await?;
            done
        })
    });
    tokio::task::spawn_blocking(move || has_begun.recv_timeout(SOON))
        .await
        .expect("no panic")
        .expect("the work has begun");
    caller.abort();
    assert!(caller.await.expect_err("it was aborted").is_cancelled());
    assert!(everything(&bench.catalog).await.is_empty(), "not committed yet");
    go_on.send(()).expect("the work still runs");
    let committed = async {
        while everything(&bench.catalog).await.len() != 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, committed).await.expect("the work ends without its caller");
    usable(&bench.catalog).await;
    // A future that nobody ever polls does nothing.
    drop(bench.catalog.write(|tx| Box::pin(async move { put(tx, "c.ps1", &inline("c"), at(1)).await })));
    usable(&bench.catalog).await;
    assert_eq!(everything(&bench.catalog).await.len(), 2);
}

async fn callers_who_leave_at_any_moment_leave_no_halves(bench: &Bench) {
    for number in 0..80_u32 {
        let catalog = Arc::clone(&bench.catalog);
        let caller = tokio::spawn(async move {
            commit!(catalog, tx => {
                put(tx, &format!("{number}.ps1"), &inline(&format!("{number}")), at(1)).await?;
                put(tx, &format!("{number}.twin"), &inline(&format!("{number}")), at(1)).await
            })
        });
        let catalog = Arc::clone(&bench.catalog);
        let reader = tokio::spawn(async move { look!(catalog, tx => history::contradictions(tx).await) });
        for _ in 0..number % 20 {
            tokio::task::yield_now().await;
        }
        for left in [caller.abort_handle(), reader.abort_handle()] {
            left.abort();
        }
        let _ = (caller.await, reader.await);
        if number % 8 == 0 {
            usable(&bench.catalog).await;
        }
    }
    // Whatever is still under way holds the change number's row, or comes before in the writer's queue.
    commit!(bench.catalog, tx => put(tx, "last.ps1", &inline("last"), at(1)).await)
        .expect("the writer lives");
    usable(&bench.catalog).await;
    let names: Vec<_> = everything(&bench.catalog).await.into_iter().map(|file| file.file_name).collect();
    for name in &names {
        if let Some(number) = name.strip_suffix(".ps1").filter(|number| *number != "last") {
            assert!(names.contains(&format!("{number}.twin")), "half of {number}");
        }
    }
    let last = look!(bench.catalog, tx => audit::last_change(tx).await).expect("a tenant");
    assert_eq!(last, names.len() as i64);
}

async fn a_violated_constraint_is_called_so(bench: &Bench) {
    let constraint = |outcome: Result<(), CatalogError>| {
        assert!(matches!(outcome, Err(CatalogError::Constraint(_))), "{outcome:?}");
    };
    let version = |file: i64, number: i64, content: i64| {
        let catalog = Arc::clone(&bench.catalog);
        async move {
            commit!(catalog, tx => {
                let version = NewVersion {
                    born: 1000, file, number, name: "a.ps1", content, metadata: &Metadata::default(),
                    cause: Cause::Uploaded, author: "a", author_id: "b", now: at(1),
                };
                files::insert_version(tx, &version).await
            })
        }
    };
    let done = commit!(bench.catalog, tx => put(tx, "a.ps1", &inline("a"), at(1)).await).expect("an upload");
    constraint(version(done.id, 1, done.id).await);
    constraint(version(77, 1, done.id).await);
    constraint(version(done.id, 2, 77).await);
    // Bytes stay as long as a version has them.
    constraint(commit!(bench.catalog, tx => tx.execute("delete from contents", &[]).await.map(|_| ())));
    constraint(commit!(bench.catalog, tx => tx.execute("delete from files", &[]).await.map(|_| ())));
    assert_eq!(everything(&bench.catalog).await.len(), 1);
}

/// PostgreSQL would take "commit" for "rollback" and say nothing.
async fn a_failed_statement_is_never_committed(bench: &Bench) {
    let outcome = commit!(bench.catalog, tx => {
        put(tx, "a.ps1", &inline("a"), at(1)).await?;
        let swallowed = tx.execute("delete from contents", &[]).await;
        assert!(swallowed.is_err());
        Ok::<_, CatalogError>(())
    });
    assert!(outcome.is_err(), "it says that it is committed: {:?}", everything(&bench.catalog).await);
    assert!(everything(&bench.catalog).await.is_empty());
    usable(&bench.catalog).await;
}

async fn a_name_is_won_by_one(bench: &Bench) {
    for round in 0..3 {
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let catalog = Arc::clone(&bench.catalog);
                tokio::spawn(async move {
                    let key = format!("{round}.ps1");
                    commit!(catalog, tx => {
                        let mut turn = audit::turn(tx).await?;
                        files::insert_file(tx, &mut turn, &key, "a", at(1)).await
                    })
                })
            })
            .collect();
        let mut winners = 0;
        for task in tasks {
            winners += usize::from(task.await.expect("no panic").expect("an answer"));
        }
        assert_eq!(winners, 1);
    }
}

async fn changes_commit_in_the_order_of_their_numbers(bench: &Bench) {
    let writers: Vec<_> = (0..64)
        .map(|number| {
            let catalog = Arc::clone(&bench.catalog);
            tokio::spawn(async move {
                commit!(catalog, tx => put(tx, &format!("{number}.ps1"), &inline("x"), at(1)).await)
            })
        })
        .collect();
    // Whoever sees a change sees every change before it.
    let catalog = Arc::clone(&bench.catalog);
    let reader = tokio::spawn(async move {
        let mut seen = 0;
        while seen < 64 {
            let (change, versions) = catalog
                .snapshot(|tx| {
                    Box::pin(async move {
                        let change = audit::last_change(tx).await?;
                        let mut row = tx.one("select count(*) from versions", &[]).await?;
                        Ok::<_, CatalogError>((change, row.take::<i64>()?))
                    })
                })
                .await
                .expect("a snapshot");
            assert_eq!(change, versions, "a change is visible before one with a smaller number");
            assert!(change >= seen, "changes went back from {seen} to {change}");
            seen = change;
        }
    });
    let mut changes = Vec::new();
    for writer in writers {
        changes.push(writer.await.expect("no panic").expect("a commit").change);
    }
    changes.sort_unstable();
    assert_eq!(changes, (1..=64).collect::<Vec<_>>());
    tokio::time::timeout(SOON, reader).await.expect("the last change is seen").expect("in order");
}

async fn who_waits_sees_what_was_under_way(bench: &Bench) {
    let writers: Vec<_> = (0..20)
        .map(|number| {
            let catalog = Arc::clone(&bench.catalog);
            tokio::spawn(async move {
                commit!(catalog, tx => {
                    audit::wait(tx).await?;
                    // Nobody makes a change between the two.
                    let before = audit::last_change(tx).await?;
                    let put = put(tx, &format!("{number}.ps1"), &inline("x"), at(1)).await?;
                    Ok::<_, CatalogError>((before, put.change))
                })
            })
        })
        .collect();
    for writer in writers {
        let (before, change) = writer.await.expect("no panic").expect("a commit");
        assert_eq!(before + 1, change);
    }
}

async fn a_snapshot_sees_one_state_and_a_read_the_newest(bench: &Bench) {
    for (newest, sees) in [(false, [0, 0]), (true, [1, 2])] {
        let (begun, has_begun) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let catalog = Arc::clone(&bench.catalog);
        let reader = tokio::spawn(async move {
            if newest {
                catalog.read(move |tx| Box::pin(two_looks(tx, begun, may_go_on))).await
            } else {
                catalog.snapshot(move |tx| Box::pin(two_looks(tx, begun, may_go_on))).await
            }
        });
        tokio::task::spawn_blocking(move || has_begun.recv_timeout(SOON))
            .await
            .expect("no panic")
            .expect("the first look");
        let name = format!("{newest}.ps1");
        commit!(bench.catalog, tx => put(tx, &name, &inline("x"), at(1)).await).expect("a commit meanwhile");
        go_on.send(()).expect("the reader waits");
        assert_eq!(reader.await.expect("no panic").expect("two looks"), sees, "newest: {newest}");
    }
}

/// How many files there are, and how many after the test has said that it goes on.
async fn two_looks(
    tx: &mut Tx,
    begun: mpsc::Sender<()>,
    may_go_on: mpsc::Receiver<()>,
) -> Result<[u64; 2], CatalogError> {
    let (before, _) = history::size(tx).await?;
    begun.send(()).expect("the test waits");
    tokio::task::block_in_place(|| may_go_on.recv_timeout(SOON)).expect("the test goes on");
    let (after, _) = history::size(tx).await?;
    Ok([before, after])
}

async fn a_ping_answers(bench: &Bench) {
    bench.catalog.ping().await.expect("a database");
}

async fn wrong_shapes_are_told(bench: &Bench) {
    let shape = |outcome: Result<String, CatalogError>, says: &str| match outcome {
        Err(CatalogError::Shape(why)) => assert!(why.contains(says), "{why}"),
        other => panic!("expected `Shape`, got {other:?}"),
    };
    shape(
        look!(bench.catalog, tx => tx.one("select id from tenant where id = 'x'", &[]).await?.take::<String>()),
        "no row",
    );
    shape(
        look!(bench.catalog, tx => tx.one("select change from tenant", &[]).await?.take::<String>()),
        "cell is bigint, expected text",
    );
    shape(
        look!(bench.catalog, tx => {
            let mut row = tx.one("select id from tenant", &[]).await?;
            row.take::<String>()?;
            row.take::<String>()
        }),
        "no more cells",
    );
    let none = look!(bench.catalog, tx => tx.first("select id from tenant where id = 'x'", &[]).await)
        .expect("an answer");
    assert!(none.is_none());
}
