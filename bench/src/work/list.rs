//! The list of a library with 10, 1,000 and very many files, also against the bytes of jumpbag's list as a static
//! file of nginx.

use std::rc::Rc;
use std::time::Duration;

use super::{Bench, CLIENTS, Contestant, Running, Samples};
use crate::Result;
use crate::http::{Body, Connection, Request};
use crate::load::{self, Plan};
use crate::peers::{JUMPBAG, NGINX, Peer, STATIC_FOLDER, STATIC_TARGET, like_jumpbag};
use crate::table::{Table, Unit};

/// The row of nginx that serves the bytes of jumpbag's list.
pub const STATIC: &str = "nginx, same bytes as a static file";
const PATIENCE: Duration = Duration::from_secs(60);

/// What the table of a library of this size is called.
pub fn id(files: usize) -> String {
    format!("list-{files}")
}

pub fn run(bench: &Bench) -> Vec<Table> {
    let sizes = [10, 1_000, bench.many()];
    sizes.into_iter().flat_map(|files| of_size(bench, files)).collect()
}

fn of_size(bench: &Bench, files: usize) -> Vec<Table> {
    let whole = files == bench.many();
    let (title, unit) = if whole {
        (format!("List of {files} files, complete, one client"), Unit::Milliseconds)
    } else {
        (format!("Lists of {files} files, 16 clients"), Unit::PerSecond)
    };
    let (page, source) = static_list(bench, files);
    let remark = format!(
        "{} The static file holds {} bytes, {source}. {}",
        shape(whole),
        page.len(),
        sizes(bench, files)
    );
    let table = Table::new(&id(files), title, unit, remark);
    let turn = move |running: &Running| {
        if whole { once(running) } else { repeated(bench, running, None) }
    };
    let mut contestants: Vec<_> = bench
        .peers
        .iter()
        .map(|peer| Contestant {
            name: peer.name().to_string(),
            syncs: None,
            turn: Box::new(move || turn(&*bench.filled(peer.as_ref(), files)?)),
        })
        .collect();
    if let Some(nginx) = bench.peer(NGINX) {
        let server = serve(bench, nginx, &page).map(Rc::new);
        contestants.push(Contestant {
            name: STATIC.to_string(),
            syncs: None,
            turn: Box::new(move || static_turn(bench, &*server.clone()?, whole)),
        });
    }
    bench.turns(bench.runs, vec![table], contestants)
}

fn shape(whole: bool) -> &'static str {
    if whole {
        "From the first request to the last byte of the last page, pages one after the other (jumpbag: 10,000 rows \
         a page, Azurite: 5,000, the others: one answer). Uncompressed."
    } else {
        "One answer holds the whole list. Uncompressed, no conditional requests."
    }
}

/// What each peer's list weighs, because they do not say the same about a file.
fn sizes(bench: &Bench, files: usize) -> String {
    let one = |peer: &dyn Peer| {
        let listed = bench.filled(peer, files).and_then(|running| running.whole_list(PATIENCE)).ok()?;
        let bytes: usize = listed.pages.iter().map(Vec::len).sum();
        Some(format!("{} {bytes} in {} page(s)", peer.name(), listed.pages.len()))
    };
    let all: Vec<_> = bench.peers.iter().map(AsRef::as_ref).filter_map(one).collect();
    format!("Bytes of a list: {}.", if all.is_empty() { "none seen".to_string() } else { all.join(", ") })
}

/// The bytes of jumpbag's list and where they are from.
fn static_list(bench: &Bench, files: usize) -> (Vec<u8>, &'static str) {
    let own = bench.peer(JUMPBAG).and_then(|jumpbag| {
        bench.filled(jumpbag, files).and_then(|running| running.whole_list(PATIENCE)).ok()
    });
    match own {
        Some(listed) => (listed.pages.concat(), "jumpbag's own answer"),
        None => (like_jumpbag(files), "made up in the shape of jumpbag's answer, because there is none"),
    }
}

fn serve(bench: &Bench, nginx: &dyn Peer, page: &[u8]) -> Result<Running> {
    let running = bench.start(nginx)?;
    let path = running.folder.path().join(STATIC_FOLDER).join(STATIC_TARGET);
    std::fs::write(&path, page).map_err(|e| format!("writing `{}`: {e}", path.display()))?;
    Ok(running)
}

fn static_turn(bench: &Bench, running: &Running, whole: bool) -> Result<Samples> {
    let address = running.server.address;
    let request = Request::bare("GET", &format!("/{STATIC_FOLDER}/{STATIC_TARGET}"), address, "");
    if !whole {
        return repeated(bench, running, Some(&request));
    }
    let outcome = load::run(address, &Plan::Lanes(&[vec![request]]), PATIENCE)?;
    Ok(vec![(0, outcome.seconds * 1000.0)])
}

fn once(running: &Running) -> Result<Samples> {
    Ok(vec![(0, running.whole_list(PATIENCE)?.seconds * 1000.0)])
}

/// The same list again and again. All answers must weigh the same, so that a rate cannot come from answers that
/// were cut short.
fn repeated(bench: &Bench, running: &Running, request: Option<&Request>) -> Result<Samples> {
    let (address, list) = (running.server.address, running.dialect.list(None));
    let request = request.unwrap_or(&list);
    let first = Connection::open(address)?.send(request, Body::Drop)?.success("a list")?.bytes;
    let limit = Duration::from_millis(bench.scaled(3_000, 1_000));
    let outcome = load::run(address, &Plan::Repeat(CLIENTS, request), limit)?;
    let expected = first * outcome.done as u64;
    if outcome.bytes != expected {
        return Err(format!("{} answers held {} bytes, not {expected}", outcome.done, outcome.bytes));
    }
    Ok(vec![(0, outcome.per_second())])
}
