//! The catalog: everything jumpbag remembers but the large bytes, in SQLite or PostgreSQL, with one SQL text.
//! It knows no rules: it says no only by constraint. Every write runs in one transaction that is durable when
//! `write` returns.

pub mod actions;
pub mod audit;
pub mod calls;
pub mod checkpoints;
pub mod clients;
pub mod contents;
pub mod copy;
pub mod devices;
pub mod external_sessions;
pub mod files;
pub mod grants;
pub mod history;
pub mod keys;
pub mod machines;
mod migrate;
mod postgres;
pub mod retries;
pub mod search;
pub mod sessions;
pub mod setup;
mod sqlite;
pub mod users;
pub mod value;
pub mod webhooks;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use tokio::sync::watch;
use value::{Row, Value};

/// Under which name the PostgreSQL driver logs, notices of the server among it.
pub const LOG_TARGET: &str = "tokio_postgres";

/// What a closure given to [`Catalog::write`] returns.
pub type TxFuture<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error("database is locked by another process or overloaded")]
    Busy(#[source] BoxError),
    #[error("database cannot be reached")]
    Unreachable(#[source] BoxError),
    #[error("no space left for the database")]
    Full(#[source] BoxError),
    #[error("constraint violated")]
    Constraint(#[source] BoxError),
    #[error("database failed")]
    Failed(#[source] BoxError),
    /// A statement and the code that reads its rows disagree, or a stored value makes no sense.
    #[error("unexpected row: {0}")]
    Shape(String),
    #[error("{0}")]
    Migration(String),
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A handle on the database. Cheap to share behind an `Arc`.
pub struct Catalog {
    backend: Backend,
    /// Counts the transactions that were committed through this handle.
    written: watch::Sender<u64>,
}

enum Backend {
    Sqlite(Box<sqlite::Sqlite>),
    Postgres(postgres::Postgres),
}

/// One open transaction, or one connection for reading.
pub struct Tx {
    link: Link,
    /// A statement failed: what came before it can only be taken back.
    failed: bool,
}

enum Link {
    Sqlite(rusqlite::Connection),
    Postgres(deadpool_postgres::Object),
}

impl Catalog {
    /// Opens or creates the SQLite database in `file` and brings its tables up to date.
    pub async fn open_sqlite(file: &Path) -> Result<Catalog, CatalogError> {
        let catalog = Catalog::over(Backend::Sqlite(Box::new(sqlite::Sqlite::open(file)?)));
        catalog.migrate().await?;
        Ok(catalog)
    }

    /// Connects to PostgreSQL (`postgres://…`) and brings its tables up to date.
    pub async fn open_postgres(url: &str, connections: usize) -> Result<Catalog, CatalogError> {
        let catalog = Catalog::over(Backend::Postgres(postgres::Postgres::open(url, connections).await?));
        catalog.migrate().await?;
        Ok(catalog)
    }

    fn over(backend: Backend) -> Catalog {
        Catalog { backend, written: watch::Sender::new(0) }
    }

    /// Tells of every transaction that is committed through this handle from now on.
    pub fn written(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    pub fn is_shared(&self) -> bool {
        matches!(self.backend, Backend::Postgres(_))
    }

    /// Runs `work` in a transaction: committed and durable when it returns `Ok`, without effect when it returns
    /// `Err`. The work goes on to its end when the caller stops waiting.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
        F: for<'a> FnOnce(&'a mut Tx) -> TxFuture<'a, T, E> + Send + 'static,
    {
        let outcome = match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.write(work).await,
            Backend::Postgres(postgres) => postgres.transaction(postgres::Begin::Write, work).await,
        };
        if outcome.is_ok() {
            self.written.send_modify(|count| *count = count.wrapping_add(1));
        }
        outcome
    }

    /// Runs a few short statements, each of which sees the newest committed state. What reads more than a few
    /// rows is a [`Catalog::snapshot`].
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
        F: for<'a> FnOnce(&'a mut Tx) -> TxFuture<'a, T, E> + Send + 'static,
    {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.read(work),
            Backend::Postgres(postgres) => postgres.read(work).await,
        }
    }

    /// Runs `work` with all its statements seeing one state of the database.
    pub async fn snapshot<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
        F: for<'a> FnOnce(&'a mut Tx) -> TxFuture<'a, T, E> + Send + 'static,
    {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.snapshot(work).await,
            Backend::Postgres(postgres) => postgres.transaction(postgres::Begin::Snapshot, work).await,
        }
    }

    /// The database as it is now, for reading over a longer time.
    async fn freeze(&self) -> Result<Frozen, CatalogError> {
        let mut tx = match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.connection()?,
            Backend::Postgres(postgres) => Tx::new(Link::Postgres(postgres.connection().await?)),
        };
        let begin = if self.is_shared() { postgres::SNAPSHOT } else { "begin; select change from tenant" };
        tx.script(begin).await?;
        Ok(Frozen { tx: Some(tx) })
    }

    /// Asks the database for one row: an error when it cannot answer.
    pub async fn ping(&self) -> Result<(), CatalogError> {
        self.read(|tx| Box::pin(async move { audit::last_change(tx).await.map(|_| ()) })).await
    }

    async fn migrate(&self) -> Result<(), CatalogError> {
        let shared = self.is_shared();
        self.write(move |tx| Box::pin(migrate::run(tx, shared))).await
    }
}

