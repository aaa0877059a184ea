//! What a token says of its owner. It is shown, and nothing is decided by it: only the server verifies it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

/// The claims that people ask for.
#[derive(Debug, Default)]
pub struct Claims {
    /// The display name of the app or user.
    pub name: Option<String>,
    pub user: Option<String>,
    pub app: Option<String>,
    pub tenant: Option<String>,
    pub permissions: Vec<String>,
    /// Seconds since 1970.
    pub expires: Option<i64>,
}

#[derive(Deserialize)]
struct Raw {
    name: Option<String>,
    app_displayname: Option<String>,
    upn: Option<String>,
    preferred_username: Option<String>,
    appid: Option<String>,
    azp: Option<String>,
    client_id: Option<String>,
    tid: Option<String>,
    #[serde(default)]
    roles: Value,
    #[serde(default)]
    scp: Value,
    #[serde(default)]
    scope: Value,
    exp: Option<f64>,
}

impl Claims {
    /// None when the token is opaque.
    pub fn of(token: &str) -> Option<Claims> {
        let payload = token.split('.').nth(1)?;
        let raw: Raw =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()?;
        let mut permissions = Vec::new();
        for claim in [raw.roles, raw.scp, raw.scope] {
            match claim {
                Value::Array(items) => {
                    permissions.extend(items.into_iter().filter_map(|item| item.as_str().map(str::to_owned)));
                }
                Value::String(text) => permissions.extend(text.split_whitespace().map(str::to_owned)),
                _ => {}
            }
        }
        permissions.sort();
        permissions.dedup();
        Some(Claims {
            name: raw.name.or(raw.app_displayname),
            user: raw.upn.or(raw.preferred_username),
            app: raw.appid.or(raw.azp).or(raw.client_id),
            tenant: raw.tid,
            permissions,
            expires: raw.exp.map(|seconds| seconds as i64),
        })
    }
}
