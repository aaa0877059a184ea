//! PostgreSQL: a pool of connections. Every transaction runs in a task of its own, so that one whose caller
//! went away still ends in commit or rollback.

use std::error::Error as _;
use std::panic::AssertUnwindSafe;

use bytes::BytesMut;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Timeouts};
use futures_util::FutureExt as _;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type};

use super::value::{Row, Value};
use super::{CatalogError, Link, Tx, TxFuture};

/// How long a call waits for a free connection, and for a new one to be made.
const WAIT: std::time::Duration = std::time::Duration::from_secs(5);

/// Prepared statements that one connection keeps.
const STATEMENTS: usize = 256;

pub(super) struct Postgres {
    pool: Pool,
}

/// Every statement that follows sees the same state.
pub(super) const SNAPSHOT: &str = "begin isolation level repeatable read read only";

#[derive(Clone, Copy)]
pub(super) enum Begin {
    Write,
    Snapshot,
}

impl Postgres {
    pub(super) async fn open(url: &str, connections: usize) -> Result<Postgres, CatalogError> {
        let mut config: tokio_postgres::Config = url.parse().map_err(|e: tokio_postgres::Error| {
            CatalogError::Failed(format!("`database_url` is not a PostgreSQL address: {e}").into())
        })?;
        config
            .application_name("jumpbag")
            .connect_timeout(WAIT)
            .keepalives_idle(std::time::Duration::from_secs(30));
        let manager = Manager::from_config(
            config,
            tokio_postgres_rustls::MakeRustlsConnect::new(client_tls()?),
            ManagerConfig { recycling_method: RecyclingMethod::Verified },
        );
        let pool = Pool::builder(manager)
            .max_size(connections)
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .timeouts(Timeouts { wait: Some(WAIT), create: Some(WAIT), recycle: Some(WAIT) })
            .build()
            .map_err(|e| CatalogError::Failed(e.into()))?;
        Ok(Postgres { pool })
    }

    pub(super) async fn connection(&self) -> Result<Object, CatalogError> {
        self.pool.get().await.map_err(|source| match source {
            deadpool_postgres::PoolError::Timeout(deadpool_postgres::TimeoutType::Wait) => {
                CatalogError::Busy("all connections are in use".into())
            }
            other => CatalogError::Unreachable(other.into()),
        })
    }

    pub(super) async fn transaction<T, E, F>(&self, begin: Begin, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
        F: for<'a> FnOnce(&'a mut Tx) -> TxFuture<'a, T, E> + Send + 'static,
    {
        let connection = self.connection().await?;
        let task = tokio::spawn(async move {
            connection
                .batch_execute(match begin {
                    Begin::Write => "begin",
                    Begin::Snapshot => SNAPSHOT,
                })
                .await
                .map_err(error)?;
            let mut tx = Tx::new(Link::Postgres(connection));
            let result = caught(work(&mut tx)).await;
            let result = tx.settle(result);
            let Link::Postgres(connection) = tx.link else {
                return Err(E::from(CatalogError::Failed("connection was exchanged".into())));
            };
            let end = if result.is_ok() { "commit" } else { "rollback" };
            if let Err(source) = connection.batch_execute(end).await {
                // The connection's state is unknown: it leaves the pool.
                drop(Object::take(connection));
                return Err(result.err().unwrap_or_else(|| E::from(error(source))));
            }
            result
        });
        task.await.unwrap_or_else(|e| Err(E::from(CatalogError::Failed(e.into()))))
    }

    pub(super) async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
        F: for<'a> FnOnce(&'a mut Tx) -> TxFuture<'a, T, E> + Send + 'static,
    {
        let mut tx = Tx::new(Link::Postgres(self.connection().await?));
        caught(work(&mut tx)).await
    }
}

/// A panic in somebody's work must not put a connection back into the pool in the middle of a transaction.
async fn caught<T, E: From<CatalogError>>(work: TxFuture<'_, T, E>) -> Result<T, E> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(E::from(CatalogError::Failed("transaction panicked".into()))))
}

