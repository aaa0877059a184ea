//! Input: arguments of a script, each ended by a byte of zero; or the text of all of them; or what a script put out.
#![no_main]

use bytes::Bytes;
use jumpbag_fuzz::actions::args::split;
use jumpbag_fuzz::actions::quote::Quoter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = std::str::from_utf8(input) {
        let args: Vec<&str> = text.split('\0').collect();
        check_quoted(&args);
        check_text(text);
    }
    check_output(input);
});

/// Whatever the arguments are: quoted and split they are the same.
fn check_quoted(args: &[&str]) {
    for blank in [" ", "\t\n", "\u{3000}"] {
        let double: Vec<String> = args.iter().map(|arg| format!("\"{}\"", arg.replace('"', "\"\""))).collect();
        assert_eq!(split(&double.join(blank)).as_deref().ok(), Some(&owned(args)[..]));
        // Bare where it may be, and pieces of both kinds next to each other.
        let mixed: Vec<String> = args.iter().map(|arg| mixed(arg)).collect();
        assert_eq!(split(&mixed.join(blank)).as_deref().ok(), Some(&owned(args)[..]));
    }
}

fn owned(args: &[&str]) -> Vec<String> {
    args.iter().map(ToString::to_string).collect()
}

fn mixed(arg: &str) -> String {
    let special = |c: char| c.is_whitespace() || c == '"' || c == '\'';
    let pieces = arg.split_inclusive(special).flat_map(|piece| {
        let bare = piece.trim_end_matches(special);
        let quoted = match &piece[bare.len()..] {
            "" => String::new(),
            // Two of them side by side would be a quote of their own.
            "'" => "\"'\"''".into(),
            other => format!("'{other}'"),
        };
        [bare.to_owned(), quoted]
    });
    if arg.is_empty() { "''".into() } else { pieces.collect() }
}

/// What was split is quoted so that it is split the same; nothing comes from nowhere.
fn check_text(text: &str) {
    let args = match split(text) {
        Ok(args) => args,
        Err(error) => return assert!(text.contains(['"', '\'']) && error.contains("not closed")),
    };
    check_quoted(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let told = args.iter().flat_map(|arg| arg.chars());
    let mut left = text.chars();
    assert!(told.into_iter().all(|c| left.any(|other| other == c)), "characters in their order");
    if !text.contains(['"', '\'']) {
        assert!(args.iter().map(String::as_str).eq(text.split_whitespace()));
    }
}

/// The text is what it is when it comes in one piece, however it is cut.
fn check_output(input: &[u8]) {
    let Some((size, bytes)) = input.split_first() else { return };
    let whole = serde_json::Value::from(String::from_utf8_lossy(bytes)).to_string();
    for size in [usize::from(*size).max(1), 1, 2, 3] {
        let mut quoter = Quoter::default();
        let mut text = b"\"".to_vec();
        for piece in bytes.chunks(size) {
            text.extend(quoter.quote(Some(Bytes::copy_from_slice(piece))));
        }
        text.extend(quoter.quote(None));
        text.push(b'"');
        assert_eq!(String::from_utf8_lossy(&text), whole, "in pieces of {size}");
    }
}
