//! The server of a replayed run: actions over an SQLite catalog.

use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jumpbag_server::actions::{Actions, NewAction, NewCommand, Rules};
use jumpbag_server::agents::AgentKey;
use jumpbag_server::blobs::BlobStore;
use jumpbag_server::catalog::audit::Actor;
use jumpbag_server::catalog::{Catalog, clients};
use jumpbag_server::library::expect::Expect;
use jumpbag_server::library::name::Strictness;

use jumpbag_server::library::{self, Library, Override, Quotas, Upload};
use jumpbag_server::machines::{Machines, NewEnrollment};
use jumpbag_wire::action::{ActionStatus, CommandStatus, CommandType, Param};
use jumpbag_wire::agent::{CommandId, Enroll, Stream, enroll_text};
use jumpbag_wire::patch::FilePatch;
use jumpbag_wire::time::Timestamp;

use super::super::model::Protocol;
use super::super::model::state::{self, COMMANDS, Command, Row, Status};
use super::CONTENT;

pub const QUEUE_SECS: i64 = 3600;
const SCRIPT: &str = "a.sh";
const TENANT: &str = "tenant";

/// What outlives a server's process, and serves many runs.
#[derive(Clone)]
pub struct Home {
    folder: Arc<tempfile::TempDir>,
    blobs: BlobStore,
}

impl Home {
    pub async fn new(now: Timestamp) -> Home {
        let folder = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        let home = Home { folder, blobs: BlobStore::memory() };
        let catalog = home.catalog().await;
        catalog.write(move |tx| Box::pin(clients::tenant(tx, now))).await.expect("a tenant");
        upload(&catalog, &home.blobs, now).await;
        home
    }

    async fn catalog(&self) -> Arc<Catalog> {
        let file = self.folder.path().join("catalog.db");
        Arc::new(Catalog::open_sqlite(&file).await.expect("a catalog"))
    }
}

pub struct Server {
    home: Home,
    pub actions: Actions,
    pub key: AgentKey,
    pub machine: String,
    /// Of each command, and its place in its action.
    ids: [CommandId; COMMANDS],
}

fn actor() -> Actor {
    Actor::operator("test")
}

fn actions(catalog: &Arc<Catalog>, blobs: &BlobStore) -> Actions {
    let rules = Rules {
        queue: true,
        sessions: 25,
        queue_seconds: QUEUE_SECS,
        script_seconds: 600,
        retention_days: None,
    };
    Actions::new(Arc::clone(catalog), blobs.clone(), rules)
}

async fn enrolled(catalog: &Arc<Catalog>, now: Timestamp) -> String {
    let machines = Machines::new(Arc::clone(catalog));
    let new = NewEnrollment { uses: 1, seconds: 60, tags: Vec::new() };
    let (_, secret) = machines.create_enrollment(new, actor(), now).await.expect("an enrolment");
    let pair = Ed25519KeyPair::generate().expect("a key");
    let (token, public_key) = (secret.reveal().to_owned(), BASE64.encode(pair.public_key()));
    let signature = BASE64.encode(pair.sign(enroll_text(&token, &public_key).as_bytes()).as_ref());
    let facts = serde_json::from_str(r#"{"computerDnsName":"m","osPlatform":"Linux"}"#).expect("facts");
    let request = Enroll { token, public_key, facts, signature };
    machines.enroll(request, "127.0.0.1".into(), now).await.expect("a machine")
}

async fn upload(catalog: &Arc<Catalog>, blobs: &BlobStore, now: Timestamp) {
    let rules = library::Rules {
        max_file_bytes: 1000,
        small_file_bytes: 1000,
        names: Strictness::Strict,
        upload_memory_bytes: 1 << 20,
        retention_days: 1,
        replaced_retention_days: None,
        quotas: Quotas::default(),
    };
    let library = Library::new(Arc::clone(catalog), blobs.clone(), rules);
    let mut stage = library.stage();
    stage.write(CONTENT.into()).await.expect("room");
    let upload = Upload {
        name: library.name(SCRIPT).expect("a good name"),
        content: stage.finish().await.expect("staged bytes"),
        metadata: FilePatch::default(),
        replace: Override::No,
        expect: Expect::Anything,
        retry: None,
    };
    library.upload(upload, actor(), now).await.expect("an upload");
}

impl Server {
    pub async fn new(home: &Home, one_action: bool, now: Timestamp) -> Server {
        let catalog = home.catalog().await;
        let machine = enrolled(&catalog, now).await;
        let actions = actions(&catalog, &home.blobs);
        let command = NewCommand {
            kind: CommandType::RunScript,
            params: vec![Param { key: "ScriptName".into(), value: SCRIPT.into() }],
            args: Vec::new(),
        };
        let mut ids = Vec::new();
        let many = if one_action { COMMANDS } else { 1 };
        while ids.len() < COMMANDS {
            let new = NewAction { comment: "test".into(), commands: vec![command.clone(); many] };
            let action = actions.create(&machine, new, actor(), now).await.expect("an action");
            ids.extend(
                action.commands.iter().map(|c| CommandId { action: action.id.clone(), index: c.index }),
            );
        }
        let key = AgentKey::ensure(&catalog, TENANT, now).await.expect("a key");
        let ids = ids.try_into().expect("two commands");
        Server { home: home.clone(), actions, key, machine, ids }
    }

    /// The same after its process ended.
    pub async fn again(&self) -> Server {
        let catalog = self.home.catalog().await;
        Server {
            home: self.home.clone(),
            actions: actions(&catalog, &self.home.blobs),
            key: AgentKey::ensure(&catalog, TENANT, Timestamp::now()).await.expect("a key"),
            machine: self.machine.clone(),
            ids: self.ids.clone(),
        }
    }

    pub fn id(&self, command: Command) -> CommandId {
        self.ids[command].clone()
    }

    pub fn command(&self, id: &CommandId) -> Command {
        self.ids.iter().position(|known| known == id).expect("one of them")
    }

    pub async fn cancel(&self, action: usize, now: Timestamp) {
        self.actions.cancel(&self.ids[action].action, "enough", actor(), now).await.expect("an action");
    }

    /// What the catalog holds, as the model has it.
    pub async fn catalog(&self, model: &Protocol) -> state::Catalog {
        let mut catalog = state::State::new(0).catalog;
        for command in 0..COMMANDS {
            let CommandId { action, index } = &self.ids[command];
            let shown = self.actions.find(action).await.expect("an action");
            catalog.actions[model.action_of(command)] = match shown.status {
                ActionStatus::Pending => Status::Pending,
                ActionStatus::InProgress => Status::InProgress,
                ActionStatus::Succeeded => Status::Succeeded,
                ActionStatus::Failed => Status::Failed,
                ActionStatus::TimeOut => Status::TimeOut,
                ActionStatus::Cancelled => Status::Cancelled,
            };
            catalog.rows[command] = match shown.commands[*index as usize].command_status {
                CommandStatus::Created => Row::Created,
                CommandStatus::Submitted => Row::Submitted,
                CommandStatus::Executing => Row::Executing,
                CommandStatus::Completed => Row::Completed,
                CommandStatus::Failed => Row::Failed,
            };
            let output = self.actions.output(action, *index, Stream::Stdout).await.expect("a stream");
            catalog.kept[command] = u8::try_from(output.size).expect("little");
        }
        catalog
    }
}
