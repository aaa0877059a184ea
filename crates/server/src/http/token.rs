//! The embedded token issuer on the wire: token endpoints, discovery and keys.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::header;
use http_body_util::{BodyExt as _, Limited};
use jumpbag_wire::time::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::edge::Context;
use super::name::TenantName;
use crate::app::App;
use crate::auth::discovery;
use crate::auth::refusal::TokenError;
use crate::auth::request::{TokenRequest, Version};
use crate::error::Error;

/// Bytes of a token request: an assertion with a chain of certificates is a few thousand.
const MAX_BODY: usize = 64 * 1024;
const MAX_TIME: Duration = Duration::from_secs(30);

/// A token request: a form, as OAuth2 has it.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "describes the form in the OpenAPI document")]
struct TokenForm {
    /// `client_credentials`.
    grant_type: String,
    client_id: String,
    client_secret: Option<String>,
    /// v2: `https://api.securitycenter.microsoft.com/.default`.
    scope: Option<String>,
    /// v1: `https://api.securitycenter.microsoft.com`.
    resource: Option<String>,
    client_assertion_type: Option<String>,
    client_assertion: Option<String>,
}

/// A token, v2.
#[utoipa::path(
    post, path = "/{tenant}/oauth2/v2.0/token", tag = "tokens", operation_id = "token",
    params(("tenant" = String, Path, description = "The tenant's id or one of its names")),
    request_body(content = inline(TokenForm), content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "token_type, expires_in, ext_expires_in, access_token"),
        (status = 400, description = "error, error_description (AADSTS…), error_codes"),
        (status = 401, description = "The client did not prove itself"),
    )
)]
pub async fn token_v2(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    TenantName(tenant): TenantName,
    request: Request,
) -> Result<Response, Error> {
    token(&app, &context, &tenant, Version::V2, request).await
}

/// A token, v1: numbers are strings.
#[utoipa::path(
    post, path = "/{tenant}/oauth2/token", tag = "tokens", operation_id = "tokenV1",
    params(("tenant" = String, Path, description = "The tenant's id or one of its names")),
    request_body(content = inline(TokenForm), content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "token_type, expires_in, expires_on, not_before, resource, access_token"),
        (status = 400, description = "error, error_description (AADSTS…), error_codes"),
        (status = 401, description = "The client did not prove itself"),
    )
)]
pub async fn token_v1(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    TenantName(tenant): TenantName,
    request: Request,
) -> Result<Response, Error> {
    token(&app, &context, &tenant, Version::V1, request).await
}

async fn token(
    app: &App,
    context: &Context,
    tenant: &str,
    version: Version,
    request: Request,
) -> Result<Response, Error> {
    let (parts, body) = request.into_parts();
    let text = |name| parts.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let body = tokio::time::timeout(MAX_TIME, Limited::new(body, MAX_BODY).collect())
        .await
        .map_err(|_| Error::Slow(format!("a token request may take {} seconds", MAX_TIME.as_secs())))?;
    let request = match body {
        Ok(body) if app.access.is_tenant(tenant) => TokenRequest::parse(
            version,
            text(header::CONTENT_TYPE),
            text(header::AUTHORIZATION),
            &body.to_bytes(),
        ),
        Ok(_) => Err(unknown(tenant)),
        Err(_) => Err(TokenError::Malformed("the body is too large or was cut short")),
    };
    let now = Timestamp::now();
    let answer = match app.access.token(request, &context.base, context.address, now).await? {
        Ok(token) => Json(token).into_response(),
        Err(refused) => refusal(context, &refused, now),
    };
    let headers = [
        (header::CONTENT_TYPE, "application/json; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::PRAGMA, "no-cache"),
    ];
    Ok((headers, answer).into_response())
}

/// Discovery, v2.
#[utoipa::path(
    get, path = "/{tenant}/v2.0/.well-known/openid-configuration", tag = "tokens", operation_id = "configuration",
    params(("tenant" = String, Path, description = "The tenant's id or one of its names")),
    responses((status = 200, description = "OpenID Connect discovery document"), (status = 400, description = "No such tenant"))
)]
pub async fn configuration_v2(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    TenantName(tenant): TenantName,
) -> Response {
    of_tenant(&app, &context, &tenant, || discovery::v2(&context.base, app.access.tenant()))
}

/// Discovery, v1.
#[utoipa::path(
    get, path = "/{tenant}/.well-known/openid-configuration", tag = "tokens", operation_id = "configurationV1",
    params(("tenant" = String, Path, description = "The tenant's id or one of its names")),
    responses((status = 200, description = "OpenID Connect discovery document"), (status = 400, description = "No such tenant"))
)]
pub async fn configuration_v1(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    TenantName(tenant): TenantName,
) -> Response {
    of_tenant(&app, &context, &tenant, || discovery::v1(&context.base, app.access.tenant()))
}

/// The keys that verify tokens, v2.
#[utoipa::path(
    get, path = "/{tenant}/discovery/v2.0/keys", tag = "tokens", operation_id = "keys",
    params(("tenant" = String, Path, description = "The tenant's id or one of its names")),
    responses((status = 200, description = "JSON Web Key Set"), (status = 400, description = "No such tenant"))
)]
pub async fn keys_v2(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    TenantName(tenant): TenantName,
) -> Result<Response, Error> {
    let keys = app.access.jwks(Timestamp::now()).await?;
    Ok(of_tenant(&app, &context, &tenant, || keys))
}

/// The keys that verify tokens, v1.
#[utoipa::path(
    get, path = "/{tenant}/discovery/keys", tag = "tokens", operation_id = "keysV1",
    params(("tenant" = String, Path, description = "The tenant's id or one of its names")),
    responses((status = 200, description = "JSON Web Key Set"), (status = 400, description = "No such tenant"))
)]
pub async fn keys_v1(
    app: State<Arc<App>>,
    context: Extension<Arc<Context>>,
    tenant: TenantName,
) -> Result<Response, Error> {
    keys_v2(app, context, tenant).await
}

/// Which clouds this issuer knows: itself.
#[utoipa::path(
    get, path = "/common/discovery/instance", tag = "tokens", operation_id = "instance",
    responses((status = 200, description = "Instance metadata, as sign-in libraries ask for it"))
)]
pub async fn instance(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
) -> Json<Value> {
    Json(discovery::instance(&context.base, app.access.tenant()))
}

fn of_tenant(app: &App, context: &Context, tenant: &str, document: impl FnOnce() -> Value) -> Response {
    if app.access.is_tenant(tenant) {
        return Json(document()).into_response();
    }
    refusal(context, &unknown(tenant), Timestamp::now())
}

/// What was asked for is repeated, but not at any length.
fn unknown(tenant: &str) -> TokenError {
    TokenError::UnknownTenant(tenant.chars().take(100).collect())
}

/// The original's refusal; its trace id is the request's.
fn refusal(context: &Context, refused: &TokenError, now: Timestamp) -> Response {
    let trace = context.id.parse().unwrap_or_else(|_| Uuid::new_v4());
    (refused.status(), Json(refused.body(now, trace, Uuid::new_v4()))).into_response()
}
