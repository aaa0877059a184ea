//! What scripts say, as it comes: on a terminal line by line with nothing in it that moves the cursor, into a file or pipe
//! byte for byte. With a name before each line the lines of several machines never mix.

use std::io::{IsTerminal as _, Write};

use crate::client::live::{Show, Stream};
use crate::failure::{self, Failure};
use crate::output::{FAINT, shown};

/// Where one machine's output goes.
pub struct Screen {
    out: Lines,
    err: Lines,
}

impl Screen {
    /// Standard output and standard error, with `name` before each line if there is one.
    pub fn new(name: Option<&str>) -> Screen {
        let name = name.map(|name| shown(&name.replace(['\n', '\t'], " ")).into_owned());
        let lines = |terminal: bool| Lines { name: name.clone(), terminal, line: Vec::new() };
        Screen { out: lines(std::io::stdout().is_terminal()), err: lines(std::io::stderr().is_terminal()) }
    }

    /// Prints lines that have not ended.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn finish(&mut self) -> Result<(), Failure> {
        if self.out.terminal {
            self.out.finish(&mut anstream::stdout().lock())?;
        } else {
            self.out.finish(&mut std::io::stdout().lock())?;
        }
        if self.err.terminal {
            self.err.finish(&mut anstream::stderr().lock())
        } else {
            self.err.finish(&mut std::io::stderr().lock())
        }
    }
}

impl Show for Screen {
    fn bytes(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Failure> {
        match stream {
            Stream::Out if self.out.terminal => self.out.write(bytes, &mut anstream::stdout().lock()),
            Stream::Out => self.out.write(bytes, &mut std::io::stdout().lock()),
            Stream::Err if self.err.terminal => self.err.write(bytes, &mut anstream::stderr().lock()),
            Stream::Err => self.err.write(bytes, &mut std::io::stderr().lock()),
        }
    }
}

/// Nothing is shown.
pub struct Nowhere;

impl Show for Nowhere {
    fn bytes(&mut self, _: Stream, _: &[u8]) -> Result<(), Failure> {
        Ok(())
    }
}

struct Lines {
    name: Option<String>,
    terminal: bool,
    /// What came since the last line ended.
    line: Vec<u8>,
}

/// A line that is longer is printed in pieces.
const LONGEST: usize = 64 * 1024;

impl Lines {
    fn write(&mut self, bytes: &[u8], to: &mut impl Write) -> Result<(), Failure> {
        if self.name.is_none() && !self.terminal {
            return to.write_all(bytes).and_then(|()| to.flush()).map_err(failure::output);
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend(piece);
            if piece.ends_with(b"\n") || self.line.len() > LONGEST {
                self.print(to)?;
            }
        }
        to.flush().map_err(failure::output)
    }

    fn finish(&mut self, to: &mut impl Write) -> Result<(), Failure> {
        if self.line.is_empty() { Ok(()) } else { self.print(to) }
    }

    fn print(&mut self, to: &mut impl Write) -> Result<(), Failure> {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let mut whole = Vec::with_capacity(line.len() + 40);
        match &self.name {
            Some(name) if self.terminal => write!(whole, "{FAINT}{name} |{FAINT:#} "),
            Some(name) => write!(whole, "{name} | "),
            None => Ok(()),
        }
        .map_err(failure::output)?;
        if self.terminal {
            // Windows ends its lines so.
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            whole.extend(shown(&String::from_utf8_lossy(line)).as_bytes());
        } else {
            whole.extend(line);
        }
        whole.push(b'\n');
        to.write_all(&whole).map_err(failure::output)
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    fn printed(name: Option<&str>, terminal: bool, pieces: &[&[u8]]) -> Vec<u8> {
        let mut lines = Lines { name: name.map(str::to_owned), terminal, line: Vec::new() };
        let mut to = Vec::new();
        for piece in pieces {
            lines.write(piece, &mut to).expect("memory can be written");
        }
        lines.finish(&mut to).expect("memory can be written");
        to
    }

    #[test]
    fn a_pipe_gets_the_bytes() {
        let pieces: [&[u8]; 3] = [b"a\r\nb\x1b[2J", b"\xff\0", b"c"];
        assert_eq!(printed(None, false, &pieces), pieces.concat());
        assert_eq!(printed(Some("web1"), false, &pieces), b"web1 | a\r\nweb1 | b\x1b[2J\xff\0c\n");
    }

    #[test]
    fn a_terminal_gets_lines_that_cannot_move_its_cursor() {
        let pieces: [&[u8]; 3] = [b"a\r\nb\x1b[2J\xc3", b"\xa4\xff", b"\n\n"];
        let text = String::from_utf8(printed(None, true, &pieces)).expect("text");
        assert_eq!(text, "a\nb\\u{1b}[2Jä\u{fffd}\n\n");
        let named = String::from_utf8(printed(Some("web1"), true, &[b"x"])).expect("text");
        assert_eq!(named, "\u{1b}[2mweb1 |\u{1b}[0m x\n");
    }

    #[test]
    fn a_line_without_an_end_is_printed_before_it_fills_the_memory() {
        let piece = [b'x'; 40_000];
        let text = printed(Some("m"), false, &[&piece, &piece]);
        assert_eq!(text.len(), 2 * piece.len() + "m | \n".len());
    }
}
