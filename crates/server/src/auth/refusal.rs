//! What the token endpoint says when it says no: the original's numbers, words and shape.

use chrono::{DateTime, Utc};
use http::StatusCode;
use jumpbag_wire::time::Timestamp;
use serde::Serialize;
use uuid::Uuid;

/// Why no token is given. Names from the request are shortened before they are repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error(
        "Tenant '{0}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."
    )]
    UnknownTenant(String),
    #[error("The request body must contain the following parameter: '{0}'.")]
    MissingParameter(&'static str),
    #[error("Invalid request. Request is malformed or invalid: {0}.")]
    Malformed(&'static str),
    #[error(
        "The app requested an unsupported grant type '{0}'. This server knows 'client_credentials', 'authorization_code', 'refresh_token' and 'urn:ietf:params:oauth:grant-type:device_code'."
    )]
    UnsupportedGrant(String),
    #[error(
        "The provided value for scope {0} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."
    )]
    ScopeNotDefault(String),
    #[error(
        "Provided value for the input parameter scope is not valid because it contains more than one resource."
    )]
    SeveralResources,
    #[error(
        "The resource principal named {resource} was not found in the tenant named {tenant}. This can happen if the resource is not one of Microsoft Defender for Endpoint or of this server."
    )]
    UnknownResource { resource: String, tenant: String },
    #[error("The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")]
    NoCredential,
    #[error(
        "Application with identifier '{client}' was not found in the directory '{tenant}'. This can happen if the application has not been registered with this server, or if the request was sent to the wrong tenant."
    )]
    UnknownClient { client: String, tenant: String },
    #[error(
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{0}'."
    )]
    WrongSecret(String),
    #[error("The provided client secret keys for app '{0}' are expired. Create a new secret for the app.")]
    ExpiredSecret(String),
    #[error("Application '{0}' is disabled.")]
    Disabled(String),
    #[error("JWT token is invalid or malformed: {0}.")]
    AssertionMalformed(&'static str),
    #[error("Client assertion contains an invalid signature. [Reason - {0}.]")]
    AssertionSignature(&'static str),
    #[error("Client assertion is not within its valid time range. {0}.")]
    AssertionTime(&'static str),
    #[error("Client assertion audience claim does not match the token endpoint of this tenant.")]
    AssertionAudience,
    #[error("Client assertion application identifier doesn't match 'client_id' parameter.")]
    AssertionSubject,
    #[error(
        "The application asked for scope '{0}' that doesn't exist on the resource, or the scope is not known to this server."
    )]
    UnknownScope(String),
    #[error("Client is public so neither 'client_assertion' nor 'client_secret' should be presented.")]
    PublicClient,
    #[error("The application '{0}' is not one that users sign in to this way.")]
    NotForUsers(String),
    #[error("The provided authorization code or refresh token is invalid, expired or revoked. {0}.")]
    InvalidGrant(&'static str),
    #[error("OAuth2 Authorization code was already redeemed, please retry with a new valid code.")]
    CodeUsed,
    #[error(
        "The refresh token was used already: everything that was made of this sign-in ends. Sign in again."
    )]
    RefreshUsed,
    #[error("The Code_Verifier does not match the code_challenge supplied in the authorization request.")]
    WrongVerifier,
    #[error("The redirect URI does not match the one of the authorization request.")]
    OtherRedirect,
    #[error("The user account is disabled, was removed, or has ended its sign-ins.")]
    UserGone,
    #[error("OAuth 2.0 device flow error. Authorization is pending. Continue polling.")]
    Pending,
    #[error(
        "OAuth 2.0 device flow error. The client asks too often: wait {0} seconds between two questions."
    )]
    TooOften(i64),
    #[error("The user declined the sign-in.")]
    Declined,
    #[error("The device code has expired, was used, or was never given out: begin again.")]
    DeviceExpired,
    #[error("A transient error has occurred. Please try again.")]
    Unavailable,
}

impl TokenError {
    /// The number behind `AADSTS`.
    pub fn number(&self) -> u32 {
        match self {
            TokenError::UnknownTenant(_) => 90002,
            TokenError::MissingParameter(_) => 900144,
            TokenError::Malformed(_) => 9002313,
            TokenError::UnsupportedGrant(_) => 70003,
            TokenError::ScopeNotDefault(_) => 1002012,
            TokenError::SeveralResources => 28000,
            TokenError::UnknownResource { .. } => 500011,
            TokenError::NoCredential => 7000218,
            TokenError::UnknownClient { .. } => 700016,
            TokenError::WrongSecret(_) => 7000215,
            TokenError::ExpiredSecret(_) => 7000222,
            TokenError::Disabled(_) => 7000112,
            TokenError::AssertionMalformed(_) => 50027,
            TokenError::AssertionSignature(_) => 700027,
            TokenError::AssertionTime(_) => 700024,
            TokenError::AssertionAudience => 700023,
            TokenError::AssertionSubject => 700021,
            TokenError::UnknownScope(_) => 650053,
            TokenError::PublicClient => 700025,
            TokenError::NotForUsers(_) => 700051,
            TokenError::InvalidGrant(_) => 70008,
            TokenError::CodeUsed => 54005,
            TokenError::RefreshUsed => 700082,
            TokenError::WrongVerifier => 501481,
            TokenError::OtherRedirect => 500112,
            TokenError::UserGone => 50057,
            TokenError::Pending => 70016,
            TokenError::TooOften(_) => 70017,
            TokenError::Declined => 65004,
            TokenError::DeviceExpired => 70020,
            TokenError::Unavailable => 90033,
        }
    }

