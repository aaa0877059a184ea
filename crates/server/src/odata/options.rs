//! The query string: which options there are, each at most once, each within its bounds.

use percent_encoding::percent_decode;

use super::{EntitySet, Filter, ODataError, Order, Property, Search, clip, order, parser, search};

const MAX_QUERY_BYTES: usize = 16 * 1024;
const SUPPORTED: &str =
    "`$filter`, `$search`, `$orderby`, `$top`, `$skip`, `$count`, `$select`, `$skiptoken` and `$format`";

/// What a client asks of a collection.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
    pub filter: Option<Filter>,
    pub search: Option<Search>,
    pub order_by: Vec<Order>,
    pub top: Option<u64>,
    /// At most `i64::MAX`, so that it fits a `bigint`.
    pub skip: u64,
    pub count: bool,
    /// In the order of the entity, each property once; none when all were asked for.
    pub select: Option<Vec<&'static Property>>,
    /// The `$skiptoken` as it came, free of U+0000.
    pub skip_token: Option<String>,
}

impl Query {
    /// Reads the query part of a request target, still percent-encoded and without its `?`. Options
    /// without `$` are the client's own and ignored.
    ///
    /// # Errors
    /// An option that is unknown, repeated, malformed or out of bounds; a query string over 16 KiB.
    pub fn parse(raw_query: Option<&str>, set: &'static EntitySet) -> Result<Query, ODataError> {
        let raw = raw_query.unwrap_or_default();
        if raw.len() > MAX_QUERY_BYTES {
            return Err(ODataError(format!(
                "the query string has {} bytes; at most {MAX_QUERY_BYTES} are allowed",
                raw.len()
            )));
        }
        let mut query = Query::default();
        let mut seen: Vec<String> = Vec::new();
        for pair in raw.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = String::from_utf8_lossy(&percent_decoded(name)).trim().to_ascii_lowercase();
            if !name.starts_with('$') {
                continue;
            }
            if seen.contains(&name) {
                return Err(ODataError(format!("`{}` is given twice; give it once", clip(&name))));
            }
            query.set_option(&name, value, set)?;
            seen.push(name);
        }
        Ok(query)
    }

    /// Whether the answer is the whole collection in its own order, as without any option.
    pub fn is_plain(&self) -> bool {
        *self == Query::default()
    }

    fn set_option(&mut self, name: &str, value: &str, set: &'static EntitySet) -> Result<(), ODataError> {
        let value = decode(value, name)?;
        match name {
            "$filter" => self.filter = Some(parser::parse(&value, set)?),
            "$search" => self.search = Some(search::parse(&value, set)?),
            "$orderby" => self.order_by = order::parse(value.trim(), set)?,
            "$top" => self.top = Some(number(name, value.trim(), set.max_top)?),
            "$skip" => self.skip = number(name, value.trim(), i64::MAX as u64)?,
            "$count" => self.count = boolean(name, value.trim())?,
            "$select" => self.select = select(value.trim(), set)?,
            "$skiptoken" => self.skip_token = Some(value),
            "$format" => format(value.trim())?,
            _ => {
                return Err(ODataError(format!(
                    "unknown query option `{}`; supported are {SUPPORTED}",
                    clip(name)
                )));
            }
        }
        Ok(())
    }
}

/// `+` is a space; a `%` without two hexadecimal digits stands for itself.
fn percent_decoded(raw: &str) -> Vec<u8> {
    percent_decode(raw.replace('+', " ").as_bytes()).collect()
}

fn decode(raw: &str, name: &str) -> Result<String, ODataError> {
    let text = String::from_utf8(percent_decoded(raw)).map_err(|_| {
        ODataError(format!("`{}` is not UTF-8 once its percent-encoding is undone", clip(name)))
    })?;
    if let Some(at) = text.find('\0') {
        let position = text[..at].chars().count() + 1;
        return Err(ODataError(format!(
            "`{}`, position {position}: U+0000 is not allowed; leave it out",
            clip(name)
        )));
    }
    Ok(text)
}

fn number(name: &str, value: &str, most: u64) -> Result<u64, ODataError> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|number| digits && *number <= most);
    number.ok_or_else(|| {
        ODataError(format!("`{name}` must be a whole number from 0 to {most}, not `{}`", clip(value)))
    })
}

fn boolean(name: &str, value: &str) -> Result<bool, ODataError> {
    if value.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if value.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(ODataError(format!("`{name}` must be `true` or `false`, not `{}`", clip(value))))
    }
}

fn select(value: &str, set: &'static EntitySet) -> Result<Option<Vec<&'static Property>>, ODataError> {
    let mut all = false;
    let mut chosen = Vec::new();
    for name in value.split(',').map(str::trim) {
        if name == "*" {
            all = true;
        } else if name.is_empty() {
            return Err(ODataError("`$select` has an empty name; write `property, property` or `*`".into()));
        } else {
            let found = set.find(name);
            chosen.push(found.ok_or_else(|| ODataError(format!("`$select`: {}", set.unknown(name))))?);
        }
    }
    let in_order = set.properties.iter().filter(|property| chosen.contains(property));
    Ok((!all).then(|| in_order.collect()))
}

fn format(value: &str) -> Result<(), ODataError> {
    let media_type = value.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("json") || media_type.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ODataError(format!("`$format` must be `json` or `application/json`, not `{}`", clip(value))))
}
