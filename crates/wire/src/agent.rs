//! What agents and the server say to each other. An agent dials out, over one WebSocket; every message is one frame:
//! JSON in a text frame, or a [`Chunk`] in a binary one. Nothing here does I/O.
//!
//! ```text
//! agent                                   server
//!   │◀─────────────── Hello: nonce ──────────│
//!   │── Prove: signature over the nonce ────▶│
//!   │◀──────────────── Welcome: a token ─────│
//!   │── Confirmed ──────────────────────────▶│   the token is on the agent's disk
//!   │◀──── Assign: a signed assignment ──────│   again whenever the agent connects, until it is finished
//!   │── Fetch: a range of its content ──────▶│
//!   │◀─────────────── Chunk ─────────────────│
//!   │── Started ────────────────────────────▶│   after the agent has written down that it starts
//!   │── Chunk: output, from an offset on ───▶│
//!   │◀── Kept: up to where it is durable ────│
//!   │── Finished: how it ended ─────────────▶│   again until it is recorded
//!   │◀── Recorded ───────────────────────────│
//!   │◀── Cancel ─────────────────────────────│   at any time
//! ```

use serde::{Deserialize, Serialize};

use crate::action::CommandType;
use crate::machine::Facts;
use crate::time::Timestamp;

/// Where agents enrol, and where they connect.
pub const ENROLL_PATH: &str = "/agent/v1/enroll";
pub const CONNECT_PATH: &str = "/agent/v1/connect";
/// The WebSocket's subprotocol.
pub const PROTOCOL: &str = "jumpbag-agent.v1";
/// Bytes of a text frame.
pub const MAX_TEXT: usize = 256 * 1024;
/// Bytes of data in a chunk.
pub const MAX_DATA: usize = 256 * 1024;

/// What is signed when an agent enrols and when it connects: no signature for one passes for another.
pub fn enroll_text(token: &str, public_key: &str) -> String {
    format!("jumpbag agent enroll v1\n{token}\n{public_key}\n")
}

/// See [`enroll_text`]. `lineage` holds the tokens that the agent has.
pub fn connect_text(nonce: &str, machine: &str, server_key: &str, lineage: &[String]) -> String {
    let lineage = lineage.join(" ");
    format!("jumpbag agent connect v1\n{nonce}\n{machine}\n{server_key}\n{lineage}\n")
}

/// What the server signs: the text of an assignment as it is sent.
pub fn assignment_text(assignment: &str) -> String {
    format!("jumpbag assignment v1\n{assignment}\n")
}

/// The body of a request to enrol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Enroll {
    /// What `enroll create` printed, without the server's key.
    pub token: String,
    /// Ed25519, 32 bytes in base64.
    pub public_key: String,
    pub facts: Facts,
    /// Over [`enroll_text`], by that key, in base64.
    pub signature: String,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Enrolled {
    pub machine_id: String,
    /// The key that signs assignments: Ed25519, 32 bytes in base64.
    pub server_key: String,
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum FromServer {
    Hello {
        /// Random, for this connection.
        nonce: String,
    },
    Welcome {
        /// So that the agent knows how far its clock is off.
        time: Timestamp,
        /// Which of the agent's tokens is the current one; null when the server goes by none.
        known: Option<String>,
        /// The token that follows it: current once the agent says that it has it.
        next: String,
    },
    Assign {
        /// The JSON text of an [`Assignment`].
        assignment: String,
        /// Over [`assignment_text`], in base64.
        signature: String,
    },
    /// Output up to here is durable: the answer to a chunk of output, or to several that follow on each other. When it is
    /// no more than before, the chunk did not follow on what there is, and the agent goes on from here.
    Kept {
        command: CommandId,
        stream: Stream,
        offset: u64,
    },
    /// The end of a command is recorded: the agent may forget it.
    Recorded {
        command: CommandId,
    },
    Cancel {
        command: CommandId,
    },
}

/// What an agent says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum FromAgent {
    Prove {
        machine_id: String,
        facts: Facts,
        /// The tokens of earlier connections, oldest first; see [`handed_on`]. None before the first.
        #[serde(default)]
        lineage: Vec<String>,
        /// Over [`connect_text`], in base64.
        signature: String,
    },
    /// The token of the welcome is on the disk: from now on it is the current one. Before this nothing is assigned.
    Confirmed,
    /// Asks for the assigned content from an offset to its end, in chunks.
    Fetch {
        command: CommandId,
        offset: u64,
    },
    Started {
        command: CommandId,
        time: Timestamp,
    },
    Finished {
        command: CommandId,
        outcome: Outcome,
    },
}

/// Tokens that an agent keeps at most: the current one and those that it confirmed without hearing more.
pub const MAX_LINEAGE: usize = 16;

/// The tokens that an agent keeps when it is welcomed: from the current one on, and the new one. The current one is
/// never let go of before another is known to be current, so whichever of them the server recorded last is among them.
pub fn handed_on(mut lineage: Vec<String>, known: Option<&str>, next: String) -> Vec<String> {
    if let Some(current) = known.and_then(|known| lineage.iter().position(|token| token == known)) {
        lineage.drain(..current);
    }
    while lineage.len() >= MAX_LINEAGE {
        lineage.remove(usize::from(known.is_some()));
    }
    lineage.push(next);
    lineage
}

/// One command of one action.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandId {
    /// The action's GUID.
    pub action: String,
    pub index: u32,
}

