//! The OData dress around entities and collections.

use serde::{Deserialize, Serialize};

/// The media type of every successful OData answer, letter for letter as the original sends it.
pub const CONTENT_TYPE: &str =
    "application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8";

/// One entity with the address of its description.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entity<T> {
    #[serde(rename = "@odata.context")]
    pub context: String,
    #[serde(flatten)]
    pub entity: T,
}

/// A page of entities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Collection<T> {
    #[serde(rename = "@odata.context")]
    pub context: String,
    /// How many entities match in all; present when `$count=true` was asked.
    #[serde(rename = "@odata.count", default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    pub value: Vec<T>,
    /// Where the next page is; absent on the last one.
    #[serde(rename = "@odata.nextLink", default, skip_serializing_if = "Option::is_none")]
    pub next_link: Option<String>,
}
