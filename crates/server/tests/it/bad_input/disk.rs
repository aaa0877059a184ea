//! Disks that are full, read-only or gone, and a database that somebody else holds: a 5xx in the envelope, reads go
//! on where they can, and everything works again when the trouble is over.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Ground, assert_refused, files_in};
use crate::support::poll::eventually;
use crate::support::server::Jumpbag;

const FULL: (u16, &str, &str) = (507, "InsufficientStorage", "the server has no space left to store this");
const FAILED: (u16, &str, &str) =
    (500, "InternalServerError", "the server failed: its log tells why, under this error's target");

/// A small file system of its own, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path, kib: u32) -> SmallDisk {
        std::fs::create_dir_all(folder).expect("a folder to mount on");
        run("mount", &["-t", "tmpfs", "-o", &format!("size={kib}k,mode=0700"), "jumpbag-test"], folder);
        SmallDisk(folder.to_path_buf())
    }

    fn remount(&self, options: &str) {
        run("mount", &["-o", &format!("remount,{options}")], &self.0);
    }

    /// Takes all the room there is.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.filler()).expect("a file on the small disk");
        for size in [64 * 1024, 4096, 1] {
            while std::io::Write::write_all(&mut file, &vec![b'x'; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).expect("the file that takes the room");
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn run(program: &str, arguments: &[&str], folder: &Path) {
    let output = Command::new(program)
        .args(arguments)
        .arg(folder)
        .output()
        .unwrap_or_else(|error| panic!("cannot run `{program}`: {error}"));
    assert!(
        output.status.success(),
        "this test mounts a small file system, for which it must run as root where mounting is permitted: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
}

#[tokio::test]
async fn a_full_disk_for_blobs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let disk = SmallDisk::mount(&data.join("blobs"), 2048);
    let bag = Jumpbag::options().data_dir(&data).set("rate_limits", false).start().await;
    let client = bag.client().await;
    client.upload("kept.bin", vec![b'k'; 300_000]).await.expect_status(200);
    let before = bag.list().await.text();
    let blobs = files_in(&data.join("blobs"));

    // More than there is, told while it is written; and more than is left at its first byte.
    let too_much = client.upload("large.bin", vec![b'l'; 5_000_000]).await;
    assert_refused("more than fits", &too_much, FULL.0, FULL.1, FULL.2);
    assert_eq!(files_in(&data.join("blobs")), blobs);
    disk.fill();
    for size in [100_000, 300_000] {
        let refused = client.upload("large.bin", vec![b'l'; size]).await;
        assert_refused("full", &refused, FULL.0, FULL.1, FULL.2);
    }
    bag.logged(&["ERROR", "no space left"]).await;
    assert_eq!(bag.list().await.expect_status(200).text(), before);
    client.get("/api/libraryfiles/kept.bin").await.expect_status(200);
    // The database has room of its own.
    client.upload("small.ps1", "small").await.expect_status(200);
    client.delete("/api/libraryfiles/small.ps1").await.expect_status(204);

    disk.make_room();
    assert_eq!(files_in(&data.join("blobs")), blobs);
    client.upload("large.bin", vec![b'l'; 1_000_000]).await.expect_status(200);
    let (status, report, _) = bag.command(&["check"]).await;
    assert!(status.success(), "{report}");
}

#[tokio::test]
async fn a_full_disk_for_the_database() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let disk = SmallDisk::mount(&data, 8192);
    let bag = Jumpbag::options().data_dir(&data).set("rate_limits", false).start().await;
    let client = bag.client().await;
    client.upload("kept.ps1", "kept").await.expect_status(200);
    disk.fill();
    let mut stored = vec!["kept.ps1".to_string()];
    // What the log was given before may still take a few.
    let refused = loop {
        let name = format!("small-{:03}.ps1", stored.len());
        let answer = client.upload(&name, vec![b's'; 60_000]).await;
        if answer.status != 200 {
            break answer;
        }
        stored.push(name);
        assert!(stored.len() < 100, "a full disk takes everything");
    };
    assert_refused("full", &refused, FULL.0, FULL.1, FULL.2);
    let deleted = client.delete("/api/libraryfiles/kept.ps1").await;
    if deleted.status == 204 {
        stored.retain(|name| name != "kept.ps1");
    } else {
        assert_refused("full", &deleted, FULL.0, FULL.1, FULL.2);
    }
    bag.logged(&["ERROR", "no space left"]).await;
    assert_eq!(bag.names().await, stored);
    assert_eq!(bag.ops("/healthz").await.status, 200);

    disk.make_room();
    client.upload("small-new.ps1", vec![b'n'; 60_000]).await.expect_status(200);
    stored.push("small-new.ps1".into());
    assert_eq!(bag.names().await, stored);
    bag.restart().await;
    assert_eq!(bag.names().await, stored);
    let (status, report, _) = bag.command(&["check"]).await;
    assert!(status.success(), "{report}");
}

#[tokio::test]
async fn a_database_that_another_process_holds() {
    let ground = Ground::start().await;
    let holder = rusqlite::Connection::open(ground.bag.data_dir().join("catalog.db")).expect("the database");
    holder.execute_batch("begin exclusive").expect("nobody writes now");
    let (uploaded, deleted) = tokio::join!(
        ground.client.upload("new.ps1", vec![b'n'; super::STAGED]),
        ground.client.delete("/api/libraryfiles/kept.ps1"),
    );
    let message = "the server cannot answer right now: try again";
    for (case, answer) in [("upload", uploaded), ("delete", deleted)] {
        assert_refused(case, &answer, 503, "ServiceUnavailable", message);
        assert_eq!(answer.header("retry-after"), Some("5"), "{case}");
    }
    ground.bag.logged(&["ERROR", "locked by another process"]).await;
    // Reads go on.
    ground.unchanged("held").await;
    holder.execute_batch("rollback").expect("let go");
    ground.client.upload("new.ps1", vec![b'n'; super::STAGED]).await.expect_status(200);
    ground.client.delete("/api/libraryfiles/kept.ps1").await.expect_status(204);
}

#[tokio::test]
async fn a_blob_folder_that_is_read_only() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let disk = SmallDisk::mount(&data.join("blobs"), 4096);
    let bag = Jumpbag::options().data_dir(&data).set("rate_limits", false).start().await;
    let client = bag.client().await;
    disk.remount("ro");
    for size in [100_000, 1_000_000] {
        let refused = client.upload("large.bin", vec![b'l'; size]).await;
        assert_refused("read-only", &refused, FAILED.0, FAILED.1, FAILED.2);
        let target = refused.header("request-id").expect("a request id").to_string();
        bag.logged(&["ERROR", &target, &data.join("blobs").display().to_string()]).await;
    }
    assert!(bag.names().await.is_empty());
    assert_eq!(bag.ops("/readyz").await.status, 503);
    disk.remount("rw");
    client.upload("large.bin", vec![b'l'; 1_000_000]).await.expect_status(200);
    assert_eq!(bag.ops("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_blob_folder_that_is_gone_or_a_file() {
    let ground = Ground::start().await;
    let (folder, away) = (ground.blob_folder(), ground.bag.data_dir().join("away"));
    std::fs::rename(&folder, &away).expect("move the folder away");
    std::fs::write(&folder, "no folder").expect("put a file in its place");
    for size in [1000, super::STAGED] {
        let refused = ground.client.upload("new.ps1", vec![b'n'; size]).await;
        assert_refused("a file", &refused, FAILED.0, FAILED.1, FAILED.2);
        let target = refused.header("request-id").expect("a request id").to_string();
        ground.bag.logged(&["ERROR", &target, &folder.display().to_string()]).await;
    }
    ground.client.get("/api/libraryfiles/kept.ps1").await.expect_status(200);
    std::fs::remove_file(&folder).expect("take the file away");
    std::fs::rename(&away, &folder).expect("put the folder back");
    ground.unchanged("the folder is back").await;
    ground.client.upload("new.ps1", vec![b'n'; super::STAGED]).await.expect_status(200);
}

#[tokio::test]
async fn a_blob_that_is_altered_or_missing_is_named_by_check() {
    let ground = Ground::start().await;
    let entity = ground.client.get("/api/libraryfiles/kept.ps1").await.json();
    let digest = entity["sha256"].as_str().expect("a digest").to_string();
    let blob = ground.blobs.first().expect("one blob").clone();
    let path = ground.blob_folder().join(&blob);
    let good = std::fs::read(&path).expect("the blob");
    let mut altered = good.clone();
    altered[1000] ^= 1;
    let mut longer = good.clone();
    longer.push(b'k');
    for (case, bytes) in [
        ("altered", Some(altered)),
        ("shorter", Some(good[1..].to_vec())),
        ("longer", Some(longer)),
        ("missing", None),
    ] {
        match bytes {
            Some(bytes) => std::fs::write(&path, bytes).expect("change the blob"),
            None => std::fs::remove_file(&path).expect("remove the blob"),
        }
        let (status, report, _) = ground.bag.command(&["check"]).await;
        assert!(!status.success(), "{case}: {report}");
        assert!(report.contains(&blob) && report.contains(&digest), "{case}: {report}");
        assert!(report.contains("1 problems"), "{case}: {report}");
        // A copy of it would be no backup.
        let target = ground.bag.data_dir().with_extension(format!("backup-{case}"));
        let (status, _, stderr) = ground.bag.command(&["backup", &target.display().to_string()]).await;
        assert!(!status.success() && stderr.contains(&blob), "{case}: {stderr}");
    }
    std::fs::write(&path, &good).expect("bring the blob back");
    let (status, report, _) = ground.bag.command(&["check"]).await;
    assert!(status.success(), "{report}");
    eventually("ready", async || (ground.bag.ops("/readyz").await.status == 200).then_some(())).await;
}
