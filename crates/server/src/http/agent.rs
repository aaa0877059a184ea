//! `/agent/v1`: where agents come in and stay connected. A session proves its machine first and is told of that machine's
//! work only; what it holds in memory is one message.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::response::Response;
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::StreamExt as _;
use jumpbag_wire::agent::{
    Chunk, CommandId, Enroll, Enrolled, FromAgent, FromServer, MAX_DATA, MAX_TEXT, PROTOCOL,
};
use jumpbag_wire::time::Timestamp;

use super::edge::Context;
use super::json;
use crate::agents::{Connected, Hub};
use crate::app::App;
use crate::error::Error;
use crate::library::ContentRef;
use crate::machines::Proof;

/// How long a machine may take to prove itself.
const PROOF: Duration = Duration::from_secs(20);
/// A connection that nothing was heard of for this long is dead: agents ping more often.
const SILENCE: Duration = Duration::from_secs(150);
/// Bytes of content in a message. The connection keeps a buffer of this size from then on.
const PIECE: usize = 32 * 1024;

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

/// Becomes a session, if there is room for one more.
pub async fn connect(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Error> {
    let place = app.hub.place()?;
    let response = upgrade
        .protocols([PROTOCOL])
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MAX_DATA + MAX_TEXT)
        .max_message_size(MAX_TEXT.max(MAX_DATA + 64))
        .max_frame_size(MAX_TEXT.max(MAX_DATA + 64))
        .on_upgrade(move |socket| async move {
            let _place = place;
            let address = context.address.to_string();
            let mut session = Session { app, socket };
            if let Err(why) = session.run(address).await {
                tracing::info!(request_id = context.id, why = why.chain(), "an agent's connection ends");
                let reason = why.face().message.chars().take(100).collect::<String>();
                let frame = CloseFrame { code: 4000 + why.face().status.as_u16(), reason: reason.into() };
                let _ = session.socket.send(Message::Close(Some(frame))).await;
            }
        });
    Ok(response)
}

struct Session {
    app: Arc<App>,
    socket: WebSocket,
}

/// What an agent said.
enum Said {
    Text(FromAgent),
    Chunk(Chunk),
    /// It is alive.
    Ping,
    Gone,
}

impl Session {
    async fn run(&mut self, address: String) -> Result<(), Error> {
        // What is only done now and then is in boxes: ten thousand sessions wait at the same time.
        let connected = match tokio::time::timeout(PROOF, Box::pin(self.proven(address))).await {
            Ok(proven) => proven?,
            Err(_) => return Err(Error::Slow("the machine did not prove itself".into())),
        };
        let now = Timestamp::now();
        self.tell(&FromServer::Welcome { time: now }).await?;
        let mut told: Option<CommandId> = None;
        let line = Arc::clone(&connected.line);
        loop {
            tokio::select! {
                () = line.ended.notified() => {
                    if self.app.hub.is_closed() {
                        return Ok(());
                    }
                    return Err(Error::Forbidden("the machine is connected elsewhere, or was cut off".into()));
                }
                () = line.wake.notified() => Box::pin(self.look(&connected, &mut told)).await?,
                said = tokio::time::timeout(SILENCE, hear(&mut self.socket)) => match said {
                    Err(_) => return Err(Error::Slow("nothing was heard of the machine".into())),
                    Ok(said) => match said? {
                        Said::Gone => return Ok(()),
                        Said::Ping => {}
                        Said::Text(message) => Box::pin(self.answer(&connected, message, &mut told)).await?,
                        Said::Chunk(chunk) => Box::pin(self.keep(&connected.machine, chunk)).await?,
                    },
                },
            }
        }
    }

    /// The line of the machine that proves itself.
    async fn proven(&mut self, address: String) -> Result<Connected, Error> {
        let nonce = BASE64.encode(crate::auth::secret::random::<32>());
        self.tell(&FromServer::Hello { nonce: nonce.clone() }).await?;
        let Said::Text(FromAgent::Prove { machine_id, facts, signature }) = hear(&mut self.socket).await?
        else {
            return Err(Error::Forbidden("the first message must be the proof".into()));
        };
        let proof = Proof { machine_id, nonce, facts, signature };
        let key = self.app.agent_key.public();
        let machine = self.app.machines.prove(proof, key, address, Timestamp::now()).await?;
        Ok(Hub::connect(&self.app.hub, &machine.id))
    }

