//! Where a boundary line begins and ends, over input that comes in pieces. What was found does not depend
//! on where the pieces were cut.

use bytes::{Buf, Bytes};
use memchr::{memchr, memmem, memrchr};

use super::Boundary;

/// Blanks that may stand between a boundary and the end of its line.
const PADDING: usize = 256;

pub(super) struct Scanner {
    /// CR LF, two hyphens, the boundary. Only its first byte is a CR.
    delimiter: Bytes,
    finder: memmem::Finder<'static>,
    /// What is not yet looked at.
    input: Bytes,
    /// What came before `input` and may turn out to begin a boundary line. Empty, or begins with a CR.
    held: Vec<u8>,
    /// How many bytes at the front of `held` are not content in any case.
    hidden: usize,
    ended: bool,
}

pub(super) enum Scan {
    /// Not empty.
    Content(Bytes),
    Delimiter(End),
    /// A boundary line that ends in a line feed without a carriage return.
    BareLineFeed,
    /// All input is looked at. At the end of input this means that there is no further boundary.
    More,
}

/// What a boundary line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Part,
    Body,
}

pub(super) enum Block {
    /// With the empty line that ends it.
    Complete,
    TooLarge,
    BareLineFeed,
    More,
}

enum Verdict {
    Delimiter { end: End, length: usize },
    BareLineFeed,
    Content,
    Undecided,
}

impl Scanner {
    pub fn new(boundary: &Boundary) -> Scanner {
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        let mut scanner = Scanner {
            finder: memmem::Finder::new(&delimiter).into_owned(),
            delimiter: Bytes::from(delimiter),
            input: Bytes::new(),
            held: Vec::new(),
            hidden: 0,
            ended: false,
        };
        scanner.begin();
        scanner
    }

    /// Starts a stretch of content. A boundary line may follow at once, so the line end before it counts.
    pub fn begin(&mut self) {
        self.held.clear();
        self.held.extend_from_slice(b"\r\n");
        self.hidden = 2;
    }

    /// Takes the next piece; the one before must be used up.
    pub fn push(&mut self, piece: Bytes) {
        debug_assert!(self.input.is_empty());
        self.input = piece;
    }

    pub fn end(&mut self) {
        self.ended = true;
    }

    pub fn at_end(&self) -> bool {
        self.ended
    }

    /// Bytes taken in of which nothing is said yet.
    pub fn pending(&self) -> usize {
        self.held.len().saturating_sub(self.hidden) + self.input.len()
    }

    /// Drops the piece taken last and says how long its rest was.
    pub fn discard(&mut self) -> usize {
        std::mem::take(&mut self.input).len()
    }

    /// Moves lines into `block` up to and with the first empty one.
    pub fn block(&mut self, block: &mut Vec<u8>, max: usize) -> Block {
        loop {
            let feed = memchr(b'\n', &self.input);
            let length = feed.map_or(self.input.len(), |at| at + 1);
            if length > max - block.len() {
                return Block::TooLarge;
            }
            block.extend_from_slice(&self.input[..length]);
            self.input.advance(length);
            if feed.is_none() {
                return Block::More;
            }
            match block.strip_suffix(b"\r\n") {
                None => return Block::BareLineFeed,
                Some(lines) if lines.is_empty() || lines.ends_with(b"\n") => return Block::Complete,
                Some(_) => {}
            }
        }
    }

    /// The next stretch of content, or the boundary line that ends it.
    pub fn scan(&mut self) -> Scan {
        debug_assert!(self.held.len() < self.window());
        if !self.held.is_empty()
            && let Some(found) = self.scan_held()
        {
            return found;
        }
        self.scan_input()
    }

