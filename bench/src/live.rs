//! A jumpbag server and an operator who may run live response on its machines. Invariant: whatever is asked of the
//! server goes through its API or its command line, as anybody's would.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Result;
use crate::http::{Body, Connection, Content, Request};
use crate::peers;
use crate::process::{self, Server, free_address};
use crate::work::{Bench, Folder};

/// The name of the one script in the library.
const SCRIPT: &str = "trivial.sh";
const TEXT: &str = "#!/bin/sh\necho hello\n";

/// Asking too early costs the server more than waiting does.
const PAUSE: Duration = Duration::from_millis(1);
/// No action of these may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Live {
    pub server: Server,
    pub program: PathBuf,
    folder: Folder,
    bearer: String,
    ops: SocketAddr,
}

/// A server that has nothing in its library yet.
pub struct Fresh {
    pub server: Server,
    pub program: PathBuf,
    pub folder: Folder,
    /// Where it tells how it is.
    pub ops: SocketAddr,
}

impl Fresh {
    pub fn start(bench: &Bench, name: &str) -> Result<Fresh> {
        let (program, folder) = (bench.places.jumpbag.clone(), bench.folder(name)?);
        let (address, ops) = (free_address()?, free_address()?);
        let data = folder.path().join("data");
        std::fs::create_dir_all(&data).map_err(|e| format!("creating `{}`: {e}", data.display()))?;
        let mut command = Command::new(&program);
        command
            .arg("--listen")
            .arg(address.to_string())
            .arg("--data-dir")
            .arg(data)
            .current_dir(folder.path());
        command.arg("--set").arg(format!("ops_listen={ops}"));
        command.args(["--set", "rate_limits=false", "--set", "live_response_sessions=1000000"]);
        command.args(["--set", "log_level=warn", "serve"]);
        let mut server = Server::spawn(command, address, folder.path())?;
        server.answered(&Request::bare("GET", "/api/machines", address, ""), |_| true)?;
        Ok(Fresh { server, program, folder, ops })
    }
}

/// What a server tells about itself, for Prometheus.
pub fn metrics(ops: SocketAddr) -> Result<String> {
    let request = Request::bare("GET", "/metrics", ops, "");
    let answer = Connection::open(ops)?.send(&request, Body::Keep)?.success("metrics")?;
    Ok(String::from_utf8_lossy(&answer.body).into_owned())
}

impl Live {
    /// A fresh server with one trivial script in its library.
    pub fn start(bench: &Bench, name: &str) -> Result<Live> {
        let Fresh { server, program, folder, ops } = Fresh::start(bench, name)?;
        let address = server.address;
        let permissions = ["Library.Manage", "Machine.LiveResponse", "Machine.Read.All"];
        let bearer = peers::bearer(&program, folder.path(), address, &permissions)?;
        let live = Live { server, program, folder, bearer, ops };
        let upload = peers::spoken(address, live.bearer.clone()).upload(SCRIPT, &Content::text(TEXT));
        Connection::open(address)?.send(&upload, Body::Drop)?.success("uploading the script")?;
        Ok(live)
    }

    /// Address and token that machines enrol with.
    pub fn enrolment(&self, uses: usize) -> Result<(String, String)> {
        let mut command = Command::new(&self.program);
        command.arg("--data-dir").arg(self.data()).current_dir(self.folder.path());
        let url = format!("http://{}", self.server.address);
        command.args(["enroll", "create", "--url", &url, "--uses"]).arg(uses.to_string());
        let printed = process::output(command)?;
        let token = printed.split_whitespace().last().unwrap_or_default().to_owned();
        Ok((url, token))
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn get(&self, target: &str) -> Request {
        Request::bare("GET", target, self.server.address, &self.bearer)
    }

    /// A request to run the script on a machine.
    pub fn run(&self, machine: &str) -> Request {
        let params = json!([{ "key": "ScriptName", "value": SCRIPT }]);
        let body = json!({ "Comment": "bench", "Commands": [{ "type": "RunScript", "params": params }] });
        let body = body.to_string();
        let headers =
            format!("{}Content-Type: application/json\r\nContent-Length: {}\r\n", self.bearer, body.len());
        let target = format!("/api/machines/{machine}/runliveresponse");
        let mut request = Request::bare("POST", &target, self.server.address, &headers);
        request.first.extend_from_slice(body.as_bytes());
        request
    }

    /// The JSON that a request is answered with.
    pub fn json(connection: &mut Connection, request: &Request, what: &str) -> Result<Value> {
        let answer = connection.send(request, Body::Keep)?.success(what)?;
        serde_json::from_slice(&answer.body).map_err(|e| format!("{what}: {e}"))
    }

    /// Returns when an action has succeeded.
    pub fn succeeded(&self, connection: &mut Connection, action: &str) -> Result<()> {
        let request = self.get(&format!("/api/machineactions/{action}"));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = Self::json(connection, &request, "an action")?;
            match shown["status"].as_str() {
                Some("Succeeded") => return Ok(()),
                Some("Pending" | "InProgress") if Instant::now() < deadline => std::thread::sleep(PAUSE),
                _ => return Err(format!("the action did not succeed: {shown}")),
            }
        }
    }

    /// Runs the script on a machine, to its end.
    pub fn run_once(&self, connection: &mut Connection, machine: &str) -> Result<()> {
        let action = Self::json(connection, &self.run(machine), "running the script")?;
        self.succeeded(connection, action["id"].as_str().ok_or("the action has no id")?)
    }

    /// Agents that are connected.
    pub fn connected(&self) -> Result<usize> {
        let text = metrics(self.ops)?;
        let count = text.lines().find_map(|line| line.strip_prefix("jumpbag_agents ")?.trim().parse().ok());
        count.ok_or_else(|| "`/metrics` does not tell how many agents are connected".into())
    }

    /// Returns when `count` agents are connected.
    pub fn all_connected(&self, count: usize, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let connected = self.connected()?;
            if connected >= count {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("only {connected} of {count} agents connected in {} s", limit.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// `jumpbag-agent`, enrolled and connected.
pub struct RealAgent {
    pub process: Server,
    _folder: Folder,
}

impl RealAgent {
    /// Enrols `program` at a server and has it connect. Returns its machine's id, too.
    pub fn start(bench: &Bench, live: &Live, program: &Path) -> Result<(RealAgent, String)> {
        let folder = bench.folder("agent")?;
        let (url, token) = live.enrolment(1)?;
        let home = folder.path().join("home");
        let mut command = Command::new(program);
        command.args(["enroll", &url, &token, "--data-dir"]).arg(&home);
        process::output(command)?;
        let before = live.connected()?;
        let mut command = Command::new(program);
        command.args(["run", "--data-dir"]).arg(&home);
        let process = Server::spawn(command, live.server.address, folder.path())?;
        live.all_connected(before + 1, PATIENCE)?;
        let machines = Live::json(
            &mut Connection::open(live.server.address)?,
            &live.get("/api/machines?$orderby=firstSeen%20desc&$top=1"),
            "the machines",
        )?;
        let id = machines["value"][0]["id"].as_str().ok_or("no machine is listed")?.to_owned();
        Ok((RealAgent { process, _folder: folder }, id))
    }
}
