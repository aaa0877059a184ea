//! The server under test: the real program, on a free port, in a data folder of its own.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rustix::process::Signal;
use serde::Deserialize;
use tempfile::TempDir;

use super::SOON;
use super::client::{Answer, Call, Client, Upload, http_trusting, plain_http};
use super::process::Process;

/// A running jumpbag. Dropping it kills the program and removes its data.
pub struct Jumpbag {
    options: Options,
    data_dir: PathBuf,
    running: Mutex<Arc<Running>>,
    /// What former lives of the program have logged.
    former_logs: Mutex<String>,
    tokens: tokio::sync::Mutex<HashMap<String, String>>,
    _own_data_dir: Option<TempDir>,
}

struct Running {
    process: Process,
    url: String,
    operations_url: Option<String>,
    http: reqwest::Client,
}

/// How to start one. Settings go through the environment, so that the command line's other uses see them too.
#[derive(Clone, Debug, Default)]
pub struct Options {
    settings: Vec<(String, String)>,
    arguments: Vec<String>,
    config: Option<String>,
    data_dir: Option<PathBuf>,
    tls: bool,
    without_operations: bool,
}

/// An app registration and its secret.
#[derive(Clone, Debug, Deserialize)]
pub struct Registration {
    pub tenant: String,
    pub client_id: String,
    pub client_secret: String,
}

impl Options {
    /// A setting by its name, as it stands in the configuration file.
    pub fn set(mut self, key: &str, value: impl ToString) -> Options {
        self.settings.push((key.into(), value.to_string()));
        self
    }

    /// Blobs in a bucket: the address and the object store's options by name.
    pub fn blobs<const N: usize>(self, url: &str, options: [(&str, String); N]) -> Options {
        // A JSON string is a TOML string too.
        let table =
            options.map(|(name, value)| format!("{name} = {}", serde_json::Value::String(value))).join(", ");
        self.set("blob_url", url).set("blob_options", format!("{{ {table} }}"))
    }

    /// A command line argument of `serve`.
    pub fn argument(mut self, argument: &str) -> Options {
        self.arguments.push(argument.into());
        self
    }

    /// A configuration file with this text.
    pub fn config(mut self, toml: &str) -> Options {
        self.config = Some(toml.into());
        self
    }

    /// Data that outlives this one.
    pub fn data_dir(mut self, folder: &Path) -> Options {
        self.data_dir = Some(folder.into());
        self
    }

    /// HTTPS, with a certificate that the server makes itself.
    pub fn tls(mut self) -> Options {
        self.tls = true;
        self
    }

    /// No listener for metrics and health.
    pub fn without_operations(mut self) -> Options {
        self.without_operations = true;
        self
    }

    /// Starts it and waits until it listens. Panics, with its output, when it does not.
    pub async fn start(self) -> Jumpbag {
        let own = self.data_dir.is_none().then(|| tempfile::tempdir().expect("a temporary folder"));
        let data_dir = match (&self.data_dir, &own) {
            (Some(folder), _) => folder.clone(),
            (None, Some(own)) => own.path().join("data"),
            (None, None) => unreachable!("one of the two is there"),
        };
        if let Some(config) = &self.config {
            std::fs::write(config_file(&data_dir), config).expect("write the configuration file");
        }
        let running = Mutex::new(Arc::new(self.launch(&data_dir).await));
        Jumpbag {
            options: self,
            data_dir,
            running,
            former_logs: Mutex::default(),
            tokens: tokio::sync::Mutex::default(),
            _own_data_dir: own,
        }
    }

    /// Runs another subcommand with these settings, without a server.
    pub async fn run(&self, data_dir: &Path, arguments: &[&str]) -> (ExitStatus, String, String) {
        let mut command = self.command(data_dir);
        command.args(arguments);
        let process = Process::spawn("jumpbag-server", command);
        let status = process.ended(Duration::from_secs(60)).await;
        (status, process.stdout(), process.stderr())
    }

    /// Runs another subcommand that reads this from its standard input.
    async fn feed(&self, data_dir: &Path, arguments: &[&str], input: &str) -> (bool, String, String) {
        use std::io::Write as _;
        use std::process::Stdio;
        let mut command = self.command(data_dir);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let input = input.to_owned();
        let ran = tokio::task::spawn_blocking(move || {
            let mut child = command.spawn().expect("start the command");
            let mut stdin = child.stdin.take().expect("stdin is piped");
            stdin.write_all(input.as_bytes()).expect("write the input");
            drop(stdin);
            child.wait_with_output().expect("its end")
        });
        let output = ran.await.expect("it ran");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    }

