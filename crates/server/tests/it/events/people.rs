//! People who listen at the console: for as long as their sessions let them, and no longer.

use futures_util::future::join_all;
use http::Method;

use super::options;
use crate::sign_in::{add_user, at_the_console, users};
use crate::support::browser::Browser;
use crate::support::server::Jumpbag;
use crate::support::stream::Stream;

const EVENTS: &str = "/api/library/events";

async fn listening(bag: &Jumpbag, name: &str) -> (Browser, Stream) {
    add_user(bag, name, &["--permission", "Library.Read"]).await;
    let browser = at_the_console(bag, name).await;
    let stream = browser.listens(EVENTS).await;
    (browser, stream)
}

/// Once, a stream that the console's cookie had opened ended at its first check, because a token was looked for.
#[tokio::test]
async fn a_page_listens_until_its_session_ends_or_may_no_more() {
    let bag = options().start().await;
    let people = ["stays", "leaves", "disabled", "demoted"];
    let [mut stays, mut leaves, mut disabled, mut demoted] = {
        let opened = join_all(people.map(|name| listening(&bag, name))).await;
        opened.try_into().ok().expect("four streams")
    };
    let all = [&mut stays, &mut leaves, &mut disabled, &mut demoted];
    join_all(all.map(async |(_, stream)| {
        stream.idles().await;
        stream.idles().await;
    }))
    .await;
    bag.upload("a.ps1", "x").await.expect_status(200);
    for (_, stream) in [&mut stays, &mut leaves, &mut disabled, &mut demoted] {
        assert_eq!(stream.next().await.expect("an event").data["fileName"], "a.ps1");
    }

    leaves.0.calls(bag.anonymous().post("/signout")).await.expect_status(303);
    users(&bag, &["disable", "disabled"]).await;
    users(&bag, &["permissions", "demoted", "--permission", "Audit.Read"]).await;
    for (_, stream) in [&mut leaves, &mut disabled, &mut demoted] {
        stream.ends_well().await;
    }
    for ((browser, _), status) in [(&stays, 200), (&leaves, 401), (&disabled, 401), (&demoted, 403)] {
        let again = browser.calls(bag.anonymous().call(Method::GET, EVENTS));
        assert_eq!(again.response().await.expect("an answer").status(), status);
    }
    bag.upload("b.ps1", "x").await.expect_status(200);
    assert_eq!(stays.1.next().await.expect("an event").data["fileName"], "b.ps1");
}

/// Who came in by a token stays by that token: a cookie beside it does not count then either.
#[tokio::test]
async fn a_cookie_does_not_stand_in_for_a_token_that_ends() {
    let bag = options().start().await;
    let (browser, _) = listening(&bag, "ada").await;
    let registration = bag.register("listener", &["Library.Read"]).await;
    let token = bag.request_token(&registration).await.expect_status(200).json();
    let token = token["access_token"].as_str().expect("a token");
    let call = browser.calls(bag.anonymous().with_token(token).get(EVENTS));
    let mut stream = Stream::of(call.response().await.expect("an answer"));
    assert!(stream.block().await.expect("an opening").starts_with("retry: "));
    let (status, _, stderr) = bag.command(&["clients", "remove", &registration.client_id]).await;
    assert!(status.success(), "{stderr}");
    stream.ends_well().await;
}
