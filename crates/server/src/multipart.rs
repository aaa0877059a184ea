//! `multipart/form-data`, read as it arrives. Never in memory at once: more than one chunk of the body as
//! the caller's stream hands it over, one part's header block, and one boundary line.
//!
//! Content is handed on byte for byte, as slices of the chunks that came in. Lines end in CR LF only: where
//! a bare line feed would have to be guessed at, the body is refused instead.

mod boundary;
mod error;
mod head;
mod params;
mod scan;
#[cfg(test)]
mod tests;
mod value;

use std::error::Error;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

pub use boundary::{Boundary, boundary};
pub use error::{MultipartError, PartId};
use scan::{Block, End, Scan, Scanner};
use value::Charset;

/// What is read after the closing boundary, so that the connection can serve another request. Whatever
/// goes beyond is left unread.
const EPILOGUE_BYTES: usize = 8 * 1024;

/// How much a body may ask for besides the content of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one part's header block.
    pub header_block: usize,
    /// Parts of one body.
    pub parts: usize,
    /// Bytes before the first boundary line. A boundary that does not fit the body is noticed here.
    pub preamble: usize,
    /// Bytes of a field's name, and of a file's name, after decoding.
    pub name: usize,
}

impl Limits {
    pub const HEADER_BLOCK: usize = 16 * 1024;
    pub const PARTS: usize = 1_000;
    pub const PREAMBLE: usize = 8 * 1024;
    pub const NAME: usize = 1024;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            header_block: Limits::HEADER_BLOCK,
            parts: Limits::PARTS,
            preamble: Limits::PREAMBLE,
            name: Limits::NAME,
        }
    }
}

/// The head of one part. Its content follows by [`Multipart::chunk`] or [`Multipart::text`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Counted from 1.
    pub number: usize,
    /// The field's name, in the case it was sent.
    pub name: String,
    /// The file's name as the client gave it, checked against no rule: it may be a path, or empty.
    /// `filename*` wins over `filename`.
    pub file_name: Option<String>,
}

/// A reader of the parts of one body, in their order.
///
/// Dropping the future of [`Multipart::next_part`] or [`Multipart::chunk`] loses nothing; that of
/// [`Multipart::text`] loses what it had read. After an error in the body every call fails.
pub struct Multipart<S> {
    body: S,
    scanner: Scanner,
    limits: Limits,
    state: State,
    block: Vec<u8>,
    part: PartId,
    charset: Result<Charset, String>,
}

enum State {
    Preamble { seen: usize },
    Head,
    Content,
    Epilogue { left: usize },
    Finished,
    Failed,
}

