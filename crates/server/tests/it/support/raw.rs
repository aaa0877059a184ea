//! HTTP/1.1 by hand, for requests that no client would send: byte by byte, broken off, or slow.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A connection to a server.
pub struct Raw {
    stream: TcpStream,
    /// Read from the socket, not yet part of a response.
    unread: Vec<u8>,
}

/// A response as it stood on the wire.
#[derive(Debug)]
pub struct RawResponse {
    pub status: u16,
    /// Names in lower case, in the order of the wire.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// How a connection ended without a whole response.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// Closed in order.
    Closed,
    /// Reset.
    Reset,
    /// Still open, and silent.
    Silent,
    /// Something that is no HTTP/1.1 response.
    Nonsense(String),
}

impl Raw {
    /// Connects to the server of a URL, whatever its path.
    pub async fn connect(url: &str) -> Raw {
        let address = url.strip_prefix("http://").expect("a plain http address");
        let address = address.split('/').next().expect("split gives one part at least");
        let stream = TcpStream::connect(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
        stream.set_nodelay(true).expect("an open socket");
        Raw { stream, unread: Vec::new() }
    }

    /// Sends bytes; an error when the server has closed the connection.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await?;
        self.stream.flush().await
    }

    /// Says that nothing more will come, and still listens.
    pub async fn finish_sending(&mut self) {
        // The server may have hung up first.
        let _ = self.stream.shutdown().await;
    }

    /// The next response (a 100 is one of its own). `within` covers the whole of it.
    pub async fn response(&mut self, within: Duration) -> Result<RawResponse, Ended> {
        timeout(within, self.read_response()).await.unwrap_or(Err(Ended::Silent))
    }

    /// The head of the next response, whose body is left on the connection.
    pub async fn head(&mut self, within: Duration) -> Result<RawResponse, Ended> {
        timeout(within, self.read_head()).await.unwrap_or(Err(Ended::Silent))
    }

    /// So many of the bytes that come next.
    pub async fn bytes(&mut self, within: Duration, count: usize) -> Result<Vec<u8>, Ended> {
        timeout(within, self.exactly(count)).await.unwrap_or(Err(Ended::Silent))
    }

    /// All that still comes, and how the connection ends.
    pub async fn rest(&mut self, within: Duration) -> (Vec<u8>, Ended) {
        let end = async {
            loop {
                if let Err(ended) = self.fill().await {
                    return ended;
                }
            }
        };
        let ended = timeout(within, end).await.unwrap_or(Ended::Silent);
        (std::mem::take(&mut self.unread), ended)
    }

    /// How the connection ends; panics when the server sends anything first.
    pub async fn end(&mut self, within: Duration) -> Ended {
        match timeout(within, self.fill()).await {
            Err(_) => Ended::Silent,
            Ok(Err(ended)) => ended,
            Ok(Ok(())) => panic!("expected the end, got {:?}", String::from_utf8_lossy(&self.unread)),
        }
    }

    async fn read_response(&mut self) -> Result<RawResponse, Ended> {
        let mut response = self.read_head().await?;
        response.body = self.read_body(&response).await?;
        Ok(response)
    }

    async fn read_head(&mut self) -> Result<RawResponse, Ended> {
        let head = self.until(b"\r\n\r\n").await?;
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok())
            .ok_or_else(|| Ended::Nonsense(head.clone()))?;
        let headers = lines
            .map(|line| {
                line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().into()))
            })
            .collect::<Option<Vec<(String, String)>>>()
            .ok_or_else(|| Ended::Nonsense(head.clone()))?;
        Ok(RawResponse { status, headers, body: Vec::new() })
    }

    async fn read_body(&mut self, response: &RawResponse) -> Result<Vec<u8>, Ended> {
        if matches!(response.status, 100..=199 | 204 | 304) {
            return Ok(Vec::new());
        }
        if response.header("transfer-encoding") == Some("chunked") {
            return self.read_chunks().await;
        }
        if let Some(length) = response.header("content-length") {
            let length = length.parse().map_err(|_| Ended::Nonsense(length.into()))?;
            return self.exactly(length).await;
        }
        loop {
            match self.fill().await {
                Ok(()) => {}
                Err(Ended::Closed) => return Ok(std::mem::take(&mut self.unread)),
                Err(ended) => return Err(ended),
            }
        }
    }

    async fn read_chunks(&mut self) -> Result<Vec<u8>, Ended> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n").await?;
            let line = String::from_utf8_lossy(&line).trim_end().to_string();
            let size = usize::from_str_radix(&line, 16).map_err(|_| Ended::Nonsense(line))?;
            body.extend(self.exactly(size).await?);
            self.exactly(2).await?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    async fn until(&mut self, mark: &[u8]) -> Result<Vec<u8>, Ended> {
        loop {
            if let Some(start) = self.unread.windows(mark.len()).position(|window| window == mark) {
                return self.exactly(start + mark.len()).await;
            }
            self.fill().await?;
        }
    }

    async fn exactly(&mut self, length: usize) -> Result<Vec<u8>, Ended> {
        while self.unread.len() < length {
            self.fill().await?;
        }
        Ok(self.unread.drain(..length).collect())
    }

    async fn fill(&mut self) -> Result<(), Ended> {
        match self.stream.read_buf(&mut self.unread).await {
            Ok(0) => Err(Ended::Closed),
            Ok(_) => Ok(()),
            Err(_) => Err(Ended::Reset),
        }
    }
}

impl RawResponse {
    /// A header's value, the first of several; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON. Panics when it is something else.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}), status {}: {}", self.status, self.text()))
    }
}
