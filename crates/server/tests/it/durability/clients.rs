//! Clients that change the library in every way until their connection breaks, and write down what they were told.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use jumpbag_wire::library::{DeletedFile, FileVersion, LibraryFile};
use proptest::prelude::{Rng as _, RngExt as _};
use proptest::test_runner::TestRng;
use serde_json::{Value, json};

use super::NAMES;
use super::ledger::{Ledger, Outcome, State};
use crate::conformance_catalog::sha256;
use crate::support::client::{Answer, Call, Client};

/// The connection broke.
pub struct Broken;

type Went = Result<(), Broken>;

/// Changes the library until the connection breaks.
pub async fn work(caller: Client, ledger: Arc<Ledger>, rng: TestRng) {
    let mut worker = Worker { caller, ledger, rng };
    while worker.once().await.is_ok() {}
}

struct Worker {
    caller: Client,
    ledger: Arc<Ledger>,
    rng: TestRng,
}

/// An upload that can be sent again.
#[derive(Debug, Clone)]
pub struct Keyed {
    pub key: String,
    pub began: u64,
    name: String,
    bytes: Bytes,
    state: State,
    replace: bool,
}

impl Keyed {
    /// Sends it; `None` when no answer came.
    pub async fn send(&self, caller: &Client, ledger: &Ledger) -> Option<()> {
        let Keyed { name, state, replace, .. } = self;
        let mut upload = caller.upload(name, self.bytes.clone()).description(&state.description);
        if *replace {
            upload = upload.override_if_exists();
        }
        let answer = upload.header("Idempotency-Key", &self.key).attempt().await.ok()?;
        match answer.status {
            200 => {
                let file = entity(&answer);
                assert_eq!(State::of(&file), *state);
                ledger.acknowledge_version(&file);
                ledger.acknowledge(name, self.began, Outcome::Is(state.clone()));
            }
            400 if !replace => {
                assert!(answer.error_message().contains("already exists"), "{}", answer.text());
            }
            status => panic!("an upload was answered with {status}: {}", answer.text()),
        }
        Some(())
    }
}

fn entity(answer: &Answer) -> LibraryFile {
    serde_json::from_slice(&answer.body).expect("an entity")
}

fn tag(file: &LibraryFile) -> String {
    format!("\"{}-{}\"", file.id, file.version)
}

impl Worker {
    async fn once(&mut self) -> Went {
        let name = format!("{}.ps1", self.rng.random_range(0..NAMES));
        match self.rng.random_range(0..24) {
            0..4 => self.delete(&name).await,
            4..15 => self.upload(&name).await,
            15..18 => self.describe(&name).await,
            18..20 => self.restore(&name).await,
            20..22 => self.undelete().await,
            22 => self.purge().await,
            _ => self.download(&name).await,
        }
    }

    async fn ask(&self, path: &str) -> Result<Answer, Broken> {
        self.caller.get(path).attempt().await.map_err(|_| Broken)
    }

    async fn find(&self, name: &str) -> Result<Option<LibraryFile>, Broken> {
        let answer = self.ask(&format!("/api/libraryfiles/{name}")).await?;
        Ok((answer.status == 200).then(|| entity(&answer)))
    }

    async fn delete(&self, name: &str) -> Went {
        let began = self.ledger.tick();
        let call = self.caller.delete(&format!("/api/libraryfiles/{name}"));
        match self.change(call, name, began, Outcome::Gone).await?.status {
            204 => self.ledger.acknowledge(name, began, Outcome::Gone),
            404 => {}
            status => panic!("a delete was answered with {status}"),
        }
        Ok(())
    }

    /// Sends a change; in doubt when no answer comes.
    async fn change(&self, call: Call, name: &str, began: u64, outcome: Outcome) -> Result<Answer, Broken> {
        call.attempt().await.map_err(|_| {
            self.ledger.doubt(name, began, outcome);
            Broken
        })
    }

    async fn upload(&mut self, name: &str) -> Went {
        let bytes = content(&mut self.rng);
        let state =
            State { sha256: sha256(&bytes), size: bytes.len() as u64, description: self.description() };
        self.ledger.send(&state);
        let upload = Keyed {
            key: state.description.clone(),
            began: self.ledger.tick(),
            name: name.to_owned(),
            bytes,
            state: state.clone(),
            replace: self.rng.random_range(0..5) < 3,
        };
        if upload.send(&self.caller, &self.ledger).await.is_none() {
            self.ledger.doubt(name, upload.began, Outcome::Is(state));
            self.ledger.send_again_later(upload);
            return Err(Broken);
        }
        Ok(())
    }

    /// Tells two changes to the same bytes apart.
    fn description(&mut self) -> String {
        format!("{:x}", self.rng.next_u64())
    }

