//! Runs that are killed in the middle: the next one goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use super::hostile::{Hostile, Reply, head, json};
use crate::original::{Fault, Original};
use crate::program::Home;
use crate::until;

#[tokio::test]
async fn what_a_killed_sync_did_is_not_taken_for_somebody_elses() {
    let original = Original::start().await;
    let home = Home::at(&(&original).into());
    home.write("lib/a.sh", "1");
    home.write("lib/b.sh", "1");
    assert_eq!(home.run(&["sync", "lib", "--apply"]).await.code, 0);
    let before = home.read("lib/library.lock");
    home.write("lib/a.sh", "2");
    home.write("lib/b.sh", "2");
    original.fail("POST /api/libraryfiles", Fault::Hang).after(1);
    let mut killed = home.command(&["sync", "lib", "--apply", "--jobs", "1"]).spawn().expect("it starts");
    until(|| home.read("lib/library.lock") != before).await;
    killed.kill().await.expect("it is killed");
    original.mend();
    home.write("lib/a.sh", "3");
    let ran = home.run(&["sync", "lib", "--apply"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

/// A library with one file, whose download has no end while `endless` is so.
async fn library(endless: Arc<AtomicBool>) -> Hostile {
    let sha256 = jumpbag_wire::hex::hex(&Sha256::digest("x"));
    let list = format!(r#"{{"value":[{{"fileName":"a.sh","sha256":"{sha256}","version":1}}]}}"#);
    Hostile::start(move |call| match call.line.contains("/content") {
        true if endless.load(Ordering::Relaxed) => Reply::Endless(head(200, ""), b"x".to_vec()),
        true => Reply::Whole([head(200, "content-length: 1\r\n"), b"x".to_vec()].concat()),
        false => json(200, &list),
    })
    .await
}

#[tokio::test]
async fn what_killed_runs_left_goes_after_a_day() {
    let endless = Arc::new(AtomicBool::new(true));
    let server = library(endless.clone()).await;
    let home = server.home();
    home.quietly(&["bundle", "key", "site.key"]).await.expect(0);
    home.write("one/mine", "");
    let begun = ["files", "download", "a.sh", "-o", "one/"];
    let mut killed = home.command(&begun).spawn().expect("it starts");
    until(|| home.names("one").len() == 2).await;
    killed.kill().await.expect("it is killed");
    let left = home.names("one").remove(0);
    assert!(left.starts_with(".jumpbag-"), "{left}");
    endless.store(false, Ordering::Relaxed);
    let aged = |path: &str, hours: u64| {
        home.write(path, "x");
        let file = std::fs::File::options().write(true).open(home.path(path)).expect("a file");
        file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).expect("another time");
    };
    let young = ".jumpbag-abcDEF012345.part";
    for (folder, made, command) in [
        ("one", "a.sh", &begun[..]),
        ("two", "a.sh", &["sync", "two", "--pull"]),
        ("three", "all.bundle", &["bundle", "create", "three/all.bundle", "--key", "site.key"]),
    ] {
        aged(&format!("{folder}/{left}"), 25);
        aged(&format!("{folder}/{young}"), 23);
        aged(&format!("{folder}/.jumpbag-backup"), 10_000);
        home.quietly(command).await.expect(0);
        let names = home.names(folder);
        let there = |name: &str| names.iter().any(|other| other == name);
        assert!(there(made) && there(young) && there(".jumpbag-backup"), "{names:?}");
        assert!(!there(&left), "{names:?}");
    }
}
