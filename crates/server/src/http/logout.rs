//! Signing out, as OpenID Connect has it: an app sends the browser here, and its user says that it is meant. With the
//! app's id token of this very session nobody is asked.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::HeaderMap;
use jumpbag_wire::time::Timestamp;

use super::browser::{Browser, Form, parameter, with_cookies};
use super::edge::Context;
use super::name::TenantName;
use super::page::{Fields, Page};
use super::sign_in::signed_in;
use crate::app::App;
use crate::auth::authorize::with_query;
use crate::error::Error;

const TITLE: &str = "Sign out";
/// Longer requests are not looked at.
const LONGEST: usize = 24 * 1024;

/// A browser comes to sign out.
#[utoipa::path(
    get, path = "/{tenant}/oauth2/v2.0/logout", tag = "sign-in", operation_id = "logout",
    params(
        ("tenant" = String, Path, description = "The tenant's id or one of its names"),
        ("id_token_hint" = Option<String>, Query, description = "The app's id token: nobody is asked"),
        ("client_id" = Option<String>, Query, description = "The app, where there is no id token"),
        ("post_logout_redirect_uri" = Option<String>, Query, description = "One of the app's registered addresses"),
        ("state" = Option<String>, Query, description = "Comes back"),
    ),
    responses(
        (status = 200, description = "A page that asks, or says that it is done", content_type = "text/html"),
        (status = 303, description = "Done: to the app"),
    )
)]
pub async fn ask(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    TenantName(tenant): TenantName,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let browser = Browser::of(&headers, &context);
    leave(&app, &context, &tenant, &browser, &query.unwrap_or_default(), false).await
}

/// Somebody says that it is meant; or an app posts the same as by GET.
#[utoipa::path(
    post, path = "/{tenant}/oauth2/v2.0/logout", tag = "sign-in", operation_id = "signOut",
    params(("tenant" = String, Path, description = "The tenant's id or one of its names")),
    request_body(content = String, content_type = "application/x-www-form-urlencoded", description = "The form of the page"),
    responses(
        (status = 200, description = "A page that says that it is done", content_type = "text/html"),
        (status = 303, description = "Done: to the app"),
        (status = 403, description = "Another site sent the form", content_type = "text/html"),
    )
)]
pub async fn sign_out(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    TenantName(tenant): TenantName,
    request: Request,
) -> Result<Response, Error> {
    let browser = Browser::of(request.headers(), &context);
    match Form::read(request, &browser, &context).await {
        Ok(form) => leave(&app, &context, &tenant, &browser, form.get("request"), true).await,
        Err(failure) => Ok(Page::refusal(TITLE, &failure)),
    }
}

async fn leave(
    app: &App,
    context: &Context,
    tenant: &str,
    browser: &Browser,
    query: &str,
    meant: bool,
) -> Result<Response, Error> {
    let now = Timestamp::now();
    if !app.access.is_tenant(tenant) || query.len() > LONGEST {
        let failure = Error::InvalidInput("There is no such tenant here, or the address is too long.".into());
        return Ok(Page::refusal(TITLE, &failure));
    }
    let get = |name: &str| parameter(query, name);
    let (hint, client) = (get("id_token_hint"), get("client_id"));
    let leaving = app.access.leaving(hint.as_deref(), client.as_deref(), now).await?;
    let signed = signed_in(app, browser, now).await?;
    let to = get("post_logout_redirect_uri").filter(|uri| leaving.redirects.contains(uri));
    if let Some(signed) = &signed {
        let known = leaving.session.as_deref() == Some(signed.session.id.as_str());
        if !meant && !known {
            return Ok(question(browser, &signed.user.name, query, to.as_deref()));
        }
        let actor = app.access.actor(signed, context.address, &context.id);
        app.access.sign_out(signed, actor, now).await?;
    }
    let answer = match to {
        Some(uri) => {
            let state = get("state");
            let parameters: Vec<_> = state.iter().map(|state| ("state", state.as_str())).collect();
            Redirect::to(&if parameters.is_empty() { uri } else { with_query(&uri, &parameters) })
                .into_response()
        }
        None => Page::new(TITLE).text("You have signed out here. You can close this page.").answer(None),
    };
    Ok(with_cookies(answer, browser.end()))
}

fn question(browser: &Browser, name: &str, query: &str, to: Option<&str>) -> Response {
    let (token, cookie) = browser.form();
    let form = Fields::to("logout", &token).hidden("request", query).button("Sign out", "leave", "main");
    let page = Page::new(TITLE).leading_to(to.unwrap_or_default());
    let page = page.text(&format!("You have signed in as {name}.")).form(form);
    with_cookies(page.answer(None), cookie)
}
