//! systemd.

use std::path::Path;

use super::call;
use crate::error::{Context, Error, Result};

const NAME: &str = "jumpbag-agent.service";
const UNIT: &str = "/etc/systemd/system/jumpbag-agent.service";

/// Installs a service that starts with the machine, and starts it.
///
/// # Errors
/// When there is no systemd, or it refuses.
pub fn install(data: &Path) -> Result<String> {
    if !Path::new("/run/systemd/system").exists() {
        return Err(Error::new(
            "this machine is not run by systemd: have `jumpbag-agent run` started by what does run it",
        ));
    }
    let program = std::env::current_exe().context(|| "cannot find this program".into())?;
    std::fs::write(UNIT, unit(&program, data)?).context(|| format!("cannot write `{UNIT}`"))?;
    call("systemctl", &["daemon-reload"])?;
    call("systemctl", &["enable", "--now", NAME])?;
    Ok(format!("installed and started `{NAME}`"))
}

/// # Errors
/// When systemd refuses.
pub fn uninstall() -> Result<String> {
    if !Path::new(UNIT).exists() {
        return Err(Error::new(format!("there is no `{UNIT}`")));
    }
    call("systemctl", &["disable", "--now", NAME])?;
    std::fs::remove_file(UNIT).context(|| format!("cannot remove `{UNIT}`"))?;
    call("systemctl", &["daemon-reload"])?;
    Ok(format!("stopped and removed `{NAME}`; the data folder is still there"))
}

/// # Errors
/// When the service does not run.
pub fn status() -> Result<String> {
    call("systemctl", &["is-active", NAME]).map(|state| format!("`{NAME}` is {state}"))
}

/// The agent is root and nothing is kept from it: it is there to look everywhere. `Delegate` gives it control groups
/// for its scripts, and `mixed` lets it end them itself.
fn unit(program: &Path, data: &Path) -> Result<String> {
    Ok(format!(
        "[Unit]\n\
         Description=jumpbag agent: runs live response commands\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         ExecStart={} run --data-dir {}\n\
         Restart=always\n\
         RestartSec=5\n\
         Delegate=yes\n\
         KillMode=mixed\n\
         TimeoutStopSec=30\n\
         OOMPolicy=continue\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        quoted(program)?,
        quoted(data)?
    ))
}

/// As systemd reads it: in quotes, with nothing that it would expand.
fn quoted(path: &Path) -> Result<String> {
    let text = path.to_str().filter(|text| !text.contains(['\n', '\r']));
    let text = text.ok_or_else(|| Error::new(format!("`{}` cannot be written in a unit", path.display())))?;
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    Ok(format!("\"{escaped}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_reach_systemd_as_they_are() {
        let text = unit(Path::new("/opt/a b/jumpbag-agent"), Path::new("/d%i/$x\"")).unwrap();
        let line = r#"ExecStart="/opt/a b/jumpbag-agent" run --data-dir "/d%%i/$$x\"""#;
        assert!(text.lines().any(|found| found == line), "{text}");
        assert!(quoted(Path::new("/a\nExecStartPre=x")).is_err());
    }
}
