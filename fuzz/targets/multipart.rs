//! Input: a line with the content type, a line whose bytes are the lengths of the pieces the body arrives
//! in, and the body.
#![no_main]

use jumpbag_fuzz::multipart::{Limits, boundary};
use jumpbag_fuzz::{Got, read_form};
use libfuzzer_sys::fuzz_target;
use memchr::memmem;

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let (Some(content_type), Some(lengths), Some(body)) = (lines.next(), lines.next(), lines.next()) else {
        return;
    };
    let Ok(content_type) = std::str::from_utf8(content_type) else {
        return;
    };
    let boundary = match boundary(Some(content_type)) {
        Ok(boundary) => boundary,
        Err(error) => return assert_printable(&error.to_string()),
    };

    let (parts, error) = read_form(&boundary, std::iter::once(body));
    let message = error.map(|error| error.to_string());
    message.iter().for_each(|message| assert_printable(message));
    assert_within(&parts, body);
    if message.is_none() {
        assert!(
            memmem::find(body, b"--").is_some(),
            "a form without a closing boundary"
        );
    }

    let whole = (parts, message);
    for lengths in [lengths, &[1]] {
        let (parts, error) = read_form(&boundary, pieces(body, lengths));
        assert_eq!(
            (parts, error.map(|error| error.to_string())),
            whole,
            "cuts change what is read"
        );
    }
});

fn pieces<'a>(body: &'a [u8], lengths: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let lengths = if lengths.is_empty() { &[1] } else { lengths };
    let mut rest = body;
    lengths.iter().cycle().map_while(move |length| {
        let (piece, after) = rest.split_at(rest.len().min(usize::from(*length).max(1)));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Every content is a stretch of the body, one behind the other, and no limit is passed.
fn assert_within(parts: &[Got], body: &[u8]) {
    let limits = Limits::default();
    assert!(parts.len() <= limits.parts);
    let mut rest = body;
    for part in parts {
        assert!(part.name.len() <= limits.name);
        assert!(
            part.file_name
                .as_ref()
                .is_none_or(|name| name.len() <= limits.name)
        );
        let at = memmem::find(rest, &part.content).expect("the content is in the body");
        rest = &rest[at + part.content.len()..];
    }
}

/// An error shows what the client sent; it must not carry its control characters into a log.
fn assert_printable(message: &str) {
    assert!(
        !message.is_empty() && !message.chars().any(char::is_control),
        "{message:?}"
    );
}
