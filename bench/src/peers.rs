//! The servers that are compared: how each is found, started and spoken to. Invariant: every peer gets the same
//! contents from the same generator; only the bytes around them differ.

mod azurite;
mod dufs;
mod jumpbag;
pub mod meshcentral;
mod nginx;
mod s3s;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::http::{Body, Connection, Content, Request};

pub use jumpbag::{bearer, header, like_jumpbag, registered, spoken};
pub use nginx::{STATIC_FOLDER, STATIC_TARGET};
pub use s3s::rclone;

/// The name under which jumpbag stands in every table.
pub const JUMPBAG: &str = "jumpbag";
/// The name of the peer that speaks S3.
pub const S3S: &str = "s3s-fs";
/// The name of the peer that also serves static lists.
pub const NGINX: &str = "nginx";

/// A server that can be measured.
pub trait Peer {
    fn name(&self) -> &'static str;
    /// Its version, or why it cannot be measured here.
    fn version(&self) -> Result<String>;
    /// What stands between an upload's last byte and its answer.
    fn syncs(&self) -> Syncs;
    /// Makes in the empty `folder` what the server wants to find.
    fn prepare(&self, folder: &Path, address: SocketAddr) -> Result<()>;
    /// The command that serves `folder` at `address`.
    fn command(&self, folder: &Path, address: SocketAddr) -> Command;
    /// A request that the server answers, with whatever status, without further preparation.
    fn probe(&self, address: SocketAddr) -> Request;
    /// Prepares the running server (client, container, …) and hands back how to speak to it.
    fn dialect(&self, folder: &Path, address: SocketAddr) -> Result<Box<dyn Dialect>>;
}

/// Whether an upload is on stable storage when it is answered.
#[derive(Clone, Copy, PartialEq)]
pub enum Syncs {
    Yes,
    /// The bytes are, what finds them again is not.
    BytesOnly,
    No,
}

/// How the operations look in a peer's protocol.
pub trait Dialect {
    fn upload(&self, name: &str, content: &Content) -> Request;
    fn delete(&self, name: &str) -> Request;
    fn download(&self, name: &str) -> Request;
    /// The list from its beginning or from a page that `next` named.
    fn list(&self, page: Option<&str>) -> Request;
    /// The list of the files that `words` find, where the peer can search.
    fn search(&self, _words: &str) -> Option<Request> {
        None
    }
    /// What `list` needs for the page after this one.
    fn next(&self, body: &[u8]) -> Option<String>;
    /// What stands once for each file in a list.
    fn mark(&self) -> &'static str;
}

/// Where the peers' programs are.
pub struct Places {
    pub jumpbag: PathBuf,
    /// `jumpbag-agent`.
    pub agent: PathBuf,
    /// The command line, `jumpbag`.
    pub cli: PathBuf,
    pub tools: PathBuf,
}

/// All peers, jumpbag first.
pub fn all(places: &Places) -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(jumpbag::Jumpbag { program: places.jumpbag.clone() }),
        Box::new(nginx::Nginx),
        Box::new(dufs::Dufs { program: places.tools.join("bin/dufs") }),
        Box::new(s3s::S3s { program: places.tools.join("bin/s3s-fs") }),
        Box::new(azurite::Azurite { modules: places.tools.join("node_modules") }),
    ]
}

/// Sends one request on a connection of its own and hands back the whole answer. Fails unless it is 2xx.
fn call(address: SocketAddr, request: &Request, what: &str) -> Result<Vec<u8>> {
    Ok(Connection::open(address)?.send(request, Body::Keep)?.success(what)?.body)
}

/// `program --version`, the last word of its first line; an error says how to get the program.
fn version_of(program: &Path) -> Result<String> {
    if !program.exists() {
        return Err(format!("`{}` is not there; `bench/setup` installs it", program.display()));
    }
    let mut command = Command::new(program);
    command.arg("--version");
    let text = crate::process::output(command)?;
    Ok(text.lines().next().and_then(|line| line.split_whitespace().last()).unwrap_or("unknown").to_string())
}

/// The version of a package of node and of node itself; an error says how to get it.
fn node_package(modules: &Path, name: &str) -> Result<String> {
    let path = modules.join(name).join("package.json");
    let text = std::fs::read_to_string(&path);
    let text = text.map_err(|e| format!("`{}`: {e}; `bench/setup` installs it", path.display()))?;
    let package: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| format!("`{}`: {e}", path.display()))?;
    let mut node = Command::new("node");
    node.arg("--version");
    let node = crate::process::output(node)?;
    Ok(format!("{} (node {})", package["version"].as_str().unwrap_or("unknown"), node.trim()))
}

fn make_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|e| format!("creating `{}`: {e}", path.display()))
}

/// What stands between `open` and `close` in an XML answer.
fn between(body: &[u8], open: &str, close: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let start = text.rfind(open)? + open.len();
    let end = start + text[start..].find(close)?;
    Some(text[start..end].to_string()).filter(|found| !found.is_empty())
}
