//! Checkpoints and their key: when they are made, where they are seen, what verifies them.

use std::os::unix::fs::PermissionsExt as _;

use super::{beside, complained, said, shown, verified};
use crate::support::clients::{python, script};
use crate::support::poll::eventually;
use crate::support::repository;
use crate::support::server::Jumpbag;

#[tokio::test]
async fn the_log_is_sealed_as_it_grows_and_the_server_s_log_is_a_witness() {
    let bag = Jumpbag::options().set("audit_checkpoint_seconds", 1).set("log_format", "json").start().await;
    let reader = bag.caller(&["Audit.Read"]).await;
    bag.upload("a.ps1", "a").await.expect_status(200);
    let last = reader.get("/api/audit?$orderby=number%20desc&$top=1").await.expect_status(200).json();
    let last = last["value"][0]["number"].as_i64().expect("a number");
    let note = eventually("a checkpoint over the last change", async || {
        let answer = reader.get("/api/audit/checkpoint").await;
        (answer.status == 200 && answer.text().lines().nth(1) == Some(&last.to_string())).then_some(answer)
    })
    .await;
    assert_eq!(note.header("content-type"), Some("text/plain; charset=utf-8"));
    let line = bag.logged(&["\"audit checkpoint\"", &format!("\"number\":{last}")]).await;
    let line: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
    assert_eq!(line["note"], note.text());
    // As somebody cuts it out of the log.
    let kept = beside(&bag, "kept");
    std::fs::write(&kept, line["note"].to_string()).expect("keep it");
    said(&bag, &["verify", "--checkpoint", &shown(&kept)]).await;
}

#[tokio::test]
async fn an_orderly_stop_seals_what_came_last() {
    let bag = Jumpbag::options().set("audit_checkpoint_seconds", 86_400).start().await;
    bag.upload("a.ps1", "a").await.expect_status(200);
    assert!(said(&bag, &["verify"]).await.contains("no checkpoint covers what comes behind entry"));
    assert!(bag.stop().await.success());
    let verified = said(&bag, &["verify"]).await;
    assert_eq!(verified.lines().count(), 1, "{verified}");
    bag.logged(&["audit checkpoint", "note=\"jumpbag/"]).await;
}

#[tokio::test]
async fn a_key_in_a_file_stays_out_of_the_database() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("audit.pem");
    let options = Jumpbag::options().set("audit_key_file", shown(&file));
    let bag = options.clone().start().await;
    let mode = std::fs::metadata(&file).expect("the key was made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let pem = std::fs::read_to_string(&file).expect("the key");
    bag.stop().await;
    let database = std::fs::read(bag.data_dir().join("catalog.db")).expect("the database");
    let secret = pem.lines().nth(1).expect("a line of base64").as_bytes();
    assert!(!database.windows(secret.len()).any(|window| window == secret));
    let key = said(&bag, &["key"]).await;
    said(&bag, &["verify"]).await;

    // Another key: the server warns, and older checkpoints count only with the key of their time.
    std::fs::remove_file(&file).expect("remove the key");
    let found = complained(&bag, &["verify"]).await;
    assert!(found.contains("no key known here"), "{found}");
    let found = complained(&bag, &["key"]).await;
    assert!(found.contains("no key yet"), "{found}");
    bag.restart().await;
    bag.logged(&["WARN", "not of the key in use"]).await;
    assert_ne!(said(&bag, &["key"]).await, key);
    let found = complained(&bag, &["verify"]).await;
    assert!(found.contains("no key known here"), "{found}");
    said(&bag, &["verify", "--key", key.trim()]).await;

    // What is no such key stops the start.
    std::fs::write(&file, "no key").expect("write a file");
    let (_, stderr) = options.clone().fail_to_start().await;
    assert!(stderr.contains("audit.pem` (setting `audit_key_file`): expected a PEM file"), "{stderr}");
    let nowhere = folder.path().join("nowhere/audit.pem");
    let (_, stderr) = options.set("audit_key_file", shown(&nowhere)).fail_to_start().await;
    assert!(stderr.contains("cannot write") && stderr.contains("audit_key_file"), "{stderr}");
}

