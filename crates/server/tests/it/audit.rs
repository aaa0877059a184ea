//! The audit log from outside: read, exported, verified, and tampered with in the database.

mod reading;
mod sealing;
mod tampering;

use std::path::{Path, PathBuf};

use jumpbag_server::audit::key::check;
use jumpbag_server::catalog::Catalog;
use jumpbag_wire::audit::{AuditEntry, Verified, Verifier};
use jumpbag_wire::note::PublicKey;
use serde_json::Value;

use crate::support::install_crypto;
use crate::support::postgres::Database;
use crate::support::server::Jumpbag;

/// The database of a server, opened by somebody who goes around it.
pub async fn database(bag: &Jumpbag, postgres: Option<&Database>) -> Catalog {
    install_crypto();
    match postgres {
        Some(database) => Catalog::open_postgres(&database.url, 2).await.expect("the server's database"),
        None => {
            Catalog::open_sqlite(&bag.data_dir().join("catalog.db")).await.expect("the server's database")
        }
    }
}

/// What `audit` says, after it ended well.
pub async fn said(bag: &Jumpbag, arguments: &[&str]) -> String {
    let arguments = [&["audit"], arguments].concat();
    let (status, stdout, stderr) = bag.command(&arguments).await;
    assert!(status.success(), "`{}`: {stderr}", arguments.join(" "));
    stdout
}

/// What `audit` complains of.
pub async fn complained(bag: &Jumpbag, arguments: &[&str]) -> String {
    let arguments = [&["audit"], arguments].concat();
    let (status, stdout, stderr) = bag.command(&arguments).await;
    assert_eq!(status.code(), Some(1), "`{}`: {stdout}", arguments.join(" "));
    stderr
}

/// A file of this name beside the data.
pub fn beside(bag: &Jumpbag, name: &str) -> PathBuf {
    bag.data_dir().with_file_name(name)
}

pub fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Verifies the lines of an export.
pub fn verified(export: &str, key: &str) -> Verified {
    let mut verifier = Verifier::new(vec![PublicKey::parse(key).expect("a public key")], check);
    for line in export.lines() {
        verifier.line(line).unwrap_or_else(|fault| panic!("{fault}: {line}"));
    }
    verifier.finish().expect("nothing was kept")
}

/// The entries of an export, without its checkpoints.
pub fn entries(export: &str) -> Vec<AuditEntry> {
    let values = export.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    let entries = values.filter(|value| value.get("checkpoint").is_none());
    entries.map(|value| serde_json::from_value(value).expect("an entry")).collect()
}
