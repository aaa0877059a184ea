//! The library against a plain model: random sequences of everything that can happen to it must leave both alike,
//! on every pair of stores. Times are arguments, so entities are compared whole.

mod plain;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use jumpbag_server::blobs::BlobStore;
use jumpbag_server::catalog::audit::Actor;
use jumpbag_server::catalog::contents::{self, Content, Place};
use jumpbag_server::catalog::{Catalog, clients, history};
use jumpbag_server::error::Error;
use jumpbag_server::library::expect::Expect;
use jumpbag_server::library::name::Strictness;
use jumpbag_server::library::{Library, Override, Quotas, Rules, Upload};
use jumpbag_wire::library::LibraryFile;
use jumpbag_wire::patch::FilePatch;
use jumpbag_wire::time::Timestamp;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;

use crate::conformance_catalog::random::parse;
use crate::conformance_catalog::sha256;
use crate::support::install_crypto;
use crate::support::postgres::{Database, postgres_database};
use crate::support::s3::{S3, s3_bucket};
use plain::{Model, RETENTION, SECS_PER_DAY, Uploaded};
use steps::{Form, NAMES, SMALL, Step, any_step, content};

/// The stores of one sequence; a library is opened on them again and again.
struct Home {
    blobs: BlobStore,
    database: Either,
}

enum Either {
    File(TempDir),
    Server(Database),
}

impl Home {
    fn in_memory() -> Home {
        Home {
            blobs: BlobStore::memory(),
            database: Either::File(tempfile::tempdir().expect("a temporary folder")),
        }
    }

    async fn on_servers(bucket: &S3) -> Home {
        let options = bucket.options().map(|(name, value)| (name.to_owned(), value));
        let url = bucket.url(&crate::support::unique("case"));
        Home {
            blobs: BlobStore::bucket(&url, &options.into()).expect("a bucket"),
            database: Either::Server(postgres_database().await),
        }
    }

    async fn open(&self, small: usize) -> Opened {
        let catalog = match &self.database {
            Either::File(folder) => Catalog::open_sqlite(&folder.path().join("catalog.db")).await,
            Either::Server(database) => Catalog::open_postgres(&database.url, 2).await,
        };
        let catalog = Arc::new(catalog.expect("a database"));
        let rules = Rules {
            max_file_bytes: 1_000_000,
            small_file_bytes: SMALL[small],
            names: Strictness::Relaxed,
            upload_memory_bytes: 10_000_000,
            retention_days: RETENTION / SECS_PER_DAY,
            replaced_retention_days: None,
            quotas: Quotas::default(),
        };
        Opened { library: Library::new(Arc::clone(&catalog), self.blobs.clone(), rules), catalog }
    }
}

struct Opened {
    library: Library,
    catalog: Arc<Catalog>,
}

/// A library and the model of it, side by side.
struct Pair<'a> {
    home: &'a Home,
    opened: Opened,
    model: Model,
}

fn actor(number: usize) -> Actor {
    Actor {
        name: ["Ann", "bob"][number].into(),
        id: number.to_string(),
        address: None,
        request_id: "r".into(),
    }
}

fn far_future() -> Timestamp {
    Timestamp::now().plus_secs(24 * 3600)
}

async fn sequence(home: &Home, steps: Vec<Step>) {
    let opened = home.open(1).await;
    opened
        .catalog
        .write(|tx| Box::pin(clients::tenant(tx, Timestamp::from_secs(0))))
        .await
        .expect("a tenant");
    let mut pair = Pair { home, opened, model: Model::new(SMALL[1]) };
    for step in steps {
        pair.step(step).await;
        pair.compare().await;
    }
    pair.compare_to_the_bottom().await;
}