    /// Runs it where it must not come up. Panics when it does not end by itself; else its exit status and stderr.
    pub async fn fail_to_start(self) -> (ExitStatus, String) {
        let own = tempfile::tempdir().expect("a temporary folder");
        let data_dir = self.data_dir.clone().unwrap_or_else(|| own.path().join("data"));
        if let Some(config) = &self.config {
            std::fs::write(config_file(&data_dir), config).expect("write the configuration file");
        }
        let process = Process::spawn("jumpbag-server", self.serve(&data_dir));
        let status = process.ended(SOON).await;
        (status, process.stderr())
    }

    async fn launch(&self, data_dir: &Path) -> Running {
        let process = Process::spawn("jumpbag-server", self.serve(data_dir));
        let after = |mark: &'static str| move |line: &str| Some(line.split_once(mark)?.1.trim().to_string());
        let url = process.line(SOON, after("jumpbag-server listening on ")).await;
        let operations_url = match self.without_operations {
            true => None,
            false => Some(process.line(SOON, after("operations on ")).await),
        };
        let http = match self.tls {
            true => http_trusting(&std::fs::read(ca_file(data_dir)).expect("the server's certificate")),
            false => plain_http(),
        };
        // The certificate is for the name, which TLS clients check.
        let url = if self.tls { url.replace("127.0.0.1", "localhost") } else { url };
        Running { process, url, operations_url, http }
    }

    fn serve(&self, data_dir: &Path) -> Command {
        let mut command = self.command(data_dir);
        command.args(["--listen", "127.0.0.1:0"]);
        if self.tls {
            command.args(["--tls", "self-signed"]);
        }
        command.args(&self.arguments);
        command
    }

    /// The program with the settings of this server, before any subcommand.
    fn command(&self, data_dir: &Path) -> Command {
        let program =
            std::env::var_os("TEST_JUMPBAG_SERVER").unwrap_or(env!("CARGO_BIN_EXE_jumpbag-server").into());
        let mut command = Process::command(program);
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("JUMPBAG_"))
        {
            command.env_remove(name);
        }
        let operations = if self.without_operations { "" } else { "127.0.0.1:0" };
        command.env("JUMPBAG_OPS_LISTEN", operations);
        for (key, value) in &self.settings {
            command.env(format!("JUMPBAG_{}", key.to_uppercase()), value);
        }
        if self.config.is_some() {
            command.arg("--config").arg(config_file(data_dir));
        }
        command.arg("--data-dir").arg(data_dir);
        command
    }
}

fn config_file(data_dir: &Path) -> PathBuf {
    data_dir.with_extension("toml")
}

fn ca_file(data_dir: &Path) -> PathBuf {
    data_dir.join("tls/cert.pem")
}

impl Jumpbag {
    /// One with its own defaults, on loopback.
    pub async fn start() -> Jumpbag {
        Options::default().start().await
    }

    /// One of another kind: `Jumpbag::options().set("max_file_bytes", 10).start().await`.
    pub fn options() -> Options {
        Options::default()
    }

    fn running(&self) -> Arc<Running> {
        Arc::clone(&self.running.lock().expect("no test panics inside"))
    }

    /// Where it listens now: scheme, host and port, no slash.
    pub fn url(&self) -> String {
        self.running().url.clone()
    }

