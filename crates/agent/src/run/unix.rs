//! Processes on Unix, through a supervisor for each script.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use super::supervise::Task;
use super::{Ending, Plan, Remarks};
use crate::error::{Context, Result};

#[cfg(target_os = "linux")]
use super::cgroup::{Group, Groups};

/// A supervisor that does not end its processes in this time is left alone; the command's end says so.
const STUBBORN: Duration = Duration::from_secs(30);

/// What it takes to run scripts here.
pub struct Runner {
    /// The program whose `supervise` command is the supervisor: this one.
    supervisor: PathBuf,
    #[cfg(target_os = "linux")]
    groups: Option<Groups>,
}

impl Runner {
    /// Ends what an earlier agent of this machine left running of these commands.
    pub fn new(machine: &str, left: &[String]) -> Runner {
        let _ = (machine, left);
        #[cfg(target_os = "linux")]
        let runner = {
            // It is this very program, even when its file was replaced meanwhile.
            let runner = Runner { supervisor: "/proc/self/exe".into(), groups: Groups::prepare(machine) };
            if !left.is_empty() && !super::tree::kill_marked(left) {
                crate::say!("some processes of interrupted commands cannot be ended");
            }
            runner
        };
        #[cfg(not(target_os = "linux"))]
        let runner =
            Runner { supervisor: std::env::current_exe().unwrap_or_else(|_| "jumpbag-agent".into()) };
        runner
    }
}

/// A script that runs under its supervisor.
pub struct Process {
    supervisor: Child,
    channel: BufReader<UnixStream>,
    mark: String,
    #[cfg(target_os = "linux")]
    group: Option<Group>,
    #[cfg(target_os = "linux")]
    memory: u64,
}

impl Process {
    pub async fn start(runner: &Runner, plan: &Plan) -> Result<Process> {
        let failed = || "cannot start the script's supervisor".to_owned();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().context(failed)?;
        ours.set_nonblocking(true).context(failed)?;
        let mut command = Command::new(&runner.supervisor);
        command.arg0("jumpbag-agent").arg("supervise").env_clear().current_dir("/");
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::piped()).stderr(Stdio::piped());
        let supervisor = command.spawn().context(failed)?;
        // The command holds the supervisor's end of the channel open.
        drop(command);
        let channel = BufReader::new(UnixStream::from_std(ours).context(failed)?);
        let mark = plan.mark.clone();
        #[cfg(target_os = "linux")]
        let mut process = {
            let group = runner.groups.as_ref().and_then(|groups| groups.make(&plan.limits));
            Process { supervisor, channel, mark, group, memory: plan.limits.memory }
        };
        #[cfg(not(target_os = "linux"))]
        let mut process = Process { supervisor, channel, mark };
        let mut task = serde_json::to_vec(&process.task(runner, plan)).context(failed)?;
        task.push(b'\n');
        process.channel.write_all(&task).await.context(failed)?;
        Ok(process)
    }

    /// What the control group does not limit is limited for each process.
    fn task(&self, runner: &Runner, plan: &Plan) -> Task {
        let limits = &plan.limits;
        let _ = runner;
        #[cfg(target_os = "linux")]
        let (groups, memory, cpu) = match (&runner.groups, &self.group) {
            (Some(groups), Some(group)) => {
                (Some((group.path.clone(), groups.own().to_owned())), group.memory, group.cpu)
            }
            _ => (None, false, false),
        };
        #[cfg(not(target_os = "linux"))]
        let (groups, memory, cpu) = (None, false, false);
        Task {
            plan: plan.clone(),
            groups,
            data: (limits.memory > 0 && !memory).then_some(limits.memory),
            cpu_seconds: (limits.cpu > 0 && !cpu)
                .then(|| (plan.seconds.saturating_mul(u64::from(limits.cpu)) / 100).max(1)),
        }
    }

    pub fn output(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.supervisor.stdout.take(), self.supervisor.stderr.take())
    }

    /// Returns when the script has ended by itself, or cannot be started.
    pub async fn ended(&mut self) -> Ending {
        let lost = || Ending::Lost("the script's supervisor was killed".into());
        let mut line = Vec::new();
        match self.channel.read_until(b'\n', &mut line).await {
            Ok(_) => serde_json::from_slice(&line).unwrap_or_else(|_| lost()),
            Err(_) => lost(),
        }
    }

    /// Ends everything that the script started.
    pub async fn end(mut self) -> Remarks {
        let _ = self.channel.shutdown().await;
        let mut remarks = Vec::new();
        let gone = matches!(
            tokio::time::timeout(STUBBORN, self.supervisor.wait()).await,
            Ok(Ok(status)) if status.success()
        );
        if !gone && !self.search().await {
            remarks.push("some processes of the command could not be ended".to_owned());
        }
        #[cfg(target_os = "linux")]
        if self.group.as_ref().is_some_and(Group::ran_out_of_memory) {
            remarks.push(format!("the command took more than {} bytes of memory", self.memory));
        }
        remarks
    }

    /// Without its supervisor, a script's processes are known by their mark. Returns whether none is left.
    async fn search(&self) -> bool {
        #[cfg(target_os = "linux")]
        {
            if let Some(group) = &self.group {
                super::cgroup::kill(&group.path);
            }
            let marks = [self.mark.clone()];
            let searched = tokio::task::spawn_blocking(move || super::tree::kill_marked(&marks)).await;
            searched.unwrap_or(false)
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = &self.mark;
            false
        }
    }
}
