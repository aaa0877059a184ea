//! Bundles of anybody, and of many files.

use std::io::{Seek as _, SeekFrom, Write as _};

use super::hostile::{Hostile, json};
use crate::program::Home;

#[tokio::test]
async fn a_name_without_an_end_fills_no_memory() {
    let home = Home::new();
    let key = home.run(&["bundle", "key", "k"]).await.stdout;
    for kind in [tar::EntryType::GNULongName, tar::EntryType::XHeader, tar::EntryType::Regular] {
        let mut header = tar::Header::new_gnu();
        header
            .set_path(if kind == tar::EntryType::Regular { "bundle.json" } else { "././@LongLink" })
            .expect("a name");
        header.set_entry_type(kind);
        header.set_size(1 << 40);
        header.set_cksum();
        let mut file = std::fs::File::create(home.path("b")).expect("a file");
        file.write_all(header.as_bytes()).expect("write");
        file.seek(SeekFrom::Start(1 << 41)).and_then(|_| file.write_all(&[0])).expect("a sparse file");
        let ran =
            home.run_limited("ulimit -v 1048576", &["bundle", "verify", "b", "--key", key.trim()]).await;
        assert_eq!(ran.code, 1, "{kind:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("no good bundle") && !ran.stderr.contains("memory"),
            "{kind:?}: {}",
            ran.stderr
        );
    }
}

#[tokio::test]
async fn long_names_and_many_files_come_whole() {
    let sha256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    let long = "n".repeat(220);
    let entry =
        |number: u32| format!(r#"{{"fileName":"{long}{number}","sha256":"{sha256}","version":1,"id":"1"}}"#);
    let body = format!(r#"{{"value":[{}]}}"#, (0..100).map(entry).collect::<Vec<_>>().join(","));
    let server = Hostile::start(move |call| match call.line.contains("/content") {
        true => json(200, "x"),
        false => json(200, &body),
    })
    .await;
    let home = server.home();
    let key = home.run(&["bundle", "key", "k"]).await.stdout;
    let ran = home.run_limited("ulimit -n 60", &["bundle", "create", "b", "--key", "k"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = home.run(&["bundle", "verify", "b", "--key", key.trim()]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("100 files"), "{}", ran.stdout);
}
