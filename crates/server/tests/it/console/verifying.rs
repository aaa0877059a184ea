//! The audit log verified in a browser, and its verifier beside the one of the command: of whatever somebody makes of a
//! log, both say the same.

use jumpbag_server::audit::key::check;
use jumpbag_wire::audit::{AuditEntry, Verified, Verifier};
use jumpbag_wire::note::PublicKey;
use serde_json::{Value, json};

use super::{begin_with, ends_well, plain_bag};
use crate::audit::{beside, said, shown};
use crate::sign_in::add_user;
use crate::support::server::Jumpbag;
use crate::support::{clients, repository};

/// A server whose log has this many uploads, checkpoints and the gap of a restore; its export and its key.
async fn restored(uploads: usize) -> (Jumpbag, tempfile::TempDir, Vec<String>, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = Jumpbag::options().set("rate_limits", false).set("audit_checkpoint_seconds", 1);
    let first = plain_bag(options.clone().data_dir(&folder.path().join("first"))).await;
    for n in 0..uploads {
        first.upload(&format!("füße \"{n}\".ps1"), "Get-Process").await.expect_status(200);
    }
    let backup = shown(&folder.path().join("backup"));
    let (status, _, stderr) = first.command(&["backup", &backup]).await;
    assert!(status.success(), "{stderr}");
    let data = folder.path().join("second");
    let (status, _, stderr) = options.run(&data, &["restore", &backup]).await;
    assert!(status.success(), "{stderr}");
    let bag = options.data_dir(&data).start().await;
    for n in 0..5 {
        bag.upload(&format!("after-{n}.ps1"), "Get-Service").await.expect_status(200);
    }
    add_user(&bag, "bob", &["--permission", "Audit.Read"]).await;
    assert!(bag.stop().await.success());
    bag.restart().await;
    let file = beside(&bag, "log.ndjson");
    said(&bag, &["export", &shown(&file)]).await;
    let log = std::fs::read_to_string(&file).expect("the export");
    let key = said(&bag, &["key"]).await.trim().to_owned();
    (bag, folder, log.lines().map(str::to_owned).collect(), key)
}

fn seals(log: &[String]) -> Vec<String> {
    let notes = log.iter().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    notes.filter_map(|value| Some(value.get("checkpoint")?.as_str()?.to_owned())).collect()
}

#[tokio::test]
async fn heavy_the_audit_log_is_verified_in_a_browser() {
    let (bag, _folder, log, key) = restored(200).await;
    let newest = seals(&log).pop().expect("a checkpoint");
    assert!(newest.contains("\n1000"), "behind the gap: {newest}");
    assert!(bag.names().await.len() > 200);
    ends_well(begin_with(&bag, "audit", "-", &[&key, &newest])).await;
}

/// Entries with another content, each with the hash that it then has to have.
fn forged(entry: &AuditEntry) -> Vec<AuditEntry> {
    let mut all = vec![
        AuditEntry { actor: "nobody".into(), ..entry.clone() },
        AuditEntry { number: entry.number + 1, ..entry.clone() },
        AuditEntry { number: entry.number + 7, ..entry.clone() },
        AuditEntry { previous: "0".repeat(64), ..entry.clone() },
        AuditEntry {
            number: entry.number + 1_000_000,
            action: "catalog.restore".into(),
            before: Some(json!({ "number": entry.number - 2 })),
            ..entry.clone()
        },
        AuditEntry {
            after: Some(json!({ "z": [1, { "b": "\u{7f}\u{2028}", "a": null }], "10": 1, "9": 2 })),
            ..entry.clone()
        },
    ];
    for entry in &mut all {
        entry.hash = entry.expected_hash();
    }
    all
}

