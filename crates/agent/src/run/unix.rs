//! Processes on Unix, through a supervisor for each script.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use super::supervise::{Setting, Task};
use super::{Ending, Plan, Remarks};
use crate::error::{Context, Result};
use crate::settings::Limits;

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

/// A supervisor and the script that it runs, or will run.
pub struct Process {
    supervisor: Child,
    channel: BufReader<UnixStream>,
    limits: Limits,
    mark: String,
    #[cfg(target_os = "linux")]
    group: Option<Group>,
}

impl Process {
    /// Makes everything ready for a script while its content is on the way. Nothing of the script runs yet.
    pub async fn prepare(runner: &Runner, limits: &Limits) -> Result<Process> {
        let failed = || "cannot start the script's supervisor".to_owned();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().context(failed)?;
        ours.set_nonblocking(true).context(failed)?;
        let mut command = Command::new(&runner.supervisor);
        command.arg0("jumpbag-agent").arg("supervise").env_clear().current_dir("/");
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::piped()).stderr(Stdio::piped());
        let supervisor = command.spawn().context(failed)?;
        // The command holds the supervisor's end of the channel open.
        drop(command);
        let mut process = Process {
            supervisor,
            channel: BufReader::new(UnixStream::from_std(ours).context(failed)?),
            limits: *limits,
            mark: String::new(),
            #[cfg(target_os = "linux")]
            group: runner.groups.as_ref().and_then(|groups| groups.make(limits)),
        };
        // What the control group does not limit is limited for each process.
        let data = (limits.memory > 0 && !process.in_group().0).then_some(limits.memory);
        #[cfg(target_os = "linux")]
        let group = process.group.as_ref().map(|group| group.path.clone());
        #[cfg(not(target_os = "linux"))]
        let group = None;
        process.say(&Setting { group, data }).await?;
        Ok(process)
    }

    /// Has the script started.
    pub async fn begin(&mut self, plan: &Plan) -> Result<()> {
        self.mark.clone_from(&plan.mark);
        let cpu = self.limits.cpu;
        let cpu_seconds = (cpu > 0 && !self.in_group().1)
            .then(|| (plan.seconds.saturating_mul(u64::from(cpu)) / 100).max(1));
        self.say(&Task { plan: plan.clone(), cpu_seconds }).await
    }

    /// Whether a control group limits memory and processor.
    fn in_group(&self) -> (bool, bool) {
        #[cfg(target_os = "linux")]
        return self.group.as_ref().map_or((false, false), |group| (group.memory, group.cpu));
        #[cfg(not(target_os = "linux"))]
        (false, false)
    }

    async fn say(&mut self, words: &impl Serialize) -> Result<()> {
        let failed = || "cannot tell the script's supervisor".to_owned();
        let mut line = serde_json::to_vec(words).context(failed)?;
        line.push(b'\n');
        self.channel.write_all(&line).await.context(failed)
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
            remarks.push(format!("the command took more than {} bytes of memory", self.limits.memory));
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
            if self.mark.is_empty() {
                return true;
            }
            let marks = [self.mark.clone()];
            let searched = tokio::task::spawn_blocking(move || super::tree::kill_marked(&marks)).await;
            searched.unwrap_or(false)
        }
        #[cfg(not(target_os = "linux"))]
        false
    }
}
