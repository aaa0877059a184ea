//! Settings: the defaults (which are the example file), a TOML file, `JUMPBAG_*` in the environment, flags, each
//! before the one it follows. All problems are reported at once, with key, value and expectation.

mod settings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use settings::{Settings, Tls};

/// The defaults, as users read them.
pub const EXAMPLE: &str = include_str!("../../../jumpbag.example.toml");
const PREFIX: &str = "JUMPBAG_";
/// What the command line of the library reads under the same prefix: it is no setting, and no mistake either.
const OF_THE_COMMAND_LINE: [&str; 14] = [
    "URL",
    "CLOUD",
    "AUTHORITY",
    "TENANT",
    "CLIENT_ID",
    "CLIENT_SECRET",
    "CERTIFICATE",
    "CERTIFICATE_KEY",
    "TOKEN",
    "SCOPE",
    "CA_FILE",
    "PLAIN_HTTP",
    "PROFILE",
    "CONFIG_DIR",
];
/// Names a file rather than a setting.
const CONFIG_VARIABLE: &str = "JUMPBAG_CONFIG";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File(PathBuf),
    Environment(String),
    Flag(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Flag(flag) => f.write_str(flag),
        }
    }
}

/// What is wrong with the settings, all of it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Problems(pub Vec<String>);

/// Every setting with its value and origin, before types are checked.
#[derive(Debug, Clone)]
pub struct Layers {
    values: BTreeMap<String, (toml::Value, Origin)>,
    problems: Vec<String>,
}

/// What the command line says of settings.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    pub config: Option<PathBuf>,
    /// Flag as written, key, value.
    pub settings: Vec<(String, String, String)>,
}

impl Layers {
    /// Puts the layers on each other.
    pub fn gather(flags: &Flags, environment: impl Iterator<Item = (String, String)>) -> Layers {
        let mut layers = Layers { values: BTreeMap::new(), problems: Vec::new() };
        match EXAMPLE.parse::<toml::Table>() {
            Ok(defaults) => {
                for (key, value) in defaults {
                    layers.values.insert(key, (value, Origin::Default));
                }
            }
            Err(e) => layers.problems.push(format!("the built-in defaults: {e}")),
        }
        let mut file = flags.config.clone();
        let mut variables = Vec::new();
        for (name, value) in environment.filter(|(name, _)| name.starts_with(PREFIX)) {
            if OF_THE_COMMAND_LINE.contains(&&name[PREFIX.len()..]) {
                continue;
            }
            if name == CONFIG_VARIABLE {
                file = file.or(Some(PathBuf::from(value)));
            } else {
                variables.push((name, value));
            }
        }
        if let Some(file) = file {
            layers.read_file(&file);
        }
        for (name, value) in variables {
            let key = name[PREFIX.len()..].to_lowercase();
            layers.set_text(&key, &value, Origin::Environment(name));
        }
        for (flag, key, value) in &flags.settings {
            layers.set_text(key, value, Origin::Flag(flag.clone()));
        }
        layers
    }

    fn read_file(&mut self, path: &Path) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) => {
                return self.problems.push(format!("cannot read settings file `{}`: {e}", path.display()));
            }
        };
        match text.parse::<toml::Table>() {
            Ok(table) => {
                for (key, value) in table {
                    self.set(&key, value, Origin::File(path.to_owned()));
                }
            }
            Err(e) => self.problems.push(format!("settings file `{}` is not TOML: {e}", path.display())),
        }
    }

    fn set(&mut self, key: &str, value: toml::Value, origin: Origin) {
        match self.values.get_mut(key) {
            Some(slot) => *slot = (value, origin),
            None => {
                let near = self.nearest(key);
                self.problems.push(format!("`{key}` ({origin}): no such setting{near}"));
            }
        }
    }

    /// Environment and flags give text: the default's type says how it is read.
    fn set_text(&mut self, key: &str, text: &str, origin: Origin) {
        let default = self.values.get(key).map(|(value, _)| value.clone());
        let value = match default {
            None | Some(toml::Value::String(_)) => toml::Value::String(text.to_owned()),
            Some(_) => {
                match format!("value = {text}").parse::<toml::Table>().map(|mut table| table.remove("value"))
                {
                    Ok(Some(value)) => value,
                    _ => toml::Value::String(text.to_owned()),
                }
            }
        };
        self.set(key, value, origin);
    }

    fn nearest(&self, key: &str) -> String {
        let shared =
            |known: &str| known.split('_').filter(|word| key.split('_').any(|part| part == *word)).count();
        let best = self.values.keys().max_by_key(|known| shared(known)).filter(|known| shared(known) > 0);
        best.map_or_else(String::new, |known| format!("; did you mean `{known}`?"))
    }

    /// Checks every value.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub fn settings(&self) -> Result<Settings, Problems> {
        settings::read(self)
    }

    /// One line a setting: key, value (secrets starred) and origin.
    pub fn describe(&self) -> Vec<(String, String, String)> {
        self.values
            .iter()
            .map(|(key, (value, origin))| (key.clone(), settings::shown(key, value), origin.to_string()))
            .collect()
    }
}
