//! Nothing acknowledged is lost: the server is killed with SIGKILL at random moments under concurrent uploads,
//! overrides, edits, restores, deletes and purges, started again and asked. What was acknowledged stands; what was in
//! doubt happened whole or not at all, and an upload that is sent again happens once.
//!
//! `TEST_KILLS` says how often (20), `TEST_SEED` repeats the choices of a run, not its timing. `scripts/kill-test` is
//! the long run.

mod clients;
mod commands;
mod ledger;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jumpbag_server::catalog::Catalog;
use jumpbag_server::catalog::history::{self, VersionRow};
use jumpbag_wire::library::{Cause, LibraryFile};
use proptest::prelude::RngExt as _;
use proptest::test_runner::TestRng;
use tokio::task::JoinSet;

use crate::conformance_catalog::{sha256, totals};
use crate::support::dice::{kills, rng, seed};
use crate::support::server::{Jumpbag, Options};
use clients::work;
use ledger::{Ledger, State};

const CLIENTS: u64 = 6;
/// Few enough that clients meet on a name.
const NAMES: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_kills_lose_nothing_with_small_files_in_rows() {
    let options = Jumpbag::options();
    Trial::start(options, Versions::Kept).await.run().await;
}

/// Everything a blob, and versions of deleted files expire at once, so that sweeps are killed too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_kills_lose_nothing_with_every_file_a_blob() {
    let options = Jumpbag::options().set("small_file_bytes", 0).set("retention_days", 0);
    Trial::start(options, Versions::GoWithTheirFile).await.run().await;
}

/// What becomes of the versions of a deleted file.
#[derive(Clone, Copy, PartialEq)]
enum Versions {
    Kept,
    GoWithTheirFile,
}

struct Trial {
    bag: Jumpbag,
    ledger: Arc<Ledger>,
    versions: Versions,
    seed: u64,
    rng: TestRng,
}

impl Trial {
    async fn start(options: Options, versions: Versions) -> Trial {
        let seed = seed();
        Trial {
            bag: options.set("rate_limits", false).set("log_level", "warn").start().await,
            ledger: Arc::default(),
            versions,
            seed,
            rng: rng(seed, 0),
        }
    }

    async fn run(mut self) {
        let kills = kills();
        for kill in 1..=kills {
            self.kill_under_load(u64::from(kill)).await;
            if self.rng.random_range(0..8) == 0 {
                self.kill_while_starting().await;
            }
            // Often enough to say when something broke, seldom enough to be quick: it reads every byte.
            if self.rng.random_range(0..10) == 0 {
                self.check().await;
            }
            self.compare_rows(kill % 5 == 0).await;
            self.bag.restart().await;
            self.send_again().await;
            self.ledger.compare(&self.listed().await);
            self.download_all().await;
        }
        assert!(self.bag.stop().await.success(), "{}", self.bag.logs());
        self.check().await;
        self.compare_versions().await;
        eprintln!("{kills} kills: {}", self.ledger.summary());
        assert!(self.ledger.acknowledged() > u64::from(kills), "the clients got nothing done");
    }

    /// Kills the server while clients work.
    async fn kill_under_load(&mut self, round: u64) {
        let caller = self.bag.client().await;
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let rng = rng(self.seed, round * 100 + client + 1);
            clients.spawn(work(caller.clone(), Arc::clone(&self.ledger), rng));
        }
        let moment = Duration::from_millis(self.rng.random_range(1..200));
        let broken = tokio::time::timeout(moment, clients.join_next()).await;
        assert!(broken.is_err(), "a connection broke before the kill: {}", self.bag.logs());
        self.bag.kill().await;
        while let Some(ended) = clients.join_next().await {
            ended.expect("no client sees an answer that it should not");
        }
    }

    /// Kills it once more before it listens.
    async fn kill_while_starting(&mut self) {
        let moment = Duration::from_millis(self.rng.random_range(1..150));
        commands::killed_after(self.bag.data_dir(), &["serve", "--listen", "127.0.0.1:0"], moment).await;
    }

    /// Removes what cut-off uploads left, and finds nothing else that is wrong.
    async fn check(&self) {
        commands::check(&self.bag).await;
    }

    async fn listed(&self) -> Vec<LibraryFile> {
        let list = self.bag.list().await.expect_status(200).json();
        serde_json::from_value(list["value"].clone()).expect("library files")
    }

    /// Uploads that nobody answered are sent again under their keys: no matter what became of them, they are made
    /// once.
    async fn send_again(&self) {
        let caller = self.bag.client().await;
        for upload in self.ledger.to_send_again() {
            upload.send(&caller, &self.ledger).await.expect("an answer");
        }
    }

    /// What is listed can be had.
    async fn download_all(&self) {
        let caller = self.bag.client().await;
        for file in self.listed().await {
            let path = format!("/api/libraryfiles/{}/content", file.file_name);
            let answer = caller.get(&path).await.expect_status(200);
            assert_eq!(sha256(&answer.body), file.sha256, "{}", file.file_name);
        }
    }

    async fn catalog(&self) -> Catalog {
        Catalog::open_sqlite(&self.bag.data_dir().join("catalog.db")).await.expect("the server's catalog")
    }

    /// Rows and totals agree, while nobody changes them; now and then the audit log is read as well.
    async fn compare_rows(&self, and_the_log: bool) {
        let catalog = self.catalog().await;
        let found = catalog.snapshot(|tx| Box::pin(history::contradictions(tx))).await;
        assert_eq!(found.expect("an answer"), Vec::<String>::new());
        if and_the_log {
            totals::chain(&catalog).await;
        }
    }

    /// Every version that was acknowledged is still there, and none that nobody made.
    async fn compare_versions(&self) {
        let catalog = self.catalog().await;
        let acknowledged = self.ledger.versions();
        let mut made = HashSet::new();
        for id in self.ledger.files() {
            let wanted = id.parse().expect("a number");
            let kept = catalog.read(move |tx| Box::pin(history::versions(tx, wanted, i64::MAX, i64::MAX)));
            let kept: Vec<VersionRow> = kept.await.expect("an answer");
            let purged = self.ledger.was_purged(&id);
            if kept.is_empty() && (purged != Some(false) || self.versions == Versions::GoWithTheirFile) {
                continue;
            }
            assert_ne!(purged, Some(true), "file {id} was purged and has versions");
            let states: BTreeMap<u64, State> =
                kept.iter().map(|row| (row.number.unsigned_abs(), State::of_row(row))).collect();
            for (number, state) in acknowledged.get(&id).into_iter().flatten() {
                assert_eq!(states.get(number), Some(state), "version {number} of file {id}");
            }
            for row in kept {
                let state = State::of_row(&row);
                assert!(self.ledger.was_sent(&state), "nobody sent {state:?}");
                // What comes back is there twice; what was sent twice is not.
                let is_new = row.cause == Cause::Restored || made.insert(state.description.clone());
                assert!(is_new, "{state:?} is there twice");
            }
        }
        totals::chain(&catalog).await;
    }
}
