//! Whoever fails to get a token waits before the next attempt is looked at; nobody else does.

use std::time::{Duration, Instant};

use super::ask;
use crate::support::client::Call;
use crate::support::server::{Jumpbag, Registration};

/// Somebody behind the proxy that this machine is taken for.
fn from(address: &str, call: Call) -> Call {
    call.with(|request| request.header("x-forwarded-for", address))
}

#[tokio::test]
async fn whoever_fails_again_and_again_waits_and_others_do_not() {
    let bag = Jumpbag::options().config("trusted_proxies = [\"127.0.0.1\"]\n").start().await;
    let (app, other) =
        (bag.register("app", &["Library.Manage"]).await, bag.register("other", &["Library.Manage"]).await);
    let (guesser, honest) = ("192.0.2.1", "192.0.2.2");
    let unknown = Registration { client_id: uuid::Uuid::new_v4().to_string(), ..app.clone() };
    for guessed in [&app, &unknown] {
        let guesses = (0..9).map(|_| from(guesser, ask(&bag, guessed, &[("client_secret", "wrong")])));
        for answer in futures_util::future::join_all(guesses.map(IntoFuture::into_future)).await {
            assert!([400, 401].contains(&answer.status), "{}", answer.text());
        }
    }
    // Each of these now waits for seconds, a right secret as long as a wrong one or an unknown client.
    let began = Instant::now();
    let waiting = [
        from(guesser, ask(&bag, &app, &[])),
        from(guesser, ask(&bag, &app, &[("client_secret", "wrong")])),
        from(guesser, ask(&bag, &unknown, &[])),
    ];
    let mut waiting = std::pin::pin!(futures_util::future::join_all(waiting.map(IntoFuture::into_future)));
    let others = async {
        from(honest, ask(&bag, &app, &[])).await.expect_status(200);
        from(guesser, ask(&bag, &other, &[])).await.expect_status(200);
        // What the client itself says comes before the proxy's word, and does not count.
        from("198.51.100.7, 192.0.2.3", ask(&bag, &app, &[])).await.expect_status(200);
    };
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("nobody waited"),
        () = others => {}
    }
    let statuses: Vec<_> = waiting.await.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 401, 400]);
    assert!(began.elapsed() >= Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_address_that_the_client_claims_itself_does_not_count() {
    let bag = Jumpbag::start().await;
    let app = bag.register("app", &["Library.Manage"]).await;
    let guess = |n: usize| from(&format!("192.0.2.{n}"), ask(&bag, &app, &[("client_secret", "wrong")]));
    futures_util::future::join_all((0..9).map(|n| guess(n).into_future())).await;
    let began = Instant::now();
    guess(100).await.expect_status(401);
    assert!(began.elapsed() >= Duration::from_secs(4), "{:?}", began.elapsed());
}
