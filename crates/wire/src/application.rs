//! App registrations, in the words of Microsoft Graph where it has them.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A program that gets tokens here, for itself or for users who sign in to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Application {
    /// The client id.
    pub app_id: String,
    /// Where its tokens come from: `/{tenantId}/oauth2/v2.0/token`.
    pub tenant_id: String,
    /// What `createdBy` shows.
    pub display_name: String,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_date_time: Timestamp,
    /// When it ends, with every token it holds; null where it does not.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expiration_date_time: Option<Timestamp>,
    /// What it may do, for itself and at most in its users' names.
    pub permissions: Vec<String>,
    /// No secret at all: an app in a browser or on people's machines.
    pub is_public: bool,
    /// Where browsers of users may be sent after their sign-in, exactly.
    pub redirect_uris: Vec<String>,
    pub password_credentials: Vec<PasswordCredential>,
    pub key_credentials: Vec<KeyCredential>,
}

/// A secret, of which only a digest is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PasswordCredential {
    pub key_id: String,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub start_date_time: Timestamp,
    /// Null where it does not end.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub end_date_time: Option<Timestamp>,
}

/// A certificate whose key signs the app's assertions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyCredential {
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub custom_key_identifier: String,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub start_date_time: Timestamp,
}

/// An app that was just registered, with its secret, which is shown only now; null where it has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApplicationWithSecret {
    #[serde(flatten)]
    pub application: Application,
    pub secret_text: Option<String>,
}

/// A secret that was just made: shown only now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PasswordCredentialWithSecret {
    #[serde(flatten)]
    pub credential: PasswordCredential,
    pub secret_text: String,
}
