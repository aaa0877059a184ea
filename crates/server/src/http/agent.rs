//! `/agent/v1`: where agents come in and stay connected. A session proves its machine first and is told of that machine's
//! work only; what it holds in memory is one message, or output that is gathered, and what is read ahead of one content.

mod gather;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::response::Response;
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::StreamExt as _;
use jumpbag_wire::agent::{Chunk, Enroll, Enrolled, FromAgent, FromServer, MAX_DATA, MAX_TEXT, PROTOCOL};
use jumpbag_wire::time::Timestamp;
use tokio::time::Instant;

use super::edge::Context;
use super::json;
use crate::agents::door::Unproven;
use crate::agents::talk::{Answer, Talk, Wanted};
use crate::agents::{Connected, Hub, Line};
use crate::app::App;
use crate::error::Error;
use crate::library::{Flow, Opened};
use crate::machines::proof::Proof;

/// How long a machine may take to prove itself.
const PROOF: Duration = Duration::from_secs(20);
/// A connection that nothing was heard of for this long is dead: agents ping more often.
const SILENCE: Duration = Duration::from_secs(150);
/// Bytes of content that go out between two looks at what the agent says, and at what it is to be told. The connection
/// keeps a buffer of this size from then on.
const PIECE: usize = 32 * 1024;
/// For the last words on a connection that ends.
const PARTING: Duration = Duration::from_secs(5);

/// Lets a machine in.
pub async fn enroll(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    request: Request,
) -> Result<Json<Enrolled>, Error> {
    let body = json::read(request).await?;
    let request: Enroll = serde_json::from_slice(&body).map_err(|e| json::incorrect(&e.to_string()))?;
    let machine_id = app.machines.enroll(request, context.address.to_string(), Timestamp::now()).await?;
    Ok(Json(Enrolled { machine_id, server_key: app.agent_key.public().to_owned() }))
}

