//! The grammar that `Content-Type` and `Content-Disposition` share: a word, then `;`-separated parameters.

/// A parameter: its name in lower case, its value without quotes and escapes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Param {
    pub name: String,
    pub value: Vec<u8>,
}

/// Splits a header's value. Blanks around every piece and empty parameters are passed over; an unquoted
/// value goes to the next `;`, blanks inside included. Fails, saying why, on a parameter without a value, a
/// quote that is not closed, and text behind a closing quote.
pub(super) fn parse(header: &[u8]) -> Result<(&[u8], Vec<Param>), String> {
    let (word, mut rest) = split_at_semicolon(header);
    let mut params = Vec::new();
    loop {
        rest = rest.trim_ascii_start();
        if let Some(after) = rest.strip_prefix(b";") {
            rest = after;
            continue;
        }
        if rest.is_empty() {
            return Ok((word.trim_ascii(), params));
        }
        let stop = rest.iter().position(|byte| matches!(byte, b'=' | b';')).unwrap_or(rest.len());
        let name = String::from_utf8_lossy(rest[..stop].trim_ascii()).to_ascii_lowercase();
        let Some(after) = rest[stop..].strip_prefix(b"=") else {
            return Err(format!("has the parameter `{}` without a value", name.escape_debug()));
        };
        let after = after.trim_ascii_start();
        let value;
        if let Some(quoted) = after.strip_prefix(b"\"") {
            (value, rest) = unquote(quoted)
                .ok_or_else(|| format!("does not close the quote of `{}`", name.escape_debug()))?;
            if !matches!(rest.trim_ascii_start(), [] | [b';', ..]) {
                return Err(format!("has text behind the closing quote of `{}`", name.escape_debug()));
            }
        } else {
            let (token, after) = split_at_semicolon(after);
            (value, rest) = (token.trim_ascii().to_vec(), after);
        }
        params.push(Param { name, value });
    }
}

fn split_at_semicolon(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().position(|byte| *byte == b';').unwrap_or(bytes.len()))
}

/// The text up to the closing quote, and what is behind it.
///
/// A backslash escapes a quote or a backslash and stands for itself before anything else: browsers and curl
/// send Windows paths as they are, and `C:\x\a.ps1` must not become the innocent `C:xa.ps1`.
fn unquote(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    let mut rest = bytes;
    loop {
        match rest {
            [b'\\', escaped @ (b'"' | b'\\'), after @ ..] => {
                value.push(*escaped);
                rest = after;
            }
            [b'"', after @ ..] => return Some((value, after)),
            [byte, after @ ..] => {
                value.push(*byte);
                rest = after;
            }
            [] => return None,
        }
    }
}
