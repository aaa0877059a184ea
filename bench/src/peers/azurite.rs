//! Azurite: Microsoft's emulator of Azure Blob Storage, on node. One shared access signature serves all requests.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Dialect, Peer, Syncs, between, call, make_folder};
use crate::Result;
use crate::http::{Content, Request};
use crate::sign::{azure_sas, encode};

/// The emulator's account, which is published and the same everywhere.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const CONTAINER: &str = "/devstoreaccount1/bench";

pub struct Azurite {
    pub modules: PathBuf,
}

impl Peer for Azurite {
    fn name(&self) -> &'static str {
        "Azurite"
    }

    fn version(&self) -> Result<String> {
        super::node_package(&self.modules, "azurite")
    }

    fn syncs(&self) -> Syncs {
        // An extent is synced; the database that says which extent holds which blob is saved every few seconds.
        Syncs::BytesOnly
    }

    fn prepare(&self, folder: &Path, _: SocketAddr) -> Result<()> {
        make_folder(&folder.join("data"))
    }

    fn command(&self, folder: &Path, address: SocketAddr) -> Command {
        let mut command = Command::new("node");
        command.arg(self.modules.join(".bin/azurite-blob")).arg("--location").arg(folder.join("data"));
        command.args(["--silent", "--skipApiVersionCheck", "--disableTelemetry"]);
        command.args(["--blobHost", "127.0.0.1", "--blobPort"]).arg(address.port().to_string());
        command
    }

    fn probe(&self, address: SocketAddr) -> Request {
        Request::bare("GET", &format!("/{ACCOUNT}?comp=list"), address, "")
    }

    fn dialect(&self, _: &Path, address: SocketAddr) -> Result<Box<dyn Dialect>> {
        let sas = azure_sas(ACCOUNT, KEY)?;
        let target = format!("{CONTAINER}?restype=container&{sas}");
        let spoken = Spoken { address, sas };
        let present = call(address, &spoken.list(None), "looking for the container");
        if present.is_err() {
            let create = Request::bare("PUT", &target, address, "Content-Length: 0\r\n");
            call(address, &create, "creating the container")?;
        }
        Ok(Box::new(spoken))
    }
}

struct Spoken {
    address: SocketAddr,
    sas: String,
}

impl Dialect for Spoken {
    fn upload(&self, name: &str, content: &Content) -> Request {
        let head = format!(
            "PUT {CONTAINER}/{name}?{} HTTP/1.1\r\nHost: {}\r\nx-ms-blob-type: BlockBlob\r\n\
             Content-Type: application/octet-stream\r\n",
            self.sas, self.address
        );
        content.request(&head, "", "")
    }

    fn delete(&self, name: &str) -> Request {
        Request::bare("DELETE", &format!("{CONTAINER}/{name}?{}", self.sas), self.address, "")
    }

    fn download(&self, name: &str) -> Request {
        Request::bare("GET", &format!("{CONTAINER}/{name}?{}", self.sas), self.address, "")
    }

    fn list(&self, page: Option<&str>) -> Request {
        let marker = page.map(|page| format!("&marker={}", encode(page))).unwrap_or_default();
        let target = format!("{CONTAINER}?restype=container&comp=list{marker}&{}", self.sas);
        Request::bare("GET", &target, self.address, "")
    }

    fn next(&self, body: &[u8]) -> Option<String> {
        between(body, "<NextMarker>", "</NextMarker>")
    }

    fn mark(&self) -> &'static str {
        "<Blob>"
    }
}
