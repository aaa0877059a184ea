//! The header block of one part: which field it is, and which file it holds.

use super::params::{self, Param};
use super::value::{self, Charset};

#[derive(Debug)]
pub(super) struct Head {
    pub name: String,
    pub file_name: Option<String>,
    /// Of the content, or the label of a charset that is not known.
    pub charset: Result<Charset, String>,
}

/// What is wrong with which header.
#[derive(Debug)]
pub(super) struct Fault {
    pub header: &'static str,
    pub reason: String,
}

const DISPOSITION: &str = "Content-Disposition";
const TYPE: &str = "Content-Type";
const ENCODING: &str = "Content-Transfer-Encoding";

/// Reads a header block whose lines end in CR LF. Headers may come in any order and letter case; those that
/// do not matter are passed over. `max` limits the bytes of each name.
pub(super) fn parse(block: &[u8], max: usize) -> Result<Head, Fault> {
    let headers = Headers::read(block)?;
    let (name, file_name) = disposition(&headers, max)?;
    if let Some(encoding) = headers.one(ENCODING)? {
        let encoding = String::from_utf8_lossy(encoding);
        if !["binary", "8bit", "7bit"].iter().any(|plain| plain.eq_ignore_ascii_case(encoding.trim())) {
            let reason = format!("is `{}`; send the bytes as they are", encoding.trim().escape_debug());
            return Err(Fault { header: ENCODING, reason });
        }
    }
    Ok(Head { name, file_name, charset: charset(&headers) })
}

fn disposition(headers: &Headers, max: usize) -> Result<(String, Option<String>), Fault> {
    let fault = |reason: String| Fault { header: DISPOSITION, reason };
    let value =
        headers.one(DISPOSITION)?.ok_or_else(|| fault("is missing; every part needs one".to_owned()))?;
    let (kind, params) = params::parse(value).map_err(fault)?;
    if !kind.eq_ignore_ascii_case(b"form-data") {
        let kind = String::from_utf8_lossy(kind);
        return Err(fault(format!("is `{}`; it must be `form-data`", kind.escape_debug())));
    }
    if let Some(param) =
        params.iter().find(|param| param.name.starts_with("filename*") && param.name.len() > 9)
    {
        let name = param.name.escape_debug();
        return Err(fault(format!("cuts the file name into pieces (`{name}`); send it as one `filename*`")));
    }
    let name = name_param(&params, "name", max, value::plain).map_err(fault)?;
    let name = name.ok_or_else(|| fault("has no `name`".to_owned()))?;
    let file_name = name_param(&params, "filename", max, value::plain_or_words).map_err(fault)?;
    Ok((name, file_name))
}

/// The value of the parameter `name`, or of its extended form `name*`, which wins.
fn name_param(
    params: &[Param],
    name: &str,
    max: usize,
    plain: impl Fn(Vec<u8>) -> Result<String, String>,
) -> Result<Option<String>, String> {
    let one = |wanted: &str| {
        let mut found = params.iter().filter(|param| param.name == wanted);
        let first = found.next();
        match found.next() {
            Some(_) => Err(format!("has `{wanted}` twice")),
            None => Ok(first.map(|param| &param.value)),
        }
    };
    let star = format!("{name}*");
    let (shown, value) = match (one(&star)?, one(name)?) {
        (Some(extended), _) => (star.as_str(), value::extended(extended)),
        (None, Some(value)) => (name, plain(value.clone())),
        (None, None) => return Ok(None),
    };
    let value = value.map_err(|reason| format!("has a `{shown}` that {reason}"))?;
    if value.len() > max {
        return Err(format!("has a `{shown}` of {} bytes; at most {max} are allowed", value.len()));
    }
    Ok(Some(value))
}

/// The charset that the content type names. One that cannot be read says nothing: clients send odd ones.
fn charset(headers: &Headers) -> Result<Charset, String> {
    let Ok(Some(value)) = headers.one(TYPE) else {
        return Ok(Charset::Utf8);
    };
    let Ok((_, params)) = params::parse(value) else {
        return Ok(Charset::Utf8);
    };
    let label = params.iter().find(|param| param.name == "charset");
    label.map_or(Ok(Charset::Utf8), |label| Charset::of(&label.value))
}

/// The headers that matter, unfolded.
struct Headers(Vec<(&'static str, Vec<u8>)>);

impl Headers {
    fn read(block: &[u8]) -> Result<Headers, Fault> {
        let mut headers = Headers(Vec::new());
        // Whether the line before, of which this one may be a continuation, is in `headers`.
        let mut matters = None;
        let lines = block.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        for line in lines.filter(|line| !line.is_empty()) {
            let fault = |reason: &str| {
                let shown: String = String::from_utf8_lossy(line).chars().take(40).collect();
                Fault { header: "line", reason: format!("`{}` {reason}", shown.escape_debug()) }
            };
            if line.starts_with(b" ") || line.starts_with(b"\t") {
                match (matters, headers.0.last_mut()) {
                    (Some(true), Some((_, value))) => {
                        value.push(b' ');
                        value.extend_from_slice(line.trim_ascii());
                    }
                    (Some(_), _) => {}
                    (None, _) => return Err(fault("begins with a blank but continues no header")),
                }
                continue;
            }
            let colon = line.iter().position(|byte| *byte == b':');
            let (name, value) = line.split_at(colon.ok_or_else(|| fault("has no colon"))?);
            let known = [DISPOSITION, TYPE, ENCODING]
                .into_iter()
                .find(|known| name.trim_ascii().eq_ignore_ascii_case(known.as_bytes()));
            matters = Some(known.is_some());
            headers.0.extend(known.map(|known| (known, value[1..].trim_ascii().to_vec())));
        }
        Ok(headers)
    }

    fn one(&self, name: &'static str) -> Result<Option<&[u8]>, Fault> {
        let mut found = self.0.iter().filter(|(known, _)| *known == name);
        let first = found.next().map(|(_, value)| value.as_slice());
        match found.next() {
            Some(_) => Err(Fault { header: name, reason: "is there twice".to_owned() }),
            None => Ok(first),
        }
    }
}
