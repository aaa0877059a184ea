//! dufs: a file server with uploads; PUT, DELETE, and the list as JSON.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Dialect, Peer, Syncs, make_folder, version_of};
use crate::Result;
use crate::http::{Content, Request};

pub struct Dufs {
    pub program: PathBuf,
}

impl Peer for Dufs {
    fn name(&self) -> &'static str {
        "dufs"
    }

    fn version(&self) -> Result<String> {
        version_of(&self.program)
    }

    fn syncs(&self) -> Syncs {
        Syncs::No
    }

    fn prepare(&self, folder: &Path, _: SocketAddr) -> Result<()> {
        make_folder(&folder.join("files"))
    }

    fn command(&self, folder: &Path, address: SocketAddr) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--allow-all", "--log-format", "", "--bind", "127.0.0.1", "--port"]);
        command.arg(address.port().to_string()).arg(folder.join("files"));
        command
    }

    fn probe(&self, address: SocketAddr) -> Request {
        Request::bare("GET", "/?json", address, "")
    }

    fn dialect(&self, _: &Path, address: SocketAddr) -> Result<Box<dyn Dialect>> {
        Ok(Box::new(Spoken(address)))
    }
}

struct Spoken(SocketAddr);

impl Dialect for Spoken {
    fn upload(&self, name: &str, content: &Content) -> Request {
        content.request(&format!("PUT /{name} HTTP/1.1\r\nHost: {}\r\n", self.0), "", "")
    }

    fn delete(&self, name: &str) -> Request {
        Request::bare("DELETE", &format!("/{name}"), self.0, "")
    }

    fn download(&self, name: &str) -> Request {
        Request::bare("GET", &format!("/{name}"), self.0, "")
    }

    fn list(&self, _: Option<&str>) -> Request {
        Request::bare("GET", "/?json", self.0, "")
    }

    fn next(&self, _: &[u8]) -> Option<String> {
        None
    }

    fn mark(&self) -> &'static str {
        "\"name\":"
    }
}
