//! One-time codes: asked for where they are set up, and each good once.

use jumpbag_server::auth::secret::Hidden;
use jumpbag_server::auth::totp;
use jumpbag_wire::time::Timestamp;
use serde_json::json;

use super::{House, PASSWORD, add_user, claims, text, users};
use crate::support::browser::Shown;

async fn with_code(house: &House, name: &str, code: &str) -> Shown {
    let (mut browser, page) = (house.browser(), house.authorize(&[]));
    let shown = browser.get(&page).await;
    browser.submit(&page, &shown, &[("username", name), ("password", PASSWORD), ("code", code)]).await
}

fn code(secret: &str, steps: i64) -> String {
    totp::code(&Hidden::new(secret), Timestamp::now().secs() + 30 * steps).expect("a secret in base32")
}

#[tokio::test]
async fn a_code_is_needed_and_good_once() {
    let house = House::new().await;
    let added = add_user(&house.bag, "bob", &["--permission", "Library.Manage", "--totp"]).await;
    let secret = text(&added, "totp_secret");
    for wrong in ["", "000000x", &code(secret, 20)] {
        let shown = with_code(&house, "bob", wrong).await;
        assert_eq!(shown.answer.status, 403, "{wrong}");
        assert_eq!(shown.alert().as_deref(), Some("Name, password or one-time code is wrong."));
    }
    let now = code(secret, 0);
    let shown = with_code(&house, "bob", &now).await;
    let tokens = house.redeem(&shown.sent_with("code").expect("a code")).await.expect_status(200).json();
    assert_eq!(claims(text(&tokens, "id_token"))["amr"], json!(["pwd", "otp", "mfa"]));
    // Somebody who has read it along comes too late, and so does the one before.
    assert_eq!(with_code(&house, "bob", &now).await.answer.status, 403);
    assert_eq!(with_code(&house, "bob", &code(secret, -1)).await.answer.status, 403);
    assert!(with_code(&house, "bob", &code(secret, 1)).await.sent_with("code").is_some());

    // Another secret, and then none.
    let shown = users(&house.bag, &["totp", "bob", "--json"]).await;
    let next: serde_json::Value = serde_json::from_str(&shown).expect("one JSON object");
    assert_eq!(with_code(&house, "bob", &code(secret, 0)).await.answer.status, 403);
    assert!(with_code(&house, "bob", &code(text(&next, "totp_secret"), 0)).await.sent_with("code").is_some());
    users(&house.bag, &["totp", "bob", "--remove"]).await;
    assert!(with_code(&house, "bob", "").await.sent_with("code").is_some());
}

#[tokio::test]
async fn of_many_who_show_one_code_at_once_one_gets_in() {
    let house = House::new().await;
    let added = add_user(&house.bag, "bob", &["--totp"]).await;
    let code = code(text(&added, "totp_secret"), 0);
    let shown = futures_util::future::join_all((0..5).map(|_| with_code(&house, "bob", &code))).await;
    let mut statuses: Vec<_> = shown.iter().map(|shown| shown.answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 403, 403, 403, 403]);
}