impl Pair<'_> {
    async fn step(&mut self, step: Step) {
        match step {
            Step::Upload(form) => self.upload(form).await,
            Step::Delete(name) => {
                let expected = self.model.delete(NAMES[name]);
                let found =
                    self.opened.library.delete(NAMES[name], Expect::Anything, actor(0), self.model.now).await;
                match (found, expected) {
                    (Ok(()), true) | (Err(Error::NotFound(_)), false) => {}
                    (found, expected) => panic!("deleted: {expected}, but {found:?}"),
                }
            }
            Step::Find(name) => {
                let found = self.opened.library.find(NAMES[name]).await;
                match (found, self.model.find(NAMES[name])) {
                    (Ok(file), Some(expected)) => assert_eq!(&file, expected),
                    (Err(Error::NotFound(_)), None) => {}
                    (found, expected) => panic!("{expected:?}, but {found:?}"),
                }
            }
            Step::List { filter, order, top, skip, count } => {
                self.list(filter, order, top, skip, count).await
            }
            Step::Abandon(number) => {
                let staged = self.stage(&content(number), 10_000).await;
                self.model.abandoned += u64::from(matches!(staged.place, Place::Blob(_)));
            }
            Step::Abort(number) => {
                let mut stage = self.opened.library.stage();
                stage.write(content(number)).await.expect("room");
                stage.abort().await;
            }
            Step::Wait(seconds) => self.model.now = self.model.now.plus_secs(seconds),
            Step::Sweep => {
                let swept = self.opened.library.sweep(self.model.now).await.expect("a sweep");
                assert_eq!((swept.versions, swept.blobs), self.model.sweep());
            }
            Step::RemoveOwnerless => {
                let removed = self.opened.library.remove_ownerless(far_future()).await.expect("a sweep");
                assert_eq!(removed, std::mem::take(&mut self.model.abandoned));
            }
            Step::Restart(small) => {
                self.opened = self.home.open(small).await;
                self.model.small = SMALL[small];
            }
        }
    }

    async fn stage(&self, bytes: &Bytes, piece: usize) -> Content {
        let mut stage = self.opened.library.stage();
        for piece in bytes.chunks(piece) {
            stage.write(bytes.slice_ref(piece)).await.expect("room");
        }
        stage.finish().await.expect("staged bytes")
    }

    async fn upload(&mut self, form: Form) {
        let bytes = content(form.content);
        let staged = self.stage(&bytes, form.piece).await;
        assert_eq!(staged.sha256, sha256(&bytes));
        let upload = Upload {
            name: self.opened.library.name(NAMES[form.name]).expect("a good name"),
            content: staged,
            metadata: FilePatch {
                description: form.description.clone().into(),
                parameters_description: form.parameters.clone().into(),
                has_parameters: form.has_parameters.into(),
                ..FilePatch::default()
            },
            replace: if form.replace { Override::Yes } else { Override::No },
            expect: Expect::Anything,
            retry: None,
        };
        let actor = actor(form.actor);
        let expected = self.model.upload(Uploaded {
            name: NAMES[form.name].into(),
            sha256: upload.content.sha256.clone(),
            size: bytes.len(),
            description: form.description,
            parameters: form.parameters,
            has_parameters: form.has_parameters,
            actor: actor.name.clone(),
            replace: form.replace,
        });
        let found = self.opened.library.upload(upload, actor, self.model.now).await;
        match (found, expected) {
            (Ok(file), Some(expected)) => {
                let id = self.model.learn_id(NAMES[form.name], &file.id);
                assert_eq!(file, LibraryFile { id, ..expected });
            }
            (Err(Error::InvalidInput(why)), None) => assert!(why.contains("already exists"), "{why}"),
            (found, expected) => panic!("{expected:?}, but {found:?}"),
        }
    }

    async fn list(
        &self,
        filter: Option<String>,
        order: Option<String>,
        top: Option<u64>,
        skip: u64,
        count: bool,
    ) {
        let (top, skip, count) = (top.map(|top| top.to_string()), skip.to_string(), count.to_string());
        let mut options = vec![("$skip", skip.as_str()), ("$count", count.as_str())];
        options.extend(filter.as_deref().map(|filter| ("$filter", filter)));
        options.extend(order.as_deref().map(|order| ("$orderby", order)));
        options.extend(top.as_deref().map(|top| ("$top", top)));
        // Too deep, for one: what is refused lists nothing.
        let Ok(query) = parse(&options) else { return };
        let expected = self.model.list(&query);
        let found = self.opened.library.list(query).await.expect("a list");
        assert_eq!(found.files, expected.0, "{options:?}");
        assert_eq!(found.count, expected.1, "{options:?}");
        assert_eq!((found.change, found.next), (self.model.change, None));
    }

    /// What costs little: after every step.
    async fn compare(&self) {
        let blobs: Vec<_> = self.home.blobs.list().try_collect().await.expect("a list of blobs");
        assert_eq!(blobs.len() as u64, self.model.blobs(), "blobs in the store");
        let ownerless = self.opened.library.ownerless(far_future()).await.expect("a walk");
        assert_eq!(ownerless.len() as u64, self.model.abandoned, "ownerless blobs");
        assert_eq!(self.opened.library.size().await.expect("an answer"), self.model.usage());
        assert_eq!(self.opened.library.last_change().await.expect("an answer"), self.model.change);
    }

    /// Every row and every byte.
    async fn compare_to_the_bottom(&self) {
        let catalog = &self.opened.catalog;
        let found = catalog.read(|tx| Box::pin(history::contradictions(tx))).await;
        assert_eq!(found.expect("an answer"), Vec::<String>::new());
        let digests = catalog.read(|tx| Box::pin(async move { contents::digests(tx, "", i64::MAX).await }));
        let digests: BTreeSet<String> = digests.await.expect("an answer").into_iter().collect();
        assert_eq!(digests, self.model.digests());
        for digest in digests {
            let (bytes, size) = self.bytes(&digest).await;
            assert_eq!(sha256(&bytes), digest);
            assert_eq!(size, bytes.len() as u64);
        }
        let mut versions = BTreeMap::new();
        for id in self.model.ids() {
            for number in 1.. {
                let wanted = id.parse().expect("a number");
                let version = catalog
                    .read(move |tx| Box::pin(async move { history::version(tx, wanted, number).await }))
                    .await;
                let Some(version) = version.expect("an answer") else {
                    break;
                };
                versions.insert((id.clone(), number), (version.sha256, version.metadata.description));
            }
        }
        assert_eq!(versions, self.model.versions());
    }

    async fn bytes(&self, digest: &str) -> (Bytes, u64) {
        let digest = digest.to_owned();
        let content = self
            .opened
            .catalog
            .read(move |tx| Box::pin(async move { contents::content(tx, &digest).await }))
            .await
            .expect("an answer")
            .expect("the content");
        match content.place {
            Place::Inline(bytes) => (bytes, content.size),
            Place::Blob(key) => {
                let stream = self.home.blobs.open(&key).await.expect("the blob");
                let pieces: Vec<Bytes> = stream.try_collect().await.expect("its bytes");
                (pieces.concat().into(), content.size)
            }
        }
    }
}

