//! How often one may call: per caller, told in headers, shared by servers on one database, and off when told.

use std::sync::Arc;

use jumpbag_server::catalog::Catalog;
use jumpbag_server::limit::{Calls, Family, Limiter};
use jumpbag_wire::time::Timestamp;
use serde_json::json;

use crate::support::client::{Answer, Client};
use crate::support::oidc::OidcProvider;
use crate::support::postgres::postgres_database;
use crate::support::server::Jumpbag;

async fn list(client: &Client) -> Answer {
    client.get("/api/libraryfiles").await
}

/// The caller of a registration of its own.
async fn somebody(bag: &Jumpbag, name: &str) -> Client {
    let registration = bag.register(name, &["Library.Manage"]).await;
    let answer = bag.request_token(&registration).await.expect_status(200);
    let token = answer.json()["access_token"].as_str().expect("a token").to_owned();
    bag.anonymous().with_token(&token)
}

/// `r=` and `t=` of each quota in a `RateLimit` header.
fn standings(answer: &Answer) -> Vec<(String, i64, i64)> {
    let header = answer.header("ratelimit").expect("a RateLimit header");
    let standing = |item: &str| {
        let mut parts = item.trim().split(';');
        let name = parts.next().expect("a name").trim_matches('"').to_owned();
        let number = |part: Option<&str>, key: &str| -> i64 {
            let value = part.and_then(|part| part.strip_prefix(key)).expect("a parameter");
            value.parse().expect("a number")
        };
        (name, number(parts.next(), "r="), number(parts.next(), "t="))
    };
    header.split(',').map(standing).collect()
}

#[tokio::test]
async fn the_quota_is_told_used_up_and_refused() {
    let bag = Jumpbag::options().set("library_calls_per_minute", 3).start().await;
    let caller = somebody(&bag, "caller").await;
    for left in [2, 1, 0] {
        let answer = list(&caller).await.expect_status(200);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"minute\";q=3;w=60, \"hour\";q=1500;w=3600"));
        let told = standings(&answer);
        assert_eq!((told[0].0.as_str(), told[0].1), ("minute", left));
        assert_eq!((told[1].0.as_str(), told[1].1), ("hour", 1497 + left));
        assert!((1..=61).contains(&told[0].2) && (1..=3601).contains(&told[1].2), "{told:?}");
    }
    for _ in 0..5 {
        let refused = list(&caller).await.expect_status(429);
        assert_eq!(refused.error_code(), "TooManyRequests");
        let wait: i64 = refused.header("retry-after").expect("Retry-After").parse().expect("whole seconds");
        assert!((1..=61).contains(&wait), "{wait}");
        assert!(refused.error_message().contains(&format!("{wait} seconds")), "{}", refused.error_message());
        let told = standings(&refused);
        // Refused calls do not count: the hour still knows of three.
        assert_eq!((told[0].1, told[1].1), (0, 1497));
        assert_eq!(told[0].2, wait);
    }
    // Every call of the library shares the quota; documents and other callers have none of it.
    caller.delete("/api/libraryfiles/a.ps1").await.expect_status(429);
    caller.upload("a.ps1", "1").await.expect_status(429);
    caller.get("/api/libraryfiles/a.ps1").await.expect_status(429);
    caller.get("/api").await.expect_status(200);
    list(&somebody(&bag, "another").await).await.expect_status(200);
    let metrics = bag.ops("/metrics").await.text();
    assert!(metrics.lines().any(|line| line == "jumpbag_rate_limited_total 8"), "{metrics}");
}

#[tokio::test]
async fn answers_of_every_status_count_and_tell() {
    let bag = Jumpbag::options().set("library_calls_per_minute", 4).start().await;
    let caller = somebody(&bag, "caller").await;
    let answers = [
        (200, caller.upload("a.ps1", "1").await),
        (400, caller.get("/api/libraryfiles?$top=x").await),
        (404, caller.get("/api/libraryfiles/b.ps1").await),
        (204, caller.delete("/api/libraryfiles/a.ps1").await),
    ];
    for (left, (status, answer)) in (0..4).rev().zip(answers) {
        assert_eq!(standings(&answer.expect_status(status))[0].1, left);
    }
    list(&caller).await.expect_status(429);
    let unauthorized = list(&bag.anonymous()).await.expect_status(401);
    assert_eq!(unauthorized.header("ratelimit"), None);
}

#[tokio::test]
async fn one_app_has_one_quota_however_many_tokens_and_connections_it_has() {
    let bag = Jumpbag::options().set("library_calls_per_minute", 10).start().await;
    let registration = bag.register("app", &["Library.Manage"]).await;
    let mut callers = Vec::new();
    for _ in 0..5 {
        let answer = bag.request_token(&registration).await.expect_status(200).json();
        callers.push(bag.anonymous().with_token(answer["access_token"].as_str().expect("a token")));
    }
    let calls = (0..40).map(|n| list(&callers[n % 5]));
    let answers = futures_util::future::join_all(calls).await;
    let admitted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(admitted, 10);
    assert!(answers.iter().all(|answer| [200, 429].contains(&answer.status)));
}

