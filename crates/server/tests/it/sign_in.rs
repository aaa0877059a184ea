//! Signing in with name and password: the code flow, what it grants, and what ends it.

mod attacks;
mod devices;
mod flow;
mod leaving;
mod refresh;
mod second_factor;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use crate::support::browser::{Browser, Shown};
use crate::support::client::{Answer, Client};
use crate::support::server::Jumpbag;

pub const PASSWORD: &str = "correct horse battery";
pub const CALLBACK: &str = "http://127.0.0.1:8400/callback?from=jumpbag";
pub const RESOURCE: &str = "https://api.securitycenter.microsoft.com";
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// A server with a user and an app that signs users in.
pub struct House {
    pub bag: Jumpbag,
    pub tenant: String,
    pub app: String,
}

impl House {
    pub async fn new() -> House {
        House::on(Jumpbag::start().await).await
    }

    pub async fn on(bag: Jumpbag) -> House {
        add_user(
            &bag,
            "ada@contoso.example",
            &["--permission", "Library.Manage", "--display-name", "Ada Lovelace"],
        )
        .await;
        let app = register(&bag, &["--public", "--permission", "Library.Manage"]).await;
        let tenant = app["tenant"].as_str().expect("a tenant").to_owned();
        let app = app["client_id"].as_str().expect("an id").to_owned();
        House { bag, tenant, app }
    }

    pub fn browser(&self) -> Browser {
        Browser::new(self.bag.anonymous())
    }

    /// Where the app sends its user's browser, with what differs from the usual.
    pub fn authorize(&self, changes: &[(&str, &str)]) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let scope = format!("openid offline_access {RESOURCE}/.default");
        let mut pairs = vec![
            ("client_id", self.app.as_str()),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", &scope),
            ("state", "state & more"),
            ("nonce", "n-1"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        pairs.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        pairs.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        format!("/{}/oauth2/v2.0/authorize?{query}", self.tenant)
    }

    /// Types name and password into the page that the app's request leads to.
    pub async fn type_in(&self, browser: &mut Browser, name: &str, password: &str) -> Shown {
        let page = self.authorize(&[]);
        let shown = browser.get(&page).await;
        browser.submit(&page, &shown, &[("username", name), ("password", password)]).await
    }

    /// The code of a sign-in that works.
    pub async fn code(&self, browser: &mut Browser) -> String {
        let shown = self.type_in(browser, "ada@contoso.example", PASSWORD).await;
        shown.sent_with("code").unwrap_or_else(|| panic!("no code: {}", shown.sent_to()))
    }

    pub async fn token(&self, fields: &[(&str, &str)]) -> Answer {
        let path = format!("/{}/oauth2/v2.0/token", self.tenant);
        let fields: Vec<_> = [("client_id", self.app.as_str())].iter().chain(fields).copied().collect();
        self.bag.anonymous().post(&path).with(|request| request.form(&fields)).await
    }

    pub async fn redeem(&self, code: &str) -> Answer {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ])
        .await
    }

    /// What a sign-in that works gives the app.
    pub async fn tokens(&self) -> Value {
        let code = self.code(&mut self.browser()).await;
        self.redeem(&code).await.expect_status(200).json()
    }

    pub async fn refresh(&self, token: &str) -> Answer {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// Somebody who calls with what the app got.
    pub fn caller(&self, tokens: &Value) -> Client {
        self.bag.anonymous().with_token(text(tokens, "access_token"))
    }
}

pub fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no `{name}`: {value}"))
}

/// `users add NAME …`; what it says.
pub async fn add_user(bag: &Jumpbag, name: &str, more: &[&str]) -> Value {
    let arguments: Vec<&str> =
        ["users", "add", name, "--password-stdin", "--json"].iter().chain(more).copied().collect();
    let (ok, stdout, stderr) = bag.command_with_input(&arguments, PASSWORD).await;
    assert!(ok, "`users add` failed:\n{stderr}");
    serde_json::from_str(&stdout).expect("one JSON object")
}

/// A browser in which a user has signed in to the console.
pub async fn at_the_console(bag: &Jumpbag, name: &str) -> Browser {
    let mut browser = Browser::new(bag.anonymous());
    let page = browser.get("/signin").await;
    let shown = browser.submit("/signin", &page, &[("username", name), ("password", PASSWORD)]).await;
    assert_eq!(shown.sent_to(), "/");
    browser
}

/// `clients add` of an app that signs users in; what it says.
pub async fn register(bag: &Jumpbag, more: &[&str]) -> Value {
    let arguments: Vec<&str> = ["clients", "add", "Console <i>", "--redirect-uri", CALLBACK, "--json"]
        .iter()
        .chain(more)
        .copied()
        .collect();
    let (status, stdout, stderr) = bag.command(&arguments).await;
    assert!(status.success(), "`clients add` failed:\n{stderr}");
    serde_json::from_str(&stdout).expect("one JSON object")
}

/// The claims of a token, unverified.
pub fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

/// `users …` that works.
pub async fn users(bag: &Jumpbag, arguments: &[&str]) -> String {
    let arguments: Vec<&str> = ["users"].iter().chain(arguments).copied().collect();
    let (status, stdout, stderr) = bag.command(&arguments).await;
    assert!(status.success(), "`{arguments:?}` failed:\n{stderr}");
    stdout
}
