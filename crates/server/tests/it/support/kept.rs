//! The ways in which a library can be kept, for stories that must be the same in all of them.

use super::postgres::{Database, postgres_database};
use super::server::{Jumpbag, Options};

/// A server's options, and what they are called when a test fails.
pub struct Kept {
    pub on: &'static str,
    pub options: Options,
    _database: Option<Database>,
}

/// Everything in SQLite; in SQLite with every content a blob; in PostgreSQL. Nobody's calls are counted.
pub async fn everywhere() -> [Kept; 3] {
    let options = Jumpbag::options().set("rate_limits", false);
    let database = postgres_database().await;
    let on_postgres = options.clone().set("database_url", &database.url);
    [
        Kept { on: "SQLite", options: options.clone(), _database: None },
        Kept { on: "blobs", options: options.set("small_file_bytes", 0), _database: None },
        Kept { on: "PostgreSQL", options: on_postgres, _database: Some(database) },
    ]
}

/// As [`everywhere`], without the blobs.
pub async fn on_either_database() -> [Kept; 2] {
    let [sqlite, _, postgres] = everywhere().await;
    [sqlite, postgres]
}
