//! `/api/applications`: app registrations, in the words of Microsoft Graph. A secret is in the one answer that follows
//! its making, which nothing may store.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use jumpbag_wire::application::{
    Application, ApplicationWithSecret, KeyCredential, PasswordCredential, PasswordCredentialWithSecret,
};
use jumpbag_wire::error::ErrorEnvelope;
use jumpbag_wire::odata::Collection;
use jumpbag_wire::time::Timestamp;
use serde_json::{Map, Value};

use super::allowed::{Allowed, ApplicationWrite};
use super::edge::Context;
use super::name::Two;
use super::{answer, json};
use crate::access::clients::{self, By, NewClient, Patch, Powers, Rotation, time_to_come};
use crate::app::App;
use crate::auth::permission::Permission;
use crate::auth::secret::Hidden;
use crate::catalog::clients::{ClientRow, SecretRow};
use crate::error::Error;

const SET: &str = "Applications";
const PATH: &str = "/api/applications";
/// Hours in a year: how long old secrets may be kept at most.
const MAX_KEPT: u64 = 8760;

/// An app to be registered.
#[derive(utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the body in the OpenAPI document")]
struct NewApplication {
    /// 1 to 256 bytes.
    display_name: String,
    /// At least one; none that the caller lacks.
    permissions: Vec<String>,
    /// 1 to 128 letters, digits, `-`, `_` and `.`; a new GUID unless given.
    app_id: Option<String>,
    /// When it ends: an RFC 3339 time or a date.
    expiration_date_time: Option<String>,
    /// True: it gets no secret.
    is_public: Option<bool>,
    /// `https:`, loopback or an app's own scheme.
    redirect_uris: Option<Vec<String>>,
    /// PEM, RSA of 2048 bits or more: instead of a secret.
    certificate: Option<String>,
}

/// What changes of an app; what is left out stays.
#[derive(utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the body in the OpenAPI document")]
struct ApplicationPatch {
    display_name: Option<String>,
    /// These and no others; tokens lose the others within a second.
    permissions: Option<Vec<String>>,
    /// Null: it does not end.
    expiration_date_time: Option<String>,
    /// These and no others.
    redirect_uris: Option<Vec<String>>,
}

/// A secret to be made.
#[derive(utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the body in the OpenAPI document")]
struct NewPassword {
    /// How many hours the secrets that are there stay good, 0 to 8760; left out, they stay as they are.
    keep_old_hours: Option<u32>,
}

/// A secret to be removed.
#[derive(utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the body in the OpenAPI document")]
struct RemovedPassword {
    /// As in `passwordCredentials`.
    key_id: String,
}

/// All apps.
#[utoipa::path(
    get, path = "/api/applications", tag = "applications", operation_id = "listApplications",
    params(("$skiptoken" = Option<String>, Query, description = "From `@odata.nextLink`")),
    responses((status = 200, description = "At most 100, the first registered first", body = Collection<Application>)),
    security(("oauth2" = ["Application.ReadWrite.All"]))
)]
pub async fn list(
    _: Allowed<ApplicationWrite>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Error> {
    let after = answer::skip_token(raw.as_deref(), |token| {
        let (at, id) = token.split_once('.')?;
        let is_id = !id.contains('\0');
        is_id.then_some((Timestamp::from_micros(at.parse().ok()?), id.to_owned()))
    })?;
    let (rows, next) = clients::page(&app.catalog, after).await?;
    let next = next.map(|(at, id)| format!("{}.{}", at.micros(), answer::segment(&id)));
    let shown = rows.into_iter().map(|row| shown(app.access.tenant(), row)).collect();
    answer::collection(&context.base, SET, shown, PATH, next)
}

/// Register an app.
#[utoipa::path(
    post, path = "/api/applications", tag = "applications", operation_id = "addApplication",
    request_body(content = inline(NewApplication)),
    responses(
        (status = 201, description = "The app, and its secret, which is shown only now", body = ApplicationWithSecret),
        (status = 400, description = "An id that is or was in use, or a value that cannot be", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Application.ReadWrite.All"]))
)]
pub async fn add(
    mut allowed: Allowed<ApplicationWrite>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    request: Request,
) -> Result<Response, Error> {
    const KNOWN: [&str; 7] = [
        "displayName",
        "permissions",
        "appId",
        "expirationDateTime",
        "isPublic",
        "redirectUris",
        "certificate",
    ];
    let now = Timestamp::now();
    let body = json::object(&allowed.json(&app, request).await?, &KNOWN)?;
    let permissions = permissions(&body)?.filter(|some| !some.is_empty());
    let new = NewClient {
        id: json::text(&body, "appId")?,
        name: json::text(&body, "displayName")?
            .ok_or_else(|| json::incorrect("`displayName` must be a string"))?,
        permissions: permissions
            .ok_or_else(|| json::incorrect("`permissions` must be a list of one permission or more"))?,
        secret: None,
        certificate: json::text(&body, "certificate")?,
        expires: expires(&body, now)?.flatten(),
        public: match body.get("isPublic") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(public)) => *public,
            Some(_) => return Err(json::incorrect("`isPublic` must be true or false")),
        },
        redirects: texts(&body, "redirectUris")?.unwrap_or_default(),
    };
    let made = clients::add(&app.catalog, new, by(&allowed, &context), now).await?;
    let location = format!("{}{PATH}/{}", context.base, answer::segment(&made.client.id));
    let secret_text = made.secret.map(|secret| secret.reveal().to_owned());
    let application = shown(&made.tenant, made.client);
    let entity = ApplicationWithSecret { application, secret_text };
    Ok(answer::created(unstored(answer::entity(&context.base, SET, entity)?), &location))
}

