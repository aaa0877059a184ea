//! Server processes under measurement. Invariant: every process this program starts leads a process group of its
//! own that is known here, and the whole group is killed when its `Server` is dropped or the program is
//! interrupted.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::Result;
use crate::http::{Body, Connection, Request};

static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Kills every process group that is still running, runs `tidy` and ends the program. No process can be started
/// meanwhile.
pub fn exit(code: i32, tidy: impl FnOnce()) -> ! {
    let groups = groups();
    groups.iter().copied().for_each(kill_group);
    tidy();
    std::process::exit(code)
}

fn groups() -> MutexGuard<'static, BTreeSet<i32>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts `command` as the leader of a known group.
fn start(command: &mut Command) -> Result<Child> {
    let mut groups = groups();
    let child = command.stdin(Stdio::null()).process_group(0).spawn();
    let child = child.map_err(|e| format!("starting `{}`: {e}", name(command)))?;
    groups.insert(child.id() as i32);
    Ok(child)
}

fn kill_group(group: i32) {
    if let Some(pid) = Pid::from_raw(group) {
        // The group may be gone already.
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// A running server and all its workers.
pub struct Server {
    child: Child,
    log: PathBuf,
    spawned: Instant,
    pub address: SocketAddr,
}

impl Server {
    /// Starts `command`; what it prints goes to a file in `folder`.
    pub fn spawn(mut command: Command, address: SocketAddr, folder: &Path) -> Result<Self> {
        let log = folder.join("output.log");
        let output = File::create(&log).map_err(|e| format!("creating `{}`: {e}", log.display()))?;
        let errors = output.try_clone().map_err(|e| format!("sharing `{}`: {e}", log.display()))?;
        command.stdout(output).stderr(errors);
        let spawned = Instant::now();
        let child = start(&mut command)?;
        Ok(Self { child, log, spawned, address })
    }

    /// Waits until `probe` is answered and says how long that took since the start. `accept` decides whether the
    /// answer's status counts.
    pub fn answered(&mut self, probe: &Request, accept: impl Fn(u16) -> bool) -> Result<f64> {
        let deadline = self.spawned + Duration::from_secs(60);
        let mut last = String::from("no answer");
        while Instant::now() < deadline {
            match Connection::open(self.address).and_then(|mut c| c.send(probe, Body::Drop)) {
                Ok(answer) if accept(answer.status) => return Ok(self.spawned.elapsed().as_secs_f64()),
                Ok(answer) => last = format!("answered {}", answer.status),
                Err(error) => last = error,
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the server ended with {status}: {}", self.printed()));
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        Err(format!("not ready after 60 s ({last}): {}", self.printed()))
    }

    /// The end of what the server printed, on one line.
    fn printed(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let tail = &text[text.len().saturating_sub(400)..];
        String::from_utf8_lossy(tail).replace('\n', " ").trim().to_string()
    }

    /// `VmHWM` or `VmRSS` in MiB, summed over all processes of the server.
    pub fn memory(&self, field: &str) -> Result<f64> {
        let members = members(self.child.id());
        let kib: u64 = members.iter().filter_map(|pid| status_kib(*pid, field)).sum();
        if kib == 0 {
            return Err(format!("no `{field}` for the server: {}", self.printed()));
        }
        Ok(kib as f64 / 1024.0)
    }

    /// Seconds of processor time that all processes of the server have taken.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let ticks: Option<u64> = members(self.child.id()).into_iter().map(ticks).sum();
        let ticks = ticks.ok_or_else(|| format!("no processor time for the server: {}", self.printed()))?;
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// How often threads of the server have gone to sleep of their own accord: each time they were woken before.
    pub fn sleeps(&self) -> Result<u64> {
        let members = members(self.child.id());
        let sleeps: u64 = members.iter().map(|pid| sleeps(*pid)).sum();
        if members.is_empty() { Err(format!("the process is gone: {}", self.printed())) } else { Ok(sleeps) }
    }
}

impl Server {
    /// Asks the server to end, as its operator would, and waits until it has. Fails when it does not within 30 s.
    pub fn stop(mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        if let Some(pid) = Pid::from_raw(self.child.id() as i32) {
            kill_process_group(pid, Signal::TERM).map_err(|e| format!("stopping the server: {e}"))?;
        }
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => return Err(format!("waiting for the server: {error}")),
            }
        }
        Err(format!("the server did not end within 30 s of SIGTERM: {}", self.printed()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = self.child.id() as i32;
        kill_group(group);
        // Reaps it; it was killed, so this ends at once.
        let _ = self.child.wait();
        groups().remove(&group);
    }
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

/// The processes of a group.
fn members(group: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| group_of(*pid) == Some(group)).collect()
}

/// Field 5 of `/proc/PID/stat`; the command before it may hold spaces, so counting starts behind its `)`.
fn group_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse().ok()
}

/// Fields 14 and 15 of `/proc/PID/stat`.
fn ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn sleeps(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let sleeps = threads.filter_map(|thread| {
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<u64>().ok()
    });
    sleeps.sum()
}

fn status_kib(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A loopback address that nothing listens on at this moment.
pub fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("looking for a free port: {e}"))?;
    listener.local_addr().map_err(|e| format!("looking for a free port: {e}"))
}

/// Runs `command` to its end and hands back what it printed to both outputs. Fails when it cannot be started or
/// ends with an error.
pub fn output(mut command: Command) -> Result<String> {
    let child = start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let group = child.id() as i32;
    let done = child.wait_with_output();
    groups().remove(&group);
    let done = done.map_err(|e| format!("waiting for `{}`: {e}", name(&command)))?;
    let text = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    if !done.status.success() {
        return Err(format!("`{}` ended with {}: {}", name(&command), done.status, text.trim()));
    }
    Ok(text)
}
