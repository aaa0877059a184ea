//! The load generator's HTTP/1.1 connection: request bytes are rendered before the clock starts, an answer is
//! read into one reused buffer and its body is dropped unless asked for. Invariant: when `send` returns, the
//! whole answer has been read, so the connection is ready for the next request.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crate::Result;

/// No answer of any peer may take longer than this.
const PATIENCE: Duration = Duration::from_secs(120);
const BUFFER: usize = 256 * 1024;

/// A request whose bytes are ready to be sent. `shared` lets many requests send one large content from the same
/// memory; what makes each content distinct stands at the end of `first`.
#[derive(Clone, Default)]
pub struct Request {
    pub first: Vec<u8>,
    pub shared: Option<Arc<[u8]>>,
    pub last: Vec<u8>,
}

impl Request {
    /// A request without a body.
    pub fn bare(method: &str, target: &str, host: SocketAddr, headers: &str) -> Self {
        let first = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n").into_bytes();
        Self { first, ..Self::default() }
    }
}

/// Contents that differ from file to file and cost no more to make than their first bytes.
#[derive(Clone)]
pub struct Content {
    stamp: Vec<u8>,
    base: Arc<[u8]>,
}

impl Content {
    /// The content `base` with its beginning replaced by `stamp`. `base` holds what follows the stamp.
    pub fn new(stamp: u128, base: &Arc<[u8]>) -> Self {
        Self { stamp: stamp.to_be_bytes().to_vec(), base: Arc::clone(base) }
    }

    /// The content that is all of `text`.
    pub fn text(text: &str) -> Self {
        Self { stamp: text.as_bytes().to_vec(), base: Arc::default() }
    }

    /// `size` bytes of content less the stamp, hard to compress, the same on every run.
    pub fn base(size: usize) -> Arc<[u8]> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..size.saturating_sub(16)).map(|_| next()).collect()
    }

    pub fn len(&self) -> usize {
        self.stamp.len() + self.base.len()
    }

    /// The request `head` (without `Content-Length` and the empty line), then `before`, the content, `after`.
    /// Small requests become one piece of memory and so one write.
    pub fn request(&self, head: &str, before: &str, after: &str) -> Request {
        let length = before.len() + self.len() + after.len();
        let mut first = format!("{head}Content-Length: {length}\r\n\r\n{before}").into_bytes();
        first.extend_from_slice(&self.stamp);
        if self.base.len() <= 64 * 1024 {
            first.extend_from_slice(&self.base);
            first.extend_from_slice(after.as_bytes());
            return Request { first, ..Request::default() };
        }
        Request { first, shared: Some(Arc::clone(&self.base)), last: after.as_bytes().to_vec() }
    }
}

/// What came back: the status, the number of body bytes, and the body where it was asked for or is an error's.
pub struct Answer {
    pub status: u16,
    pub bytes: u64,
    pub body: Vec<u8>,
}

impl Answer {
    /// The answer itself when its status is 2xx; otherwise a message with the beginning of its body.
    pub fn success(self, what: &str) -> Result<Self> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let shown = String::from_utf8_lossy(&self.body[..self.body.len().min(300)]).replace('\n', " ");
        Err(format!("{what}: answered {} `{shown}`", self.status))
    }
}

/// Whether the answer's body is handed back or only counted.
#[derive(Clone, Copy, PartialEq)]
pub enum Body {
    Keep,
    Drop,
}

/// One keep-alive connection.
pub struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
    used: bool,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = connect(address)?;
        Ok(Self { address, stream, buffer: vec![0; BUFFER], used: false })
    }

    /// Sends `request` and reads the whole answer. A kept-alive connection that the server closed in between is
    /// opened anew once.
    pub fn send(&mut self, request: &Request, body: Body) -> Result<Answer> {
        let reused = std::mem::replace(&mut self.used, true);
        let (answer, close) = match self.exchange(request, body) {
            Err(Failure::Unanswered(_)) if reused => {
                self.stream = connect(self.address)?;
                self.exchange(request, body).map_err(Failure::text)?
            }
            other => other.map_err(Failure::text)?,
        };
        if close {
            self.stream = connect(self.address)?;
            self.used = false;
        }
        Ok(answer)
    }

    fn exchange(&mut self, request: &Request, body: Body) -> Result<(Answer, bool), Failure> {
        let sent = self.write(request);
        let (head, mut at, mut filled) = match (self.read_head(), sent) {
            (Ok(read), _) => read,
            (Err(_), Err(error)) => return Err(Failure::Unanswered(format!("sending: {error}"))),
            (Err(failure), Ok(())) => return Err(failure),
        };
        let keep = body == Body::Keep || !(200..300).contains(&head.status);
        let mut answer = Answer { status: head.status, bytes: 0, body: Vec::new() };
        let mut framing = head.framing;
        loop {
            let (eaten, done) = framing.take(&self.buffer[at..filled], &mut answer, keep)?;
            if done {
                return Ok((answer, head.close));
            }
            debug_assert_eq!(at + eaten, filled);
            at = 0;
            filled =
                self.stream.read(&mut self.buffer).map_err(|e| Failure::Broken(format!("reading: {e}")))?;
            if filled == 0 {
                return match framing {
                    Framing::UntilClose => Ok((answer, true)),
                    _ => Err(Failure::Broken("the connection ended inside an answer".into())),
                };
            }
        }
    }

    fn write(&mut self, request: &Request) -> std::io::Result<()> {
        self.stream.write_all(&request.first)?;
        if let Some(shared) = &request.shared {
            self.stream.write_all(shared)?;
            self.stream.write_all(&request.last)?;
        }
        Ok(())
    }

    /// Reads up to the end of the head; interim answers (1xx) are skipped. Hands back where the body starts and
    /// how far the buffer is filled.
    fn read_head(&mut self) -> Result<(Head, usize, usize), Failure> {
        let mut filled = 0;
        loop {
            if let Some(end) = self.buffer[..filled].windows(4).position(|w| w == b"\r\n\r\n") {
                let head = Head::parse(&self.buffer[..end])?;
                if head.status >= 200 {
                    return Ok((head, end + 4, filled));
                }
                self.buffer.copy_within(end + 4..filled, 0);
                filled -= end + 4;
                continue;
            }
            let room = &mut self.buffer[filled..];
            match self.stream.read(room) {
                Ok(0) if filled == 0 => return Err(Failure::Unanswered("closed without an answer".into())),
                Ok(0) => return Err(Failure::Broken("closed or too long inside a head".into())),
                Ok(count) => filled += count,
                Err(error) if filled == 0 => return Err(Failure::Unanswered(format!("no answer: {error}"))),
                Err(error) => return Err(Failure::Broken(format!("reading a head: {error}"))),
            }
        }
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let fail = |e: std::io::Error| format!("connecting to `{address}`: {e}");
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).map_err(fail)?;
    stream.set_nodelay(true).map_err(fail)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(fail)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(fail)?;
    Ok(stream)
}

