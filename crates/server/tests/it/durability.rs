//! Nothing acknowledged is lost: the server is killed with SIGKILL at random moments under concurrent uploads,
//! overrides and deletes, started again and asked. What was acknowledged stands; what was in doubt happened whole or
//! not at all.
//!
//! `TEST_KILLS` says how often (20), `TEST_SEED` repeats the choices of a run, not its timing. `scripts/kill-test` is
//! the long run.

mod commands;
mod ledger;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jumpbag_server::catalog::{Catalog, history};
use jumpbag_wire::library::LibraryFile;
use proptest::prelude::{Rng as _, RngExt as _};
use proptest::test_runner::{RngAlgorithm, TestRng};
use tokio::task::JoinSet;

use crate::conformance_catalog::sha256;
use crate::support::client::Client;
use crate::support::server::{Jumpbag, Options};
use ledger::{Ledger, State};

const CLIENTS: u64 = 6;
/// Few enough that clients meet on a name.
const NAMES: usize = 20;

fn kills() -> u32 {
    std::env::var("TEST_KILLS").map_or(20, |text| text.parse().expect("`TEST_KILLS` is a number"))
}

/// A seed for this run, said aloud.
fn seed() -> u64 {
    let seed = std::env::var("TEST_SEED").map_or_else(
        |_| uuid::Uuid::new_v4().as_u64_pair().0,
        |text| text.parse().expect("`TEST_SEED` is a number"),
    );
    eprintln!("TEST_SEED={seed}");
    seed
}

fn rng(seed: u64, stream: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&stream.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

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
            self.bag.restart().await;
            self.ledger.compare(&self.listed().await);
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

    /// Every version that was acknowledged is still there, and none that nobody uploaded.
    async fn compare_versions(&self) {
        let catalog = Catalog::open_sqlite(&self.bag.data_dir().join("catalog.db"))
            .await
            .expect("the server's catalog");
        for (id, acknowledged) in self.ledger.versions() {
            let mut kept = Vec::new();
            for number in 1.. {
                let wanted = id.parse().expect("a number");
                let version = catalog
                    .read(move |tx| Box::pin(async move { history::version(tx, wanted, number).await }))
                    .await;
                match version.expect("an answer") {
                    Some(version) => kept.push(State::of_version(&version)),
                    None => break,
                }
            }
            if kept.is_empty() && self.versions == Versions::GoWithTheirFile {
                continue;
            }
            for state in &acknowledged {
                let times = kept.iter().filter(|version| *version == state).count();
                assert_eq!(times, 1, "an acknowledged version is there {times} times: {state:?}");
            }
            for state in &kept {
                assert!(self.ledger.was_sent(state), "nobody sent {state:?}");
            }
        }
    }
}

/// One client: changes the library until its connection breaks.
async fn work(caller: Client, ledger: Arc<Ledger>, mut rng: TestRng) {
    loop {
        let name = format!("{}.ps1", rng.random_range(0..NAMES));
        let went_on = match rng.random_range(0..10) {
            0..2 => delete(&caller, &ledger, &name).await,
            choice => upload(&caller, &ledger, &name, choice < 7, &mut rng).await,
        };
        if !went_on {
            return;
        }
    }
}

async fn delete(caller: &Client, ledger: &Ledger, name: &str) -> bool {
    let began = ledger.tick();
    let answer = caller.delete(&format!("/api/libraryfiles/{name}")).attempt().await;
    match answer.map(|answer| answer.status) {
        Ok(204) => ledger.acknowledge(name, began, None),
        Ok(404) => {}
        Ok(status) => panic!("a delete was answered with {status}"),
        Err(_) => {
            ledger.doubt(name, began, None);
            return false;
        }
    }
    true
}

async fn upload(caller: &Client, ledger: &Ledger, name: &str, replace: bool, rng: &mut TestRng) -> bool {
    let bytes = content(rng);
    let state = State {
        sha256: sha256(&bytes),
        size: bytes.len() as u64,
        // Tells two uploads of the same bytes apart.
        description: format!("{:x}", rng.next_u64()),
    };
    ledger.send(&state);
    let mut upload = caller.upload(name, bytes).description(&state.description);
    if replace {
        upload = upload.override_if_exists();
    }
    let began = ledger.tick();
    match upload.attempt().await {
        Ok(answer) if answer.status == 200 => {
            let file: LibraryFile = serde_json::from_slice(&answer.body).expect("an entity");
            assert_eq!(State::of(&file), state);
            ledger.acknowledge_version(&file.id, &state);
            ledger.acknowledge(name, began, Some(state));
        }
        Ok(answer) if answer.status == 400 && !replace => {
            assert!(answer.error_message().contains("already exists"), "{}", answer.text());
        }
        Ok(answer) => panic!("an upload was answered with {}: {}", answer.status, answer.text()),
        Err(_) => {
            ledger.doubt(name, began, Some(state));
            return false;
        }
    }
    true
}

/// Small scripts, files of some hundred kilobytes, and bytes that others upload as well.
fn content(rng: &mut TestRng) -> Bytes {
    let shared = [64, 3_000, 70_000, 150_000];
    let size = match rng.random_range(0..10) {
        0..5 => rng.random_range(1..4_000),
        5..8 => rng.random_range(100_000..300_000),
        _ => {
            let size = shared[rng.random_range(0..shared.len())];
            return vec![b'x'; size].into();
        }
    };
    let mut bytes = vec![0; size];
    rng.fill_bytes(&mut bytes);
    bytes.into()
}
