//! The real server: `jumpbag-server`, which is built beside this program, on a free port with data of its own.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use serde::Deserialize;

use crate::SOON;
use crate::process::Process;
use crate::program::Place;

/// A running server. It ends when this is dropped.
pub struct Jumpbag {
    data: tempfile::TempDir,
    settings: Vec<(String, String)>,
    tls: bool,
    process: Mutex<Option<Process>>,
    url: String,
}

#[derive(Deserialize)]
struct Registration {
    tenant: String,
    client_id: String,
    client_secret: String,
}

/// A program that is built together with this one.
pub fn built(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the path of this program");
    let program = own.ancestors().nth(2).expect("it is two folders below").join(name);
    assert!(
        program.exists(),
        "`{}` is not built: `cargo build --workspace --bins` builds it",
        program.display()
    );
    program
}

impl Jumpbag {
    /// One with the limits of calls off: a test makes more than a person.
    pub async fn start() -> Jumpbag {
        Jumpbag::with(&[("rate_limits", "false")], false).await
    }

    /// One that speaks HTTPS with a certificate of its own making.
    pub async fn with_tls() -> Jumpbag {
        Jumpbag::with(&[], true).await
    }

    /// One with settings by name.
    pub async fn with(settings: &[(&str, &str)], tls: bool) -> Jumpbag {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut server = Jumpbag { data, settings, tls, process: Mutex::new(None), url: String::new() };
        let (process, url) = server.launch("127.0.0.1:0").await;
        server.url = url;
        server.process = Mutex::new(Some(process));
        server
    }

    async fn launch(&self, listen: &str) -> (Process, String) {
        let mut command = self.command();
        command.args(["--listen", listen]);
        if self.tls {
            command.args(["--tls", "self-signed"]);
        }
        let process = Process::spawn("jumpbag-server", command);
        let after = |line: &str| Some(line.split_once("jumpbag-server listening on ")?.1.trim().to_owned());
        let url = process.line(SOON, after).await;
        // The certificate is for the name.
        (process, if self.tls { url.replace("127.0.0.1", "localhost") } else { url })
    }

    fn command(&self) -> Command {
        let mut command = Process::command(built("jumpbag-server"));
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("JUMPBAG_"))
        {
            command.env_remove(name);
        }
        // What the command line reads means nothing to a server beside it.
        command.env("JUMPBAG_URL", "https://elsewhere.example").env("JUMPBAG_CLIENT_SECRET", "x");
        command.env("JUMPBAG_OPS_LISTEN", "");
        for (key, value) in &self.settings {
            command.env(format!("JUMPBAG_{}", key.to_uppercase()), value);
        }
        command.arg("--data-dir").arg(self.data.path().join("data"));
        command
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate to trust, with TLS.
    pub fn ca_file(&self) -> PathBuf {
        self.data.path().join("data/tls/cert.pem")
    }

    /// Another command of the server's program on the same data: what it prints.
    pub async fn admin(&self, arguments: &[&str]) -> String {
        let mut command = self.command();
        command.args(arguments);
        let process = Process::spawn("jumpbag-server", command);
        let status = process.ended(SOON).await;
        assert!(status.success(), "{arguments:?}: {status}\n{}", process.stderr());
        process.stdout()
    }

    /// A user with this password.
    pub async fn user(&self, name: &str, password: &str, permissions: &[&str]) {
        let mut command = self.command();
        command.args(["users", "add", name, "--password-stdin"]);
        command.args(permissions.iter().flat_map(|permission| ["--permission", permission]));
        let input = self.data.path().join("password");
        std::fs::write(&input, password).expect("write the password");
        command.stdin(std::fs::File::open(&input).expect("what was just written"));
        let output = command.output().expect("the program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Somebody new with these permissions.
    pub async fn place(&self, permissions: &[&str]) -> Place {
        let mut arguments = vec!["clients", "add", "tester", "--json"];
        arguments.extend(permissions.iter().flat_map(|permission| ["--permission", permission]));
        let added = self.admin(&arguments).await;
        let Registration { tenant, client_id, client_secret } = serde_json::from_str(&added)
            .unwrap_or_else(|e| panic!("`clients add` printed no JSON ({e}): {added}"));
        let ca_file = self.tls.then(|| self.ca_file());
        Place { url: self.url.clone(), tenant, client_id, client_secret, ca_file }
    }

    /// Somebody who may manage the library.
    pub async fn librarian(&self) -> Place {
        self.place(&["Library.Manage"]).await
    }

    /// SIGKILL, as a crash would end it.
    pub async fn kill(&self) {
        let process = self.process.lock().expect("no test panics inside").take();
        if let Some(process) = process {
            process.kill().await;
        }
    }

    /// Starts it again at the same address.
    pub async fn start_again(&self) {
        let listen = self.url.split_once("://").expect("an address").1.replace("localhost", "127.0.0.1");
        let (process, _) = self.launch(&listen).await;
        *self.process.lock().expect("no test panics inside") = Some(process);
    }
}