/// `Unanswered`: not one byte came back, so the request may be sent again on a new connection.
enum Failure {
    Unanswered(String),
    Broken(String),
}

impl Failure {
    fn text(self) -> String {
        match self {
            Self::Unanswered(text) | Self::Broken(text) => text,
        }
    }
}

struct Head {
    status: u16,
    close: bool,
    framing: Framing,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let broken = || Failure::Broken("an answer that is not HTTP/1.1".into());
        let text = std::str::from_utf8(bytes).map_err(|_| broken())?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|s| s.parse().ok());
        let status: u16 = status.ok_or_else(broken)?;
        let mut framing = if matches!(status, 204 | 304) { Framing::Length(0) } else { Framing::UntilClose };
        let mut close = false;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                framing = Framing::Length(value.parse().map_err(|_| broken())?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked")
            {
                framing = Framing::Chunked(Chunked::Size(0));
            } else if name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close") {
                close = true;
            }
        }
        Ok(Self { status, close, framing })
    }
}

enum Framing {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

/// Where a chunked body stands: in a size line (with the size so far), in its rest, in data, behind data, or in
/// the trailer (with the length of the line so far).
enum Chunked {
    Size(u64),
    Rest(u64),
    Data(u64),
    Behind,
    Trailer(usize),
}

impl Framing {
    /// Takes body bytes from `input`; says how many it took and whether the body is complete.
    fn take(&mut self, input: &[u8], answer: &mut Answer, keep: bool) -> Result<(usize, bool), Failure> {
        match self {
            Self::UntilClose => Ok((emit(input, input.len() as u64, answer, keep), false)),
            Self::Length(left) => {
                let count = emit(input, *left, answer, keep);
                *left -= count as u64;
                Ok((count, *left == 0))
            }
            Self::Chunked(state) => {
                let mut at = 0;
                while at < input.len() {
                    if let Chunked::Data(left) = state {
                        let count = emit(&input[at..], *left, answer, keep);
                        at += count;
                        *left -= count as u64;
                        if *left == 0 {
                            *state = Chunked::Behind;
                        }
                        continue;
                    }
                    if state.step(input[at])? {
                        return Ok((at + 1, true));
                    }
                    at += 1;
                }
                Ok((at, false))
            }
        }
    }
}

impl Chunked {
    /// Moves over one byte that is not data; true when it ends the body.
    fn step(&mut self, byte: u8) -> Result<bool, Failure> {
        let size_line_end = |size| {
            if size == 0 { Self::Trailer(0) } else { Self::Data(size) }
        };
        *self = match (&*self, byte) {
            (Self::Size(size) | Self::Rest(size), b'\n') => size_line_end(*size),
            (Self::Size(size), b';' | b'\r' | b' ') | (Self::Rest(size), _) => Self::Rest(*size),
            (Self::Size(size), digit) => {
                let value = char::from(digit).to_digit(16);
                let value =
                    value.ok_or_else(|| Failure::Broken("a chunk size that is not a number".into()))?;
                Self::Size((size << 4) | u64::from(value))
            }
            (Self::Behind, b'\n') => Self::Size(0),
            (Self::Behind | Self::Data(_), _) => Self::Behind,
            (Self::Trailer(0), b'\n') => return Ok(true),
            (Self::Trailer(_), b'\n') => Self::Trailer(0),
            (Self::Trailer(length), b'\r') => Self::Trailer(*length),
            (Self::Trailer(length), _) => Self::Trailer(length + 1),
        };
        Ok(false)
    }
}

fn emit(input: &[u8], left: u64, answer: &mut Answer, keep: bool) -> usize {
    let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
    answer.bytes += count as u64;
    if keep {
        answer.body.extend_from_slice(&input[..count]);
    }
    count
}

#[cfg(test)]
mod tests;
