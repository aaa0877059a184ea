//! Refresh tokens, and what ends what a sign-in gave.

use serde_json::json;

use super::{House, PASSWORD, add_user, text, users};
use crate::support::poll::eventually;
use crate::support::postgres::postgres_database;
use crate::support::server::Jumpbag;

#[tokio::test]
async fn a_refresh_token_is_good_once_and_its_reuse_ends_the_sign_in() {
    let house = House::new().await;
    let first = house.tokens().await;
    let second = house.refresh(text(&first, "refresh_token")).await.expect_status(200).json();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    house.caller(&second).get("/api/libraryfiles").await.expect_status(200);
    let third = house.refresh(text(&second, "refresh_token")).await.expect_status(200).json();
    let reused = house.refresh(text(&first, "refresh_token")).await.expect_status(400).json();
    assert_eq!((&reused["error"], &reused["error_codes"]), (&json!("invalid_grant"), &json!([700_082])));
    house.refresh(text(&third, "refresh_token")).await.expect_status(400);
    for nonsense in ["", "x", "x.y", "00000000-0000-0000-0000-000000000000.jb_x", "\u{0}.\u{0}"] {
        house.refresh(nonsense).await.expect_status(400);
    }
}

#[tokio::test]
async fn another_app_cannot_use_it() {
    let house = House::new().await;
    let tokens = house.tokens().await;
    let thief = super::register(&house.bag, &["--public", "--permission", "Library.Manage"]).await;
    let thief = House { app: text(&thief, "client_id").to_owned(), ..house };
    thief.refresh(text(&tokens, "refresh_token")).await.expect_status(400);
}

/// A call that works now, and is refused within a second or two once `command` ran.
async fn ends(command: &[&str], status: u16) {
    let house = House::new().await;
    let tokens = house.tokens().await;
    let caller = house.caller(&tokens);
    caller.get("/api/libraryfiles").await.expect_status(200);
    users(&house.bag, command).await;
    eventually("the token counts no more", async || {
        (caller.get("/api/libraryfiles").await.status == status).then_some(())
    })
    .await;
    if status == 401 {
        house.refresh(text(&tokens, "refresh_token")).await.expect_status(400);
    }
}

const ADA: &str = "ada@contoso.example";

#[tokio::test]
async fn a_disabled_user_is_out() {
    ends(&["disable", ADA], 401).await;
}

#[tokio::test]
async fn a_removed_user_is_out() {
    ends(&["remove", ADA], 401).await;
}

#[tokio::test]
async fn ended_sessions_are_out() {
    ends(&["sessions", ADA, "--end"], 401).await;
}

#[tokio::test]
async fn permissions_that_were_taken_away_count_no_more() {
    ends(&["permissions", ADA, "--permission", "Audit.Read"], 403).await;
}

#[tokio::test]
async fn a_removed_apps_tokens_are_out() {
    let house = House::new().await;
    let tokens = house.tokens().await;
    let (status, _, stderr) = house.bag.command(&["clients", "remove", &house.app]).await;
    assert!(status.success(), "{stderr}");
    let caller = house.caller(&tokens);
    eventually("the token counts no more", async || {
        (caller.get("/api/libraryfiles").await.status == 401).then_some(())
    })
    .await;
    house.refresh(text(&tokens, "refresh_token")).await.expect_status(400);
}

#[tokio::test]
async fn a_new_password_ends_what_the_old_one_gave_and_lets_in() {
    let house = House::new().await;
    let mut browser = house.browser();
    let code = house.code(&mut browser).await;
    let tokens = house.redeem(&code).await.expect_status(200).json();
    let other = "another good password";
    let (ok, _, stderr) =
        house.bag.command_with_input(&["users", "password", ADA, "--password-stdin"], other).await;
    assert!(ok, "{stderr}");
    house.refresh(text(&tokens, "refresh_token")).await.expect_status(400);
    // The session has ended as well.
    let page = house.authorize(&[]);
    assert_eq!(browser.get(&page).await.answer.status, 200);
    assert_eq!(house.type_in(&mut browser, ADA, PASSWORD).await.answer.status, 403);
    assert!(house.type_in(&mut browser, ADA, other).await.sent_with("code").is_some());
}

#[tokio::test]
async fn two_nodes_share_sessions_codes_tokens_and_failures() {
    let database = postgres_database().await;
    let node = async || Jumpbag::options().set("database_url", &database.url).start().await;
    let (one, two) = (node().await, node().await);
    let house = House::on(one).await;
    add_user(&house.bag, "bob", &[]).await;
    let mut browser = house.browser();
    let code = house.code(&mut browser).await;
    // Code, session and refresh token of the one are good at the other, and each only once.
    let there = House { bag: two, tenant: house.tenant.clone(), app: house.app.clone() };
    let tokens = there.redeem(&code).await.expect_status(200).json();
    house.redeem(&code).await.expect_status(400);
    there.refresh(text(&tokens, "refresh_token")).await.expect_status(400);
    let shown = browser.at(there.bag.anonymous()).get(&house.authorize(&[])).await;
    let tokens = house.redeem(&shown.sent_with("code").expect("a code")).await.expect_status(200).json();
    let next = there.refresh(text(&tokens, "refresh_token")).await.expect_status(200).json();
    house.caller(&next).get("/api/libraryfiles").await.expect_status(200);
    there.caller(&next).get("/api/libraryfiles").await.expect_status(200);
    // At once on both, one refresh works at most, and nothing lives on.
    let shown = text(&next, "refresh_token");
    let answers = futures_util::future::join_all(
        (0..8).map(|n| if n % 2 == 0 { house.refresh(shown) } else { there.refresh(shown) }),
    )
    .await;
    let good: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(good.len(), 1, "{answers:?}");
    house.refresh(text(&good[0].json(), "refresh_token")).await.expect_status(400);
    // Failures on the one count on the other.
    for n in 0..6 {
        let at = if n % 2 == 0 { &house } else { &there };
        let shown = at.type_in(&mut at.browser(), "bob", "wrong wrong wrong").await;
        assert_eq!(shown.answer.status, if n < 5 { 403 } else { 429 }, "{n}");
    }
}
