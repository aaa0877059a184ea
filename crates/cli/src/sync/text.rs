//! Contents as text, and what differs between two of them.

use std::time::Duration;

use similar::TextDiff;

use crate::client::{Client, Entry};
use crate::failure::Failure;
use crate::transport;

/// Longer contents are not compared line by line.
pub const LONGEST: usize = 4 << 20;
/// What is found until then is right, and may not be the shortest way to say it.
const PATIENCE: Duration = Duration::from_secs(2);

/// The bytes of a file of the library.
///
/// # Errors
/// When the server refuses, or they are too many to be compared.
pub async fn content(client: &Client, entry: &Entry) -> Result<Vec<u8>, Failure> {
    let mut answer = client.content(&entry.file_name, None).await?;
    let mut content = Vec::new();
    while let Some(piece) = transport::piece(&mut answer).await? {
        content.extend_from_slice(&piece);
        if content.len() > LONGEST {
            return Err(Failure::Here(format!(
                "`{}` is larger than 4 MiB: it is not compared",
                entry.file_name
            )));
        }
    }
    Ok(content)
}

/// A unified diff, or a line that says why there is none.
pub fn difference(from: &[u8], to: &[u8], (from_label, to_label): (&str, &str)) -> String {
    if from == to {
        return String::new();
    }
    match (decoded(from), decoded(to)) {
        (Some(from), Some(to)) if from == to => {
            format!("{from_label} and {to_label} differ in their encoding only\n")
        }
        (Some(from), Some(to)) => TextDiff::configure()
            .timeout(PATIENCE)
            .diff_lines(&from, &to)
            .unified_diff()
            .context_radius(3)
            .header(from_label, to_label)
            .to_string(),
        _ => format!("{from_label} and {to_label} differ, and one of them is no text\n"),
    }
}

/// UTF-8, UTF-16 with a byte order mark, or what has no zero in it.
fn decoded(bytes: &[u8]) -> Option<String> {
    let utf16 = |order: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes[2..].chunks_exact(2).map(|pair| order([pair[0], pair[1]])).collect();
        String::from_utf16(&units).ok()
    };
    match bytes {
        _ if bytes.len() > LONGEST => None,
        [0xff, 0xfe, ..] => utf16(u16::from_le_bytes),
        [0xfe, 0xff, ..] => utf16(u16::from_be_bytes),
        _ if bytes.contains(&0) => None,
        _ => Some(String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)).into_owned()),
    }
}
