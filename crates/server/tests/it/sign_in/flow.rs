//! The code flow as it should go, and every way in which an app or a code is not what it should be.

use serde_json::{Value, json};

use super::{CALLBACK, House, PASSWORD, VERIFIER, claims, register, text};
use crate::support::clients::python;
use crate::support::server::Jumpbag;

#[tokio::test]
async fn a_user_signs_in_and_the_app_calls_in_the_users_name() {
    let house = House::new().await;
    let mut browser = house.browser();
    let shown = house.type_in(&mut browser, "ADA@contoso.example", PASSWORD).await;
    let to = shown.sent_to();
    assert!(to.starts_with(&format!("{CALLBACK}&code=jb_")), "{to}");
    assert_eq!(shown.sent_with("state").as_deref(), Some("state & more"));
    let issuer = format!("{}/{}/v2.0", house.bag.url(), house.tenant);
    assert_eq!(shown.sent_with("iss").as_ref(), Some(&issuer));
    let code = shown.sent_with("code").expect("a code");
    let answer = house.redeem(&code).await.expect_status(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let tokens = answer.json();
    assert_eq!(tokens["scope"], format!("openid offline_access {}/Library.Manage", super::RESOURCE));

    let id = claims(text(&tokens, "id_token"));
    assert_eq!((id["iss"].as_str(), id["aud"].as_str()), (Some(issuer.as_str()), Some(house.app.as_str())));
    assert_eq!(
        (&id["name"], &id["preferred_username"], &id["nonce"]),
        (&json!("Ada Lovelace"), &json!("ada@contoso.example"), &json!("n-1"))
    );
    let access = claims(text(&tokens, "access_token"));
    assert_eq!((&access["scp"], &access["upn"]), (&json!("Library.Manage"), &json!("ada@contoso.example")));
    assert_eq!((&access["sub"], &access["oid"], &access["sid"]), (&id["sub"], &id["oid"], &id["sid"]));
    assert_eq!(access["iss"], format!("{}/{}/", house.bag.url(), house.tenant));

    let caller = house.caller(&tokens);
    let file = caller.upload("by-ada.ps1", "x").await.expect_status(200).json();
    assert_eq!(file["createdBy"], "Ada Lovelace");
    // An id token is for the app.
    let with_id = house.bag.anonymous().with_token(text(&tokens, "id_token"));
    with_id.get("/api/libraryfiles").await.expect_status(401);
}

#[tokio::test]
async fn a_session_signs_in_to_the_next_app_without_a_page() {
    let house = House::new().await;
    let mut browser = house.browser();
    // Nobody has signed in.
    let page = house.authorize(&[("prompt", "none")]);
    let none = browser.get(&page).await;
    assert_eq!(none.sent_with("error").as_deref(), Some("login_required"));
    assert_eq!(none.sent_with("state").as_deref(), Some("state & more"));

    let first = house.code(&mut browser).await;
    let again = browser.get(&page).await.sent_with("code").expect("a code");
    assert_ne!(first, again);
    house.redeem(&again).await.expect_status(200);
    assert_eq!(browser.get(&house.authorize(&[])).await.answer.status, 303);
    // An app may want a sign-in of now, and a stateless one gets no state back.
    for changes in [[("prompt", "login")], [("max_age", "0")]] {
        let shown = browser.get(&house.authorize(&changes)).await;
        assert_eq!(shown.answer.status, 200, "{changes:?}");
        assert_eq!(shown.action.as_deref(), Some("authorize"));
    }
    let stateless = browser.get(&house.authorize(&[("state", "")])).await;
    assert!(stateless.sent_with("code").is_some() && stateless.sent_with("state").is_none());
}

#[tokio::test]
async fn a_code_is_good_once_for_its_app_its_address_and_its_verifier() {
    let house = House::new().await;
    let mut browser = house.browser();
    let stranger = register(&house.bag, &["--public", "--permission", "Library.Read"]).await;
    let good = |code: &str| {
        [
            ("grant_type", "authorization_code".to_owned()),
            ("client_id", house.app.clone()),
            ("code", code.to_owned()),
            ("redirect_uri", CALLBACK.to_owned()),
            ("code_verifier", VERIFIER.to_owned()),
        ]
    };
    let path = format!("/{}/oauth2/v2.0/token", house.tenant);
    for (name, value, number) in [
        ("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK", 501_481),
        ("redirect_uri", "http://127.0.0.1:8400/callback", 500_112),
        ("client_id", text(&stranger, "client_id"), 70008),
        ("code", "jb_nobody", 70008),
    ] {
        let code = house.code(&mut house.browser()).await;
        let mut fields = good(&code);
        fields.iter_mut().filter(|(given, _)| *given == name).for_each(|field| field.1 = value.to_owned());
        let answer = house.bag.anonymous().post(&path).with(|request| request.form(&fields)).await;
        assert_eq!(answer.status, 400, "{name}");
        assert_eq!(
            (&answer.json()["error"], &answer.json()["error_codes"]),
            (&json!("invalid_grant"), &json!([number])),
            "{name}"
        );
        if name != "code" {
            // Whoever shows it uses it up, rightly or not.
            assert_eq!(house.redeem(&code).await.expect_status(400).json()["error_codes"], json!([54005]));
        }
    }
    let code = house.code(&mut browser).await;
    let tokens = house.redeem(&code).await.expect_status(200).json();
    assert_eq!(house.redeem(&code).await.expect_status(400).json()["error"], "invalid_grant");
    // The second time ended what came of the first.
    house.refresh(text(&tokens, "refresh_token")).await.expect_status(400);
}

#[tokio::test]
async fn an_app_gets_no_more_than_its_user_and_its_registration_have() {
    let house = House::new().await;
    super::add_user(&house.bag, "bob", &["--permission", "Library.Read", "--permission", "Machine.Read"])
        .await;
    for (scope, granted) in
        [(format!("{}/.default", super::RESOURCE), ""), (format!("{}/Library.Manage", super::RESOURCE), "")]
    {
        let mut browser = house.browser();
        let page = house.authorize(&[("scope", &scope)]);
        let shown = browser.get(&page).await;
        let shown = browser.submit(&page, &shown, &[("username", "bob"), ("password", PASSWORD)]).await;
        let tokens = house.redeem(&shown.sent_with("code").expect("a code")).await.expect_status(200).json();
        assert_eq!(claims(text(&tokens, "access_token"))["scp"], granted, "{scope}");
        assert_eq!((&tokens["refresh_token"], &tokens["id_token"]), (&Value::Null, &Value::Null));
        let refused = house.caller(&tokens).get("/api/libraryfiles").await.expect_status(403);
        assert!(refused.error_message().contains("Missing delegated scopes"), "{}", refused.error_message());
    }
}

#[tokio::test]
async fn a_confidential_app_proves_itself_too() {
    let house = House::new().await;
    let app = register(&house.bag, &["--permission", "Library.Manage"]).await;
    let (id, secret) = (text(&app, "client_id").to_owned(), text(&app, "client_secret").to_owned());
    let house = House { app: id, ..house };
    let code = house.code(&mut house.browser()).await;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let without = house.token(&fields).await.expect_status(401);
    assert_eq!(without.json()["error"], "invalid_client");
    let proving: Vec<_> = fields.iter().copied().chain([("client_secret", secret.as_str())]).collect();
    let tokens = house.token(&proving).await.expect_status(200).json();
    assert_eq!(claims(text(&tokens, "access_token"))["appidacr"], "1");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_to_the_app_or_to_nobody_but_the_user() {
    let house = House::new().await;
    let mut browser = house.browser();
    for (changes, error) in [
        (vec![("response_type", "token")], "unsupported_response_type"),
        (vec![("code_challenge", "")], "invalid_request"),
        (vec![("code_challenge_method", "plain")], "invalid_request"),
        (vec![("scope", "openid Mail.Read")], "invalid_scope"),
        (vec![("scope", "")], "invalid_scope"),
        (vec![("request_uri", "https://evil.example")], "request_uri_not_supported"),
    ] {
        let shown = browser.get(&house.authorize(&changes)).await;
        assert!(shown.sent_to().starts_with(CALLBACK), "{changes:?}");
        assert_eq!(shown.sent_with("error").as_deref(), Some(error), "{changes:?}");
        assert_eq!(shown.sent_with("state").as_deref(), Some("state & more"), "{changes:?}");
    }
    for changes in [
        vec![("client_id", "nobody")],
        vec![("client_id", "")],
        vec![("client_id", "jumpbag-cli")],
        vec![("redirect_uri", "")],
        vec![("redirect_uri", "https://evil.example/")],
        vec![("redirect_uri", "http://127.0.0.1:8400/callback?from=jumpbag&x")],
        vec![("redirect_uri", "http://127.0.0.1:8401/callback?from=jumpbag")],
        vec![("redirect_uri", "HTTP://127.0.0.1:8400/callback?from=jumpbag")],
        vec![("redirect_uri", "http://127.0.0.1:8400/callback/../x?from=jumpbag")],
    ] {
        let shown = browser.get(&house.authorize(&changes)).await;
        assert_eq!(shown.answer.status, 400, "{changes:?}");
        assert_eq!(shown.answer.header("location"), None, "{changes:?}");
        assert!(shown.alert().is_some(), "{changes:?}");
    }
    let other = house.authorize(&[]).replace(&house.tenant, "contoso.example");
    assert_eq!(browser.get(&other).await.answer.status, 400);
}

#[tokio::test]
async fn msal_signs_a_user_in_and_refreshes() {
    let house = House::on(Jumpbag::options().tls().start().await).await;
    let script = python("msal_user.py")
        .env("BASE_URL", house.bag.url())
        .env("REQUESTS_CA_BUNDLE", house.bag.ca_file())
        .env("TENANT", &house.tenant)
        .env("CLIENT_ID", &house.app)
        .env("REDIRECT_URI", CALLBACK)
        .env("USERNAME", "ada@contoso.example")
        .env("PASSWORD", PASSWORD);
    let told = script.run().await.json();
    assert_eq!(told["account"], "ada@contoso.example", "{told}");
    assert_eq!(told["name"], "Ada Lovelace", "{told}");
    assert_eq!(told["list"], 200, "{told}");
    assert_eq!(told["list_refreshed"], 200, "{told}");
    assert_ne!(told["first"], told["second"], "{told}");
}
