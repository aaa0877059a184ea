//! Input: a message between agent and server: JSON of any of them, a piece of bytes, or a server's key.
#![no_main]

use std::fmt::Debug;

use bytes::Bytes;
use jumpbag_fuzz::identity::ServerKey;
use jumpbag_wire::agent::{
    Assignment, Chunk, CommandId, Enroll, Enrolled, FromAgent, FromServer, MAX_DATA, Outcome, Stream,
    assignment_text, connect_text, enroll_text,
};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    check::<FromAgent>(input);
    check::<FromServer>(input);
    check::<Assignment>(input);
    check::<Enroll>(input);
    check::<Enrolled>(input);
    check::<Outcome>(input);
    check_chunk(input);
    if let Ok(text) = std::str::from_utf8(input) {
        check_key(text);
        check_signed(text);
    }
});

/// What was read is written so that it reads the same, and is what any reader of JSON sees.
fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(input: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(input) else { return };
    let written = serde_json::to_string(&read).expect("plain data");
    assert_eq!(serde_json::from_str::<T>(&written).as_ref().ok(), Some(&read), "{written}");
    // Where a member is there twice, readers differ.
    let Ok(seen) = serde_json::from_slice::<Value>(input) else { return };
    let (Value::Object(seen), Ok(Value::Object(written))) = (seen, serde_json::to_value(&read)) else { return };
    for name in ["type", "machineId", "token", "publicKey", "signature", "assignment", "offset", "command"] {
        let (Some(before), Some(after)) = (seen.get(name), written.get(name)) else { continue };
        match (before, after) {
            // It may say more than is kept.
            (Value::Object(before), Value::Object(after)) => {
                assert!(after.iter().all(|(key, value)| before.get(key) == Some(value)));
            }
            (before, after) => assert_eq!(before, after, "{name}"),
        }
    }
}

fn check_chunk(input: &[u8]) {
    const HEAD: usize = 29;
    let chunk = match Chunk::read(Bytes::copy_from_slice(input)) {
        Ok(chunk) => chunk,
        Err(_) => return assert!(input.len() < HEAD || input[0] > 3 || input.len() > HEAD + MAX_DATA),
    };
    assert_eq!(chunk.write().as_deref(), Some(input));
    assert_eq!(chunk.data.len(), input.len() - HEAD);
    assert_eq!(chunk.offset.to_be_bytes(), input[21..HEAD]);
    // Another stream, command or offset is another frame.
    let CommandId { action, index } = chunk.command.clone();
    for other in [
        Chunk { stream: if chunk.stream.is_none() { Some(Stream::File) } else { None }, ..chunk.clone() },
        Chunk { command: CommandId { action, index: !index }, ..chunk.clone() },
        Chunk { offset: !chunk.offset, ..chunk.clone() },
    ] {
        assert_ne!(other.write().as_deref(), Some(input));
    }
}

fn check_key(text: &str) {
    match ServerKey::parse(text) {
        Ok(key) => {
            let shown = key.to_string();
            assert_eq!(ServerKey::parse(&shown), Ok(key));
            assert_eq!(shown.len(), 44);
            assert!(!key.signed("text", text));
        }
        Err(error) => assert!(error.to_string().contains(text)),
    }
}

/// What is signed for one purpose is nothing that is signed for another, and says what it is made of.
fn check_signed(text: &str) {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let (second, third) = rest.split_once('\n').unwrap_or((rest, ""));
    let texts = [enroll_text(first, second), connect_text(first, second, third, &[text.to_owned()]), assignment_text(text)];
    for (at, signed) in texts.iter().enumerate() {
        assert!(signed.contains(first));
        assert!(texts.iter().skip(at + 1).all(|other| other != signed));
    }
}
