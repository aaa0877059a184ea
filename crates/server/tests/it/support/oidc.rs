//! A real OpenID provider of the test's own, which it can rotate, break and take down.

use serde::Deserialize;
use serde_json::{Value, json};

use super::browser::Browser;
use super::client::{Answer, Client, plain_http};
use super::process::Process;
use super::{SOON, clients};

/// A running provider with one client. It ends when this is dropped.
pub struct OidcProvider {
    ready: Ready,
    _process: Process,
}

#[derive(Deserialize)]
struct Ready {
    issuer: String,
    control: String,
    client_id: String,
    client_secret: String,
}

/// Who signs a minted token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The provider's own key.
    Real,
    /// Another key under the provider's `kid`.
    Stranger,
    /// HS256 with the provider's public key as the secret.
    HmacWithPublicKey,
    /// Nobody: `alg` is `none`.
    Nobody,
}

/// What the key document answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    Ok,
    /// Status 500.
    Error,
    /// JSON that breaks off.
    Garbage,
    /// 64 MiB.
    Huge,
    /// No answer at all.
    Silent,
}

/// How often each document was asked for.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub struct Counts {
    pub discovery: u64,
    pub keys: u64,
    pub token: u64,
}

impl OidcProvider {
    /// The audience that tokens carry unless configured otherwise.
    pub const AUDIENCE: &str = "https://jumpbag.example";

    /// Starts one on a free port; its tokens grant `Library.Manage` for an hour.
    pub async fn start() -> OidcProvider {
        let script = clients::script("oidc-provider.mjs");
        let mut command = clients::node();
        command.arg(script).arg(clients::node_modules_parent());
        let process = Process::spawn("oidc-provider", command);
        let ready = process.line(SOON, |line| serde_json::from_str(line).ok()).await;
        OidcProvider { ready, _process: process }
    }

    /// The `iss` of its tokens.
    pub fn issuer(&self) -> &str {
        &self.ready.issuer
    }

    /// The id of its one client.
    pub fn client_id(&self) -> &str {
        &self.ready.client_id
    }

    /// The secret of its one client.
    pub fn client_secret(&self) -> &str {
        &self.ready.client_secret
    }

    /// Lets people sign in, who are sent back there.
    pub async fn lead_back_to(&self, redirect_uri: &str) {
        self.configure(json!({ "redirect_uri": redirect_uri })).await;
    }

    /// What a browser does that was sent here: it follows, until it is sent elsewhere; where to.
    pub async fn visit(&self, address: &str) -> String {
        let mut browser = Browser::new(Client::new(plain_http(), self.issuer(), None));
        let mut address = address.to_owned();
        for _ in 0..10 {
            let path = match address.strip_prefix(self.issuer()) {
                Some(path) => path.to_owned(),
                None if address.starts_with('/') => address,
                None => return address,
            };
            let shown = browser.get(&path).await;
            let answer = &shown.answer;
            assert!((300..400).contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
            address = answer.header("location").expect("a place to go").to_owned();
        }
        panic!("sent around in circles, at last to {address}");
    }

    /// A token as a client gets it, from the token endpoint.
    pub async fn token(&self) -> String {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.ready.client_id),
            ("client_secret", &self.ready.client_secret),
        ];
        let call = plain_http().post(format!("{}/token", self.issuer())).form(&form);
        let answer = Answer::of(call, self.issuer()).await.expect("reach the provider").expect_status(200);
        answer.json()["access_token"].as_str().expect("an access token").to_string()
    }

    /// What tokens carry from now on: any of `roles`, `audience`, `lifetime` (seconds) and further `claims`.
    pub async fn configure(&self, settings: Value) {
        self.control("configure", settings).await;
    }

    /// How the key document behaves from now on.
    pub async fn keys_answer(&self, keys: Keys) {
        let keys = match keys {
            Keys::Ok => "ok",
            Keys::Error => "error",
            Keys::Garbage => "garbage",
            Keys::Huge => "huge",
            Keys::Silent => "silent",
        };
        self.control("configure", json!({ "keys": keys })).await;
    }

    /// Signs with a new key from now on and withdraws the old one.
    pub async fn rotate_keys(&self) {
        self.control("rotate", json!({ "keep": false })).await;
    }

    /// Signs with a new key from now on; the old one stays published.
    pub async fn add_key(&self) {
        self.control("rotate", json!({ "keep": true })).await;
    }

    /// Refuses connections until [`OidcProvider::up`].
    pub async fn down(&self) {
        self.control("down", json!({})).await;
    }

    /// Listens again, where it did before.
    pub async fn up(&self) {
        self.control("up", json!({})).await;
    }

    /// A token of any content: `claims` and `header` replace what an ordinary one has, null leaves a field out.
    pub async fn mint(&self, claims: Value, header: Value, sign: Sign) -> String {
        let sign = match sign {
            Sign::Real => "real",
            Sign::Stranger => "stranger",
            Sign::HmacWithPublicKey => "hmac",
            Sign::Nobody => "none",
        };
        let minted = self.control("mint", json!({ "claims": claims, "header": header, "sign": sign })).await;
        minted["token"].as_str().expect("a token").to_string()
    }

    /// A token that the provider itself signed, `claims` apart an ordinary one.
    pub async fn signed(&self, claims: Value) -> String {
        self.mint(claims, json!({}), Sign::Real).await
    }

    /// Signed by the provider, for somebody else.
    pub async fn wrong_audience(&self) -> String {
        self.signed(json!({ "aud": "https://elsewhere.example" })).await
    }

    /// Signed by the provider's key in another issuer's name.
    pub async fn wrong_issuer(&self) -> String {
        self.signed(json!({ "iss": "https://elsewhere.example" })).await
    }

    /// Over for an hour.
    pub async fn expired(&self) -> String {
        let now = chrono::Utc::now().timestamp();
        self.signed(json!({ "iat": now - 7200, "nbf": now - 7200, "exp": now - 3600 })).await
    }

    /// Good in an hour.
    pub async fn not_yet_valid(&self) -> String {
        let now = chrono::Utc::now().timestamp();
        self.signed(json!({ "nbf": now + 3600, "exp": now + 7200 })).await
    }

    /// How often its documents were asked for since it started.
    pub async fn counts(&self) -> Counts {
        serde_json::from_value(self.control("counts", json!({})).await).expect("three counts")
    }

    async fn control(&self, command: &str, body: Value) -> Value {
        let call = plain_http().post(format!("{}/{command}", self.ready.control)).body(body.to_string());
        Answer::of(call, &self.ready.control)
            .await
            .expect("reach the control endpoint")
            .expect_status(200)
            .json()
    }
}
