//! A server that answers whatever a test wants, byte by byte: endless, nested, lying.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::program::{Home, Place};

/// A call as it came.
#[derive(Clone, Debug)]
pub struct Call {
    /// `GET /path?query`
    pub line: String,
    /// The server's own address.
    pub base: String,
}

/// What a call is answered with.
pub enum Reply {
    Whole(Vec<u8>),
    /// A beginning, and a piece that comes again and again until the client has enough.
    Endless(Vec<u8>, Vec<u8>),
}

/// It ends when this is dropped.
pub struct Hostile {
    url: String,
    calls: Arc<Mutex<Vec<Call>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Hostile {
    /// One that signs everybody in and answers all other calls so.
    pub async fn start(answer: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Hostile {
        Hostile::bare(move |call| match call.line.starts_with("POST /tenant/oauth2/v2.0/token") {
            true => json(200, r#"{"access_token":"a.b.c","expires_in":3600,"token_type":"Bearer"}"#),
            false => answer(call),
        })
        .await
    }

    /// One that answers all calls so.
    pub async fn bare(answer: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Hostile {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (base, answer, noted) = (url.clone(), Arc::new(answer), calls.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (base, answer, noted) = (base.clone(), answer.clone(), noted.clone());
                tokio::spawn(async move { serve(stream, base, &*answer, &noted).await });
            }
        });
        Hostile { url, calls, task }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("no test panics inside").clone()
    }

    pub fn place(&self) -> Place {
        Place {
            url: self.url.clone(),
            tenant: "tenant".into(),
            client_id: "client".into(),
            client_secret: "s3cret".into(),
            ca_file: None,
        }
    }

    pub fn home(&self) -> Home {
        Home::at(&self.place())
    }
}

async fn serve(
    mut stream: TcpStream,
    base: String,
    answer: &(dyn Fn(&Call) -> Reply + Send + Sync),
    noted: &Mutex<Vec<Call>>,
) {
    let Some(text) = request(&mut stream).await else { return };
    let line = text.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let call = Call { line, base };
    noted.lock().expect("no test panics inside").push(call.clone());
    match answer(&call) {
        Reply::Whole(bytes) => {
            let _ = stream.write_all(&bytes).await;
        }
        Reply::Endless(head, piece) => {
            let _ = stream.write_all(&head).await;
            while stream.write_all(&piece).await.is_ok() {}
        }
    }
    let _ = stream.shutdown().await;
}

/// Head and body, whose length is told.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 16 * 1024];
        let read = stream.read(&mut piece).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0_usize) {
            return Some(text.into_owned());
        }
    }
}

/// The head of an answer without an end.
pub fn head(status: u16, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Whatever\r\nconnection: close\r\n{headers}\r\n").into_bytes()
}

pub fn json(status: u16, body: &str) -> Reply {
    let headers = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    Reply::Whole([head(status, &headers), body.as_bytes().to_vec()].concat())
}
