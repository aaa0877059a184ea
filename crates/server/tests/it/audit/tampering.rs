//! Somebody who can write the database, on both databases: whatever they do, the first bad entry is named.

use jumpbag_server::catalog::audit::entries;
use jumpbag_server::catalog::{Catalog, CatalogError};
use jumpbag_wire::audit::{AuditEntry, FIRST};

use super::{beside, complained, database, said, shown};
use crate::support::postgres::{Database, postgres_database};
use crate::support::server::{Jumpbag, Options};

/// A server that has stopped, its log of a dozen entries and three checkpoints, and a copy of the log.
struct Scene {
    bag: Jumpbag,
    catalog: Catalog,
    last: i64,
    key: String,
    /// The entries that checkpoints cover.
    sealed: Vec<i64>,
}

const TABLES: [&str; 3] = ["audit", "checkpoints", "tenant"];

impl Scene {
    async fn new(options: Options, postgres: Option<&Database>) -> Scene {
        let bag = options.set("audit_checkpoint_seconds", 86_400).start().await;
        for round in 0..3 {
            if round > 0 {
                bag.restart().await;
            }
            for name in ["a.ps1", "b.ps1", "c.ps1"] {
                bag.upload(name, format!("{name} {round}")).override_if_exists().await.expect_status(200);
            }
            assert!(bag.stop().await.success());
        }
        let key = said(&bag, &["key"]).await.trim().to_owned();
        let catalog = database(&bag, postgres).await;
        let log = look(&catalog).await;
        for table in TABLES {
            run(&catalog, &[&format!("create table kept_{table} as select * from {table}")]).await;
        }
        let sealed = numbers(&catalog, "select number from checkpoints order by number").await;
        let last = log.last().expect("entries").number;
        assert!(sealed.len() >= 3 && sealed.last() == Some(&last), "{sealed:?} {last}");
        Scene { bag, catalog, last, key, sealed }
    }

    /// As it was.
    async fn restore(&self) {
        for table in TABLES {
            let (empty, fill) =
                (format!("delete from {table}"), format!("insert into {table} select * from kept_{table}"));
            run(&self.catalog, &[&empty, &fill]).await;
        }
    }

    /// What is found in the database, and what in an export of it.
    async fn found(&self) -> (String, String) {
        let online = complained(&self.bag, &["verify"]).await;
        (online, self.found_offline(&[]).await.unwrap_or_default())
    }

    /// What is found in an export; `None` when nothing is, an empty text when there is no export.
    async fn found_offline(&self, more: &[&str]) -> Option<String> {
        let file = beside(&self.bag, "tampered.ndjson");
        let _ = std::fs::remove_file(&file);
        let file = shown(&file);
        let (status, _, _) = self.bag.command(&["audit", "export", &file]).await;
        if !status.success() {
            return Some(String::new());
        }
        let arguments = [&["audit", "verify", "--file", &file, "--key", &self.key], more].concat();
        let (status, _, stderr) = self.bag.command(&arguments).await;
        (!status.success()).then_some(stderr)
    }

    async fn is_found(&self, statements: &[&str], number: i64) {
        run(&self.catalog, statements).await;
        let (online, offline) = self.found().await;
        assert!(names(&online, number), "entry {number}, {statements:?}: {online}");
        assert!(offline.is_empty() || names(&offline, number), "entry {number}, {statements:?}: {offline}");
        self.restore().await;
    }
}

/// Whether a complaint names this entry, or a range that it is in.
fn names(complaint: &str, number: i64) -> bool {
    let Some((_, named)) = complaint.split_once("entr") else { return false };
    let named = named.trim_start_matches(|c: char| c.is_ascii_alphabetic()).trim_start();
    let named = named.split(':').next().unwrap_or_default();
    let (first, last) = named.split_once(" to ").unwrap_or((named, named));
    let (Ok(first), Ok(last)) = (first.parse::<i64>(), last.parse::<i64>()) else { return false };
    first <= number && number <= last
}

async fn run(catalog: &Catalog, statements: &[&str]) {
    let statements: Vec<_> = statements.iter().map(|sql| (*sql).to_owned()).collect();
    let done: Result<(), CatalogError> = catalog
        .write(move |tx| {
            Box::pin(async move {
                for sql in statements {
                    tx.execute(&sql, &[]).await?;
                }
                Ok(())
            })
        })
        .await;
    done.expect("statements that run");
}

