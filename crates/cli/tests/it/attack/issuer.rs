//! An issuer, or somebody between: the secret goes nowhere else, and odd answers are told.

use std::sync::Arc;

use super::hostile::{Hostile, Reply, head, json};
use crate::program::Home;

fn redirect(status: u16, to: &str) -> Reply {
    Reply::Whole(head(status, &format!("location: {to}\r\ncontent-length: 0\r\n")))
}

/// A server that takes note of whoever comes.
async fn thief() -> Hostile {
    Hostile::bare(|_| json(200, r#"{"access_token":"a.b.c","expires_in":3600,"value":[]}"#)).await
}

#[tokio::test]
async fn neither_secret_nor_token_follows_a_redirect_to_another_host() {
    let thief = Arc::new(thief().await);
    for status in [301, 302, 303, 307, 308] {
        let to = thief.url().to_owned();
        let issuer = Hostile::bare(move |call| {
            redirect(status, &format!("{to}{}", call.line.split_once(' ').expect("a path").1))
        })
        .await;
        let ran = issuer.home().run(&["files", "list"]).await;
        assert_eq!(ran.code, 1, "{status}: {}", ran.stderr);
        assert!(ran.stderr.contains(thief.url()), "{status}: says where it leads: {}", ran.stderr);
    }
    for status in [301, 302, 303, 307, 308] {
        let to = thief.url().to_owned();
        let server = Hostile::start(move |_| redirect(status, &format!("{to}/api/x"))).await;
        let ran = server.home().run(&["machines", "tag", "m", "--add", "t"]).await;
        assert_eq!(ran.code, 1, "{status}: {}", ran.stderr);
        assert!(ran.stderr.contains(thief.url()), "{status}: says where it leads: {}", ran.stderr);
    }
    let came: Vec<_> = thief.calls();
    assert!(came.is_empty(), "{came:?}");
}

#[tokio::test]
async fn a_discovery_document_sends_no_secret_over_http_to_another_machine() {
    let issuer = Hostile::bare(|call| match call.line.contains("openid-configuration") {
        // An address that nobody has (RFC 5737).
        true => json(200, r#"{"token_endpoint":"http://192.0.2.1:9/token"}"#),
        false => json(500, "{}"),
    })
    .await;
    let home = Home::new()
        .env("JUMPBAG_URL", issuer.url())
        .env("JUMPBAG_AUTHORITY", issuer.url())
        .env("JUMPBAG_CLIENT_ID", "client")
        .env("JUMPBAG_CLIENT_SECRET", "s3cret");
    let ran = home.run(&["files", "list"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("not HTTPS"), "{}", ran.stderr);
}

/// Only an authority that was named may have its endpoints elsewhere.
#[tokio::test]
async fn a_server_that_is_its_own_issuer_sends_no_secret_to_another_host() {
    let thief = thief().await;
    let (to, device) = (thief.url().to_owned(), std::sync::atomic::AtomicBool::new(false));
    let issuer = Hostile::bare(move |call| {
        let base = &call.base;
        // First the endpoint for secrets lies elsewhere, then the one for devices.
        match device.swap(true, std::sync::atomic::Ordering::Relaxed) {
            false => json(200, &format!(r#"{{"token_endpoint":"{to}/token"}}"#)),
            true => json(
                200,
                &format!(r#"{{"token_endpoint":"{base}/t","device_authorization_endpoint":"{to}/device"}}"#),
            ),
        }
    })
    .await;
    let home = Home::new().env("JUMPBAG_CLIENT_SECRET", "s3cret");
    let login = ["login", "--url", issuer.url(), "--client-id", "client"];
    for more in [&[][..], &["--device-code"]] {
        let ran = home.run(&[&login[..], more].concat()).await.expect(1);
        assert!(ran.stderr.contains("no secret goes there"), "{more:?}: {}", ran.stderr);
    }
    assert!(thief.calls().is_empty(), "{:?}", thief.calls());
    let elsewhere = thief.url().to_owned();
    let named =
        Hostile::bare(move |_| json(200, &format!(r#"{{"token_endpoint":"{elsewhere}/token"}}"#))).await;
    let login = ["login", "--url", issuer.url(), "--authority", named.url(), "--client-id", "client"];
    home.run(&login).await.expect(0);
    assert_eq!(thief.calls().len(), 1);
}

#[tokio::test]
async fn numbers_of_an_issuer_are_taken_with_care() {
    for lifetime in ["9223372036854775807", "-9223372036854775808", "1e300", "\"\"", "null"] {
        let body = format!(r#"{{"access_token":"a.b.c","expires_in":{lifetime}}}"#);
        let issuer = Hostile::bare(move |call| match call.line.starts_with("POST") {
            true => json(200, &body),
            false => json(200, r#"{"value":[]}"#),
        })
        .await;
        for command in [&["whoami"][..], &["files", "list"]] {
            let ran = issuer.home().run(command).await;
            assert_eq!(ran.code, 0, "{lifetime} {command:?}: {}", ran.stderr);
        }
    }
}

#[tokio::test]
async fn a_device_code_cannot_write_on_the_terminal_or_wait_for_ever() {
    let prompt = |uri: &str| {
        format!(
            r#"{{"verification_uri":"{uri}","user_code":"A\u001b[2J\nB","device_code":"d","expires_in":18446744073709551615,"interval":0}}"#
        )
    };
    let (good, bad) = (prompt("https://example.org/device"), prompt("file:///etc/passwd"));
    let login = |issuer: &Hostile| {
        let home = Home::new();
        let url = issuer.url().to_owned();
        async move {
            home.run(&["login", "--url", &url, "--tenant", "tenant", "--client-id", "c", "--device-code"])
                .await
        }
    };
    let issuer = Hostile::bare(move |call| match call.line.contains("devicecode") {
        true => json(200, &good),
        // An e-mail address with an escape in it.
        false => json(200, r#"{"access_token":"e30.eyJ1cG4iOiJcdTAwMWJbMkpldmUifQ.c","expires_in":3600}"#),
    })
    .await;
    let ran = login(&issuer).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(!ran.stdout.contains('\u{1b}') && ran.stdout.lines().count() == 2, "{:?}", ran.stdout);
    assert!(ran.stdout.contains("code A\\u{1b}[2J\\u{a}B"), "{:?}", ran.stdout);
    let issuer = Hostile::bare(move |_| json(200, &bad)).await;
    let ran = login(&issuer).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("`file:///etc/passwd`"), "{}", ran.stderr);
}
