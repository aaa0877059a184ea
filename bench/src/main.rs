//! How fast jumpbag is, against whom: starts jumpbag and its peers on this machine, gives them the same work in
//! turns and prints tables of medians, spread and ratios. Invariant: whatever ends this program, no server it
//! started stays behind, and a peer that cannot be measured is named.

mod aims;
mod http;
mod live;
mod load;
mod machine;
mod operator;
mod peers;
mod physical;
mod process;
mod script;
mod sign;
mod simulate;
mod table;
mod work;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use peers::{Places, meshcentral};
use table::Table;
use work::{Bench, Found};

/// A message that says what was wrong; this program has no caller that would tell errors apart.
pub type Result<T, E = String> = std::result::Result<T, E>;

#[derive(Parser)]
#[command(version, about = "Measure jumpbag against its peers on this machine")]
struct Arguments {
    /// The jumpbag server to measure.
    #[arg(long, value_name = "PATH", default_value = "target/release/jumpbag-server")]
    jumpbag: PathBuf,
    /// The agent to measure.
    #[arg(long, value_name = "PATH", default_value = "target/agent/jumpbag-agent")]
    agent: PathBuf,
    /// The command line to measure.
    #[arg(long, value_name = "PATH", default_value = "target/agent/jumpbag")]
    cli: PathBuf,
    /// Where data folders are made; its filesystem is what is measured.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    dir: PathBuf,
    /// Where `bench/setup` put the peers.
    #[arg(long, value_name = "DIR", default_value = "target/bench-tools")]
    tools: PathBuf,
    /// Only this work (comma separated).
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Only these peers, by the names in the tables (comma separated); `none` for the physical limits alone.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// Turns for each contestant.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    runs: u16,
    /// Smaller counts and shorter times, to see that everything works; its numbers are not for publishing.
    #[arg(long)]
    quick: bool,
    /// Also write what is printed to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(subcommand)]
    mode: Option<Mode>,
}

