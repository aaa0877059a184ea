//! Both databases behave alike: one suite, run against SQLite and PostgreSQL. It touches every public function of the
//! catalog, and fails when a new one is missing here.

/// `commit!(catalog, tx => body)`: the body as a transaction.
macro_rules! commit {
    ($catalog:expr, $tx:ident => $body:expr) => {
        $catalog.write(move |$tx| Box::pin(async move { $body })).await
    };
}
/// `look!(catalog, tx => body)`: the body on a connection for reading.
macro_rules! look {
    ($catalog:expr, $tx:ident => $body:expr) => {
        $catalog.read(move |$tx| Box::pin(async move { $body })).await
    };
}
/// Makes two tests of each function: one on SQLite, one on PostgreSQL.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            use crate::conformance_catalog::Bench;

            #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
            async fn sqlite() {
                super::$name(&Bench::sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
            async fn postgres() {
                super::$name(&Bench::postgres().await).await;
            }
        })*
    };
}
mod actions;
mod auditing;
mod copying;
mod expiry;
mod filters;
mod indexing;
mod kept;
mod machines;
mod opening;
mod past;
pub mod random;
mod registry;
mod rows;
mod sealing;
pub mod signing_in;
pub mod totals;
mod transactions;
mod upgrading;
mod webhooks;

use std::sync::Arc;

use jumpbag_server::catalog::audit::{self, Actor, Change, Turn};
use jumpbag_server::catalog::contents::{self, Content, Place};
use jumpbag_server::catalog::files::{self, NewVersion};
use jumpbag_server::catalog::history::Ended;
use jumpbag_server::catalog::value::{FromValue, Value};
use jumpbag_server::catalog::{Catalog, CatalogError, Tx, clients, history};
use jumpbag_server::library::metadata::Metadata;
use jumpbag_wire::hex::hex;
use jumpbag_wire::library::{Cause, LibraryFile};
use jumpbag_wire::time::Timestamp;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::invariants::{missing_from, public_functions, read_source};
use crate::support::install_crypto;
use crate::support::postgres::{Database, postgres_database};

/// A catalog of its own, with a tenant.
pub struct Bench {
    pub catalog: Arc<Catalog>,
    home: Home,
}

enum Home {
    Sqlite(TempDir),
    Postgres(Database),
}

impl Home {
    fn sqlite() -> Home {
        Home::Sqlite(tempfile::tempdir().expect("a temporary folder"))
    }

    async fn postgres() -> Home {
        install_crypto();
        Home::Postgres(postgres_database().await)
    }

    async fn open(&self) -> Result<Catalog, CatalogError> {
        match self {
            Home::Sqlite(folder) => Catalog::open_sqlite(&folder.path().join("catalog.db")).await,
            Home::Postgres(database) => Catalog::open_postgres(&database.url, CONNECTIONS).await,
        }
    }
}

/// Fewer than the tasks of most tests, so that connections are used again.
const CONNECTIONS: usize = 4;

impl Bench {
    pub async fn sqlite() -> Bench {
        Bench::new(Home::sqlite()).await
    }

    pub async fn postgres() -> Bench {
        Bench::new(Home::postgres().await).await
    }

    async fn new(home: Home) -> Bench {
        let catalog = home.open().await.expect("an empty database");
        commit!(catalog, tx => clients::tenant(tx, at(0)).await).expect("a tenant");
        Bench { catalog: Arc::new(catalog), home }
    }

    /// The same database, opened once more.
    pub async fn reopen(&self) -> Result<Catalog, CatalogError> {
        self.home.open().await
    }
}

/// A moment, so many seconds after one of long ago.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + seconds)
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn inline(text: &str) -> Content {
    Content {
        sha256: sha256(text.as_bytes()),
        size: text.len() as u64,
        place: Place::Inline(text.to_owned().into()),
    }
}

/// Content whose bytes are said to be in this blob.
fn blob(key: &str, text: &str) -> Content {
    Content { place: Place::Blob(key.to_owned()), ..inline(text) }
}

/// Puts a version under a name as the library does; the file's id, the version's number and the change's.
async fn put(tx: &mut Tx, name: &str, content: &Content, now: Timestamp) -> Result<Put, CatalogError> {
    put_described(tx, name, content, None, now).await
}

#[derive(Debug, Clone, PartialEq)]
struct Put {
    id: i64,
    number: i64,
    change: i64,
}

async fn put_described(
    tx: &mut Tx,
    name: &str,
    content: &Content,
    description: Option<&str>,
    now: Timestamp,
) -> Result<Put, CatalogError> {
    let description = description.map(str::to_owned);
    let metadata =
        Metadata { parameters_description: description.clone(), description, ..Metadata::default() };
    put_with(tx, name, content, metadata, now).await
}