/// Becomes a session.
///
/// # Errors
/// `NoUpgrade` when it is not asked for one, or for another than agents have; `Crowded` when there is no room
/// for one more, or too many connections have not proven yet whose they are.
pub async fn connect(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Error> {
    let upgrade = upgrade.map_err(|rejection| {
        Error::NoUpgrade(format!(
            "agents connect here, by a WebSocket over HTTP/1.1: {}",
            rejection.body_text()
        ))
    })?;
    let upgrade = upgrade.protocols([PROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        return Err(Error::NoUpgrade(format!("the WebSocket must have the subprotocol `{PROTOCOL}`")));
    }
    let (place, unproven) = (app.hub.place()?, app.hub.door.admit(context.address)?);
    Ok(upgrade
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MAX_DATA + MAX_TEXT)
        .max_message_size(MAX_TEXT.max(MAX_DATA + 64))
        .max_frame_size(MAX_TEXT.max(MAX_DATA + 64))
        .on_upgrade(move |socket| async move {
            let _place = place;
            let address = context.address.to_string();
            let mut session = Session { app, socket, line: None, lineage: String::new() };
            if let Err(why) = session.run(address, unproven).await {
                tracing::info!(request_id = context.id, why = why.chain(), "an agent's connection ends");
                let reason = why.face().message.chars().take(100).collect::<String>();
                let frame = CloseFrame { code: 4000 + why.face().status.as_u16(), reason: reason.into() };
                let parting = session.socket.send(Message::Close(Some(frame)));
                let _ = tokio::time::timeout(PARTING, parting).await;
            }
        }))
}

struct Session {
    app: Arc<App>,
    socket: WebSocket,
    /// Of the machine that this is.
    line: Option<Arc<Line>>,
    /// What the machine's lineage is while this connection is the machine's.
    lineage: String,
}

/// What an agent said.
enum Said {
    Text(FromAgent),
    Chunk(Chunk),
    /// It is alive.
    Ping,
    Pong(Bytes),
    Gone,
}

impl Session {
    async fn run(&mut self, address: String, unproven: Unproven) -> Result<(), Error> {
        // What is only done now and then is in boxes: ten thousand sessions wait at the same time.
        let connected = match tokio::time::timeout(PROOF, Box::pin(self.proven(address))).await {
            Ok(proven) => proven?,
            Err(_) => return Err(Error::Slow("the machine did not prove itself".into())),
        };
        drop(unproven);
        let line = Arc::clone(&connected.line);
        self.line = Some(Arc::clone(&line));
        let app = Arc::clone(&self.app);
        let mut talk = Talk::new(&app.actions, &app.agent_key, &connected.machine);
        let mut parcel: Option<Parcel> = None;
        let mut heard = Instant::now();
        // What was heard already while output was gathered.
        let mut then = None;
        loop {
            // In this order: content goes when nothing else is to be done, and however often it is asked for, once.
            tokio::select! {
                biased;
                () = line.ended.notified() => {
                    if app.hub.is_closed() {
                        return Ok(());
                    }
                    // What ran on a machine that was revoked is over.
                    let words = Box::pin(talk.stop()).await?;
                    self.follow(Answer { words, content: None }, &mut parcel).await?;
                    return Err(elsewhere());
                }
                () = line.probe.notified() => {
                    self.send(Message::Ping(Bytes::copy_from_slice(&line.question()))).await?;
                }
                () = line.wake.notified() => {
                    app.machines.belongs(&connected.machine, &self.lineage).await?;
                    let words = Box::pin(talk.look(Timestamp::now())).await?;
                    self.follow(Answer { words, content: None }, &mut parcel).await?;
                }
                said = tokio::time::timeout_at(heard + SILENCE, heard_or(&mut then, &mut self.socket)) => {
                    let said = said.map_err(|_| Error::Slow("nothing was heard of the machine".into()))?;
                    heard = Instant::now();
                    let answer = match said? {
                        Said::Gone => return Ok(()),
                        Said::Ping => continue,
                        Said::Pong(payload) => {
                            line.answer(&payload);
                            continue;
                        }
                        Said::Text(message) => Box::pin(talk.hear(message, Timestamp::now())).await?,
                        Said::Chunk(chunk) => {
                            let gathered = gather::gather(&mut self.socket, chunk);
                            then = gathered.then;
                            Answer { words: Box::pin(talk.keep(gathered.chunk)).await?, content: None }
                        }
                    };
                    self.follow(answer, &mut parcel).await?;
                }
                frame = next_of(&app, &mut parcel) => match frame? {
                    Some(chunk) => {
                        let frame = chunk.write();
                        let frame = frame.ok_or_else(|| Error::Internal("a command without a GUID".into()))?;
                        self.send(Message::Binary(frame.into())).await?;
                    }
                    None => parcel = None,
                },
            }
        }
    }

    /// The line of the machine that proves itself.
    async fn proven(&mut self, address: String) -> Result<Connected, Error> {
        let nonce = BASE64.encode(crate::auth::secret::random::<32>());
        self.tell(&FromServer::Hello { nonce: nonce.clone() }).await?;
        let Said::Text(FromAgent::Prove { machine_id, facts, lineage, signature }) =
            hear(&mut self.socket).await?
        else {
            return Err(Error::Forbidden("the first message must be the proof".into()));
        };
        let proof = Proof { machine_id, nonce, facts, lineage, signature };
        let machines = &self.app.machines;
        let key = self.app.agent_key.public();
        let proven = machines.prove(proof, key, address, Timestamp::now()).await?;
        if self.app.hub.answers(proven.machine()).await {
            return Err(machines.refuse_second(proven, Timestamp::now()).await?);
        }
        let welcome = FromServer::Welcome {
            time: Timestamp::now(),
            known: proven.known.clone(),
            next: proven.next.reveal().to_owned(),
        };
        self.tell(&welcome).await?;
        loop {
            match hear(&mut self.socket).await? {
                Said::Text(FromAgent::Confirmed) => break,
                Said::Ping | Said::Pong(_) => {}
                _ => return Err(Error::Forbidden("the welcome is to be confirmed first".into())),
            }
        }
        self.lineage = self.app.machines.confirm(&proven, Timestamp::now()).await?;
        Ok(Hub::connect(&self.app.hub, proven.machine()))
    }

    /// Says what there is to say, and stops or begins to send content.
    async fn follow(&mut self, answer: Answer, parcel: &mut Option<Parcel>) -> Result<(), Error> {
        for word in &answer.words {
            if let FromServer::Cancel { command } = word
                && parcel.as_ref().is_some_and(|parcel| parcel.wanted.command == *command)
            {
                *parcel = None;
            }
            self.tell(word).await?;
        }
        if let Some(wanted) = answer.content {
            *parcel = Some(Parcel::new(wanted));
        }
        Ok(())
    }

    async fn tell(&mut self, message: &FromServer) -> Result<(), Error> {
        let text = serde_json::to_string(message).map_err(|e| Error::Internal(e.to_string()))?;
        self.send(Message::Text(text.into())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Error> {
        let Session { socket, line, .. } = self;
        let ended = async {
            match line {
                Some(line) => line.ended.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            sent = tokio::time::timeout(SILENCE, socket.send(message)) => {
                let sent = sent.map_err(|_| Error::Slow("the machine takes nothing".into()))?;
                sent.map_err(|e| Error::Slow(format!("the connection broke: {e}")))
            }
            () = ended => Err(elsewhere()),
        }
    }
}

fn elsewhere() -> Error {
    Error::Forbidden("the machine is connected elsewhere, or was cut off".into())
}

/// Content on its way to an agent, opened when its turn comes and verified on the way.
struct Parcel {
    wanted: Wanted,
    opened: Option<(Opened, Flow)>,
    /// What was read and not sent, from the offset on.
    rest: Bytes,
}

impl Parcel {
    fn new(wanted: Wanted) -> Parcel {
        Parcel { wanted, opened: None, rest: Bytes::new() }
    }

    /// The next bytes; `None` behind the last. Nothing is lost when this is given up and asked for again.
    async fn next(&mut self, app: &App) -> Result<Option<Chunk>, Error> {
        let Wanted { command, content, offset } = &mut self.wanted;
        if *offset >= content.size {
            return Ok(None);
        }
        let (opened, _) = match &mut self.opened {
            Some(opened) => opened,
            None => self.opened.insert(app.library.open(content, *offset..content.size).await?),
        };
        while self.rest.is_empty() {
            let Some(piece) = opened.next().await else { return Ok(None) };
            self.rest = piece?;
        }
        let data = self.rest.split_to(self.rest.len().min(PIECE));
        let chunk = Chunk { command: command.clone(), stream: None, offset: *offset, data };
        *offset += chunk.data.len() as u64;
        Ok(Some(chunk))
    }
}

async fn next_of(app: &App, parcel: &mut Option<Parcel>) -> Result<Option<Chunk>, Error> {
    match parcel {
        Some(parcel) => parcel.next(app).await,
        None => std::future::pending().await,
    }
}

/// What was heard already, or the next thing that an agent says.
async fn heard_or(then: &mut Option<Result<Said, Error>>, socket: &mut WebSocket) -> Result<Said, Error> {
    match then.take() {
        Some(said) => said,
        None => hear(socket).await,
    }
}

/// The next thing that an agent says.
async fn hear(socket: &mut WebSocket) -> Result<Said, Error> {
    let incorrect = |what: &str| Error::InvalidRequestBody(format!("an agent's message: {what}"));
    let Some(message) = socket.recv().await else { return Ok(Said::Gone) };
    match message.map_err(|e| incorrect(&e.to_string()))? {
        Message::Text(text) => {
            serde_json::from_str(&text).map(Said::Text).map_err(|e| incorrect(&e.to_string()))
        }
        Message::Binary(frame) => Chunk::read(frame).map(Said::Chunk).map_err(|_| incorrect("no chunk")),
        Message::Ping(_) => Ok(Said::Ping),
        Message::Pong(payload) => Ok(Said::Pong(payload)),
        Message::Close(_) => Ok(Said::Gone),
    }
}
