//! The error envelope that every 4xx and 5xx carries.

use serde::{Deserialize, Serialize};

/// `{"error":{…}}`: clients of the original look for nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorEnvelope {
    pub error: ErrorBody,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorBody {
    /// Stable identifier of what went wrong, for example `ResourceNotFound`.
    pub code: String,
    /// For people: what was wrong, where, and what would be right. May change.
    pub message: String,
    /// The request's id, as in the `request-id` header and the server's log.
    pub target: String,
}
