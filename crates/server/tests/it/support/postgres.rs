//! PostgreSQL: one cluster for all tests, a database of its own for each.

use std::time::Duration;

use tokio_postgres::NoTls;

use super::shared::shared_server;

/// An empty database. Dropping this drops it, whoever is still connected.
pub struct Database {
    /// What `database_url` takes.
    pub url: String,
    name: String,
    cluster: String,
}

/// A fresh, empty database on the shared cluster.
pub async fn postgres_database() -> Database {
    let cluster = shared_server("postgres").await.url;
    let name = super::unique("test").replace('-', "_");
    execute(&cluster, &format!("create database {name}")).await.expect("create a database");
    let url = format!("{}/{name}", cluster.strip_suffix("/postgres").expect("the cluster's own database"));
    Database { url, name, cluster }
}

async fn execute(url: &str, statement: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);
    let done = client.batch_execute(statement).await;
    connection.abort();
    done
}

impl Drop for Database {
    fn drop(&mut self) {
        let (cluster, statement) =
            (self.cluster.clone(), format!("drop database {} with (force)", self.name));
        // The test's own runtime may be shutting down.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let dropped = runtime.block_on(async {
                tokio::time::timeout(Duration::from_secs(10), execute(&cluster, &statement)).await
            });
            dropped?.map_err(std::io::Error::other)
        });
        if let Ok(Err(error)) = dropping.join() {
            eprintln!("the database `{}` stays behind: {error}", self.name);
        }
    }
}
