//! What passes between browsers and the pages: cookies, forms, and the proof that a form was sent from a page of ours.
//! Nothing is done on a POST before [`Form::read`] has said whose it is.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::{BodyExt as _, Limited};
use subtle::ConstantTimeEq as _;
use url::form_urlencoded;

use super::edge::Context;
use crate::auth::secret::{Hidden, hash_secret, new_secret};
use crate::error::Error;

/// Bytes of a form, and how long one may take.
const MAX_BODY: usize = 32 * 1024;
const MAX_TIME: Duration = Duration::from_secs(30);

const SESSION: &str = "jumpbag-session";
/// The same session, for the console: no other site makes a browser send it.
const CONSOLE: &str = "jumpbag-console";
/// What a browser carries while its user signs in elsewhere, and for how long, in seconds.
const ERRAND: &str = "jumpbag-errand";
const ERRAND_LASTS: u32 = 600;
/// Binds a form to the browser that it was given to.
const FORM: &str = "jumpbag-form";
/// The name of a form's field with the other half.
pub const TOKEN: &str = "form_token";

/// A browser, as its request shows it.
pub struct Browser {
    secure: bool,
    pub session: Option<Hidden>,
    pub console: Option<Hidden>,
    pub errand: Option<Hidden>,
    form: Option<Hidden>,
}

impl Browser {
    pub fn of(headers: &HeaderMap, context: &Context) -> Browser {
        let secure = context.base.starts_with("https://");
        let cookie = |name: &str| {
            let name = full(name, secure);
            let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
            let mut pairs =
                all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
            pairs.find(|(given, _)| *given == name).map(|(_, value)| Hidden::new(value))
        };
        Browser {
            secure,
            session: cookie(SESSION),
            console: cookie(CONSOLE),
            errand: cookie(ERRAND),
            form: cookie(FORM),
        }
    }

    /// The sessions that it has, of either kind: a new sign-in ends them.
    pub fn former(&self) -> Vec<Hidden> {
        [&self.session, &self.console].into_iter().flatten().cloned().collect()
    }

    /// What stands in a form's hidden field, and the cookie that goes with it where the browser has none yet.
    pub fn form(&self) -> (String, Option<HeaderValue>) {
        // Only what was made here is used on.
        if let Some(form) = self.form.as_ref().filter(|form| form.reveal().len() == 46) {
            return (half(form), None);
        }
        let form = new_secret();
        (half(&form), self.cookie(FORM, &form, "SameSite=Strict"))
    }

    /// The cookie of a session that has begun. It comes along when an app sends the browser here: the pages ask for
    /// nothing by GET that changes anything.
    pub fn begin(&self, session: &Hidden) -> Option<HeaderValue> {
        self.cookie(SESSION, session, "SameSite=Lax")
    }

    /// The cookies of a session that has begun at the console.
    pub fn begin_console(&self, session: &Hidden) -> Vec<HeaderValue> {
        self.begin(session).into_iter().chain(self.console_cookie(session)).collect()
    }

    /// The cookies of somebody who comes back from an issuer elsewhere: at the console, and nowhere else here.
    pub fn begin_external(&self, session: &Hidden) -> Vec<HeaderValue> {
        self.console_cookie(session).into_iter().chain(self.come_back()).collect()
    }

    fn console_cookie(&self, session: &Hidden) -> Option<HeaderValue> {
        self.cookie(CONSOLE, session, "SameSite=Strict")
    }

    /// The cookie that goes out with somebody who signs in elsewhere. It has to come along when that issuer sends the
    /// browser back.
    pub fn go_out(&self, errand: &Hidden) -> Option<HeaderValue> {
        self.cookie(ERRAND, errand, &format!("SameSite=Lax; Max-Age={ERRAND_LASTS}"))
    }

    pub fn come_back(&self) -> Option<HeaderValue> {
        self.cookie(ERRAND, &Hidden::new(""), "SameSite=Lax; Max-Age=0")
    }

