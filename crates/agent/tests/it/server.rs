//! A server for tests: it keeps what agents say in memory, and a test looks at it.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::{SinkExt, StreamExt};
use jumpbag_wire::action::CommandType;
use jumpbag_wire::agent::{
    AssignedContent, Assignment, Chunk, CommandId, Enroll, FromAgent, FromServer, MAX_DATA, Outcome,
    PROTOCOL, Stream, assignment_text, connect_text,
};
use jumpbag_wire::time::Timestamp;
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, broadcast};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

mod entrance;
pub mod lineage;

use lineage::Lineage;

/// However slow the machine is.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub struct Server {
    pub address: SocketAddr,
    key: Ed25519KeyPair,
    state: Mutex<State>,
    changed: Notify,
    say: broadcast::Sender<FromServer>,
}

#[derive(Default)]
struct State {
    machines: Vec<Enroll>,
    assigned: Vec<(CommandId, FromServer)>,
    contents: HashMap<CommandId, Vec<u8>>,
    outputs: BTreeMap<(CommandId, Stream), Vec<u8>>,
    /// The first end of each command.
    finished: HashMap<CommandId, Outcome>,
    /// How often an end was said.
    said: HashMap<CommandId, usize>,
    connections: usize,
    /// Messages and chunks from agents.
    events: u64,
    misses: usize,
    off: i64,
    silent: bool,
    lineage: Lineage,
}

pub fn id(action: u128, index: u32) -> CommandId {
    CommandId { action: uuid::Uuid::from_u128(action).to_string(), index }
}