impl<S, E> Multipart<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    pub fn new(body: S, boundary: Boundary, limits: Limits) -> Multipart<S> {
        Multipart {
            body,
            scanner: Scanner::new(&boundary),
            limits,
            state: State::Preamble { seen: 0 },
            block: Vec::new(),
            part: PartId { number: 1, name: None },
            charset: Ok(Charset::Utf8),
        }
    }

    /// The next part, or `None` after the closing boundary. Skips what is left of the part before.
    pub async fn next_part(&mut self) -> Result<Option<Part>, MultipartError> {
        let outcome = self.advance().await;
        self.fail_on_error(outcome)
    }

    /// The next bytes of the current part, never empty; `None` at its end, and before the first part.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, MultipartError> {
        let outcome = self.content().await;
        self.fail_on_error(outcome)
    }

    /// What is left of the current part, as text: UTF-8 (a byte order mark is dropped), or ISO-8859-1 where
    /// the part's content type says so.
    ///
    /// Fails when the part is longer than `max` bytes, when the bytes are not of their charset, and when
    /// the charset is another one. After these failures the next part can still be read.
    pub async fn text(&mut self, max: usize) -> Result<String, MultipartError> {
        let part = self.part.clone();
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if chunk.len() > max - bytes.len() {
                return Err(MultipartError::FieldTooLarge { part, max });
            }
            bytes.extend_from_slice(&chunk);
        }
        match &self.charset {
            Ok(charset) => charset.text(bytes).map_err(|offset| MultipartError::NotUtf8 { part, offset }),
            Err(label) => Err(MultipartError::UnknownCharset { part, charset: label.clone() }),
        }
    }

    async fn advance(&mut self) -> Result<Option<Part>, MultipartError> {
        loop {
            match self.state {
                State::Preamble { seen } => self.preamble(seen).await?,
                State::Head => {
                    if let Some(part) = self.head().await? {
                        return Ok(Some(part));
                    }
                }
                State::Content => while self.content().await?.is_some() {},
                State::Epilogue { left } => {
                    let dropped = self.scanner.discard();
                    match left.checked_sub(dropped) {
                        Some(left) if !self.scanner.at_end() => {
                            self.state = State::Epilogue { left };
                            self.fill().await?;
                        }
                        _ => self.state = State::Finished,
                    }
                }
                State::Finished => return Ok(None),
                State::Failed => return Err(MultipartError::AlreadyFailed),
            }
        }
    }

    async fn preamble(&mut self, seen: usize) -> Result<(), MultipartError> {
        let not_found = |searched: usize| MultipartError::BoundaryNotFound { searched };
        match self.scanner.scan() {
            Scan::Content(skipped) => {
                let seen = seen + skipped.len();
                if seen > self.limits.preamble {
                    return Err(not_found(self.limits.preamble));
                }
                self.state = State::Preamble { seen };
            }
            Scan::Delimiter(end) => self.pass(end),
            Scan::BareLineFeed => return Err(self.bare_line_feed()),
            Scan::More if self.scanner.at_end() => {
                return Err(match seen + self.scanner.pending() {
                    0 => MultipartError::Empty,
                    searched => not_found(searched.min(self.limits.preamble)),
                });
            }
            Scan::More => self.fill().await?,
        }
        Ok(())
    }

    async fn head(&mut self) -> Result<Option<Part>, MultipartError> {
        let part = self.part.number;
        if part > self.limits.parts {
            return Err(MultipartError::TooManyParts { max: self.limits.parts });
        }
        match self.scanner.block(&mut self.block, self.limits.header_block) {
            Block::Complete => {}
            Block::TooLarge => {
                return Err(MultipartError::HeaderTooLarge { part, max: self.limits.header_block });
            }
            Block::BareLineFeed => return Err(self.bare_line_feed()),
            Block::More if self.scanner.at_end() => return Err(self.truncated()),
            Block::More => {
                self.fill().await?;
                return Ok(None);
            }
        }
        let head = head::parse(&self.block, self.limits.name).map_err(|fault| MultipartError::BadHeader {
            part,
            header: fault.header,
            reason: fault.reason,
        })?;
        self.block.clear();
        self.scanner.begin();
        self.state = State::Content;
        self.part.name = Some(head.name.clone());
        self.charset = head.charset;
        Ok(Some(Part { number: part, name: head.name, file_name: head.file_name }))
    }

    async fn content(&mut self) -> Result<Option<Bytes>, MultipartError> {
        loop {
            match self.state {
                State::Content => {}
                State::Failed => return Err(MultipartError::AlreadyFailed),
                _ => return Ok(None),
            }
            match self.scanner.scan() {
                Scan::Content(bytes) => return Ok(Some(bytes)),
                Scan::Delimiter(end) => {
                    self.part = PartId { number: self.part.number + 1, name: None };
                    self.pass(end);
                }
                Scan::BareLineFeed => return Err(self.bare_line_feed()),
                Scan::More if self.scanner.at_end() => return Err(self.truncated()),
                Scan::More => self.fill().await?,
            }
        }
    }

    fn pass(&mut self, end: End) {
        self.state = match end {
            End::Part => State::Head,
            End::Body => State::Epilogue { left: EPILOGUE_BYTES },
        };
    }

    /// Gives the scanner the next chunk, or tells it that there is none.
    async fn fill(&mut self) -> Result<(), MultipartError> {
        match self.body.next().await {
            Some(Ok(chunk)) => self.scanner.push(chunk),
            Some(Err(error)) => return Err(MultipartError::Body(error.into())),
            None => self.scanner.end(),
        }
        Ok(())
    }

    fn fail_on_error<T>(&mut self, outcome: Result<T, MultipartError>) -> Result<T, MultipartError> {
        if outcome.is_err() {
            self.state = State::Failed;
        }
        outcome
    }

    fn truncated(&self) -> MultipartError {
        MultipartError::Truncated { part: self.part.clone() }
    }

    fn bare_line_feed(&self) -> MultipartError {
        MultipartError::BareLineFeed { part: self.part.clone() }
    }
}
