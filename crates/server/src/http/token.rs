//! The embedded token issuer on the wire: token endpoints, discovery and keys.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, header};
use http_body_util::{BodyExt as _, Limited};
use jumpbag_wire::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::edge::Context;
use super::name::TenantName;
use crate::access::devices::{self, Waiting};
use crate::app::App;
use crate::auth::discovery;
use crate::auth::refusal::TokenError;
use crate::auth::request::{Asked, Version, device_request};
use crate::error::Error;

/// Bytes of a token request: an assertion with a chain of certificates is a few thousand.
const MAX_BODY: usize = 64 * 1024;
const MAX_TIME: Duration = Duration::from_secs(30);

/// A token request: a form, as OAuth2 has it.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "describes the form in the OpenAPI document")]
struct TokenForm {
    /// `client_credentials`; v2 also `authorization_code`, `refresh_token`, `urn:ietf:params:oauth:grant-type:device_code`.
    grant_type: String,
    client_id: String,
    client_secret: Option<String>,
    /// v2: `https://api.securitycenter.microsoft.com/.default`.
    scope: Option<String>,
    /// v1: `https://api.securitycenter.microsoft.com`.
    resource: Option<String>,
    client_assertion_type: Option<String>,
    client_assertion: Option<String>,
    code: Option<String>,
    redirect_uri: Option<String>,
    code_verifier: Option<String>,
    refresh_token: Option<String>,
    device_code: Option<String>,
}

/// A token, v2.
#[utoipa::path(
    post, path = "/{tenant}/oauth2/v2.0/token", tag = "tokens", operation_id = "token",
    params(("tenant" = String, Path, description = "The tenant's id or one of its names")),
    request_body(content = inline(TokenForm), content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "token_type, expires_in, ext_expires_in, access_token; for users also scope, refresh_token, id_token"),
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

/// What a device asks with: a form.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "describes the form in the OpenAPI document")]
struct DeviceForm {
    client_id: String,
    scope: String,
}

/// A device that wants to sign somebody in asks for its codes.
#[utoipa::path(
    post, path = "/{tenant}/oauth2/v2.0/devicecode", tag = "tokens", operation_id = "deviceCode",
    params(("tenant" = String, Path, description = "The tenant's id or one of its names")),
    request_body(content = inline(DeviceForm), content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "device_code, user_code, verification_uri, expires_in, interval, message"),
        (status = 400, description = "error, error_description (AADSTS…), error_codes"),
    )
)]
pub async fn device_code(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    TenantName(tenant): TenantName,
    request: Request,
) -> Result<Response, Error> {
    let asked = match read(request).await? {
        Ok((parts, body)) if app.access.is_tenant(&tenant) => {
            let label = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            device_request(label, &body)
        }
        Ok(_) => Err(unknown(&tenant)),
        Err(refused) => Err(refused),
    };
    let now = Timestamp::now();
    let answer = match asked {
        Err(refused) => Err(refused),
        Ok((client, scope)) => {
            let (base, address) = (context.base.as_str(), context.address);
            let waiting = app.access.device(&client, &scope, base, address, now).await?;
            waiting.map(|waiting| Json(told(&waiting, base)).into_response())
        }
    };
    Ok(answered(&context, answer, now))
}

fn told(waiting: &Waiting, base: &str) -> Value {
    let page = format!("{}/device", base.trim_end_matches('/'));
    let code = &waiting.user_code;
    json!({
        "device_code": waiting.device_code.reveal(),
        "user_code": code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={code}"),
        "expires_in": devices::LIFETIME,
        "interval": devices::PACE,
        "message": format!("To sign in, open the page {page} in a browser and enter the code {code}."),
    })
}

async fn token(
    app: &App,
    context: &Context,
    tenant: &str,
    version: Version,
    request: Request,
) -> Result<Response, Error> {
    let request = match read(request).await? {
        Ok((parts, body)) if app.access.is_tenant(tenant) => {
            let text = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
            Asked::parse(version, text(header::CONTENT_TYPE), text(header::AUTHORIZATION), &body)
        }
        Ok(_) => Err(unknown(tenant)),
        Err(refused) => Err(refused),
    };
    let now = Timestamp::now();
    let answer = match request {
        Err(refused) => Err(refused),
        Ok(Asked::Client(request)) => {
            let token = app.access.token(request, &context.base, context.address, now).await?;
            token.map(|token| Json(token).into_response())
        }
        Ok(Asked::User(request)) => {
            let tokens = app.access.user_tokens(&request, &context.base, context.address, now).await?;
            tokens.map(|tokens| Json(tokens).into_response())
        }
    };
    Ok(answered(context, answer, now))
}

/// A request's head and its body, which is short and comes soon.
async fn read(request: Request) -> Result<Result<(Parts, Bytes), TokenError>, Error> {
    let (parts, body) = request.into_parts();
    let body = tokio::time::timeout(MAX_TIME, Limited::new(body, MAX_BODY).collect())
        .await
        .map_err(|_| Error::Slow(format!("a token request may take {} seconds", MAX_TIME.as_secs())))?;
    let cut = |_| TokenError::Malformed("the body is too large or was cut short");
    Ok(body.map(|body| (parts, body.to_bytes())).map_err(cut))
}

/// What the issuer answers: nobody keeps it.
fn answered(context: &Context, answer: Result<Response, TokenError>, now: Timestamp) -> Response {
    let answer = answer.unwrap_or_else(|refused| refusal(context, &refused, now));
    let headers = [
        (header::CONTENT_TYPE, "application/json; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::PRAGMA, "no-cache"),
    ];
    (headers, answer).into_response()
}

/// Discovery for those who know the server's address and nothing else: there is one tenant, and this is its document of v2.
#[utoipa::path(
    get, path = "/.well-known/openid-configuration", tag = "tokens", operation_id = "configurationOfServer",
    responses((status = 200, description = "OpenID Connect discovery document of the one tenant, v2"))
)]
pub async fn configuration(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
) -> Json<Value> {
    Json(discovery::v2(&context.base, app.access.tenant()))
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