#[tokio::test]
async fn a_log_goes_on_over_a_backup_and_restore() {
    let bag = Jumpbag::start().await;
    bag.upload("a.ps1", "a").await.expect_status(200);
    let folder = beside(&bag, "backup");
    let (status, _, stderr) = bag.command(&["backup", &shown(&folder)]).await;
    assert!(status.success(), "{stderr}");
    bag.upload("lost.ps1", "b").await.expect_status(200);
    bag.stop().await;
    let newest = said(&bag, &["export"]).await.lines().last().expect("a checkpoint").to_owned();
    let newest: serde_json::Value = serde_json::from_str(&newest).expect("JSON");
    let kept = beside(&bag, "kept");
    std::fs::write(&kept, newest["checkpoint"].as_str().expect("a note")).expect("keep it");

    let data = beside(&bag, "restored");
    let options = Jumpbag::options();
    let (status, _, stderr) = options.run(&data, &["restore", &shown(&folder)]).await;
    assert!(status.success(), "{stderr}");
    let restored = options.data_dir(&data).start().await;
    restored.upload("b.ps1", "b").await.expect_status(200);
    restored.stop().await;
    assert_eq!(said(&restored, &["key"]).await, said(&bag, &["key"]).await);
    let key = said(&bag, &["key"]).await;
    let export = said(&restored, &["export"]).await;
    assert!(verified(&export, key.trim()).last > 1_000_000);
    assert!(export.contains("catalog.restore"));
    said(&restored, &["verify"]).await;
    let found = complained(&restored, &["verify", "--checkpoint", &shown(&kept)]).await;
    assert!(found.contains("missing"), "{found}");
}

/// The verifier that the documentation shows, as it stands there, finds what ours finds.
#[tokio::test]
async fn the_documented_verifier_in_python_agrees() {
    let document = std::fs::read_to_string(repository().join("docs/audit.md")).expect("the documentation");
    let program = document.split("```python\n").nth(1).and_then(|rest| rest.split("```").next());
    let bag = Jumpbag::start().await;
    bag.upload("Zoë's \"script\" 脚本.ps1", "a").description("\u{7f}\t𝄞 \\ /").await.expect_status(200);
    bag.upload("b.ps1", "b").await.expect_status(200);
    bag.delete("b.ps1").await.expect_status(204);
    bag.stop().await;
    let (verifier, export) = (beside(&bag, "verify.py"), beside(&bag, "log.ndjson"));
    std::fs::write(&verifier, program.expect("a program in the documentation")).expect("write it");
    said(&bag, &["export", &shown(&export)]).await;
    let key = said(&bag, &["key"]).await;
    let python = |export: &std::path::Path| {
        let run = python("piped.py").arg(&verifier).arg(export).arg(key.trim());
        run.run()
    };
    assert!(script("piped.py").exists());
    let ran = python(&export).await.expect_success();
    let ours = said(&bag, &["verify"]).await;
    let (number, head) = ran.stdout.trim().split_once(' ').expect("number and head");
    assert!(ours.contains(&format!("head {head} (entry {number})")), "{ours}\n{}", ran.stdout);

    let text = std::fs::read_to_string(&export).expect("the export");
    let tampered = beside(&bag, "tampered.ndjson");
    for (what, with) in [("b.ps1", "c.ps1"), ("audit\\n", "audlt\\n"), ("\"number\":3", "\"number\":4")] {
        assert!(text.contains(what), "{what}");
        std::fs::write(&tampered, text.replacen(what, with, 1)).expect("write it");
        assert!(!python(&tampered).await.status.success(), "{what}");
        let arguments = ["verify", "--file", &shown(&tampered), "--key", key.trim()];
        complained(&bag, &arguments).await;
    }
    let again = complained(&bag, &["export", &shown(&export)]).await;
    assert!(again.contains("exists"), "{again}");
}
