use std::sync::atomic::Ordering;

use serde_json::json;

use super::*;
use crate::auth::testing::elliptic;
use crate::auth::testing::idp::{Answer, Idp};

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + secs)
}

fn source(idp: &Idp) -> Arc<KeySource> {
    Arc::new(KeySource::new(idp.url(), vec![idp.base.clone()], true).unwrap())
}

/// Whether the source has keys at `secs`, and among them `kid`.
async fn asks(source: &Arc<KeySource>, kid: &str, secs: i64) -> Option<bool> {
    let set = source.keys(Some(kid), at(secs)).await?;
    Some(set.candidates(Some(kid), Algorithm::ES256).next().is_some())
}

#[tokio::test]
async fn keys_are_fetched_once_an_hour() {
    let idp = Idp::start(vec![elliptic("a").1]).await;
    let source = source(&idp);
    for secs in [0, 1, 3599] {
        assert_eq!(asks(&source, "a", secs).await, Some(true));
    }
    assert_eq!((idp.discoveries.load(Ordering::SeqCst), idp.fetches()), (1, 1));
    assert_eq!(asks(&source, "a", 3600).await, Some(true));
    assert_eq!(idp.fetches(), 2);
}

#[tokio::test]
async fn an_unknown_kid_fetches_at_most_every_half_minute() {
    let idp = Idp::start(vec![elliptic("a").1]).await;
    let source = source(&idp);
    for secs in 0..30 {
        for kid in ["b", "../../etc/passwd", "https://evil.example/keys", ""] {
            assert_eq!(asks(&source, kid, secs).await, Some(false));
        }
    }
    assert_eq!(idp.fetches(), 1);
    idp.answer(Answer::Keys(vec![elliptic("b").1]));
    assert_eq!(asks(&source, "b", 29).await, Some(false));
    assert_eq!(asks(&source, "b", 30).await, Some(true));
    assert_eq!(asks(&source, "a", 31).await, Some(false));
    assert_eq!(idp.fetches(), 2);
}

#[tokio::test]
async fn a_change_of_the_set_is_a_new_generation() {
    let (one, two) = (elliptic("a").1, elliptic("b").1);
    let idp = Idp::start(vec![one.clone()]).await;
    let source = source(&idp);
    let generation = async |secs| source.keys(Some("a"), at(secs)).await.unwrap().generation;
    let first = generation(0).await;
    assert_eq!(generation(3600).await, first);
    idp.answer(Answer::Keys(vec![one, two]));
    assert_ne!(generation(7200).await, first);
}

#[tokio::test]
async fn an_outage_is_bridged_for_a_day() {
    let idp = Idp::start(vec![elliptic("a").1]).await;
    let source = source(&idp);
    assert_eq!(asks(&source, "a", 0).await, Some(true));
    for broken in [Answer::Down, Answer::Text("<html>".to_owned()), Answer::Text("{}".to_owned())] {
        idp.answer(broken);
        assert_eq!(asks(&source, "a", 3600).await, Some(true));
    }
    assert_eq!(idp.fetches(), 2, "a failure is not repeated within half a minute");
    assert_eq!(asks(&source, "a", TRUSTED - 1).await, Some(true));
    drop(source.begun.lock().await);
    assert_eq!(asks(&source, "a", TRUSTED).await, None);
    idp.answer(Answer::Keys(vec![elliptic("b").1]));
    assert_eq!(asks(&source, "b", TRUSTED + 60).await, Some(true));
}

#[tokio::test]
async fn after_a_failure_callers_with_known_keys_do_not_wait() {
    let idp = Idp::start(vec![elliptic("a").1]).await;
    let source = source(&idp);
    assert_eq!(asks(&source, "a", 0).await, Some(true));
    idp.answer(Answer::Down);
    assert_eq!(asks(&source, "a", 3600).await, Some(true));
    idp.close();
    assert_eq!(asks(&source, "a", 3700).await, Some(true));
    assert!(source.begun.try_lock().is_err(), "the fetch is still under way");
    assert_eq!(asks(&source, "a", 3701).await, Some(true));
    assert!(source.begun.try_lock().is_err());
    idp.answer(Answer::Down);
    idp.open();
    drop(source.begun.lock().await);
    assert_eq!(idp.fetches(), 3);
}

#[tokio::test]
async fn an_issuer_that_was_never_up_is_tried_again_soon() {
    let idp = Idp::start(vec![]).await;
    let source = source(&idp);
    idp.answer(Answer::Down);
    for secs in 0..5 {
        assert_eq!(asks(&source, "a", secs).await, None);
    }
    assert_eq!(idp.fetches(), 1);
    idp.answer(Answer::Keys(vec![elliptic("a").1]));
    assert_eq!(asks(&source, "a", 5).await, Some(true));
}

#[tokio::test]
async fn many_callers_share_one_fetch_and_none_of_them_can_end_it() {
    let idp = Idp::start(vec![elliptic("a").1]).await;
    let source = source(&idp);
    idp.close();
    let ask = || {
        let source = Arc::clone(&source);
        tokio::spawn(async move { asks(&source, "a", 0).await })
    };
    let impatient = ask();
    while idp.fetches() == 0 {
        tokio::task::yield_now().await;
    }
    impatient.abort();
    let patient: Vec<_> = (0..20).map(|_| ask()).collect();
    idp.open();
    for one in patient {
        assert_eq!(one.await.unwrap(), Some(true));
    }
    assert_eq!(idp.fetches(), 1);
}

