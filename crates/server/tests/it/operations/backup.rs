//! `backup`, `restore` and `check`.

use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::client::Client;
use crate::support::poll::eventually;
use crate::support::postgres::postgres_database;
use crate::support::server::{Jumpbag, Options};

/// Bytes that only this name and round have: some small, some blobs.
fn content(name: &str, round: usize) -> Vec<u8> {
    let size = if round.is_multiple_of(3) { 200_000 } else { 500 };
    format!("{name} {round} ").repeat(size / 10).into_bytes()
}

/// Uploads, overrides and deletes without pause until told to stop.
async fn change(client: Client, writer: usize, mut stop: tokio::sync::watch::Receiver<bool>) -> usize {
    let mut round = 0;
    while !*stop.borrow_and_update() {
        round += 1;
        let name = format!("busy-{writer}-{}.bin", round % 10);
        let upload = client.upload(&name, content(&name, round)).override_if_exists();
        upload.await.expect_status(200);
        if round.is_multiple_of(4) {
            client.delete(&format!("/api/libraryfiles/{name}")).await.expect_status(204);
        }
    }
    round
}

#[tokio::test]
async fn a_backup_made_under_load_comes_back_whole_on_either_database() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let client = bag.client().await;
    let mut still = Vec::new();
    for n in 0..10 {
        let name = format!("still-{n}.bin");
        let entity = client.upload(&name, content(&name, n)).description("same before and after").await;
        let mut entity = entity.expect_status(200).json();
        entity.as_object_mut().expect("an entity").remove("@odata.context");
        still.push(entity);
    }
    let registration = bag.register("known", &["Library.Manage"]).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let writers: Vec<_> =
        (0..4).map(|writer| tokio::spawn(change(client.clone(), writer, stopped.clone()))).collect();
    eventually("the library is busy", async || (bag.names().await.len() > 20).then_some(())).await;
    let folder = bag.data_dir().with_extension("backup");
    let (status, said, stderr) = bag.command(&["backup", &folder.display().to_string()]).await;
    assert!(status.success(), "{stderr}");
    assert!(said.contains("every digest verified"), "{said}");
    stop.send(true).expect("the writers listen");
    for writer in writers {
        assert!(writer.await.expect("it wrote on") > 5);
    }

    let database = postgres_database().await;
    let other = tempfile::tempdir().expect("a temporary folder");
    let targets =
        [("sqlite", Jumpbag::options()), ("postgres", Jumpbag::options().set("database_url", &database.url))];
    let mut lists = Vec::new();
    for (name, options) in targets {
        let restored = restore(options, &other.path().join(name), &folder).await;
        let list = restored.list().await.expect_status(200).json()["value"].clone();
        let files = list.as_array().expect("a collection");
        for entity in &still {
            assert!(files.contains(entity), "{entity} is not in the backup");
        }
        let (status, report, _) = restored.command(&["check"]).await;
        assert!(status.success(), "{report}");
        // Who was registered is registered, and goes on where the backup ends.
        restored.request_token(&registration).await.expect_status(200);
        restored.upload("still-0.bin", "new").override_if_exists().await.expect_status(200);
        restored.delete("still-1.bin").await.expect_status(204);
        lists.push(list);
    }
    assert_eq!(lists[0], lists[1], "both databases hold the same library");
}

/// A server on data that came from a backup.
async fn restore(options: Options, data_dir: &Path, backup: &Path) -> Jumpbag {
    let command = ["restore", &backup.display().to_string()];
    let (status, said, stderr) = options.run(data_dir, &command).await;
    assert!(status.success(), "{stderr}");
    assert!(said.contains("every digest verified"), "{said}");
    let (status, _, stderr) = options.run(data_dir, &command).await;
    assert!(!status.success() && stderr.contains("not empty"), "{stderr}");
    options.data_dir(data_dir).start().await
}

#[tokio::test]
async fn a_backup_is_not_made_over_something_nor_restored_from_nothing() {
    let bag = Jumpbag::start().await;
    let folder = bag.data_dir().display().to_string();
    let (status, _, stderr) = bag.command(&["backup", &folder]).await;
    assert!(!status.success() && stderr.contains("exists"), "{stderr}");
    let (status, _, stderr) = bag.command(&["restore", "/nowhere"]).await;
    assert!(!status.success() && stderr.contains("holds no backup"), "{stderr}");
    let blobs = bag.data_dir().join("blobs").display().to_string();
    let (status, _, stderr) = bag.command(&["restore", &blobs]).await;
    assert!(!status.success() && stderr.contains("holds no backup"), "{stderr}");
}

#[tokio::test]
async fn check_reports_ownerless_blobs_and_repair_removes_them_alone() {
    let bag = Jumpbag::start().await;
    let blobs = bag.data_dir().join("blobs");
    let large = vec![b'k'; 100_000];
    bag.upload("kept.bin", large.clone()).await.expect_status(200);
    bag.upload("deleted.bin", vec![b'd'; 100_000]).await.expect_status(200);
    bag.delete("deleted.bin").await.expect_status(204);
    // The same bytes once more: the new blob is the one that counts, the old one stays for a while.
    bag.upload("same.bin", large.clone()).await.expect_status(200);
    let owned = std::fs::read_dir(&blobs).expect("the blob folder").count();
    assert_eq!(owned, 3, "a deleted file keeps its bytes for the retention time");
    let (status, report, _) = bag.command(&["check"]).await;
    assert!(
        status.success() && report.contains("checked 2 contents, 200000 bytes: 0 problems, 0 ownerless"),
        "{report}"
    );

    let stray = blobs.join("0192aaaaaaaa7000800000000000dead");
    let unfinished = blobs.join("0192aaaaaaaa7000800000000000beef");
    for path in [&stray, &unfinished] {
        std::fs::write(path, "left behind").expect("write a stray file");
        let hours_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
        std::fs::File::options()
            .write(true)
            .open(path)
            .and_then(|file| file.set_modified(hours_ago))
            .expect("make it old");
    }
    let (status, report, _) = bag.command(&["check"]).await;
    assert!(
        !status.success() && report.contains("`0192aaaaaaaa7000800000000000dead` (11 bytes) has no row"),
        "{report}"
    );
    assert!(stray.exists());
    let (status, report, _) = bag.command(&["check", "--repair"]).await;
    assert!(status.success() && report.contains("2 ownerless blobs removed"), "{report}");
    assert!(!stray.exists() && !unfinished.exists());
    assert_eq!(std::fs::read_dir(&blobs).expect("the blob folder").count(), owned);
    let (status, report, _) = bag.command(&["check"]).await;
    assert!(status.success(), "{report}");
    let entity: Value = bag.client().await.get("/api/libraryfiles/kept.bin").await.json();
    let digest: String = Sha256::digest(&large).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(entity["sha256"], digest.as_str());
}
