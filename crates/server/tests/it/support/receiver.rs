//! A receiver of webhooks: a small HTTP/1.1 server that remembers what it was sent and answers as it is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::SOON;

/// One request.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no `{name}` in {:?}", self.headers))
    }

    /// The number of the event that it tells.
    pub fn number(&self) -> i64 {
        self.json()["data"]["number"].as_i64().expect("an event with a number")
    }
}

/// What a request is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Status(u16),
    Redirect(String),
    /// Nothing, for as long as the sender waits.
    Silence,
}

type Behaviour = Box<dyn FnMut(&Received) -> Reply + Send>;

pub struct Receiver {
    port: u16,
    received: Arc<watch::Sender<Vec<Received>>>,
    behaviour: Arc<Mutex<Behaviour>>,
    serving: Option<JoinHandle<()>>,
}

impl Receiver {
    /// One that answers 204 to everything.
    pub async fn start() -> Receiver {
        Receiver::behaving(|_| Reply::Status(204)).await
    }

    pub async fn behaving(behaviour: impl FnMut(&Received) -> Reply + Send + 'static) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let behaviour: Arc<Mutex<Behaviour>> = Arc::new(Mutex::new(Box::new(behaviour)));
        let mut receiver =
            Receiver { port, received: Arc::new(watch::Sender::new(Vec::new())), behaviour, serving: None };
        receiver.listen(listener);
        receiver
    }

    fn listen(&mut self, listener: TcpListener) {
        let (received, behaviour) = (Arc::clone(&self.received), Arc::clone(&self.behaviour));
        self.serving = Some(tokio::spawn(async move {
            // They end with this task.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (received, behaviour) = (Arc::clone(&received), Arc::clone(&behaviour));
                connections.spawn(async move { serve(stream, received, behaviour).await });
            }
        }));
    }

    /// Its address, with a path that no other has.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?key=in-the-address", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn behave(&self, behaviour: impl FnMut(&Received) -> Reply + Send + 'static) {
        *self.behaviour.lock().expect("no behaviour panics") = Box::new(behaviour);
    }

    /// Refuses connections from now on.
    pub async fn down(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    /// Listens again, where it did before.
    pub async fn up(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.expect("the port it had");
        self.listen(listener);
    }

    /// All that it was sent so far.
    pub fn all(&self) -> Vec<Received> {
        self.received.borrow().clone()
    }

    /// All that it was sent, once `enough` is true of it. Panics when that does not come soon.
    pub async fn until(&self, what: &str, enough: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let mut received = self.received.subscribe();
        match timeout(SOON, received.wait_for(|received| enough(received))).await {
            Ok(received) => received.expect("the sender lives").clone(),
            Err(_) => panic!("not within {SOON:?}: {what}; came: {:#?}", self.all()),
        }
    }

    /// So many requests.
    pub async fn count(&self, count: usize) -> Vec<Received> {
        self.until(&format!("{count} requests"), |received| received.len() >= count).await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    received: Arc<watch::Sender<Vec<Received>>>,
    behaviour: Arc<Mutex<Behaviour>>,
) -> Option<()> {
    let mut unread = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = unread.windows(4).position(|mark| mark == b"\r\n\r\n") {
                break end;
            }
            fill(&mut stream, &mut unread).await?;
        };
        let head = String::from_utf8(unread.drain(..end + 4).collect()).ok()?;
        let mut lines = head.trim_end().lines();
        let path = lines.next()?.split(' ').nth(1)?.to_owned();
        let headers: HashMap<_, _> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while unread.len() < length {
            fill(&mut stream, &mut unread).await?;
        }
        let body = String::from_utf8(unread.drain(..length).collect()).ok()?;
        let request = Received { path, headers, body };
        let reply = (behaviour.lock().ok()?)(&request);
        received.send_modify(|received| received.push(request));
        let answer = match reply {
            Reply::Status(status) => format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"),
            Reply::Redirect(to) => {
                format!("HTTP/1.1 307 X\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
            }
            Reply::Silence => {
                // Until the sender hangs up.
                return fill(&mut stream, &mut unread).await;
            }
        };
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

async fn fill(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<()> {
    (stream.read_buf(unread).await.ok()? > 0).then_some(())
}
