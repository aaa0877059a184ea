//! What can be wrong with a multipart body, and what would be right.

use std::error::Error;
use std::fmt;

/// Which part: its number, counted from 1, and the name of its field where that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartId {
    pub number: usize,
    pub name: Option<String>,
}

impl fmt::Display for PartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "part {}", self.number)?;
        match &self.name {
            Some(name) => write!(f, " (`{}`)", shown(name)),
            None => Ok(()),
        }
    }
}

/// Why a body could not be read. All but [`MultipartError::Body`] and [`MultipartError::AlreadyFailed`] are
/// faults of what the client sent.
#[derive(Debug, thiserror::Error)]
pub enum MultipartError {
    #[error("{}; a form with a file is sent as `multipart/form-data`", sent_as(.found.as_deref()))]
    NotMultipart { found: Option<String> },
    #[error("the content type has no `boundary`; it must be `multipart/form-data; boundary=…`")]
    NoBoundary,
    #[error("the boundary in the content type {reason}; it must be 1 to 70 visible ASCII characters")]
    BadBoundary { reason: String },
    #[error("the body is empty; it must hold at least one part")]
    Empty,
    #[error(
        "no boundary line in the first {searched} bytes of the body; the body must begin with `--` and the \
         boundary that the content type names"
    )]
    BoundaryNotFound { searched: usize },
    #[error("{part}: a line ends in a bare line feed; boundary and header lines must end in CR LF")]
    BareLineFeed { part: PartId },
    #[error("{part}: the body is truncated; it must end with the closing boundary")]
    Truncated { part: PartId },
    #[error("part {part}: the headers have more than {max} bytes")]
    HeaderTooLarge { part: usize, max: usize },
    #[error("the body has more than {max} parts")]
    TooManyParts { max: usize },
    #[error("part {part}: header {header} {reason}")]
    BadHeader { part: usize, header: &'static str, reason: String },
    #[error("{part}: the field has more than {max} bytes")]
    FieldTooLarge { part: PartId, max: usize },
    #[error("{part}: the field is not UTF-8 text (byte {})", .offset + 1)]
    NotUtf8 { part: PartId, offset: usize },
    #[error("{part}: the field is in the charset `{}`; send UTF-8", shown(.charset))]
    UnknownCharset { part: PartId, charset: String },
    #[error("the body could not be read to its end")]
    Body(#[source] Box<dyn Error + Send + Sync>),
    #[error("the body is not read further after an error")]
    AlreadyFailed,
}

fn sent_as(found: Option<&str>) -> String {
    match found {
        Some(media_type) => format!("the content type is `{}`", shown(media_type)),
        None => "the request has no content type".to_owned(),
    }
}

/// What the client sent, short enough for a message and without control characters.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    short.escape_debug().to_string()
}