#[derive(Subcommand)]
enum Mode {
    /// Do physical work in a folder and print numbers; the program calls itself so.
    #[command(hide = true)]
    Physical {
        folder: PathBuf,
        #[command(subcommand)]
        work: physical::Work,
    },
    /// Be many agents; the program calls itself so.
    #[command(hide = true)]
    Simulate { folder: PathBuf, url: String, token: String, count: usize },
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Part {
    Sync,
    Upload,
    Small,
    Delete,
    Concurrent,
    Download,
    List,
    Search,
    Flat,
    Start,
    Idle,
    Action,
    Agent,
    Agents,
    Cli,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.mode {
        Some(Mode::Physical { folder, work }) => physical::run(work, folder).map(|numbers| {
            numbers.iter().for_each(|number| println!("{number}"));
        }),
        Some(Mode::Simulate { folder, url, token, count }) => simulate::run(folder, url, token, *count),
        None => measure(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jumpbag-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<()> {
    let absolute = |path: &Path| std::path::absolute(path).map_err(|e| format!("`{}`: {e}", path.display()));
    let root = absolute(&arguments.dir)?.join(format!("run-{}", std::process::id()));
    std::fs::create_dir_all(&root).map_err(|e| format!("creating `{}`: {e}", root.display()))?;
    let (root, elsewhere) = (Root(root.clone()), Root(elsewhere(&root)?));
    on_interrupt([root.0.clone(), elsewhere.0.clone()])?;
    simulate::raise_limit()?;
    let places = Places {
        jumpbag: absolute(&arguments.jumpbag)?,
        agent: absolute(&arguments.agent)?,
        cli: absolute(&arguments.cli)?,
        tools: absolute(&arguments.tools)?,
    };
    let (found, about) = find(arguments, &places)?;
    let folders = (root.0.clone(), elsewhere.0.clone());
    let bench = Bench::new(folders, places, found, usize::from(arguments.runs), arguments.quick);
    let mut text = heading(arguments, &root.0, &about);
    let mut tables: Vec<Table> = Vec::new();
    for part in Part::value_variants() {
        if !arguments.only.is_empty() && !arguments.only.contains(part) {
            continue;
        }
        let (part_text, part_tables) = run(*part, &bench);
        text.push_str(&part_text);
        tables.extend(part_tables);
    }
    text.push_str(&aims::markdown(&tables, bench.many(), work::agents::most(&bench)));
    // The file first: what reads the other end of a pipe may be gone by now.
    if let Some(path) = &arguments.out {
        std::fs::write(path, &text).map_err(|e| format!("writing `{}`: {e}", path.display()))?;
    }
    std::io::stdout().write_all(text.as_bytes()).map_err(|e| format!("printing the tables: {e}"))
}

fn run(part: Part, bench: &Bench) -> (String, Vec<Table>) {
    let tables = match part {
        Part::Sync => return (format!("{}\n", work::sync::run(bench)), Vec::new()),
        Part::Upload => work::upload::run(bench),
        Part::Small => work::small::uploads(bench),
        Part::Delete => work::small::deletes(bench),
        Part::Concurrent => work::concurrent::run(bench),
        Part::Download => work::download::run(bench),
        Part::List => work::list::run(bench),
        Part::Search => work::search::run(bench),
        Part::Flat => work::flat::run(bench),
        Part::Start => work::start::start_up(bench),
        Part::Idle => work::start::idle(bench),
        Part::Action => work::action::run(bench),
        Part::Agent => work::agent::run(bench),
        Part::Agents => work::agents::run(bench),
        Part::Cli => work::cli::run(bench),
    };
    let text = tables.iter().map(|table| format!("{}\n", table.markdown())).collect();
    (text, tables)
}

/// The peers that can be measured, those that cannot with the reason, and both as a markdown list.
fn find(arguments: &Arguments, places: &Places) -> Result<(Found, String)> {
    let all = peers::all(places);
    let wanted = &arguments.peers;
    let names: Vec<_> = all.iter().map(|peer| peer.name()).chain([meshcentral::NAME]).collect();
    let known = |name: &String| name == "none" || names.iter().any(|known| known == name);
    if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
        return Err(format!("`--peers {unknown}`: no such peer; there are {} and none", names.join(", ")));
    }
    let (mut present, mut missing, mut about) = (Vec::new(), Vec::new(), String::new());
    for peer in all {
        let asked = wanted.is_empty() || wanted.iter().any(|name| name == peer.name());
        let version = if asked { peer.version() } else { Err("left out by `--peers`".to_string()) };
        match version {
            Ok(version) => {
                let _ = writeln!(about, "- {} {version}", peer.name());
                present.push(peer);
            }
            Err(reason) => {
                let _ = writeln!(about, "- {}: **not measured**: {}", peer.name(), table::cell(&reason));
                missing.push((peer.name(), reason));
            }
        }
    }
    let left_out = left_out(arguments);
    let mesh = match (left_out.contains(&meshcentral::NAME), meshcentral::version(&places.tools)) {
        (true, _) => ": **not measured**: left out by `--peers`".into(),
        (false, Ok(version)) => format!(" {version}"),
        (false, Err(reason)) => format!(": **not measured**: {}", table::cell(&reason)),
    };
    let _ = writeln!(about, "- {}{mesh}", meshcentral::NAME);
    Ok((Found { peers: present, missing, left_out }, about))
}

/// Those of the two that run commands on machines who are not to be measured.
fn left_out(arguments: &Arguments) -> Vec<&'static str> {
    let wanted =
        |name: &&str| !arguments.peers.is_empty() && !arguments.peers.iter().any(|peer| peer == name);
    [peers::JUMPBAG, meshcentral::NAME].into_iter().filter(wanted).collect()
}

fn heading(arguments: &Arguments, root: &Path, about: &str) -> String {
    let kind = if arguments.quick { " (quick run: small counts, not for publishing)" } else { "" };
    format!(
        "## Measured{kind}\n\n{}- command: `{}`\n\n{about}\nThe load generator runs on the same cores. Rate limits of \
         jumpbag are off; it verifies a token on every call, s3s-fs and Azurite a signature, nginx and dufs nothing. \
         Data folders are fresh and on one filesystem, which is synced before each turn; reads come from the page \
         cache. \"Jumpbag better by\" above 1 means faster, or less memory.\n\n",
        machine::describe(root),
        machine::command()
    )
}

/// The folder of this run, removed at the end.
struct Root(PathBuf);

impl Drop for Root {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Progress, on stderr. A stderr that nobody reads any more does not end a measurement.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A folder in memory, or below `root` where there is none.
fn elsewhere(root: &Path) -> Result<PathBuf> {
    let memory = Path::new("/dev/shm");
    let name = format!("jumpbag-bench-{}", std::process::id());
    let path = if memory.is_dir() { memory.join(name) } else { root.join(name) };
    std::fs::create_dir_all(&path).map_err(|e| format!("creating `{}`: {e}", path.display()))?;
    Ok(path)
}

fn remove(root: &Path) {
    if let Err(error) = std::fs::remove_dir_all(root) {
        say(&format!("removing `{}`: {error}", root.display()));
    }
}

/// On Ctrl-C or SIGTERM all servers are killed and the data is removed.
fn on_interrupt(roots: [PathBuf; 2]) -> Result<()> {
    let fail = |e: std::io::Error| format!("listening for signals: {e}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fail)?;
    let (mut interrupt, mut terminate) = {
        use tokio::signal::unix::{SignalKind, signal};
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt()).map_err(fail)?, signal(SignalKind::terminate()).map_err(fail)?)
    };
    std::thread::spawn(move || {
        let signal = runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
            }
        });
        say(&format!("jumpbag-bench: ended by {signal}"));
        process::exit(130, || roots.iter().rev().for_each(|root| remove(root)));
    });
    Ok(())
}
