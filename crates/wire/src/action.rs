//! Machine actions as the wire shows them.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The original's properties in the original's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MachineAction {
    /// A GUID.
    pub id: String,
    /// `LiveResponse`.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: Option<String>,
    /// Display name of the user or app that asked for it.
    pub requestor: String,
    pub requestor_comment: String,
    pub status: ActionStatus,
    pub machine_id: String,
    pub computer_dns_name: String,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub creation_date_time_utc: Timestamp,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub last_update_date_time_utc: Timestamp,
    pub cancellation_requestor: Option<String>,
    pub cancellation_comment: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub cancellation_date_time_utc: Option<Timestamp>,
    pub error_h_result: i64,
    pub scope: Option<String>,
    pub external_id: Option<String>,
    /// `PublicApi`.
    pub request_source: String,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub related_file_info: Option<serde_json::Value>,
    pub commands: Vec<ActionCommand>,
    pub troubleshoot_info: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ActionStatus {
    Pending,
    InProgress,
    Succeeded,
    Failed,
    TimeOut,
    Cancelled,
}

impl ActionStatus {
    pub fn is_final(self) -> bool {
        !matches!(self, ActionStatus::Pending | ActionStatus::InProgress)
    }
}

/// One command of an action, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActionCommand {
    /// From 0.
    pub index: u32,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub start_time: Option<Timestamp>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub end_time: Option<Timestamp>,
    pub command_status: CommandStatus,
    pub errors: Vec<String>,
    pub command: Command,
    /// The library file as it was when the action was made; null where the command names none.
    pub library_file: Option<PinnedFile>,
    /// Of a script that ended by itself.
    pub exit_code: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CommandStatus {
    Created,
    Submitted,
    Executing,
    Completed,
    Failed,
}

/// What is to be done, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Command {
    #[serde(rename = "type")]
    pub kind: CommandType,
    pub params: Vec<Param>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CommandType {
    PutFile,
    RunScript,
    GetFile,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Param {
    /// `FileName`, `ScriptName`, `Args`, `Path`.
    pub key: String,
    pub value: String,
}

/// Which bytes an action was bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PinnedFile {
    pub file_name: String,
    pub id: String,
    pub version: u64,
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// What is told of a command's output as it comes: the type of the event, and its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum LiveEvent {
    Stdout(OutputPiece),
    Stderr(OutputPiece),
    /// Nothing more is told.
    End(OutputEnded),
}

impl LiveEvent {
    /// The type of the event.
    pub fn name(&self) -> &'static str {
        match self {
            LiveEvent::Stdout(_) => "stdout",
            LiveEvent::Stderr(_) => "stderr",
            LiveEvent::End(_) => "end",
        }
    }
}

/// Bytes of a stream from an offset on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPiece {
    pub offset: u64,
    #[serde(flatten)]
    pub data: OutputData,
}

/// Text where it is UTF-8, base64 where it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OutputData {
    Text(String),
    Base64(String),
}

/// How a command and its action are when nothing more is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputEnded {
    pub status: ActionStatus,
    pub command_status: CommandStatus,
    pub exit_code: Option<i64>,
    pub errors: Vec<String>,
}