    pub fn end_console(&self) -> Vec<HeaderValue> {
        let strict = self.cookie(CONSOLE, &Hidden::new(""), "SameSite=Strict; Max-Age=0");
        self.end().into_iter().chain(strict).collect()
    }

    pub fn end(&self) -> Option<HeaderValue> {
        self.cookie(SESSION, &Hidden::new(""), "SameSite=Lax; Max-Age=0")
    }

    /// A cookie that ends with the browser, or before that on the server.
    fn cookie(&self, name: &str, value: &Hidden, rest: &str) -> Option<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        let text =
            format!("{}={}; Path=/; HttpOnly{secure}; {rest}", full(name, self.secure), value.reveal());
        HeaderValue::from_str(&text).ok()
    }
}

/// What a page was asked for with.
pub fn parameter(query: &str, name: &str) -> Option<String> {
    let found = form_urlencoded::parse(query.as_bytes()).find(|(given, _)| given == name);
    found.map(|(_, value)| value.into_owned())
}

/// With HTTPS a browser takes the cookie from this host only, and from nobody in between.
fn full(name: &str, secure: bool) -> String {
    if secure { format!("__Host-{name}") } else { name.to_owned() }
}

fn half(form: &Hidden) -> String {
    URL_SAFE_NO_PAD.encode(hash_secret(&format!("form {}", form.reveal())))
}

/// The fields of a form that one of our pages has sent.
pub struct Form(Vec<(String, Hidden)>);

impl Form {
    /// Reads a form.
    ///
    /// # Errors
    /// `Forbidden` when another site, or nobody's page, sent it; `InvalidRequestBody` when it cannot be read.
    pub async fn read(request: Request<Body>, browser: &Browser, context: &Context) -> Result<Form, Error> {
        let (parts, body) = request.into_parts();
        check_site(&parts.headers, context)?;
        let body = tokio::time::timeout(MAX_TIME, Limited::new(body, MAX_BODY).collect())
            .await
            .map_err(|_| Error::Slow(format!("a form may take {} seconds", MAX_TIME.as_secs())))?
            .map_err(|_| Error::InvalidRequestBody("The form is too large or was cut short.".into()))?
            .to_bytes();
        let pairs = form_urlencoded::parse(&body);
        let form = Form(pairs.map(|(name, value)| (name.into_owned(), Hidden::new(value))).collect());
        let given = form.get(TOKEN).as_bytes();
        let right = browser.form.as_ref().is_some_and(|form| half(form).as_bytes().ct_eq(given).into());
        if !right {
            return Err(Error::Forbidden(
                "The page was open for too long, or cookies are blocked. Go back, reload it and try again."
                    .into(),
            ));
        }
        Ok(form)
    }

    /// A field; empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value.reveal())
    }
}

/// A browser says from where a form was sent; the form's own token tells the rest.
fn check_site(headers: &HeaderMap, context: &Context) -> Result<(), Error> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let origin = |url: &str| url::Url::parse(url).ok().map(|url| url.origin().ascii_serialization());
    let own = match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => site == "same-origin",
        (None, Some(given)) => Some(given.to_owned()) == origin(&context.base),
        (None, None) => true,
    };
    if own {
        return Ok(());
    }
    Err(Error::Forbidden("The form was sent from another site, so nothing was done.".into()))
}

/// A call that has nothing but a cookie to show: a page of ours must have made it. What neither reads nor says where it
/// comes from is nobody's page.
///
/// # Errors
/// `Forbidden` when it is not from a page of ours.
pub fn check_call(method: &Method, headers: &HeaderMap, context: &Context) -> Result<(), Error> {
    let says = headers.contains_key("sec-fetch-site") || headers.contains_key(header::ORIGIN);
    if !method.is_safe() && !says {
        return Err(Error::Forbidden("A call with a cookie alone must say from where it was made.".into()));
    }
    check_site(headers, context)
}

/// An answer with cookies.
pub fn with_cookies(mut response: Response, cookies: impl IntoIterator<Item = HeaderValue>) -> Response {
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