/// One app.
#[utoipa::path(
    get, path = "/api/applications/{appId}", tag = "applications", operation_id = "getApplication",
    params(("appId" = String, Path, description = "The client id")),
    responses(
        (status = 200, description = "The app", body = Application),
        (status = 404, description = "No such app", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Application.ReadWrite.All"]))
)]
pub async fn show(
    _: Allowed<ApplicationWrite>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Two(id, _): Two,
) -> Result<Response, Error> {
    let row = clients::find(&app.catalog, &id).await?.ok_or_else(|| clients::absent(&id))?;
    answer::entity(&context.base, SET, shown(app.access.tenant(), row))
}

/// Change what an app is called, what it may do, when it ends, or where it may send browsers.
#[utoipa::path(
    patch, path = "/api/applications/{appId}", tag = "applications", operation_id = "changeApplication",
    params(("appId" = String, Path, description = "The client id")),
    request_body(content = inline(ApplicationPatch)),
    responses(
        (status = 200, description = "The app as it is now", body = Application),
        (status = 400, description = "A value that cannot be, or nothing to change", body = ErrorEnvelope),
        (status = 404, description = "No such app", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Application.ReadWrite.All"]))
)]
pub async fn change(
    mut allowed: Allowed<ApplicationWrite>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Two(id, _): Two,
    request: Request,
) -> Result<Response, Error> {
    const KNOWN: [&str; 4] = ["displayName", "permissions", "expirationDateTime", "redirectUris"];
    let now = Timestamp::now();
    let body = json::object(&allowed.json(&app, request).await?, &KNOWN)?;
    let patch = Patch {
        name: json::text(&body, "displayName")?,
        permissions: permissions(&body)?,
        redirects: texts(&body, "redirectUris")?,
        expires: expires(&body, now)?,
    };
    let row = clients::change(&app.catalog, &id, patch, by(&allowed, &context), now).await?;
    answer::entity(&context.base, SET, shown(app.access.tenant(), row))
}