async fn numbers(catalog: &Catalog, sql: &'static str) -> Vec<i64> {
    let rows: Result<_, CatalogError> = catalog
        .read(move |tx| {
            Box::pin(async move {
                tx.query(sql, &[]).await?.iter_mut().map(|row| row.take()).collect::<Result<Vec<_>, _>>()
            })
        })
        .await;
    rows.expect("numbers")
}

async fn look(catalog: &Catalog) -> Vec<AuditEntry> {
    catalog.read(|tx| Box::pin(entries(tx, 0, 1000))).await.expect("entries")
}

/// Writes entries as they are here in place of those with their numbers, and makes the last one the tenant's last.
async fn forge(catalog: &Catalog, forged: &[AuditEntry]) {
    let mut statements = Vec::new();
    for entry in forged {
        let AuditEntry { number, target, previous, hash, .. } = entry;
        statements.push(format!(
            "update audit set target = '{target}', previous = '{previous}', hash = '{hash}' where number = {number}"
        ));
    }
    if let Some(AuditEntry { number, hash, .. }) = forged.last() {
        statements.push(format!("update tenant set head = '{hash}', change = {number}"));
    }
    run(catalog, &statements.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

/// Hashes from this index on, as somebody makes them who knows how.
fn rehash(entries: &mut [AuditEntry], from: usize) {
    for index in from..entries.len() {
        entries[index].previous =
            index.checked_sub(1).map_or(FIRST.into(), |before| entries[before].hash.clone());
        entries[index].hash = entries[index].expected_hash();
    }
}

#[tokio::test]
async fn what_is_done_to_single_entries_is_found_on_sqlite() {
    single_entries(Scene::new(Jumpbag::options(), None).await).await;
}

#[tokio::test]
async fn what_is_done_to_single_entries_is_found_on_postgres() {
    let database = postgres_database().await;
    let options = Jumpbag::options().set("database_url", &database.url);
    single_entries(Scene::new(options, Some(&database)).await).await;
}

async fn single_entries(scene: Scene) {
    let Scene { last, .. } = scene;
    said(&scene.bag, &["verify"]).await;
    assert_eq!(scene.found_offline(&[]).await, None);
    for altered in [
        "at = at + 1",
        "actor = 'somebody'",
        "actor_id = 'x'",
        "address = '192.0.2.1'",
        "action = 'library.delete'",
        "target = 'x'",
        "before = '{\"x\":1}'",
        "after = null",
        "after = 'no JSON'",
        "request_id = 'x'",
        "previous = hash",
        "hash = previous",
        "number = 1000",
    ] {
        scene.is_found(&[&format!("update audit set {altered} where number = 5")], 5).await;
    }
    for number in [1, last] {
        scene.is_found(&[&format!("update audit set target = 'x' where number = {number}")], number).await;
    }
    for (from, to) in [(1, 1), (5, 5), (5, 7), (last, last), (7, last), (1, last)] {
        scene.is_found(&[&format!("delete from audit where number between {from} and {to}")], from).await;
    }
    for (one, other) in [(1, 2), (5, 6), (4, last)] {
        let to = |from: i64, to: i64| format!("update audit set number = {to} where number = {from}");
        scene.is_found(&[&to(one, -1), &to(other, one), &to(-1, other)], one).await;
    }
    let columns = "at, actor, actor_id, address, action, target, before, after, request_id, previous, hash";
    let copy = |from: i64, to: i64| {
        format!(
            "insert into audit (number, {columns}) select {to}, {columns} from audit where number = {from}"
        )
    };
    let up = [
        "update audit set number = -number - 1 where number >= 6",
        "update audit set number = -number where number < 0",
    ];
    scene.is_found(&[up[0], up[1], &copy(5, 6)], 6).await;
    scene.is_found(&[&copy(5, last + 1)], last + 1).await;
    scene.is_found(&["update tenant set change = change + 1"], last + 1).await;
    scene.is_found(&["update tenant set head = 'x'"], last).await;
    // `check` says so too.
    run(&scene.catalog, &["update audit set actor = 'x' where number = 5"]).await;
    let (status, report, _) = scene.bag.command(&["check"]).await;
    assert!(!status.success() && report.contains("audit log, entry 5: altered"), "{report}");
}

#[tokio::test]
async fn what_is_done_by_somebody_who_knows_how_is_found_by_checkpoints_on_sqlite() {
    forgeries(Scene::new(Jumpbag::options(), None).await).await;
}

#[tokio::test]
async fn what_is_done_by_somebody_who_knows_how_is_found_by_checkpoints_on_postgres() {
    let database = postgres_database().await;
    let options = Jumpbag::options().set("database_url", &database.url);
    forgeries(Scene::new(options, Some(&database)).await).await;
}

async fn forgeries(scene: Scene) {
    let Scene { bag, catalog, last, key, sealed } = &scene;
    let good = look(catalog).await;
    let kept = beside(bag, "kept checkpoint");
    let note = said(bag, &["export"]).await;
    let note = note.lines().last().expect("lines");
    let note: serde_json::Value = serde_json::from_str(note).expect("JSON");
    std::fs::write(&kept, note["checkpoint"].as_str().expect("a checkpoint behind the last entry"))
        .expect("keep a checkpoint");
    let with_kept = ["verify", "--checkpoint", &shown(&kept)];
    said(bag, &with_kept).await;

    // One entry with its own hash made anew: the next one, or a checkpoint, tells.
    let mut one = good.clone();
    one[4].target = "forged.ps1".into();
    one[4].hash = one[4].expected_hash();
    forge(catalog, &one).await;
    assert!(names(&scene.found().await.0, 5));
    scene.restore().await;

    // The whole chain made anew from there on: a checkpoint tells, or one that was kept.
    for from in [0, 4, *last as usize - 1] {
        let mut all = good.clone();
        all[from].target = "forged.ps1".into();
        rehash(&mut all, from);
        forge(catalog, &all).await;
        let (online, offline) = scene.found().await;
        for found in [&online, &offline] {
            assert!(names(found, from as i64 + 1) && found.contains("rewritten"), "{from}: {found}");
        }
        run(catalog, &["delete from checkpoints"]).await;
        assert!(said(bag, &["verify"]).await.contains("no checkpoint covers what comes behind entry 0 yet"));
        let found = complained(bag, &with_kept).await;
        assert!(names(&found, from as i64 + 1) && found.contains("rewritten"), "{found}");
        let offline = scene.found_offline(&["--checkpoint", &shown(&kept)]).await;
        assert!(offline.is_some_and(|found| names(&found, from as i64 + 1)));
        scene.restore().await;
    }

    // Cut, with the tenant's row made to fit: a checkpoint tells, or one that was kept.
    for keep in [1, 6, *last as usize - 1] {
        forge(catalog, &good[..keep]).await;
        run(catalog, &[&format!("delete from audit where number > {keep}")]).await;
        let (online, offline) = scene.found().await;
        assert!(names(&online, keep as i64 + 1) && online.contains("missing"), "{keep}: {online}");
        assert!(names(&offline, keep as i64 + 1), "{keep}: {offline}");
        run(catalog, &[&format!("delete from checkpoints where number > {keep}")]).await;
        said(bag, &["verify"]).await;
        assert!(names(&complained(bag, &with_kept).await, keep as i64 + 1));
        scene.restore().await;
    }

    // Checkpoints themselves.
    let second = sealed[1];
    for tampered in [
        "note = replace(note, 'jumpbag/', 'jumpbug/')".to_owned(),
        format!("note = replace(note, '{second}', '{}')", second + 1),
        "note = ''".to_owned(),
        format!("note = (select note from kept_checkpoints where number = {last})"),
        format!("number = {}", second + 1),
        format!("number = {}", second - 1),
    ] {
        let sql = format!("update checkpoints set {tampered} where number = {second}");
        run(catalog, &[&sql]).await;
        complained(bag, &["verify"]).await;
        assert!(scene.found_offline(&[]).await.is_some(), "{tampered}");
        scene.restore().await;
    }
    let strange = another_key(key, &good[second as usize - 1]);
    run(catalog, &[&format!("update checkpoints set note = '{strange}' where number = {second}")]).await;
    let (online, offline) = scene.found().await;
    for found in [&online, &offline] {
        assert!(names(found, second) && found.contains("no key known here"), "{found}");
    }
    scene.restore().await;
    said(bag, &with_kept).await;
}

/// A checkpoint over the entry, as another installation of the same name would sign it.
fn another_key(key: &str, entry: &AuditEntry) -> String {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use jumpbag_wire::note::{Checkpoint, PublicKey, signed};
    let name = key.split('+').next().expect("a name");
    let pair = Ed25519KeyPair::generate().expect("a key");
    let public = pair.public_key().as_ref().try_into().expect("32 bytes");
    let public = PublicKey::new(name, public).expect("a key");
    let checkpoint = Checkpoint { origin: name.into(), number: entry.number, head: entry.hash.clone() };
    let text = checkpoint.text().expect("a hash");
    signed(&text, &public, pair.sign(text.as_bytes()).as_ref())
}