async fn put_with(
    tx: &mut Tx,
    name: &str,
    content: &Content,
    metadata: Metadata,
    now: Timestamp,
) -> Result<Put, CatalogError> {
    let key = name.to_lowercase();
    let mut turn = audit::turn(tx).await?;
    let change = turn.number;
    let (id, number) = if files::insert_file(tx, &mut turn, &key, "somebody", now).await? {
        (change, 1)
    } else {
        files::advance(tx, &key).await?.expect("it lives")
    };
    let content = contents::keep_content(tx, &mut turn, content, now).await?;
    if number > 1 {
        history::end_version(tx, id, number - 1, change, Ended::Replaced, now).await?;
    }
    let metadata = Metadata { has_parameters: number % 2 == 0, ..metadata };
    let version = NewVersion {
        file: id,
        number,
        name,
        content,
        metadata: &metadata,
        cause: if number == 1 { Cause::Uploaded } else { Cause::Overridden },
        author: "somebody",
        author_id: "id of somebody",
        now,
        born: change,
    };
    files::insert_version(tx, &version).await?;
    end(tx, turn, name, now).await?;
    Ok(Put { id, number, change })
}

/// Deletes a name as the library does; the change's number.
async fn remove(tx: &mut Tx, name: &str, now: Timestamp) -> Result<i64, CatalogError> {
    let mut turn = audit::turn(tx).await?;
    let change = turn.number;
    let hidden = files::hide(tx, &mut turn, &name.to_lowercase(), "somebody", now).await?;
    let (id, number) = hidden.expect("it lives");
    history::end_version(tx, id, number, change, Ended::Deleted, now).await?;
    end(tx, turn, name, now).await?;
    Ok(change)
}

/// Ends a change.
async fn end(tx: &mut Tx, turn: Turn, target: &str, now: Timestamp) -> Result<(), CatalogError> {
    let change = Change { action: "test", target, before: None, after: None };
    audit::append(tx, now, &Actor::operator("test"), turn, change).await
}

/// All that lives, in the order of names.
async fn everything(catalog: &Catalog) -> Vec<LibraryFile> {
    look!(catalog, tx => files::list(tx, &page()).await).expect("a list")
}

/// A page of everything, as it is now.
fn page() -> files::Page<'static> {
    files::Page { at: None, filter: None, after: None, order: String::new(), limit: 10_000, offset: 0 }
}

/// A cell of any type; booleans as numbers, as SQLite has them.
#[derive(Debug, Clone, PartialEq)]
struct Cell(Value);

impl FromValue for Cell {
    fn from_value(value: Value) -> Result<Cell, CatalogError> {
        Ok(Cell(match value {
            Value::Bool(value) => Value::Int(value.into()),
            other => other,
        }))
    }
}

/// All cells of all rows of a statement.
async fn cells(catalog: &Catalog, sql: &str) -> Vec<Vec<Cell>> {
    let sql = sql.to_owned();
    let rows = look!(catalog, tx => tx.query(&sql, &[]).await).expect("a statement that runs");
    rows.into_iter().map(|mut row| std::iter::from_fn(|| row.take::<Cell>().ok()).collect()).collect()
}

fn text(value: &str) -> Cell {
    Cell(Value::Text(value.into()))
}

fn int(value: i64) -> Cell {
    Cell(Value::Int(value))
}

const NULL: Cell = Cell(Value::Null);

#[test]
fn every_public_function_is_in_this_suite() {
    let suite = [
        include_str!("conformance_catalog.rs"),
        include_str!("conformance_catalog/actions.rs"),
        include_str!("conformance_catalog/auditing.rs"),
        include_str!("conformance_catalog/copying.rs"),
        include_str!("conformance_catalog/expiry.rs"),
        include_str!("conformance_catalog/filters.rs"),
        include_str!("conformance_catalog/indexing.rs"),
        include_str!("conformance_catalog/kept.rs"),
        include_str!("conformance_catalog/machines.rs"),
        include_str!("conformance_catalog/opening.rs"),
        include_str!("conformance_catalog/past.rs"),
        include_str!("conformance_catalog/registry.rs"),
        include_str!("conformance_catalog/rows.rs"),
        include_str!("conformance_catalog/sealing.rs"),
        include_str!("conformance_catalog/totals.rs"),
        include_str!("conformance_catalog/transactions.rs"),
        include_str!("conformance_catalog/signing_in.rs"),
        include_str!("conformance_catalog/upgrading.rs"),
        include_str!("conformance_catalog/webhooks.rs"),
    ];
    for module in [
        "files",
        "contents",
        "history",
        "retries",
        "search",
        "clients",
        "keys",
        "audit",
        "calls",
        "checkpoints",
        "copy",
        "webhooks",
        "machines",
        "actions",
        "users",
        "sessions",
        "grants",
        "devices",
    ] {
        let functions = public_functions(&read_source(&format!("catalog/{module}.rs")));
        assert!(!functions.is_empty(), "nothing public in `{module}`?");
        let missing = functions.iter().map(|name| match name.as_str() {
            "operator" => "Actor::operator(".to_owned(),
            "has_ended" => ".has_ended(".to_owned(),
            name => format!("{module}::{name}("),
        });
        let missing: Vec<_> = missing.filter(|call| !suite.iter().any(|text| text.contains(call))).collect();
        assert!(missing.is_empty(), "not in the suite: {missing:?}");
    }
    let functions = public_functions(&read_source("catalog/value.rs"));
    assert_eq!(missing_from(&functions, &suite), Vec::<String>::new());
    let functions = public_functions(&read_source("catalog.rs"));
    assert!(functions.contains(&"snapshot".to_string()), "{functions:?}");
    assert_eq!(missing_from(&functions, &suite), Vec::<String>::new());
}