    /// Decides about `held` with the help of the bytes after it, which stay in `input` unless they belong to
    /// a boundary line.
    fn scan_held(&mut self) -> Option<Scan> {
        let before = self.held.len();
        let peek = self.input.len().min(self.window().saturating_sub(before));
        self.held.extend_from_slice(&self.input[..peek]);
        match self.verdict(&self.held) {
            Verdict::Delimiter { end, length } => {
                self.input.advance(length.saturating_sub(before));
                self.held.clear();
                self.hidden = 0;
                Some(Scan::Delimiter(end))
            }
            Verdict::BareLineFeed => Some(Scan::BareLineFeed),
            Verdict::Undecided => {
                self.input.advance(peek);
                Some(Scan::More)
            }
            // No boundary line begins further on in `held`: a second CR can only be its last byte, and with
            // a line feed behind that one the first would have begun a boundary line.
            Verdict::Content => {
                self.held.truncate(before);
                let mut content = Bytes::from(std::mem::take(&mut self.held));
                content.advance(std::mem::take(&mut self.hidden).min(before));
                (!content.is_empty()).then_some(Scan::Content(content))
            }
        }
    }

    fn scan_input(&mut self) -> Scan {
        let mut from = 0;
        while let Some(at) = self.finder.find(&self.input[from..]).map(|at| from + at) {
            match self.verdict(&self.input[at..]) {
                Verdict::Content => from = at + self.delimiter.len(),
                Verdict::Undecided => return self.hold(at),
                _ if at > 0 => return Scan::Content(self.input.split_to(at)),
                Verdict::Delimiter { end, length } => {
                    self.input.advance(length);
                    return Scan::Delimiter(end);
                }
                Verdict::BareLineFeed => return Scan::BareLineFeed,
            }
        }
        // The end of the input may be the beginning of a boundary line: from its last CR, if at all.
        let tail = from.max(self.input.len().saturating_sub(self.delimiter.len() - 1));
        match memrchr(b'\r', &self.input[tail..]).map(|at| tail + at) {
            Some(at) if self.delimiter.starts_with(&self.input[at..]) => self.hold(at),
            _ => self.hold(self.input.len()),
        }
    }

    /// Holds the input from `at` on and hands out what is before it.
    fn hold(&mut self, at: usize) -> Scan {
        self.held.extend_from_slice(&self.input[at..]);
        let mut content = std::mem::take(&mut self.input);
        content.truncate(at);
        if content.is_empty() { Scan::More } else { Scan::Content(content) }
    }

    /// How many bytes from its CR on decide about a boundary line in any case.
    fn window(&self) -> usize {
        self.delimiter.len() + b"--".len() + PADDING + b"\r\n".len()
    }

    /// Whether `bytes` begins with a boundary line.
    ///
    /// It does where nothing but the two hyphens of the closing one and blanks stand between the boundary
    /// and the end of the line; with more behind it, it is content that looks alike. The closing line may
    /// also end in a line feed or with the body.
    fn verdict(&self, bytes: &[u8]) -> Verdict {
        let Some(line) = bytes.strip_prefix(&self.delimiter[..]) else {
            return if self.delimiter.starts_with(bytes) { Verdict::Undecided } else { Verdict::Content };
        };
        let (end, rest) = match line {
            b"-" => return Verdict::Undecided,
            [b'-', b'-', rest @ ..] => (End::Body, rest),
            rest => (End::Part, rest),
        };
        let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if padding > PADDING {
            return Verdict::Content;
        }
        let length = bytes.len() - rest.len() + padding;
        match (end, &rest[padding..]) {
            (End::Body, []) if self.ended => Verdict::Delimiter { end, length },
            (_, []) => Verdict::Undecided,
            (End::Body, [b'\r' | b'\n', ..]) => Verdict::Delimiter { end, length },
            (End::Part, [b'\r', b'\n', ..]) => Verdict::Delimiter { end, length: length + 2 },
            (End::Part, [b'\r']) => Verdict::Undecided,
            (End::Part, [b'\n', ..]) => Verdict::BareLineFeed,
            _ => Verdict::Content,
        }
    }
}
