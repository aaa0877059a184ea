//! What people and programs see: tables and words, or JSON. What comes from elsewhere cannot move a terminal's cursor.

use std::borrow::Cow;
use std::io::{IsTerminal as _, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::failure::{self, Failure};

/// Where a command's results go, and in which form.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub json: bool,
    pub quiet: bool,
}

pub const GOOD: Style = AnsiColor::Green.on_default();
pub const BAD: Style = AnsiColor::Red.on_default();
pub const CHANGED: Style = AnsiColor::Yellow.on_default();
pub const FAINT: Style = Style::new().dimmed();
pub const PLAIN: Style = Style::new();

/// One long cell does not move the columns of all others further than this.
const WIDEST: usize = 200;
/// Columns between two of a table.
const GAP: usize = 2;

impl Output {
    /// A result: a line on standard output that `--quiet` does not take away.
    pub fn line(self, text: impl AsRef<str>) -> Result<(), Failure> {
        let mut stdout = anstream::stdout().lock();
        writeln!(stdout, "{}", text.as_ref()).map_err(failure::output)
    }

    /// What was done, for people.
    pub fn said(self, text: impl AsRef<str>) -> Result<(), Failure> {
        if self.quiet || self.json {
            return Ok(());
        }
        self.line(text)
    }

    /// Something that people should know and that is no result.
    pub fn warn(self, text: impl AsRef<str>) {
        // A warning that cannot be written changes nothing about what was done.
        let _ = writeln!(anstream::stderr(), "jumpbag: {}", text.as_ref());
    }

    /// A value as JSON, on one line.
    pub fn json(self, value: &impl Serialize) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        serde_json::to_writer(&mut stdout, value).map_err(|e| failure::output(e.into()))?;
        stdout.write_all(b"\n").map_err(failure::output)
    }

    /// Rows under headings. On a terminal a line is as wide as that at most: what comes last is cut.
    pub fn table<const N: usize>(self, headings: [&str; N], rows: Vec<[String; N]>) -> Result<(), Failure> {
        let headings = headings.map(str::to_uppercase);
        let rows: Vec<[String; N]> = std::iter::once(headings)
            .chain(rows.into_iter().map(|row| row.map(|cell| one_line(&cell))))
            .collect();
        let mut widths = [0; N];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = console::measure_text_width(cell).min(WIDEST).max(*width);
            }
        }
        let terminal = console::Term::stdout();
        let widest = if terminal.is_term() { usize::from(terminal.size().1) } else { usize::MAX };
        let mut stdout = anstream::stdout().lock();
        for (index, row) in rows.iter().enumerate() {
            let cells = row.iter().zip(widths);
            let line = cells.fold(String::new(), |line, (cell, width)| {
                line + &console::pad_str(cell, width + GAP, console::Alignment::Left, None)
            });
            let line = console::truncate_str(line.trim_end(), widest, "…");
            let style = if index == 0 { FAINT } else { PLAIN };
            writeln!(stdout, "{style}{line}{style:#}").map_err(failure::output)?;
        }
        Ok(())
    }

    /// Names and values, one below the other.
    pub fn facts(self, facts: &[(&str, String)]) -> Result<(), Failure> {
        let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            let mut lines = value.lines().map(shown);
            self.line(format!("{FAINT}{name:width$}{FAINT:#}  {}", lines.next().unwrap_or_default()))?;
            for line in lines {
                self.line(format!("{:width$}  {line}", ""))?;
            }
        }
        Ok(())
    }
}

/// Text from elsewhere as it may stand on a line of a terminal: control characters, and those that reorder text, are
/// escaped, ends of lines too. Tabs stay.
pub fn shown(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c == '\t')
}

/// The same of several lines.
pub fn shown_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c == '\t' || c == '\n')
}

fn escaped(text: &str, good: impl Fn(char) -> bool) -> Cow<'_, str> {
    let bad = |c: char| {
        (c.is_control() && !good(c))
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(bad) {
        return text.into();
    }
    text.chars()
        .fold(String::with_capacity(text.len() + 8), |mut safe, c| {
            if bad(c) {
                safe.extend(c.escape_unicode())
            } else {
                safe.push(c)
            }
            safe
        })
        .into()
}

fn one_line(text: &str) -> String {
    shown(&text.replace(['\n', '\t'], " ")).into_owned()
}

/// Bytes as people read them.
pub fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

/// Whether progress can be shown.
pub fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::{shown, shown_lines};

    #[test]
    fn what_would_move_the_cursor_is_escaped() {
        assert_eq!(shown("a\u{1b}[2Jb\r\u{202e}c\u{9b}"), "a\\u{1b}[2Jb\\u{d}\\u{202e}c\\u{9b}");
        assert_eq!(shown("plain\ttext\n"), "plain\ttext\\u{a}");
        assert_eq!(shown_lines("plain\ttext\n"), "plain\ttext\n");
    }
}
