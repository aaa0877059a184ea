//! Where an app sends its user's browser: whoever has signed in goes back with a code, others sign in first. Nobody is
//! sent to an address that is not registered for the app.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::{HeaderMap, header};
use jumpbag_wire::time::Timestamp;

use super::browser::{Browser, Form, with_cookies};
use super::edge::Context;
use super::name::TenantName;
use super::page::Page;
use super::sign_in::{self, Asking};
use crate::access::grants::Authorizing;
use crate::access::sign_in::SignedIn;
use crate::app::App;
use crate::auth::authorize::{Details, Prompt, Refused, with_query};
use crate::auth::discovery;
use crate::auth::scope::Scope;
use crate::error::Error;

/// An app asks for a user's sign-in.
#[utoipa::path(
    get, path = "/{tenant}/oauth2/v2.0/authorize", tag = "sign-in", operation_id = "authorize",
    params(
        ("tenant" = String, Path, description = "The tenant's id or one of its names"),
        ("client_id" = String, Query, description = "The app"),
        ("redirect_uri" = String, Query, description = "One of the app's registered addresses, exactly"),
        ("response_type" = String, Query, description = "`code`"),
        ("scope" = String, Query, description = "`openid offline_access <resource>/.default`, or permissions one by one"),
        ("code_challenge" = String, Query, description = "PKCE"),
        ("code_challenge_method" = String, Query, description = "`S256`"),
        ("state" = Option<String>, Query, description = "Comes back"),
        ("nonce" = Option<String>, Query, description = "Stands in the id token"),
        ("prompt" = Option<String>, Query, description = "`none`, `login`, `select_account`, `consent`"),
        ("max_age" = Option<u32>, Query, description = "How old the sign-in may be, in seconds"),
        ("login_hint" = Option<String>, Query, description = "The name that stands in the page"),
    ),
    responses(
        (status = 200, description = "The page to sign in on", content_type = "text/html"),
        (status = 303, description = "To the app, with `code`, `state` and `iss`, or with `error`"),
        (status = 400, description = "The app or its address is not known: a page says so", content_type = "text/html"),
    )
)]
pub async fn authorize(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    TenantName(tenant): TenantName,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let (now, query) = (Timestamp::now(), query.unwrap_or_default());
    let asked = match asked(&app, &context, &tenant, &query, now).await? {
        Ok(asked) => asked,
        Err(page) => return Ok(page),
    };
    let (details, scope) = match &asked.wants {
        Ok(wants) => wants,
        Err(refused) => return Ok(turned_away(&app, &context, &asked, refused)),
    };
    let browser = Browser::of(&headers, &context);
    let signed = match details.prompt {
        Prompt::Login => None,
        _ => sign_in::signed_in(&app, &browser, now).await?,
    };
    let fresh =
        |signed: &SignedIn| details.max_age.is_none_or(|age| now <= signed.session.created_at.plus_secs(age));
    match signed.filter(fresh) {
        Some(signed) => back(&app, &context, &asked, details, scope, &signed, now).await,
        None if details.prompt == Prompt::None => {
            let refused = Refused::new("login_required", "nobody has signed in here");
            Ok(turned_away(&app, &context, &asked, &refused))
        }
        None => {
            let name = details.login_hint.clone().unwrap_or_default();
            Ok(sign_in_page(&browser, &asked, &query, &name, None))
        }
    }
}

/// Somebody signs in for an app.
#[utoipa::path(
    post, path = "/{tenant}/oauth2/v2.0/authorize", tag = "sign-in", operation_id = "signIn",
    params(("tenant" = String, Path, description = "The tenant's id or one of its names")),
    request_body(content = String, content_type = "application/x-www-form-urlencoded", description = "The form of the page"),
    responses(
        (status = 303, description = "To the app, with `code`, `state` and `iss`"),
        (status = 403, description = "Name, password or code is wrong, or another site sent the form", content_type = "text/html"),
        (status = 429, description = "Too many failed sign-ins: `Retry-After`", content_type = "text/html"),
    )
)]
pub async fn sign_in(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    TenantName(tenant): TenantName,
    request: Request,
) -> Result<Response, Error> {
    let now = Timestamp::now();
    let browser = Browser::of(request.headers(), &context);
    let form = match Form::read(request, &browser, &context).await {
        Ok(form) => form,
        Err(failure) => return Ok(Page::refusal("Not signed in", &failure)),
    };
    let query = form.get("request");
    let asked = match asked(&app, &context, &tenant, query, now).await? {
        Ok(asked) => asked,
        Err(page) => return Ok(page),
    };
    let (details, scope) = match &asked.wants {
        Ok(wants) => wants,
        Err(refused) => return Ok(turned_away(&app, &context, &asked, refused)),
    };
    match sign_in::attempt(&app, &context, &browser, &form, &asked.client.client_id, now).await {
        Ok((signed, cookie)) => {
            let answer = back(&app, &context, &asked, details, scope, &signed, now).await?;
            Ok(with_cookies(answer, browser.begin(&cookie)))
        }
        Err(failure @ (Error::Forbidden(_) | Error::TooManyRequests(..))) => {
            Ok(sign_in_page(&browser, &asked, query, form.get("username"), Some(&failure)))
        }
        Err(failure) => Err(failure),
    }
}

/// The request, or the page that says why it is none.
async fn asked(
    app: &App,
    context: &Context,
    tenant: &str,
    query: &str,
    now: Timestamp,
) -> Result<Result<Authorizing, Response>, Error> {
    let page = |why: String| Page::refusal("This sign-in does not work", &Error::InvalidInput(why));
    if !app.access.is_tenant(tenant) {
        return Ok(Err(page("There is no such tenant here.".to_owned())));
    }
    Ok(app.access.authorizing(query, &context.base, now).await?.map_err(page))
}

fn sign_in_page(
    browser: &Browser,
    asked: &Authorizing,
    query: &str,
    name: &str,
    failure: Option<&Error>,
) -> Response {
    let page = Page::new(sign_in::TITLE).leading_to(&asked.asked.redirect_uri);
    let page = page.text(&format!("to go on to {}", asked.client.display_name));
    sign_in::ask(browser, page, &Asking { action: "authorize", carried: ("request", query), name, failure })
}

/// Back to the app with a code.
async fn back(
    app: &App,
    context: &Context,
    asked: &Authorizing,
    details: &Details,
    scope: &Scope,
    signed: &SignedIn,
    now: Timestamp,
) -> Result<Response, Error> {
    let code = app.access.code(asked, details, scope, signed, now).await?;
    Ok(sent(app, context, asked, &[("code", code.reveal())]))
}

/// Back to the app with what is wrong.
fn turned_away(app: &App, context: &Context, asked: &Authorizing, refused: &Refused) -> Response {
    sent(app, context, asked, &[("error", refused.code), ("error_description", &refused.why)])
}

fn sent(app: &App, context: &Context, asked: &Authorizing, parameters: &[(&str, &str)]) -> Response {
    let issuer = discovery::issuer_v2(&context.base, app.access.tenant());
    let mut parameters = parameters.to_vec();
    if let Some(state) = &asked.asked.state {
        parameters.push(("state", state));
    }
    parameters.push(("iss", &issuer));
    let to = with_query(&asked.asked.redirect_uri, &parameters);
    let headers = [(header::CACHE_CONTROL, "no-store"), (header::REFERRER_POLICY, "no-referrer")];
    (headers, Redirect::to(&to)).into_response()
}