/// Remove an app, and every token it holds. Its id is never free again.
#[utoipa::path(
    delete, path = "/api/applications/{appId}", tag = "applications", operation_id = "removeApplication",
    params(("appId" = String, Path, description = "The client id")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "No such app", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Application.ReadWrite.All"]))
)]
pub async fn remove(
    allowed: Allowed<ApplicationWrite>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Two(id, _): Two,
) -> Result<StatusCode, Error> {
    clients::remove(&app.catalog, &id, allowed.actor(&context), Timestamp::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a new secret for an app.
#[utoipa::path(
    post, path = "/api/applications/{appId}/addpassword", tag = "applications", operation_id = "addApplicationPassword",
    params(("appId" = String, Path, description = "The client id")),
    request_body(content = inline(Option<NewPassword>)),
    responses(
        (status = 200, description = "The secret, which is shown only now", body = PasswordCredentialWithSecret),
        (status = 400, description = "The app has no secrets, or as many as may be", body = ErrorEnvelope),
        (status = 404, description = "No such app", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Application.ReadWrite.All"]))
)]
pub async fn add_password(
    mut allowed: Allowed<ApplicationWrite>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Two(id, _): Two,
    request: Request,
) -> Result<Response, Error> {
    let now = Timestamp::now();
    let body = allowed.json(&app, request).await?;
    let body = if body.is_empty() { Map::new() } else { json::object(&body, &["keepOldHours"])? };
    let hours = |value: &Value| {
        let hours = value.as_u64().filter(|hours| *hours <= MAX_KEPT);
        hours.ok_or_else(|| json::incorrect("`keepOldHours` must be a whole number from 0 to 8760"))
    };
    let kept = body.get("keepOldHours").filter(|value| !value.is_null()).map(hours).transpose()?;
    let old_until = kept.map(|hours| now.plus_secs(hours.cast_signed() * 3600));
    let rotation = Rotation { secret: None, old_until };
    let made = clients::rotate(&app.catalog, &id, rotation, by(&allowed, &context), now).await?;
    let lost = || Error::Internal("a secret was made and is not there".into());
    let credential = credential(&made.client.id, made.kept().ok_or_else(lost)?);
    let secret_text = made.secret.as_ref().map(Hidden::reveal).ok_or_else(lost)?.to_owned();
    let entity = PasswordCredentialWithSecret { credential, secret_text };
    Ok(unstored(answer::entity(&context.base, "PasswordCredential", entity)?))
}

/// Remove one secret of an app. What tokens it got stay good until they expire.
#[utoipa::path(
    post, path = "/api/applications/{appId}/removepassword", tag = "applications",
    operation_id = "removeApplicationPassword",
    params(("appId" = String, Path, description = "The client id")),
    request_body(content = inline(RemovedPassword)),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "No such app, or no such secret", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Application.ReadWrite.All"]))
)]
pub async fn remove_password(
    mut allowed: Allowed<ApplicationWrite>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Two(id, _): Two,
    request: Request,
) -> Result<StatusCode, Error> {
    let body = json::object(&allowed.json(&app, request).await?, &["keyId"])?;
    let key = json::text(&body, "keyId")?.ok_or_else(|| json::incorrect("`keyId` must be a string"))?;
    clients::remove_secret(&app.catalog, &id, &key, allowed.actor(&context), Timestamp::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The caller, with what its token lets it do now.
fn by(allowed: &Allowed<ApplicationWrite>, context: &Context) -> By {
    By { actor: allowed.actor(context), powers: Powers::These(allowed.caller.granted.clone()) }
}

fn shown(tenant: &str, row: ClientRow) -> Application {
    Application {
        password_credentials: row.secrets.iter().map(|secret| credential(&row.id, secret)).collect(),
        key_credentials: row
            .certificates
            .into_iter()
            .map(|certificate| KeyCredential {
                custom_key_identifier: certificate.sha256,
                start_date_time: certificate.created_at,
            })
            .collect(),
        app_id: row.id,
        tenant_id: tenant.to_owned(),
        display_name: row.name,
        created_date_time: row.created_at,
        expiration_date_time: row.expires_at,
        permissions: row.permissions,
        is_public: row.public,
        redirect_uris: row.redirects,
    }
}

fn credential(client: &str, secret: &SecretRow) -> PasswordCredential {
    PasswordCredential {
        key_id: clients::key_id(client, secret),
        start_date_time: secret.created_at,
        end_date_time: secret.expires_at,
    }
}

/// An answer with a secret in it.
fn unstored(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn texts(body: &Map<String, Value>, name: &str) -> Result<Option<Vec<String>>, Error> {
    let wrong = || json::incorrect(&format!("`{name}` must be a list of strings"));
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            texts.collect::<Option<_>>().map(Some).ok_or_else(wrong)
        }
        Some(_) => Err(wrong()),
    }
}

fn permissions(body: &Map<String, Value>) -> Result<Option<Vec<Permission>>, Error> {
    let names = texts(body, "permissions")?;
    names.map(|names| names.iter().map(|name| clients::permission(name)).collect()).transpose()
}

/// `Some(None)`: null was said.
fn expires(body: &Map<String, Value>, now: Timestamp) -> Result<Option<Option<Timestamp>>, Error> {
    match (body.get("expirationDateTime"), json::text(body, "expirationDateTime")?) {
        (None, _) => Ok(None),
        (Some(_), None) => Ok(Some(None)),
        (Some(_), Some(text)) => time_to_come("expirationDateTime", &text, now).map(|at| Some(Some(at))),
    }
}
