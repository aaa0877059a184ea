//! Contents on their way out: the right bytes, whole or in a range, or a transfer that visibly did not end.

mod conditions;
mod damage;
mod headers;
mod ranges;
mod slow;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::support::client::{Answer, Client};
use crate::support::s3::s3_buckets;
use crate::support::server::{Jumpbag, Options};

/// A server, and where it keeps what the tests upload.
struct Ground {
    place: &'static str,
    bag: Jumpbag,
    client: Client,
}

impl Ground {
    async fn start(place: &'static str, options: Options) -> Ground {
        let bag = options.set("rate_limits", false).start().await;
        Ground { place, client: bag.client().await, bag }
    }

    /// One that keeps every file as a blob in a folder.
    async fn folder() -> Ground {
        Ground::start("folder", Jumpbag::options().set("small_file_bytes", 0)).await
    }

    /// One for every place that contents are in: rows, a folder, buckets.
    async fn everywhere() -> Vec<Ground> {
        let mut all = vec![
            Ground::start("row", Jumpbag::options().set("small_file_bytes", 1 << 20)).await,
            Ground::folder().await,
        ];
        for bucket in s3_buckets().await {
            let options = Jumpbag::options().blobs(&bucket.url("library"), bucket.options());
            all.push(Ground::start(bucket.server, options.set("small_file_bytes", 0)).await);
        }
        all
    }

    async fn upload(&self, name: &str, content: &Bytes) {
        self.client.upload(name, content.clone()).await.expect_status(200);
    }

    /// A GET of a file's content with these header fields.
    async fn get(&self, name: &str, headers: &[(&str, &str)]) -> Answer {
        self.attempt(name, headers).await.expect("a whole answer")
    }

    async fn attempt(&self, name: &str, headers: &[(&str, &str)]) -> reqwest::Result<Answer> {
        let call = self.client.get(&content_of(name));
        call.with(|request| {
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
        })
        .attempt()
        .await
    }
}

/// `name` is sent as it is.
fn content_of(name: &str) -> String {
    format!("/api/libraryfiles/{name}/content")
}

/// Bytes that repeat nowhere.
fn noise(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// The strong entity tag of a content.
fn etag(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    format!("\"{}\"", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}
