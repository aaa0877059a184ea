//! Making tokens that look as the original's do. The token endpoint checks the tenant
//! (`Tenant::is`), reads the request (`TokenRequest::parse`, `TokenRequest::audience`), looks the
//! client up, authenticates it, and only then mints.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jumpbag_wire::time::Timestamp;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::client::{Client, Method};
use super::discovery;
use super::keys::{KeyError, KeyRing};
use super::request::Version;
use super::secret::{random, sha256};
use super::tenant::Tenant;

/// What a token says beyond what its client is.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'a> {
    pub client: &'a Client,
    pub method: Method,
    pub version: Version,
    /// `aud`, from `TokenRequest::audience`.
    pub audience: &'a str,
    /// Scheme and host the token endpoint was reached by, or the configured public address.
    pub base: &'a str,
    pub tenant: &'a Tenant,
}

/// The answer of the token endpoint. It has no `Debug` on purpose.
#[derive(Serialize)]
#[serde(untagged)]
pub enum TokenResponse {
    /// Numbers are texts, as the v1 endpoint of the original has always had it.
    V1 {
        token_type: &'static str,
        expires_in: String,
        ext_expires_in: String,
        expires_on: String,
        not_before: String,
        resource: String,
        access_token: String,
    },
    V2 {
        token_type: &'static str,
        expires_in: i64,
        ext_expires_in: i64,
        access_token: String,
    },
}

impl TokenResponse {
    pub fn access_token(&self) -> &str {
        match self {
            TokenResponse::V1 { access_token, .. } | TokenResponse::V2 { access_token, .. } => access_token,
        }
    }
}

/// A token for a client that has proved itself, good for the ring's token lifetime. Fails only
/// when the cryptographic library does.
pub fn mint(ring: &KeyRing, grant: &Grant<'_>, now: Timestamp) -> Result<TokenResponse, KeyError> {
    let Grant { client, tenant, .. } = grant;
    let issued = now.secs();
    let expires = issued + ring.token_lifetime();
    let object = object_id(&tenant.id, &client.client_id);
    let access_token = ring.sign(&json!({
        "aud": grant.audience,
        "iss": discovery::issuer(grant.base, &tenant.id),
        "iat": issued,
        "nbf": issued,
        "exp": expires,
        "app_displayname": client.display_name,
        "appid": client.client_id,
        "appidacr": match grant.method { Method::Secret => "1", Method::Certificate => "2" },
        "idtyp": "app",
        "oid": object,
        "roles": client.permissions,
        "sub": object,
        "tid": tenant.id,
        "uti": URL_SAFE_NO_PAD.encode(random::<16>()),
        "ver": "1.0",
    }))?;
    let expires_in = ring.token_lifetime() - 1;
    Ok(match grant.version {
        Version::V1 => TokenResponse::V1 {
            token_type: "Bearer",
            expires_in: expires_in.to_string(),
            ext_expires_in: expires_in.to_string(),
            expires_on: expires.to_string(),
            not_before: issued.to_string(),
            resource: grant.audience.to_owned(),
            access_token,
        },
        Version::V2 => {
            TokenResponse::V2 { token_type: "Bearer", expires_in, ext_expires_in: expires_in, access_token }
        }
    })
}

/// A GUID that is always the same for one client of one tenant.
pub(super) fn object_id(tenant: &str, client_id: &str) -> Uuid {
    let hash = sha256(format!("{tenant} {client_id}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::jwt::Jws;
    use crate::auth::testing;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn give(version: Version, method: Method) -> TokenResponse {
        let (client, tenant) = (testing::client("app-1"), testing::tenant());
        let audience = "https://api.securitycenter.microsoft.com";
        let grant =
            Grant { client: &client, method, version, audience, base: testing::BASE, tenant: &tenant };
        mint(&testing::ring(), &grant, NOW).unwrap()
    }

    #[test]
    fn the_claims_are_those_of_the_original() {
        let answer = give(Version::V2, Method::Secret);
        let jws = Jws::parse(answer.access_token()).unwrap();
        let kid = testing::ring().kid().to_owned();
        assert!(jws.signed_by(testing::ring().verifier(&kid, NOW).unwrap()));
        assert_eq!((jws.header.typ.as_deref(), jws.header.alg.as_str()), (Some("JWT"), "RS256"));
        assert_eq!((jws.header.kid.as_ref(), jws.header.x5t.as_ref()), (Some(&kid), Some(&kid)));
        let body = answer.access_token().split('.').nth(1).unwrap();
        let mut claims: serde_json::Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap();
        assert_eq!(claims["uti"].as_str().unwrap().len(), 22);
        claims["uti"] = json!("…");
        assert_eq!(claims["oid"], claims["sub"]);
        insta::assert_json_snapshot!(claims, @r#"
        {
          "app_displayname": "SOAR",
          "appid": "app-1",
          "appidacr": "1",
          "aud": "https://api.securitycenter.microsoft.com",
          "exp": 1700003600,
          "iat": 1700000000,
          "idtyp": "app",
          "iss": "https://bag.example/0f4c0bfa-7d7c-4b5a-9c59-6a2f9e9f7a10/",
          "nbf": 1700000000,
          "oid": "1bf0f32c-44c9-84e8-ad08-f715751d13b5",
          "roles": [
            "Library.Manage",
            "Machine.Read.All"
          ],
          "sub": "1bf0f32c-44c9-84e8-ad08-f715751d13b5",
          "tid": "0f4c0bfa-7d7c-4b5a-9c59-6a2f9e9f7a10",
          "uti": "…",
          "ver": "1.0"
        }
        "#);
    }

    #[test]
    fn v1_writes_numbers_as_texts_and_v2_as_numbers() {
        let show = |answer: &TokenResponse| {
            let mut json = serde_json::to_value(answer).unwrap();
            json["access_token"] = json!("…");
            json.to_string()
        };
        insta::assert_snapshot!(
            show(&give(Version::V1, Method::Secret)),
            @r#"{"access_token":"…","expires_in":"3599","expires_on":"1700003600","ext_expires_in":"3599","not_before":"1700000000","resource":"https://api.securitycenter.microsoft.com","token_type":"Bearer"}"#
        );
        insta::assert_snapshot!(
            show(&give(Version::V2, Method::Certificate)),
            @r#"{"access_token":"…","expires_in":3599,"ext_expires_in":3599,"token_type":"Bearer"}"#
        );
    }

    #[test]
    fn a_token_tells_how_its_client_proved_itself_and_never_repeats() {
        let (one, two) = (give(Version::V2, Method::Certificate), give(Version::V2, Method::Certificate));
        assert_ne!(one.access_token(), two.access_token());
        let jws = Jws::parse(one.access_token()).unwrap();
        assert_eq!(jws.claims.text("appidacr"), Some("2"));
        assert_ne!(object_id("t", "a"), object_id("t", "b"));
        assert_eq!(object_id("t", "a"), object_id("t", "a"));
    }
}
