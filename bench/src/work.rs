//! What is measured. Invariant: contestants take turns (A B C A B C …), each turn starts from a settled disk, and
//! a contestant that fails keeps its row and says why.

pub mod action;
pub mod agent;
pub mod agents;
pub mod cli;
pub mod concurrent;
pub mod download;
pub mod flat;
pub mod list;
pub mod search;
pub mod small;
pub mod start;
pub mod sync;
pub mod upload;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Result;
use crate::http::{Body, Connection, Content, Request};
use crate::load::{self, Plan};
use crate::peers::{Dialect, Peer, Places, Syncs};
use crate::process::{self, Server, free_address};
use crate::table::{Row, Table};

pub const CLIENTS: usize = 16;
pub const SMALL: usize = 4 * 1024;
pub const LARGE: usize = 20 * 1024 * 1024;

/// Samples of one turn, each with the number of the table it belongs to.
pub type Samples = Vec<(usize, f64)>;

/// Servers by peer and number of files, or why there is none.
type Filled = HashMap<(&'static str, usize), Result<Rc<Running>>>;

/// Everything a piece of work needs.
pub struct Bench {
    /// All data folders lie below; it is removed at the end.
    pub root: PathBuf,
    /// For what would lie on other machines' disks: in memory where that can be had. Removed at the end as well.
    pub elsewhere: PathBuf,
    pub places: Places,
    pub peers: Vec<Box<dyn Peer>>,
    /// Peers that cannot be measured, with the reason.
    pub missing: Vec<(&'static str, String)>,
    left_out: Vec<&'static str>,
    pub runs: usize,
    pub quick: bool,
    pub small: Arc<[u8]>,
    pub large: Arc<[u8]>,
    folders: Cell<usize>,
    filled: RefCell<Filled>,
}

/// Whom there is to measure.
pub struct Found {
    pub peers: Vec<Box<dyn Peer>>,
    pub missing: Vec<(&'static str, String)>,
    /// Of those that run commands on machines, who is not asked for.
    pub left_out: Vec<&'static str>,
}

/// A folder that is removed with its contents when dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed now goes with the whole root at the end.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A started server that one can speak to. Dropped, it is killed before its folder is removed.
pub struct Running {
    pub server: Server,
    pub dialect: Box<dyn Dialect>,
    pub folder: Folder,
}

/// One who takes turns.
pub struct Contestant<'a> {
    pub name: String,
    pub syncs: Option<Syncs>,
    pub turn: Box<dyn FnMut() -> Result<Samples> + 'a>,
}

impl Bench {
    pub fn new(
        (root, elsewhere): (PathBuf, PathBuf),
        places: Places,
        Found { peers, missing, left_out }: Found,
        runs: usize,
        quick: bool,
    ) -> Self {
        let (small, large) = (Content::base(SMALL), Content::base(LARGE));
        let (folders, filled) = (Cell::new(0), RefCell::default());
        Self { root, elsewhere, places, peers, missing, left_out, runs, quick, small, large, folders, filled }
    }

    /// `full`, or `quick` in a quick run.
    pub fn scaled<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// How many files a large library has.
    pub fn many(&self) -> usize {
        self.scaled(100_000, 10_000)
    }

    /// Whether nobody wants to see it beside the others.
    pub fn left_out(&self, name: &str) -> bool {
        self.left_out.contains(&name)
    }

    /// The peer of this name, if it can be measured.
    pub fn peer(&self, name: &str) -> Option<&dyn Peer> {
        self.peers.iter().map(AsRef::as_ref).find(|peer| peer.name() == name)
    }

    /// A new empty folder.
    pub fn folder(&self, name: &str) -> Result<Folder> {
        self.folder_below(&self.root, name)
    }

    /// A new empty folder that the server's disk does not carry.
    pub fn folder_elsewhere(&self, name: &str) -> Result<Folder> {
        self.folder_below(&self.elsewhere, name)
    }

    fn folder_below(&self, root: &Path, name: &str) -> Result<Folder> {
        self.folders.set(self.folders.get() + 1);
        let path = root.join(format!("{:04}-{name}", self.folders.get()));
        std::fs::create_dir_all(&path).map_err(|e| format!("creating `{}`: {e}", path.display()))?;
        Ok(Folder(path))
    }

    /// Starts `peer` on an empty folder and prepares it.
    pub fn start(&self, peer: &dyn Peer) -> Result<Running> {
        let folder = self.folder(peer.name())?;
        let address = free_address()?;
        peer.prepare(folder.path(), address)?;
        let mut server = Server::spawn(peer.command(folder.path(), address), address, folder.path())?;
        server.answered(&peer.probe(address), |_| true)?;
        let dialect = peer.dialect(folder.path(), address)?;
        Ok(Running { server, dialect, folder })
    }

    /// A server of `peer` that holds `files` files; started and filled once, then kept to the end.
    pub fn filled(&self, peer: &dyn Peer, files: usize) -> Result<Rc<Running>> {
        let key = (peer.name(), files);
        if let Some(known) = self.filled.borrow().get(&key) {
            return known.clone();
        }
        crate::say(&format!("  filling {} with {files} files", peer.name()));
        let made = self.start(peer).and_then(|running| self.fill(running, files)).map(Rc::new);
        self.filled.borrow_mut().insert(key, made.clone());
        made
    }

    fn fill(&self, running: Running, files: usize) -> Result<Running> {
        self.upload_all(&running, files, |stamp| Content::new(stamp, &self.small))?;
        let list = running.whole_list(self.patience())?;
        let rows = list.rows(running.dialect.mark());
        if rows == files {
            Ok(running)
        } else {
            Err(format!("its list shows {rows} files after {files} were uploaded"))
        }
    }

    /// How long filling a library may take.
    fn patience(&self) -> Duration {
        Duration::from_secs(self.scaled(150, 30))
    }

    /// Uploads `files` files with what `content` makes of an unused stamp. Fails when that takes too long.
    pub fn upload_all(
        &self,
        running: &Running,
        files: usize,
        mut content: impl FnMut(u128) -> Content,
    ) -> Result<()> {
        let limit = self.patience();
        let began = Instant::now();
        let mut left = files;
        while left > 0 {
            let batch = left.min(10_000);
            let lanes = CLIENTS.min(batch);
            let lanes = running.uploads(lanes, batch / lanes, &mut content).0;
            let rest = limit.saturating_sub(began.elapsed());
            let outcome = load::run(running.server.address, &Plan::Lanes(&lanes), rest)?;
            left -= outcome.done;
            let expected: usize = lanes.iter().map(Vec::len).sum();
            if outcome.done < expected {
                return Err(format!("only {} of {files} files after {} s", files - left, limit.as_secs()));
            }
        }
        Ok(())
    }

    /// Upload requests for `lanes` × `each` small files, and the delete requests that undo them. Every name and
    /// every content is used once.
    pub fn uploads(
        &self,
        running: &Running,
        lanes: usize,
        each: usize,
    ) -> (Vec<Vec<Request>>, Vec<Vec<Request>>) {
        running.uploads(lanes, each, |stamp| Content::new(stamp, &self.small))
    }

    /// One turn after the other for every contestant, `runs` times. `tables` get the samples.
    pub fn turns(
        &self,
        runs: usize,
        mut tables: Vec<Table>,
        mut contestants: Vec<Contestant<'_>>,
    ) -> Vec<Table> {
        for table in &mut tables {
            table.rows = contestants.iter().map(|c| row(&c.name, c.syncs)).collect();
        }
        let title = tables.first().map(|table| table.title.clone()).unwrap_or_default();
        for run in 1..=runs {
            for (place, contestant) in contestants.iter_mut().enumerate() {
                if tables.iter().any(|table| table.rows[place].failure.is_some()) {
                    continue;
                }
                crate::say(&format!("{title}: run {run} of {runs}: {}", contestant.name));
                match self.settle().and_then(|()| (contestant.turn)()) {
                    Ok(samples) => {
                        samples.iter().for_each(|(t, value)| tables[*t].rows[place].samples.push(*value))
                    }
                    Err(error) => {
                        crate::say(&format!("  failed: {error}"));
                        let text = format!("failed in run {run}: {error}");
                        tables.iter_mut().for_each(|table| table.rows[place].failure = Some(text.clone()));
                    }
                }
            }
        }
        for table in &mut tables {
            // Who gave no sample for this table and did not fail has nothing to do with it.
            table.rows.retain(|row| !row.samples.is_empty() || row.failure.is_some());
            table.rows.extend(self.missing.iter().map(|(name, _)| row(name, None)));
        }
        tables
    }

    /// A contestant for every peer that is here.
    pub fn contestants<'a>(
        &'a self,
        turn: fn(&'a Self, &'a dyn Peer) -> Result<Samples>,
    ) -> Vec<Contestant<'a>> {
        let one = |peer: &'a dyn Peer| Contestant {
            name: peer.name().to_string(),
            syncs: Some(peer.syncs()),
            turn: Box::new(move || turn(self, peer)),
        };
        self.peers.iter().map(AsRef::as_ref).map(one).collect()
    }

    /// Writes back what earlier turns left in the page cache, so that no one pays for another's bytes.
    fn settle(&self) -> Result<()> {
        let mut command = Command::new("sync");
        command.arg("--file-system").arg(&self.root);
        process::output(command).map(drop)
    }
}

