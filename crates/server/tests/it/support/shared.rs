//! Servers too heavy to start for each test. `scripts/test-servers` starts one for the first test that asks, in
//! whatever process it runs, and finds it again for the others and for later runs.

use std::time::Duration;

use serde::Deserialize;

/// How to reach a shared server.
#[derive(Clone, Debug, Deserialize)]
pub struct SharedServer {
    pub url: String,
    #[serde(default)]
    pub access_key: String,
    #[serde(default)]
    pub secret_key: String,
}

/// The server of this name, started when it does not run. Panics when it cannot: a test never skips.
pub async fn shared_server(name: &str) -> SharedServer {
    let output = test_servers(&["start", name]).await;
    assert!(
        output.status.success(),
        "this test needs the server `{name}`: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    serde_json::from_slice(&output.stdout).expect("`scripts/test-servers start` prints one line of JSON")
}

/// Whether the programs of a server are installed.
pub async fn installed(name: &str) -> bool {
    test_servers(&["have", name]).await.status.success()
}

async fn test_servers(arguments: &[&str]) -> std::process::Output {
    let script = super::repository().join("scripts/test-servers");
    let output = tokio::process::Command::new(&script)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output();
    // The script has a limit of its own for each server; this one covers a queue of several at its lock.
    tokio::time::timeout(Duration::from_secs(170), output)
        .await
        .unwrap_or_else(|_| panic!("`{} {}` hangs", script.display(), arguments.join(" ")))
        .unwrap_or_else(|error| panic!("cannot run `{}`, which needs Python 3: {error}", script.display()))
}
