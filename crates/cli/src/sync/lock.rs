//! `library.lock`: how each file was on each server when folder and library last were alike. It is what tells a change
//! made here from one made there.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::client::Entry;
use crate::failure::Failure;
use crate::folder::write_whole;

/// The lock file, and one server's part of it.
pub struct Lock {
    path: PathBuf,
    server: String,
    all: Servers,
    /// When it was written last in this run.
    written: Option<Instant>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Servers {
    #[serde(default)]
    servers: BTreeMap<String, Files>,
}

#[derive(Default, PartialEq, Eq, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Files {
    #[serde(default)]
    files: BTreeMap<String, Locked>,
}

/// A file as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    pub sha256: String,
    /// A digest of all that was said about it.
    described: String,
}

const HEAD: &str = "# Written by `jumpbag sync`: how the files were when this folder and the library last were alike.\n\
                    # Do not edit it. Without it a change made on the server cannot be told from one made here.\n\n";

/// How much of a run may be forgotten when it is killed; writing costs some milliseconds.
const EVERY: Duration = Duration::from_millis(500);

impl Lock {
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(path: &Path, server: &str) -> Result<Lock, Failure> {
        let all = match crate::folder::text(path)? {
            Some(text) => toml::from_str(&text).map_err(|e| {
                let why = crate::folder::toml_failure(path, &text, &e);
                Failure::Here(format!("{why}\nTake it from your version control again, or remove it"))
            })?,
            None => Servers::default(),
        };
        Ok(Lock { path: path.to_path_buf(), server: server.to_owned(), all, written: None })
    }

    fn files(&self) -> Option<&BTreeMap<String, Locked>> {
        self.all.servers.get(&self.server).map(|server| &server.files)
    }

    /// Whether folder and this library ever were alike.
    pub fn is_known(&self) -> bool {
        self.files().is_some_and(|files| !files.is_empty())
    }

    pub fn get(&self, name: &str) -> Option<&Locked> {
        self.files()?.get(&name.to_lowercase())
    }

    /// Here and there are alike.
    pub fn agree(&mut self, entry: &Entry) {
        let files = &mut self.all.servers.entry(self.server.clone()).or_default().files;
        files.insert(
            entry.file_name.to_lowercase(),
            Locked { sha256: entry.sha256.clone(), described: described(entry) },
        );
    }

    /// The file is neither here nor there.
    pub fn forget(&mut self, name: &str) {
        if let Some(server) = self.all.servers.get_mut(&self.server) {
            server.files.remove(&name.to_lowercase());
        }
    }

    /// Files that were alike once.
    pub fn names(&self) -> Vec<String> {
        self.files().map(|files| files.keys().cloned().collect()).unwrap_or_default()
    }

    /// Writes it now and then: after a run that was killed, what it did is not taken for somebody else's.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_in_passing(&mut self) -> Result<(), Failure> {
        if self.written.is_some_and(|written| written.elapsed() < EVERY) {
            return Ok(());
        }
        self.write()?;
        self.written = Some(Instant::now());
        Ok(())
    }

    /// Writes it, if anything has changed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self) -> Result<(), Failure> {
        let text =
            toml::to_string(&self.all).map_err(|e| Failure::Here(format!("cannot write the lock: {e}")))?;
        let text = format!("{HEAD}{text}");
        if std::fs::read_to_string(&self.path).is_ok_and(|before| before == text) {
            return Ok(());
        }
        write_whole(&self.path, |file| file.write_all(text.as_bytes()))
    }
}

impl Locked {
    /// Whether the file on the server is still the one that it was.
    pub fn is(&self, entry: &Entry) -> bool {
        self.sha256 == entry.sha256 && self.described == described(entry)
    }
}

fn described(entry: &Entry) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let parts = [
        text(&entry.description),
        text(&entry.parameters_description),
        entry.has_parameters.to_string(),
        entry.tags.join("\n"),
        entry.platforms.join("\n"),
        text(&entry.category),
        text(&entry.instructions),
    ];
    let digest = parts.iter().fold(Sha256::new(), |digest, part| digest.chain_update(part).chain_update([0]));
    jumpbag_wire::hex::hex(&digest.finalize()[..16])
}
