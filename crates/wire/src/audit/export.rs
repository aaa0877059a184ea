//! An export of an audit log, line by line, from wherever the caller has it.

use std::fmt;
use std::io::{BufRead, Read as _};

use super::{Fault, Verified, Verifier};

/// A line of an export is shorter: metadata has limits.
const LONGEST_LINE: u64 = 64 << 20;

/// Why an export is not found good.
#[derive(Debug)]
pub enum ExportFault {
    Unreadable(std::io::Error),
    /// The line of this number, counted from 1, is not UTF-8.
    NotText(u64),
    /// The line of this number is the first bad one.
    Line(u64, Fault),
    /// All lines are good, and something is missing.
    End(Fault),
}

impl fmt::Display for ExportFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExportFault::Unreadable(error) => write!(f, "cannot read it: {error}"),
            ExportFault::NotText(line) => write!(f, "line {line} is not UTF-8"),
            ExportFault::Line(line, fault) => write!(f, "line {line}: {fault}"),
            ExportFault::End(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for ExportFault {}

impl Verifier {
    /// Verifies a whole export; `progress` is told the number of each line. Memory does not grow with it.
    ///
    /// # Errors
    /// The first fault.
    pub fn export(
        mut self,
        input: &mut dyn BufRead,
        mut progress: impl FnMut(u64),
    ) -> Result<Verified, ExportFault> {
        let (mut line, mut lines) = (Vec::new(), 0);
        loop {
            line.clear();
            input.take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(ExportFault::Unreadable)?;
            if line.is_empty() {
                return self.finish().map_err(ExportFault::End);
            }
            lines += 1;
            let text = std::str::from_utf8(&line).map_err(|_| ExportFault::NotText(lines))?.trim();
            if !text.is_empty() {
                self.line(text).map_err(|fault| ExportFault::Line(lines, fault))?;
            }
            progress(lines);
        }
    }
}
