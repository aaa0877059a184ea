//! Kills during a first start, `clients add` and `backup`: whatever was half done, the next one works.

use std::path::Path;
use std::time::{Duration, Instant};

use jumpbag_server::blobs::BlobStore;
use jumpbag_server::catalog::Catalog;
use jumpbag_server::catalog::CatalogError;
use jumpbag_server::catalog::value::Value;
use proptest::prelude::RngExt as _;

use super::{kills, rng, seed};
use crate::conformance_catalog::sha256;
use crate::support::SOON;
use crate::support::process::Process;
use crate::support::server::{Jumpbag, Registration};

fn program(data_dir: &Path, arguments: &[&str]) -> Process {
    let program =
        std::env::var_os("TEST_JUMPBAG_SERVER").unwrap_or(env!("CARGO_BIN_EXE_jumpbag-server").into());
    let mut command = Process::command(program);
    command.env("JUMPBAG_OPS_LISTEN", "").arg("--data-dir").arg(data_dir).args(arguments);
    Process::spawn("jumpbag-server", command)
}

/// Lets the program run for this long, unless it ends before, and kills it. What it has printed until then.
pub async fn killed_after(data_dir: &Path, arguments: &[&str], moment: Duration) -> String {
    let process = program(data_dir, arguments);
    let _ = tokio::time::timeout(moment, process.ended(SOON)).await;
    process.kill().await;
    process.stdout()
}

/// How long the program takes when nobody kills it.
async fn time(data_dir: &Path, arguments: &[&str], mark: &str) -> Duration {
    let began = Instant::now();
    let process = program(data_dir, arguments);
    process.line(SOON, |line| line.contains(mark).then_some(())).await;
    began.elapsed()
}

/// `check --repair` on a server that does not run; then there is nothing to find any more.
pub async fn check(bag: &Jumpbag) {
    for arguments in [&["check", "--repair"][..], &["check"]] {
        let (status, stdout, stderr) = bag.command(arguments).await;
        assert!(status.success(), "{arguments:?}: {stdout}{stderr}");
        assert!(stdout.contains(" 0 problems"), "{stdout}");
        let clean = stdout.contains(" 0 ownerless blobs");
        assert!(clean || arguments.len() == 2, "{stdout}");
    }
}

async fn start(data_dir: &Path) -> Jumpbag {
    Jumpbag::options().set("rate_limits", false).data_dir(data_dir).start().await
}

#[tokio::test]
async fn heavy_kills_during_the_first_start_hinder_no_other() {
    let mut rng = rng(seed(), 1);
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    let whole = {
        let own = tempfile::tempdir().expect("a temporary folder");
        time(&own.path().join("data"), &serve, "listening on").await
    };
    for _ in 0..kills().div_ceil(2) {
        let own = tempfile::tempdir().expect("a temporary folder");
        let data_dir = own.path().join("data");
        // Once or several times in a row.
        for _ in 0..rng.random_range(1..4) {
            let moment = whole.mul_f64(rng.random_range(0.0..1.2));
            killed_after(&data_dir, &serve, moment).await;
        }
        let bag = start(&data_dir).await;
        bag.upload("a.ps1", "echo a").await.expect_status(200);
        assert_eq!(bag.names().await, ["a.ps1"]);
        assert!(bag.stop().await.success());
        check(&bag).await;
    }
}

#[tokio::test]
async fn heavy_kills_during_clients_add_leave_whole_clients_only() {
    let mut rng = rng(seed(), 2);
    let bag = start(&tempfile::tempdir().expect("a temporary folder").keep().join("data")).await;
    let add = ["clients", "add", "whole", "--permission", "Library.Manage", "--json"];
    let whole = time(bag.data_dir(), &add, "client_secret").await;
    let mut known = 1;
    for _ in 0..kills() {
        let moment = whole.mul_f64(rng.random_range(0.0..1.2));
        let printed = killed_after(bag.data_dir(), &add, moment).await;
        let (status, stdout, stderr) = bag.command(&["clients", "list", "--json"]).await;
        assert!(status.success(), "{stderr}");
        let clients: Vec<serde_json::Value> = serde_json::from_str(&stdout).expect("JSON");
        let clients: Vec<_> = clients.iter().filter(|client| client["name"] == "whole").collect();
        for client in &clients {
            assert_eq!(client["permissions"], serde_json::json!(["Library.Manage"]), "{client}");
            assert_eq!(client["secrets"], 1, "{client}");
        }
        assert!((known..=known + 1).contains(&clients.len()), "{} after {known}", clients.len());
        known = clients.len();
        // What was shown works.
        if let Ok(registration) = serde_json::from_str::<Registration>(&printed) {
            bag.request_token(&registration).await.expect_status(200);
        }
    }
    let registration = bag.register("at last", &["Library.Manage"]).await;
    bag.request_token(&registration).await.expect_status(200);
    let folder = bag.data_dir().parent().expect("its parent").to_owned();
    drop(bag);
    std::fs::remove_dir_all(folder).expect("remove");
}

