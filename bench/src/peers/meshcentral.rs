//! MeshCentral, an open remote management server on node, and its agent: what commands on machines are compared with.
//! It is no file server, so it is no [`Peer`](super::Peer).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Result;
use crate::process::{self, Server, free_address};
use crate::work::{Bench, Folder};

pub const NAME: &str = "MeshCentral";

/// How one speaks to it: the same words as its own command line uses, in one session.
const SCRIPT: &str = include_str!("meshcentral.cjs");
const USER: &str = "bench";
const PASSWORD: &str = "Bench-1234-x";
/// Its first start makes certificates.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server with one connected agent.
pub struct MeshCentral {
    pub agent: Server,
    _server: Server,
    device: String,
    session: Session,
    _folder: Folder,
}

/// Where a server is, and what speaks to it.
struct Session {
    modules: PathBuf,
    script: PathBuf,
    url: String,
}

/// Its version and that of node, or why it cannot be measured.
pub fn version(tools: &Path) -> Result<String> {
    super::node_package(&tools.join("node_modules"), "meshcentral")
}

/// The agent's program, which the package brings with it.
pub fn agent(tools: &Path) -> PathBuf {
    tools.join("node_modules/meshcentral/agents/meshagent_x86-64")
}

impl MeshCentral {
    /// A fresh server, and its agent on this machine.
    pub fn start(bench: &Bench) -> Result<MeshCentral> {
        let folder = bench.folder("meshcentral")?;
        let (path, modules) = (folder.path(), bench.places.tools.join("node_modules"));
        let address = free_address()?;
        for name in ["data", "files", "agent"] {
            super::make_folder(&path.join(name))?;
        }
        let settings = json!({
            "cert": "127.0.0.1", "port": address.port(), "portBind": "127.0.0.1", "redirPort": 0, "mpsPort": 0,
            "WANonly": true, "selfUpdate": false, "noAgentUpdate": 1, "agentTimeStampServer": false,
        });
        let domain = json!({ "newAccounts": false, "agentConfig": ["disableUpdate=1"] });
        let config = json!({ "settings": settings, "domains": { "": domain } }).to_string();
        write(&path.join("data/config.json"), &config)?;
        let script = path.join("session.cjs");
        write(&script, SCRIPT)?;
        let command = |more: &[&str]| {
            let mut command = Command::new("node");
            command.arg(modules.join("meshcentral")).current_dir(path).args(more);
            command.arg("--datapath").arg(path.join("data")).arg("--filespath").arg(path.join("files"));
            command
        };
        let account = ["--createaccount", USER, "--pass", PASSWORD, "--email", "bench@example.org"];
        process::output(command(&account))?;
        process::output(command(&["--adminaccount", USER]))?;
        let server = Server::spawn(command(&[]), address, path)?;
        let session = Session { modules: modules.clone(), script, url: format!("wss://{address}") };
        let group = session.group()?;
        let agent = path.join("agent/meshagent");
        std::fs::copy(self::agent(&bench.places.tools), &agent)
            .map_err(|e| format!("copying MeshCentral's agent: {e}"))?;
        write(&path.join("agent/meshagent.msh"), &session.ask(&["settings", &group])?)?;
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&agent, executable).map_err(|e| format!("`{}`: {e}", agent.display()))?;
        let mut command = Command::new(&agent);
        command.arg("connect").current_dir(path.join("agent"));
        let agent = Server::spawn(command, address, &path.join("agent"))?;
        let device = session.ask(&["device"])?.trim().to_owned();
        Ok(MeshCentral { agent, _server: server, device, session, _folder: folder })
    }

    /// Milliseconds from a command to its reply, for each of so many, in one session that is open already. Some replies
    /// may not come.
    pub fn commands(&self, count: usize) -> Result<Vec<f64>> {
        let printed = self.session.ask(&["times", &self.device, &count.to_string()])?;
        let times: Vec<f64> = printed.lines().filter_map(|line| line.trim().parse().ok()).collect();
        if times.len() * 2 > count { Ok(times) } else { Err(format!("MeshCentral's commands: {printed}")) }
    }

    /// Milliseconds of one command by the command line that comes with it, its own start included.
    pub fn by_command_line(&self) -> Result<f64> {
        let began = Instant::now();
        let arguments = ["RunCommand", "--id", &self.device, "--run", "echo hello", "--reply"];
        let printed = process::output(self.session.command_line(&arguments))?;
        let took = began.elapsed().as_secs_f64() * 1000.0;
        if printed.trim() == "hello" { Ok(took) } else { Err(format!("meshctrl: {}", printed.trim())) }
    }
}

impl Session {
    fn ask(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new("node");
        command.arg(&self.script).arg(&self.modules).args([self.url.as_str(), USER, PASSWORD]).args(words);
        process::output(command)
    }

    fn command_line(&self, words: &[&str]) -> Command {
        let mut command = Command::new("node");
        command.arg(self.modules.join("meshcentral/meshctrl.js")).args(words);
        command.args(["--url", &self.url, "--loginuser", USER, "--loginpass", PASSWORD]);
        command
    }

    /// Makes a group of machines, as soon as the server answers.
    fn group(&self) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let made = process::output(self.command_line(&["AddDeviceGroup", "--name", "bench"]));
            let id = made.as_deref().ok().and_then(|text| text.trim().strip_prefix("ok mesh//"));
            match id {
                Some(id) => return Ok(id.to_owned()),
                None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(500)),
                None => return Err(format!("MeshCentral makes no group of machines: {made:?}")),
            }
        }
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|e| format!("writing `{}`: {e}", path.display()))
}
