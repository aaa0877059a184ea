//! The tokens of `$filter`. Every token is a piece of the text, so that a message can show it.

use jumpbag_wire::time::Timestamp;

use super::{ODataError, clip};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A keyword, a function or a property.
    Word,
    /// Something that begins like a number: a number or a time.
    Number,
    /// Text, still in its quotes.
    Quoted,
    Open,
    Close,
    Comma,
    /// A character that has no place in a filter.
    Other,
    End,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub kind: TokenKind,
    pub text: &'a str,
    /// Where it begins, in bytes.
    pub at: usize,
}

impl Token<'_> {
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// The token as a message names it.
    pub fn shown(&self) -> String {
        match self.kind {
            TokenKind::End => "the end".into(),
            _ => format!("`{}`", clip(self.text)),
        }
    }
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str) -> Lexer<'a> {
        Lexer { text, at: 0 }
    }

    pub fn slice(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or_default().trim_end()
    }

    pub fn error(&self, at: usize, message: impl std::fmt::Display) -> ODataError {
        let position = self.text.get(..at).unwrap_or(self.text).chars().count() + 1;
        ODataError(format!("`$filter`, position {position}: {message}"))
    }

    pub fn next(&mut self) -> Result<Token<'a>, ODataError> {
        let rest = self.text[self.at..].trim_start_matches(|c: char| c.is_ascii_whitespace());
        let at = self.text.len() - rest.len();
        let Some(first) = rest.chars().next() else {
            self.at = at;
            return Ok(Token { kind: TokenKind::End, text: "", at });
        };
        let (kind, length) = match first {
            '(' => (TokenKind::Open, 1),
            ')' => (TokenKind::Close, 1),
            ',' => (TokenKind::Comma, 1),
            '\'' => (TokenKind::Quoted, self.quoted_length(rest, at)?),
            '-' | '0'..='9' => (TokenKind::Number, number_length(rest)),
            c if is_word_char(c) => (TokenKind::Word, word_length(rest)),
            c => (TokenKind::Other, c.len_utf8()),
        };
        self.at = at + length;
        Ok(Token { kind, text: &rest[..length], at })
    }

    /// The name that stands here, empty where there is none, and whether a colon follows; both are taken.
    pub fn variable(&mut self) -> (Token<'a>, bool) {
        let rest = self.text[self.at..].trim_start_matches(|c: char| c.is_ascii_whitespace());
        let at = self.text.len() - rest.len();
        let begins = rest.starts_with(|c: char| c.is_alphabetic() || c == '_');
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (text, rest) = rest.split_at(if begins { length } else { 0 });
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let after = rest.strip_prefix(':').filter(|_| begins);
        self.at = self.text.len() - after.unwrap_or(rest).len();
        (Token { kind: TokenKind::Word, text, at }, after.is_some())
    }

    fn quoted_length(&self, rest: &str, at: usize) -> Result<usize, ODataError> {
        let bytes = rest.as_bytes();
        let mut end = 1;
        loop {
            match (bytes.get(end), bytes.get(end + 1)) {
                (Some(b'\''), Some(b'\'')) => end += 2,
                (Some(b'\''), _) => return Ok(end + 1),
                (Some(_), _) => end += 1,
                (None, _) => {
                    return Err(self.error(
                        at,
                        "the text that begins here has no end; close it with `'` (inside text, write `'` as \
                         `''` and `&` as `%26`)",
                    ));
                }
            }
        }
    }
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '+' | '-' | '/' | '@' | '$')
}

fn word_length(rest: &str) -> usize {
    rest.find(|c| !is_word_char(c)).unwrap_or(rest.len())
}

/// A time's offset may have lost its `+` to the rule that `+` means a space: `…T08:00:00 02:00`.
fn number_length(rest: &str) -> usize {
    let length = word_length(rest);
    let is_time = rest[..length].contains(['T', 't']);
    let offset = rest.as_bytes().get(length..length + 6);
    let lost_plus = offset.is_some_and(|offset| {
        matches!(offset, [b' ', a, b, b':', c, d] if [a, b, c, d].iter().all(|d| d.is_ascii_digit()))
    });
    if is_time && lost_plus { length + 6 } else { length }
}

/// The text between the quotes, with doubled quotes made single.
pub(super) fn unquote(quoted: &str) -> String {
    let inner = quoted.strip_prefix('\'').unwrap_or(quoted);
    inner.strip_suffix('\'').unwrap_or(inner).replace("''", "'")
}

/// A time of four-digit year, with or without its offset's `+`.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let year = text.as_bytes().get(..5)?;
    if !year[..4].iter().all(u8::is_ascii_digit) || year[4] != b'-' {
        return None;
    }
    Timestamp::parse(text).or_else(|| {
        let (time, offset) = text.rsplit_once(' ')?;
        Timestamp::parse(&format!("{time}+{offset}"))
    })
}