#[tokio::test]
async fn heavy_kills_during_backup_harm_neither_the_library_nor_the_next_backup() {
    let mut rng = rng(seed(), 3);
    let own = tempfile::tempdir().expect("a temporary folder");
    let bag = start(&own.path().join("data")).await;
    for number in 0..120_u8 {
        let size = if number % 2 == 0 { 60_000 } else { 100_000 };
        bag.upload(&format!("{number:03}.ps1"), vec![number; size]).await.expect_status(200);
    }
    let listed = bag.list().await.json()["value"].clone();
    let folder = |name: &str| own.path().join(name).display().to_string();
    let whole = time(bag.data_dir(), &["backup", &folder("whole")], "backup in").await;
    let mut restored = 0;
    for number in 0..kills().div_ceil(2) {
        let copy = folder(&format!("copy-{number}"));
        let moment = whole.mul_f64(rng.random_range(0.0..1.1));
        let printed = killed_after(bag.data_dir(), &["backup", &copy], moment).await;
        assert_eq!(bag.list().await.json()["value"], listed);
        // A backup that was cut off is refused, never restored in part.
        let target = own.path().join(format!("target-{number}"));
        let outcome = restore(&target, &copy).await;
        assert!(outcome.is_ok() || !printed.contains("backup in"), "{outcome:?}");
        if outcome.is_ok() {
            restored += 1;
            assert_eq!(start(&target).await.list().await.json()["value"], listed);
        }
        let _ = std::fs::remove_dir_all(&copy);
        let _ = std::fs::remove_dir_all(&target);
    }
    eprintln!("{} backups killed, {restored} of them were whole", kills().div_ceil(2));
    let target = own.path().join("target");
    restore(&target, &folder("whole")).await.expect("a whole backup");
    assert_eq!(start(&target).await.list().await.json()["value"], listed);
    assert!(bag.stop().await.success());
    check(&bag).await;
}

async fn restore(target: &Path, backup: &str) -> Result<(), String> {
    let process = program(target, &["restore", backup]);
    let status = process.ended(Duration::from_secs(60)).await;
    match status.success() {
        true => Ok(()),
        false => Err(process.stderr()),
    }
}

/// The catalog of a backup is copied first, its tenant last.
#[tokio::test]
async fn a_backup_without_its_last_rows_is_refused() {
    let own = tempfile::tempdir().expect("a temporary folder");
    let backup = own.path().join("backup");
    BlobStore::folder(&backup.join("blobs")).expect("a folder of blobs");
    let catalog = Catalog::open_sqlite(&backup.join("catalog.db")).await.expect("a catalog");
    let written: Result<u64, CatalogError> = catalog
        .write(move |tx| {
            Box::pin(async move {
                // Without a tenant there are no changes: these rows are as if only they had been copied.
                let row = [sha256(b"a").into(), Value::Bytes("a".into())];
                let sql =
                    "insert into contents (id, sha256, size, bytes, created_at) values (1, $1, 1, $2, 1)";
                tx.execute(sql, &row).await
            })
        })
        .await;
    written.expect("some rows");
    drop(catalog);
    let target = own.path().join("data");
    let refused = restore(&target, &backup.display().to_string()).await.expect_err("it is not whole");
    assert!(refused.contains("cut off") && refused.contains(&backup.display().to_string()), "{refused}");
    // Nothing of it arrived.
    let bag = start(&target).await;
    assert!(bag.names().await.is_empty());
}
