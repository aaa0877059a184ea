//! Settings: which layer wins, what is refused, and what operators are shown of them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::client::{Client, http_trusting};
use crate::support::poll::eventually;
use crate::support::repository;
use crate::support::server::{Jumpbag, Options};

/// What `config` prints: key to value and origin. Panics when it finds a problem.
async fn shown(options: &Options, arguments: &[&str]) -> BTreeMap<String, (String, String)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = [["config"].as_slice(), arguments].concat();
    let (status, stdout, stderr) = options.run(folder.path(), &arguments).await;
    assert!(status.success(), "{stderr}");
    parsed(&stdout)
}

fn parsed(stdout: &str) -> BTreeMap<String, (String, String)> {
    stdout
        .lines()
        .map(|line| {
            let (key, rest) = line.split_once(" = ").unwrap_or_else(|| panic!("no setting: {line}"));
            let (value, origin) = rest.rsplit_once("  # ").unwrap_or_else(|| panic!("no origin: {line}"));
            (key.to_string(), (value.to_string(), origin.to_string()))
        })
        .collect()
}

/// What `config` says is wrong. Panics when it is content.
async fn problems(options: &Options, arguments: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = [["config"].as_slice(), arguments].concat();
    let (status, _, stderr) = options.run(folder.path(), &arguments).await;
    assert!(!status.success(), "nothing is wrong with {arguments:?}");
    stderr.lines().map(|line| line.strip_prefix("jumpbag-server: ").unwrap_or(line).to_string()).collect()
}

fn file(folder: &Path, text: &str) -> String {
    let path = folder.join("settings.toml");
    std::fs::write(&path, text).expect("write a settings file");
    path.display().to_string()
}

#[tokio::test]
async fn flags_go_before_the_environment_and_that_before_the_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = "max_file_bytes = 1\nretention_days = 2\nlibrary_calls_per_minute = 3\nstrict_names = true\n";
    let file = file(folder.path(), text);
    let options = Options::default()
        .set("retention_days", 20)
        .set("library_calls_per_minute", 30)
        .set("rate_limits", false)
        .set("tenant_names", "[\"a.example\", \"b.example\"]");
    let flags = ["--config", &file, "--set", "library_calls_per_minute=300", "--set", "log_level=debug"];
    let shown = shown(&options, &flags).await;
    for (key, value, origin) in [
        ("max_file_bytes", "1", file.as_str()),
        ("strict_names", "true", &file),
        ("retention_days", "20", "environment JUMPBAG_RETENTION_DAYS"),
        ("rate_limits", "false", "environment JUMPBAG_RATE_LIMITS"),
        ("tenant_names", "[\"a.example\", \"b.example\"]", "environment JUMPBAG_TENANT_NAMES"),
        ("library_calls_per_minute", "300", "--set library_calls_per_minute"),
        ("log_level", "\"debug\"", "--set log_level"),
        ("body_idle_seconds", "30", "default"),
    ] {
        assert_eq!(shown[key], (value.to_string(), origin.to_string()), "{key}");
    }
    assert_eq!(shown["data_dir"].1, "--data-dir");
}

/// The same, seen from outside: the layers reach the server that runs.
#[tokio::test]
async fn the_server_runs_with_what_is_shown() {
    let bag = Jumpbag::options()
        .config("max_file_bytes = 10\nlibrary_calls_per_minute = 1\nstrict_names = true\n")
        .set("rate_limits", false)
        .argument("--set")
        .argument("max_file_bytes=20")
        .start()
        .await;
    bag.upload("a.ps1", "x".repeat(20)).await.expect_status(200);
    let refused = bag.upload("b.ps1", "x".repeat(21)).await.expect_status(400);
    assert!(refused.error_message().contains("limit of 20 bytes"));
    bag.upload("a b.ps1", "x").await.expect_status(400);
}

#[tokio::test]
async fn the_environment_may_name_the_file_and_a_flag_another() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let named = file(folder.path(), "retention_days = 7\n");
    let other = folder.path().join("other.toml");
    std::fs::write(&other, "retention_days = 8\n").expect("write a settings file");
    let options = Options::default().set("config", &named);
    assert_eq!(shown(&options, &[]).await["retention_days"], ("7".to_string(), named));
    let other = other.display().to_string();
    let shown = shown(&options, &["--config", &other]).await;
    assert_eq!(shown["retention_days"], ("8".to_string(), other));
}

