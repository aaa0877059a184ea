//! `/healthz`, `/readyz` and `/metrics`, on a listener of their own.

use std::collections::BTreeMap;

use crate::support::poll::eventually;
use crate::support::postgres::postgres_database;
use crate::support::server::Jumpbag;

#[tokio::test]
async fn a_server_is_healthy_and_ready_and_says_so_elsewhere_than_its_api() {
    let bag = Jumpbag::start().await;
    assert_eq!(bag.ops("/healthz").await.expect_status(200).text(), "ok\n");
    assert_eq!(bag.ops("/readyz").await.expect_status(200).text(), "ready\n");
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(bag.anonymous().get(path).await.status, 404, "{path}");
    }
    bag.ops("/api/libraryfiles").await.expect_status(404);
    // What the look left behind is gone.
    let blobs = std::fs::read_dir(bag.data_dir().join("blobs")).expect("the blob folder");
    assert_eq!(blobs.count(), 0);
}

#[tokio::test]
async fn a_server_without_its_blob_folder_is_not_ready() {
    let bag = Jumpbag::start().await;
    let (folder, away) = (bag.data_dir().join("blobs"), bag.data_dir().join("away"));
    bag.upload("kept.bin", vec![b'k'; 100_000]).await.expect_status(200);
    std::fs::rename(&folder, &away).expect("move the folder away");
    let answer = bag.ops("/readyz").await.expect_status(503);
    assert!(answer.text().starts_with("blobs: "), "{}", answer.text());
    bag.ops("/healthz").await.expect_status(200);
    // Nor does an upload make a folder in which nothing else is.
    bag.upload("lost.bin", vec![b'l'; 100_000]).await.expect_status(500);
    assert!(!folder.exists());
    std::fs::rename(&away, &folder).expect("put the folder back");
    bag.ops("/readyz").await.expect_status(200);
    bag.upload("more.bin", vec![b'm'; 100_000]).await.expect_status(200);
}

#[tokio::test]
async fn a_server_without_its_database_is_not_ready() {
    let database = postgres_database().await;
    let bag = Jumpbag::options().set("database_url", &database.url).start().await;
    let client = bag.client().await;
    client.get("/api/libraryfiles").await.expect_status(200);
    bag.ops("/readyz").await.expect_status(200);
    drop(database);
    let answer = bag.ops("/readyz").await.expect_status(503);
    assert!(answer.text().starts_with("database: "), "{}", answer.text());
    bag.ops("/healthz").await.expect_status(200);
    let refused = client.get("/api/libraryfiles").await;
    assert!(refused.status == 503 || refused.status == 500, "{}", refused.text());
    assert!(!refused.text().contains("test_"), "{}", refused.text());
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let bag = Jumpbag::options().set("library_calls_per_minute", 6).start().await;
    let client = bag.client().await;
    client.upload("a.ps1", vec![b'a'; 1000]).await.expect_status(200);
    client.upload("b.bin", vec![b'b'; 100_000]).await.expect_status(200);
    client.upload("a.ps1", "taken").await.expect_status(400);
    client.delete("/api/libraryfiles/a.ps1").await.expect_status(204);
    client.get("/api/libraryfiles/absent").await.expect_status(404);
    client.get("/api/LIBRARYFILES?$top=1").await.expect_status(200);
    client.get("/api/libraryfiles").await.expect_status(429);
    bag.anonymous().get("/api/libraryfiles").await.expect_status(401);
    for path in ["/nothing", "/else"] {
        bag.anonymous().get(path).await.expect_status(404);
    }
    bag.anonymous().call("BREW".parse().expect("a method"), "/api").await.expect_status(405);

    let answer = bag.ops("/metrics").await.expect_status(200);
    let content_type = answer.header("content-type").unwrap_or_default();
    assert!(content_type.starts_with("application/openmetrics-text; version=1.0.0"), "{content_type}");
    let text = answer.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let values = values(&text);
    let requests = |method: &str, route: &str, status: u16| {
        let name =
            format!("jumpbag_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}");
        *values.get(&name).unwrap_or_else(|| panic!("no `{name}` in\n{text}"))
    };
    let (files, one) = ("/api/libraryfiles", "/api/libraryfiles/{fileName}");
    assert_eq!(requests("POST", files, 200), 2.0);
    assert_eq!(requests("POST", files, 400), 1.0);
    assert_eq!(requests("GET", files, 200), 1.0);
    assert_eq!(requests("GET", files, 429), 1.0);
    assert_eq!(requests("GET", files, 401), 1.0);
    assert_eq!(requests("DELETE", one, 204), 1.0);
    assert_eq!(requests("GET", one, 404), 1.0);
    // What clients make up does not become labels.
    assert_eq!(requests("GET", "none", 404), 2.0);
    assert!(!text.contains("BREW") && !text.contains("/nothing"), "{text}");
    assert_eq!(values["jumpbag_rate_limited_total"], 1.0);
    assert_eq!(values["jumpbag_library_files"], 1.0);
    assert_eq!(values["jumpbag_content_bytes"], 101_000.0);
    assert!(values["jumpbag_received_bytes_total"] >= 101_005.0);
    assert!(values["jumpbag_sent_bytes_total"] > 1000.0);
    let latency = format!("jumpbag_request_seconds_count{{method=\"POST\",route=\"{files}\"}}");
    assert_eq!(values[latency.as_str()], 3.0);
    for name in ["swept_versions", "swept_blobs", "sweeps_failed"] {
        assert_eq!(values[format!("jumpbag_{name}_total").as_str()], 0.0, "{name}");
    }
    assert!(values["jumpbag_connections"] >= 1.0);
    // The connections of clients that are gone are not counted for long.
    let open = crate::support::raw::Raw::connect(&bag.url()).await;
    let connections = async || values_now(&bag).await["jumpbag_connections"];
    let with_it = connections().await;
    drop(open);
    eventually("the connection is gone", async || (connections().await < with_it).then_some(())).await;
}

async fn values_now(bag: &Jumpbag) -> BTreeMap<String, f64> {
    values(&bag.ops("/metrics").await.expect_status(200).text())
}

fn values(text: &str) -> BTreeMap<String, f64> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
            (name.to_string(), value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
        })
        .collect()
}
