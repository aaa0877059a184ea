//! The agent as a service of the operating system: installed, removed, looked at.

#[cfg_attr(target_os = "linux", path = "service/systemd.rs")]
#[cfg_attr(target_os = "macos", path = "service/launchd.rs")]
#[cfg_attr(windows, path = "service/windows.rs")]
mod system;

#[cfg(windows)]
pub use system::serve;
pub use system::{install, status, uninstall};

#[cfg(unix)]
use crate::error::{Context, Error, Result};

/// Runs one of the system's own programs and returns what it says.
#[cfg(unix)]
fn call(program: &str, args: &[&str]) -> Result<String> {
    let output = std::process::Command::new(program)
        .args(args)
        .output()
        .context(|| format!("cannot run `{program}`"))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(text);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let said = if said.is_empty() { text } else { said };
    Err(Error::new(format!("`{program} {}` failed: {said}", args.join(" "))))
}
