//! What an attacker would try at the sign-in: guesses, forged forms, fixed sessions, frames, injected HTML.

use super::{CALLBACK, House, PASSWORD, add_user, users};
use crate::support::poll::eventually;
use crate::support::server::Jumpbag;

const ADA: &str = "ada@contoso.example";
const WRONG: &str = "wrong horse battery";

#[tokio::test]
async fn guesses_are_slowed_and_tell_nothing() {
    let house = House::new().await;
    add_user(&house.bag, "off", &[]).await;
    users(&house.bag, &["disable", "off"]).await;
    let mut told = Vec::new();
    for (name, password) in
        [(ADA, WRONG), ("nobody", WRONG), ("off", PASSWORD), ("", ""), ("a\u{0}b", "\u{0}")]
    {
        let shown = house.type_in(&mut house.browser(), name, password).await;
        assert_eq!(shown.answer.status, 403, "{name:?}");
        told.push(shown.alert());
    }
    told.dedup();
    assert_eq!(told, [Some("Name, password or one-time code is wrong.".to_owned())]);
    for name in [ADA, "nobody"] {
        for _ in 1..5 {
            assert_eq!(house.type_in(&mut house.browser(), name, WRONG).await.answer.status, 403);
        }
        // Right or wrong, known or not, the sixth has to wait.
        let shown = house.type_in(&mut house.browser(), name, PASSWORD).await;
        assert_eq!(shown.answer.status, 429, "{name}");
        assert!(shown.answer.header("retry-after").is_some());
    }
    // A restart forgets nothing, and the wait ends by itself.
    let mut browser = house.browser();
    eventually("the right password works again", async || {
        let shown = house.type_in(&mut house.browser(), ADA, PASSWORD).await;
        (shown.answer.status == 303).then_some(())
    })
    .await;
    assert!(house.type_in(&mut browser, ADA, PASSWORD).await.sent_with("code").is_some());
}

#[tokio::test]
async fn failures_outlive_a_restart() {
    let house = House::new().await;
    for _ in 0..7 {
        let shown = house.type_in(&mut house.browser(), ADA, WRONG).await;
        if shown.answer.status == 429 {
            break;
        }
    }
    // The wait doubles with each failure: fail on until it is longer than a restart takes.
    eventually("a long wait", async || {
        let shown = house.type_in(&mut house.browser(), ADA, WRONG).await;
        let wait: u64 = shown.answer.header("retry-after")?.parse().ok()?;
        (wait >= 3).then_some(())
    })
    .await;
    house.bag.restart().await;
    assert_eq!(house.type_in(&mut house.browser(), ADA, PASSWORD).await.answer.status, 429);
}

#[tokio::test]
async fn one_address_does_not_guess_at_many_names() {
    let house = House::new().await;
    for n in 0..20 {
        let shown = house.type_in(&mut house.browser(), &format!("user{n}"), WRONG).await;
        assert_eq!(shown.answer.status, 403, "{n}");
    }
    assert_eq!(house.type_in(&mut house.browser(), ADA, PASSWORD).await.answer.status, 429);
}

#[tokio::test]
async fn forms_of_other_sites_do_nothing() {
    let house = House::new().await;
    let mut browser = house.browser();
    let page = house.authorize(&[]);
    let shown = browser.get(&page).await;
    let filled = [("username", ADA), ("password", PASSWORD)];
    for headers in [
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site")],
        [("sec-fetch-site", "none")],
        [("origin", "https://evil.example")],
        [("origin", "null")],
    ] {
        let refused = browser.submit_as(&page, &shown, &filled, &headers).await;
        assert_eq!(refused.answer.status, 403, "{headers:?}");
        assert!(refused.answer.header("set-cookie").is_none());
    }
    let own = house.bag.url();
    let from_here = browser.clone().submit_as(&page, &shown, &filled, &[("origin", own.as_str())]).await;
    assert!(from_here.sent_with("code").is_some());
    // Without the token, with another browser's, and without the cookie that it belongs to.
    let other = house.browser().get(&page).await;
    for token in ["", other.fields["form_token"].as_str()] {
        let filled = [("username", ADA), ("password", PASSWORD), ("form_token", token)];
        let refused = browser.submit(&page, &shown, &filled).await;
        assert_eq!(refused.answer.status, 403, "{token}");
    }
    assert_eq!(house.browser().submit(&page, &shown, &filled).await.answer.status, 403);
}