pub fn hexadecimal(data: &[u8]) -> String {
    Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Server {
    pub async fn start() -> Arc<Server> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let server = Arc::new(Server {
            address: listener.local_addr().unwrap(),
            key: Ed25519KeyPair::generate().unwrap(),
            state: Mutex::default(),
            changed: Notify::new(),
            say: broadcast::channel(1000).0,
        });
        let accepting = Arc::clone(&server);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = Arc::clone(&accepting);
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What `enroll create` would print after the address.
    pub fn token(&self) -> String {
        format!("secret-1.{}", URL_SAFE_NO_PAD.encode(self.key.public_key().as_ref()))
    }

    pub fn server_key(&self) -> String {
        STANDARD.encode(self.key.public_key().as_ref())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut first = [0; 4];
        stream.peek(&mut first).await.ok()?;
        if &first == b"POST" { self.enroll(stream).await } else { self.talk(stream).await }
    }

    #[allow(clippy::result_large_err)]
    async fn talk(&self, stream: TcpStream) -> Option<()> {
        let protocol = |request: &Request, mut response: Response| {
            assert_eq!(request.headers()["Sec-WebSocket-Protocol"], PROTOCOL);
            response.headers_mut().insert("Sec-WebSocket-Protocol", PROTOCOL.parse().unwrap());
            Ok(response)
        };
        let mut socket = tokio_tungstenite::accept_hdr_async(stream, protocol).await.ok()?;
        let nonce = uuid::Uuid::from_u128(self.state().connections as u128).to_string();
        let mut frames = Frames::default();
        frames.text(&FromServer::Hello { nonce: nonce.clone() });
        socket.send(frames.next()?).await.ok()?;
        let prove = serde_json::from_str(socket.next().await?.ok()?.to_text().ok()?).ok()?;
        let machine = self.check(&nonce, prove)?;
        let time = Timestamp::now().plus_secs(self.state().off);
        let (known, next) = self.state().lineage.welcome(&machine)?;
        frames.text(&FromServer::Welcome { time, known, next: next.clone() });
        socket.send(frames.next()?).await.ok()?;
        let confirmed = socket.next().await?.ok()?;
        assert_eq!(confirmed.to_text().unwrap(), r#"{"type":"confirmed"}"#);
        self.state().lineage.confirm(machine, next)?;
        let mut orders = self.say.subscribe();
        self.greet(&mut frames);
        self.changed.notify_waiters();
        loop {
            while let Some(frame) = frames.next() {
                socket.send(frame).await.ok()?;
            }
            tokio::select! {
                message = socket.next() => match message?.ok()? {
                    Message::Text(text) => self.hear(serde_json::from_str(&text).unwrap(), &mut frames),
                    Message::Binary(bytes) => self.keep(Chunk::read(bytes).unwrap(), &mut frames),
                    Message::Close(_) => return None,
                    _ => {}
                },
                order = orders.recv() => frames.text(&order.ok()?),
            }
        }
    }

    fn greet(&self, frames: &mut Frames) {
        let mut state = self.state();
        state.connections += 1;
        for (command, assign) in &state.assigned {
            if !state.finished.contains_key(command) {
                frames.text(assign);
            }
        }
    }

    fn check(&self, nonce: &str, prove: FromAgent) -> Option<String> {
        let FromAgent::Prove { machine_id, lineage, signature, .. } = prove else { return None };
        let machines = self.state().machines.clone();
        let keys = machines.iter().map(|machine| STANDARD.decode(&machine.public_key).unwrap());
        let key = keys.into_iter().find(|key| hexadecimal(key).starts_with(&machine_id))?;
        verify(&key, &connect_text(nonce, &machine_id, &self.server_key(), &lineage), &signature);
        self.state().lineage.shown.push(lineage);
        Some(machine_id)
    }

    fn hear(&self, message: FromAgent, frames: &mut Frames) {
        let mut state = self.state();
        state.events += 1;
        match message {
            FromAgent::Prove { .. } | FromAgent::Confirmed => panic!("proved twice"),
            FromAgent::Fetch { command, offset } => {
                let content = &state.contents[&command];
                let from = usize::try_from(offset).unwrap();
                for (number, piece) in content[from..].chunks(MAX_DATA).enumerate() {
                    let offset = offset + (number * MAX_DATA) as u64;
                    let chunk =
                        Chunk { command: command.clone(), stream: None, offset, data: piece.to_vec().into() };
                    frames.0.push(chunk.write().unwrap().into());
                }
            }
            FromAgent::Started { .. } => {}
            FromAgent::Finished { command, outcome } => {
                *state.said.entry(command.clone()).or_default() += 1;
                if !whole(&state, &command, &outcome) {
                    state.misses += 1;
                    drop(state);
                    return;
                }
                let silent = state.silent;
                if !silent {
                    state.finished.entry(command.clone()).or_insert(outcome);
                    frames.text(&FromServer::Recorded { command });
                }
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn keep(&self, chunk: Chunk, frames: &mut Frames) {
        let mut state = self.state();
        state.events += 1;
        let stream = chunk.stream.unwrap();
        let output = state.outputs.entry((chunk.command.clone(), stream)).or_default();
        if let Some(known) = (output.len() as u64).checked_sub(chunk.offset) {
            output.extend_from_slice(chunk.data.get(usize::try_from(known).unwrap()..).unwrap_or_default());
        }
        let offset = output.len() as u64;
        if !state.silent {
            frames.text(&FromServer::Kept { command: chunk.command, stream, offset });
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// An assignment that is right in every way.
    pub fn assignment(&self, machine: &str, command: CommandId, kind: CommandType) -> Assignment {
        Assignment {
            machine_id: machine.to_owned(),
            command,
            kind,
            content: None,
            args: Vec::new(),
            path: None,
            timeout_seconds: 600,
            not_after: Timestamp::now().plus_secs(3600),
        }
    }

    pub fn content(&self, command: &CommandId, name: &str, content: &[u8]) -> AssignedContent {
        self.state().contents.insert(command.clone(), content.to_vec());
        AssignedContent { name: name.into(), sha256: hexadecimal(content), size: content.len() as u64 }
    }

    pub fn assign(&self, assignment: &Assignment) {
        self.send(assignment, |text| STANDARD.encode(self.key.sign(assignment_text(text).as_bytes())));
    }

    pub fn send(&self, assignment: &Assignment, sign: impl Fn(&str) -> String) {
        let text = serde_json::to_string(assignment).unwrap();
        let assign = FromServer::Assign { signature: sign(&text), assignment: text };
        self.state().assigned.push((assignment.command.clone(), assign.clone()));
        let _ = self.say.send(assign);
    }

    pub fn say(&self, message: FromServer) {
        let _ = self.say.send(message);
    }

    /// Assigns a script.
    pub fn script(
        &self,
        machine: &str,
        command: CommandId,
        name: &str,
        script: &str,
        args: &[&str],
    ) -> CommandId {
        let mut assignment = self.assignment(machine, command.clone(), CommandType::RunScript);
        assignment.content = Some(self.content(&command, name, script.as_bytes()));
        assignment.args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self.assign(&assignment);
        command
    }

    /// How far the agent's clock is made to seem behind.
    pub fn set_off(&self, secs: i64) {
        self.state().off = secs;
    }

    /// Neither keeps nor records from now on, or again.
    pub fn set_silent(&self, silent: bool) {
        self.state().silent = silent;
    }

    /// Returns when `look` sees what it waits for.
    async fn until<T>(&self, what: &str, look: impl Fn(&State) -> Option<T>) -> T {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = look(&self.state()) {
                    return found;
                }
                changed.await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"))
    }

    pub async fn finished(&self, command: &CommandId) -> Outcome {
        self.until("finished", |state| state.finished.get(command).cloned()).await
    }

    /// Waits until the end was said so often.
    pub async fn said(&self, command: &CommandId, times: usize) {
        self.until("said", |state| (state.said.get(command) >= Some(&times)).then_some(())).await;
    }

    pub fn count_said(&self, command: &CommandId) -> usize {
        self.state().said.get(command).copied().unwrap_or(0)
    }

    pub fn count_finished(&self) -> usize {
        self.state().finished.len()
    }

    /// Waits for so many messages more from agents.
    pub async fn events(&self, more: u64) {
        let wanted = self.state().events + more;
        let total = self.state().assigned.len();
        let look = |state: &State| (state.events >= wanted || state.finished.len() == total).then_some(());
        self.until("events", look).await;
    }

    pub async fn connected(&self, times: usize) {
        self.until("connected", |state| (state.connections >= times).then_some(())).await;
    }

    pub fn connections(&self) -> usize {
        self.state().connections
    }

    /// Ends that were said before all output was there.
    pub fn misses(&self) -> usize {
        self.state().misses
    }

    pub fn facts_of(&self, machine: usize) -> jumpbag_wire::machine::Facts {
        self.state().machines[machine].facts.clone()
    }

    pub fn output(&self, command: &CommandId, stream: Stream) -> Vec<u8> {
        self.state().outputs.get(&(command.clone(), stream)).cloned().unwrap_or_default()
    }

    pub fn text(&self, command: &CommandId, stream: Stream) -> String {
        String::from_utf8(self.output(command, stream)).unwrap()
    }

    /// Waits until a stream holds some text.
    pub async fn output_with(&self, command: &CommandId, text: &str) -> String {
        let key = (command.clone(), Stream::Stdout);
        let look = |state: &State| {
            let output = String::from_utf8_lossy(state.outputs.get(&key)?).into_owned();
            output.contains(text).then_some(output)
        };
        self.until("output", look).await
    }
}

/// Whether all output that an end tells of has come, as it is told.
fn whole(state: &State, command: &CommandId, outcome: &Outcome) -> bool {
    outcome.output.iter().all(|end| {
        let key = (command.clone(), end.stream);
        let Some(output) = state.outputs.get(&key) else { return false };
        output.len() as u64 == end.size && hexadecimal(output) == end.sha256
    })
}

fn verify(key: &[u8], text: &str, signature: &str) {
    let signature = STANDARD.decode(signature).unwrap();
    let key = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, key);
    key.verify(text.as_bytes(), &signature).unwrap();
}

/// Frames to send, in order.
#[derive(Default)]
struct Frames(Vec<Message>);

impl Frames {
    fn text(&mut self, message: &FromServer) {
        self.0.push(serde_json::to_string(message).unwrap().into());
    }

    fn next(&mut self) -> Option<Message> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }
}
