//! What people say about a file, over HTTP: in the form of an upload, in a patch, and in questions about it.

mod form;
mod patch;
mod questions;

use serde_json::{Value, json};

/// The properties that people set, in the order of the entity.
const SAID: [&str; 7] = [
    "description",
    "hasParameters",
    "parametersDescription",
    "tags",
    "platforms",
    "category",
    "instructions",
];

/// What an entity says of these.
fn said(entity: &Value) -> Value {
    let said = SAID.map(|property| (property.to_owned(), entity[property].clone()));
    Value::Object(said.into_iter().collect())
}

/// Nothing is said.
fn nothing() -> Value {
    json!({ "description": null, "hasParameters": false, "parametersDescription": null, "tags": [],
            "platforms": [], "category": null, "instructions": null })
}

/// `base` with some of it replaced.
fn with(base: &Value, changes: Value) -> Value {
    let mut merged = base.clone();
    for (property, value) in changes.as_object().expect("an object") {
        merged[property] = value.clone();
    }
    merged
}
