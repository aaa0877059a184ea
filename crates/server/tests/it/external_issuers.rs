//! Tokens of a real OpenID provider elsewhere: let in by role and scope, kept out by everything that is wrong with one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::client::{Answer, Client};
use crate::support::oidc::{Keys, OidcProvider, Sign};
use crate::support::server::{Jumpbag, Options};

/// A server that believes these providers; `more` is written into each one's table.
fn trusting(providers: &[&OidcProvider], more: &str) -> Options {
    let table = |provider: &&OidcProvider| {
        format!(
            "{{ issuer = \"{}\", audiences = [\"{}\"], allow_http_loopback = true{more} }}",
            provider.issuer(),
            OidcProvider::AUDIENCE
        )
    };
    let tables: Vec<_> = providers.iter().map(table).collect();
    Jumpbag::options().config(&format!("issuers = [{}]\n", tables.join(", "))).set("rate_limits", false)
}

async fn list(bag: &Jumpbag, token: &str) -> Answer {
    caller(bag, token).get("/api/libraryfiles").await
}

fn caller(bag: &Jumpbag, token: &str) -> Client {
    bag.anonymous().with_token(token)
}

/// 401 with the envelope and a challenge that gives the same reason.
fn assert_refused(answer: Answer, reason: &str) {
    let answer = answer.expect_status(401);
    assert_eq!(answer.error_code(), "Unauthorized");
    assert_eq!(answer.error_message(), format!("Unauthorized request - reason of failure: {reason}"));
    let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{reason}\"");
    assert_eq!(answer.header("www-authenticate"), Some(challenge.as_str()));
    assert_eq!(answer.header("request-id"), answer.json()["error"]["target"].as_str());
}

const UNKNOWN_KEY: &str = "the token's signing key is not one of its issuer's";
const SIGNATURE: &str = "the token's signature is not valid";
const ALGORITHM: &str = "the token's signature algorithm is not accepted";
const SHAPE: &str = "the token is not a signed JWT";

#[tokio::test]
async fn apps_and_users_are_let_in_by_role_and_scope() {
    let provider = OidcProvider::start().await;
    let bag = trusting(&[&provider], "").start().await;
    let user = json!({ "client_id": null, "sub": "u-1", "name": "Ada Lovelace", "roles": null });
    let with = |name: &str, value: Value| {
        let mut claims = user.clone();
        claims[name] = value;
        claims
    };
    let tokens = [
        ("an-app.ps1", provider.client_id(), provider.token().await),
        ("a-role.ps1", "Ada Lovelace", provider.signed(with("roles", json!(["Library.Manage"]))).await),
        ("scp.ps1", "Ada Lovelace", provider.signed(with("scp", json!("openid Library.Manage"))).await),
        ("scope.ps1", "Ada Lovelace", provider.signed(with("scope", json!("Library.Manage email"))).await),
        ("scope-list.ps1", "Ada Lovelace", provider.signed(with("scope", json!(["Library.Manage"]))).await),
    ];
    for (name, author, token) in &tokens {
        list(&bag, token).await.expect_status(200);
        let file = caller(&bag, token).upload(name, "1").await.expect_status(200).json();
        assert_eq!(file["createdBy"], *author, "{name}");
    }
    assert_eq!(bag.names().await.len(), tokens.len());
    assert_eq!(provider.counts().await.keys, 1, "the keys are fetched once and kept");
}

