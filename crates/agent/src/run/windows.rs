//! Processes on Windows, each with all it starts in a job object that ends when the agent does.

use std::time::Duration;

use process_wrap::tokio::{ChildWrapper, CommandWrap, JobObject, KillOnDrop};
use tokio::process::{ChildStderr, ChildStdout, Command};

use super::{Ending, Plan, Remarks};
use crate::error::{Context, Result};
use crate::settings::Limits;

const STUBBORN: Duration = Duration::from_secs(30);

/// What it takes to run scripts here.
pub struct Runner;

impl Runner {
    /// Job objects leave nothing behind.
    pub fn new(_machine: &str, _left: &[String]) -> Runner {
        Runner
    }
}

/// A script that runs, or will run.
pub struct Process(Option<Box<dyn ChildWrapper>>);

impl Process {
    /// There is nothing to make ready.
    pub async fn prepare(_runner: &Runner, _limits: &Limits) -> Result<Process> {
        Ok(Process(None))
    }

    /// Starts the script.
    pub async fn begin(&mut self, plan: &Plan) -> Result<()> {
        let mut command = Command::new(&plan.program);
        command.args(&plan.args).env_clear().envs(plan.environment.iter().cloned());
        command.env(super::MARK, &plan.mark).current_dir(&plan.folder);
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut wrapped = CommandWrap::from(command);
        wrapped.wrap(KillOnDrop).wrap(JobObject);
        let child = wrapped.spawn().context(|| format!("cannot start `{}`", plan.program.display()))?;
        self.0 = Some(child);
        Ok(())
    }

    pub fn output(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        self.0.as_mut().map_or((None, None), |child| (child.stdout().take(), child.stderr().take()))
    }

    /// Returns when the script has ended by itself.
    pub async fn ended(&mut self) -> Ending {
        // The wrapper would wait for all of the job.
        let Some(child) = &mut self.0 else { return Ending::NotStarted("the script was not started".into()) };
        match child.inner_mut().wait().await {
            Ok(status) => status.code().map_or_else(
                || Ending::Lost("the script has no exit code".into()),
                |code| Ending::Exited(code.into()),
            ),
            Err(error) => Ending::Lost(format!("the script cannot be waited for: {error}")),
        }
    }

    /// Ends everything that the script started.
    pub async fn end(mut self) -> Remarks {
        let Some(child) = &mut self.0 else { return Vec::new() };
        let killed = child.start_kill().is_ok();
        let gone = killed && tokio::time::timeout(STUBBORN, child.wait()).await.is_ok();
        if gone { Vec::new() } else { vec!["some processes of the command could not be ended".to_owned()] }
    }
}