#[tokio::test]
async fn every_problem_is_told_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = "max_upload_file_bytes = 1\nmax_file_bytes = \"many\"\ntls = \"on\"\nissuers = [{ issuer = \"x\" }]\n";
    let file = file(folder.path(), text);
    let options = Options::default()
        .set("rate_limit", false)
        .set("retention_days", -1)
        .set("trusted_proxies", "[\"proxy\"]")
        .set("public_url", "bag.example.org");
    let flags =
        ["--config", &file, "--set", "nonsense=1", "--set", "small_file_bytes=1e9", "--listen", "everywhere"];
    let found = problems(&options, &flags).await;
    for wanted in [
        format!("`max_upload_file_bytes` ({file}): no such setting; did you mean `max_file_bytes`?"),
        "`rate_limit` (environment JUMPBAG_RATE_LIMIT): no such setting; did you mean `rate_limits`?".into(),
        "`nonsense` (--set nonsense): no such setting".into(),
        format!("`max_file_bytes` = \"many\" ({file}): expected a whole number from 1 to 4294967296"),
        format!("`tls` = \"on\" ({file}): expected \"off\" or \"self-signed\" or \"files\""),
        "`retention_days` = -1 (environment JUMPBAG_RETENTION_DAYS): expected a whole number from 0 to 36500".into(),
        "`trusted_proxies` = [\"proxy\"] (environment JUMPBAG_TRUSTED_PROXIES): expected a list of IP addresses".into(),
        "`public_url` = \"bag.example.org\" (environment JUMPBAG_PUBLIC_URL): expected an address such as \
         `https://bag.example.org`, or empty"
            .into(),
        "`listen` = \"everywhere\" (--listen): expected an address and port such as `127.0.0.1:8080`".into(),
    ] {
        assert!(found.contains(&wanted), "not told: {wanted}\n{}", found.join("\n"));
    }
    for key in ["`small_file_bytes` = ", "`issuers` = "] {
        assert!(found.iter().any(|line| line.starts_with(key)), "{key}: {}", found.join("\n"));
    }
    assert_eq!(found.len(), 11, "{}", found.join("\n"));
    // A server does not come up with any of them.
    let (status, stderr) = Jumpbag::options().set("retention_days", -1).fail_to_start().await;
    assert!(!status.success() && stderr.contains("`retention_days` = -1"), "{stderr}");
}

#[tokio::test]
async fn files_that_are_no_settings() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let broken = file(folder.path(), "listen = \n");
    let found = problems(&Options::default(), &["--config", &broken]).await;
    assert!(found[0].starts_with(&format!("settings file `{broken}` is not TOML")), "{found:?}");
    let found = problems(&Options::default(), &["--config", "/nowhere.toml"]).await;
    assert!(found[0].starts_with("cannot read settings file `/nowhere.toml`"), "{found:?}");
    let found = problems(&Options::default(), &["--set", "rate_limits"]).await;
    assert!(found[0].contains("expected KEY=VALUE"), "{found:?}");
}

#[tokio::test]
async fn secrets_are_starred() {
    let options = Options::default()
        .set("database_url", "postgres://user:open-sesame@db.example/bag?sslmode=require")
        .set("blob_url", "s3://bucket/prefix")
        .set(
            "blob_options",
            "{ aws_access_key_id = \"open-key\", aws_secret_access_key = \"open-secret\", aws_session_token = \
             \"open-token\", aws_region = \"eu\" }",
        );
    let shown = shown(&options, &[]).await;
    assert_eq!(shown["database_url"].0, "\"postgres://user:***@db.example/bag?sslmode=require\"");
    let blobs = &shown["blob_options"].0;
    assert!(blobs.contains("aws_region = \"eu\"") && blobs.contains("***"), "{blobs}");
    let everything = format!("{shown:?}");
    for secret in ["open-sesame", "open-secret", "open-token"] {
        assert!(!everything.contains(secret), "{everything}");
    }
    for url in [
        "postgres://db.example/bag?password=open-sesame",
        "mysql://user:open-sesame@db",
        "user:open-sesame@db.example/bag",
        "host=db.example password=open-sesame",
    ] {
        let options = Options::default().set("database_url", url).set("max_file_bytes", 0);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (_, stdout, stderr) = options.run(folder.path(), &["config"]).await;
        assert!(!stdout.contains("open-sesame") && !stderr.contains("open-sesame"), "{stdout}\n{stderr}");
    }
}

