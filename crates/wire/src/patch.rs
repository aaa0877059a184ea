//! A merge patch (RFC 7396) for what people say about a library file. A property that is absent stays as it
//! is, `null` takes it away, anything else takes its place; the rules on values are the server's.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::json::{Members, without_mark};

/// The properties that a patch can change, as the wire spells them.
pub const PROPERTIES: [&str; 7] = [
    "description",
    "parametersDescription",
    "hasParameters",
    "tags",
    "platforms",
    "category",
    "instructions",
];

/// What becomes of one property.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Edit<T> {
    /// It is absent from the patch.
    #[default]
    Keep,
    /// It is `null`.
    Clear,
    Set(T),
}

impl<T> Edit<T> {
    pub fn is_keep(&self) -> bool {
        matches!(self, Edit::Keep)
    }
}

/// `null` clears, a value sets.
impl<T> From<Option<T>> for Edit<T> {
    fn from(value: Option<T>) -> Edit<T> {
        value.map_or(Edit::Clear, Edit::Set)
    }
}

/// Only within a [`FilePatch`], which leaves out what is kept.
impl<T: Serialize> Serialize for Edit<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Edit::Keep | Edit::Clear => serializer.serialize_none(),
            Edit::Set(value) => value.serialize(serializer),
        }
    }
}

/// The properties to change; those that are absent stay as they are, `null` takes one away.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FilePatch {
    #[serde(skip_serializing_if = "Edit::is_keep")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub description: Edit<String>,
    #[serde(skip_serializing_if = "Edit::is_keep")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub parameters_description: Edit<String>,
    /// `null` goes back to the default: true exactly when there is a description of parameters.
    #[serde(skip_serializing_if = "Edit::is_keep")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<bool>))]
    pub has_parameters: Edit<bool>,
    /// All tags that the file shall have; `null` is the empty list.
    #[serde(skip_serializing_if = "Edit::is_keep")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>))]
    pub tags: Edit<Vec<String>>,
    /// `windows`, `linux`, `macos`; `null` is the empty list.
    #[serde(skip_serializing_if = "Edit::is_keep")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>))]
    pub platforms: Edit<Vec<String>>,
    #[serde(skip_serializing_if = "Edit::is_keep")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub category: Edit<String>,
    #[serde(skip_serializing_if = "Edit::is_keep")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub instructions: Edit<String>,
}

/// Why a body is no patch: what was wrong, where, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchError(String);

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PatchError {}

impl FilePatch {
    /// Reads a patch. Property names match ignoring letter case; a byte order mark before the JSON is skipped.
    /// The caller bounds the size of `body`; how deep its values nest is bounded here.
    ///
    /// # Errors
    /// When the body is no JSON object, names a property that a patch cannot change or names one twice, or gives
    /// one a value of another type.
    pub fn parse(body: &[u8]) -> Result<FilePatch, PatchError> {
        if without_mark(body).trim_ascii().is_empty() {
            return Err(PatchError("the patch is empty; send a JSON object".into()));
        }
        let Members(members) = Members::parse(body).map_err(|error| {
            PatchError(if error.is_data() {
                "the patch is not a JSON object with the properties to change".into()
            } else {
                format!("the patch is not valid JSON: {error}")
            })
        })?;
        let mut patch = FilePatch::default();
        for (key, value) in members {
            patch.take(&key, value)?;
        }
        Ok(patch)
    }

    fn take(&mut self, key: &str, value: Value) -> Result<(), PatchError> {
        let property = PROPERTIES.iter().copied().find(|property| property.eq_ignore_ascii_case(key));
        match property {
            Some(name @ "description") => put(&mut self.description, name, value, text),
            Some(name @ "parametersDescription") => put(&mut self.parameters_description, name, value, text),
            Some(name @ "hasParameters") => put(&mut self.has_parameters, name, value, flag),
            Some(name @ "tags") => put(&mut self.tags, name, value, list),
            Some(name @ "platforms") => put(&mut self.platforms, name, value, list),
            Some(name @ "category") => put(&mut self.category, name, value, text),
            Some(name @ "instructions") => put(&mut self.instructions, name, value, text),
            _ => Err(unknown(key)),
        }
    }
}

/// A value as its type, or what would be right and what was found instead.
type Reading<T> = Result<T, (&'static str, &'static str)>;

fn put<T>(
    slot: &mut Edit<T>,
    property: &str,
    value: Value,
    read: fn(Value) -> Reading<T>,
) -> Result<(), PatchError> {
    if !slot.is_keep() {
        return Err(PatchError(format!(
            "`{property}` is there twice (letter case does not matter); send it once"
        )));
    }
    *slot = if value.is_null() {
        Edit::Clear
    } else {
        Edit::Set(read(value).map_err(|(right, found)| {
            PatchError(format!("`{property}` must be {right} or null; it {found}"))
        })?)
    };
    Ok(())
}

fn text(value: Value) -> Reading<String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(("a string", is(&other))),
    }
}

fn flag(value: Value) -> Reading<bool> {
    value.as_bool().ok_or_else(|| ("true, false", is(&value)))
}

fn list(value: Value) -> Reading<Vec<String>> {
    const RIGHT: &str = "an array of strings";
    let Value::Array(items) = value else {
        return Err((RIGHT, is(&value)));
    };
    let strings = items.into_iter().map(|item| match item {
        Value::String(text) => Ok(text),
        other => Err((RIGHT, holds(&other))),
    });
    strings.collect()
}

