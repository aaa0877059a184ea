//! HTTP: the route table on one screen, one file per resource. Who may call is in a handler's signature.

mod actions;
mod agent;
mod allowed;
mod answer;
mod applications;
mod audit;
mod authorize;
mod body;
mod browser;
mod conditional;
mod console;
mod deleted;
mod device;
mod download;
mod edge;
mod empty;
mod events;
mod files;
mod json;
mod library;
mod listing;
mod logout;
mod machines;
mod meta;
mod name;
pub mod ops;
mod page;
mod patience;
mod results;
pub mod serve;
mod sign_in;
mod sse;
pub mod tls;
mod token;
mod upload;
mod versions;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use http::{Extensions, HeaderMap, StatusCode, Version, header};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate as _};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::permission::Permission;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "jumpbag",
        description = "A live response library, wire-compatible with Microsoft Defender for Endpoint. \
                       Paths match ignoring case, and `/api/v1.0` is `/api`."
    ),
    tags(
        (name = "library", description = "Scripts and tools that responders run"),
        (name = "history", description = "What became of files: versions, deleted files, holds"),
        (name = "events", description = "What happens in the library, told as it happens"),
        (name = "audit", description = "Who changed what, and the proof that nothing of it was altered"),
        (name = "applications", description = "Programs that get tokens here: their permissions and secrets"),
        (name = "machines", description = "Machines that agents run on, and live response on them"),
        (name = "tokens", description = "The embedded token issuer"),
        (name = "sign-in", description = "Where people sign in: pages for browsers"),
        (name = "metadata", description = "What the service says of itself"),
    ),
    components(schemas(jumpbag_wire::error::ErrorEnvelope)),
    modifiers(&Security)
)]
struct Document;

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{ClientCredentials, Flow, OAuth2, Scopes, SecurityScheme};
        let scopes = Permission::ALL.iter().map(|permission| (permission.name(), permission.display_name()));
        let scopes = Scopes::from_iter(scopes);
        let flow = Flow::ClientCredentials(ClientCredentials::new("/{tenant}/oauth2/v2.0/token", scopes));
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("oauth2", SecurityScheme::OAuth2(OAuth2::new([flow])));
    }
}

/// Every documented route but the downloads, registered once for the router and the document.
fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(files::upload, files::list))
        .routes(routes!(files::show, files::change, files::delete))
        .routes(routes!(versions::list))
        .routes(routes!(versions::show))
        .routes(routes!(versions::restore))
        .routes(routes!(versions::diff))
        .routes(routes!(deleted::hold))
        .routes(routes!(deleted::list))
        .routes(routes!(deleted::show))
        .routes(routes!(deleted::versions))
        .routes(routes!(deleted::restore))
        .routes(routes!(deleted::purge))
        .routes(routes!(deleted::hold_deleted))
        .routes(routes!(library::usage))
        .routes(routes!(events::events))
        .routes(routes!(webhooks::list, webhooks::add))
        .routes(routes!(webhooks::show, webhooks::remove))
        .routes(routes!(webhooks::test))
        .routes(routes!(webhooks::enable))
        .routes(routes!(audit::list))
        .routes(routes!(audit::checkpoint))
        .routes(routes!(audit::key))
        .routes(routes!(applications::list, applications::add))
        .routes(routes!(applications::show, applications::change, applications::remove))
        .routes(routes!(applications::add_password))
        .routes(routes!(applications::remove_password))
        .routes(routes!(machines::list))
        .routes(routes!(machines::show))
        .routes(routes!(machines::tag))
        .routes(routes!(actions::run))
        .routes(routes!(actions::list))
        .routes(routes!(actions::show))
        .routes(routes!(actions::cancel))
        .routes(routes!(results::link))
        .routes(routes!(versions::runs))
        .routes(routes!(empty::alerts))
        .routes(routes!(empty::indicators))
        .routes(routes!(meta::service))
        .routes(routes!(meta::metadata))
        .routes(routes!(token::token_v2))
        .routes(routes!(token::token_v1))
        .routes(routes!(token::device_code))
        .routes(routes!(token::configuration))
        .routes(routes!(token::configuration_v2))
        .routes(routes!(token::configuration_v1))
        .routes(routes!(token::keys_v2))
        .routes(routes!(token::keys_v1))
        .routes(routes!(token::instance))
}

