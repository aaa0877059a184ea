//! How long tokens, secrets and clients are good for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{ask, assert_works, token};
use crate::support::SOON;
use crate::support::server::{Jumpbag, Registration};

#[tokio::test]
async fn keys_are_rotated_while_their_tokens_live_on() {
    let bag = Jumpbag::start().await;
    let app = bag.register("app", &["Library.Manage"]).await;
    let kid = |token: &str| {
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().expect("a header")).expect("base64url");
        serde_json::from_slice::<Value>(&header).expect("JSON")["kid"].clone()
    };
    let old = token(ask(&bag, &app, &[]).await);
    let (status, stdout, stderr) = bag.command(&["keys", "rotate"]).await;
    assert!(status.success(), "{stderr}");
    let wanted = stdout.strip_prefix("new signing key: ").expect("the new key's id").to_owned();
    let new = until("tokens are signed with the new key", async || {
        Some(token(ask(&bag, &app, &[]).await)).filter(|token| kid(token) == wanted)
    })
    .await;
    assert_ne!(kid(&old), kid(&new));
    assert_works(&bag, &old).await;
    assert_works(&bag, &new).await;
    let keys = bag.anonymous().get(&format!("/{}/discovery/keys", app.tenant)).await.json();
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(2));
    bag.restart().await;
    assert_works(&bag, &old).await;
}

/// Asks again until there is something, for states that come within a second and announce themselves to nobody.
async fn until<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
        }
    };
    tokio::time::timeout(SOON, asking).await.unwrap_or_else(|_| panic!("never: {what}"))
}

#[tokio::test]
async fn a_rotated_secret_stays_good_for_as_long_as_told() {
    let bag = Jumpbag::start().await;
    let first = bag.register("app", &["Library.Manage"]).await;
    let rotate = async |keep: &[&str]| -> Registration {
        let arguments = [&["clients", "rotate", &first.client_id, "--json"], keep].concat();
        let (status, stdout, stderr) = bag.command(&arguments).await;
        assert!(status.success(), "{stderr}");
        serde_json::from_str(&stdout).expect("JSON")
    };
    let second = rotate(&["--keep-old", "24"]).await;
    assert_ne!(first.client_secret, second.client_secret);
    for app in [&first, &second] {
        ask(&bag, app, &[]).await.expect_status(200);
    }
    let third = rotate(&[]).await;
    ask(&bag, &third, &[]).await.expect_status(200);
    for app in [&first, &second] {
        let refused = ask(&bag, app, &[]).await.expect_status(401);
        assert_eq!(refused.json()["error_codes"], json!([7000222]));
    }
    let (status, _, stderr) = bag.command(&["clients", "rotate", "nobody"]).await;
    assert!(!status.success() && stderr.contains("`nobody`"), "{stderr}");
}

#[tokio::test]
async fn a_client_ends_with_its_time_and_takes_its_tokens_along() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let arguments = ["clients", "add", "brief", "--permission", "Library.Manage", "--json", "--expires"];
    for bad in ["2001-01-01", "tomorrow"] {
        let (status, _, stderr) = bag.command(&[&arguments[..], &[bad]].concat()).await;
        assert!(!status.success() && stderr.contains(bad), "{stderr}");
    }
    let (status, stdout, stderr) = bag.command(&[&arguments[..], &["2099-12-31"]].concat()).await;
    assert!(status.success(), "{stderr}");
    let app: Registration = serde_json::from_str(&stdout).expect("JSON");
    let token = token(ask(&bag, &app, &[]).await);
    assert_works(&bag, &token).await;

    let database = rusqlite::Connection::open(bag.data_dir().join("catalog.db")).expect("the database");
    let ended = database.execute("update clients set expires_at = 1 where id = ?1", [&app.client_id]);
    assert_eq!(ended, Ok(1));
    let refused = ask(&bag, &app, &[]).await.expect_status(400).json();
    assert_eq!(
        (&refused["error"], &refused["error_codes"]),
        (&json!("unauthorized_client"), &json!([7000112]))
    );
    assert_gone(&bag, &token).await;
}

#[tokio::test]
async fn a_removed_client_takes_its_tokens_along_and_its_id_is_spent() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let app = bag.register("app", &["Library.Manage"]).await;
    let token = token(ask(&bag, &app, &[]).await);
    assert_works(&bag, &token).await;
    let (status, _, stderr) = bag.command(&["clients", "remove", &app.client_id]).await;
    assert!(status.success(), "{stderr}");
    assert_gone(&bag, &token).await;
    let refused = ask(&bag, &app, &[]).await.expect_status(400);
    assert_eq!(refused.json()["error_codes"], json!([700016]));
    let again = ["clients", "add", "again", "--permission", "Library.Manage", "--id", &app.client_id];
    let (status, _, stderr) = bag.command(&again).await;
    assert!(!status.success() && stderr.contains(&app.client_id), "{stderr}");
    bag.restart().await;
    assert_gone(&bag, &token).await;
}

/// A token stops counting at once, which here means within a second.
async fn assert_gone(bag: &Jumpbag, token: &str) {
    let refused = until("the token counts no more", async || {
        let answer = bag.anonymous().with_token(token).get("/api/libraryfiles").await;
        Some(answer).filter(|answer| answer.status != 200)
    })
    .await
    .expect_status(401);
    assert_eq!(refused.error_code(), "Unauthorized");
    let challenge = refused.header("www-authenticate").unwrap_or_default();
    assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{challenge}");
}
