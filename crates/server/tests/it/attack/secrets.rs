//! Where secrets, tokens and private keys must not be, and who may read the files they are in.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::support::server::{Jumpbag, Registration};

/// Every file and folder below one, itself included.
fn everything(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(everything(&path)),
            false => found.push(path),
        }
    }
    found
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).expect("a file").permissions().mode() & 0o777
}

fn contains(file: &Path, text: &str) -> bool {
    let bytes = std::fs::read(file).expect("a readable file");
    memchr::memmem::find(&bytes, text.as_bytes()).is_some()
}

#[tokio::test]
async fn secrets_and_tokens_are_nowhere_but_in_their_answers() {
    let bag = Jumpbag::options().set("log_level", "trace").start().await;
    let app = bag.register("app", &["Library.Manage"]).await;
    let answer = bag.request_token(&app).await.expect_status(200).json();
    let token = answer["access_token"].as_str().expect("a token");
    let caller = bag.anonymous().with_token(token);
    caller.upload("a.ps1", "the secret content of a script").await.expect_status(200);
    caller.upload("b.bin", vec![b'Z'; 200_000]).await.expect_status(200);
    caller.get("/api/libraryfiles").await.expect_status(200);
    let wrong = Registration { client_secret: "a-wrong-secret-that-was-typed".into(), ..app.clone() };
    bag.request_token(&wrong).await.expect_status(401);
    bag.anonymous().with_token(&format!("{token}x")).get("/api/libraryfiles").await.expect_status(401);

    let (_, settings, _) = bag.command(&["config"]).await;
    let (_, clients, _) = bag.command(&["clients", "list"]).await;
    let (_, clients_json, _) = bag.command(&["clients", "list", "--json"]).await;
    let process = PathBuf::from(format!("/proc/{}", bag.process_id()));
    let read = |name: &str| {
        String::from_utf8_lossy(&std::fs::read(process.join(name)).expect("a process")).into_owned()
    };
    let places = [
        ("log", bag.logs()),
        ("metrics", bag.ops("/metrics").await.text()),
        ("config", settings),
        ("clients list", clients),
        ("clients list --json", clients_json),
        ("arguments", read("cmdline")),
        ("environment", read("environ")),
    ];
    let signature = token.rsplit('.').next().expect("a signature");
    for (place, text) in &places {
        for hidden in [
            &app.client_secret,
            token,
            signature,
            &wrong.client_secret,
            "secret content",
            "ZZZZZZ",
            "BEGIN PRIVATE KEY",
        ] {
            assert!(!text.contains(hidden), "{place} shows `{hidden}`");
        }
    }
    bag.stop().await;
    for file in everything(bag.data_dir()).iter().filter(|path| path.is_file()) {
        for hidden in [&app.client_secret, token, signature, &wrong.client_secret] {
            assert!(!contains(file, hidden), "{} holds `{hidden}`", file.display());
        }
        let holds_keys = contains(file, "BEGIN PRIVATE KEY");
        assert_eq!(holds_keys, file.ends_with("catalog.db"), "{}", file.display());
    }
}

#[tokio::test]
async fn the_settings_are_shown_without_what_is_secret_in_them() {
    let bag = Jumpbag::start().await;
    let secret = "hunter2hunter2";
    for (key, value) in [
        ("database_url", format!("postgres://user:{secret}@host/db")),
        ("database_url", format!("postgres://host/db?user=u&password={secret}")),
        ("database_url", format!("host=h password={secret}")),
        ("blob_url", format!("s3://key:{secret}@bucket/prefix")),
        ("blob_options", format!("{{ aws_secret_access_key = \"{secret}\" }}")),
        ("blob_options", format!("{{ AWS_SECRET_ACCESS_KEY = \"{secret}\" }}")),
        ("blob_options", format!("{{ Azure_Storage_SAS_Token = \"{secret}\" }}")),
        ("blob_options", format!("{{ aws_secret_access_key = {secret} }}")),
        ("blob_options", format!("[\"{secret}\"]")),
        ("blob_options", format!("{{ a = [\"{secret}\"], aws_session_token = 7 }}")),
    ] {
        for command in [&["config"][..], &["clients", "list"]] {
            let set = format!("{key}={value}");
            let (_, stdout, stderr) = bag.command(&[command, &["--set", &set]].concat()).await;
            assert!(
                !stdout.contains(secret) && !stderr.contains(secret),
                "{command:?} {set}: {stdout}{stderr}"
            );
        }
    }
}

#[tokio::test]
async fn only_their_owner_may_read_the_files() {
    let bag = Jumpbag::options().tls().start().await;
    bag.upload("large.bin", vec![b'x'; 200_000]).await.expect_status(200);
    bag.upload("small.ps1", "1").await.expect_status(200);
    let data = bag.data_dir();
    assert_eq!(mode(data), 0o700);
    for path in everything(data) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("catalog.db") || name == "key.pem" {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
    let copy = data.with_file_name("backup");
    let target = copy.to_str().expect("a path in UTF-8");
    let (status, _, stderr) = bag.command(&["backup", target]).await;
    assert!(status.success(), "{stderr}");
    assert_eq!((mode(&copy), mode(&copy.join("catalog.db"))), (0o700, 0o600));
}

#[tokio::test]
async fn folders_that_are_something_else_are_refused() {
    let bag = Jumpbag::start().await;
    bag.upload("a.ps1", "1").await.expect_status(200);
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| scratch.path().join(name);
    std::fs::write(at("file"), "precious").expect("a file");
    std::fs::create_dir(at("full")).expect("a folder");
    std::fs::write(at("full/catalog.db"), "precious").expect("a file");
    symlink(at("nowhere"), at("dangling")).expect("a link");
    symlink(at("full"), at("link")).expect("a link");
    for name in ["file", "full", "dangling", "link", "file/below"] {
        let target = at(name);
        let (status, _, stderr) = bag.command(&["backup", target.to_str().expect("UTF-8")]).await;
        assert!(!status.success(), "a backup went into `{name}`");
        assert!(stderr.contains(name), "{stderr}");
    }
    for name in ["file", "dangling", "file/below"] {
        let (status, stderr) = Jumpbag::options().data_dir(&at(name)).fail_to_start().await;
        assert!(!status.success() && stderr.contains(name), "{stderr}");
    }
    for file in [at("file"), at("full/catalog.db")] {
        assert_eq!(std::fs::read_to_string(file).expect("still there"), "precious");
    }
    assert!(!at("nowhere").exists());
}
