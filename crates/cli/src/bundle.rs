//! A bundle: a library, or some of it, as one signed file for places without a network. It is a tar archive of
//!
//! 1. `bundle.json`: the files with their digests and what is said about them, by name;
//! 2. `bundle.note`: a signed note (C2SP signed-note) over the SHA-256 of that;
//! 3. `files/NAME` for each of them, in that order.
//!
//! The same files and key give the same bytes. Nothing of it is used before the signature and all digests were checked.

pub mod key;
mod read;
mod write;

use serde::{Deserialize, Serialize};

use crate::client::Fields;

pub use read::open;
pub use write::{Bytes, Content, write};

pub const CONTENTS: &str = "bundle.json";
pub const NOTE: &str = "bundle.note";
pub const FILES: &str = "files/";

/// What is in a bundle.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Contents {
    /// Of the format: 1.
    pub bundle: u32,
    pub files: Vec<Item>,
}

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    pub file_name: String,
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    #[serde(flatten)]
    pub fields: Fields,
}

/// The text that is signed.
fn signed_text(contents: &[u8]) -> String {
    use sha2::Digest as _;
    format!("jumpbag bundle 1\n{}\n", jumpbag_wire::hex::hex(&sha2::Sha256::digest(contents)))
}