#[tokio::test]
async fn callers_of_issuers_elsewhere_are_told_apart() {
    let provider = OidcProvider::start().await;
    let bag = Jumpbag::options()
        .config(&format!(
            "issuers = [{{ issuer = \"{}\", audiences = [\"{}\"], allow_http_loopback = true }}]\n\
             library_calls_per_minute = 1\n",
            provider.issuer(),
            OidcProvider::AUDIENCE
        ))
        .start()
        .await;
    let app = bag.register("own", &["Library.Manage"]).await;
    let own = bag.request_token(&app).await.json()["access_token"].as_str().expect("a token").to_owned();
    // The id of an app here, said by somebody else, is somebody else.
    let same = provider.signed(json!({ "client_id": app.client_id, "sub": app.client_id })).await;
    let user =
        json!({ "sub": "ada", "client_id": null, "name": "Ada", "scope": "Library.Manage", "roles": null });
    let namesake = json!({ "sub": "ada", "client_id": "ada" });
    let (user, namesake) = (provider.signed(user).await, provider.signed(namesake).await);
    for token in [&own, &same, &user, &namesake] {
        let caller = bag.anonymous().with_token(token);
        list(&caller).await.expect_status(200);
        list(&caller).await.expect_status(429);
    }
}

#[tokio::test]
async fn limits_can_be_turned_off() {
    for (key, value) in [("rate_limits", "false"), ("library_calls_per_minute", "0")] {
        let bag = Jumpbag::options()
            .set("library_calls_per_minute", 1)
            .set("library_calls_per_hour", 0)
            .set(key, value)
            .start()
            .await;
        let caller = somebody(&bag, "caller").await;
        for _ in 0..5 {
            let answer = list(&caller).await.expect_status(200);
            assert_eq!((answer.header("ratelimit"), answer.header("ratelimit-policy")), (None, None));
        }
    }
}

#[tokio::test]
async fn servers_on_one_database_share_the_count() {
    let database = postgres_database().await;
    let server =
        || Jumpbag::options().set("database_url", &database.url).set("library_calls_per_minute", 7).start();
    let (one, two) = (server().await, server().await);
    let registration = one.register("app", &["Library.Manage"]).await;
    let token = one.request_token(&registration).await.json();
    let token = token["access_token"].as_str().expect("a token");
    let callers = [one.anonymous().with_token(token), two.anonymous().with_token(token)];
    let calls = (0..20).map(|n| list(&callers[n % 2]));
    let answers = futures_util::future::join_all(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 7);
    for caller in &callers {
        assert_eq!(standings(&list(caller).await.expect_status(429))[0].1, 0);
    }
    one.stop().await;
    list(&callers[1]).await.expect_status(429);
}

/// A client that keeps to `Retry-After` is let through, whichever database counts.
#[tokio::test]
async fn a_retry_after_the_told_time_succeeds() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let database = postgres_database().await;
    let catalogs = [
        Catalog::open_sqlite(&folder.path().join("catalog.db")).await.expect("SQLite"),
        Catalog::open_postgres(&database.url, 4).await.expect("PostgreSQL"),
    ];
    for catalog in catalogs.map(Arc::new) {
        let limiter = Limiter::new(Calls { library: (3, 5), ..Calls::default() }, &catalog);
        let admit = async |caller: &str, second: i64| {
            let verdict = limiter.admit(caller, Family::Library, Timestamp::from_secs(second)).await;
            verdict.expect("a count").expect("limits").retry_after
        };
        let mut second = 1_000_000;
        let (mut admitted, mut refused) = (Vec::new(), 0);
        while admitted.len() < 12 {
            match admit("app", second).await {
                None => admitted.push(second),
                Some(wait) => {
                    refused += 1;
                    // A second earlier is too early, and asking costs nothing.
                    assert!(admit("app", second + wait - 1).await.is_some_and(|left| left == 1));
                    assert_eq!(admit("app", second + wait).await, None, "after {wait} seconds");
                    second += wait;
                    admitted.push(second);
                }
            }
        }
        assert!(refused >= 3);
        for (calls, seconds) in [(3, 60), (5, 3600)] {
            let crowded = admitted.windows(calls + 1).any(|some| some[calls] - some[0] < seconds);
            assert!(!crowded, "more than {calls} in {seconds} seconds: {admitted:?}");
        }
        assert_eq!(admit("somebody else", second).await, None);
    }
}