/// Used when the address asks for it (`sslmode=require`); certificates are checked against the system's roots.
fn client_tls() -> Result<rustls::ClientConfig, CatalogError> {
    use rustls_platform_verifier::ConfigVerifierExt as _;
    rustls::ClientConfig::with_platform_verifier().map_err(|e| CatalogError::Failed(e.into()))
}

impl ToSql for Value {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            // A copy out of SQLite, which has no Booleans.
            Value::Int(value) if *ty == Type::BOOL => (*value != 0).to_sql(ty, out),
            Value::Int(value) => value.to_sql(ty, out),
            Value::Bool(value) => value.to_sql(ty, out),
            Value::Text(value) => value.to_sql(ty, out),
            Value::Bytes(value) => value.as_ref().to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let fits = match self {
            Value::Null => true,
            Value::Int(0 | 1) => *ty == Type::INT8 || *ty == Type::BOOL,
            Value::Int(_) => *ty == Type::INT8,
            Value::Bool(_) => *ty == Type::BOOL,
            Value::Text(_) => *ty == Type::TEXT || *ty == Type::VARCHAR,
            Value::Bytes(_) => *ty == Type::BYTEA,
        };
        if fits { self.to_sql(ty, out) } else { Err(format!("{self:?} given where {ty} is expected").into()) }
    }
}

fn references(params: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

/// Statements are kept for the next time, but not more than the callers' filters may make of them.
async fn prepare(client: &Object, sql: &str) -> Result<tokio_postgres::Statement, CatalogError> {
    if client.statement_cache.size() >= STATEMENTS {
        client.statement_cache.clear();
    }
    client.prepare_cached(sql).await.map_err(error)
}

pub(super) async fn query(client: &Object, sql: &str, params: &[Value]) -> Result<Vec<Row>, CatalogError> {
    let statement = prepare(client, sql).await?;
    let rows = client.query(&statement, &references(params)).await.map_err(error)?;
    rows.iter().map(cells).collect()
}

pub(super) async fn execute(client: &Object, sql: &str, params: &[Value]) -> Result<u64, CatalogError> {
    let statement = prepare(client, sql).await?;
    client.execute(&statement, &references(params)).await.map_err(error)
}

fn cells(row: &tokio_postgres::Row) -> Result<Row, CatalogError> {
    let mut cells = Vec::with_capacity(row.len());
    for (index, column) in row.columns().iter().enumerate() {
        let cell = match *column.type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(index).map(Value::from),
            Type::INT4 => row.try_get::<_, Option<i32>>(index).map(|value| value.map(i64::from).into()),
            Type::BOOL => row.try_get::<_, Option<bool>>(index).map(Value::from),
            Type::TEXT | Type::VARCHAR => row.try_get::<_, Option<String>>(index).map(Value::from),
            Type::BYTEA => {
                row.try_get::<_, Option<Vec<u8>>>(index).map(|value| value.map(bytes::Bytes::from).into())
            }
            ref other => return Err(CatalogError::Shape(format!("column type {other}"))),
        };
        cells.push(cell.map_err(error)?);
    }
    Ok(Row::new(cells))
}

pub(super) fn error(source: tokio_postgres::Error) -> CatalogError {
    if source.is_closed() || source.source().is_some_and(|inner| inner.is::<std::io::Error>()) {
        return CatalogError::Unreachable(source.into());
    }
    let Some(code) = source.code().cloned() else {
        return CatalogError::Failed(source.into());
    };
    match code {
        SqlState::DISK_FULL | SqlState::OUT_OF_MEMORY => CatalogError::Full(source.into()),
        SqlState::LOCK_NOT_AVAILABLE
        | SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::T_R_SERIALIZATION_FAILURE
        | SqlState::TOO_MANY_CONNECTIONS => CatalogError::Busy(source.into()),
        SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::CANNOT_CONNECT_NOW => {
            CatalogError::Unreachable(source.into())
        }
        other if other.code().starts_with("23") => CatalogError::Constraint(source.into()),
        _ => CatalogError::Failed(source.into()),
    }
}