#[tokio::test]
async fn the_example_file_is_the_defaults() {
    let example = repository().join("jumpbag.example.toml");
    let text = std::fs::read_to_string(&example).expect("the example file");
    let written: toml::Table = text.parse().expect("TOML");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_jumpbag-server"))
        .arg("config")
        .current_dir(folder.path())
        .output()
        .expect("run `config`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let defaults = parsed(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(defaults.keys().collect::<Vec<_>>(), written.keys().collect::<Vec<_>>());
    for (key, (value, origin)) in &defaults {
        assert_eq!(origin, "default", "{key}");
        let default: toml::Table = format!("value = {value}").parse().expect("TOML");
        assert_eq!(default["value"], written[key.as_str()], "{key}");
        // Each stands on a line of its own, under words that say what it is.
        let at = text.lines().position(|line| line.starts_with(&format!("{key} = "))).expect("a line");
        let above = text.lines().take(at).collect::<Vec<_>>();
        let explained =
            above.iter().rev().take_while(|line| !line.is_empty()).any(|line| line.starts_with("# "));
        assert!(explained, "{key} is not explained");
    }
}

#[tokio::test]
async fn plain_http_is_for_loopback_alone_unless_allowed() {
    let none = Options::default();
    for listen in ["0.0.0.0:8080", "192.0.2.1:80", "[::]:0"] {
        let found = problems(&none, &["--listen", listen]).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("a loopback address while `tls` is \"off\""), "{found:?}");
        assert!(found[0].contains("allow_plaintext"), "{found:?}");
        shown(&none, &["--listen", listen, "--tls", "self-signed"]).await;
        shown(&none, &["--listen", listen, "--set", "allow_plaintext=true"]).await;
    }
    for listen in ["127.0.0.1:1", "[::1]:1", "127.1.2.3:1"] {
        shown(&none, &["--listen", listen]).await;
    }
}

#[tokio::test]
async fn tls_needs_files_that_work_together() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let files = || {
        Options::default()
            .set("tls", "files")
            .set("tls_certificate", certificate.display())
            .set("tls_key", key.display())
    };
    let found = problems(&Options::default().set("tls", "files"), &[]).await;
    assert_eq!(found.len(), 2, "{found:?}");
    let (_, stderr) = files().fail_to_start().await;
    assert!(stderr.contains("cannot read certificates from") && stderr.contains("cert.pem"), "{stderr}");
    make_certificate(&certificate, &key);
    std::fs::write(&key, "no key").expect("write a file");
    let (_, stderr) = files().fail_to_start().await;
    assert!(stderr.contains("cannot read a private key from") && stderr.contains("key.pem"), "{stderr}");
    make_certificate(&folder.path().join("other.pem"), &key);
    let (_, stderr) = files().fail_to_start().await;
    assert!(stderr.contains("do not work together"), "{stderr}");
}

/// Writes a new certificate for `localhost` and its key; what trusts it.
fn make_certificate(certificate: &Path, key: &Path) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_string()]).expect("a certificate");
    std::fs::write(key, made.signing_key.serialize_pem()).expect("write the key");
    std::fs::write(certificate, made.cert.pem()).expect("write the certificate");
    made.cert.pem().into_bytes()
}

#[tokio::test]
async fn a_certificate_that_changes_is_used_for_new_connections() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let first = make_certificate(&certificate, &key);
    let bag = Jumpbag::options()
        .set("tls", "files")
        .set("tls_certificate", certificate.display())
        .set("tls_key", key.display())
        .start()
        .await;
    let url = bag.url().replace("127.0.0.1", "localhost");
    let trusting = |pem: &[u8]| Client::new(http_trusting(pem), &url, None);
    let early = trusting(&first);
    early.get("/api").await.expect_status(200);

    // One that cannot be used changes nothing.
    std::fs::write(&certificate, "no certificate").expect("write a file");
    bag.logged(&["ERROR", "the certificate in use stays", "cert.pem"]).await;
    trusting(&first).get("/api").await.expect_status(200);

    let second = make_certificate(&certificate, &key);
    eventually("a new connection sees the new certificate", async || {
        trusting(&second).get("/api").attempt().await.ok()
    })
    .await
    .expect_status(200);
    assert!(trusting(&first).get("/api").attempt().await.is_err(), "the old certificate is still used");
    // A connection that was open before goes on.
    early.get("/api").await.expect_status(200);
}
