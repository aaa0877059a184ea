//! Random filters and orders over random rows: both databases and the twin in memory must agree.

use jumpbag_server::catalog::files::{self, NewVersion, Page};
use jumpbag_server::catalog::value::Value;
use jumpbag_server::catalog::{Catalog, CatalogError, Tx, audit, contents};
use jumpbag_server::library::metadata::Metadata;
use jumpbag_server::odata::{Literal, Query, order_sql};
use jumpbag_wire::library::{Cause, LibraryFile};
use jumpbag_wire::time::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::random::{any_text, any_time, condition, matching, order, parse, untyped};
use super::{Bench, Cell, cells, inline};

/// What differs between the rows of a case.
type Described = (Option<String>, Option<String>, bool, usize, Timestamp);

fn any_rows() -> impl Strategy<Value = Vec<Described>> {
    let text = || proptest::option::weighted(0.75, any_text());
    proptest::collection::vec((text(), text(), any::<bool>(), 0..3usize, any_time()), 0..8)
}

/// How a case ends: always without effect, so that the next begins with no rows.
enum Outcome {
    Found { files: Vec<LibraryFile>, count: u64, all: Vec<LibraryFile> },
    Failed(CatalogError),
}

impl From<CatalogError> for Outcome {
    fn from(error: CatalogError) -> Outcome {
        Outcome::Failed(error)
    }
}

async fn case(tx: &mut Tx, rows: Vec<Described>, query: Query) -> Result<(), Outcome> {
    let names = ["a", "A B", "é", "É.ps1", "%_", "𝄞", "\u{ffff}", "z"];
    for (name, (description, parameters_description, has_parameters, size, now)) in names.iter().zip(rows) {
        let content = inline(&"x".repeat(size));
        let mut turn = audit::turn(tx).await?;
        let born = turn.number;
        files::insert_file(tx, &mut turn, &name.to_lowercase(), "Á", now).await?;
        let content = contents::keep_content(tx, &mut turn, &content, now).await?;
        let metadata =
            Metadata { description, parameters_description, has_parameters, ..Metadata::default() };
        let version = NewVersion {
            born,
            file: born,
            number: 1,
            name,
            content,
            metadata: &metadata,
            cause: Cause::Uploaded,
            author: "a",
            author_id: "a",
            now: now.plus_secs(size as i64 * 86_400),
        };
        files::insert_version(tx, &version).await?;
    }
    let all = files::list(tx, &super::page()).await?;
    let mut params = Vec::new();
    let filter = query.filter.as_ref().map(|filter| filter.to_sql(&mut params));
    let page = Page {
        filter: filter.map(|sql| (sql, params.into_iter().map(value).collect())),
        order: order_sql(&query.order_by),
        ..super::page()
    };
    Err(Outcome::Found { files: files::list(tx, &page).await?, count: files::count(tx, &page).await?, all })
}

fn value(literal: Literal) -> Value {
    match literal {
        Literal::Null => Value::Null,
        Literal::Text(text) => text.into(),
        Literal::Bool(value) => value.into(),
        Literal::Int(value) => value.into(),
        Literal::Time(time) => time.into(),
        Literal::Texts(_) => panic!("a filter has no lists"),
    }
}

async fn agrees(
    catalog: &Catalog,
    filter: &str,
    rows: Vec<Described>,
    order: Option<&str>,
) -> Result<(), TestCaseError> {
    let mut options = vec![("$filter", filter)];
    options.extend(order.map(|order| ("$orderby", order)));
    // What is refused runs nowhere.
    let Ok(query) = parse(&options) else { return Ok(()) };
    let asked = query.clone();
    let outcome = catalog.write(move |tx| Box::pin(case(tx, rows, asked))).await;
    match outcome {
        Err(Outcome::Found { files, count, all }) => {
            let expected = matching(&all, &query);
            prop_assert_eq!(&files, &expected, "{}", filter);
            prop_assert_eq!(count, expected.len() as u64, "{}", filter);
            Ok(())
        }
        Err(Outcome::Failed(error)) => Err(TestCaseError::fail(format!("{filter}: {error:?}"))),
        Ok(()) => unreachable!("every case is taken back"),
    }
}

/// Many cases on one database. The runner is not asynchronous, so it has a thread of its own.
async fn agrees_with_memory(bench: &Bench) {
    let (runtime, catalog) = (tokio::runtime::Handle::current(), bench.catalog.clone());
    let run = move || {
        let cases = (prop_oneof![3 => condition(), 1 => untyped()], any_rows(), order());
        let mut runner =
            TestRunner::new(Config { cases: 1_500, failure_persistence: None, ..Config::default() });
        let outcome = runner.run(&cases, |(filter, rows, order)| {
            runtime.block_on(agrees(&catalog, &filter, rows, order.as_deref()))
        });
        if let Err(error) = outcome {
            panic!("{error}");
        }
    };
    tokio::task::spawn_blocking(run).await.expect("both agree");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_agrees_with_memory() {
    agrees_with_memory(&Bench::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_agrees_with_memory() {
    let bench = Bench::postgres().await;
    agrees_with_memory(&bench).await;
    // Every filter is a statement of its own, and callers may think of any number of them.
    let prepared = cells(&bench.catalog, "select count(*) from pg_prepared_statements").await;
    assert!(matches!(&prepared[0][0], Cell(Value::Int(count)) if *count <= 256), "{prepared:?}");
}
