//! An answer as text that is the same in every run: ids, times and the host are replaced, equal ones alike, so that
//! a snapshot still shows that two of them agree.

use std::collections::HashMap;

use regex_lite::Regex;
use serde_json::Value;

use super::client::Answer;

/// The headers that are part of the contract and do not depend on time.
pub const HEADERS: &[&str] = &[
    "allow",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-type",
    "location",
    "odata-version",
    "request-id",
    "strict-transport-security",
    "vary",
    "www-authenticate",
];

/// Status, these headers and the body; JSON is laid out over lines, in the order of the wire.
pub fn of(answer: &Answer, headers: &[&str]) -> String {
    let mut text = format!("{}\n", answer.status);
    for name in headers {
        for value in answer.headers.get_all(*name) {
            text += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
        }
    }
    let body = answer.text();
    if !body.is_empty() {
        text += &format!("\n{}\n", pretty(&body));
    }
    redact(&text.replace(&answer.base, "[host]"))
}

/// Lays JSON out without parsing it into a map, which would lose the order of the names.
fn pretty(body: &str) -> String {
    if serde_json::from_str::<Value>(body).is_err() {
        return body.to_string();
    }
    let (mut out, mut depth, mut in_string, mut escaped) = (String::new(), 0_usize, false, false);
    let mut characters = body.chars().peekable();
    while let Some(c) = characters.next() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            out.push(c);
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                out.push(c);
            }
            '{' | '[' if characters.peek().is_some_and(|next| matches!(next, '}' | ']')) => out.push(c),
            '{' | '[' => {
                depth += 1;
                out.push(c);
                out += &line(depth);
            }
            '}' | ']' if out.ends_with(['{', '[']) => out.push(c),
            '}' | ']' => {
                depth -= 1;
                out += &line(depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                out += &line(depth);
            }
            ':' => out += ": ",
            c if c.is_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

fn line(depth: usize) -> String {
    format!("\n{}", "  ".repeat(depth))
}

/// Replaces GUIDs, times and key ids by `[id-1]`, `[time-1]`, …, numbered as they first appear.
pub fn redact(text: &str) -> String {
    let ids = r"(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b";
    let times = r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?Z";
    number(&number(text, ids, "id"), times, "time")
}

fn number(text: &str, pattern: &str, label: &str) -> String {
    let pattern = Regex::new(pattern).expect("a valid pattern");
    let mut seen: HashMap<String, usize> = HashMap::new();
    pattern
        .replace_all(text, |found: &regex_lite::Captures| {
            let next = seen.len() + 1;
            let number = seen.entry(found[0].to_ascii_lowercase()).or_insert(next);
            format!("[{label}-{number}]")
        })
        .into_owned()
}
