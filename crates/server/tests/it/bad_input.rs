//! Bad input: every kind of it gets a clear error, the library stays as it was, and no staged bytes stay.

mod disk;
mod early;
mod forms;
mod history;
mod limits;
mod names;
mod queries;
mod slow;

use std::path::{Path, PathBuf};

use crate::support::client::{Answer, Client};
use crate::support::form::Form;
use crate::support::poll::eventually;
use crate::support::server::{Jumpbag, Options};

/// More than the blob folder takes at once, so that an upload that breaks off has bytes staged.
const STAGED: usize = 300_000;
/// The largest file that [`Ground`] takes.
const LIMIT: usize = 400_000;

/// A server with one file in its library, and how that looked before anything bad came.
pub struct Ground {
    bag: Jumpbag,
    pub client: Client,
    list: String,
    etag: Option<String>,
    blobs: Vec<String>,
}

impl Ground {
    pub async fn start() -> Ground {
        Ground::with(Jumpbag::options()).await
    }

    pub async fn with(options: Options) -> Ground {
        let bag = options
            .set("rate_limits", false)
            .set("small_file_bytes", 0)
            .set("max_file_bytes", LIMIT)
            .start()
            .await;
        bag.upload("kept.ps1", vec![b'k'; STAGED]).description("was here before").await.expect_status(200);
        let client = bag.client().await;
        let list = client.get("/api/libraryfiles").await.expect_status(200);
        let blobs = files_in(&bag.data_dir().join("blobs"));
        assert_eq!(blobs.len(), 1, "the kept file is a blob");
        Ground { etag: list.header("etag").map(str::to_string), list: list.text(), client, blobs, bag }
    }

    fn blob_folder(&self) -> PathBuf {
        self.bag.data_dir().join("blobs")
    }

    /// An upload of this body, whose length the request tells.
    pub async fn post(&self, content_type: Option<&str>, body: Vec<u8>) -> Answer {
        post(&self.client, content_type, body).await
    }

    /// Panics unless the library is what it was and holds no bytes that it did not.
    pub async fn unchanged(&self, case: &str) {
        let list = self.client.get("/api/libraryfiles").await.expect_status(200);
        assert_eq!(list.text(), self.list, "{case}: the library changed");
        assert_eq!(list.header("etag"), self.etag.as_deref(), "{case}: the ETag changed");
        let folder = self.blob_folder();
        eventually(&format!("{case}: staged bytes are gone"), async || {
            (files_in(&folder) == self.blobs).then_some(())
        })
        .await;
    }

    /// Waits until an upload has staged bytes.
    async fn something_staged(&self) {
        let folder = self.blob_folder();
        eventually("bytes are staged", async || (files_in(&folder).len() > self.blobs.len()).then_some(()))
            .await;
    }

    pub async fn refuses(&self, case: &str, answer: Answer, status: u16, code: &str, message: &str) {
        assert_refused(case, &answer, status, code, message);
        self.unchanged(case).await;
    }
}

async fn post(client: &Client, content_type: Option<&str>, body: Vec<u8>) -> Answer {
    client
        .post("/api/libraryfiles")
        .with(|request| match content_type {
            Some(content_type) => request.header("content-type", content_type).body(body),
            None => request.body(body),
        })
        .await
}

/// Status, code and message are these, in an envelope whose target is the request's id.
pub fn assert_refused(case: &str, answer: &Answer, status: u16, code: &str, message: &str) {
    assert_eq!(answer.status, status, "{case}: {}", answer.text());
    let content_type = answer.header("content-type");
    assert_eq!(content_type, Some("application/json; charset=utf-8"), "{case}");
    let body = answer.json();
    assert_eq!(body["error"]["code"], code, "{case}: {body}");
    assert_eq!(body["error"]["message"], message, "{case}");
    assert_eq!(body["error"]["target"].as_str(), answer.header("request-id"), "{case}");
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "{case}: {body}");
}

/// A form with one file that is large enough to be staged.
fn large_form() -> Form {
    Form::new().file("new.ps1", vec![b'n'; STAGED])
}

pub fn files_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("a readable folder").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
