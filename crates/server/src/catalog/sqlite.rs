//! SQLite: one writer thread that groups the transactions waiting for it into one commit, and read-only
//! connections beside it. Every statement runs on the thread that owns the connection, so the futures given to
//! it never wait.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};

use futures_util::FutureExt as _;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, functions::FunctionFlags, types::ToSqlOutput, types::ValueRef,
};
use tokio::sync::{Semaphore, oneshot};

use super::value::{Row, Value};
use super::{CatalogError, Link, Tx, TxFuture};

/// Transactions that share one commit at the most: bounds how long the first waits for the last.
const GROUP: usize = 128;
const READERS: usize = 4;
/// Transactions that may wait for the writer before callers are told that the database is busy.
const WAITING: usize = 4096;

pub(super) struct Sqlite {
    file: PathBuf,
    /// Gone only while this is dropped.
    jobs: Option<mpsc::SyncSender<Box<dyn Job>>>,
    writer: Option<std::thread::JoinHandle<()>>,
    /// For short reads.
    brief: Mutex<Option<Tx>>,
    readers: Arc<Readers>,
}

impl Drop for Sqlite {
    /// The last connection to close puts the write-ahead log into the main file: that must be the writer's.
    fn drop(&mut self) {
        self.brief.lock().unwrap_or_else(|e| e.into_inner()).take();
        self.readers.idle.lock().unwrap_or_else(|e| e.into_inner()).clear();
        drop(self.jobs.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

struct Readers {
    idle: Mutex<Vec<Tx>>,
    permits: Semaphore,
}

/// One transaction on its way through the writer.
trait Job: Send {
    /// Runs in a savepoint; whether its effects stay.
    fn run(&mut self, tx: &mut Tx) -> bool;
    /// Tells the caller; `failure` is why the whole group was lost.
    fn finish(self: Box<Self>, failure: Option<CatalogError>);
}

struct Work<T, E, F> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    answer: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Job for Work<T, E, F>
where
    T: Send,
    E: From<CatalogError> + Send,
    F: for<'a> FnOnce(&'a mut Tx) -> TxFuture<'a, T, E> + Send,
{
    fn run(&mut self, tx: &mut Tx) -> bool {
        self.result = self.work.take().map(|work| {
            let result = at_once(work(tx));
            tx.settle(result)
        });
        matches!(self.result, Some(Ok(_)))
    }

    fn finish(self: Box<Self>, failure: Option<CatalogError>) {
        let outcome = match (failure, self.result) {
            (_, Some(Err(refused))) => Err(refused),
            (Some(failure), _) => Err(failure.into()),
            (None, Some(done)) => done,
            (None, None) => Err(CatalogError::Failed("transaction panicked".into()).into()),
        };
        // Nobody may be waiting any more: the transaction stands all the same.
        let _ = self.answer.send(outcome);
    }
}

impl Sqlite {
    pub(super) fn open(file: &Path) -> Result<Sqlite, CatalogError> {
        create_private(file)?;
        let writer = connect(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        writer
            .execute_batch(
                // What is purged is overwritten, not only forgotten.
                "pragma journal_mode = wal; pragma synchronous = full; pragma wal_autocheckpoint = 4000; \
                 pragma secure_delete = on",
            )
            .map_err(error)?;
        let idle = (0..READERS).map(|_| reader(file)).collect::<Result<_, _>>()?;
        let (jobs, queue) = mpsc::sync_channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || serve(Tx::new(Link::Sqlite(writer)), &queue))
            .map_err(|source| CatalogError::Failed(source.into()))?;
        let readers = Arc::new(Readers { idle: Mutex::new(idle), permits: Semaphore::new(READERS) });
        let brief = Mutex::new(Some(reader(file)?));
        Ok(Sqlite { brief, file: file.to_owned(), jobs: Some(jobs), writer: Some(thread), readers })
    }

    /// A connection for reading that is nobody else's.
    pub(super) fn connection(&self) -> Result<Tx, CatalogError> {
        reader(&self.file)
    }

    pub(super) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
        F: for<'a> FnOnce(&'a mut Tx) -> TxFuture<'a, T, E> + Send + 'static,
    {
        let (answer, outcome) = oneshot::channel();
        let job = Box::new(Work { work: Some(work), result: None, answer });
        let queued = self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(job).is_ok());
        if !queued {
            return Err(CatalogError::Busy("too many writes are waiting".into()).into());
        }
        outcome.await.unwrap_or_else(|_| Err(E::from(CatalogError::Failed("writer thread ended".into()))))
    }

