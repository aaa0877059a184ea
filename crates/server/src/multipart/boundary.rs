//! The boundary that a request's content type names.

use super::{MultipartError, params};

/// RFC 2046 allows 70; a client with a longer one is still understood.
const MAX_BYTES: usize = 200;

/// What separates the parts of a body: 1 to 200 visible ASCII characters, with spaces among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary(String);

impl Boundary {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// The boundary of a body whose `Content-Type` is `content_type`.
///
/// The media type and the parameter may be in any letter case, the value quoted or not, other parameters
/// anywhere. Fails when it is not `multipart/form-data`, or has not exactly one boundary that can be one.
pub fn boundary(content_type: Option<&str>) -> Result<Boundary, MultipartError> {
    let content_type = content_type.ok_or(MultipartError::NotMultipart { found: None })?;
    let media_type = content_type.split(';').next().unwrap_or(content_type).trim();
    if !media_type.eq_ignore_ascii_case("multipart/form-data") {
        return Err(MultipartError::NotMultipart { found: Some(media_type.to_owned()) });
    }
    let bad = |reason| MultipartError::BadBoundary { reason };
    let (_, params) = params::parse(content_type.as_bytes()).map_err(bad)?;
    let mut named = params.into_iter().filter(|param| param.name == "boundary");
    let value = named.next().ok_or(MultipartError::NoBoundary)?.value;
    if named.next().is_some() {
        return Err(bad("is given twice".to_owned()));
    }
    if value.is_empty() || value.len() > MAX_BYTES {
        return Err(bad(format!("has {} characters", value.len())));
    }
    if let Some(byte) = value.iter().find(|byte| !matches!(byte, b' '..=b'~')) {
        return Err(bad(format!("holds the byte 0x{byte:02X}")));
    }
    if value.ends_with(b" ") {
        return Err(bad("ends in a space".to_owned()));
    }
    String::from_utf8(value).map(Boundary).map_err(|_| bad("is not ASCII".to_owned()))
}
