//! launchd.

use std::path::Path;

use super::call;
use crate::error::{Context, Error, Result};

const LABEL: &str = "jumpbag-agent";
const LIST: &str = "/Library/LaunchDaemons/jumpbag-agent.plist";

/// Installs a daemon that starts with the machine, and starts it.
///
/// # Errors
/// When launchd refuses.
pub fn install(data: &Path) -> Result<String> {
    let program = std::env::current_exe().context(|| "cannot find this program".into())?;
    std::fs::write(LIST, list(&program, data)?).context(|| format!("cannot write `{LIST}`"))?;
    call("launchctl", &["bootstrap", "system", LIST])?;
    Ok(format!("installed and started `{LABEL}`"))
}

/// # Errors
/// When launchd refuses.
pub fn uninstall() -> Result<String> {
    call("launchctl", &["bootout", &format!("system/{LABEL}")])?;
    std::fs::remove_file(LIST).context(|| format!("cannot remove `{LIST}`"))?;
    Ok(format!("stopped and removed `{LABEL}`; the data folder is still there"))
}

/// # Errors
/// When the daemon does not run.
pub fn status() -> Result<String> {
    let text = call("launchctl", &["print", &format!("system/{LABEL}")])?;
    let state = text.lines().find_map(|line| line.trim().strip_prefix("state = "));
    state
        .map(|state| format!("`{LABEL}` is {state}"))
        .ok_or_else(|| Error::new(format!("`{LABEL}` has no state")))
}

fn list(program: &Path, data: &Path) -> Result<String> {
    let words: [&str; 4] = [text(program)?, "run", "--data-dir", text(data)?];
    let words: String =
        words.iter().map(|word| format!("    <string>{}</string>\n", escaped(word))).collect();
    Ok(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n\
         \x20 <key>Label</key><string>{LABEL}</string>\n\
         \x20 <key>ProgramArguments</key>\n  <array>\n{words}  </array>\n\
         \x20 <key>RunAtLoad</key><true/>\n\
         \x20 <key>KeepAlive</key><true/>\n\
         \x20 <key>StandardErrorPath</key><string>/var/log/jumpbag-agent.log</string>\n\
         </dict>\n</plist>\n"
    ))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| Error::new(format!("`{}` is not Unicode", path.display())))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
