//! jumpbag: multipart uploads with a bearer token that the server's own issuer minted. Rate limits are off.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Dialect, Peer, Syncs, call, make_folder, version_of};
use crate::Result;
use crate::http::{Content, Request};
use crate::sign::encode;

const FILES: &str = "/api/libraryfiles";
const SCOPE: &str = "https://api.securitycenter.microsoft.com/.default";
const BOUNDARY: &str = "----jumpbag-bench-boundary";

pub struct Jumpbag {
    pub program: PathBuf,
}

impl Peer for Jumpbag {
    fn name(&self) -> &'static str {
        super::JUMPBAG
    }

    fn version(&self) -> Result<String> {
        if !self.program.exists() {
            return Err(format!(
                "`{}` is not there; `cargo build --release` makes it, or `--jumpbag PATH` names another",
                self.program.display()
            ));
        }
        // Whatever it says of itself, it is what is to be measured.
        Ok(version_of(&self.program).unwrap_or_else(|_| "(it names no version)".into()))
    }

    fn syncs(&self) -> Syncs {
        Syncs::Yes
    }

    fn prepare(&self, folder: &Path, _: SocketAddr) -> Result<()> {
        make_folder(&folder.join("data"))
    }

    fn command(&self, folder: &Path, address: SocketAddr) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--listen").arg(address.to_string()).arg("--data-dir").arg(folder.join("data"));
        command
            .args(["--set", "rate_limits=false", "--set", "ops_listen=", "--set", "log_level=warn", "serve"])
            .current_dir(folder);
        command
    }

    fn probe(&self, address: SocketAddr) -> Request {
        Request::bare("GET", FILES, address, "")
    }

    fn dialect(&self, folder: &Path, address: SocketAddr) -> Result<Box<dyn Dialect>> {
        Ok(spoken(address, bearer(&self.program, folder, address, &["Library.Manage"])?))
    }
}

/// The header of a new client with these permissions, at the server `program` that serves `folder`.
pub fn bearer(program: &Path, folder: &Path, address: SocketAddr, permissions: &[&str]) -> Result<String> {
    header(address, &registered(program, folder, permissions)?)
}

/// A new client with these permissions, at the server `program` that serves `folder`: what `clients add --json` says of it.
pub fn registered(program: &Path, folder: &Path, permissions: &[&str]) -> Result<Value> {
    let mut command = Command::new(program);
    command.arg("--data-dir").arg(folder.join("data")).current_dir(folder);
    command.args(["clients", "add", "bench", "--json"]);
    command.args(permissions.iter().flat_map(|permission| ["--permission", permission]));
    let made = crate::process::output(command)?;
    // A log line may stand beside the one JSON object.
    let json = made.find('{').zip(made.rfind('}')).map(|(from, to)| &made[from..=to]);
    json.and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(|| format!("`clients add --json` printed no JSON object: {}", made.trim()))
}

/// The header of a client that is registered.
pub fn header(address: SocketAddr, client: &Value) -> Result<String> {
    Ok(format!("Authorization: Bearer {}\r\n", token(address, client)?))
}

/// How one speaks with this header.
pub fn spoken(address: SocketAddr, bearer: String) -> Box<dyn Dialect> {
    Box::new(Spoken { address, bearer })
}

fn token(address: SocketAddr, client: &Value) -> Result<String> {
    let field = |name: &str| {
        client[name].as_str().ok_or_else(|| format!("`clients add --json` printed no `{name}`")).map(encode)
    };
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope={}",
        field("client_id")?,
        field("client_secret")?,
        encode(SCOPE)
    );
    let headers =
        format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", form.len());
    let mut request =
        Request::bare("POST", &format!("/{}/oauth2/v2.0/token", field("tenant")?), address, &headers);
    request.first.extend_from_slice(form.as_bytes());
    let body = call(address, &request, "the token request")?;
    let answer: Value = serde_json::from_slice(&body).map_err(|e| format!("the token answer: {e}"))?;
    answer["access_token"]
        .as_str()
        .map(str::to_string)
        .ok_or_else(|| "no `access_token` came back".to_string())
}

struct Spoken {
    address: SocketAddr,
    bearer: String,
}

impl Dialect for Spoken {
    fn upload(&self, name: &str, content: &Content) -> Request {
        let head = format!(
            "POST {FILES} HTTP/1.1\r\nHost: {}\r\n{}Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n",
            self.address, self.bearer
        );
        let before = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        content.request(&head, &before, &format!("\r\n--{BOUNDARY}--\r\n"))
    }

    fn delete(&self, name: &str) -> Request {
        Request::bare("DELETE", &format!("{FILES}/{name}"), self.address, &self.bearer)
    }

    fn download(&self, name: &str) -> Request {
        Request::bare("GET", &format!("{FILES}/{name}/content"), self.address, &self.bearer)
    }

    fn list(&self, page: Option<&str>) -> Request {
        Request::bare("GET", page.unwrap_or(FILES), self.address, &self.bearer)
    }

    fn search(&self, words: &str) -> Option<Request> {
        Some(self.list(Some(&format!("{FILES}?$search={}", encode(words)))))
    }

    /// The path and query of the absolute `@odata.nextLink`.
    fn next(&self, body: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(body).ok()?;
        // The link stands before or behind the rows; parsing megabytes of rows only to find it would cost the
        // generator more than the server.
        let (_, rest) = text.rsplit_once("\"@odata.nextLink\":")?;
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        let link = values.next()?.ok()?;
        let (_, behind) = link.split_once("://")?;
        Some(behind[behind.find('/')?..].to_string())
    }

    fn mark(&self) -> &'static str {
        "\"fileName\":"
    }
}

/// A list of `rows` files in the shape and size of jumpbag's, for when jumpbag is not there to give its own.
pub fn like_jumpbag(rows: usize) -> Vec<u8> {
    let row = |number: usize| {
        format!(
            "{{\"fileName\":\"file-{number:06}.ps1\",\"sha256\":\"{number:064x}\",\"description\":null,\
             \"creationTime\":\"2026-01-01T00:00:00.0000001Z\",\"lastUpdatedTime\":\"2026-01-01T00:00:00.0000001Z\",\
             \"createdBy\":\"bench\",\"hasParameters\":false,\"parametersDescription\":null,\
             \"id\":\"00000000-0000-0000-0000-{number:012x}\",\"size\":4096}}"
        )
    };
    let rows: Vec<_> = (0..rows).map(row).collect();
    let context = "http://127.0.0.1:8080/api/$metadata#LibraryFiles";
    format!("{{\"@odata.context\":\"{context}\",\"value\":[{}]}}", rows.join(",")).into_bytes()
}
