//! Token requests for users: a code that a browser brought, a refresh token, a device's code.

use super::{Credential, Fields, TokenRequest, Version, credential};
use crate::auth::refusal::{TokenError, shown};
use crate::auth::secret::Hidden;

/// What a request at the token endpoint asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A token for the client itself.
    Client(TokenRequest),
    /// Tokens for a user.
    User(UserRequest),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRequest {
    pub client_id: String,
    /// None from a public client.
    pub credential: Option<Credential>,
    pub grant: UserGrant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserGrant {
    Code { code: Hidden, redirect_uri: String, verifier: Hidden },
    Refresh { token: Hidden },
    Device { code: Hidden },
}

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

impl Asked {
    /// Reads a body (a form, or a JSON object whatever it is labelled) and an `Authorization` header.
    ///
    /// # Errors
    /// When something required is missing, given twice or not for this endpoint.
    pub fn parse(
        version: Version,
        content_type: Option<&str>,
        authorization: Option<&str>,
        body: &[u8],
    ) -> Result<Asked, TokenError> {
        let fields = Fields::read(content_type, body)?;
        let grant = fields.required("grant_type")?;
        if grant == "client_credentials" {
            return TokenRequest::of_client(version, &fields, authorization).map(Asked::Client);
        }
        let hidden = |name| fields.required(name).map(Hidden::new);
        let grant = match grant {
            // Version 1 is for apps by themselves.
            _ if version == Version::V1 => return Err(TokenError::UnsupportedGrant(shown(grant))),
            "authorization_code" => UserGrant::Code {
                code: hidden("code")?,
                redirect_uri: fields.required("redirect_uri")?.to_owned(),
                verifier: hidden("code_verifier")?,
            },
            "refresh_token" => UserGrant::Refresh { token: hidden("refresh_token")? },
            DEVICE => UserGrant::Device { code: hidden("device_code")? },
            other => return Err(TokenError::UnsupportedGrant(shown(other))),
        };
        let (client_id, credential) = prover(&fields, authorization)?;
        Ok(Asked::User(UserRequest { client_id, credential, grant }))
    }
}

/// The client and the scope that a device asks with.
///
/// # Errors
/// When one of them is missing or given twice.
pub fn device_request(content_type: Option<&str>, body: &[u8]) -> Result<(String, String), TokenError> {
    let fields = Fields::read(content_type, body)?;
    Ok((fields.required("client_id")?.to_owned(), fields.required("scope")?.to_owned()))
}

/// Who asks, by a credential or without.
fn prover(fields: &Fields, authorization: Option<&str>) -> Result<(String, Option<Credential>), TokenError> {
    match credential(fields, authorization) {
        Ok((id, credential)) => Ok((id, Some(credential))),
        Err(TokenError::NoCredential) => Ok((fields.required("client_id")?.to_owned(), None)),
        Err(refused) => Err(refused),
    }
}

impl UserRequest {
    /// The same with what proves the client, as other requests have it.
    pub fn proving(&self) -> Option<TokenRequest> {
        Some(TokenRequest {
            version: Version::V2,
            client_id: self.client_id.clone(),
            resource: String::new(),
            credential: self.credential.clone()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Asked, TokenError> {
        Asked::parse(Version::V2, None, None, body.as_bytes())
    }

    #[test]
    fn each_grant_has_its_parameters() {
        let Asked::User(request) =
            parse("grant_type=authorization_code&client_id=a&code=c&redirect_uri=https://a&code_verifier=v")
                .unwrap()
        else {
            panic!("a user's request")
        };
        assert_eq!((request.client_id.as_str(), request.credential), ("a", None));
        assert!(matches!(request.grant, UserGrant::Code { .. }));
        let form = "grant_type=refresh_token&client_id=a&client_secret=s&refresh_token=r";
        let Asked::User(request) = parse(form).unwrap() else { panic!("a user's request") };
        assert!(request.proving().is_some() && matches!(request.grant, UserGrant::Refresh { .. }));
        let form = format!("grant_type={DEVICE}&client_id=a&device_code=d");
        assert!(matches!(parse(&form), Ok(Asked::User(_))));
    }

    #[test]
    fn what_is_missing_or_twice_is_told() {
        for (form, name) in [
            ("grant_type=authorization_code&client_id=a&redirect_uri=u&code_verifier=v", "code"),
            ("grant_type=authorization_code&client_id=a&code=c&code_verifier=v", "redirect_uri"),
            ("grant_type=authorization_code&client_id=a&code=c&redirect_uri=u", "code_verifier"),
            ("grant_type=refresh_token&client_id=a", "refresh_token"),
            ("grant_type=refresh_token&refresh_token=a", "client_id"),
        ] {
            assert_eq!(parse(form), Err(TokenError::MissingParameter(name)), "{form}");
        }
        let twice = "grant_type=refresh_token&client_id=a&refresh_token=1&refresh_token=2";
        assert!(matches!(parse(twice), Err(TokenError::Malformed(_))));
        assert!(matches!(parse("grant_type=password&client_id=a"), Err(TokenError::UnsupportedGrant(_))));
    }

    #[test]
    fn version_1_has_no_users() {
        let body = b"grant_type=refresh_token&client_id=a&refresh_token=r";
        let asked = Asked::parse(Version::V1, None, None, body);
        assert!(matches!(asked, Err(TokenError::UnsupportedGrant(_))));
    }
}
