//! Query options of machines and actions: `$filter`, `$orderby`, `$top`, `$skip` and `$count`. What
//! the service does not know of it refuses, as `ODataError`.

use axum::response::Response;
use jumpbag_wire::time::Timestamp;
use serde_json::Value;

use super::Call;
use super::answer::{Refusal, collection};

/// The most that `$top` may ask for.
const TOP: usize = 10_000;

/// One page of these entities, of which `fields` can be filtered and sorted by.
pub(super) fn page(
    call: &Call,
    set: &str,
    items: Vec<String>,
    fields: &[&str],
    page: usize,
) -> Result<Response, Refusal> {
    let mut items: Vec<(Value, String)> =
        items.into_iter().map(|text| (serde_json::from_str(&text).expect("JSON"), text)).collect();
    let option = |name: &str| {
        let found = call.query.iter().find(|(option, _)| option.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    if let Some(filter) = option("$filter") {
        let tokens = tokens(filter)?;
        let mut kept = Vec::new();
        for item in items {
            let mut reader = Reader { tokens: &tokens, entity: &item.0, fields };
            let keep = reader.either()?;
            if !reader.tokens.is_empty() {
                return Err(bad(filter));
            }
            kept.extend(keep.then_some(item));
        }
        items = kept;
    }
    if let Some(order) = option("$orderby") {
        let (name, descending) =
            order.split_once(' ').map_or((order, false), |(name, way)| (name, way == "desc"));
        let field = field(fields, name)?;
        items.sort_by_key(|(entity, _)| entity[field].to_string());
        if descending {
            items.reverse();
        }
    }
    let number = |name| option(name).map(|text| text.parse::<usize>().map_err(|_| bad(text))).transpose();
    let (skip, top) = (number("$skip")?.unwrap_or(0), number("$top")?);
    if top.is_some_and(|top| top > TOP) {
        return Err(bad("$top"));
    }
    let before = match option("$count") {
        Some("true") => format!(r#""@odata.count":{},"#, items.len()),
        _ => String::new(),
    };
    let wanted = items.len().saturating_sub(skip).min(top.unwrap_or(TOP));
    let after =
        if wanted > page { next(call, skip + page, top.map(|top| top - page)) } else { String::new() };
    let texts: Vec<String> =
        items.into_iter().skip(skip).take(wanted.min(page)).map(|(_, text)| text).collect();
    Ok(collection(call, set, &texts, (before, after)))
}

fn next(call: &Call, skip: usize, top: Option<usize>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(call.query.iter().filter(|(name, _)| !["$skip", "$top"].contains(&name.as_str())));
    if let Some(top) = top {
        query.append_pair("$top", &top.to_string());
    }
    query.append_pair("$skip", &skip.to_string());
    format!(r#","@odata.nextLink":"{}{}?{}""#, call.base, call.uri.path(), query.finish())
}

fn bad(what: &str) -> Refusal {
    Refusal::new(400, "ODataError", format!("The query is not valid at {what}"))
}

fn field<'a>(fields: &[&'a str], name: &str) -> Result<&'a str, Refusal> {
    fields.iter().find(|field| field.eq_ignore_ascii_case(name)).copied().ok_or_else(|| bad(name))
}

#[derive(Debug, PartialEq)]
enum Token {
    /// In quotes.
    Text(String),
    Word(String),
    /// One of `(`, `)` and `,`.
    Sign(char),
}

fn tokens(filter: &str) -> Result<Vec<Token>, Refusal> {
    let mut tokens = Vec::new();
    let mut rest = filter.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('\'') {
            // A quote within is written twice.
            let mut end = quoted.find('\'').ok_or_else(|| bad(rest))?;
            while quoted[end + 1..].starts_with('\'') {
                end += 2 + quoted[end + 2..].find('\'').ok_or_else(|| bad(rest))?;
            }
            tokens.push(Token::Text(quoted[..end].replace("''", "'")));
            rest = &quoted[end + 1..];
        } else if "(),".contains(first) {
            tokens.push(Token::Sign(first));
            rest = &rest[1..];
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || "(),'".contains(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Ok(tokens)
}

/// Reads a filter and answers, as it goes, whether the entity passes.
struct Reader<'a> {
    tokens: &'a [Token],
    entity: &'a Value,
    fields: &'a [&'a str],
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<&'a Token, Refusal> {
        let (first, rest) = self.tokens.split_first().ok_or_else(|| bad("its end"))?;
        self.tokens = rest;
        Ok(first)
    }

    fn word(&mut self) -> Result<&'a str, Refusal> {
        match self.next()? {
            Token::Word(word) => Ok(word),
            other => Err(bad(&format!("{other:?}"))),
        }
    }

    fn sign(&mut self, sign: char) -> Result<(), Refusal> {
        if *self.next()? == Token::Sign(sign) { Ok(()) } else { Err(bad(&sign.to_string())) }
    }

    /// Steps over this word, if it is next.
    fn skip(&mut self, keyword: &str) -> bool {
        let is_next =
            matches!(self.tokens.first(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
        self.tokens = &self.tokens[usize::from(is_next)..];
        is_next
    }

    fn literal(&mut self) -> Result<&'a str, Refusal> {
        match self.next()? {
            Token::Text(text) | Token::Word(text) => Ok(text),
            other => Err(bad(&format!("{other:?}"))),
        }
    }

    fn either(&mut self) -> Result<bool, Refusal> {
        let mut passes = self.both()?;
        while self.skip("or") {
            passes |= self.both()?;
        }
        Ok(passes)
    }

    fn both(&mut self) -> Result<bool, Refusal> {
        let mut passes = self.term()?;
        while self.skip("and") {
            passes &= self.term()?;
        }
        Ok(passes)
    }

    fn term(&mut self) -> Result<bool, Refusal> {
        if self.tokens.first() == Some(&Token::Sign('(')) {
            self.next()?;
            let passes = self.either()?;
            self.sign(')')?;
            return Ok(passes);
        }
        let word = self.word()?;
        if word.eq_ignore_ascii_case("startswith") {
            self.sign('(')?;
            let name = self.word()?;
            let value = self.value(field(self.fields, name)?);
            self.sign(',')?;
            let start = self.literal()?;
            self.sign(')')?;
            return Ok(value.starts_with(start));
        }
        if let Some(list) = word.strip_suffix("/any") {
            let list = field(self.fields, list)?;
            self.sign('(')?;
            let variable = self.word()?.strip_suffix(':').ok_or_else(|| bad(word))?;
            if self.word()? != variable || !self.skip("eq") {
                return Err(bad(word));
            }
            let wanted = self.literal()?;
            self.sign(')')?;
            return Ok(self.entity[list].as_array().is_some_and(|list| list.iter().any(|one| one == wanted)));
        }
        let value = self.value(field(self.fields, word)?);
        self.compare(&value)
    }

    fn value(&self, field: &str) -> String {
        let value = &self.entity[field];
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }

    fn compare(&mut self, value: &str) -> Result<bool, Refusal> {
        let operator = self.word()?.to_ascii_lowercase();
        if operator == "in" {
            self.sign('(')?;
            let mut found = self.literal()? == value;
            while self.tokens.first() == Some(&Token::Sign(',')) {
                self.next()?;
                found |= self.literal()? == value;
            }
            self.sign(')')?;
            return Ok(found);
        }
        let wanted = self.literal()?;
        let order = match (Timestamp::parse(value), Timestamp::parse(wanted)) {
            (Some(value), Some(wanted)) => value.cmp(&wanted),
            _ => value.cmp(wanted),
        };
        match operator.as_str() {
            "eq" => Ok(order.is_eq()),
            "ne" => Ok(order.is_ne()),
            "gt" => Ok(order.is_gt()),
            "ge" => Ok(order.is_ge()),
            "lt" => Ok(order.is_lt()),
            "le" => Ok(order.is_le()),
            _ => Err(bad(&operator)),
        }
    }
}