/// One state of the database, held while it is read in many steps.
struct Frozen {
    tx: Option<Tx>,
}

impl Frozen {
    async fn query(&mut self, sql: String, params: Vec<Value>) -> Result<Vec<Vec<Value>>, CatalogError> {
        let Some(mut tx) = self.tx.take() else {
            return Err(CatalogError::Failed("an earlier statement of this snapshot failed".into()));
        };
        let (tx, rows) = if let Link::Sqlite(_) = tx.link {
            tokio::task::spawn_blocking(move || {
                let rows = match &tx.link {
                    Link::Sqlite(connection) => sqlite::query(connection, &sql, &params),
                    Link::Postgres(_) => Ok(Vec::new()),
                };
                (tx, rows)
            })
            .await
            .map_err(|e| CatalogError::Failed(e.into()))?
        } else {
            let rows = tx.query(&sql, &params).await;
            (tx, rows)
        };
        self.tx = Some(tx);
        Ok(rows?.into_iter().map(Row::into_cells).collect())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // A connection in an open transaction does not go back to the pool.
        if let Some(Tx { link: Link::Postgres(client), .. }) = self.tx.take() {
            drop(deadpool_postgres::Object::take(client));
        }
    }
}

impl Tx {
    fn new(link: Link) -> Tx {
        Tx { link, failed: false }
    }

    /// What the work on a transaction comes to: work that goes on after a failed statement is not committed.
    /// PostgreSQL would take the commit for a rollback without a word.
    fn settle<T, E: From<CatalogError>>(&mut self, result: Result<T, E>) -> Result<T, E> {
        match std::mem::take(&mut self.failed) {
            true => result.and_then(|_| {
                let why = "a statement failed and the work went on: it is taken back";
                Err(E::from(CatalogError::Failed(why.into())))
            }),
            false => result,
        }
    }

    /// All rows of a statement. Parameters are `$1`, `$2`, … in both databases.
    pub async fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>, CatalogError> {
        let rows = match &mut self.link {
            Link::Sqlite(connection) => sqlite::query(connection, sql, params),
            Link::Postgres(client) => postgres::query(client, sql, params).await,
        };
        self.failed |= rows.is_err();
        rows
    }

    /// The first row of a statement, if there is one.
    pub async fn first(&mut self, sql: &str, params: &[Value]) -> Result<Option<Row>, CatalogError> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// The first row of a statement that always has one.
    pub async fn one(&mut self, sql: &str, params: &[Value]) -> Result<Row, CatalogError> {
        self.first(sql, params).await?.ok_or_else(|| CatalogError::Shape(format!("no row for `{sql}`")))
    }

    /// Runs a statement; how many rows it changed.
    pub async fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, CatalogError> {
        let changed = match &mut self.link {
            Link::Sqlite(connection) => sqlite::execute(connection, sql, params),
            Link::Postgres(client) => postgres::execute(client, sql, params).await,
        };
        self.failed |= changed.is_err();
        changed
    }

    fn is_postgres(&self) -> bool {
        matches!(self.link, Link::Postgres(_))
    }

    /// Waits until no other transaction holds the lock of this name; it ends with the transaction. SQLite has one
    /// writer, so nothing needs to be locked there.
    pub async fn lock(&mut self, name: &str) -> Result<(), CatalogError> {
        if self.is_postgres() {
            self.query("select 1 from pg_advisory_xact_lock(hashtextextended($1, 0))", &[name.into()])
                .await?;
        }
        Ok(())
    }

    async fn script(&mut self, sql: &str) -> Result<(), CatalogError> {
        match &mut self.link {
            Link::Sqlite(connection) => connection.execute_batch(sql).map_err(sqlite::error),
            Link::Postgres(client) => client.batch_execute(sql).await.map_err(postgres::error),
        }
    }
}
