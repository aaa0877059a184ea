//! The one connection to the server, dialled out and kept: made again whenever it is lost or silent, with more and more
//! time between attempts.

mod pulse;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use jumpbag_wire::agent::{
    CONNECT_PATH, Chunk, FromAgent, FromServer, MAX_DATA, MAX_TEXT, PROTOCOL, connect_text, handed_on,
};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use crate::backoff::Backoff;
use crate::duty::{Duty, Frame};
use crate::error::{Context, Error, Result};
use crate::facts;
use crate::identity::{Identity, Lineage};
use crate::link::proxy::Proxy;
use crate::link::{self, Server, Stream};
use crate::settings::Settings;
use pulse::Pulse;

/// A ping goes out this often, so that whatever is between keeps the connection.
const PING_EVERY: Duration = Duration::from_secs(50);
/// For the first words.
const GREETING: Duration = Duration::from_secs(30);
/// A connection that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(30);
/// Bytes of a chunk's frame around its data, with room.
const AROUND: usize = 1024;

type Socket = WebSocketStream<Stream>;

/// Who connects, where to, and how.
pub struct Courier {
    pub settings: Settings,
    pub server: Server,
    pub identity: Identity,
    pub lineage: Lineage,
    pub duty: Arc<Duty>,
}

impl Courier {
    /// Keeps the machine connected. It never returns.
    pub async fn run(&self) {
        let mut backoff = Backoff::new(self.settings.first_wait, self.settings.longest_wait);
        loop {
            let begun = Instant::now();
            let Err(error) = self.connection().await;
            if begun.elapsed() >= GOOD {
                backoff.reset();
            }
            let wait = backoff.wait();
            crate::say!("{error}; trying again in {:.1} s", wait.as_secs_f64());
            tokio::time::sleep(wait).await;
        }
    }

    async fn connection(&self) -> Result<Infallible> {
        let mut socket = self.dial().await?;
        let greeted = tokio::time::timeout(GREETING, self.greet(&mut socket)).await;
        greeted.unwrap_or_else(|_| Err(Error::new("the server does not greet")))?;
        crate::say!("connected to `{}`", self.settings.url);
        self.duty.connected();
        let (sink, stream) = socket.split();
        let pulse = Pulse::new();
        tokio::select! {
            lost = self.listen(stream, &pulse) => lost,
            lost = self.speak(sink, &pulse) => lost,
            lost = pulse.watch() => lost,
        }
    }

