//! Device codes: what the program is told, what the person sees, and who cannot say yes.

use serde_json::{Value, json};

use super::{House, PASSWORD, RESOURCE, claims, text, users};
use crate::support::browser::{Browser, Shown};
use crate::support::client::Answer;
use crate::support::poll::eventually;

const ADA: &str = "ada@contoso.example";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

async fn begin(house: &House, client: &str, scope: &str) -> Answer {
    let path = format!("/{}/oauth2/v2.0/devicecode", house.tenant);
    let form = [("client_id", client), ("scope", scope)];
    house.bag.anonymous().post(&path).with(|request| request.form(&form)).await
}

async fn waiting(house: &House) -> Value {
    let scope = format!("{RESOURCE}/.default offline_access openid");
    begin(house, "jumpbag-cli", &scope).await.expect_status(200).json()
}

async fn asks(house: &House, told: &Value) -> Answer {
    let path = format!("/{}/oauth2/v2.0/token", house.tenant);
    let form =
        [("grant_type", GRANT), ("client_id", "jumpbag-cli"), ("device_code", text(told, "device_code"))];
    house.bag.anonymous().post(&path).with(|request| request.form(&form)).await
}

/// A browser on the page, signed in.
async fn at_the_page(house: &House, path: &str) -> (Browser, Shown) {
    let mut browser = house.browser();
    let shown = browser.get(path).await;
    let filled = [("username", ADA), ("password", PASSWORD), ("decision", "sign-in")];
    let shown = browser.submit(path, &shown, &filled).await;
    assert_eq!(shown.answer.status, 200, "{}", shown.answer.text());
    (browser, shown)
}

#[tokio::test]
async fn a_person_says_yes_to_a_device() {
    let house = House::new().await;
    let told = waiting(&house).await;
    assert_eq!((&told["expires_in"], &told["interval"]), (&json!(900), &json!(5)));
    assert_eq!(text(&told, "verification_uri"), format!("{}/device", house.bag.url()));
    let pending = asks(&house, &told).await.expect_status(400).json();
    assert_eq!(pending["error"], "authorization_pending");
    let hasty = asks(&house, &told).await.expect_status(400).json();
    assert_eq!(hasty["error"], "slow_down");

    let page =
        text(&told, "verification_uri_complete").strip_prefix(&house.bag.url()).expect("here").to_owned();
    let (mut browser, shown) = at_the_page(&house, &page).await;
    assert_eq!(shown.fields["user_code"], text(&told, "user_code"));
    let shown = browser.submit(&page, &shown, &[("decision", "look")]).await;
    let html = shown.answer.text();
    for part in ["jumpbag command line", "127.0.0.1", "Manage live response library", ADA] {
        assert!(html.contains(part), "{part}: {html}");
    }
    let done = browser.submit(&page, &shown, &[("decision", "approve")]).await;
    assert!(done.answer.text().contains("It is connected"), "{}", done.answer.text());
    let again = browser.submit(&page, &shown, &[("decision", "approve")]).await;
    assert_eq!(again.answer.status, 400);

    let tokens = asks(&house, &told).await.expect_status(200).json();
    let access = claims(text(&tokens, "access_token"));
    assert_eq!((&access["scp"], &access["appid"]), (&json!("Library.Manage"), &json!("jumpbag-cli")));
    assert_eq!(claims(text(&tokens, "id_token"))["preferred_username"], ADA);
    house.caller(&tokens).get("/api/libraryfiles").await.expect_status(200);
    let once = asks(&house, &told).await.expect_status(400).json();
    assert_eq!(once["error"], "expired_token");
    let house = House { app: "jumpbag-cli".to_owned(), ..house };
    let next = house.refresh(text(&tokens, "refresh_token")).await.expect_status(200).json();
    users(&house.bag, &["disable", ADA]).await;
    eventually("the token counts no more", async || {
        (house.caller(&next).get("/api/libraryfiles").await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_person_says_no() {
    let house = House::new().await;
    let told = waiting(&house).await;
    let (mut browser, shown) = at_the_page(&house, "/device").await;
    // However it is typed.
    let typed = text(&told, "user_code").to_lowercase().replace('-', " ");
    let shown = browser.submit("/device", &shown, &[("user_code", &typed), ("decision", "look")]).await;
    let done = browser.submit("/device", &shown, &[("decision", "deny")]).await;
    assert!(done.answer.text().contains("turned away"), "{}", done.answer.text());
    assert_eq!(asks(&house, &told).await.expect_status(400).json()["error"], "access_denied");
}

#[tokio::test]
async fn nobody_says_yes_for_another() {
    let house = House::new().await;
    let told = waiting(&house).await;
    let code = text(&told, "user_code");
    // Without a session there is only the page to sign in on.
    let mut stranger = house.browser();
    let shown = stranger.get("/device").await;
    let shown = stranger.submit("/device", &shown, &[("user_code", code), ("decision", "approve")]).await;
    assert!(shown.answer.text().contains("Sign in"), "{}", shown.answer.text());
    // Another site cannot press the button.
    let (mut browser, shown) = at_the_page(&house, "/device").await;
    let shown = browser.submit("/device", &shown, &[("user_code", code), ("decision", "look")]).await;
    for headers in [[("sec-fetch-site", "cross-site")], [("origin", "https://evil.example")]] {
        let refused = browser.submit_as("/device", &shown, &[("decision", "approve")], &headers).await;
        assert_eq!(refused.answer.status, 403);
    }
    let refused = browser.submit("/device", &shown, &[("decision", "approve"), ("form_token", "x")]).await;
    assert_eq!(refused.answer.status, 403);
    assert_eq!(asks(&house, &told).await.json()["error"], "authorization_pending");
}

#[tokio::test]
async fn codes_are_not_guessed() {
    let house = House::new().await;
    let told = waiting(&house).await;
    let (mut browser, mut shown) = at_the_page(&house, "/device").await;
    for n in 0..5 {
        shown = browser.submit("/device", &shown, &[("user_code", "BBBB-BBBB"), ("decision", "look")]).await;
        assert_eq!(shown.answer.status, 400, "{n}");
    }
    let code = text(&told, "user_code");
    let slowed = browser.submit("/device", &shown, &[("user_code", code), ("decision", "look")]).await;
    assert_eq!(slowed.answer.status, 429);
}

#[tokio::test]
async fn only_public_apps_may_ask_and_for_what_there_is() {
    let house = House::new().await;
    let secret = super::register(&house.bag, &["--permission", "Library.Manage"]).await;
    let good = format!("{RESOURCE}/.default");
    for (client, scope, error) in [
        ("nobody", good.as_str(), "unauthorized_client"),
        (text(&secret, "client_id"), &good, "unauthorized_client"),
        ("jumpbag-cli", "", "invalid_request"),
        ("jumpbag-cli", "Mail.Read", "invalid_scope"),
        ("", &good, "invalid_request"),
    ] {
        let refused = begin(&house, client, scope).await.expect_status(400).json();
        assert_eq!(refused["error"], error, "{client} {scope}");
    }
    begin(&house, &house.app, &good).await.expect_status(200);
    // A device's code is its app's.
    let told = waiting(&house).await;
    let form = [("grant_type", GRANT), ("device_code", text(&told, "device_code"))];
    assert_eq!(house.token(&form).await.expect_status(400).json()["error"], "expired_token");
    assert_eq!(asks(&house, &told).await.json()["error"], "authorization_pending");
}
