//! By which address the server is reached, and what it hands out of that.

use serde_json::Value;

use crate::support::client::{Answer, Client};
use crate::support::server::Jumpbag;

/// The list, asked for with these headers.
async fn listed(client: &Client, headers: &[(&str, &str)]) -> Answer {
    let call = client
        .get("/api/libraryfiles")
        .with(|request| headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)));
    call.await.expect_status(200)
}

fn context(answer: &Answer) -> String {
    let context = answer.json()["@odata.context"].as_str().expect("a context").to_string();
    context.strip_suffix("/api/$metadata#LibraryFiles").expect("the collection's context").to_string()
}

const FORWARDED: [(&str, &str); 3] = [
    ("x-forwarded-for", "198.51.100.7"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "bag.example.org"),
];

#[tokio::test]
async fn the_host_of_the_request_is_echoed_and_nobody_is_believed_about_it() {
    let bag = Jumpbag::start().await;
    let client = bag.client().await;
    assert_eq!(context(&listed(&client, &[]).await), bag.url());
    let hosts = [
        ("api.securitycenter.microsoft.com", "http://api.securitycenter.microsoft.com"),
        ("API.example:8443", "http://API.example:8443"),
        ("[::1]:80", "http://[::1]:80"),
    ];
    for (host, wanted) in hosts {
        assert_eq!(context(&listed(&client, &[("host", host)]).await), wanted);
    }
    // What cannot be a host does not get into addresses.
    let odd = listed(&client, &[("host", "evil\"/..?<x>")]).await;
    assert!(!odd.text().contains("evil"), "{}", odd.text());
    let forwarded = listed(&client, &FORWARDED).await;
    assert_eq!(context(&forwarded), bag.url());
    assert_eq!(forwarded.header("strict-transport-security"), None);
    let id = forwarded.header("request-id").expect("a request id");
    bag.logged(&[id, "address=127.0.0.1"]).await;
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let bag = Jumpbag::options().set("trusted_proxies", "[\"127.0.0.1\"]").start().await;
    let client = bag.client().await;
    let forwarded = listed(&client, &FORWARDED).await;
    assert_eq!(context(&forwarded), "https://bag.example.org");
    assert_eq!(forwarded.header("strict-transport-security"), Some("max-age=15724800; includeSubDomains"));
    let id = forwarded.header("request-id").expect("a request id");
    bag.logged(&[id, "address=198.51.100.7"]).await;
    // The proxy's own word comes last; what stands before it may be the client's.
    let chain = [
        ("x-forwarded-for", "203.0.113.9, 198.51.100.8"),
        ("x-forwarded-host", "evil.example, bag.example.org"),
    ];
    let chained = listed(&client, &chain).await;
    assert_eq!(context(&chained), "http://bag.example.org");
    bag.logged(&[chained.header("request-id").expect("a request id"), "address=198.51.100.8"]).await;
    // Nonsense counts as not said.
    let nonsense =
        [("x-forwarded-proto", "gopher"), ("x-forwarded-host", "a b"), ("x-forwarded-for", "nobody")];
    let nonsense = listed(&client, &nonsense).await;
    assert!(context(&nonsense).starts_with("http://127.0.0.1:"), "{}", context(&nonsense));
    bag.logged(&[nonsense.header("request-id").expect("a request id"), "address=127.0.0.1"]).await;
    // Discovery documents name the same address.
    let tenant = bag.register("somebody", &["Library.Manage"]).await.tenant;
    let discovery = client
        .get(&format!("/{tenant}/v2.0/.well-known/openid-configuration"))
        .with(|request| {
            FORWARDED.iter().fold(request, |request, (name, value)| request.header(*name, *value))
        })
        .await;
    let endpoint = discovery.json()["token_endpoint"].clone();
    assert_eq!(endpoint, Value::String(format!("https://bag.example.org/{tenant}/oauth2/v2.0/token")));
}

#[tokio::test]
async fn a_public_url_wins_over_everything() {
    let bag = Jumpbag::options()
        .set("trusted_proxies", "[\"127.0.0.1\"]")
        .set("public_url", "https://public.example:444/")
        .start()
        .await;
    let client = bag.client().await;
    let answer = listed(&client, &FORWARDED).await;
    assert_eq!(context(&answer), "https://public.example:444");
    assert!(answer.header("strict-transport-security").is_some());
    bag.logged(&[answer.header("request-id").expect("a request id"), "address=198.51.100.7"]).await;
}

#[tokio::test]
async fn tls_is_strict() {
    let bag = Jumpbag::options().tls().start().await;
    let list = bag.list().await;
    insta::assert_snapshot!(list.snapshot(), @r#"
    200
    cache-control: no-cache
    content-type: application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8
    odata-version: 4.0
    request-id: [id-1]
    strict-transport-security: max-age=15724800; includeSubDomains
    vary: Accept-Encoding

    {
      "@odata.context": "[host]/api/$metadata#LibraryFiles",
      "value": []
    }
    "#);
    assert!(context(&list).starts_with("https://localhost:"));
}
