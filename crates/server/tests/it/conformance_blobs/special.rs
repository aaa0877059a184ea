//! What is special to a folder or a bucket, and what each says when it cannot be used.

use std::collections::BTreeMap;

use jumpbag_server::blobs::{BlobError, BlobStore};

use super::{bucket_store, keys, noise, put, table};
use crate::support::azurite::azure_container;
use crate::support::install_crypto;
use crate::support::s3::s3_buckets;

#[tokio::test]
async fn folder_lists_blobs_and_nothing_else() {
    let own = tempfile::tempdir().expect("a temporary folder");
    let store = BlobStore::folder(own.path()).expect("a folder of blobs");
    let blob = put(&store, &noise(1, 10), 10).await;
    for name in ["notes.txt", "lost+found"] {
        std::fs::write(own.path().join(name), "somebody else's").expect("write");
    }
    assert_eq!(keys(&store).await, BTreeMap::from([(blob, 10)]));
}

#[test]
fn folder_says_why_it_cannot_be_used() {
    let own = tempfile::tempdir().expect("a temporary folder");
    let file = own.path().join("file");
    std::fs::write(&file, "").expect("write");
    let error = BlobStore::folder(&file.join("blobs")).err().expect("a file is no folder");
    assert!(matches!(error, BlobError::Setup(_)), "{error:?}");
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
}

#[test]
fn bucket_says_why_it_cannot_be_used() {
    install_crypto();
    let none: &[(&'static str, String)] = &[];
    let misspelt: &[(&'static str, String)] = &[("aws_endpont", "http://127.0.0.1:1".into())];
    for (url, options, says) in [
        ("bucket", none, "`blob_url` = `bucket`"),
        ("ftp://bucket/prefix", none, "ftp://bucket/prefix"),
        ("file:///srv/blobs", none, "file:///srv/blobs"),
        ("memory:///", none, "memory:///"),
        ("s3://bucket/prefix", misspelt, "aws_endpont"),
        ("az://container/prefix", misspelt, "aws_endpont"),
    ] {
        let error =
            BlobStore::bucket(url, &table(options)).err().unwrap_or_else(|| panic!("`{url}` was taken"));
        assert!(matches!(error, BlobError::Setup(_)), "{error:?}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn bucket_says_that_credentials_or_bucket_are_wrong() {
    let chain = |error: BlobError| jumpbag_server::error::Error::from(error).chain();
    for bucket in s3_buckets().await {
        let absent = bucket.url("x").replace(&bucket.bucket, "no-such-bucket");
        let error = bucket_store(&absent, &bucket.options()).probe().await.expect_err("no bucket");
        assert!(chain(error).contains("NoSuchBucket"), "on {}", bucket.server);
        // Moto lets everybody in.
        if bucket.server == "moto" {
            continue;
        }
        let options = bucket.options().map(|(name, value)| match name {
            "aws_secret_access_key" => (name, "wrong".into()),
            _ => (name, value),
        });
        let error = bucket_store(&bucket.url("x"), &options).probe().await.expect_err("wrong secret");
        assert!(chain(error).contains("SignatureDoesNotMatch"), "on {}", bucket.server);
    }
    let container = azure_container().await;
    let options = container.options().map(|(name, value)| match name {
        "azure_storage_account_key" => (name, "d3Jvbmc=".into()),
        _ => (name, value),
    });
    let error = bucket_store(&container.url("x"), &options).probe().await.expect_err("wrong key");
    let said = chain(error);
    assert!(said.contains("403"), "{said}");
}
