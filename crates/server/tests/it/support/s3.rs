//! S3: a fresh bucket for each test, on moto and, where it is installed, on Ceph's gateway.

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::signer::Signer;

use super::shared::{installed, shared_server};

/// An empty bucket.
#[derive(Clone, Debug)]
pub struct S3 {
    /// `moto` or `ceph`.
    pub server: &'static str,
    pub endpoint: String,
    pub bucket: String,
    pub key: String,
    pub secret: String,
}

impl S3 {
    /// What `blob_url` takes.
    pub fn url(&self, prefix: &str) -> String {
        format!("s3://{}/{prefix}", self.bucket)
    }

    /// What `blob_options` takes, by name and value.
    pub fn options(&self) -> [(&'static str, String); 5] {
        [
            ("aws_endpoint", self.endpoint.clone()),
            ("aws_access_key_id", self.key.clone()),
            ("aws_secret_access_key", self.secret.clone()),
            ("aws_region", "us-east-1".into()),
            ("aws_allow_http", "true".into()),
        ]
    }

    /// A client that looks at the bucket behind the server's back.
    pub fn store(&self) -> AmazonS3 {
        super::install_crypto();
        let options =
            self.options().into_iter().map(|(name, value)| (name.parse().expect("an option"), value));
        options
            .fold(AmazonS3Builder::new().with_bucket_name(&self.bucket), |builder, (option, value)| {
                builder.with_config(option, value)
            })
            .build()
            .expect("a complete S3 configuration")
    }
}

/// A fresh bucket on moto, which starts fastest.
pub async fn s3_bucket() -> S3 {
    bucket("moto").await
}

/// A fresh bucket on every S3 server of this machine: always moto, and Ceph's gateway where it is installed (by
/// `scripts/test`, on Debian).
pub async fn s3_buckets() -> Vec<S3> {
    let mut buckets = vec![bucket("moto").await];
    if installed("ceph").await {
        buckets.push(bucket("ceph").await);
    }
    println!("S3 servers: {}", buckets.iter().map(|bucket| bucket.server).collect::<Vec<_>>().join(", "));
    buckets
}

async fn bucket(server: &'static str) -> S3 {
    let shared = shared_server(server).await;
    let bucket = S3 {
        server,
        endpoint: shared.url,
        bucket: super::unique("test"),
        key: shared.access_key,
        secret: shared.secret_key,
    };
    // A signed PUT of the bucket itself creates it.
    let soon = std::time::Duration::from_secs(60);
    let url = bucket.store().signed_url(http::Method::PUT, &Path::default(), soon).await.expect("sign");
    let request = super::client::plain_http().put(url).header("content-length", "0");
    let answer = request.send().await.expect("reach the S3 server");
    assert!(answer.status().is_success(), "create a bucket on {server}: {}", answer.status());
    bucket
}
