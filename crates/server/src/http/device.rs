//! Where people say yes or no to a device that wants to sign them in. Which app it is and what it wants stands above the
//! button.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::HeaderMap;
use jumpbag_wire::time::Timestamp;

use super::browser::{Browser, Form, parameter, with_cookies};
use super::edge::Context;
use super::page::{Field, Fields, Page};
use super::sign_in::{self, Asking};
use crate::access::sign_in::SignedIn;
use crate::app::App;
use crate::auth::client::Client;
use crate::auth::permission::Permission;
use crate::auth::scope::Scope;
use crate::catalog::devices::DeviceRow;
use crate::error::Error;

const TITLE: &str = "Connect a device";
/// No code is longer, with what people put between its letters.
const LONGEST: usize = 32;

/// The page for a device's code.
#[utoipa::path(
    get, path = "/device", tag = "sign-in", operation_id = "device",
    params(("user_code" = Option<String>, Query, description = "The code that the device shows")),
    responses((status = 200, description = "The page", content_type = "text/html"))
)]
pub async fn device(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let browser = Browser::of(&headers, &context);
    let code = parameter(&query.unwrap_or_default(), "user_code").unwrap_or_default();
    let code: String = code.chars().take(LONGEST).collect();
    match sign_in::signed_in(&app, &browser, Timestamp::now()).await? {
        Some(signed) => Ok(code_page(&browser, &signed, &code, None)),
        None => Ok(sign_in_page(&browser, &code, "", None)),
    }
}

/// What somebody does on that page: signs in, enters the code, says yes or no.
#[utoipa::path(
    post, path = "/device", tag = "sign-in", operation_id = "answerDevice",
    request_body(content = String, content_type = "application/x-www-form-urlencoded", description = "The form of the page"),
    responses(
        (status = 200, description = "The next page", content_type = "text/html"),
        (status = 400, description = "No device waits for this code", content_type = "text/html"),
        (status = 403, description = "Name, password or code is wrong, or another site sent the form", content_type = "text/html"),
        (status = 429, description = "Too many wrong ones: `Retry-After`", content_type = "text/html"),
    )
)]
pub async fn answer(
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
    let code: String = form.get("user_code").chars().take(LONGEST).collect();
    if form.get("decision") == "sign-in" {
        return match sign_in::attempt(&app, &context, &browser, &form, "device", now).await {
            Ok((signed, cookie)) => {
                let page = code_page(&browser, &signed, &code, None);
                Ok(with_cookies(page, browser.begin(&cookie)))
            }
            Err(failure @ (Error::Forbidden(_) | Error::TooManyRequests(..))) => {
                Ok(sign_in_page(&browser, &code, form.get("username"), Some(&failure)))
            }
            Err(failure) => Err(failure),
        };
    }
    let Some(signed) = sign_in::signed_in(&app, &browser, now).await? else {
        return Ok(sign_in_page(&browser, &code, "", None));
    };
    let (device, client) = match app.access.device_waiting(&code, &signed, now).await? {
        Ok(Some(waiting)) => waiting,
        Ok(None) => {
            let why = "No device waits for this code. Look at it again: codes are good for 15 minutes.";
            let failure = Error::InvalidInput(why.into());
            return Ok(code_page(&browser, &signed, &code, Some(&failure)));
        }
        Err(seconds) => {
            let why = format!("Too many wrong codes: wait {seconds} seconds and try again.");
            let failure = Error::TooManyRequests(why, seconds.unsigned_abs());
            return Ok(code_page(&browser, &signed, &code, Some(&failure)));
        }
    };
    let approved = match form.get("decision") {
        "approve" => true,
        "deny" => false,
        _ => return Ok(approval_page(&browser, &signed, &device, &client, &code)),
    };
    let actor = app.access.actor(&signed, context.address, &context.id);
    let decided = app.access.decide_device(&device, approved, &signed, actor, now).await?;
    let said = match (decided, approved) {
        (true, true) => "It is connected. You can close this page and go on there.",
        (true, false) => "It was turned away. You can close this page.",
        (false, _) => "It does not wait any more. Begin again there.",
    };
    Ok(Page::new(TITLE).text(said).answer(None))
}

fn sign_in_page(browser: &Browser, code: &str, name: &str, failure: Option<&Error>) -> Response {
    let page = Page::new(sign_in::TITLE).text("to connect a device");
    sign_in::ask(browser, page, &Asking { action: "device", carried: ("user_code", code), name, failure })
}

fn code_page(browser: &Browser, signed: &SignedIn, code: &str, failure: Option<&Error>) -> Response {
    let (token, cookie) = browser.form();
    let mut page = Page::new(TITLE);
    if let Some(failure) = failure {
        page = page.alert(&failure.to_string());
    }
    let form = Fields::to("device", &token)
        .field(&Field {
            name: "user_code",
            label: "Code",
            hint: "As the device or the command line shows it, such as WDJB-MJHT.",
            value: code,
            attributes: "type=\"text\" autocomplete=\"off\" autocapitalize=\"characters\" spellcheck=\"false\" \
                         maxlength=\"32\" required autofocus",
        })
        .button("Go on", "look", "main");
    let page = page.text(&format!("You have signed in as {}.", signed.user.name)).form(form);
    with_cookies(page.answer(failure), cookie)
}

fn approval_page(
    browser: &Browser,
    signed: &SignedIn,
    device: &DeviceRow,
    client: &Client,
    code: &str,
) -> Response {
    let (token, cookie) = browser.form();
    let scope = Scope::kept(&device.scope, &device.audience);
    let granted = scope.granted(&signed.user.permissions, client.delegated());
    let named = granted.iter().filter_map(|name| Permission::parse(name)).map(Permission::display_name);
    let mut wants = named.collect::<Vec<_>>().join("; ");
    if wants.is_empty() {
        wants = "nothing but to know who you are".to_owned();
    }
    if scope.offline() {
        wants.push_str("; also while you are away");
    }
    let form = Fields::to("device", &token)
        .hidden("user_code", code)
        .button("Yes, connect it", "approve", "main")
        .button("No", "deny", "");
    let page = Page::new(TITLE)
        .text("Go on only if you have just begun this yourself, and the code is the one that you see there.")
        .facts(&[
            ("App", &client.display_name),
            ("Code", code),
            ("Asked from the address", &device.address),
            ("It may then", &wants),
            ("As", &signed.user.name),
        ])
        .form(form);
    with_cookies(page.answer(None), cookie)
}
