//! Tokens for users: access tokens that look as the original's delegated ones do, and id tokens of OpenID Connect.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jumpbag_wire::time::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::caller::EPOCH;
use super::client::{Client, Method};
use super::discovery;
use super::issue::object_id;
use super::keys::{KeyError, KeyRing};
use super::scope::Scope;
use super::secret::{Hidden, random};
use super::tenant::Tenant;

/// The user a token speaks for.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub display_name: &'a str,
    pub permissions: &'a [String],
    pub epoch: i64,
    pub signed_in: Timestamp,
    /// Whether a one-time code was asked for.
    pub two_factors: bool,
    pub session: Option<&'a str>,
}

/// What is put into tokens.
pub struct Delegation<'a> {
    pub client: &'a Client,
    pub method: Option<Method>,
    pub user: Subject<'a>,
    pub scope: &'a Scope,
    pub nonce: Option<&'a str>,
    pub base: &'a str,
    pub tenant: &'a Tenant,
    pub refresh: Option<Hidden>,
}

/// The answer of the token endpoint. It has no `Debug` on purpose.
#[derive(Serialize)]
pub struct UserTokens {
    token_type: &'static str,
    scope: String,
    expires_in: i64,
    ext_expires_in: i64,
    access_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
}

/// Fails only when the cryptographic library does.
pub fn mint(ring: &KeyRing, given: &Delegation<'_>, now: Timestamp) -> Result<UserTokens, KeyError> {
    let granted = given.scope.granted(given.user.permissions, given.client.delegated());
    let access_token = ring.sign(&access_claims(given, &granted, ring.token_lifetime(), now))?;
    let id_token = if given.scope.openid() {
        Some(ring.sign(&id_claims(given, ring.token_lifetime(), now))?)
    } else {
        None
    };
    let expires_in = ring.token_lifetime() - 1;
    Ok(UserTokens {
        token_type: "Bearer",
        scope: given.scope.answered(&granted),
        expires_in,
        ext_expires_in: expires_in,
        access_token,
        refresh_token: given.refresh.as_ref().map(|refresh| refresh.reveal().to_owned()),
        id_token,
    })
}

fn amr(user: &Subject<'_>) -> Value {
    if user.two_factors { json!(["pwd", "otp", "mfa"]) } else { json!(["pwd"]) }
}

fn access_claims(given: &Delegation<'_>, granted: &[&str], lifetime: i64, now: Timestamp) -> Value {
    let Delegation { client, user, tenant, .. } = given;
    let appidacr = match given.method {
        None => "0",
        Some(Method::Secret) => "1",
        Some(Method::Certificate) => "2",
    };
    let mut claims = json!({
        "aud": given.scope.audience,
        "iss": discovery::issuer(given.base, &tenant.id),
        "iat": now.secs(),
        "nbf": now.secs(),
        "exp": now.secs() + lifetime,
        "acr": "1",
        "amr": amr(user),
        "app_displayname": client.display_name,
        "appid": client.client_id,
        "appidacr": appidacr,
        "idtyp": "user",
        "name": user.display_name,
        "oid": user.id,
        "scp": granted.join(" "),
        "sub": pairwise(given),
        "tid": tenant.id,
        "unique_name": user.name,
        "upn": user.name,
        "uti": URL_SAFE_NO_PAD.encode(random::<16>()),
        "ver": "1.0",
        EPOCH: user.epoch,
    });
    if let Some(session) = user.session {
        claims["sid"] = json!(session);
    }
    claims
}

fn id_claims(given: &Delegation<'_>, lifetime: i64, now: Timestamp) -> Value {
    let Delegation { client, user, tenant, .. } = given;
    let mut claims = json!({
        "aud": client.client_id,
        "iss": discovery::issuer_v2(given.base, &tenant.id),
        "iat": now.secs(),
        "nbf": now.secs(),
        "exp": now.secs() + lifetime,
        "auth_time": user.signed_in.secs(),
        "amr": amr(user),
        "name": user.display_name,
        "oid": user.id,
        "preferred_username": user.name,
        "sub": pairwise(given),
        "tid": tenant.id,
        "uti": URL_SAFE_NO_PAD.encode(random::<16>()),
        "ver": "2.0",
    });
    for (name, value) in [("nonce", given.nonce), ("sid", user.session)] {
        if let Some(value) = value {
            claims[name] = json!(value);
        }
    }
    claims
}

