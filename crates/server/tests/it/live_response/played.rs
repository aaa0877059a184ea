//! A machine played by hand: its key, its enrolment, and what it says on its connection, word by word.

use std::sync::Mutex;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Method;
use jumpbag_wire::agent::{CONNECT_PATH, ENROLL_PATH, PROTOCOL, connect_text, enroll_text, handed_on};
use serde_json::{Value, json};

use crate::support::SOON;
use crate::support::client::Answer;
use crate::support::raw::Raw;
use crate::support::server::Jumpbag;

/// A machine's key, and what it was told when it came in.
pub struct Played {
    pair: Ed25519KeyPair,
    pub machine: String,
    pub server_key: String,
    /// The tokens that it has, oldest first.
    pub lineage: Mutex<Vec<String>>,
}

/// A token, without the server's key, of a line that `enroll create` printed.
pub fn token(line: &str) -> String {
    let last = line.split(' ').next_back().expect("a token");
    last.split('.').next().expect("its secret").to_owned()
}

impl Played {
    pub fn new() -> Played {
        let pair = Ed25519KeyPair::generate().expect("a key");
        Played { pair, machine: String::new(), server_key: String::new(), lineage: Mutex::default() }
    }

    pub fn sign(&self, text: &str) -> String {
        BASE64.encode(self.pair.sign(text.as_bytes()).as_ref())
    }

    pub fn public(&self) -> String {
        BASE64.encode(self.pair.public_key())
    }

    /// Sends an enrolment with this signature, or with the right one.
    pub async fn ask_in(&self, bag: &Jumpbag, token: &str, signature: Option<String>) -> Answer {
        let signature = signature.unwrap_or_else(|| self.sign(&enroll_text(token, &self.public())));
        let body = json!({
            "token": token, "publicKey": self.public(), "signature": signature,
            "facts": { "computerDnsName": "Played", "osPlatform": "Linux" },
        });
        bag.anonymous().json(Method::POST, ENROLL_PATH, &body).await
    }

    /// A machine that is in.
    pub async fn enrolled(bag: &Jumpbag) -> Played {
        let mut played = Played::new();
        let answer =
            played.ask_in(bag, &token(&super::line(bag, &[]).await), None).await.expect_status(200).json();
        played.machine = answer["machineId"].as_str().expect("an id").to_owned();
        played.server_key = answer["serverKey"].as_str().expect("a key").to_owned();
        played
    }

    /// Connects, and says that it is this machine, with this key of the server.
    pub async fn claims(&self, bag: &Jumpbag, machine: &str, server_key: &str) -> Line {
        let mut line = Line::open(bag).await;
        let hello = line.hear().await.expect("the server's word");
        let nonce = hello["nonce"].as_str().expect("a nonce").to_owned();
        let lineage = self.tokens();
        let signature = self.sign(&connect_text(&nonce, machine, server_key, &lineage));
        line.prove(machine, &lineage, &signature).await;
        line
    }

    pub fn tokens(&self) -> Vec<String> {
        self.lineage.lock().expect("no panic").clone()
    }

    pub fn set_tokens(&self, tokens: Vec<String>) {
        *self.lineage.lock().expect("no panic") = tokens;
    }

    /// A connection that is welcomed: it, and what is to be confirmed.
    pub async fn welcomed(&self, bag: &Jumpbag) -> (Line, Value) {
        let mut line = self.claims(bag, &self.machine, &self.server_key).await;
        let welcome = line.hear().await.expect("the server's word");
        assert_eq!(welcome["type"], "welcome");
        (line, welcome)
    }

    /// Keeps what a welcome brings.
    pub fn keep(&self, welcome: &Value) {
        let next = welcome["next"].as_str().expect("a token").to_owned();
        self.set_tokens(handed_on(self.tokens(), welcome["known"].as_str(), next));
    }

    /// A connection of this machine that is let in.
    pub async fn connected(&self, bag: &Jumpbag) -> Line {
        let (mut line, welcome) = self.welcomed(bag).await;
        self.keep(&welcome);
        line.confirm().await;
        line
    }
}

/// A WebSocket connection.
pub struct Line(Raw);

impl Line {
    pub async fn open(bag: &Jumpbag) -> Line {
        let (status, line) = Line::knock(bag).await;
        assert_eq!(status, 101);
        line
    }

    /// Asks for a connection: the answer's status, and what is a connection if it is 101.
    pub async fn knock(bag: &Jumpbag) -> (u16, Line) {
        let mut raw = Raw::connect(&bag.url()).await;
        let head = format!(
            "GET {CONNECT_PATH} HTTP/1.1\r\nHost: bag.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n"
        );
        raw.send(head).await.expect("an open connection");
        let status = raw.head(SOON).await.expect("an answer").status;
        (status, Line(raw))
    }

    pub async fn confirm(&mut self) {
        self.say(&json!({ "type": "confirmed" })).await;
    }

    pub async fn prove(&mut self, machine: &str, lineage: &[String], signature: &str) {
        let facts = json!({ "computerDnsName": "Played", "osPlatform": "Linux" });
        let proof = json!({
            "type": "prove", "machineId": machine, "facts": facts, "lineage": lineage, "signature": signature,
        });
        self.say(&proof).await;
    }

    pub async fn say(&mut self, message: &Value) {
        self.frame(1, message.to_string().as_bytes()).await;
    }

    /// A frame with a mask of zeros. The server may have hung up.
    pub async fn frame(&mut self, kind: u8, payload: &[u8]) {
        self.raw(&framed(0x80 | kind, payload)).await;
    }

    /// The next text, or the code that the connection ends with. Pings on the way are answered.
    pub async fn hear(&mut self) -> Result<Value, u16> {
        loop {
            match self.heard().await? {
                (1, text) => return Ok(serde_json::from_slice(&text).expect("JSON")),
                (9, payload) => self.frame(10, &payload).await,
                _ => {}
            }
        }
    }

    /// The next frame of any kind, or the code that the connection ends with.
    pub async fn heard(&mut self) -> Result<(u8, Vec<u8>), u16> {
        let Ok(head) = self.0.bytes(SOON, 2).await else { return Err(0) };
        let more = match head[1] {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let bytes = self.0.bytes(SOON, more).await.expect("a length");
        let length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let length = if more == 0 { usize::from(head[1]) } else { length };
        let payload = self.0.bytes(SOON, length).await.expect("the whole frame");
        match head[0] & 0x0f {
            8 if payload.len() >= 2 => Err(u16::from_be_bytes([payload[0], payload[1]])),
            8 => Err(1005),
            kind => Ok((kind, payload)),
        }
    }

    /// Bytes as they are.
    pub async fn raw(&mut self, bytes: &[u8]) {
        let _ = self.0.send(bytes).await;
    }
}

/// A frame with this first byte and a mask of zeros.
pub fn framed(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(0x80 | length as u8),
        Ok(length) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}
