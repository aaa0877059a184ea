//! Input: a patch of a file's metadata, or several with a line of their own each, applied one after the other.
#![no_main]

use jumpbag_fuzz::library::metadata::{
    MAX_CATEGORY, MAX_DESCRIPTION, MAX_INSTRUCTIONS, MAX_TAG, MAX_TAGS, Metadata, PLATFORMS, changed,
    platforms_from_form, tags_from_form,
};
use jumpbag_wire::patch::{Edit, FilePatch};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    let mut metadata = Metadata::default();
    step(&mut metadata, input);
    for line in input.split(|byte| *byte == b'\n') {
        step(&mut metadata, line);
    }
    if let Ok(text) = std::str::from_utf8(input) {
        check_form(text);
    }
});

fn step(metadata: &mut Metadata, body: &[u8]) {
    let patch = match FilePatch::parse(body) {
        Ok(patch) => patch,
        Err(error) => return assert!(!error.to_string().chars().any(char::is_control)),
    };
    check_parse(body, &patch);
    let after = match metadata.apply(patch.clone()) {
        Ok(after) => after,
        Err(error) => return assert!(!error.to_string().chars().any(char::is_control)),
    };
    check_rules(&after);
    assert_eq!(after.apply(patch.clone()), Ok(after.clone()));
    assert_eq!(Metadata::default().apply(whole(&after)), Ok(after.clone()));
    let written = serde_json::to_value(&patch).expect("plain data");
    for property in changed(metadata, &after) {
        assert!(written.get(property).is_some(), "{property}");
    }
    *metadata = after;
}

/// What was read is what any reader of JSON sees, and reads the same when it is written.
fn check_parse(body: &[u8], patch: &FilePatch) {
    let written = serde_json::to_value(patch).expect("plain data");
    assert_eq!(FilePatch::parse(written.to_string().as_bytes()).as_ref(), Ok(patch));
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let (Ok(Value::Object(seen)), Value::Object(written)) = (serde_json::from_slice(body), written) else {
        panic!("a patch is an object");
    };
    assert_eq!(seen.len(), written.len());
    for (name, value) in &seen {
        let same = written.iter().find(|(property, _)| property.eq_ignore_ascii_case(name));
        assert_eq!(same.map(|(_, value)| value), Some(value));
    }
}

fn check_rules(metadata: &Metadata) {
    let texts = [
        (&metadata.description, MAX_DESCRIPTION),
        (&metadata.parameters_description, MAX_DESCRIPTION),
        (&metadata.instructions, MAX_INSTRUCTIONS),
        (&metadata.category, 4 * MAX_CATEGORY),
    ];
    for (text, max) in texts {
        let fits = |text: &String| (1..=max).contains(&text.len()) && !text.contains('\0');
        assert!(text.as_ref().is_none_or(fits));
    }
    assert!(metadata.tags.len() <= MAX_TAGS);
    assert!(metadata.tags.is_sorted_by(|a, b| a < b));
    assert!(metadata.platforms.is_sorted_by(|a, b| a < b));
    assert!(metadata.platforms.iter().all(|platform| PLATFORMS.contains(&platform.as_str())));
    for name in metadata.tags.iter().chain(&metadata.category) {
        assert!((1..=MAX_TAG).contains(&name.chars().count()));
        assert!(name.trim() == name && !name.chars().any(char::is_control));
    }
    assert!(metadata.tags.iter().all(|tag| tag.to_lowercase() == *tag));
}

/// The patch that makes this metadata of any other.
fn whole(metadata: &Metadata) -> FilePatch {
    FilePatch {
        description: metadata.description.clone().into(),
        parameters_description: metadata.parameters_description.clone().into(),
        has_parameters: Edit::Set(metadata.has_parameters),
        tags: Edit::Set(metadata.tags.clone()),
        platforms: Edit::Set(metadata.platforms.clone()),
        category: metadata.category.clone().into(),
        instructions: metadata.instructions.clone().into(),
    }
}

/// A list from a form is in its stored form.
fn check_form(text: &str) {
    if let Ok(tags) = tags_from_form(text) {
        let array = serde_json::to_string(&tags).expect("plain data");
        assert_eq!(tags_from_form(&array), Ok(tags));
    }
    if let Ok(platforms) = platforms_from_form(text) {
        assert_eq!(platforms_from_form(&platforms.join(", ")), Ok(platforms));
    }
}
