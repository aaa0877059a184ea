//! The very first visit: the link of a first start leads to a page where the first user chooses a name and a password,
//! and is signed in.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::HeaderMap;
use jumpbag_wire::time::Timestamp;

use super::super::browser::{Browser, Form, parameter, with_cookies};
use super::super::edge::Context;
use super::super::page::{Field, Fields, Page};
use super::super::sign_in;
use super::session::{APP, onward};
use crate::access::setup;
use crate::app::App;
use crate::auth::secret::Hidden;
use crate::catalog::audit::Actor;
use crate::error::Error;

const TITLE: &str = "Welcome";

/// The page to make the first user on.
pub async fn ask(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let browser = Browser::of(&headers, &context);
    let code = Hidden::new(parameter(&query.unwrap_or_default(), "code").unwrap_or_default());
    if !setup::is_good(&app.catalog, &code, Timestamp::now()).await? {
        return Ok(Page::refusal(TITLE, &setup::spent()));
    }
    Ok(page(&browser, &code, "", "", None))
}

/// Makes the first user, and signs in.
pub async fn begin(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    request: Request,
) -> Result<Response, Error> {
    let now = Timestamp::now();
    let browser = Browser::of(request.headers(), &context);
    let form = match Form::read(request, &browser, &context).await {
        Ok(form) => form,
        Err(failure) => return Ok(Page::refusal(TITLE, &failure)),
    };
    let code = Hidden::new(form.get("setup"));
    let (name, display_name) = (form.get("username").trim(), form.get("display_name").trim());
    match made(&app, &context, &code, &form, now).await {
        Ok(()) => {
            let (_, session) = sign_in::attempt(&app, &context, &browser, &form, APP, now).await?;
            Ok(with_cookies(onward("/"), browser.begin_console(&session)))
        }
        Err(failure @ Error::InvalidInput(_)) => {
            Ok(page(&browser, &code, name, display_name, Some(&failure)))
        }
        Err(failure @ Error::Forbidden(_)) => Ok(Page::refusal(TITLE, &failure)),
        Err(failure) => Err(failure),
    }
}

async fn made(app: &App, context: &Context, code: &Hidden, form: &Form, now: Timestamp) -> Result<(), Error> {
    if form.get("password") != form.get("again") {
        return Err(Error::InvalidInput("the two passwords are not the same: type them again".into()));
    }
    let name = form.get("username").trim();
    let display_name = Some(form.get("display_name").trim()).filter(|name| !name.is_empty());
    let actor = Actor {
        name: name.to_owned(),
        id: "setup".to_owned(),
        address: Some(context.address.to_string()),
        request_id: context.id.clone(),
    };
    let password = Hidden::new(form.get("password"));
    setup::first_user(&app.catalog, code, name, display_name, &password, actor, now).await.map(|_| ())
}

fn page(
    browser: &Browser,
    code: &Hidden,
    name: &str,
    display_name: &str,
    failure: Option<&Error>,
) -> Response {
    let (token, cookie) = browser.form();
    let mut page =
        Page::new(TITLE).text("Make the first user. You may do everything, and add others afterwards.");
    if let Some(failure) = failure {
        page = page.alert(&failure.to_string());
    }
    let field = |name, label, hint, value, attributes| Field { name, label, hint, value, attributes };
    let form = Fields::to("setup", &token)
        .hidden("setup", code.reveal())
        .field(&field(
            "username",
            "Name",
            "To sign in with. Letters, digits and . _ - @ +",
            name,
            "type=\"text\" autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\" maxlength=\"128\" \
             required autofocus",
        ))
        .field(&field(
            "display_name",
            "Name for people",
            "What others see; the name above when empty.",
            display_name,
            "type=\"text\" autocomplete=\"name\" maxlength=\"256\"",
        ))
        .field(&field(
            "password",
            "Password",
            "At least 12 characters.",
            "",
            "type=\"password\" autocomplete=\"new-password\" minlength=\"12\" maxlength=\"1024\" required",
        ))
        .field(&field(
            "again",
            "Password, once more",
            "",
            "",
            "type=\"password\" autocomplete=\"new-password\" maxlength=\"1024\" required",
        ))
        .button("Make it and sign in", "make", "main");
    with_cookies(page.form(form).answer(failure), cookie)
}