#[tokio::test]
async fn a_session_that_was_there_before_is_not_the_one_after() {
    let house = House::new().await;
    let mut browser = house.browser();
    browser.cookies.insert("jumpbag-session".into(), "jb_fixed".into());
    house.code(&mut browser).await;
    let first = browser.cookies["jumpbag-session"].clone();
    assert_ne!(first, "jb_fixed");
    // A second sign-in has another one, and the first has ended.
    let page = house.authorize(&[("prompt", "login")]);
    let shown = browser.get(&page).await;
    browser.submit(&page, &shown, &[("username", ADA), ("password", PASSWORD)]).await.sent_to();
    assert_ne!(browser.cookies["jumpbag-session"], first);
    let mut former = house.browser();
    former.cookies.insert("jumpbag-session".into(), first);
    assert_eq!(former.get(&house.authorize(&[])).await.answer.status, 200);
}

#[tokio::test]
async fn pages_cannot_be_framed_cached_or_filled_with_html() {
    let house = House::new().await;
    let evil = "\"><img src=x onerror=alert(1)>'{{<script>";
    let mut browser = house.browser();
    let page = house.authorize(&[("state", evil), ("nonce", evil), ("login_hint", evil)]);
    let shown = browser.get(&page).await;
    let answer = &shown.answer;
    let policy = answer.header("content-security-policy").expect("a policy");
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "form-action 'self' http://127.0.0.1:8400;",
        "'sha256-",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("script"), "{policy}");
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
    assert_eq!(answer.header("content-encoding"), None);
    let failed =
        browser.submit(&page, &shown, &[("username", evil), ("password", evil), ("code", evil)]).await;
    let refused = browser.get(&house.authorize(&[("client_id", evil)])).await;
    let elsewhere = browser.get(&house.authorize(&[("redirect_uri", evil)])).await;
    let device = browser.get(&format!("/device?user_code={}", "%22%3E%3Cimg%20onerror%3E")).await;
    for (n, shown) in [shown, failed, refused, elsewhere, device].iter().enumerate() {
        let html = shown.answer.text();
        assert!(!html.contains("<img") && !html.contains("<script") && !html.contains("<i>"), "{n}: {html}");
        assert_eq!(shown.answer.header("content-type"), Some("text/html; charset=utf-8"), "{n}");
    }
}

#[tokio::test]
async fn with_tls_cookies_are_the_hosts_own() {
    let house = House::on(Jumpbag::options().tls().start().await).await;
    let mut browser = house.browser();
    let page = house.authorize(&[]);
    let shown = browser.get(&page).await;
    let form = shown.answer.header("set-cookie").expect("a cookie").to_owned();
    assert!(form.starts_with("__Host-jumpbag-form=jb_"), "{form}");
    let signed = browser.submit(&page, &shown, &[("username", ADA), ("password", PASSWORD)]).await;
    let session = signed.answer.header("set-cookie").expect("a cookie").to_owned();
    assert!(session.starts_with("__Host-jumpbag-session=jb_"), "{session}");
    for cookie in [form, session] {
        for part in ["; Path=/", "; HttpOnly", "; Secure", "; SameSite="] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
    assert!(signed.sent_to().starts_with(CALLBACK));
}

#[tokio::test]
async fn nothing_of_it_is_logged() {
    let house = House::new().await;
    let mut browser = house.browser();
    let code = house.code(&mut browser).await;
    let tokens = house.redeem(&code).await.expect_status(200).json();
    house.type_in(&mut house.browser(), PASSWORD, WRONG).await;
    house.bag.stop().await;
    let logs = house.bag.logs();
    let refresh = super::text(&tokens, "refresh_token");
    for secret in [PASSWORD, WRONG, &code, refresh, &browser.cookies["jumpbag-session"]] {
        assert!(!logs.contains(secret), "{secret}");
    }
}
