//! Library files and their versions as the wire shows them.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The original's eight properties in the original's order, then ours. `null` is written, never omitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LibraryFile {
    /// The name in the library: unique ignoring case, kept in the case it came with.
    pub file_name: String,
    /// SHA-256 of the bytes as they were sent, 64 lower-case hexadecimal digits.
    pub sha256: String,
    pub description: Option<String>,
    /// When the name entered the library; an override keeps it.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub creation_time: Timestamp,
    /// When the current version was made.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub last_updated_time: Timestamp,
    /// Display name of the user or app that first uploaded the file; an override keeps it.
    pub created_by: String,
    pub has_parameters: bool,
    pub parameters_description: Option<String>,
    /// Stays the same for as long as the name lives in the library.
    pub id: String,
    /// Bytes.
    pub size: u64,
    /// Number of the current version: 1 for the first upload, one more with each change.
    pub version: u64,
    /// Lower-case, in order.
    pub tags: Vec<String>,
    /// Where the file is meant to run: `linux`, `macos`, `windows`, in this order; none: not said.
    pub platforms: Vec<String>,
    pub category: Option<String>,
    /// For the people who run it.
    pub instructions: Option<String>,
    /// While true, no version of the file is removed, not even after its deletion.
    pub legal_hold: bool,
}

/// Why a version came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Cause {
    /// The name was new.
    Uploaded,
    /// Other bytes took the place of those before.
    Overridden,
    /// The metadata was changed; the bytes are those of the version before.
    Changed,
    /// An earlier version, or a deleted file, came back.
    Restored,
}

/// What became of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum VersionState {
    Current,
    Replaced,
    Deleted,
}

/// One version of a library file. It never changes but for how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FileVersion {
    pub version: u64,
    /// The name as it was written then.
    pub file_name: String,
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    pub cause: Cause,
    /// What differs from the version before, by property: `sha256`, `tags`, …; empty for the first version that is kept.
    pub changed: Vec<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub creation_time: Timestamp,
    /// Display name of who made this version.
    pub created_by: String,
    /// Which app or user that is.
    pub created_by_id: String,
    pub state: VersionState,
    /// When it was replaced or deleted; null while it is current.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub ended_time: Option<Timestamp>,
    pub description: Option<String>,
    pub has_parameters: bool,
    pub parameters_description: Option<String>,
    pub tags: Vec<String>,
    pub platforms: Vec<String>,
    pub category: Option<String>,
    pub instructions: Option<String>,
}

/// A file that was deleted and is still kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeletedFile {
    /// As it was in the library: to restore or purge the file by.
    pub id: String,
    pub file_name: String,
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// Number of the last version.
    pub version: u64,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub deleted_time: Timestamp,
    pub deleted_by: Option<String>,
    /// When the retention time ends and a sweep may remove it; null while it is held.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expiration_time: Option<Timestamp>,
    pub legal_hold: bool,
    /// Why it is held.
    pub legal_hold_reason: Option<String>,
}

/// How much the library holds, and how much it may hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// Files that live in the library.
    pub files: u64,
    /// Null: no limit.
    pub max_files: Option<u64>,
    /// Bytes of all versions that are kept, each content once.
    pub bytes: u64,
    pub max_bytes: Option<u64>,
    /// Versions that are kept.
    pub versions: u64,
    pub max_versions_per_file: Option<u64>,
    pub deleted_files: u64,
    pub held_files: u64,
    /// Largest file, in bytes.
    pub max_file_bytes: u64,
    /// How long versions of deleted files are kept.
    pub retention_days: u64,
    /// How long replaced versions are kept; null: for as long as their file.
    pub replaced_retention_days: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::LibraryFile;
    use crate::time::Timestamp;

    #[test]
    fn the_eight_properties_of_the_original_come_first_and_nulls_are_written() {
        let file = LibraryFile {
            file_name: "a.ps1".into(),
            sha256: "00".into(),
            description: None,
            creation_time: Timestamp::from_secs(0),
            last_updated_time: Timestamp::from_secs(1),
            created_by: "admin".into(),
            has_parameters: false,
            parameters_description: None,
            id: "1".into(),
            size: 3,
            version: 1,
            tags: vec!["triage".into()],
            platforms: Vec::new(),
            category: None,
            instructions: None,
            legal_hold: false,
        };
        assert_eq!(
            serde_json::to_string(&file).unwrap(),
            concat!(
                r#"{"fileName":"a.ps1","sha256":"00","description":null,"#,
                r#""creationTime":"1970-01-01T00:00:00Z","lastUpdatedTime":"1970-01-01T00:00:01Z","#,
                r#""createdBy":"admin","hasParameters":false,"parametersDescription":null,"id":"1","size":3,"#,
                r#""version":1,"tags":["triage"],"platforms":[],"category":null,"instructions":null,"legalHold":false}"#
            )
        );
    }
}
