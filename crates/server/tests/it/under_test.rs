//! The server as a process: it comes up, keeps what it has over every kind of end, and speaks TLS when asked.

use crate::support::azurite::azure_container;
use crate::support::postgres::postgres_database;
use crate::support::s3::s3_buckets;
use crate::support::server::Jumpbag;

#[tokio::test]
async fn it_starts_and_takes_an_upload() {
    let bag = Jumpbag::start().await;
    bag.upload("a.ps1", "echo a").description("the first").await.expect_status(200);
    assert_eq!(bag.names().await, ["a.ps1"]);
    bag.ops("/healthz").await.expect_status(200);
    bag.delete("a.ps1").await.expect_status(204);
    assert!(bag.names().await.is_empty());
}

#[tokio::test]
async fn it_keeps_an_acknowledged_upload_over_a_stop_and_a_crash() {
    let bag = Jumpbag::start().await;
    bag.upload("stopped.ps1", "1").await.expect_status(200);
    assert!(bag.stop().await.success(), "{}", bag.logs());
    bag.restart().await;
    bag.upload("killed.ps1", "2").await.expect_status(200);
    bag.kill().await;
    assert!(bag.upload("gone.ps1", "3").attempt().await.is_err(), "nobody listens");
    bag.restart().await;
    assert_eq!(bag.names().await, ["killed.ps1", "stopped.ps1"]);
}

#[tokio::test]
async fn it_speaks_tls_with_a_certificate_of_its_own() {
    let bag = Jumpbag::options().tls().without_operations().start().await;
    assert!(bag.url().starts_with("https://localhost:"));
    bag.upload("a.ps1", "echo a").await.expect_status(200);
}

#[tokio::test]
async fn it_tells_what_it_cannot_start_with() {
    let (status, stderr) = Jumpbag::options().config("no_such_setting = 1\n").fail_to_start().await;
    assert!(!status.success());
    assert!(stderr.contains("no_such_setting"), "{stderr}");
}

#[tokio::test]
async fn it_keeps_its_library_in_postgres_and_buckets() {
    let database = postgres_database().await;
    let bag = Jumpbag::options().set("database_url", &database.url).start().await;
    bag.upload("a.ps1", "in PostgreSQL").await.expect_status(200);

    for bucket in s3_buckets().await {
        let bag = Jumpbag::options().blobs(&bucket.url("library"), bucket.options()).start().await;
        bag.upload("a.ps1", vec![b'x'; 100_000]).await.expect_status(200);
        assert!(anything_in(&bucket.store()).await, "no blob arrived on {}", bucket.server);
    }
    let container = azure_container().await;
    let bag = Jumpbag::options().blobs(&container.url("library"), container.options()).start().await;
    bag.upload("a.ps1", vec![b'x'; 100_000]).await.expect_status(200);
    assert!(anything_in(&container.store()).await, "no blob arrived on Azurite");
}

async fn anything_in(store: &dyn object_store::ObjectStore) -> bool {
    use futures_util::StreamExt;
    store.list(None).next().await.is_some_and(|object| object.is_ok())
}