/// What somebody might make of a log, at this line.
fn altered(log: &[String], at: usize) -> Vec<Vec<String>> {
    let with = |line: String| {
        let mut log = log.to_vec();
        log[at] = line;
        log
    };
    let mut all = vec![log[..at].to_vec(), log[at..].to_vec()];
    let mut dropped = log.to_vec();
    dropped.remove(at);
    let mut repeated = log.to_vec();
    repeated.insert(at, log[at].clone());
    let mut swapped = log.to_vec();
    swapped.swap(at, (at + 1).min(log.len() - 1));
    all.extend([dropped, repeated, swapped]);
    let odd = [
        "x",
        "[]",
        "null",
        "{}",
        r#"{"checkpoint":1}"#,
        r#"{"checkpoint":"x"}"#,
        r#"{"checkpoint":"x","a":1}"#,
    ];
    all.extend(odd.map(|line| with(line.to_owned())));
    let Ok(entry) = serde_json::from_str::<AuditEntry>(&log[at]) else {
        all.push(with(log[at].replace("\\n\\n", "\\n")));
        all.push(with(log[at].replacen("\\n", "1\\n", 2)));
        all.push(with(log[at].replace("— ", "— x")));
        return all;
    };
    let text = |entry: &AuditEntry| serde_json::to_string(entry).expect("JSON");
    all.push(with(log[at].replacen("\"action\":\"", "\"action\":\"x", 1)));
    all.push(with(log[at].replacen("{", "{\"more\":1,", 1)));
    all.push(with(log[at].replacen(
        &format!("\"number\":{}", entry.number),
        &format!("\"number\":{}", entry.number + 3),
        1,
    )));
    all.push(with(log[at].replacen(&format!("\"number\":{}", entry.number), "\"number\":0", 1)));
    all.push(with(text(&AuditEntry { hash: "0".repeat(64), ..entry.clone() })));
    for one in forged(&entry) {
        all.push(with(text(&one)));
        // And slipped in before the one that was there; and all behind it chained anew.
        let mut slipped = log.to_vec();
        slipped.insert(at, text(&one));
        all.push(slipped);
        let (mut rewritten, mut head) = (log.to_vec(), one.hash.clone());
        rewritten[at] = text(&one);
        for line in &mut rewritten[at + 1..] {
            if let Ok(mut entry) = serde_json::from_str::<AuditEntry>(line) {
                entry.previous = head;
                entry.hash = entry.expected_hash();
                head = entry.hash.clone();
                *line = text(&entry);
            }
        }
        all.push(rewritten);
    }
    all
}

fn verdict(log: &[String], key: &str, kept: &[String]) -> String {
    let mut verifier = Verifier::new(vec![PublicKey::parse(key).expect("a key")], check);
    for note in kept {
        verifier.keep(note).expect("a checkpoint");
    }
    let found = log.iter().try_for_each(|line| verifier.line(line)).and_then(|()| verifier.finish());
    match found {
        Ok(Verified { entries, checkpoints, last, head, sealed }) => {
            format!("{entries} entries, {checkpoints} checkpoints, {last} {head}, sealed {sealed}")
        }
        Err(fault) => fault.to_string(),
    }
}

/// What is no JSON each parser says in its own words.
fn alike(words: &str) -> &str {
    words.split_once("no entry and no checkpoint").map_or(words, |(before, _)| before)
}

#[tokio::test]
async fn heavy_the_consoles_verifier_says_what_the_command_says() {
    let (bag, _folder, log, key) = restored(6).await;
    let gap = log.iter().position(|line| line.contains("catalog.restore")).expect("a restore");
    let end = seals(&log).pop().expect("a checkpoint");
    let mut logs = vec![log.clone(), log[..gap].to_vec(), Vec::new()];
    logs.extend((0..log.len()).flat_map(|at| altered(&log, at)));
    for kept in [vec![], vec![end.clone()], seals(&log)] {
        let texts: Vec<_> = logs.iter().map(|log| log.join("\n")).collect();
        let file = beside(&bag, "cases.json");
        std::fs::write(&file, json!({ "key": key, "kept": kept, "logs": texts }).to_string())
            .expect("the cases");
        let module = repository().join("console/parts/verify.js");
        let said = clients::node_script("console/verdicts.mjs").arg(module).arg(&file).run().await.json();
        let said = said.as_array().expect("verdicts");
        assert_eq!(said.len(), logs.len());
        for (log, said) in logs.iter().zip(said) {
            let (expected, said) = (verdict(log, &key, &kept), said.as_str().expect("a text"));
            assert_eq!(alike(said), alike(&expected), "{said}\n{expected}\n{}", log.join("\n"));
        }
        let bad =
            said.iter().filter(|said| !said.as_str().is_some_and(|text| text.contains(" entries, "))).count();
        assert!(bad * 2 > logs.len(), "{bad} of {} are bad", logs.len());
    }
}
