//! The library against a plain model: random sequences of everything that can happen to it must leave both alike,
//! on every pair of stores. Times are arguments, so entities are compared whole.

mod compare;
mod plain;
mod steps;
mod verbs;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use jumpbag_server::blobs::BlobStore;
use jumpbag_server::catalog::audit::Actor;
use jumpbag_server::catalog::contents::{Content, Place};
use jumpbag_server::catalog::{Catalog, clients};
use jumpbag_server::error::Error;
use jumpbag_server::library::name::Strictness;
use jumpbag_server::library::{Library, Override, Retry, Rules, Subject, Upload};
use jumpbag_wire::audit::FIRST;
use jumpbag_wire::time::Timestamp;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;

use crate::conformance_catalog::random::parse;
use crate::conformance_catalog::sha256;
use crate::support::install_crypto;
use crate::support::postgres::{Database, postgres_database};
use crate::support::s3::{S3, s3_bucket};
use plain::{MAX_FILE_BYTES, Model, RETENTION_DAYS};
use steps::{Form, Held, KEYS, NAMES, SETTINGS, Settings, Step, any_step, content};
use verbs::{Refusal, Uploaded, Who};

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

    async fn open(&self, settings: Settings) -> Opened {
        let catalog = match &self.database {
            Either::File(folder) => Catalog::open_sqlite(&folder.path().join("catalog.db")).await,
            Either::Server(database) => Catalog::open_postgres(&database.url, 2).await,
        };
        let catalog = Arc::new(catalog.expect("a database"));
        let rules = Rules {
            max_file_bytes: MAX_FILE_BYTES,
            small_file_bytes: settings.small,
            names: Strictness::Relaxed,
            upload_memory_bytes: 10_000_000,
            retention_days: RETENTION_DAYS,
            replaced_retention_days: settings.replaced_retention_days,
            quotas: settings.quotas,
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
    /// The last upload with a key.
    keyed: Option<Form>,
    /// The hash of the last audit entry that was looked at.
    head: String,
    /// How many of them those were.
    entries: usize,
    /// What happened, beside changes.
    happened: BTreeSet<String>,
}

fn who(number: usize) -> Who {
    Who { name: ["Ann", "bob"][number].into(), id: number.to_string() }
}

fn actor(number: usize) -> Actor {
    let Who { name, id } = who(number);
    Actor { name, id, address: None, request_id: "r".into() }
}

fn far_future() -> Timestamp {
    Timestamp::now().plus_secs(24 * 3600)
}

/// Both did the same, or refused for the same reason.
fn agree<T: Debug + PartialEq>(found: Result<T, Error>, expected: Result<T, Refusal>) -> Option<Refusal> {
    match (found, expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected),
        (Err(error), Err(refusal)) if refusal.fits(&error) => return Some(refusal),
        (found, expected) => panic!("{expected:?}, but {found:?}"),
    }
    None
}

/// What happened in a sequence: actions, and refusals by their names.
async fn sequence(home: &Home, steps: Vec<Step>) -> BTreeSet<String> {
    let opened = home.open(SETTINGS).await;
    opened
        .catalog
        .write(|tx| Box::pin(clients::tenant(tx, Timestamp::from_secs(0))))
        .await
        .expect("a tenant");
    let model = Model::new();
    let mut pair = Pair {
        home,
        opened,
        model,
        keyed: None,
        head: FIRST.to_owned(),
        entries: 0,
        happened: BTreeSet::new(),
    };
    for step in steps {
        pair.step(step).await;
        pair.compare().await;
    }
    pair.compare_to_the_bottom().await;
    let actions = pair.model.actions.iter().map(|action| (*action).to_owned());
    pair.happened.into_iter().chain(actions).collect()
}