/// Always the same for one user and one app, and another one for the next app.
fn pairwise(given: &Delegation<'_>) -> String {
    object_id(&given.tenant.id, &format!("{} {}", given.client.client_id, given.user.id)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::caller::{Caller, Kind, Reading};
    use crate::auth::jwt::Jws;
    use crate::auth::permission::Permission;
    use crate::auth::testing;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn give(client: &Client, scope: &str) -> UserTokens {
        let tenant = testing::tenant();
        let permissions = ["Library.Manage".to_owned(), "Machine.Read".to_owned()];
        let user = Subject {
            id: "5bf0f32c-44c9-84e8-ad08-f715751d13b5",
            name: "ada@contoso.example",
            display_name: "Ada Lovelace",
            permissions: &permissions,
            epoch: 3,
            signed_in: Timestamp::from_secs(1_699_999_000),
            two_factors: true,
            session: Some("s-1"),
        };
        let scope = Scope::parse(scope, testing::BASE, &[], &tenant).unwrap();
        let given = Delegation {
            client,
            method: None,
            user,
            scope: &scope,
            nonce: Some("n-1"),
            base: testing::BASE,
            tenant: &tenant,
            refresh: None,
        };
        mint(&testing::ring(), &given, NOW).unwrap()
    }

    fn claims(token: &str) -> Value {
        let body = token.split('.').nth(1).unwrap();
        let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap();
        claims["uti"] = json!("…");
        claims
    }

    const DEFAULT: &str = "openid https://api.securitycenter.microsoft.com/.default";

    #[test]
    fn an_access_token_is_one_of_the_originals_delegated_ones() {
        let tokens = give(&testing::client("app-1"), DEFAULT);
        insta::assert_json_snapshot!(claims(&tokens.access_token), @r#"
        {
          "acr": "1",
          "amr": [
            "pwd",
            "otp",
            "mfa"
          ],
          "app_displayname": "SOAR",
          "appid": "app-1",
          "appidacr": "0",
          "aud": "https://api.securitycenter.microsoft.com",
          "exp": 1700003600,
          "iat": 1700000000,
          "idtyp": "user",
          "iss": "https://bag.example/0f4c0bfa-7d7c-4b5a-9c59-6a2f9e9f7a10/",
          "jb_epoch": 3,
          "name": "Ada Lovelace",
          "nbf": 1700000000,
          "oid": "5bf0f32c-44c9-84e8-ad08-f715751d13b5",
          "scp": "Library.Manage",
          "sid": "s-1",
          "sub": "7b884d65-f685-8567-b69c-19255bc2921f",
          "tid": "0f4c0bfa-7d7c-4b5a-9c59-6a2f9e9f7a10",
          "unique_name": "ada@contoso.example",
          "upn": "ada@contoso.example",
          "uti": "…",
          "ver": "1.0"
        }
        "#);
        assert_eq!(tokens.scope, "openid https://api.securitycenter.microsoft.com/Library.Manage");
        let jws = Jws::parse(&tokens.access_token).unwrap();
        let caller = Caller::from_claims(&jws.claims, &Reading::plain("t", None)).unwrap();
        assert_eq!(caller.kind, Kind::User { id: "5bf0f32c-44c9-84e8-ad08-f715751d13b5".to_owned() });
        assert_eq!(caller.requestor, "ada@contoso.example");
        assert_eq!((caller.client.as_deref(), caller.epoch), (Some("app-1"), Some(3)));
        assert!(caller.has(Permission::LibraryManage) && !caller.has(Permission::MachineRead));
    }

    #[test]
    fn the_command_line_may_do_what_the_user_may() {
        let tokens = give(&Client::command_line(), DEFAULT);
        assert_eq!(claims(&tokens.access_token)["scp"], "Library.Manage Machine.Read");
    }

    #[test]
    fn an_id_token_is_for_the_app_and_opens_nothing_here() {
        let tokens = give(&testing::client("app-1"), "openid");
        insta::assert_json_snapshot!(claims(tokens.id_token.as_deref().unwrap()), @r#"
        {
          "amr": [
            "pwd",
            "otp",
            "mfa"
          ],
          "aud": "app-1",
          "auth_time": 1699999000,
          "exp": 1700003600,
          "iat": 1700000000,
          "iss": "https://bag.example/0f4c0bfa-7d7c-4b5a-9c59-6a2f9e9f7a10/v2.0",
          "name": "Ada Lovelace",
          "nbf": 1700000000,
          "nonce": "n-1",
          "oid": "5bf0f32c-44c9-84e8-ad08-f715751d13b5",
          "preferred_username": "ada@contoso.example",
          "sid": "s-1",
          "sub": "7b884d65-f685-8567-b69c-19255bc2921f",
          "tid": "0f4c0bfa-7d7c-4b5a-9c59-6a2f9e9f7a10",
          "uti": "…",
          "ver": "2.0"
        }
        "#);
        assert_eq!(claims(&tokens.access_token)["scp"], "");
        assert_eq!(give(&testing::client("app-1"), "Library.Manage").id_token, None);
    }
}
