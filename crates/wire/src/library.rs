//! A library file as the wire shows it.

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
        };
        assert_eq!(
            serde_json::to_string(&file).unwrap(),
            concat!(
                r#"{"fileName":"a.ps1","sha256":"00","description":null,"#,
                r#""creationTime":"1970-01-01T00:00:00Z","lastUpdatedTime":"1970-01-01T00:00:01Z","#,
                r#""createdBy":"admin","hasParameters":false,"parametersDescription":null,"id":"1","size":3}"#
            )
        );
    }
}