    /// Where metrics and health are. Panics when it was started without.
    pub fn ops_url(&self) -> String {
        self.running().operations_url.clone().expect("started with an operations listener")
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The certificate that clients have to trust when it speaks TLS.
    pub fn ca_file(&self) -> PathBuf {
        ca_file(&self.data_dir)
    }

    pub fn process_id(&self) -> u32 {
        self.running().process.id()
    }

    /// What it has written to stdout in this life.
    pub fn said(&self) -> String {
        self.running().process.stdout()
    }

    /// All that it has written to stderr, in all of its lives.
    pub fn logs(&self) -> String {
        let former = self.former_logs.lock().expect("no test panics inside");
        format!("{former}{}", self.running().process.stderr())
    }

    /// Waits for a line on stderr that has all of these in it.
    pub async fn logged(&self, parts: &[&str]) -> String {
        self.running().process.log_line(SOON, |line| parts.iter().all(|part| line.contains(part))).await
    }

    /// Runs another subcommand of the program on the same data and settings, beside the server.
    pub async fn command(&self, arguments: &[&str]) -> (ExitStatus, String, String) {
        self.options.run(&self.data_dir, arguments).await
    }

    /// The same, with something to read on its standard input.
    pub async fn command_with_input(&self, arguments: &[&str], input: &str) -> (bool, String, String) {
        self.options.feed(&self.data_dir, arguments, input).await
    }

    /// Registers an app with these permissions.
    pub async fn register(&self, name: &str, permissions: &[&str]) -> Registration {
        let mut arguments = vec!["clients", "add", name, "--json"];
        arguments.extend(permissions.iter().flat_map(|permission| ["--permission", permission]));
        let (status, stdout, stderr) = self.command(&arguments).await;
        assert!(status.success(), "`clients add` failed ({status}):\n{stderr}");
        serde_json::from_str(&stdout)
            .unwrap_or_else(|error| panic!("`clients add` printed no JSON ({error}): {stdout}"))
    }

    /// A call of the token endpoint, as the original's clients make it.
    pub async fn request_token(&self, registration: &Registration) -> Answer {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &registration.client_id),
            ("client_secret", &registration.client_secret),
            ("scope", "https://api.securitycenter.microsoft.com/.default"),
        ];
        let path = format!("/{}/oauth2/v2.0/token", registration.tenant);
        self.anonymous().post(&path).with(|request| request.form(&form)).await
    }

    /// A token with exactly these permissions; the same one for the same permissions.
    pub async fn token(&self, permissions: &[&str]) -> String {
        let mut tokens = self.tokens.lock().await;
        let key = permissions.join(" ");
        if let Some(token) = tokens.get(&key) {
            return token.clone();
        }
        let registration = self.register(&format!("test {key}"), permissions).await;
        let answer = self.request_token(&registration).await.expect_status(200);
        let token = answer.json()["access_token"].as_str().expect("an access token").to_string();
        tokens.insert(key, token.clone());
        token
    }

    /// Somebody with `Library.Manage`.
    pub async fn client(&self) -> Client {
        self.caller(&["Library.Manage"]).await
    }

    /// Somebody with exactly these permissions.
    pub async fn caller(&self, permissions: &[&str]) -> Client {
        let token = self.token(permissions).await;
        self.anonymous().with_token(&token)
    }

    /// Somebody without a token.
    pub fn anonymous(&self) -> Client {
        let running = self.running();
        Client::new(running.http.clone(), &running.url, None)
    }

    /// A GET from the operations listener.
    pub fn ops(&self, path: &str) -> Call {
        Client::new(plain_http(), &self.ops_url(), None).get(path)
    }

    /// An upload by somebody with `Library.Manage`; sent when awaited.
    pub fn upload(&self, name: &str, content: impl Into<Bytes>) -> Upload<'_> {
        Upload::new(self.client(), name, content.into())
    }

    /// The library's list, as somebody with `Library.Manage` sees it.
    pub async fn list(&self) -> Answer {
        self.client().await.get("/api/libraryfiles").await
    }

    /// The names in the library, in the order of the list. Panics when it cannot be listed.
    pub async fn names(&self) -> Vec<String> {
        let list = self.list().await.expect_status(200).json();
        let files = list["value"].as_array().expect("a collection").iter();
        files.map(|file| file["fileName"].as_str().expect("a file name").to_string()).collect()
    }

    /// A delete by somebody with `Library.Manage`; `name` is sent as it is.
    pub async fn delete(&self, name: &str) -> Answer {
        self.client().await.delete(&format!("/api/libraryfiles/{name}")).await
    }

    /// SIGKILL, as a crash would end it; waits until it is gone.
    pub async fn kill(&self) {
        self.running().process.kill().await;
    }

    /// SIGTERM; waits for its orderly end.
    pub async fn stop(&self) -> ExitStatus {
        let running = self.running();
        running.process.signal(Signal::TERM);
        running.process.ended(SOON).await
    }

    /// Sends any signal to the program.
    pub fn signal(&self, signal: Signal) {
        self.running().process.signal(signal);
    }

    /// Starts it again on the same data, at another address; kills it before if it still runs.
    pub async fn restart(&self) {
        self.kill().await;
        let before = self.running().process.stderr();
        let next = Arc::new(self.options.launch(&self.data_dir).await);
        *self.former_logs.lock().expect("no test panics inside") += &format!("{before}\n");
        *self.running.lock().expect("no test panics inside") = next;
    }
}