/// Random sequences, each on stores of its own. The runner is not asynchronous, so it has a thread of its own.
async fn agrees_with_the_model(cases: u32, home: impl AsyncHome) {
    let runtime = tokio::runtime::Handle::current();
    let run = move || {
        let mut runner = TestRunner::new(Config {
            cases,
            failure_persistence: None,
            max_shrink_iters: 2_000,
            ..Config::default()
        });
        let steps = proptest::collection::vec(any_step(), 1..40);
        let outcome = runner.run(&steps, |steps| {
            runtime.block_on(async {
                let home = home.make().await;
                sequence(&home, steps).await;
            });
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("{error}");
        }
    };
    tokio::task::spawn_blocking(run).await.expect("both agree");
}

trait AsyncHome: Send + 'static {
    fn make(&self) -> impl Future<Output = Home>;
}

struct InMemory;

impl AsyncHome for InMemory {
    async fn make(&self) -> Home {
        Home::in_memory()
    }
}

struct OnServers(S3);

impl AsyncHome for OnServers {
    async fn make(&self) -> Home {
        Home::on_servers(&self.0).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_library_on_sqlite_and_memory_agrees_with_the_model() {
    agrees_with_the_model(400, InMemory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_library_on_postgres_and_s3_agrees_with_the_model() {
    install_crypto();
    agrees_with_the_model(12, OnServers(s3_bucket().await)).await;
}
