//! The test machinery itself: each neighbour is really there, and each thing that is meant to end does.

use std::time::Duration;

use base64::Engine;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Value, json};

use crate::support::azurite::azure_container;
use crate::support::client::{Answer, plain_http};
use crate::support::oidc::{Counts, Keys, OidcProvider, Sign};
use crate::support::postgres::postgres_database;
use crate::support::process::Process;
use crate::support::raw::{Ended, Raw};
use crate::support::s3::{s3_bucket, s3_buckets};
use crate::support::{SOON, snapshot};

#[tokio::test]
async fn every_test_has_a_postgres_database_of_its_own() {
    let (one, other) = (postgres_database().await, postgres_database().await);
    let (client, connection) = tokio_postgres::connect(&one.url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
        .batch_execute("create table only_here (id bigint); insert into only_here values (42)")
        .await
        .unwrap();
    assert_eq!(client.query_one("select id from only_here", &[]).await.unwrap().get::<_, i64>(0), 42);

    let (elsewhere, connection) = tokio_postgres::connect(&other.url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    assert!(elsewhere.query("select id from only_here", &[]).await.is_err());

    let gone = one.url.clone();
    drop(one);
    let error =
        tokio_postgres::connect(&gone, tokio_postgres::NoTls).await.err().expect("the database is dropped");
    assert!(error.as_db_error().unwrap().message().contains("does not exist"), "{error}");
}

#[tokio::test]
async fn s3_buckets_take_and_give_back_bytes() {
    for bucket in s3_buckets().await {
        round_trip(&bucket.store()).await;
    }
    // A bucket of its own: what another one has is not here.
    let fresh = s3_bucket().await.store();
    assert!(fresh.list_with_delimiter(None).await.unwrap().objects.is_empty());
}

#[tokio::test]
async fn azure_containers_take_and_give_back_bytes() {
    round_trip(&azure_container().await.store()).await;
    let fresh = azure_container().await.store();
    assert!(fresh.list_with_delimiter(None).await.unwrap().objects.is_empty());
}

async fn round_trip(store: &dyn ObjectStore) {
    let path = Path::from("blobs/one");
    let content = vec![7_u8; 100_000];
    store.put(&path, content.clone().into()).await.unwrap();
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), content);
    let mode = object_store::PutMode::Create;
    let again = store.put_opts(&path, "other".into(), mode.into()).await;
    assert!(matches!(again, Err(object_store::Error::AlreadyExists { .. })), "{again:?}");
    store.delete(&path).await.unwrap();
    assert!(matches!(store.get(&path).await, Err(object_store::Error::NotFound { .. })));
}

#[tokio::test]
async fn the_provider_grants_tokens_that_its_published_key_verifies() {
    let provider = OidcProvider::start().await;
    provider.configure(json!({ "roles": ["Library.Manage", "Other"], "lifetime": 120 })).await;
    let claims = verify(&provider, &provider.token().await).await.expect("its own token");
    assert_eq!(claims["iss"], provider.issuer());
    assert_eq!(claims["aud"], OidcProvider::AUDIENCE);
    assert_eq!(claims["roles"], json!(["Library.Manage", "Other"]));
    assert_eq!(claims["client_id"], provider.client_id());
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 120);
}

#[tokio::test]
async fn the_provider_mints_what_no_provider_should() {
    let provider = OidcProvider::start().await;
    let now = chrono::Utc::now().timestamp();
    let claims = async |token: String| verify(&provider, &token).await.expect("signed by the provider");
    assert_eq!(claims(provider.wrong_audience().await).await["aud"], "https://elsewhere.example");
    assert_eq!(claims(provider.wrong_issuer().await).await["iss"], "https://elsewhere.example");
    assert!(claims(provider.expired().await).await["exp"].as_i64().unwrap() < now);
    assert!(claims(provider.not_yet_valid().await).await["nbf"].as_i64().unwrap() > now);

    let stranger = provider.mint(json!({}), json!({}), Sign::Stranger).await;
    assert!(verify(&provider, &stranger).await.is_none());
    let ordinary =
        provider.mint(json!({}), json!({ "kid": "../../etc/passwd", "typ": null }), Sign::Real).await;
    assert_eq!(part(&ordinary, 0)["kid"], "../../etc/passwd");
    assert_eq!(part(&ordinary, 0)["typ"], Value::Null);
    let unsigned = provider.mint(json!({}), json!({}), Sign::Nobody).await;
    assert!(part(&unsigned, 0)["alg"] == "none" && unsigned.ends_with('.'));
    let hmac = provider.mint(json!({}), json!({}), Sign::HmacWithPublicKey).await;
    assert_eq!(part(&hmac, 0)["alg"], "HS256");
}

#[tokio::test]
async fn the_provider_rotates_its_keys() {
    let provider = OidcProvider::start().await;
    let before = provider.token().await;
    provider.add_key().await;
    assert!(verify(&provider, &before).await.is_some(), "the old key stays published");
    provider.rotate_keys().await;
    assert!(verify(&provider, &before).await.is_none(), "the old key is withdrawn");
    assert!(verify(&provider, &provider.token().await).await.is_some());
}

