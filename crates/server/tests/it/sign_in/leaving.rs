//! Signing out: who is asked, what ends, and where the browser goes.

use url::form_urlencoded;

use super::{CALLBACK, House, text};

fn logout(house: &House, pairs: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("/{}/oauth2/v2.0/logout?{query}", house.tenant)
}

#[tokio::test]
async fn an_app_signs_its_user_out_by_the_id_token() {
    let house = House::new().await;
    let mut browser = house.browser();
    let code = house.code(&mut browser).await;
    let tokens = house.redeem(&code).await.expect_status(200).json();
    let page = logout(
        &house,
        &[
            ("id_token_hint", text(&tokens, "id_token")),
            ("post_logout_redirect_uri", CALLBACK),
            ("state", "s 1"),
        ],
    );
    let shown = browser.get(&page).await;
    assert_eq!(shown.sent_to(), format!("{CALLBACK}&state=s+1"));
    assert!(!browser.cookies.contains_key("jumpbag-session"));
    house.refresh(text(&tokens, "refresh_token")).await.expect_status(400);
    assert_eq!(browser.get(&house.authorize(&[])).await.answer.status, 200);
}

#[tokio::test]
async fn without_it_the_user_is_asked_and_no_other_site_answers() {
    let house = House::new().await;
    let mut browser = house.browser();
    house.code(&mut browser).await;
    // The id token of another session is nobody's word.
    let other = house.tokens().await;
    for pairs in [vec![], vec![("id_token_hint", text(&other, "id_token"))], vec![("id_token_hint", "x.y.z")]]
    {
        let shown = browser.get(&logout(&house, &pairs)).await;
        assert_eq!(shown.answer.status, 200);
        assert_eq!(shown.action.as_deref(), Some("logout"));
    }
    let page = logout(&house, &[("client_id", &house.app), ("post_logout_redirect_uri", CALLBACK)]);
    let shown = browser.get(&page).await;
    let crossed = browser.submit_as(&page, &shown, &[], &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!(crossed.answer.status, 403);
    assert!(browser.get(&house.authorize(&[])).await.sent_with("code").is_some());
    let left = browser.submit(&page, &shown, &[]).await;
    assert_eq!(left.sent_to(), CALLBACK);
    assert_eq!(browser.get(&house.authorize(&[])).await.answer.status, 200);
}

#[tokio::test]
async fn nobody_is_sent_where_no_app_lives() {
    let house = House::new().await;
    let tokens = house.tokens().await;
    for pairs in [
        vec![("post_logout_redirect_uri", CALLBACK)],
        vec![("client_id", "nobody"), ("post_logout_redirect_uri", CALLBACK)],
        vec![("client_id", house.app.as_str()), ("post_logout_redirect_uri", "https://evil.example/")],
        vec![("id_token_hint", text(&tokens, "access_token")), ("post_logout_redirect_uri", CALLBACK)],
    ] {
        let shown = house.browser().get(&logout(&house, &pairs)).await;
        assert_eq!((shown.answer.status, shown.answer.header("location")), (200, None), "{pairs:?}");
    }
}