    /// Changes what is said of a file, if nobody else does.
    async fn describe(&mut self, name: &str) -> Went {
        let Some(file) = self.find(name).await? else { return Ok(()) };
        let state = State { description: self.description(), ..State::of(&file) };
        self.ledger.send(&state);
        let patch = json!({ "description": &state.description });
        let call = self.caller.json(Method::PATCH, &format!("/api/libraryfiles/{name}"), &patch);
        self.succeed(call, &file, state).await
    }

    /// Goes back to a version, if nobody else changes the file.
    async fn restore(&mut self, name: &str) -> Went {
        let Some(file) = self.find(name).await? else { return Ok(()) };
        let listed = self.ask(&format!("/api/libraryfiles/{name}/versions")).await?;
        let still = self.find(name).await?;
        if still.as_ref().map(tag) != Some(tag(&file)) || file.version < 2 {
            return Ok(());
        }
        let listed: Vec<FileVersion> =
            serde_json::from_value(listed.json()["value"].clone()).expect("versions");
        let chosen = &listed[self.rng.random_range(1..listed.len())];
        let path = format!("/api/libraryfiles/{name}/versions/{}/restore", chosen.version);
        self.succeed(self.caller.post(&path), &file, State::of_version(chosen)).await
    }

    /// A change after which the file is known to be in this state, unless somebody else changes it before.
    async fn succeed(&self, call: Call, file: &LibraryFile, state: State) -> Went {
        let (name, began) = (file.file_name.as_str(), self.ledger.tick());
        let call = call.with(|request| request.header("if-match", tag(file)));
        let answer = self.change(call, name, began, Outcome::Is(state.clone())).await?;
        match answer.status {
            200 => {
                let after = entity(&answer);
                assert_eq!(State::of(&after), state);
                assert_eq!((&after.id, after.version), (&file.id, file.version + 1));
                self.ledger.acknowledge_version(&after);
                self.ledger.acknowledge(name, began, Outcome::Is(state));
            }
            404 | 412 => {}
            status => panic!("a change of a file was answered with {status}: {}", answer.text()),
        }
        Ok(())
    }

    async fn some_deleted(&mut self) -> Result<Option<DeletedFile>, Broken> {
        let listed: Value = self.ask("/api/deletedlibraryfiles").await?.json();
        let listed: Vec<DeletedFile> =
            serde_json::from_value(listed["value"].clone()).expect("deleted files");
        let choice = self.rng.random_range(0..listed.len().max(1));
        Ok(listed.into_iter().nth(choice))
    }

    async fn undelete(&mut self) -> Went {
        let Some(file) = self.some_deleted().await? else { return Ok(()) };
        let (name, began) = (file.file_name.as_str(), self.ledger.tick());
        let call = self.caller.post(&format!("/api/deletedlibraryfiles/{}/restore", file.id));
        let answer = self.change(call, name, began, Outcome::Anything).await?;
        match answer.status {
            200 => {
                let after = entity(&answer);
                self.ledger.acknowledge_version(&after);
                self.ledger.acknowledge(name, began, Outcome::Is(State::of(&after)));
            }
            // Its name is taken, or it is not deleted any more.
            400 | 404 => {}
            status => panic!("a restore was answered with {status}: {}", answer.text()),
        }
        Ok(())
    }

    async fn purge(&mut self) -> Went {
        let Some(file) = self.some_deleted().await? else { return Ok(()) };
        let path = format!("/api/deletedlibraryfiles/{}/purge", file.id);
        let call = self.caller.json(Method::POST, &path, &json!({ "reason": "no longer needed" }));
        let Ok(answer) = call.attempt().await else {
            self.ledger.purge(&file.id, None);
            return Err(Broken);
        };
        match answer.status {
            204 => self.ledger.purge(&file.id, Some(())),
            404 => {}
            status => panic!("a purge was answered with {status}: {}", answer.text()),
        }
        Ok(())
    }

    async fn download(&self, name: &str) -> Went {
        let answer = self.ask(&format!("/api/libraryfiles/{name}/content")).await?;
        assert!([200, 404].contains(&answer.status), "{}: {}", answer.status, answer.text());
        Ok(())
    }
}

/// Small scripts, files of some hundred kilobytes, and bytes that others upload as well.
fn content(rng: &mut TestRng) -> Bytes {
    let shared = [64, 3_000, 70_000, 150_000];
    let size = match rng.random_range(0..10) {
        0..4 => rng.random_range(1..4_000),
        4..6 => rng.random_range(100_000..300_000),
        _ => {
            let size = shared[rng.random_range(0..shared.len())];
            return vec![b'x'; size].into();
        }
    };
    let mut bytes = vec![0; size];
    rng.fill_bytes(&mut bytes);
    bytes.into()
}
