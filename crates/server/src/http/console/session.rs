//! Signing in to the console, and out. The console's cookie never comes along from another site, and an API call that has
//! nothing but this cookie counts only when the browser says that a page of ours made it.

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::{Extension, Json};
use http::{HeaderMap, Method, header};
use jumpbag_wire::time::Timestamp;
use serde_json::json;
use url::form_urlencoded;

use super::super::browser::{Browser, Form, check_call, with_cookies};
use super::super::edge::Context;
use super::super::page::Page;
use super::super::sign_in::{self, Asking};
use crate::app::App;
use crate::error::Error;

/// What the audit log calls it.
const APP: &str = "console";

/// The page to sign in on; whoever has signed in goes on.
pub async fn ask(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let browser = Browser::of(&headers, &context);
    let query = query.unwrap_or_default();
    let to = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "to");
    let to = to.map_or_else(|| "/".to_owned(), |(_, to)| within(&to));
    if let Some(cookie) = &browser.console
        && app.access.session(cookie, Timestamp::now()).await?.is_some()
    {
        return Ok(onward(&to));
    }
    Ok(page(&browser, &to, "", None))
}

/// Signs in with what stands in that page's form.
pub async fn begin(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    request: Request,
) -> Result<Response, Error> {
    let browser = Browser::of(request.headers(), &context);
    let form = match Form::read(request, &browser, &context).await {
        Ok(form) => form,
        Err(failure) => return Ok(Page::refusal("Not signed in", &failure)),
    };
    let to = within(form.get("to"));
    match sign_in::attempt(&app, &context, &browser, &form, APP, Timestamp::now()).await {
        Ok((_, session)) => Ok(with_cookies(onward(&to), browser.begin_console(&session))),
        Err(failure @ (Error::Forbidden(_) | Error::TooManyRequests(..))) => {
            Ok(page(&browser, &to, form.get("username"), Some(&failure)))
        }
        Err(failure) => Err(failure),
    }
}

/// Who has signed in here.
pub async fn who(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    check_call(&Method::GET, &headers, &context)?;
    let browser = Browser::of(&headers, &context);
    let cookie = browser.console.as_ref().ok_or_else(nobody)?;
    let signed = app.access.session(cookie, Timestamp::now()).await?.ok_or_else(nobody)?;
    let who = json!({ "name": signed.user.display_name, "permissions": signed.user.permissions });
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(who)).into_response())
}

/// Ends the session.
pub async fn end(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    check_call(&Method::POST, &headers, &context)?;
    let now = Timestamp::now();
    let browser = Browser::of(&headers, &context);
    if let Some(cookie) = &browser.console
        && let Some(signed) = app.access.session(cookie, now).await?
    {
        let actor = app.access.actor(&signed, context.address, &context.id);
        app.access.sign_out(&signed, actor, now).await?;
    }
    Ok(with_cookies(onward("/signin"), browser.end_console()))
}

/// An address of ours, and of nobody else: a path.
fn within(to: &str) -> String {
    let path = to.starts_with('/') && !to[1..].starts_with(['/', '\\']);
    if path && !to.chars().any(char::is_control) { to.to_owned() } else { "/".to_owned() }
}

fn onward(to: &str) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Redirect::to(to)).into_response()
}

fn page(browser: &Browser, to: &str, name: &str, failure: Option<&Error>) -> Response {
    let page = Page::new(sign_in::TITLE).text("to go on to the console");
    sign_in::ask(browser, page, &Asking { action: "signin", carried: ("to", to), name, failure })
}

fn nobody() -> Error {
    Error::Unauthorized { message: "Nobody has signed in here".into(), challenge: "Bearer".into() }
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn a_sign_in_leads_to_no_other_site() {
        for path in ["/", "/files/a.ps1?x=1", "/a//b"] {
            assert_eq!(within(path), path);
        }
        for elsewhere in
            ["", "//evil.example", "/\\evil.example", "https://evil.example", "evil", "/\n/evil", "\\/evil"]
        {
            assert_eq!(within(elsewhere), "/", "{elsewhere:?}");
        }
    }
}
