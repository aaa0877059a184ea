//! s3s-fs: the S3 protocol over a folder. Requests are presigned with SigV4 before the clock starts; the server
//! verifies each signature, as jumpbag verifies each token.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Dialect, Peer, Syncs, between, make_folder, version_of};
use crate::Result;
use crate::http::{Content, Request};
use crate::sign::Aws;

const ACCESS: &str = "bench-access";
const SECRET: &str = "bench-secret-of-no-value";
/// s3s-fs reads the whole folder for every page, so one page for everything is its best case.
const PAGE: &str = "1000000";

pub struct S3s {
    pub program: PathBuf,
}

impl Peer for S3s {
    fn name(&self) -> &'static str {
        super::S3S
    }

    fn version(&self) -> Result<String> {
        version_of(&self.program)
    }

    fn syncs(&self) -> Syncs {
        Syncs::No
    }

    fn prepare(&self, folder: &Path, _: SocketAddr) -> Result<()> {
        make_folder(&folder.join("root/bench"))
    }

    fn command(&self, folder: &Path, address: SocketAddr) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--host", "127.0.0.1", "--port"]).arg(address.port().to_string());
        command.args(["--access-key", ACCESS, "--secret-key", SECRET]).arg(folder.join("root"));
        command.env("RUST_LOG", "error");
        command
    }

    fn probe(&self, address: SocketAddr) -> Request {
        Request::bare("GET", "/", address, "")
    }

    fn dialect(&self, _: &Path, address: SocketAddr) -> Result<Box<dyn Dialect>> {
        let now = chrono::Utc::now();
        let aws = Aws { access: ACCESS, secret: SECRET, host: address.to_string(), now };
        Ok(Box::new(Spoken { address, aws }))
    }
}

/// What rclone has to be told to copy `folder` into the bucket at `address`.
pub fn rclone(command: &mut Command, folder: &Path, address: SocketAddr) {
    command.arg("copy").arg(folder).arg(":s3:bench").args([
        "--s3-provider",
        "Other",
        "--s3-force-path-style",
    ]);
    command.args(["--s3-no-check-bucket", "--s3-endpoint"]).arg(format!("http://{address}"));
    command.args(["--s3-access-key-id", ACCESS, "--s3-secret-access-key", SECRET]);
}

struct Spoken {
    address: SocketAddr,
    aws: Aws,
}

impl Dialect for Spoken {
    fn upload(&self, name: &str, content: &Content) -> Request {
        let target = self.aws.target("PUT", &format!("/bench/{name}"), &[]);
        content.request(&format!("PUT {target} HTTP/1.1\r\nHost: {}\r\n", self.address), "", "")
    }

    fn delete(&self, name: &str) -> Request {
        let target = self.aws.target("DELETE", &format!("/bench/{name}"), &[]);
        Request::bare("DELETE", &target, self.address, "")
    }

    fn download(&self, name: &str) -> Request {
        let target = self.aws.target("GET", &format!("/bench/{name}"), &[]);
        Request::bare("GET", &target, self.address, "")
    }

    fn list(&self, page: Option<&str>) -> Request {
        let mut query = vec![("list-type", "2"), ("max-keys", PAGE)];
        query.extend(page.map(|token| ("continuation-token", token)));
        let target = self.aws.target("GET", "/bench", &query);
        Request::bare("GET", &target, self.address, "")
    }

    fn next(&self, body: &[u8]) -> Option<String> {
        between(body, "<NextContinuationToken>", "</NextContinuationToken>")
    }

    fn mark(&self) -> &'static str {
        "<Key>"
    }
}