fn is(value: &Value) -> &'static str {
    match value {
        Value::Null => "is null",
        Value::Bool(_) => "is a Boolean",
        Value::Number(_) => "is a number",
        Value::String(_) => "is a string",
        Value::Array(_) => "is an array",
        Value::Object(_) => "is an object",
    }
}

fn holds(item: &Value) -> &'static str {
    match item {
        Value::Null => "holds null",
        Value::Bool(_) => "holds a Boolean",
        Value::Number(_) => "holds a number",
        Value::String(_) => "holds a string",
        Value::Array(_) => "holds an array",
        Value::Object(_) => "holds an object",
    }
}

fn unknown(key: &str) -> PatchError {
    const SHOWN: usize = 64;
    let start: String = key.chars().take(SHOWN).collect();
    let more = if start.len() < key.len() { "…" } else { "" };
    let names = PROPERTIES.map(|name| format!("`{name}`")).join(", ");
    PatchError(format!(
        "`{}{more}` is not a property that a patch can change; these are {names}",
        start.escape_debug()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<FilePatch, String> {
        FilePatch::parse(body.as_bytes()).map_err(|error| error.to_string())
    }

    fn refusal(body: &str) -> String {
        parse(body).expect_err(body)
    }

    #[test]
    fn absent_null_and_value_are_three_things() {
        let body =
            r#"{"description":"d","parametersDescription":null,"tags":["a","b"],"hasParameters":false}"#;
        let expected = FilePatch {
            description: Edit::Set("d".into()),
            parameters_description: Edit::Clear,
            has_parameters: Edit::Set(false),
            tags: Edit::Set(vec!["a".into(), "b".into()]),
            ..FilePatch::default()
        };
        assert_eq!(parse(body).as_ref(), Ok(&expected));
        assert_eq!(parse("{}"), Ok(FilePatch::default()));
        let nulls = PROPERTIES.map(|name| format!("\"{name}\":null")).join(",");
        let cleared = parse(&format!("{{{nulls}}}")).unwrap();
        assert_eq!(serde_json::to_string(&cleared).unwrap(), format!("{{{nulls}}}"));
    }

    #[test]
    fn what_is_written_reads_back() {
        let patch = FilePatch {
            description: Edit::Clear,
            platforms: Edit::Set(vec![]),
            category: Edit::Set("c \u{1F4E6} \"".into()),
            ..FilePatch::default()
        };
        let written = serde_json::to_string(&patch).unwrap();
        assert_eq!(written, "{\"description\":null,\"platforms\":[],\"category\":\"c \u{1F4E6} \\\"\"}");
        assert_eq!(parse(&written), Ok(patch));
    }

    #[test]
    fn names_match_in_any_case_and_a_byte_order_mark_is_skipped() {
        let patch = parse("\u{FEFF} {\"DESCRIPTION\":\"d\",\"hasparameters\":true}").unwrap();
        assert_eq!(patch.description, Edit::Set("d".into()));
        assert_eq!(patch.has_parameters, Edit::Set(true));
    }

    #[test]
    fn refusals_name_the_property_and_what_would_be_right() {
        let cases = [
            (r#"{"description":1}"#, "`description` must be a string or null; it is a number"),
            (r#"{"hasParameters":"true"}"#, "`hasParameters` must be true, false or null; it is a string"),
            (r#"{"tags":"a"}"#, "`tags` must be an array of strings or null; it is a string"),
            (r#"{"tags":["a",null]}"#, "`tags` must be an array of strings or null; it holds null"),
            (r#"{"PLATFORMS":{"a":1}}"#, "`platforms` must be an array of strings or null; it is an object"),
            (r#"{"category":["a"]}"#, "`category` must be a string or null; it is an array"),
            (r#"{"instructions":true}"#, "`instructions` must be a string or null; it is a Boolean"),
            (
                r#"{"tags":null,"Tags":["a"]}"#,
                "`tags` is there twice (letter case does not matter); send it once",
            ),
            ("[]", "the patch is not a JSON object with the properties to change"),
            ("null", "the patch is not a JSON object with the properties to change"),
            ("\u{FEFF} ", "the patch is empty; send a JSON object"),
            ("{", "the patch is not valid JSON: EOF while parsing an object at line 1 column 1"),
            ("{} {}", "the patch is not valid JSON: trailing characters at line 1 column 4"),
            (
                r#"{"description":"\ud800"}"#,
                "the patch is not valid JSON: unexpected end of hex escape at line 1 column 23",
            ),
            (
                r#"{"sha256":"00"}"#,
                "`sha256` is not a property that a patch can change; these are `description`, \
                 `parametersDescription`, `hasParameters`, `tags`, `platforms`, `category`, `instructions`",
            ),
        ];
        for (body, message) in cases {
            assert_eq!(refusal(body), message, "{body}");
        }
        assert!(FilePatch::parse(b"{\"description\":\"\xFF\"}").is_err());
    }

    #[test]
    fn a_refusal_shows_of_an_unknown_name_only_what_can_be_shown() {
        let shown = refusal(&format!("{{\"a\\n{}\":1}}", "x".repeat(100)));
        assert!(shown.starts_with(&format!("`a\\n{}…` is not", "x".repeat(62))), "{shown}");
    }

    #[test]
    fn deep_values_are_refused() {
        let deep = format!("{{\"tags\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000));
        assert!(refusal(&deep).contains("recursion limit exceeded"));
    }
}
