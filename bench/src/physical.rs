//! What this machine can do at best: the same bytes hashed, written and synced by one process, without HTTP and
//! without a catalog. Invariant: nothing counts before it is on stable storage.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::Subcommand;
use sha2::{Digest, Sha256};

use crate::Result;
use crate::http::Content;

/// The rows under which the limits stand in the tables.
pub const FILE: &str = "physical limit: hash, write, sync";
pub const FILES: &str = "physical limit: a file each, file and folder synced";
pub const LOG: &str = "physical limit: one growing log, shared syncs";
pub const ALLOCATED: &str = "physical limit: one allocated log, shared syncs";

const LIMIT: Duration = Duration::from_secs(5);
const PIECE: usize = 64 * 1024;

/// One kind of physical work.
#[derive(Clone, Subcommand)]
pub enum Work {
    /// Files one after the other; prints the seconds of each.
    File { size: usize, count: usize },
    /// Files by several threads, each file and its folder synced; prints files a second.
    Files { threads: usize, size: usize, count: usize },
    /// Records in one log, those that wait together share a sync; prints records a second.
    Log {
        threads: usize,
        size: usize,
        count: usize,
        #[arg(action = clap::ArgAction::Set)]
        allocated: bool,
    },
}

impl Work {
    fn arguments(&self) -> Vec<String> {
        match self {
            Self::File { size, count } => vec!["file".into(), size.to_string(), count.to_string()],
            Self::Files { threads, size, count } => {
                vec!["files".into(), threads.to_string(), size.to_string(), count.to_string()]
            }
            Self::Log { threads, size, count, allocated } => vec![
                "log".into(),
                threads.to_string(),
                size.to_string(),
                count.to_string(),
                allocated.to_string(),
            ],
        }
    }
}

/// Does `work` in a process of its own and hands back the numbers it printed.
pub fn in_a_process(work: &Work, folder: &Path) -> Result<Vec<f64>> {
    let program = std::env::current_exe().map_err(|e| format!("looking for this program: {e}"))?;
    let mut command = Command::new(program);
    command.arg("physical").arg(folder).args(work.arguments());
    let text = crate::process::output(command)?;
    text.split_whitespace()
        .map(|word| word.parse().map_err(|_| format!("`{word}` is not a number")))
        .collect()
}

/// Does `work` below `folder`.
pub fn run(work: &Work, folder: &Path) -> Result<Vec<f64>> {
    match work {
        Work::File { size, count } => one_by_one(folder, *size, *count),
        Work::Files { threads, size, count } => {
            let synced = File::open(folder).map_err(|e| format!("opening `{}`: {e}", folder.display()))?;
            let one = |number: usize, bytes: &[u8]| {
                write_file(&folder.join(format!("{number}")), bytes)?;
                synced.sync_all().map_err(|e| format!("syncing a folder: {e}"))
            };
            rate(*threads, *size, *count, one)
        }
        Work::Log { threads, size, count, allocated } => {
            let log = Log::create(&folder.join("log"), allocated.then_some(size * count))?;
            rate(*threads, *size, *count, |_, bytes| {
                std::hint::black_box(Sha256::digest(bytes));
                log.append(bytes)
            })
        }
    }
}

fn one_by_one(folder: &Path, size: usize, count: usize) -> Result<Vec<f64>> {
    let bytes = Content::base(size + 16);
    let one = |number: usize| {
        let began = Instant::now();
        write_file(&folder.join(format!("{number}")), &bytes)?;
        Ok(began.elapsed().as_secs_f64())
    };
    (0..count).map(one).collect()
}

/// Hashes and writes piece by piece, as a server must that streams, then syncs.
fn write_file(path: &PathBuf, bytes: &[u8]) -> Result<()> {
    let write = || {
        let mut file = File::create_new(path)?;
        let mut hash = Sha256::new();
        for piece in bytes.chunks(PIECE) {
            hash.update(piece);
            file.write_all(piece)?;
        }
        std::hint::black_box(hash.finalize());
        file.sync_all()
    };
    write().map_err(|e| format!("writing `{}`: {e}", path.display()))
}

/// `one` by several threads up to `count` times or the time limit; hands back how many a second.
fn rate(
    threads: usize,
    size: usize,
    count: usize,
    one: impl Fn(usize, &[u8]) -> Result<()> + Sync,
) -> Result<Vec<f64>> {
    let base = Content::base(size + 16);
    let began = Instant::now();
    let lane = |lane: usize| {
        let mut bytes = base.to_vec();
        let mut done = 0;
        for number in (lane..count).step_by(threads) {
            if began.elapsed() > LIMIT {
                break;
            }
            let stamp = (number as u64).to_be_bytes();
            bytes[..stamp.len()].copy_from_slice(&stamp);
            one(number, &bytes)?;
            done += 1;
        }
        Ok(done)
    };
    let done: Result<Vec<usize>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|number| scope.spawn(move || lane(number))).collect();
        threads.into_iter().map(|t| t.join().map_err(|_| "a writing thread panicked".to_string())?).collect()
    });
    let seconds = began.elapsed().as_secs_f64();
    Ok(vec![done?.iter().sum::<usize>() as f64 / seconds])
}

/// A log whose waiting writers share one write and one sync.
struct Log {
    file: File,
    state: Mutex<State>,
    synced: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    added: u64,
    synced: u64,
    writing: bool,
    failed: bool,
}

impl Log {
    fn create(path: &Path, allocated: Option<usize>) -> Result<Self> {
        let fail = |e: std::io::Error| format!("writing `{}`: {e}", path.display());
        if let Some(size) = allocated {
            std::fs::write(path, vec![0; size]).map_err(fail)?;
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(fail)?;
        file.sync_all().map_err(fail)?;
        Ok(Self { file, state: Mutex::default(), synced: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when `record` is on stable storage.
    fn append(&self, record: &[u8]) -> Result<()> {
        let mut state = self.lock();
        state.waiting.extend_from_slice(record);
        state.added += 1;
        let mine = state.added;
        while state.synced < mine && !state.failed {
            if state.writing {
                state = self.synced.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.writing = true;
            let (batch, last) = (std::mem::take(&mut state.waiting), state.added);
            drop(state);
            let done = (&self.file).write_all(&batch).and_then(|()| self.file.sync_data());
            state = self.lock();
            state.writing = false;
            state.failed |= done.is_err();
            state.synced = last;
            self.synced.notify_all();
        }
        if state.failed { Err("writing the log failed".into()) } else { Ok(()) }
    }
}
