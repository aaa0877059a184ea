//! The program under test, run as its users run it: in a folder of its own, with nothing of this machine's environment.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Mutex;

use regex_lite::Regex;
use tokio::io::AsyncWriteExt as _;

use crate::SOON;
use crate::original::Original;

/// Where to sign in, and as whom.
#[derive(Clone)]
pub struct Place {
    pub url: String,
    pub tenant: String,
    pub client_id: String,
    pub client_secret: String,
    pub ca_file: Option<PathBuf>,
}

impl From<&Original> for Place {
    fn from(original: &Original) -> Place {
        Place {
            url: original.url().to_owned(),
            tenant: original.tenant().to_owned(),
            client_id: original.client_id().to_owned(),
            client_secret: original.client_secret().to_owned(),
            ca_file: None,
        }
    }
}

/// A user's place on a machine: profiles, a working folder, an environment, and what was said there so far.
pub struct Home {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
    transcript: Mutex<String>,
}

/// How the program ended.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    raw: Vec<u8>,
}

impl Home {
    /// Nobody has signed in.
    pub fn new() -> Home {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("work")).expect("a working folder");
        Home { folder, environment: Vec::new(), transcript: Mutex::default() }
    }

    /// Signed in by the environment, as a build would.
    pub fn at(place: &Place) -> Home {
        let mut home = Home::new()
            .env("JUMPBAG_URL", &place.url)
            .env("JUMPBAG_TENANT", &place.tenant)
            .env("JUMPBAG_CLIENT_ID", &place.client_id)
            .env("JUMPBAG_CLIENT_SECRET", &place.client_secret);
        if let Some(file) = &place.ca_file {
            home = home.env("JUMPBAG_CA_FILE", &file.display().to_string());
        }
        home
    }

    pub fn env(mut self, name: &str, value: &str) -> Home {
        self.environment.retain(|(other, _)| other != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A path in the working folder.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join("work").join(relative)
    }

    pub fn config(&self, relative: &str) -> PathBuf {
        self.folder.path().join(".config/jumpbag").join(relative)
    }

    /// A file in the working folder, and the folders it is in.
    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
        std::fs::write(path, content).expect("write a file");
    }

    pub fn read(&self, relative: &str) -> String {
        let path = self.path(relative);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("`{}`: {e}", path.display()))
    }

    /// What is in the working folder, hidden files too.
    pub fn names(&self, relative: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(relative)).expect("a folder");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// The program with this command line, not started yet.
    pub fn command(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_jumpbag"));
        command.args(arguments).env_clear().current_dir(self.path(""));
        command.env("HOME", self.folder.path()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs it to its end. Panics when that does not come soon.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        let child = self.command(arguments).spawn().expect("the program starts");
        self.ran(arguments, finish(child.wait_with_output()).await)
    }

    /// Runs it in a shell behind a command such as `ulimit -v 1000000`.
    pub async fn run_limited(&self, before: &str, arguments: &[&str]) -> Ran {
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-c", &format!("{before} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_jumpbag")]);
        shell.args(arguments).env_clear().current_dir(self.path("")).env("HOME", self.folder.path());
        shell.envs(self.environment.iter().map(|(name, value)| (name, value)));
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let child = shell.spawn().expect("the shell starts");
        self.ran(arguments, finish(child.wait_with_output()).await)
    }

    /// Runs it with something on standard input.
    pub async fn run_with(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        let (_, output) = tokio::join!(
            async move {
                // A program that refuses before it reads has closed its end.
                let _ = stdin.write_all(input).await;
            },
            finish(child.wait_with_output())
        );
        self.ran(arguments, output)
    }

    /// Runs it and remembers nothing: for what is not part of a transcript.
    pub async fn quietly(&self, arguments: &[&str]) -> Ran {
        let before = self.transcript.lock().expect("no test panics inside").clone();
        let ran = self.run(arguments).await;
        *self.transcript.lock().expect("no test panics inside") = before;
        ran
    }

    fn ran(&self, arguments: &[&str], output: Output) -> Ran {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let ran = Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            raw: output.stdout,
        };
        let quoted = |argument: &&str| match argument.contains([' ', '*', '$']) || argument.is_empty() {
            true => format!("'{argument}'"),
            false => (*argument).to_owned(),
        };
        let line = arguments.iter().map(quoted).collect::<Vec<_>>().join(" ");
        let mut told = format!("$ jumpbag {line}\n{}", ran.stdout);
        for line in ran.stderr.lines() {
            told += &format!("stderr: {line}\n");
        }
        if ran.code != 0 {
            told += &format!("exit status {}\n", ran.code);
        }
        self.note(&told);
        ran
    }

    /// Adds to the transcript what happened beside the program.
    pub fn note(&self, text: &str) {
        let mut transcript = self.transcript.lock().expect("no test panics inside");
        *transcript += &format!("{}\n\n", text.trim_end());
    }

    /// All that was run and said, without what differs from run to run.
    pub fn transcript(&self) -> String {
        let text = self.transcript.lock().expect("no test panics inside").clone();
        let mut text = text.replace(&self.folder.path().display().to_string(), "[home]");
        for (name, value) in &self.environment {
            if name == "JUMPBAG_CLIENT_SECRET" && value.len() > 10 {
                assert!(!text.contains(value), "the program has printed the secret");
            }
        }
        let url = r"https?://(127\.0\.0\.1|localhost):\d+|(127\.0\.0\.1|localhost):\d+";
        text = Regex::new(url).expect("a pattern").replace_all(&text, "[host]").into_owned();
        redacted(&text)
    }
}

/// Compares a transcript with the one that is kept.
#[macro_export]
macro_rules! assert_transcript {
    ($home:expr) => {
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!($home.transcript())
        })
    };
}

async fn finish(output: impl Future<Output = std::io::Result<Output>>) -> Output {
    let output = tokio::time::timeout(SOON, output).await;
    output.expect("the program ends soon").expect("its output can be read")
}

impl Ran {
    /// Panics, with all that was said, unless it ended so.
    #[track_caller]
    pub fn expect(self, code: i32) -> Ran {
        let Ran { code: was, stdout, stderr, .. } = &self;
        assert_eq!(*was, code, "--- stdout\n{stdout}\n--- stderr\n{stderr}\n---");
        self
    }

    pub fn bytes(&self) -> &[u8] {
        &self.raw
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("no JSON ({e}): {}", self.stdout))
    }
}

/// Ids and times by number, equal ones alike.
pub fn redacted(text: &str) -> String {
    let ids = r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b";
    let times = r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?Z?";
    let machines = r"\b[0-9a-f]{40}\b";
    let text = Regex::new(times).expect("a pattern").replace_all(text, "[time]").into_owned();
    let text =
        Regex::new(r"in \d+ minutes").expect("a pattern").replace_all(&text, "in [n] minutes").into_owned();
    number(&number(&text, ids, "id"), machines, "machine")
}

fn number(text: &str, pattern: &str, label: &str) -> String {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let pattern = Regex::new(pattern).expect("a pattern");
    let replaced = pattern.replace_all(text, |found: &regex_lite::Captures| {
        let next = seen.len() + 1;
        format!("[{label}-{}]", seen.entry(found[0].to_owned()).or_insert(next))
    });
    replaced.into_owned()
}