#[tokio::test]
async fn an_issuer_that_hangs_is_given_up() {
    let idp = Idp::start(vec![elliptic("a").1]).await;
    idp.close();
    let mut source = KeySource::new(idp.url(), vec![idp.base.clone()], true).unwrap();
    source.timeout = Duration::from_millis(50);
    assert_eq!(asks(&Arc::new(source), "a", 0).await, None);
}

#[tokio::test]
async fn what_is_fetched_is_distrusted() {
    let idp = Idp::start(vec![elliptic("a").1]).await;
    let refused = async |what: &str| {
        assert_eq!(asks(&source(&idp), "a", 0).await, None, "{what}");
    };
    idp.answer(Answer::Text(format!("{{\"keys\":[]}}{}", " ".repeat(MAX_BODY))));
    refused("more than 1 MiB").await;
    idp.answer(Answer::Redirect("file:///etc/passwd".to_owned()));
    refused("redirect to another scheme").await;
    idp.answer(Answer::Redirect("http://keys.example/keys".to_owned()));
    refused("redirect away from loopback").await;
    idp.answer(Answer::Redirect(format!("{}/keys", idp.base)));
    let before = idp.fetches();
    refused("redirects without end").await;
    assert_eq!(idp.fetches() - before, 4);
    idp.answer(Answer::Keys(vec![elliptic("a").1]));
    let base = &idp.base;
    for (issuer, jwks_uri) in [
        ("https://evil.example", format!("{base}/keys")),
        (base, "file:///etc/passwd".to_owned()),
        (base, "http://keys.example/keys".to_owned()),
        (base, "/keys".to_owned()),
        (base, "127.0.0.1/keys".to_owned()),
    ] {
        let document = json!({"issuer": issuer, "jwks_uri": jwks_uri}).to_string();
        idp.discover(Answer::Text(document));
        refused(&jwks_uri).await;
    }
    let document = json!({"issuer": format!("{base}/"), "jwks_uri": format!("{base}/keys")});
    idp.discover(Answer::Text(document.to_string()));
    assert_eq!(asks(&source(&idp), "a", 0).await, Some(true));
}

#[tokio::test]
async fn plain_http_needs_loopback_and_leave() {
    let idp = Idp::start(vec![elliptic("a").1]).await;
    let strict = KeySource::new(idp.url(), vec![idp.base.clone()], false).unwrap();
    assert_eq!(asks(&Arc::new(strict), "a", 0).await, None);
    assert_eq!(idp.discoveries.load(Ordering::SeqCst), 0);
    for (url, with, without) in [
        ("https://idp.example/x", true, true),
        ("http://localhost:1/", true, false),
        ("http://[::1]/", true, false),
        ("http://127.8.9.1/", true, false),
        ("http://localhost.evil.example/", false, false),
        ("http://10.0.0.1/", false, false),
        ("file:///etc/passwd", false, false),
        ("data:,x", false, false),
    ] {
        let url = Url::parse(url).unwrap();
        assert_eq!((may_fetch(&url, true), may_fetch(&url, false)), (with, without), "{url}");
    }
}

#[test]
fn redirects_stay_on_their_scheme_and_end() {
    let url = |text: &str| Url::parse(text).unwrap();
    let follows =
        |hops: usize, from: &str, to: &str, local| may_follow(&vec![url(from); hops], &url(to), local);
    assert!(follows(1, "https://a.example/", "https://b.example/", false));
    assert!(follows(3, "http://127.0.0.1/", "http://[::1]/", true));
    assert!(!follows(4, "https://a.example/", "https://b.example/", false));
    for (from, to) in [
        ("https://a.example/", "http://127.0.0.1/"),
        ("http://127.0.0.1/", "https://a.example/"),
        ("http://127.0.0.1/", "http://169.254.169.254/"),
        ("https://a.example/", "file:///etc/passwd"),
    ] {
        assert!(!follows(1, from, to, true), "{from} {to}");
    }
}

#[test]
fn only_public_keys_for_signatures_are_taken() {
    let with = |name: &str, value: Value| {
        let mut jwk = elliptic("a").1;
        jwk[name] = value;
        jwk
    };
    let found = |jwk: Value, kid: Option<&str>| {
        let set = KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes(), at(0), 0).unwrap();
        set.candidates(kid, Algorithm::ES256).count() == 1
    };
    for (good, jwk) in [
        (true, with("x", elliptic("a").1["x"].clone())),
        (true, with("use", json!("sig"))),
        (true, with("alg", json!("ES256"))),
        (true, with("key_ops", json!(["verify"]))),
        (false, with("use", json!("enc"))),
        (false, with("alg", json!("ES384"))),
        (false, with("alg", json!("none"))),
        (false, with("key_ops", json!(["encrypt"]))),
        (false, with("crv", json!("secp256k1"))),
        (false, with("kty", json!("XYZ"))),
        (false, with("x", json!("!"))),
        (false, json!({"kty": "oct", "k": "AAAA", "kid": "a"})),
        (false, json!({"kty": "oct", "k": "AAAA", "kid": "a", "alg": "ES256"})),
        (false, json!("a")),
    ] {
        assert_eq!(found(jwk.clone(), Some("a")), good, "{jwk}");
    }
    assert!(found(elliptic("a").1, None));
    assert!(!found(elliptic("../../etc/passwd").1, Some("a")));
    assert!(found(elliptic("../../etc/passwd").1, Some("../../etc/passwd")));
    assert!(found(with("kid", Value::Null), Some("any")));
    let many: Vec<Value> = (0..100).map(|_| elliptic("a").1).collect();
    let set = KeySet::parse(json!({"keys": many}).to_string().as_bytes(), at(0), 0).unwrap();
    assert_eq!(set.candidates(Some("a"), Algorithm::ES256).count(), 8);
}
