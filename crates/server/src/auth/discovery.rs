//! The documents by which clients find the token endpoint and the keys.

use serde_json::{Value, json};

/// `/{tenant}/v2.0/.well-known/openid-configuration`, and the same at the root. `base` is the address
/// the caller reached, `tenant` the tenant's id.
pub fn v2(base: &str, tenant: &str) -> Value {
    let at = format!("{}/{tenant}", base.trim_end_matches('/'));
    let mut document = document(
        &format!("{at}/v2.0"),
        &format!("{at}/oauth2/v2.0/token"),
        &format!("{at}/oauth2/v2.0/authorize"),
        &format!("{at}/discovery/v2.0/keys"),
    );
    let of_users = json!({
        "device_authorization_endpoint": format!("{at}/oauth2/v2.0/devicecode"),
        "end_session_endpoint": format!("{at}/oauth2/v2.0/logout"),
        "token_endpoint_auth_methods_supported":
            ["client_secret_post", "client_secret_basic", "private_key_jwt", "none"],
        "grant_types_supported": [
            "client_credentials",
            "authorization_code",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:device_code",
        ],
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "select_account", "consent"],
        "authorization_response_iss_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "claims_supported": [
            "aud", "iss", "iat", "nbf", "exp", "appid", "app_displayname", "oid", "sub", "roles", "tid", "ver",
            "scp", "name", "upn", "preferred_username", "nonce", "sid", "auth_time", "amr",
        ],
    });
    if let (Some(document), Value::Object(of_users)) = (document.as_object_mut(), of_users) {
        document.extend(of_users);
    }
    document
}

/// `/{tenant}/.well-known/openid-configuration`.
pub fn v1(base: &str, tenant: &str) -> Value {
    let at = format!("{}/{tenant}", base.trim_end_matches('/'));
    document(
        &issuer(base, tenant),
        &format!("{at}/oauth2/token"),
        &format!("{at}/oauth2/authorize"),
        &format!("{at}/discovery/keys"),
    )
}

/// `iss` of id tokens, as discovery v2 has it.
pub fn issuer_v2(base: &str, tenant: &str) -> String {
    format!("{}/{tenant}/v2.0", base.trim_end_matches('/'))
}

/// `iss` of the access tokens made here: whichever endpoint gives them, they are of version 1.0.
pub fn issuer(base: &str, tenant: &str) -> String {
    format!("{}/{tenant}/", base.trim_end_matches('/'))
}

/// `/common/discovery/instance`: this host knows itself and nobody else.
pub fn instance(base: &str, tenant: &str) -> Value {
    let base = base.trim_end_matches('/');
    let host = base.split_once("://").map_or(base, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or(host);
    json!({
        "tenant_discovery_endpoint": format!("{base}/{tenant}/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    })
}

/// What both versions say. msal does not start without `authorization_endpoint`, though v1 serves client credentials only.
fn document(issuer: &str, token: &str, authorize: &str, keys: &str) -> Value {
    json!({
        "token_endpoint": token,
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256"],
        "jwks_uri": keys,
        "issuer": issuer,
        "authorization_endpoint": authorize,
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": ["token"],
        "response_modes_supported": ["query"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid"],
        "claims_supported": ["aud", "iss", "iat", "nbf", "exp", "appid", "app_displayname", "oid", "sub", "roles", "tid", "ver"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::testing::{TENANT, tenant};

    #[test]
    fn endpoints_follow_the_address_the_caller_used() {
        let document = v2("https://bag.example:8443/", TENANT);
        assert_eq!(document["issuer"], format!("https://bag.example:8443/{TENANT}/v2.0"));
        assert_eq!(
            document["token_endpoint"],
            format!("https://bag.example:8443/{TENANT}/oauth2/v2.0/token")
        );
        assert_eq!(document["jwks_uri"], format!("https://bag.example:8443/{TENANT}/discovery/v2.0/keys"));
        let document = v1("https://bag.example", TENANT);
        assert_eq!(document["issuer"], format!("https://bag.example/{TENANT}/"));
        assert_eq!(document["token_endpoint"], format!("https://bag.example/{TENANT}/oauth2/token"));
        assert_eq!(document["jwks_uri"], format!("https://bag.example/{TENANT}/discovery/keys"));
    }

    #[test]
    fn what_the_documents_promise_is_what_is_checked() {
        for document in [v1("https://a.example", TENANT), v2("https://a.example", TENANT)] {
            assert!(tenant().issues_as(document["issuer"].as_str().unwrap()));
            assert!(tenant().is_token_endpoint(document["token_endpoint"].as_str().unwrap()));
        }
    }

    #[test]
    fn the_instance_is_this_host() {
        let answer = instance("https://bag.example:8443", TENANT);
        assert_eq!(answer["metadata"][0]["aliases"], json!(["bag.example:8443"]));
        let found = answer["tenant_discovery_endpoint"].as_str().unwrap();
        assert_eq!(found, format!("https://bag.example:8443/{TENANT}/v2.0/.well-known/openid-configuration"));
    }
}
