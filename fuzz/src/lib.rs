//! The server's and the agent's parsers of untrusted bytes, compiled from their sources but without the rest of them: the
//! whole takes many minutes to build with sanitizers, and adds nothing to what is tried here.

#[path = "../../crates/server/src"]
mod server {
    pub mod multipart;
    pub mod odata;
    pub mod actions {
        pub mod args;
        pub mod quote;
    }
    pub mod auth {
        pub mod jwt;
    }
    pub mod library {
        pub mod diff;
        pub mod metadata;
        pub mod name;
        pub mod text;
    }
}

#[path = "../../crates/agent/src"]
mod agent {
    pub mod disk;
    pub mod error;
    pub mod identity;
    pub mod spool {
        pub mod journal;
    }
}

// Where these modules expect each other.
pub use agent::{disk, error, identity, spool};
pub use server::{actions, auth, library, multipart, odata};

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use multipart::{Boundary, Limits, Multipart, MultipartError};

/// A part as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Got {
    pub name: String,
    pub file_name: Option<String>,
    pub content: Vec<u8>,
}

/// Reads a body that arrives in these pieces: the parts, and the error that ended the reading.
pub fn read_form<'a>(
    boundary: &Boundary,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Got>, Option<MultipartError>) {
    let pieces = pieces.map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)));
    let mut body = Multipart::new(stream::iter(pieces), boundary.clone(), Limits::default());
    let mut parts = Vec::new();
    let reading = async {
        while let Some(part) = body.next_part().await? {
            let mut content = Vec::new();
            let outcome = loop {
                match body.chunk().await {
                    Ok(Some(chunk)) => {
                        assert!(!chunk.is_empty());
                        content.extend_from_slice(&chunk);
                    }
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            parts.push(Got {
                name: part.name,
                file_name: part.file_name,
                content,
            });
            outcome?;
        }
        Ok(())
    };
    let outcome: Result<(), MultipartError> = reading.now_or_never().expect("the stream is always ready");
    (parts, outcome.err())
}