    /// On the calling thread: a short statement takes less time than handing it to another.
    pub(super) fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        E: From<CatalogError>,
        F: for<'a> FnOnce(&'a mut Tx) -> TxFuture<'a, T, E>,
    {
        let mut tx = self.brief.lock().unwrap_or_else(|e| e.into_inner());
        match &mut *tx {
            Some(tx) => catch_unwind(AssertUnwindSafe(|| at_once(work(tx))))
                .unwrap_or_else(|_| Err(CatalogError::Failed("read panicked".into()).into())),
            None => Err(CatalogError::Failed("the database is closing".into()).into()),
        }
    }

    pub(super) async fn snapshot<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
        F: for<'a> FnOnce(&'a mut Tx) -> TxFuture<'a, T, E> + Send + 'static,
    {
        self.on_reader(move |tx| {
            batch(tx, "begin")?;
            let result = at_once(work(tx));
            batch(tx, "rollback")?;
            result
        })
        .await
    }

    async fn on_reader<T, E>(
        &self,
        work: impl FnOnce(&mut Tx) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let failed = |source: super::BoxError| E::from(CatalogError::Failed(source));
        let task = async move {
            let _permit = readers.permits.acquire().await.map_err(|e| failed(e.into()))?;
            let shared = Arc::clone(&readers);
            tokio::task::spawn_blocking(move || {
                let taken = shared.idle.lock().unwrap_or_else(|e| e.into_inner()).pop();
                let Some(mut tx) = taken else {
                    return Err(E::from(CatalogError::Failed("no idle reader".into())));
                };
                let result = catch_unwind(AssertUnwindSafe(|| work(&mut tx)));
                if in_transaction(&tx) {
                    // A snapshot's work panicked.
                    let _ = batch(&mut tx, "rollback");
                }
                shared.idle.lock().unwrap_or_else(|e| e.into_inner()).push(tx);
                result.unwrap_or_else(|_| Err(E::from(CatalogError::Failed("read panicked".into()))))
            })
            .await
            .unwrap_or_else(|e| Err(E::from(CatalogError::Failed(e.into()))))
        };
        task.await
    }
}

/// Futures over SQLite never wait: one poll ends them.
fn at_once<T, E: From<CatalogError>>(work: TxFuture<'_, T, E>) -> Result<T, E> {
    work.now_or_never()
        .unwrap_or_else(|| Err(E::from(CatalogError::Failed("transaction waited for something else".into()))))
}

fn serve(mut tx: Tx, queue: &mpsc::Receiver<Box<dyn Job>>) {
    while let Ok(first) = queue.recv() {
        let mut group = vec![first];
        let failure = match batch(&mut tx, "begin immediate") {
            Ok(()) => run_group(&mut tx, &mut group, queue).and_then(|()| batch(&mut tx, "commit")).err(),
            Err(failure) => Some(failure),
        };
        if failure.is_some() && in_transaction(&tx) {
            let _ = batch(&mut tx, "rollback");
        }
        for job in group {
            job.finish(failure.as_ref().map(repeat));
        }
    }
}

/// Runs the jobs that wait, each in a savepoint; an error means that nothing of the group stands.
fn run_group(
    tx: &mut Tx,
    group: &mut Vec<Box<dyn Job>>,
    queue: &mpsc::Receiver<Box<dyn Job>>,
) -> Result<(), CatalogError> {
    let mut next = 0;
    while let Some(job) = group.get_mut(next) {
        run(tx, "savepoint job")?;
        let keep = catch_unwind(AssertUnwindSafe(|| job.run(tx))).unwrap_or(false);
        tx.failed = false;
        if !in_transaction(tx) {
            // A full disk makes SQLite end the transaction by itself.
            return Err(CatalogError::Full("the database ended the transaction".into()));
        }
        batch(tx, if keep { "release job" } else { "rollback to job; release job" })?;
        next += 1;
        if next == group.len() && next < GROUP {
            group.extend(queue.try_recv().ok());
        }
    }
    Ok(())
}

fn in_transaction(tx: &Tx) -> bool {
    match &tx.link {
        Link::Sqlite(connection) => !connection.is_autocommit(),
        Link::Postgres(_) => false,
    }
}

/// One statement without parameters, prepared once.
fn run(tx: &mut Tx, sql: &str) -> Result<(), CatalogError> {
    match &tx.link {
        Link::Sqlite(connection) => execute(connection, sql, &[]).map(|_| ()),
        Link::Postgres(_) => Ok(()),
    }
}

