//! App registrations and signing keys, from the command line beside a running server.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use serde_json::Value;

use crate::support::poll::{eventually, eventually_within};
use crate::support::postgres::postgres_database;
use crate::support::server::{Jumpbag, Registration};

/// A subcommand that reads this from its standard input.
fn command_with_input(bag: &Jumpbag, arguments: &[&str], input: &str) -> (bool, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_jumpbag-server"))
        .arg("--data-dir")
        .arg(bag.data_dir())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start the command");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(input.as_bytes()).expect("write the input");
    drop(stdin);
    let output = child.wait_with_output().expect("its end");
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

async fn listed(bag: &Jumpbag, id: &str) -> Option<Value> {
    let (status, stdout, stderr) = bag.command(&["clients", "list", "--json"]).await;
    assert!(status.success(), "{stderr}");
    let clients: Vec<Value> = serde_json::from_str(&stdout).expect("a list");
    clients.into_iter().find(|client| client["client_id"] == id)
}

async fn token_of(bag: &Jumpbag, registration: &Registration) -> String {
    let answer = bag.request_token(registration).await.expect_status(200);
    answer.json()["access_token"].as_str().expect("a token").to_string()
}

#[tokio::test]
async fn clients_come_and_go_beside_a_running_server() {
    let database = postgres_database().await;
    let on_postgres = Jumpbag::options().set("database_url", &database.url);
    for options in [Jumpbag::options(), on_postgres] {
        let bag = options.start().await;
        let registration = bag.register("Playbook runner", &["Library.Manage"]).await;
        let client = bag.anonymous().with_token(&token_of(&bag, &registration).await);
        let uploaded = client.upload("a.ps1", "x").await.expect_status(200);
        assert_eq!(uploaded.json()["createdBy"], "Playbook runner");
        let shown = listed(&bag, &registration.client_id).await.expect("it is listed");
        assert_eq!(shown["name"], "Playbook runner");
        assert_eq!(shown["permissions"], serde_json::json!(["Library.Manage"]));
        assert_eq!(shown["expires"], Value::Null);
        assert!(!shown.to_string().contains(&registration.client_secret));

        let (status, stdout, stderr) =
            bag.command(&["clients", "rotate", &registration.client_id, "--json"]).await;
        assert!(status.success(), "{stderr}");
        let rotated: Registration = serde_json::from_str(&stdout).expect("a registration");
        assert_ne!(rotated.client_secret, registration.client_secret);
        bag.request_token(&registration).await.expect_status(401);
        token_of(&bag, &rotated).await;
        // A token that was made with the old secret lives on.
        client.get("/api/libraryfiles").await.expect_status(200);

        let (status, stdout, stderr) = bag.command(&["clients", "remove", &registration.client_id]).await;
        assert!(status.success(), "{stderr}");
        assert_eq!(stdout.trim(), format!("removed: {}", registration.client_id));
        let refused = eventually_within(Duration::from_secs(2), "its token is refused", async || {
            let answer = client.get("/api/libraryfiles").await;
            (answer.status != 200).then_some(answer)
        })
        .await;
        assert_eq!((refused.status, refused.error_code().as_str()), (401, "Unauthorized"));
        bag.request_token(&rotated).await.expect_status(400);
        assert_eq!(listed(&bag, &registration.client_id).await, None);
        let (status, _, stderr) = bag.command(&["clients", "remove", &registration.client_id]).await;
        assert!(!status.success() && stderr.contains("was not found"), "{stderr}");
        // An id never comes again: what the first one did stays its own.
        let again =
            ["clients", "add", "other", "--permission", "Library.Manage", "--id", &registration.client_id];
        let (status, _, stderr) = bag.command(&again).await;
        assert!(!status.success() && stderr.contains("existed"), "{stderr}");
    }
}

#[tokio::test]
async fn an_old_secret_may_be_kept_for_a_while() {
    let bag = Jumpbag::start().await;
    let old = bag.register("rotating", &["Library.Manage"]).await;
    let (status, stdout, stderr) =
        bag.command(&["clients", "rotate", &old.client_id, "--keep-old", "1", "--json"]).await;
    assert!(status.success(), "{stderr}");
    let new: Registration = serde_json::from_str(&stdout).expect("a registration");
    for registration in [&old, &new] {
        token_of(&bag, registration).await;
    }
}

#[tokio::test]
async fn an_id_and_a_secret_may_be_brought() {
    let bag = Jumpbag::start().await;
    let (id, secret) = ("11111111-2222-3333-4444-555555555555", "a secret of one's own, +&=%");
    let add = [
        "clients",
        "add",
        "brought",
        "--permission",
        "Library.Manage",
        "--id",
        id,
        "--secret-stdin",
        "--json",
    ];
    let (success, stdout, stderr) = command_with_input(&bag, &add, &format!("{secret}\n"));
    assert!(success, "{stderr}");
    let registration: Registration = serde_json::from_str(&stdout).expect("a registration");
    assert_eq!((registration.client_id.as_str(), registration.client_secret.as_str()), (id, secret));
    token_of(&bag, &registration).await;

    let rotate = ["clients", "rotate", id, "--secret-stdin", "--json"];
    let (success, stdout, stderr) = command_with_input(&bag, &rotate, "another secret of one's own");
    assert!(success, "{stderr}");
    let rotated: Registration = serde_json::from_str(&stdout).expect("a registration");
    assert_eq!(rotated.client_secret, "another secret of one's own");
    token_of(&bag, &rotated).await;
    bag.request_token(&registration).await.expect_status(401);

    let (success, _, stderr) = command_with_input(&bag, &rotate, "short\n");
    assert!(!success && stderr.contains("shorter than 16 bytes") && !stderr.contains("`short`"), "{stderr}");
    // Only a digest of it is kept.
    let database = rusqlite::Connection::open(bag.data_dir().join("catalog.db")).expect("the database");
    let kept: Vec<String> = database
        .prepare("select sha256 from client_secrets where client = ?1")
        .and_then(|mut query| query.query_map([id], |row| row.get(0))?.collect())
        .expect("its secrets");
    assert!(!kept.is_empty() && kept.iter().all(|digest| digest.len() == 64), "{kept:?}");
}

#[tokio::test]
async fn what_cannot_be_registered_is_told() {
    let bag = Jumpbag::start().await;
    for (arguments, told) in [
        (
            vec!["x", "--permission", "Library.Everything"],
            "permission `Library.Everything`: expected one of Library.Manage",
        ),
        (vec!["x"], "--permission"),
        (vec!["", "--permission", "Library.Manage"], "name ``: expected 1 to 256 bytes"),
        (vec!["x", "--permission", "Library.Manage", "--id", "a b"], "id `a b`: expected 1 to 128 letters"),
        (
            vec!["x", "--permission", "Library.Manage", "--expires", "2001-01-01"],
            "--expires `2001-01-01`: expected a time to come",
        ),
        (
            vec!["x", "--permission", "Library.Manage", "--certificate", "/nowhere.pem"],
            "cannot read `/nowhere.pem`",
        ),
    ] {
        let (status, _, stderr) = bag.command(&[["clients", "add"].as_slice(), &arguments].concat()).await;
        assert!(!status.success() && stderr.contains(told), "{arguments:?}: {stderr}");
    }
}

#[tokio::test]
async fn keys_rotate_and_old_tokens_stay_good() {
    let bag = Jumpbag::start().await;
    let registration = bag.register("rotating", &["Library.Manage"]).await;
    let old = token_of(&bag, &registration).await;
    let (status, stdout, stderr) = bag.command(&["keys", "rotate"]).await;
    assert!(status.success(), "{stderr}");
    let kid = stdout.trim().strip_prefix("new signing key: ").expect("the new key").to_string();
    assert_ne!(kid_of(&old), kid);
    let new = eventually("new tokens have the new key", async || {
        let token = token_of(&bag, &registration).await;
        (kid_of(&token) == kid).then_some(token)
    })
    .await;
    for token in [&old, &new] {
        bag.anonymous().with_token(token).get("/api/libraryfiles").await.expect_status(200);
    }
    let keys = format!("/{}/discovery/v2.0/keys", registration.tenant);
    let keys = bag.anonymous().get(&keys).await.expect_status(200).json();
    let kids: Vec<&str> =
        keys["keys"].as_array().expect("keys").iter().filter_map(|key| key["kid"].as_str()).collect();
    assert!(kids.contains(&kid.as_str()) && kids.contains(&kid_of(&old).as_str()), "{kids:?}");
    assert!(!keys.to_string().contains("\"d\":"), "a private key is published");
    bag.restart().await;
    bag.anonymous().with_token(&old).get("/api/libraryfiles").await.expect_status(200);
}

fn kid_of(token: &str) -> String {
    let header = token.split('.').next().expect("a header");
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header).expect("base64");
    let header: Value = serde_json::from_slice(&header).expect("JSON");
    header["kid"].as_str().expect("a kid").to_string()
}