    async fn dial(&self) -> Result<Socket> {
        let Courier { settings, server, .. } = self;
        let chosen = Proxy::choose(server, settings.proxy.as_deref(), |name| std::env::var(name).ok());
        let proxy = chosen.as_deref().map(Proxy::parse).transpose()?;
        let stream = link::open(server, proxy.as_ref(), settings.ca.as_deref()).await?;
        let scheme = if server.tls { "wss" } else { "ws" };
        let address = format!("{scheme}://{}{}", server.authority(), server.path(CONNECT_PATH));
        let mut request =
            address.into_client_request().context(|| format!("cannot connect to `{}`", settings.url))?;
        let headers = request.headers_mut();
        headers.insert("Sec-WebSocket-Protocol", HeaderValue::from_static(PROTOCOL));
        headers.insert("User-Agent", HeaderValue::from_static(crate::USER_AGENT));
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_TEXT.max(MAX_DATA + AROUND)))
            .max_frame_size(Some(MAX_TEXT.max(MAX_DATA + AROUND)))
            .read_buffer_size(16 * 1024)
            .write_buffer_size(0);
        let shaking = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
        let shaken = tokio::time::timeout(GREETING, shaking).await;
        let shaken = shaken.map_err(|_| Error::new("the server does not answer"))?;
        let (socket, _) = shaken.map_err(|error| match error {
            SocketError::Http(answer) => {
                Error::new(format!("the server refuses the connection ({})", answer.status()))
            }
            error => Error::new(format!("cannot connect to `{}`: {error}", settings.url)),
        })?;
        Ok(socket)
    }

    /// Proves which machine this is.
    async fn greet(&self, socket: &mut Socket) -> Result<()> {
        let FromServer::Hello { nonce } = hear(socket).await? else {
            return Err(Error::new("the server does not say who it talks to"));
        };
        let Settings { machine_id, server_key, .. } = &self.settings;
        let lineage = self.lineage.read()?;
        let prove = FromAgent::Prove {
            machine_id: machine_id.clone(),
            facts: facts::gather(),
            signature: self.identity.sign(&connect_text(&nonce, machine_id, server_key, &lineage)),
            lineage: lineage.clone(),
        };
        socket.send(text(&prove)?).await.context(lost)?;
        let FromServer::Welcome { time, known, next } = hear(socket).await? else {
            return Err(Error::new("the server does not welcome this machine"));
        };
        // Before it is confirmed: the server may go by nothing that could be lost here.
        self.lineage.write(&handed_on(lineage, known.as_deref(), next))?;
        socket.send(text(&FromAgent::Confirmed)?).await.context(lost)?;
        let behind = self.duty.clock.set(time);
        if behind.abs() > 60 {
            crate::say!(
                "this machine's clock is {} s {}",
                behind.abs(),
                ["behind", "ahead"][usize::from(behind < 0)]
            );
        }
        Ok(())
    }

    async fn listen(&self, mut stream: SplitStream<Socket>, pulse: &Pulse) -> Result<Infallible> {
        loop {
            let message = stream.next().await;
            pulse.beat();
            match received(message)? {
                Message::Text(text) => match serde_json::from_str(&text) {
                    Ok(message) => self.duty.hear(message),
                    // A newer server may say more than this agent knows.
                    Err(error) => crate::say!("the server says something unknown: {error}"),
                },
                Message::Binary(bytes) => {
                    let chunk = Chunk::read(bytes)
                        .map_err(|_| Error::new("the server sends bytes that are no chunk"))?;
                    self.duty.hear_chunk(&chunk);
                }
                _ => {}
            }
        }
    }

    async fn speak(&self, mut sink: SplitSink<Socket, Message>, pulse: &Pulse) -> Result<Infallible> {
        let mut ping_at = Instant::now() + PING_EVERY;
        let mut slept = SystemTime::now();
        loop {
            while let Some(frame) = self.duty.next_frame(Instant::now()) {
                sink.send(message(&frame)?).await.context(lost)?;
            }
            let wake_at = self.duty.say_again_at().map_or(ping_at, |again| again.min(ping_at));
            tokio::select! {
                () = self.duty.something_to_say() => {}
                () = tokio::time::sleep_until(wake_at.into()) => {}
            }
            if Instant::now() >= ping_at {
                // The machine's clock goes on while it sleeps, and the other one does not.
                let passed = slept.elapsed().unwrap_or(Duration::ZERO);
                if passed > 2 * PING_EVERY {
                    pulse.hurry();
                }
                sink.send(Message::Ping(Bytes::new())).await.context(lost)?;
                ping_at = Instant::now() + PING_EVERY;
                slept = SystemTime::now();
            }
        }
    }
}

fn lost() -> String {
    "the connection is lost".into()
}

fn received(message: Option<std::result::Result<Message, SocketError>>) -> Result<Message> {
    match message {
        Some(Ok(Message::Close(Some(frame)))) if !frame.reason.is_empty() => {
            let reason: String = frame.reason.chars().filter(|c| !c.is_control()).collect();
            Err(Error::new(format!("the server closes the connection: {reason}")))
        }
        Some(Ok(Message::Close(_))) | None => Err(Error::new("the server closes the connection")),
        Some(message) => message.context(lost),
    }
}

async fn hear(socket: &mut Socket) -> Result<FromServer> {
    loop {
        if let Message::Text(text) = received(socket.next().await)? {
            return serde_json::from_str(&text).context(|| "the server does not greet as it should".into());
        }
    }
}

fn text(message: &FromAgent) -> Result<Message> {
    serde_json::to_string(message).map(Message::text).context(|| "cannot write a message".into())
}

fn message(frame: &Frame) -> Result<Message> {
    match frame {
        Frame::Text(words) => text(words),
        Frame::Bytes(chunk) => {
            chunk.write().map(Message::binary).ok_or_else(|| Error::new("an action's id is no GUID"))
        }
    }
}
