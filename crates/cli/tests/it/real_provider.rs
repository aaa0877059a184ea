//! A user signs in at a real OpenID provider, by device code, and works with a server that trusts that provider.

use std::process::Stdio;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::process::Process;
use crate::program::Home;
use crate::server::Jumpbag;

#[derive(Deserialize)]
struct Ready {
    issuer: String,
    client_id: String,
    audience: String,
}

/// A running provider. It ends when this is dropped.
struct Provider {
    ready: Ready,
    _process: Process,
}

impl Provider {
    async fn start() -> Provider {
        let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into());
        let tools = own.join("../..").join(target).join("test-tools");
        assert!(tools.join("bin/node").exists(), "`scripts/test` installs Node in {}", tools.display());
        let mut command = Process::command(tools.join("bin/node"));
        command.arg(own.join("tests/clients/device-provider.mjs")).arg(tools.join("node"));
        let process = Process::spawn("device-provider", command);
        let ready = process.line(crate::SOON, |line| serde_json::from_str(line).ok()).await;
        Provider { ready, _process: process }
    }

    /// What the user does in a browser.
    async fn approve(&self, user_code: &str) {
        let url = format!("{}/approve?user_code={user_code}", self.ready.issuer);
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let answer = reqwest::Client::new().post(url).send().await.expect("the provider answers");
        assert!(answer.status().is_success());
    }
}

#[tokio::test]
async fn a_user_of_a_real_provider_signs_in_and_stays_signed_in() {
    let provider = Provider::start().await;
    let issuers = format!(
        "[{{ issuer = \"{}\", audiences = [\"{}\"], allow_http_loopback = true }}]",
        provider.ready.issuer, provider.ready.audience
    );
    let server = Jumpbag::with(&[("rate_limits", "false"), ("issuers", &issuers)], false).await;
    let home = Home::new();
    let arguments = ["login", "--url", server.url(), "--authority", &provider.ready.issuer];
    let arguments = [
        &arguments[..],
        &["--client-id", &provider.ready.client_id, "--device-code", "--scope", "Library.Manage"],
    ]
    .concat();
    let mut login = home.command(&arguments).stderr(Stdio::inherit()).spawn().expect("it starts");
    let mut lines = BufReader::new(login.stdout.take().expect("it is piped")).lines();
    let prompt = lines.next_line().await.expect("a line").expect("it asks the user");
    let code = prompt.rsplit(' ').next().expect("the code is the last word");
    assert!(prompt.contains(&format!("{}/device", provider.ready.issuer)), "{prompt}");
    provider.approve(code).await;
    let said = lines.next_line().await.expect("a line").expect("it says who signed in");
    assert!(said.contains("as alice@example.org"), "{said}");
    assert!(login.wait().await.expect("its status").success());
    // Each command needs a token of its own, because they are too short to be kept: the refresh tokens rotate.
    home.write("a.ps1", "x");
    home.quietly(&["files", "upload", "a.ps1"]).await.expect(0);
    home.quietly(&["files", "list"]).await.expect(0);
    let who = home.quietly(&["whoami", "--json"]).await.expect(0).json();
    assert_eq!(
        (who["user"].as_str(), who["permissions"][0].as_str()),
        (Some("alice@example.org"), Some("Library.Manage"))
    );
}
