//! RunScript.

use std::io::Read;
use std::path::Path;

use jumpbag_wire::agent::Assignment;
use jumpbag_wire::time::Timestamp;
use tokio::sync::watch;

use super::{End, Folder, Outputs, Worker};
use crate::duty::Stop;
use crate::error::{Context, Error, Result};
use crate::run::interpreter::{self, HEAD};
use crate::run::{self, Ending, Plan, Process};

impl Worker {
    /// Runs a script that is in a folder of its own, in the folder that PutFile fills.
    pub(super) async fn script(
        &self,
        assignment: &Assignment,
        mut stop: watch::Receiver<Stop>,
        output: &mut Outputs,
    ) -> Result<(Timestamp, End)> {
        let name = assignment.content.as_ref().map(|content| content.name.as_str()).unwrap_or_default();
        let folder = Folder::make(&self.home, &assignment.command)?;
        // A script may have removed it.
        crate::disk::private_folder(&self.home.files())?;
        let script = folder.0.join(name);
        let process = Process::prepare(&self.runner, &self.limits).await?;
        let ready = async {
            self.fetch(assignment, &mut stop, &script).await?;
            let plan = self.plan(assignment, name, &script, &folder.0)?;
            Ok((self.start(assignment, &stop).await?, plan))
        };
        let (started, plan) = match ready.await {
            Ok(ready) => ready,
            Err(error) => {
                process.end().await;
                return Err(error);
            }
        };
        let (ending, remarks) = run::run(process, &plan, stop, &mut output.stdout, &mut output.stderr).await;
        let mut end = told(ending, assignment.timeout_seconds);
        end.errors.extend(remarks);
        Ok((started, end))
    }

    fn plan(&self, assignment: &Assignment, name: &str, script: &Path, folder: &Path) -> Result<Plan> {
        let readable = || format!("cannot read `{name}`");
        let mut head = Vec::with_capacity(HEAD);
        let file = std::fs::File::open(script).context(readable)?;
        file.take(HEAD as u64).read_to_end(&mut head).context(readable)?;
        let find = |program: &str| interpreter::find(program, &self.path);
        let (program, mut args) = interpreter::choose(name, script, &head, find).map_err(Error::new)?;
        if assignment.args.iter().any(|arg| arg.contains('\0')) {
            return Err(Error::new("an argument holds a NUL: no program can be given that"));
        }
        args.extend(assignment.args.iter().cloned());
        make_executable(script)?;
        let id = &assignment.command;
        Ok(Plan {
            program,
            args,
            environment: environment(&self.path, folder, &self.home.files()),
            folder: self.home.files(),
            mark: format!("{}/{}", id.action, id.index),
            seconds: assignment.timeout_seconds,
        })
    }
}

fn make_executable(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
            .context(|| format!("cannot make `{}` executable", path.display()))?;
    }
    let _ = path;
    Ok(())
}

/// What a script finds in its environment: the same on every machine, whatever started the agent.
fn environment(path: &str, folder: &Path, files: &Path) -> Vec<(String, String)> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut variables = vec![("PATH".to_owned(), path.to_owned()), ("JUMPBAG_FILES".to_owned(), text(files))];
    let mut set = |name: &str, value: String| variables.push((name.to_owned(), value));
    if cfg!(windows) {
        set("TEMP", text(folder));
        set("TMP", text(folder));
        let kept = "SystemRoot SystemDrive windir ComSpec PATHEXT ProgramData ProgramFiles ProgramFiles(x86) \
                    ProgramW6432 CommonProgramFiles CommonProgramFiles(x86) ALLUSERSPROFILE PUBLIC USERPROFILE \
                    APPDATA LOCALAPPDATA COMPUTERNAME USERNAME USERDOMAIN NUMBER_OF_PROCESSORS \
                    PROCESSOR_ARCHITECTURE PSModulePath OS";
        for name in kept.split_whitespace() {
            if let Ok(value) = std::env::var(name) {
                set(name, value);
            }
        }
    } else {
        set("TMPDIR", text(folder));
        set("LANG", "C.UTF-8".into());
        set("SHELL", "/bin/sh".into());
        let home = std::env::var("HOME").ok().filter(|home| Path::new(home).is_absolute());
        set("HOME", home.unwrap_or_else(|| text(folder)));
        for name in ["USER", "LOGNAME"] {
            if let Ok(value) = std::env::var(name) {
                set(name, value);
            }
        }
    }
    variables
}

fn told(ending: Ending, seconds: u64) -> End {
    let error = |text: String| End { exit_code: None, errors: vec![text] };
    match ending {
        Ending::Exited(0) => End { exit_code: Some(0), errors: Vec::new() },
        Ending::Exited(code) => {
            End { exit_code: Some(code), errors: vec![format!("the script ended with exit code {code}")] }
        }
        Ending::Signalled(signal) => error(format!("the script was ended by signal {signal}")),
        Ending::NotStarted(reason) | Ending::Lost(reason) => error(reason),
        Ending::TimedOut => error(format!("the script ran longer than {seconds} seconds and was ended")),
        Ending::Cancelled => error("the command was cancelled while it ran".into()),
        Ending::AgentStopped => error("the agent was stopped while the command ran".into()),
    }
}