    /// Tells the agent what it is to do, or to stop.
    async fn look(&mut self, connected: &Connected, told: &mut Option<CommandId>) -> Result<(), Error> {
        let app = Arc::clone(&self.app);
        let actions = &app.actions;
        belongs(&app, &connected.machine).await?;
        if let Some(command) = told.take() {
            if actions.is_over(&connected.machine, command.clone()).await? {
                self.tell(&FromServer::Cancel { command }).await?;
            } else {
                *told = Some(command);
                return Ok(());
            }
        }
        let next = actions.next(&connected.machine, &app.agent_key, Timestamp::now()).await?;
        if let Some(next) = next {
            let (assignment, signature) = (next.assignment, next.signature);
            self.tell(&FromServer::Assign { assignment, signature }).await?;
            // The agent works while this is written down; what it says is heard behind it.
            actions.told(&connected.machine, next.command.clone()).await?;
            *told = Some(next.command);
        }
        Ok(())
    }

    async fn answer(
        &mut self,
        connected: &Connected,
        message: FromAgent,
        told: &mut Option<CommandId>,
    ) -> Result<(), Error> {
        let (machine, app, now) = (connected.machine.as_str(), Arc::clone(&self.app), Timestamp::now());
        let actions = &app.actions;
        match message {
            FromAgent::Prove { .. } => Err(Error::Forbidden("a proof comes once".into())),
            FromAgent::Started { command, time } => {
                match actions.started(machine, command.clone(), time, now).await? {
                    true => Ok(()),
                    false => self.tell(&FromServer::Cancel { command }).await,
                }
            }
            FromAgent::Fetch { command, offset } => self.send_content(machine, command, offset).await,
            FromAgent::Finished { command, outcome } => {
                let ends = outcome.output.clone();
                if actions.finished(machine, command.clone(), outcome, now).await? {
                    self.tell(&FromServer::Recorded { command: command.clone() }).await?;
                    if told.as_ref() == Some(&command) {
                        *told = None;
                    }
                    return self.look(connected, told).await;
                }
                // Something of its output is missing: it sends that first, and this again.
                for end in ends {
                    let output = actions.output(&command.action, command.index, end.stream).await?;
                    let kept = FromServer::Kept {
                        command: command.clone(),
                        stream: end.stream,
                        offset: output.size,
                    };
                    self.tell(&kept).await?;
                }
                Ok(())
            }
        }
    }

    async fn keep(&mut self, machine: &str, chunk: Chunk) -> Result<(), Error> {
        let (command, stream) = (chunk.command.clone(), chunk.stream);
        let offset = self.app.actions.keep(machine, chunk).await?;
        if let Some(stream) = stream {
            self.tell(&FromServer::Kept { command: command.clone(), stream, offset }).await?;
        }
        // It may have been ended while its machine was away.
        match self.app.actions.is_over(machine, command.clone()).await? {
            true => self.tell(&FromServer::Cancel { command }).await,
            false => Ok(()),
        }
    }

    /// The assigned bytes from an offset to their end, verified on the way.
    async fn send_content(&mut self, machine: &str, command: CommandId, offset: u64) -> Result<(), Error> {
        let (sha256, size) = self.app.actions.content(machine, command.clone()).await?;
        let content = ContentRef { file_name: command.action.clone(), sha256, size };
        let (mut opened, _flow) = self.app.library.open(&content, offset.min(size)..size).await?;
        let mut offset = offset.min(size);
        while let Some(piece) = opened.next().await {
            let mut piece: Bytes = piece?;
            while !piece.is_empty() {
                let data = piece.split_to(piece.len().min(PIECE));
                let length = data.len() as u64;
                let chunk = Chunk { command: command.clone(), stream: None, offset, data };
                let frame =
                    chunk.write().ok_or_else(|| Error::Internal("a command without a GUID".into()))?;
                self.send(Message::Binary(frame.into())).await?;
                offset += length;
            }
        }
        Ok(())
    }

    async fn tell(&mut self, message: &FromServer) -> Result<(), Error> {
        let text = serde_json::to_string(message).map_err(|e| Error::Internal(e.to_string()))?;
        self.send(Message::Text(text.into())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Error> {
        let sent = tokio::time::timeout(SILENCE, self.socket.send(message)).await;
        let sent = sent.map_err(|_| Error::Slow("the machine takes nothing".into()))?;
        sent.map_err(|e| Error::Slow(format!("the connection broke: {e}")))
    }
}

/// # Errors
/// `Forbidden` once the machine was revoked.
async fn belongs(app: &App, machine: &str) -> Result<(), Error> {
    match app.machines.belongs(machine).await? {
        true => Ok(()),
        false => Err(Error::Forbidden("the machine was revoked".into())),
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
        Message::Ping(_) | Message::Pong(_) => Ok(Said::Ping),
        Message::Close(_) => Ok(Said::Gone),
    }
}