    /// The OAuth 2.0 code.
    pub fn code(&self) -> &'static str {
        match self {
            TokenError::UnknownTenant(_) | TokenError::MissingParameter(_) | TokenError::Malformed(_) => {
                "invalid_request"
            }
            TokenError::UnsupportedGrant(_) => "unsupported_grant_type",
            TokenError::ScopeNotDefault(_) | TokenError::SeveralResources | TokenError::UnknownScope(_) => {
                "invalid_scope"
            }
            TokenError::UnknownResource { .. } => "invalid_resource",
            TokenError::UnknownClient { .. } | TokenError::Disabled(_) | TokenError::NotForUsers(_) => {
                "unauthorized_client"
            }
            TokenError::InvalidGrant(_)
            | TokenError::CodeUsed
            | TokenError::RefreshUsed
            | TokenError::WrongVerifier
            | TokenError::OtherRedirect
            | TokenError::UserGone => "invalid_grant",
            TokenError::Pending => "authorization_pending",
            TokenError::TooOften(_) => "slow_down",
            TokenError::Declined => "access_denied",
            TokenError::DeviceExpired => "expired_token",
            TokenError::NoCredential
            | TokenError::WrongSecret(_)
            | TokenError::ExpiredSecret(_)
            | TokenError::AssertionMalformed(_)
            | TokenError::AssertionSignature(_)
            | TokenError::AssertionTime(_)
            | TokenError::AssertionAudience
            | TokenError::AssertionSubject
            | TokenError::PublicClient => "invalid_client",
            TokenError::Unavailable => "temporarily_unavailable",
        }
    }

    pub fn status(&self) -> StatusCode {
        match self.code() {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// Whether the caller failed to prove who it is: what the throttle counts.
    pub fn is_failed_sign_in(&self) -> bool {
        matches!(self.code(), "invalid_client" | "unauthorized_client")
    }

    /// The body of the answer.
    pub fn body(&self, now: Timestamp, trace_id: Uuid, correlation_id: Uuid) -> TokenErrorBody {
        let number = self.number();
        let timestamp = DateTime::<Utc>::from_timestamp_micros(now.micros()).unwrap_or_default();
        let timestamp = timestamp.format("%Y-%m-%d %H:%M:%SZ").to_string();
        TokenErrorBody {
            error: self.code(),
            error_description: format!(
                "AADSTS{number}: {self}\r\nTrace ID: {trace_id}\r\nCorrelation ID: {correlation_id}\r\nTimestamp: {timestamp}"
            ),
            error_codes: [number],
            timestamp,
            trace_id,
            correlation_id,
            error_uri: format!("https://login.microsoftonline.com/error?code={number}"),
        }
    }
}

/// The JSON of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenErrorBody {
    pub error: &'static str,
    pub error_description: String,
    pub error_codes: [u32; 1],
    pub timestamp: String,
    pub trace_id: Uuid,
    pub correlation_id: Uuid,
    pub error_uri: String,
}

/// Text of a request, fit to be repeated in an answer and a log line.
pub(crate) fn shown(text: &str) -> String {
    const LIMIT: usize = 200;
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(LIMIT).collect();
    if text.chars().count() > LIMIT {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_the_shape_of_the_original() {
        let now = Timestamp::parse("2024-02-28T10:59:21.75Z").unwrap();
        let body = TokenError::WrongSecret("app-1".to_owned()).body(now, Uuid::nil(), Uuid::max());
        insta::assert_json_snapshot!(body, @r#"
        {
          "error": "invalid_client",
          "error_description": "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app 'app-1'.\r\nTrace ID: 00000000-0000-0000-0000-000000000000\r\nCorrelation ID: ffffffff-ffff-ffff-ffff-ffffffffffff\r\nTimestamp: 2024-02-28 10:59:21Z",
          "error_codes": [
            7000215
          ],
          "timestamp": "2024-02-28 10:59:21Z",
          "trace_id": "00000000-0000-0000-0000-000000000000",
          "correlation_id": "ffffffff-ffff-ffff-ffff-ffffffffffff",
          "error_uri": "https://login.microsoftonline.com/error?code=7000215"
        }
        "#);
    }

    #[test]
    fn status_follows_the_code() {
        for (error, code, status) in [
            (TokenError::WrongSecret(String::new()), "invalid_client", 401),
            (TokenError::NoCredential, "invalid_client", 401),
            (TokenError::AssertionAudience, "invalid_client", 401),
            (
                TokenError::UnknownClient { client: String::new(), tenant: String::new() },
                "unauthorized_client",
                400,
            ),
            (TokenError::UnknownTenant(String::new()), "invalid_request", 400),
            (TokenError::SeveralResources, "invalid_scope", 400),
            (TokenError::Unavailable, "temporarily_unavailable", 503),
        ] {
            assert_eq!((error.code(), error.status().as_u16()), (code, status), "{error:?}");
        }
        assert!(TokenError::NoCredential.is_failed_sign_in());
        assert!(!TokenError::SeveralResources.is_failed_sign_in());
    }

    #[test]
    fn what_is_repeated_is_short_and_on_one_line() {
        assert_eq!(shown("a\r\nb\u{0}c"), "abc");
        assert_eq!(shown(&"ä".repeat(5_000)).chars().count(), 201);
    }
}