#[tokio::test]
async fn the_provider_goes_down_and_comes_back() {
    let provider = OidcProvider::start().await;
    let keys = format!("{}/jwks", provider.issuer());
    provider.down().await;
    assert!(plain_http().get(&keys).send().await.unwrap_err().is_connect());
    provider.up().await;
    assert_eq!(plain_http().get(&keys).send().await.unwrap().status(), 200);
    assert_eq!(provider.counts().await, Counts { discovery: 0, keys: 1, token: 0 });

    provider.keys_answer(Keys::Error).await;
    assert_eq!(plain_http().get(&keys).send().await.unwrap().status(), 500);
    provider.keys_answer(Keys::Garbage).await;
    assert!(plain_http().get(&keys).send().await.unwrap().json::<Value>().await.is_err());
    provider.keys_answer(Keys::Huge).await;
    assert_eq!(plain_http().get(&keys).send().await.unwrap().content_length(), Some(64 << 20));
    provider.keys_answer(Keys::Silent).await;
    let impatient = plain_http().get(&keys).timeout(Duration::from_millis(200)).send().await;
    assert!(impatient.unwrap_err().is_timeout());
    provider.keys_answer(Keys::Ok).await;
    assert_eq!(plain_http().get(&keys).send().await.unwrap().status(), 200);
}

/// The claims of a token that a published key signed.
async fn verify(provider: &OidcProvider, token: &str) -> Option<Value> {
    let call = plain_http().get(format!("{}/jwks", provider.issuer()));
    let keys = Answer::of(call, provider.issuer()).await.unwrap().json();
    let header = part(token, 0);
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"])?;
    let bytes = |name: &str| decode(key[name].as_str().unwrap());
    let (n, e) = (bytes("n"), bytes("e"));
    let key = aws_lc_rs::signature::RsaPublicKeyComponents { n: &n, e: &e };
    let (signed, signature) = token.rsplit_once('.')?;
    key.verify(&aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &decode(signature))
        .ok()?;
    Some(part(token, 1))
}

fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(&decode(token.split('.').nth(index).unwrap())).unwrap()
}

fn decode(text: &str) -> Vec<u8> {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
}

#[tokio::test]
async fn a_dropped_process_takes_its_children_along() {
    let mut command = Process::command("bash");
    command.args(["-c", "sleep 600 & echo child $!; echo ready >&2; wait"]);
    let process = Process::spawn("bash", command);
    let child = process.line(SOON, |line| line.strip_prefix("child ")?.parse::<u32>().ok()).await;
    process.log_line(SOON, |line| line == "ready").await;
    assert!(runs(child) && runs(process.id()));
    let own = process.id();
    drop(process);
    for pid in [own, child] {
        eventually(|| !runs(pid)).await;
    }
}

#[tokio::test]
async fn a_process_that_ends_early_is_told_with_its_output() {
    let mut command = Process::command("bash");
    command.args(["-c", "echo something else; echo the reason >&2; exit 3"]);
    let process = Process::spawn("bash", command);
    assert_eq!(process.ended(SOON).await.code(), Some(3));
    let waiting =
        tokio::spawn(async move { process.line(SOON, |line| line.strip_prefix("ready").map(drop)).await });
    let panic = waiting.await.expect_err("the line never comes").into_panic();
    let message = panic.downcast_ref::<String>().expect("a formatted message");
    assert!(message.contains("something else") && message.contains("the reason"), "{message}");
}

/// Alive and no zombie.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}

/// Waits for a state of the machine that nothing announces.
async fn eventually(done: impl Fn() -> bool) {
    let reached = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, reached).await.expect("the state is reached");
}

#[tokio::test]
async fn a_raw_connection_reads_what_the_server_says_and_how_it_ends() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let says = "HTTP/1.1 100 Continue\r\n\r\n\
                HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
                5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n\
                HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 18];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut request).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, says.as_bytes()).await.unwrap();
        request
    };
    let client = async {
        let mut raw = Raw::connect(&url).await;
        raw.send("GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert_eq!(raw.response(SOON).await.unwrap().status, 100);
        let refused = raw.response(SOON).await.unwrap();
        assert_eq!((refused.status, refused.header("content-type")), (400, Some("application/json")));
        assert_eq!(refused.json(), json!({ "a": 1 }));
        assert_eq!(raw.response(SOON).await.unwrap().text(), "ok");
        assert_eq!(raw.response(SOON).await.unwrap_err(), Ended::Closed);
        let mut raw = Raw::connect(&url).await;
        assert_eq!(raw.end(Duration::from_millis(100)).await, Ended::Silent);
    };
    let (request, ()) = tokio::join!(server, client);
    assert_eq!(&request, b"GET / HTTP/1.1\r\n\r\n");
}

#[test]
fn a_snapshot_hides_what_differs_and_shows_what_agrees() {
    let id = "0f8fad5b-d9cb-469f-a165-70867728950e";
    let body = format!(
        r#"{{"@odata.context":"http://127.0.0.1:4711/api/$metadata#X","id":"{id}","tags":[],"at":"2026-01-02T03:04:05.12Z",
            "then":"2026-01-02T03:04:05.12Z","later":"2026-01-02T03:04:06Z","text":"a, \"b\": {{}}"}}"#
    );
    let mut headers = http::HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    headers.insert("request-id", id.to_uppercase().parse().unwrap());
    headers.insert("date", "today".parse().unwrap());
    let answer = Answer { status: 200, headers, body: body.into(), base: "http://127.0.0.1:4711".into() };
    insta::assert_snapshot!(answer.snapshot(), @r#"
    200
    content-type: application/json
    request-id: [id-1]

    {
      "@odata.context": "[host]/api/$metadata#X",
      "id": "[id-1]",
      "tags": [],
      "at": "[time-1]",
      "then": "[time-1]",
      "later": "[time-2]",
      "text": "a, \"b\": {}"
    }
    "#);
    assert_eq!(snapshot::redact("no ids at all"), "no ids at all");
}