/// One command for one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    pub machine_id: String,
    pub command: CommandId,
    #[serde(rename = "type")]
    pub kind: CommandType,
    /// The library file to put or to run.
    pub content: Option<AssignedContent>,
    /// Of a script.
    pub args: Vec<String>,
    /// Of a file or folder to get.
    pub path: Option<String>,
    pub timeout_seconds: u64,
    /// It must not be started after this.
    pub not_after: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignedContent {
    pub name: String,
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub succeeded: bool,
    /// Of a script that ended by itself.
    pub exit_code: Option<i64>,
    /// What went wrong, in words; empty when nothing did.
    pub errors: Vec<String>,
    /// When it was started; null when it was not.
    pub started: Option<Timestamp>,
    pub ended: Timestamp,
    pub output: Vec<OutputEnd>,
}

/// How much a stream has in all, and its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputEnd {
    pub stream: Stream,
    pub size: u64,
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// What it holds is a tar archive: of a folder that was asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub archive: bool,
}

/// What a command puts out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stream {
    Stdout,
    Stderr,
    /// The file that was asked for, compressed by gzip.
    File,
}

/// A binary frame: bytes of a stream, or of a content, from an offset on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    pub command: CommandId,
    /// `None`: of the content that the agent fetches.
    pub stream: Option<Stream>,
    pub offset: u64,
    pub data: bytes::Bytes,
}

/// Why a binary frame is no chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoChunk;

impl Chunk {
    /// One byte for the stream, the action's GUID in 16 bytes, the index in 4 and the offset in 8, both big-endian,
    /// then the data.
    pub fn write(&self) -> Option<Vec<u8>> {
        let action = uuid::Uuid::parse_str(&self.command.action).ok()?;
        let mut frame = Vec::with_capacity(HEAD + self.data.len());
        frame.push(match self.stream {
            None => 0,
            Some(Stream::Stdout) => 1,
            Some(Stream::Stderr) => 2,
            Some(Stream::File) => 3,
        });
        frame.extend_from_slice(action.as_bytes());
        frame.extend_from_slice(&self.command.index.to_be_bytes());
        frame.extend_from_slice(&self.offset.to_be_bytes());
        frame.extend_from_slice(&self.data);
        Some(frame)
    }

    /// # Errors
    /// When the frame is too short or too long, or names no stream.
    pub fn read(frame: bytes::Bytes) -> Result<Chunk, NoChunk> {
        let (head, _) = frame.split_first_chunk::<HEAD>().ok_or(NoChunk)?;
        if frame.len() > HEAD + MAX_DATA {
            return Err(NoChunk);
        }
        let stream = match head[0] {
            0 => None,
            1 => Some(Stream::Stdout),
            2 => Some(Stream::Stderr),
            3 => Some(Stream::File),
            _ => return Err(NoChunk),
        };
        let action = uuid::Uuid::from_slice(&head[1..17]).map_err(|_| NoChunk)?;
        let index = head[17..21].iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        let offset = head[21..29].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let command = CommandId { action: action.to_string(), index };
        Ok(Chunk { command, stream, offset, data: frame.slice(HEAD..) })
    }
}

/// Bytes of a chunk before its data.
const HEAD: usize = 29;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_back_as_they_were_and_others_are_refused() {
        let chunk = Chunk {
            command: CommandId { action: "9509426d-490c-4f2b-90b4-4703674be8cf".into(), index: 7 },
            stream: Some(Stream::File),
            offset: 1 << 40,
            data: bytes::Bytes::from_static(b"abc"),
        };
        let frame = chunk.write().unwrap();
        assert_eq!(Chunk::read(frame.clone().into()), Ok(chunk));
        assert_eq!(Chunk::read(frame[..HEAD - 1].to_vec().into()), Err(NoChunk));
        assert_eq!(Chunk::read([&frame[..], &vec![0; MAX_DATA]].concat().into()), Err(NoChunk));
        assert_eq!(Chunk::read([&[4], &frame[1..]].concat().into()), Err(NoChunk));
    }

    #[test]
    fn an_agent_keeps_the_current_token_and_what_came_after_it() {
        let tokens = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for (had, known, kept) in [
            ("", None, "n"),
            ("a", Some("a"), "a n"),
            ("a b c", Some("b"), "b c n"),
            ("a b c", Some("c"), "c n"),
            ("a b", None, "a b n"),
            ("a b", Some("x"), "a b n"),
        ] {
            assert_eq!(handed_on(tokens(had), known, "n".into()), tokens(kept), "{had}, {known:?}");
        }
        // However often nothing is heard of what it confirms: the current one stays.
        let mut lineage = tokens("a");
        for number in 0..100 {
            lineage = handed_on(lineage, Some("a"), number.to_string());
        }
        assert_eq!((lineage.len(), lineage[0].as_str(), lineage[15].as_str()), (MAX_LINEAGE, "a", "99"));
    }

    #[test]
    fn messages_are_told_apart_by_their_type() {
        let command = CommandId { action: "a".into(), index: 0 };
        let kept = FromServer::Kept { command, stream: Stream::Stdout, offset: 3 };
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(
            text,
            r#"{"type":"kept","command":{"action":"a","index":0},"stream":"stdout","offset":3}"#
        );
        assert_eq!(serde_json::from_str::<FromServer>(&text).unwrap(), kept);
    }
}
