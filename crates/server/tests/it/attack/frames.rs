//! HTTP/2 by hand, as far as it takes to misbehave.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::SOON;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM_AND_HEADERS: u8 = 5;
const CANCEL: u32 = 8;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// A connection that has said the preface and reads nothing unless asked to.
pub struct Http2 {
    stream: TcpStream,
    next: u32,
}

impl Http2 {
    /// `window`: how much the server may send on each stream before it is asked for more.
    pub async fn connect(url: &str, window: Option<u32>) -> Http2 {
        let address = url.strip_prefix("http://").expect("a plain http address");
        let mut stream = TcpStream::connect(address).await.expect("a listening server");
        let mut settings = Vec::new();
        if let Some(window) = window {
            settings.extend(INITIAL_WINDOW_SIZE.to_be_bytes());
            settings.extend(window.to_be_bytes());
        }
        let hello = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &settings)].concat();
        stream.write_all(&hello).await.expect("an open connection");
        Http2 { stream, next: 1 }
    }

    /// Asks for something on a new stream.
    pub async fn get(&mut self, path: &str, token: &str) -> std::io::Result<()> {
        let request = self.request(path, token);
        self.stream.write_all(&request).await
    }

    /// Asks, and takes it back in the same breath.
    pub async fn get_and_reset(&mut self, path: &str, token: &str) -> std::io::Result<()> {
        let mut request = self.request(path, token);
        request.extend(frame(RST_STREAM, 0, self.next - 2, &CANCEL.to_be_bytes()));
        self.stream.write_all(&request).await
    }

    fn request(&mut self, path: &str, token: &str) -> Vec<u8> {
        let authorization = format!("Bearer {token}");
        let fields = [
            (":method", "GET"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "bag.example"),
            ("authorization", authorization.as_str()),
        ];
        let mut block = Vec::new();
        for (name, value) in fields {
            // A literal that is never indexed, its name spelled out.
            block.push(0x10);
            text(&mut block, name);
            text(&mut block, value);
        }
        let id = self.next;
        self.next += 2;
        frame(HEADERS, END_STREAM_AND_HEADERS, id, &block)
    }

    /// Reads to the end: whether the server said goodbye.
    pub async fn was_told_to_go_away(mut self) -> bool {
        let mut heard = Vec::new();
        // A reset at the end is as good as a close.
        let _ = timeout(SOON, self.stream.read_to_end(&mut heard)).await;
        let mut rest = heard.as_slice();
        while let [a, b, c, kind, ..] = *rest {
            if kind == GOAWAY {
                return true;
            }
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            rest = rest.get(9 + length..).unwrap_or_default();
        }
        false
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

/// HPACK: the length in seven bits and more where that is not enough, then the bytes.
fn text(block: &mut Vec<u8>, text: &str) {
    let length = text.len();
    if length < 127 {
        block.push(length as u8);
    } else {
        block.push(127);
        let mut rest = length - 127;
        while rest >= 128 {
            block.push((rest % 128 + 128) as u8);
            rest /= 128;
        }
        block.push(rest as u8);
    }
    block.extend(text.bytes());
}
