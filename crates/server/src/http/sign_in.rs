//! Signing in on a page of ours, whatever for: who has signed in already, the page with the fields, and the attempt.

use axum::response::Response;
use jumpbag_wire::time::Timestamp;

use super::browser::{Browser, Form, with_cookies};
use super::edge::Context;
use super::page::{Field, Fields, Page};
use crate::access::sign_in::{Attempt, Origin, Outcome, SignedIn, slowed};
use crate::app::App;
use crate::auth::secret::Hidden;
use crate::error::Error;

pub const TITLE: &str = "Sign in";

/// What a page to sign in on carries.
pub struct Asking<'a> {
    /// Where its form goes, relative to the page.
    pub action: &'static str,
    /// A hidden field: what goes on afterwards.
    pub carried: (&'static str, &'a str),
    /// What stands in the name's field.
    pub name: &'a str,
    /// Why the attempt before did not work.
    pub failure: Option<&'a Error>,
}

/// The user of this server who has signed in with this browser.
///
/// # Errors
/// Failures of the server.
pub async fn signed_in(app: &App, browser: &Browser, now: Timestamp) -> Result<Option<SignedIn>, Error> {
    match &browser.session {
        Some(cookie) => app.access.session(cookie, now).await,
        None => Ok(None),
    }
}

/// `page`, with the fields of a sign-in.
pub fn ask(browser: &Browser, mut page: Page, asking: &Asking<'_>) -> Response {
    let (token, cookie) = browser.form();
    if let Some(failure) = asking.failure {
        page = page.alert(&failure.to_string());
    }
    let name: String = asking.name.chars().take(128).collect();
    let (carried, value) = asking.carried;
    let form = Fields::to(asking.action, &token).hidden(carried, value);
    with_cookies(page.form(fields(form, &name)).answer(asking.failure), cookie)
}

fn fields(form: Fields, name: &str) -> Fields {
    form.field(&Field {
        name: "username",
        label: "Name",
        hint: "",
        value: name,
        attributes: "type=\"text\" autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\" \
                     maxlength=\"128\" required autofocus",
    })
    .field(&Field {
        name: "password",
        label: "Password",
        hint: "",
        value: "",
        attributes: "type=\"password\" autocomplete=\"current-password\" maxlength=\"1024\" required",
    })
    .field(&Field {
        name: "code",
        label: "One-time code",
        hint: "Leave it empty if you have not set up an authenticator app.",
        value: "",
        attributes: "type=\"text\" inputmode=\"numeric\" autocomplete=\"one-time-code\" maxlength=\"9\"",
    })
    .button("Sign in", "sign-in", "main")
}

/// Signs somebody in with what stands in a form.
///
/// # Errors
/// `Forbidden` and `TooManyRequests`, to be told on the page; failures of the server.
pub async fn attempt(
    app: &App,
    context: &Context,
    browser: &Browser,
    form: &Form,
    for_app: &str,
    now: Timestamp,
) -> Result<(SignedIn, Hidden), Error> {
    let attempt = Attempt {
        name: form.get("username").trim().to_owned(),
        password: Hidden::new(form.get("password")),
        code: form.get("code").to_owned(),
    };
    let origin = Origin {
        address: context.address,
        request_id: context.id.clone(),
        former: browser.former(),
        app: for_app.to_owned(),
    };
    match app.access.sign_in(attempt, origin, now).await? {
        Outcome::In(signed, cookie) => {
            let _ = context.caller.set(format!("user {}", signed.user.id));
            Ok((*signed, cookie))
        }
        Outcome::Wrong => Err(Error::Forbidden("Name, password or one-time code is wrong.".into())),
        Outcome::Wait(seconds) => Err(slowed(seconds)),
    }
}
