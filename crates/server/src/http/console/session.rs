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

use super::super::browser::{Browser, Form, check_call, parameter, with_cookies};
use super::super::edge::Context;
use super::super::page::Page;
use super::super::sign_in::{self, Asking};
use crate::access::users;
use crate::app::App;
use crate::error::Error;

/// What the audit log calls it.
pub(super) const APP: &str = "console";

/// The page to sign in on; whoever has signed in goes on.
pub async fn ask(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let browser = Browser::of(&headers, &context);
    let to = within(&parameter(&query.unwrap_or_default(), "to").unwrap_or_default());
    if let Some(cookie) = &browser.console
        && app.access.caller_with(cookie, Timestamp::now()).await.is_ok()
    {
        return Ok(onward(&to));
    }
    page(&app, &browser, &to, "", None).await
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
            page(&app, &browser, &to, form.get("username"), Some(&failure)).await
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
    let caller = app.access.caller_with(cookie, Timestamp::now()).await?;
    let who = json!({ "name": caller.display_name, "permissions": caller.granted });
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(who)).into_response())
}

/// Ends the session.
pub async fn end(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    check_call(&Method::POST, &headers, &context)?;
    let browser = Browser::of(&headers, &context);
    for cookie in browser.former() {
        app.access.leave(&cookie, context.address, &context.id, Timestamp::now()).await?;
    }
    Ok(with_cookies(onward("/signin"), browser.end_console()))
}

/// An address of ours, and of nobody else: a path.
pub(super) fn within(to: &str) -> String {
    let path = to.starts_with('/') && !to[1..].starts_with(['/', '\\']);
    if path && !to.chars().any(char::is_control) { to.to_owned() } else { "/".to_owned() }
}

pub(super) fn onward(to: &str) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Redirect::to(to)).into_response()
}

/// With a button for each issuer that people can sign in with, and without fields where nobody has a password.
async fn page(
    app: &App,
    browser: &Browser,
    to: &str,
    name: &str,
    failure: Option<&Error>,
) -> Result<Response, Error> {
    let mut page = Page::new(sign_in::TITLE);
    let carried = form_urlencoded::Serializer::new(String::new()).append_pair("to", to).finish();
    let mut providers = 0;
    for (id, name) in app.access.providers() {
        page = page.link(&format!("Sign in with {name}"), &format!("/signin/{id}?{carried}"));
        providers += 1;
    }
    if users::any(&app.catalog).await? {
        let page = page.text(if providers == 0 {
            "to go on to the console"
        } else {
            "or with a name of this server"
        });
        return Ok(sign_in::ask(
            browser,
            page,
            &Asking { action: "signin", carried: ("to", to), name, failure },
        ));
    }
    if providers == 0 {
        page = page
            .text("Nobody can sign in yet. Open the link that the server printed when it was first started.")
            .text("Or add somebody on the server, and come back:")
            .command("jumpbag-server users add NAME \\\n  --permission Library.Manage");
    }
    Ok(page.answer(failure))
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