impl Pair<'_> {
    /// Compares what both did; whether they did it.
    fn agree<T: Debug + PartialEq>(&mut self, found: Result<T, Error>, expected: Result<T, Refusal>) -> bool {
        let refused = agree(found, expected);
        self.happened.extend(refused.map(|refusal| format!("{refusal:?}")));
        refused.is_none()
    }

    async fn step(&mut self, step: Step) {
        let now = self.model.now;
        match step {
            Step::Upload(form) => self.upload(form).await,
            Step::Again => {
                if let Some(form) = self.keyed.clone() {
                    self.upload(form).await;
                }
            }
            Step::Edit { name, patch, expected, actor: by } => {
                let (name, expect) = (NAMES[name], self.model.expect(NAMES[name], expected));
                let found =
                    self.opened.library.edit(name, patch.clone(), expect.clone(), actor(by), now).await;
                let expected = self.model.edit(name, patch, &expect, who(by));
                self.agree(found, expected);
            }
            Step::Restore { name, number, expected } => {
                let (name, expect) = (NAMES[name], self.model.expect(NAMES[name], expected));
                let found = self.opened.library.restore(name, number, expect.clone(), actor(0), now).await;
                let expected = self.model.restore(name, number, &expect, who(0));
                self.agree(found, expected);
            }
            Step::Delete { name, expected } => {
                let (name, expect) = (NAMES[name], self.model.expect(NAMES[name], expected));
                let found = self.opened.library.delete(name, expect.clone(), actor(1), now).await;
                let expected = self.model.delete(name, &expect, who(1));
                self.agree(found, expected);
            }
            Step::Undelete(choice) => {
                let id = self.model.id(choice);
                let found = self.opened.library.undelete(&id, actor(0), now).await;
                let expected = self.model.undelete(&id, who(0));
                self.agree(found, expected);
            }
            Step::Purge(choice) => {
                let id = self.model.id(choice);
                let found = self.opened.library.purge(&id, "a reason", actor(0), now).await;
                let expected = self.model.purge(&id);
                self.agree(found, expected);
            }
            Step::Hold { of, hold, reason } => self.hold(of, hold, &reason).await,
            Step::Find(name) => {
                let found = self.opened.library.find(NAMES[name]).await;
                self.agree(found, self.model.find(NAMES[name]).ok_or(Refusal::Absent));
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
            Step::Wait(seconds) => self.model.now = now.plus_secs(seconds),
            Step::Sweep => {
                let swept = self.opened.library.sweep(now).await.expect("a sweep");
                assert_eq!((swept.versions, swept.blobs), self.model.sweep());
            }
            Step::RemoveOwnerless => {
                let removed = self.opened.library.remove_ownerless(far_future()).await.expect("a sweep");
                assert_eq!(removed, std::mem::take(&mut self.model.abandoned));
            }
            Step::Restart(settings) => {
                self.opened = self.home.open(settings).await;
                self.model.settings = settings;
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
        let name = NAMES[form.name];
        let expect = self.model.expect(name, form.expected);
        let key = form.key.map(|key| KEYS[key].to_owned());
        let caller = actor(form.actor);
        let upload = Upload {
            name: self.opened.library.name(name).expect("a good name"),
            content: staged.clone(),
            metadata: form.patch.clone(),
            replace: if form.replace { Override::Yes } else { Override::No },
            expect: expect.clone(),
            retry: key.clone().map(|key| Retry { caller: caller.name.clone(), key }),
        };
        if form.key.is_some() {
            self.keyed = Some(form.clone());
        }
        let change = self.model.change();
        let found = self.opened.library.upload(upload, caller, self.model.now).await;
        let expected = self.model.upload(Uploaded {
            name: name.into(),
            sha256: staged.sha256,
            size: bytes.len(),
            patch: form.patch,
            actor: who(form.actor),
            replace: form.replace,
            expect,
            key,
        });
        if self.agree(found, expected) && self.model.change() == change {
            self.happened.insert("the same upload again".into());
        }
    }

    async fn hold(&mut self, of: Held, hold: bool, reason: &str) {
        let which = match of {
            Held::Living(name) => Ok(NAMES[name].to_owned()),
            Held::Deleted(choice) => Err(self.model.id(choice)),
            Held::Already(choice) => match self.model.held(choice) {
                Some(which) => which,
                None => return,
            },
        };
        let (subject, expected) = match which {
            Ok(name) => (Subject::Living(name.clone()), self.model.hold_living(&name, hold, reason)),
            Err(id) => (Subject::Deleted(id.clone()), self.model.hold_deleted(&id, hold, reason)),
        };
        let found = self.opened.library.hold(subject, hold, reason, actor(0), self.model.now).await;
        self.agree(found, expected);
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
        assert_eq!((found.change, found.next), (self.model.change(), None));
    }
}

/// Random sequences, each on stores of its own. The runner is not asynchronous, so it has a thread of its own.
async fn agrees_with_the_model(cases: u32, home: impl AsyncHome) -> BTreeSet<String> {
    let runtime = tokio::runtime::Handle::current();
    let run = move || {
        let happened = Mutex::new(BTreeSet::new());
        let mut runner = TestRunner::new(Config {
            cases,
            failure_persistence: None,
            max_shrink_iters: 2_000,
            ..Config::default()
        });
        let steps = proptest::collection::vec(any_step(), 1..80);
        let outcome = runner.run(&steps, |steps| {
            runtime.block_on(async {
                let home = home.make().await;
                let more = sequence(&home, steps).await;
                happened.lock().expect("no panic inside").extend(more);
            });
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("{error}");
        }
        happened.into_inner().expect("no panic inside")
    };
    tokio::task::spawn_blocking(run).await.expect("both agree")
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
    let happened = agrees_with_the_model(200, InMemory).await;
    // Nothing is compared that never happens.
    let wanted = [
        "library.upload library.override library.change library.restore library.delete library.purge \
         library.hold library.release library.expire",
        "Exists Unexpected TooManyFiles TooManyBytes TooManyVersions KeyUsed Absent NoVersion IsCurrent NotKept \
         NameTaken Held NotHeld",
    ];
    let wanted = wanted.iter().flat_map(|words| words.split_whitespace()).chain(["the same upload again"]);
    let missing: Vec<_> = wanted.filter(|what| !happened.contains(*what)).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_library_on_postgres_and_s3_agrees_with_the_model() {
    install_crypto();
    agrees_with_the_model(12, OnServers(s3_bucket().await)).await;
}
