//! `whoami`: what the token says.

use serde::Serialize;

use super::Context;
use crate::failure::{Failure, Status};
use crate::sign_in::{Claims, now};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Who<'a> {
    profile: Option<&'a str>,
    url: &'a str,
    authority: &'a str,
    tenant: Option<String>,
    name: Option<String>,
    user: Option<String>,
    client_id: Option<String>,
    permissions: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<jumpbag_wire::time::Timestamp>,
}

pub async fn whoami(context: &Context) -> Result<Status, Failure> {
    let session = context.session()?;
    let client = crate::client::Client::new(session.clone(), context.output)?;
    let token = client.sign_in().token().await?;
    let opaque = Claims::of(&token.access);
    let is_opaque = opaque.is_none();
    let claims = opaque.unwrap_or_default();
    let profile = &session.profile;
    let expires = (token.expires < i64::MAX / 2_000_000)
        .then(|| jumpbag_wire::time::Timestamp::from_secs(token.expires));
    let who = Who {
        profile: session.name.as_deref(),
        url: &profile.url,
        authority: profile.authority(),
        tenant: claims.tenant.or_else(|| profile.tenant.clone()),
        name: claims.name,
        user: claims.user,
        client_id: claims.app.or_else(|| profile.client_id.clone()),
        permissions: claims.permissions,
        expires,
    };
    if context.output.json {
        context.output.json(&who)?;
        return Ok(Status::Done);
    }
    let left = token.expires.saturating_sub(now()) / 60;
    let until = expires
        .map(|expires| format!("{expires} (in {left} minutes; then a new one is got)"))
        .unwrap_or_default();
    let permissions = match who.permissions.join(", ") {
        _ if is_opaque => "the token does not say".into(),
        none if none.is_empty() => "none".into(),
        some => some,
    };
    context.output.facts(&[
        ("profile", who.profile.unwrap_or("from the environment").to_owned()),
        ("server", who.url.to_owned()),
        ("authority", who.authority.to_owned()),
        ("tenant", who.tenant.unwrap_or_default()),
        ("name", who.name.unwrap_or_default()),
        ("user", who.user.unwrap_or_default()),
        ("client id", who.client_id.unwrap_or_default()),
        ("permissions", permissions),
        ("token until", until),
    ])?;
    Ok(Status::Done)
}