/// Contents. They are what they are: nothing compresses them on the way.
fn downloads() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(download::content))
        .routes(routes!(download::version_content))
        .routes(routes!(download::deleted_content))
        .routes(routes!(results::output))
        .routes(routes!(results::live))
}

/// Pages that people sign in on. They are not compressed: their secrets stand beside what others chose.
fn pages() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(authorize::authorize, authorize::sign_in))
        .routes(routes!(device::device, device::answer))
        .routes(routes!(logout::ask, logout::sign_out))
}

/// The console: its files, its addresses, and its sign-in.
fn console() -> Router<Arc<App>> {
    let addresses =
        ["/", "/files/{name}", "/deleted", "/machines", "/actions", "/actions/{id}", "/audit", "/apps"];
    let pages =
        addresses.into_iter().fold(Router::new(), |router, path| router.route(path, get(console::page)));
    pages
        .route("/console/{*name}", get(console::file))
        .route("/signin", get(console::session::ask).post(console::session::begin))
        .route("/signin/{provider}", get(console::external::go_out))
        .route("/signin/{provider}/callback", get(console::external::come_back))
        .route("/signout", post(console::session::end))
        .route("/setup", get(console::setup::ask).post(console::setup::begin))
        .route("/session", get(console::session::who))
}

/// The OpenAPI document of this server.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = routes().merge(downloads()).merge(pages()).into_openapi();
    for path in document.paths.paths.values_mut() {
        for operation in
            [&mut path.get, &mut path.post, &mut path.patch, &mut path.delete].into_iter().flatten()
        {
            if operation.security.is_some() {
                refuse(operation);
            }
        }
    }
    document
}

/// How every operation is refused that needs a token: `Allowed` decides it for all of them.
fn refuse(operation: &mut utoipa::openapi::path::Operation) {
    use utoipa::openapi::{Content, Ref, ResponseBuilder};
    for (status, what) in [
        ("401", "No token, or one that does not count"),
        ("403", "The token lacks the permission"),
        ("429", "The quota is used up; `Retry-After` says for how long, in seconds"),
    ] {
        let body = Content::new(Some(Ref::from_schema_name("ErrorEnvelope")));
        let response = ResponseBuilder::new().description(what).content("application/json", body).build();
        operation.responses.responses.insert(status.to_owned(), response.into());
    }
}

/// Paths here are canonical: see `edge`.
pub fn router(app: &Arc<App>) -> Router {
    let (documented, _) = routes().split_for_parts();
    let (downloads, _) = downloads().split_for_parts();
    let (pages, _) = pages().split_for_parts();
    documented
        .route("/openapi.json", get(meta::openapi))
        .route(jumpbag_wire::agent::ENROLL_PATH, post(agent::enroll))
        .layer(CompressionLayer::new().compress_when(DefaultPredicate::new().and(may_be_compressed)))
        .merge(downloads)
        .merge(pages)
        .merge(console())
        .route(jumpbag_wire::agent::CONNECT_PATH, get(agent::connect))
        .route(results::RESULTS, get(results::download))
        .route_layer(from_fn(note_route))
        // Handlers bound their bodies themselves, by the settings.
        .layer(DefaultBodyLimit::disable())
        .with_state(Arc::clone(app))
}

/// A strong entity tag stands for one sequence of bytes, so an answer that has one goes out as it is.
fn may_be_compressed(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    headers.get(header::ETAG).is_none_or(|etag| etag.as_bytes().starts_with(b"W/"))
}

/// Tells the edge which route a request took.
async fn note_route(route: MatchedPath, request: Request, next: Next) -> Response {
    if let Some(context) = request.extensions().get::<Arc<edge::Context>>() {
        let _ = context.route.set(route.as_str().to_owned());
    }
    next.run(request).await
}
