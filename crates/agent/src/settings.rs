//! What the agent knows from its enrolment on: `agent.toml` in its data folder, and the places beside it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::disk;
use crate::error::{Context, Result};

/// `agent.toml`. What is not in the file has its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The server's address: `https://host[:port][/base]`.
    pub url: String,
    pub machine_id: String,
    /// The key that signs assignments, pinned at enrolment: 32 bytes in base64.
    pub server_key: String,
    /// Certificates in PEM that are trusted instead of those of the operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// `http://[user:password@]host:port`; without it the environment says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    #[serde(default)]
    pub limits: Limits,
    /// Where interpreters and the programs that scripts call are looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Seconds before the first attempt to connect again, and at most.
    #[serde(default = "first_wait", skip_serializing_if = "is_first_wait")]
    pub first_wait: f64,
    #[serde(default = "longest_wait", skip_serializing_if = "is_longest_wait")]
    pub longest_wait: f64,
}

fn first_wait() -> f64 {
    1.0
}

fn longest_wait() -> f64 {
    300.0
}

fn is_first_wait(value: &f64) -> bool {
    *value == first_wait()
}

fn is_longest_wait(value: &f64) -> bool {
    *value == longest_wait()
}

/// How much of the machine commands may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of output and files that wait for the server, in all.
    pub spool: u64,
    /// Bytes of memory of a script and all it starts; 0 is no limit.
    pub memory: u64,
    /// Hundredths of a processor; 0 is no limit.
    pub cpu: u32,
    /// Bytes of a file or folder to get, before compression.
    pub file: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { spool: 4 << 30, memory: 2 << 30, cpu: 0, file: 3 << 30 }
    }
}

/// Everything the agent keeps is in one folder.
#[derive(Debug, Clone)]
pub struct Home(PathBuf);

impl Home {
    pub fn new(folder: impl Into<PathBuf>) -> Home {
        Home(folder.into())
    }

    /// Where the agent lives unless told otherwise.
    pub fn usual() -> PathBuf {
        if cfg!(windows) {
            let base = std::env::var_os("ProgramData").unwrap_or_else(|| r"C:\ProgramData".into());
            return PathBuf::from(base).join("jumpbag-agent");
        }
        PathBuf::from("/var/lib/jumpbag-agent")
    }

    pub fn folder(&self) -> &Path {
        &self.0
    }

    pub fn settings(&self) -> PathBuf {
        self.0.join("agent.toml")
    }

    pub fn key(&self) -> PathBuf {
        self.0.join("key.der")
    }

    /// The tokens that the next connection is known by.
    pub fn lineage(&self) -> PathBuf {
        self.0.join("lineage")
    }

    pub fn certificates(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// What the agent says where there is no standard error.
    pub fn log(&self) -> PathBuf {
        self.0.join("agent.log")
    }

    pub fn spool(&self) -> PathBuf {
        self.0.join("spool")
    }

    /// Where files that were put are.
    pub fn files(&self) -> PathBuf {
        self.0.join("files")
    }

    /// Where each script has a folder of its own while it runs.
    pub fn work(&self) -> PathBuf {
        self.0.join("work")
    }
}

impl Settings {
    /// # Errors
    /// When the file is not there or says something unknown.
    pub fn read(home: &Home) -> Result<Settings> {
        let path = home.settings();
        let text = std::fs::read_to_string(&path)
            .context(|| format!("cannot read `{}`, which `jumpbag-agent enroll` writes", path.display()))?;
        toml::from_str(&text).context(|| format!("`{}` is not as it should be", path.display()))
    }

    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, home: &Home) -> Result<()> {
        let text = toml::to_string(self).context(|| "cannot write the settings".into())?;
        disk::write_private(&home.settings(), text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_as_they_were_written_and_typing_mistakes_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let settings = Settings {
            url: "https://jumpbag.example".into(),
            machine_id: "ab".into(),
            server_key: "key".into(),
            ca: Some("/x/ca.pem".into()),
            proxy: None,
            limits: Limits { cpu: 50, ..Limits::default() },
            path: None,
            first_wait: 1.0,
            longest_wait: 300.0,
        };
        settings.write(&home).unwrap();
        assert_eq!(Settings::read(&home).unwrap(), settings);
        let text = std::fs::read_to_string(home.settings()).unwrap();
        std::fs::write(home.settings(), format!("proxi = \"x\"\n{text}")).unwrap();
        assert!(Settings::read(&home).unwrap_err().to_string().contains("proxi"));
    }
}
