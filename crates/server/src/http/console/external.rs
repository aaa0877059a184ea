//! Signing in to the console with an issuer elsewhere: out to it, and back.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use jumpbag_wire::time::Timestamp;
use url::form_urlencoded;

use super::super::browser::{Browser, parameter, with_cookies};
use super::super::edge::Context;
use super::super::page::Page;
use super::session::{APP, onward, within};
use crate::access::external::Answer;
use crate::access::sign_in::Origin;
use crate::app::App;
use crate::auth::secret::Hidden;
use crate::error::Error;

const TITLE: &str = "Not signed in";

/// Where an issuer sends browsers back to: what is registered there.
fn callback(context: &Context, provider: &str) -> String {
    format!("{}/signin/{provider}/callback", context.base)
}

/// Sends a browser to an issuer.
pub async fn go_out(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Path(provider): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Error> {
    // Another site must not put its errand in the place of one that is under way.
    if headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        let why = "Another site sent you here. Begin at the sign-in.";
        return Ok(refusal(&Error::Forbidden(why.into())));
    }
    let to = within(&parameter(&query.unwrap_or_default(), "to").unwrap_or_default());
    match app.access.go_out(&provider, to, &callback(&context, &provider), Timestamp::now()).await {
        Ok((address, errand)) => {
            let browser = Browser::of(&headers, &context);
            Ok(with_cookies(onward(&address), browser.go_out(&errand)))
        }
        Err(failure @ (Error::Forbidden(_) | Error::NotFound(_))) => Ok(refusal(&failure)),
        Err(failure) => Err(failure),
    }
}

/// Signs in whoever an issuer sends back.
pub async fn come_back(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Path(provider): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let browser = Browser::of(&headers, &context);
    let mut answer = Answer::default();
    let mut why = String::new();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match name.as_ref() {
            "code" => answer.code = Some(Hidden::new(value)),
            "state" => answer.state = value.into_owned(),
            "iss" => answer.issuer = Some(value.into_owned()),
            "error" => answer.error = Some(value.into_owned()),
            "error_description" => why = value.into_owned(),
            _ => {}
        }
    }
    if let Some(error) = &mut answer.error
        && !why.is_empty()
    {
        *error = format!("{error}: {why}");
    }
    let from = Origin {
        address: context.address,
        request_id: context.id.clone(),
        former: browser.former(),
        app: APP.to_owned(),
    };
    let (errand, here) = (browser.errand.as_ref(), callback(&context, &provider));
    match app.access.come_back(&provider, errand, answer, &here, from, Timestamp::now()).await {
        Ok((to, session, cookie)) => {
            let _ = context.caller.set(format!("user {} {}", session.issuer, session.user));
            Ok(with_cookies(onward(&within(&to)), browser.begin_external(&cookie)))
        }
        Err(failure @ (Error::Forbidden(_) | Error::NotFound(_) | Error::TooManyRequests(..))) => {
            Ok(with_cookies(refusal(&failure), browser.come_back()))
        }
        Err(failure) => Err(failure),
    }
}

fn refusal(failure: &Error) -> Response {
    Page::new(TITLE)
        .alert(&failure.face().message)
        .link("Back to the sign-in", "/signin")
        .answer(Some(failure))
}
