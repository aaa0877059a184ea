//! nginx with its WebDAV module: PUT and DELETE in one folder, the list by autoindex as JSON, and beside them a
//! folder of static files.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::{Dialect, Peer, Syncs, make_folder};
use crate::Result;
use crate::http::{Content, Request};

/// The folder, below the data folder, whose files are served as they are.
pub const STATIC_FOLDER: &str = "static";
/// The static file that takes the bytes of jumpbag's list.
pub const STATIC_TARGET: &str = "list.json";

pub struct Nginx;

impl Peer for Nginx {
    fn name(&self) -> &'static str {
        super::NGINX
    }

    fn version(&self) -> Result<String> {
        let mut command = Command::new("nginx");
        command.arg("-V");
        let text = crate::process::output(command).map_err(|e| format!("{e}; `bench/setup` installs it"))?;
        if !text.contains("http_dav_module") {
            return Err(
                "this nginx was built without its WebDAV module; Debian's `nginx-light` has it".into()
            );
        }
        let line = text.lines().next().unwrap_or_default();
        Ok(line.rsplit('/').next().unwrap_or("unknown").to_string())
    }

    fn syncs(&self) -> Syncs {
        Syncs::No
    }

    fn prepare(&self, folder: &Path, address: SocketAddr) -> Result<()> {
        ["files", STATIC_FOLDER, "temp"].iter().try_for_each(|name| make_folder(&folder.join(name)))?;
        let path = folder.join("nginx.conf");
        let text = configuration(folder, address);
        std::fs::write(&path, text).map_err(|e| format!("writing `{}`: {e}", path.display()))
    }

    fn command(&self, folder: &Path, _: SocketAddr) -> Command {
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf")).args(["-e", "stderr"]);
        command
    }

    fn probe(&self, address: SocketAddr) -> Request {
        Request::bare("GET", "/files/", address, "")
    }

    fn dialect(&self, _: &Path, address: SocketAddr) -> Result<Box<dyn Dialect>> {
        Ok(Box::new(Spoken(address)))
    }
}

/// As many workers as cores, no access log, keep-alive without end; otherwise the defaults. The temporary folder
/// lies beside the files so that a finished upload is renamed, not copied.
fn configuration(folder: &Path, address: SocketAddr) -> String {
    let folder = folder.display();
    let temp = |kind: &str| format!("    {kind}_temp_path {folder}/temp/{kind};\n");
    let temps: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(temp).concat();
    // Workers must be able to write a folder of whoever runs this; only root may change the user at all.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    format!(
        "{user}daemon off;\nworker_processes auto;\npid {folder}/nginx.pid;\nevents {{ worker_connections 1024; }}\n\
         http {{\n{temps}    access_log off;\n    sendfile on;\n    tcp_nopush on;\n    default_type application/octet-stream;\n    \
         keepalive_requests 100000000;\n    client_max_body_size 64m;\n    server {{\n        listen {address};\n        \
         root {folder};\n        location /files/ {{ dav_methods PUT DELETE; autoindex on; autoindex_format json; }}\n        \
         location /{STATIC_FOLDER}/ {{ types {{ application/json json; }} }}\n    }}\n}}\n"
    )
}

struct Spoken(SocketAddr);

impl Dialect for Spoken {
    fn upload(&self, name: &str, content: &Content) -> Request {
        content.request(&format!("PUT /files/{name} HTTP/1.1\r\nHost: {}\r\n", self.0), "", "")
    }

    fn delete(&self, name: &str) -> Request {
        Request::bare("DELETE", &format!("/files/{name}"), self.0, "")
    }

    fn download(&self, name: &str) -> Request {
        Request::bare("GET", &format!("/files/{name}"), self.0, "")
    }

    fn list(&self, _: Option<&str>) -> Request {
        Request::bare("GET", "/files/", self.0, "")
    }

    fn next(&self, _: &[u8]) -> Option<String> {
        None
    }

    fn mark(&self) -> &'static str {
        "\"name\":"
    }
}
