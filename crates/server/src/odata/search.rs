//! `$search`: words and phrases with `AND`, `OR`, `NOT` and parentheses. What a client sends decides neither how
//! deep the tree is nor how many terms it has: both are bounded here.

use super::{EntitySet, ODataError, clip};

const MAX_BYTES: usize = 1_000;
const MAX_TERMS: usize = 20;
const MAX_DEPTH: usize = 10;

/// What `$search` asks for, with every text as it was typed: what counts as a word in it is for the index to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Search {
    /// Text without blanks, such as `Get-Process`.
    Term(String),
    /// Text that stood in quotes; more than blanks.
    Phrase(String),
    /// What a word begins with, without its `*`; not empty.
    Prefix(String),
    /// Two or more.
    And(Vec<Search>),
    /// Two or more.
    Or(Vec<Search>),
    Not(Box<Search>),
}

/// Reads a search; `text` is percent-decoded.
pub(super) fn parse(text: &str, set: &EntitySet) -> Result<Search, ODataError> {
    if !set.searchable {
        return Err(ODataError(format!("`$search`: `{}` cannot be searched; use `$filter`", set.name)));
    }
    if text.len() > MAX_BYTES {
        return Err(ODataError(format!(
            "`$search` has {} bytes; at most {MAX_BYTES} are allowed",
            text.len()
        )));
    }
    if text.trim().is_empty() {
        return Err(ODataError("`$search` is empty; write words to look for or leave the option out".into()));
    }
    let mut parser = Parser { text, at: 0, token: Token::default(), depth: 0, terms: 0 };
    parser.advance()?;
    let whole = parser.any()?;
    match parser.token.kind {
        TokenKind::End => Ok(whole),
        _ => Err(parser.unexpected("a word, `AND`, `OR`, `NOT` or the end")),
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum TokenKind {
    Word,
    /// Still in its quotes.
    Quoted,
    And,
    Or,
    Not,
    Open,
    Close,
    #[default]
    End,
}

#[derive(Debug, Clone, Copy, Default)]
struct Token<'a> {
    kind: TokenKind,
    text: &'a str,
    /// Where it begins, in bytes.
    at: usize,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    token: Token<'a>,
    depth: usize,
    terms: usize,
}

impl<'a> Parser<'a> {
    fn error(&self, at: usize, message: impl std::fmt::Display) -> ODataError {
        let position = self.text.get(..at).unwrap_or(self.text).chars().count() + 1;
        ODataError(format!("`$search`, position {position}: {message}"))
    }

    fn unexpected(&self, expected: &str) -> ODataError {
        let Token { kind, text, at } = self.token;
        let found = match kind {
            TokenKind::End => "the end".into(),
            TokenKind::And | TokenKind::Or | TokenKind::Not => {
                format!("`{text}`, which as a word to look for is written `\"{text}\"`")
            }
            _ => format!("`{}`", clip(text)),
        };
        self.error(at, format!("expected {expected}, found {found}"))
    }

    fn advance(&mut self) -> Result<Token<'a>, ODataError> {
        let rest = self.text[self.at..].trim_start();
        let at = self.text.len() - rest.len();
        let (kind, length) = match rest.chars().next() {
            None => (TokenKind::End, 0),
            Some('(') => (TokenKind::Open, 1),
            Some(')') => (TokenKind::Close, 1),
            Some('"') => (TokenKind::Quoted, self.quoted_length(rest, at)?),
            Some(_) => {
                let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"');
                let length = rest.find(ends).unwrap_or(rest.len());
                (kind_of(&rest[..length]), length)
            }
        };
        self.at = at + length;
        Ok(std::mem::replace(&mut self.token, Token { kind, text: &rest[..length], at }))
    }

    fn quoted_length(&self, rest: &str, at: usize) -> Result<usize, ODataError> {
        let bytes = rest.as_bytes();
        let mut end = 1;
        loop {
            match (bytes.get(end), bytes.get(end + 1)) {
                (Some(b'\\'), Some(b'\\' | b'"')) => end += 2,
                (Some(b'"'), _) => return Ok(end + 1),
                (Some(_), _) => end += 1,
                (None, _) => {
                    let message = "the phrase that begins here has no end; close it with `\"` (inside a phrase, \
                                   write `\"` as `\\\"`)";
                    return Err(self.error(at, message));
                }
            }
        }
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, ODataError>) -> Result<T, ODataError> {
        if self.depth == MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels; flatten the search");
            return Err(self.error(self.token.at, message));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn any(&mut self) -> Result<Search, ODataError> {
        let mut searches = vec![self.all()?];
        while self.token.kind == TokenKind::Or {
            self.advance()?;
            searches.push(self.all()?);
        }
        Ok(joined(searches, Search::Or))
    }

    fn all(&mut self) -> Result<Search, ODataError> {
        let mut searches = vec![self.one()?];
        loop {
            match self.token.kind {
                TokenKind::And => drop(self.advance()?),
                TokenKind::Word | TokenKind::Quoted | TokenKind::Not | TokenKind::Open => {}
                TokenKind::Or | TokenKind::Close | TokenKind::End => {
                    return Ok(joined(searches, Search::And));
                }
            }
            searches.push(self.one()?);
        }
    }

    fn one(&mut self) -> Result<Search, ODataError> {
        match self.token.kind {
            TokenKind::Not => {
                self.advance()?;
                let negated = self.deeper(Self::one)?;
                Ok(Search::Not(Box::new(negated)))
            }
            TokenKind::Open => {
                self.advance()?;
                let inner = self.deeper(Self::any)?;
                if self.token.kind != TokenKind::Close {
                    return Err(self.unexpected("`)`, a word, `AND`, `OR` or `NOT`"));
                }
                self.advance()?;
                Ok(inner)
            }
            TokenKind::Word | TokenKind::Quoted => self.term(),
            TokenKind::And | TokenKind::Or | TokenKind::Close | TokenKind::End => {
                Err(self.unexpected("a word, a phrase in double quotes, `NOT` or `(`"))
            }
        }
    }

    fn term(&mut self) -> Result<Search, ODataError> {
        let Token { kind, text, at } = self.advance()?;
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(
                self.error(at, format!("more than {MAX_TERMS} words and phrases; shorten the search"))
            );
        }
        if kind == TokenKind::Quoted {
            let phrase = unquote(text);
            if phrase.trim().is_empty() {
                return Err(self.error(at, "the phrase is empty; write words between the quotes"));
            }
            return Ok(Search::Phrase(phrase));
        }
        match text.split_once('*') {
            None => Ok(Search::Term(text.into())),
            Some((word, "")) if !word.is_empty() => Ok(Search::Prefix(word.into())),
            Some((before, _)) => {
                let message = "`*` only ends a word, as in `report*`; put text that has one in double quotes";
                Err(self.error(at + before.len(), message))
            }
        }
    }
}

fn kind_of(word: &str) -> TokenKind {
    match word {
        "AND" => TokenKind::And,
        "OR" => TokenKind::Or,
        "NOT" => TokenKind::Not,
        _ => TokenKind::Word,
    }
}

fn joined(mut searches: Vec<Search>, join: fn(Vec<Search>) -> Search) -> Search {
    match searches.pop() {
        Some(only) if searches.is_empty() => only,
        last => {
            searches.extend(last);
            join(searches)
        }
    }
}

/// The text between the quotes, with `\"` and `\\` for what they stand for.
fn unquote(quoted: &str) -> String {
    let inner = quoted.strip_prefix('"').unwrap_or(quoted);
    let mut chars = inner.strip_suffix('"').unwrap_or(inner).chars().peekable();
    let mut text = String::new();
    while let Some(c) = chars.next() {
        let escaped = chars.next_if(|next| c == '\\' && matches!(next, '\\' | '"'));
        text.push(escaped.unwrap_or(c));
    }
    text
}
