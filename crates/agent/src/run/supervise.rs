//! The supervisor: a process of its own between the agent and a script. It adopts whatever the script leaves behind,
//! so that nothing escapes by forking or by a session of its own, and it ends everything when the agent says so or is
//! no more: the agent's end of its standard input closes either way.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, WaitOptions, WaitStatus};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Ending, Plan};
use crate::error::{Context, Result};

const KILL_AGAIN: Duration = Duration::from_millis(10);

/// What the agent tells the supervisor in a first line, as soon as a script is on its way.
#[derive(Serialize, Deserialize)]
pub struct Setting {
    /// The script's control group.
    pub group: Option<PathBuf>,
    /// Bytes of data a process may have.
    pub data: Option<u64>,
}

/// What it says in a second line, when the script may start.
#[derive(Serialize, Deserialize)]
pub struct Task {
    pub plan: Plan,
    /// Seconds of processor time a process may take.
    pub cpu_seconds: Option<u64>,
}

/// The whole life of a supervisor.
pub fn supervise() -> ExitCode {
    match live() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn live() -> Result<()> {
    let channel = take_channel()?;
    let mut reader = BufReader::new(channel.try_clone().context(|| "cannot hear the agent".into())?);
    // Out of the terminal's and the agent's reach.
    let _ = rustix::process::setsid();
    adopt();
    let Some(setting) = read::<Setting>(&mut reader)? else { return Ok(()) };
    settle_in(&setting);
    let Some(task) = read::<Task>(&mut reader)? else { return Ok(()) };
    limit(Resource::Cpu, task.cpu_seconds);
    let stop = Arc::new(AtomicBool::new(false));
    watch(reader, Arc::clone(&stop));
    let ending = match spawn(&task.plan) {
        Ok(script) => {
            close_output();
            wait_for(script, &stop)
        }
        Err(reason) => Ending::NotStarted(reason),
    };
    let mut said = serde_json::to_vec(&ending).context(|| "cannot tell the agent".into())?;
    said.push(b'\n');
    // The agent may be gone: all the more reason to end everything.
    let _ = (&channel).write_all(&said);
    end_all();
    Ok(())
}

/// What the agent says in a line; `None` when it goes away instead.
fn read<T: DeserializeOwned>(reader: &mut impl BufRead) -> Result<Option<T>> {
    let mut line = String::new();
    reader.read_line(&mut line).context(|| "cannot hear the agent".into())?;
    if !line.ends_with('\n') {
        return Ok(None);
    }
    serde_json::from_str(&line).map(Some).context(|| "the agent says something unknown".into())
}

/// Standard input is a socket to the agent; scripts are not to have it.
fn take_channel() -> Result<UnixStream> {
    let failed = || "cannot take the channel to the agent".to_owned();
    let channel = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).context(failed)?;
    let nothing = File::open("/dev/null").context(failed)?;
    rustix::stdio::dup2_stdin(&nothing).context(failed)?;
    Ok(UnixStream::from(channel))
}

/// Once the script runs, its output is open only as long as one of its processes has it open.
fn close_output() {
    if let Ok(nothing) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&nothing);
        let _ = rustix::stdio::dup2_stderr(&nothing);
    }
}

/// Processes whose parents end become children of this one.
fn adopt() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// When the agent closes its end, everything is ended.
fn watch(mut reader: BufReader<UnixStream>, stop: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let mut rest = [0; 64];
        while matches!(reader.read(&mut rest), Ok(read) if read > 0) {}
        stop.store(true, Ordering::SeqCst);
        kill_on();
    });
}

/// Enters the script's control group and takes on its limits: what it starts inherits both.
fn settle_in(setting: &Setting) {
    limit(Resource::Core, Some(0));
    limit(Resource::Data, setting.data);
    if let Some(group) = &setting.group {
        let _ = std::fs::write(group.join("cgroup.procs"), "0");
    }
}

fn limit(resource: Resource, value: Option<u64>) {
    if value.is_some() {
        let _ = rustix::process::setrlimit(resource, Rlimit { current: value, maximum: value });
    }
}

fn spawn(plan: &Plan) -> std::result::Result<Pid, String> {
    let mut command = Command::new(&plan.program);
    command.args(&plan.args).env_clear().envs(plan.environment.iter().cloned());
    command.env(super::MARK, &plan.mark).current_dir(&plan.folder).process_group(0).stdin(Stdio::null());
    let child = command.spawn();
    let child = child.map_err(|error| format!("cannot start `{}`: {error}", plan.program.display()))?;
    let script = Pid::from_raw(child.id().cast_signed()).ok_or("the script has no process")?;
    #[cfg(not(target_os = "linux"))]
    let _ = SCRIPT.set(script);
    Ok(script)
}

/// Waits for the script, and for whatever else ends meanwhile.
fn wait_for(script: Pid, stop: &AtomicBool) -> Ending {
    while !stop.load(Ordering::SeqCst) {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == script => return ending(status),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Ending::Lost(format!("the script cannot be waited for: {error}")),
        }
    }
    Ending::AgentStopped
}

fn ending(status: WaitStatus) -> Ending {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ending::Exited(i64::from(code)),
        (None, Some(signal)) => Ending::Signalled(signal),
        (None, None) => Ending::Lost("the script neither ended nor runs".into()),
    }
}

/// Ends whatever there is until there is nothing.
fn end_all() {
    let mut killing = false;
    loop {
        match rustix::process::wait(if killing { WaitOptions::empty() } else { WaitOptions::NOHANG }) {
            // Something is left, and it runs.
            Ok(None) => {
                killing = true;
                std::thread::spawn(kill_on);
            }
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// Kills what there is again and again: a process that forks while it is looked for is found the next time.
fn kill_on() {
    loop {
        kill_children();
        std::thread::sleep(KILL_AGAIN);
    }
}

#[cfg(target_os = "linux")]
fn kill_children() {
    super::tree::kill_below(rustix::process::getpid());
}

#[cfg(not(target_os = "linux"))]
fn kill_children() {
    // The supervisor leads the session; the script's group is all that is known of it here.
    if let Some(script) = SCRIPT.get() {
        let _ = rustix::process::kill_process_group(*script, rustix::process::Signal::KILL);
    }
}

#[cfg(not(target_os = "linux"))]
static SCRIPT: std::sync::OnceLock<Pid> = std::sync::OnceLock::new();
