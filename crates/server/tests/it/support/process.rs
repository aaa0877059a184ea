//! Child processes that die with the test, whichever way it ends: dropped, panicked, or killed by the runner.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::sync::watch;
use tokio::time::timeout;

/// A running program, its output as it comes, and its end. Dropping it kills it and all that it started.
pub struct Process {
    name: String,
    pid: Pid,
    output: watch::Receiver<Output>,
    exit: watch::Receiver<Option<ExitStatus>>,
    /// Disconnected when both streams have been read to their ends.
    readers: Mutex<mpsc::Receiver<()>>,
}

/// Everything a process has written so far.
#[derive(Default)]
struct Output {
    stdout: Vec<String>,
    stderr: Vec<String>,
    open_streams: usize,
}

#[derive(Clone, Copy)]
enum Stream {
    Stdout,
    Stderr,
}

impl Process {
    /// A command for [`Process::spawn`]. Where the machine has `setpriv`, the kernel kills the program when the test
    /// process is gone, even by SIGKILL.
    pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
        static SETPRIV: OnceLock<bool> = OnceLock::new();
        let has_setpriv = *SETPRIV.get_or_init(|| {
            Command::new("setpriv")
                .args(["--pdeathsig", "KILL", "true"])
                .status()
                .is_ok_and(|status| status.success())
        });
        if !has_setpriv {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command
    }

    /// Starts it. Panics when the program cannot be started.
    pub fn spawn(name: &str, mut command: Command) -> Process {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = spawn_from_lasting_thread(command)
            .unwrap_or_else(|error| panic!("cannot start `{name}`: {error}"));
        let pid = Pid::from_child(&child);
        let (sender, output) = watch::channel(Output { open_streams: 2, ..Output::default() });
        let sender = Arc::new(sender);
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let (reader, readers) = mpsc::channel();
        collect(stdout, Stream::Stdout, Arc::clone(&sender), reader.clone());
        collect(stderr, Stream::Stderr, sender, reader);
        Process { name: name.into(), pid, output, exit: reap(child), readers: Mutex::new(readers) }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The first line on stdout that `pick` finds something in. Panics, with all output, when the program ends
    /// without such a line or `within` is over.
    pub async fn line<T>(&self, within: Duration, pick: impl Fn(&str) -> Option<T>) -> T {
        let mut output = self.output.clone();
        let found = output.wait_for(|output| {
            output.open_streams == 0 || output.stdout.iter().any(|line| pick(line).is_some())
        });
        let why = match timeout(within, found).await {
            Ok(Ok(output)) => match output.stdout.iter().find_map(|line| pick(line)) {
                Some(value) => return value,
                None => "ended without the line that was expected".to_string(),
            },
            Ok(Err(_)) => "closed its output".to_string(),
            Err(_) => format!("did not print the line that was expected within {within:?}"),
        };
        panic!("`{}` {why}; it said:\n{}", self.name, self.everything());
    }

    /// Waits until stderr has a line for which `wanted` holds. Panics like [`Process::line`].
    pub async fn log_line(&self, within: Duration, wanted: impl Fn(&str) -> bool) -> String {
        let mut output = self.output.clone();
        let seen = |output: &Output| output.stderr.iter().find(|line| wanted(line)).cloned();
        let found = output.wait_for(|output| output.open_streams == 0 || seen(output).is_some());
        if let Ok(Ok(output)) = timeout(within, found).await
            && let Some(line) = seen(&output)
        {
            return line;
        }
        panic!("`{}` did not log the line that was expected; it said:\n{}", self.name, self.everything());
    }

    /// What it has written to stderr.
    pub fn stderr(&self) -> String {
        self.output.borrow().stderr.join("\n")
    }

    /// What it has written to stdout.
    pub fn stdout(&self) -> String {
        self.output.borrow().stdout.join("\n")
    }

    /// Sends a signal to the program itself, not to what it started. Nothing happens when it has ended.
    pub fn signal(&self, signal: Signal) {
        if self.exit.borrow().is_none() {
            // It may end in this very moment, which is what most signals ask for.
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Its exit status and all of its output. Panics when it still runs after `within`.
    pub async fn ended(&self, within: Duration) -> ExitStatus {
        let mut exit = self.exit.clone();
        let status = match timeout(within, exit.wait_for(Option::is_some)).await {
            Ok(Ok(status)) => status.expect("waited for it"),
            _ => panic!("`{}` still runs after {within:?}; it said:\n{}", self.name, self.everything()),
        };
        let mut output = self.output.clone();
        // A grandchild may hold the streams open for longer; what came until then is enough.
        let _ = timeout(Duration::from_secs(1), output.wait_for(|output| output.open_streams == 0)).await;
        status
    }

    /// Kills it and all that it started, now, and waits until it is gone.
    pub async fn kill(&self) {
        self.kill_group();
        self.ended(super::SOON).await;
    }

    fn kill_group(&self) {
        if self.exit.borrow().is_none() {
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
    }

    fn everything(&self) -> String {
        let output = self.output.borrow();
        format!("--- stdout\n{}\n--- stderr\n{}\n---", output.stdout.join("\n"), output.stderr.join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let ended_before = self.exit.borrow().map(|status| format!(" had ended by itself, {status},"));
        self.kill_group();
        if std::thread::panicking() {
            // What was written last is often the reason, and may not have been read yet.
            if let Ok(readers) = self.readers.lock() {
                let _ = readers.recv_timeout(Duration::from_secs(1));
            }
            let state = ended_before.unwrap_or_default();
            eprintln!("`{}`{state} said:\n{}", self.name, self.everything());
        }
    }
}

/// The kernel's "parent is gone" signal counts the thread that started the child as its parent: a thread of a runtime
/// that ends with one test would take a server down with it. This one lasts as long as the process.
fn spawn_from_lasting_thread(command: Command) -> std::io::Result<Child> {
    type Order = (Command, mpsc::Sender<std::io::Result<Child>>);
    static ORDERS: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in orders {
                let _ = reply.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let (reply, answer) = mpsc::channel();
    orders.lock().expect("the sender is only cloned").send((command, reply)).expect("the thread lasts");
    answer.recv().expect("the thread answers every order")
}

/// Reads a stream to its end; `reading` is dropped there.
fn collect(
    stream: impl Read + Send + 'static,
    which: Stream,
    output: Arc<watch::Sender<Output>>,
    reading: mpsc::Sender<()>,
) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_string();
            output.send_modify(|output| match which {
                Stream::Stdout => output.stdout.push(line),
                Stream::Stderr => output.stderr.push(line),
            });
        }
        output.send_modify(|output| output.open_streams -= 1);
        drop(reading);
    });
}

fn reap(mut child: Child) -> watch::Receiver<Option<ExitStatus>> {
    let (sender, exit) = watch::channel(None);
    std::thread::spawn(move || {
        if let Ok(status) = child.wait() {
            sender.send_replace(Some(status));
        }
    });
    exit
}