#[tokio::test]
async fn settings_say_where_an_issuer_keeps_what_counts() {
    let provider = OidcProvider::start().await;
    let more = ", roles_claim = \"realm_access.roles\", scopes_claim = \"perms\", name_claim = \"given\"";
    let bag = trusting(&[&provider], more).start().await;
    let user = |more: Value| {
        let mut claims = json!({ "client_id": null, "sub": "u-1", "roles": null, "given": "Grace" });
        claims.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        claims
    };
    for (status, claims) in [
        (200, json!({ "realm_access": { "roles": ["Library.Manage"] } })),
        (200, json!({ "perms": "Library.Manage" })),
        (403, json!({ "roles": ["Library.Manage"], "scp": "Library.Manage" })),
        (401, json!({ "realm_access": { "roles": "Library.Manage" } })),
    ] {
        let token = provider.signed(user(claims)).await;
        list(&bag, &token).await.expect_status(status);
    }
    let token = provider.signed(user(json!({ "perms": "Library.Manage" }))).await;
    let file = caller(&bag, &token).upload("a.ps1", "1").await.expect_status(200).json();
    assert_eq!(file["createdBy"], "Grace");
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_told() {
    let provider = OidcProvider::start().await;
    let bag = trusting(&[&provider], "").start().await;
    let good = provider.token().await;
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let (header, payload) = signed.split_once('.').expect("three parts");
    let other_claims = URL_SAFE_NO_PAD.encode(
        json!({ "iss": provider.issuer(), "aud": OidcProvider::AUDIENCE,
        "sub": "x", "roles": ["Library.Manage"], "exp": 4_000_000_000_i64 })
        .to_string(),
    );
    let named = async |header: Value| provider.mint(json!({}), header, Sign::Real).await;
    let cases = [
        ("the token is for another audience", provider.wrong_audience().await),
        ("the token is for another audience", provider.signed(json!({ "aud": [] })).await),
        ("the token's claims are not valid", provider.signed(json!({ "aud": null })).await),
        ("the token's issuer is not known here", provider.wrong_issuer().await),
        (
            "the token's issuer is not known here",
            provider.signed(json!({ "iss": format!("{}/", provider.issuer()) })).await,
        ),
        ("the token's issuer is not known here", provider.signed(json!({ "iss": null })).await),
        ("the token is expired", provider.expired().await),
        ("the token's claims are not valid", provider.signed(json!({ "exp": null })).await),
        ("the token's claims are not valid", provider.signed(json!({ "exp": "4000000000" })).await),
        ("the token is not valid yet", provider.not_yet_valid().await),
        (ALGORITHM, provider.mint(json!({}), json!({}), Sign::Nobody).await),
        (ALGORITHM, provider.mint(json!({}), json!({ "alg": "NONE" }), Sign::Nobody).await),
        (ALGORITHM, provider.mint(json!({}), json!({}), Sign::HmacWithPublicKey).await),
        (SIGNATURE, provider.mint(json!({}), json!({}), Sign::Stranger).await),
        (SIGNATURE, format!("{header}.{other_claims}.{signature}")),
        (SIGNATURE, format!("{signed}.{}", &signature[..signature.len() - 8])),
        (SHAPE, format!("{signed}.")),
        (SHAPE, signed.to_owned()),
        (SHAPE, format!("{good}.{signature}")),
        (
            "the token's claims are not valid",
            format!("{header}.{}.{signature}", &payload[..payload.len() / 2 / 4 * 4]),
        ),
        (
            "the token's header is not valid",
            format!("{}.{payload}.{signature}", &header[..header.len() / 2 / 4 * 4]),
        ),
        ("the token's header is not valid", named(json!({ "typ": "logout+jwt" })).await),
        (UNKNOWN_KEY, named(json!({ "kid": "../../../../etc/passwd" })).await),
        (UNKNOWN_KEY, named(json!({ "kid": "http://169.254.169.254/latest" })).await),
        (UNKNOWN_KEY, named(json!({ "kid": "' or '1'='1" })).await),
        (UNKNOWN_KEY, named(json!({ "kid": "" })).await),
    ];
    for (reason, token) in cases {
        assert_refused(list(&bag, &token).await, reason);
    }
    // Longer than any field of a header may be here: refused before it is a token.
    let long = caller(&bag, &"a".repeat(100_000)).get("/api/libraryfiles").attempt().await;
    assert!(long.is_err() || long.is_ok_and(|answer| answer.status == 431));
    assert_refused(list(&bag, &"a.".repeat(10_000)).await, "the token is longer than 16 KiB");
    list(&bag, &good).await.expect_status(200);
    assert!(bag.names().await.is_empty());
}

#[tokio::test]
async fn keys_in_the_token_itself_or_where_it_points_are_not_believed() {
    let (provider, stranger) = (OidcProvider::start().await, OidcProvider::start().await);
    let bag = trusting(&[&provider], "").start().await;
    list(&bag, &provider.token().await).await.expect_status(200);
    let keys = format!("{}/jwks", stranger.issuer());
    for header in
        [json!({ "jku": keys, "kid": "x" }), json!({ "x5u": keys, "kid": "x" }), json!({ "kid": keys })]
    {
        let token = stranger.mint(json!({ "iss": provider.issuer() }), header, Sign::Real).await;
        assert_refused(list(&bag, &token).await, UNKNOWN_KEY);
    }
    assert_eq!(stranger.counts().await.keys, 0, "nobody asked for the stranger's keys");
}

#[tokio::test]
async fn rotated_keys_are_found_and_withdrawn_ones_forgotten() {
    let provider = OidcProvider::start().await;
    // One server for each rotation: keys are not fetched twice within half a minute.
    for withdraw in [false, true] {
        let old = provider.token().await;
        let bag = trusting(&[&provider], "").start().await;
        if withdraw {
            provider.rotate_keys().await;
        } else {
            provider.add_key().await;
        }
        let new = provider.token().await;
        list(&bag, &new).await.expect_status(200);
        match withdraw {
            false => drop(list(&bag, &old).await.expect_status(200)),
            true => assert_refused(list(&bag, &old).await, UNKNOWN_KEY),
        }
    }
}

#[tokio::test]
async fn keys_known_before_go_on_while_their_issuer_is_down() {
    let (provider, other) = (OidcProvider::start().await, OidcProvider::start().await);
    let bag = trusting(&[&provider, &other], "").start().await;
    let (first, second) = (provider.token().await, provider.token().await);
    list(&bag, &first).await.expect_status(200);
    let unknown = provider.mint(json!({}), json!({ "kid": "unheard-of" }), Sign::Real).await;
    provider.down().await;
    list(&bag, &first).await.expect_status(200);
    list(&bag, &second).await.expect_status(200);
    for _ in 0..3 {
        assert_refused(list(&bag, &unknown).await, UNKNOWN_KEY);
    }
    list(&bag, &other.token().await).await.expect_status(200);
    bag.upload("a.ps1", "by the embedded issuer").await.expect_status(200);
    provider.up().await;
    list(&bag, &provider.token().await).await.expect_status(200);
}

#[tokio::test]
async fn an_issuer_that_was_never_reached_keeps_nobody_else_out() {
    let (broken, other) = (OidcProvider::start().await, OidcProvider::start().await);
    for keys in [Keys::Error, Keys::Garbage, Keys::Huge] {
        broken.keys_answer(keys).await;
        let bag = trusting(&[&broken, &other], "").start().await;
        let refused = list(&bag, &broken.token().await).await;
        assert_refused(refused, "the keys of the token's issuer cannot be had now");
        list(&bag, &other.token().await).await.expect_status(200);
        bag.logged(&["cannot fetch an issuer's keys", broken.issuer()]).await;
    }
    // One that never answers: others do not wait behind it.
    broken.keys_answer(Keys::Silent).await;
    let bag = trusting(&[&broken, &other], "").start().await;
    let token = broken.token().await;
    let mut stuck = std::pin::pin!(list(&bag, &token));
    let others = async {
        list(&bag, &other.token().await).await.expect_status(200);
        bag.list().await.expect_status(200);
    };
    tokio::select! {
        biased;
        answer = &mut stuck => panic!("answered before the issuer's time was up: {}", answer.text()),
        () = others => {}
    }
    assert_refused(stuck.await, "the keys of the token's issuer cannot be had now");
}

#[tokio::test]
async fn an_issuer_may_be_called_like_this_tenant() {
    let provider = OidcProvider::start().await;
    let alias = "https://login.example/contoso.example/v2.0";
    let options = Jumpbag::options().config(&format!(
        "tenant_names = [\"contoso.example\"]\n\
         issuers = [{{ issuer = \"{}\", aliases = [\"{alias}\"], audiences = [\"{}\"], allow_http_loopback = true }}]\n",
        provider.issuer(),
        OidcProvider::AUDIENCE
    ));
    let bag = options.start().await;
    list(&bag, &provider.signed(json!({ "iss": alias })).await).await.expect_status(200);
    bag.list().await.expect_status(200);
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_the_start() {
    for (table, problem) in [
        ("{ issuer = \"http://login.example\", audiences = [\"a\"] }", "must be an https address"),
        (
            "{ issuer = \"http://login.example\", audiences = [\"a\"], allow_http_loopback = true }",
            "http only on loopback",
        ),
        ("{ issuer = \"https://login.example\", audiences = [] }", "`audiences` is empty"),
        ("{ issuer = \"https://login.example\" }", "audiences"),
        ("{ issuer = \"https://login.example\", audiences = [\"a\"], audience = \"b\" }", "audience"),
    ] {
        let options = Jumpbag::options().config(&format!("issuers = [{table}]\n"));
        let (status, stderr) = options.fail_to_start().await;
        assert!(!status.success() && stderr.contains("`issuers`") && stderr.contains(problem), "{stderr}");
    }
}