fn row(name: &str, syncs: Option<Syncs>) -> Row {
    Row { name: name.to_string(), syncs, samples: Vec::new(), failure: None }
}

/// A file name and a content stamp that were not used before.
pub fn fresh() -> (String, u128) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    (format!("file-{number:08}.ps1"), u128::from(number))
}

/// A complete list: the bodies of all its pages, and the time they took.
pub struct Listed {
    pub pages: Vec<Vec<u8>>,
    pub seconds: f64,
}

impl Listed {
    /// How often `mark` stands in the list.
    pub fn rows(&self, mark: &str) -> usize {
        self.pages.iter().map(|page| String::from_utf8_lossy(page).matches(mark).count()).sum()
    }
}

impl Running {
    /// Upload requests for `lanes` × `each` files with what `content` makes of an unused stamp, and the delete
    /// requests that undo them.
    pub fn uploads(
        &self,
        lanes: usize,
        each: usize,
        mut content: impl FnMut(u128) -> Content,
    ) -> (Vec<Vec<Request>>, Vec<Vec<Request>>) {
        let mut one = |_| {
            let (name, stamp) = fresh();
            (self.dialect.upload(&name, &content(stamp)), self.dialect.delete(&name))
        };
        (0..lanes).map(|_| (0..each).map(&mut one).unzip()).unzip()
    }

    /// Reads the whole list over one connection, page by page. Fails when that takes longer than `limit`.
    pub fn whole_list(&self, limit: Duration) -> Result<Listed> {
        let mut connection = Connection::open(self.server.address)?;
        let began = Instant::now();
        let mut pages: Vec<Vec<u8>> = Vec::new();
        let mut page: Option<String> = None;
        loop {
            let request = self.dialect.list(page.as_deref());
            let body = connection.send(&request, Body::Keep)?.success("a list")?.body;
            page = self.dialect.next(&body);
            pages.push(body);
            if page.is_none() {
                return Ok(Listed { pages, seconds: began.elapsed().as_secs_f64() });
            }
            if began.elapsed() > limit {
                return Err(format!("the list was not complete after {} s", limit.as_secs()));
            }
        }
    }
}