fn batch(tx: &mut Tx, sql: &str) -> Result<(), CatalogError> {
    match &tx.link {
        Link::Sqlite(connection) => connection.execute_batch(sql).map_err(error),
        Link::Postgres(_) => Ok(()),
    }
}

/// The same failure for every caller of a group.
fn repeat(failure: &CatalogError) -> CatalogError {
    let text = chain(failure);
    match failure {
        CatalogError::Busy(_) => CatalogError::Busy(text.into()),
        CatalogError::Full(_) => CatalogError::Full(text.into()),
        CatalogError::Unreachable(_) => CatalogError::Unreachable(text.into()),
        _ => CatalogError::Failed(text.into()),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", chain(source)))
}

/// SQLite gives its other files the permissions of the main one.
fn create_private(file: &Path) -> Result<(), CatalogError> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(file)
        .map(|_| ())
        .map_err(|source| CatalogError::Failed(format!("cannot open `{}`: {source}", file.display()).into()))
}

fn reader(file: &Path) -> Result<Tx, CatalogError> {
    Ok(Tx::new(Link::Sqlite(connect(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?)))
}

fn connect(file: &Path, access: OpenFlags) -> Result<Connection, CatalogError> {
    let connection =
        Connection::open_with_flags(file, access | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(error)?;
    connection
        .execute_batch("pragma busy_timeout = 5000; pragma foreign_keys = on; pragma trusted_schema = off")
        .map_err(error)?;
    connection.set_prepared_statement_cache_capacity(128);
    // What PostgreSQL calls the order of code points, for text that is made in a statement.
    connection.create_collation("C", |one, other| one.cmp(other)).map_err(error)?;
    connection
        .create_scalar_function(
            "strpos",
            2,
            FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_UTF8,
            |context| {
                let (text, part) = (context.get_raw(0), context.get_raw(1));
                let (ValueRef::Text(text), ValueRef::Text(part)) = (text, part) else {
                    return Ok(None);
                };
                // Characters, not bytes, as PostgreSQL counts: every byte but those that continue one begins one.
                let begins = |bytes: &[u8]| bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count() as i64;
                Ok(Some(memchr::memmem::find(text, part).map_or(0, |at| begins(&text[..at]) + 1)))
            },
        )
        .map_err(error)?;
    Ok(connection)
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Int(value) => ValueRef::Integer(*value),
            Value::Bool(value) => ValueRef::Integer((*value).into()),
            Value::Text(value) => ValueRef::Text(value.as_bytes()),
            Value::Bytes(value) => ValueRef::Blob(value),
        }))
    }
}

/// `$1` is a named parameter to SQLite; `?1` is the numbered one that PostgreSQL means by it. No statement has
/// a `$` elsewhere.
fn numbered(sql: &str) -> String {
    sql.replace('$', "?")
}

pub(super) fn query(connection: &Connection, sql: &str, params: &[Value]) -> Result<Vec<Row>, CatalogError> {
    let mut statement = connection.prepare_cached(&numbered(sql)).map_err(error)?;
    let columns = statement.column_count();
    let mut rows = statement.query(rusqlite::params_from_iter(params)).map_err(error)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(error)? {
        let mut cells = Vec::with_capacity(columns);
        for column in 0..columns {
            cells.push(match row.get_ref(column).map_err(error)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(value) => Value::Int(value),
                ValueRef::Real(_) => return Err(CatalogError::Shape("a floating point cell".into())),
                ValueRef::Text(text) => Value::Text(
                    String::from_utf8(text.to_vec())
                        .map_err(|_| CatalogError::Shape("text is not UTF-8".into()))?,
                ),
                ValueRef::Blob(bytes) => Value::Bytes(bytes::Bytes::copy_from_slice(bytes)),
            });
        }
        found.push(Row::new(cells));
    }
    Ok(found)
}

pub(super) fn execute(connection: &Connection, sql: &str, params: &[Value]) -> Result<u64, CatalogError> {
    let mut statement = connection.prepare_cached(&numbered(sql)).map_err(error)?;
    statement.execute(rusqlite::params_from_iter(params)).map(|rows| rows as u64).map_err(error)
}

pub(super) fn error(source: rusqlite::Error) -> CatalogError {
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => CatalogError::Busy(source.into()),
        Some(ErrorCode::DiskFull) => CatalogError::Full(source.into()),
        Some(ErrorCode::ConstraintViolation) => CatalogError::Constraint(source.into()),
        Some(ErrorCode::CannotOpen) => CatalogError::Unreachable(source.into()),
        _ => CatalogError::Failed(source.into()),
    }
}
