//! The file of profiles, and the one of tokens beside it: only their owner can read them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Profile, secrets};
use crate::failure::Failure;
use crate::folder::toml_failure;

/// All profiles, and which of them is in use.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    #[serde(default)]
    profiles: BTreeMap<String, Profile>,
}

impl Store {
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read() -> Result<Store, Failure> {
        let path = file("profiles.toml")?;
        match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|e| toml_failure(&path, &text, &e)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Store::default()),
            Err(e) => Err(Failure::file("read", &path, &e)),
        }
    }

    /// The profile of this name, else the one in use, with its name.
    ///
    /// # Errors
    /// When there is none.
    pub fn profile(&self, name: Option<&str>) -> Result<(String, Profile), Failure> {
        let Some(name) = name.or(self.current.as_deref()) else {
            return Err(Failure::Usage(
                "nobody has signed in: `jumpbag login --help` says how, or set JUMPBAG_URL and the like"
                    .into(),
            ));
        };
        let profile = self.profiles.get(name).ok_or_else(|| {
            let names: Vec<_> = self.profiles.keys().map(|name| format!("`{name}`")).collect();
            let there = if names.is_empty() {
                "there is none".into()
            } else {
                format!("there are {}", names.join(", "))
            };
            Failure::Usage(format!("no profile is called `{name}`; {there}"))
        })?;
        Ok((name.to_owned(), profile.clone()))
    }

    /// Changes the file.
    fn change(change: impl FnOnce(&mut Store) -> Result<(), Failure>) -> Result<(), Failure> {
        let turn = Turn::take()?;
        let mut store = Store::read()?;
        change(&mut store)?;
        let text =
            toml::to_string(&store).map_err(|e| Failure::Here(format!("cannot write profiles: {e}")))?;
        turn.write("profiles.toml", text.as_bytes())
    }

    /// Keeps a profile and leaves alone which one is in use.
    pub fn keep(name: &str, profile: Profile) -> Result<(), Failure> {
        Store::change(|store| store.insert(name, profile))
    }

    /// Keeps a profile, which is the one in use from now on.
    pub fn sign_in(name: &str, profile: Profile) -> Result<(), Failure> {
        Store::change(|store| {
            store.current = Some(name.to_owned());
            store.insert(name, profile)
        })
    }

    fn insert(&mut self, name: &str, mut profile: Profile) -> Result<(), Failure> {
        if profile.keyring {
            profile.proof = secrets::put_away(name, profile.proof)?;
        }
        self.profiles.insert(name.to_owned(), profile);
        Ok(())
    }

    /// Forgets a profile and its secret.
    pub fn sign_out(name: &str) -> Result<(), Failure> {
        Store::change(|store| {
            if let Some(profile) = store.profiles.remove(name)
                && profile.keyring
            {
                secrets::forget(name)?;
            }
            if store.current.as_deref() == Some(name) {
                store.current = store.profiles.keys().next().cloned();
            }
            Ok(())
        })
    }

    /// Where a file of the user's own lies.
    ///
    /// # Errors
    /// When the environment does not say where that is.
    pub fn file(name: &str) -> Result<PathBuf, Failure> {
        file(name)
    }
}

fn file(name: &str) -> Result<PathBuf, Failure> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = if let Some(own) = set("JUMPBAG_CONFIG_DIR") {
        Some(own)
    } else if cfg!(windows) {
        set("APPDATA").map(|folder| folder.join("jumpbag"))
    } else {
        set("XDG_CONFIG_HOME")
            .or_else(|| set("HOME").map(|home| home.join(".config")))
            .map(|folder| folder.join("jumpbag"))
    };
    let folder = folder.ok_or_else(|| {
        Failure::Usage(
            "there is no home folder to keep profiles in: set JUMPBAG_CONFIG_DIR to a folder".into(),
        )
    })?;
    Ok(folder.join(name))
}

/// The right to change the files of profiles and tokens: one run after the other has it, so that none undoes what
/// another has just done.
pub struct Turn(#[expect(dead_code, reason = "it is held")] std::fs::File);

impl Turn {
    /// Waits for it.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn take() -> Result<Turn, Failure> {
        Turn::of("profiles.lock")
    }

    /// Waits for the right to use refresh tokens, which may be good for one use: a server that sees one twice may take
    /// the second run for a thief and end the sign-in.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn refresh() -> Result<Turn, Failure> {
        Turn::of("refresh.lock")
    }

    fn of(name: &str) -> Result<Turn, Failure> {
        let path = file(name)?;
        let failed = |e: std::io::Error| Failure::file("lock", &path, &e);
        make_private_folder(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
        let lock =
            private(std::fs::OpenOptions::new().create(true).append(true)).open(&path).map_err(failed)?;
        match lock.lock() {
            // Some file systems have no locks.
            Err(e) if e.kind() != std::io::ErrorKind::Unsupported => Err(failed(e)),
            _ => Ok(Turn(lock)),
        }
    }

    /// Writes a file of the user's own whole or not at all; nobody else can read it, and what a run that was killed left
    /// of it goes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), Failure> {
        let path = file(name)?;
        let new = file(&format!(".{name}.new"))?;
        let failed = |e: std::io::Error| Failure::file("write", &path, &e);
        match std::fs::remove_file(&new) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        let mut file =
            private(std::fs::OpenOptions::new().write(true).create_new(true)).open(&new).map_err(failed)?;
        file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
        drop(file);
        std::fs::rename(&new, &path).map_err(failed)
    }
}

fn private(options: &mut std::fs::OpenOptions) -> &mut std::fs::OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}
