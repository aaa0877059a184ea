//! `$search` in a library of very many scripts: how long the first search waits for the index, and how long the
//! others take beside a list of 1,000 files. Invariant: an answer that does not hold the files that the texts
//! themselves name is no sample.

use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Instant;

use super::{Bench, Contestant, Running, Samples};
use crate::Result;
use crate::http::{Body, Connection, Content, Request};
use crate::peers::{JUMPBAG, Peer};
use crate::script::{script, words};
use crate::table::{Table, Unit};

pub const OVER_LIST: &str = "search-over-list";
/// The row of the search that the aim is about.
pub const RARE: &str = "a rare word";
const SCRIPTS: usize = 10_000;
const LISTED: usize = 1_000;
const SIZE: usize = 2 * 1024;

struct Query {
    name: &'static str,
    search: &'static str,
    /// Whether a text with these words is to be found.
    finds: fn(&str) -> bool,
}

const QUERIES: [Query; 5] = [
    Query { name: RARE, search: "zerologon", finds: |words| words.contains(" zerologon ") },
    Query { name: "a common word", search: "persistence", finds: |words| words.contains(" persistence ") },
    Query {
        name: "a phrase of frequent words",
        search: "\"revoke stale kerberos tickets\"",
        finds: |words| words.contains(" revoke stale kerberos tickets "),
    },
    Query {
        name: "a rare AND a common word",
        search: "zerologon AND persistence",
        finds: |words| words.contains(" zerologon ") && words.contains(" persistence "),
    },
    Query { name: "a beginning of words", search: "exfil*", finds: |words| words.contains(" exfil") },
];

/// One in a thousand texts has the rare word and another one the phrase, one in ten the common word, and one in a
/// hundred a word with the beginning that is looked for.
fn texts() -> Vec<String> {
    let text = |number: usize| {
        let tool = format!("# Made to find exfil{}", number / 100);
        let lines = [
            (number.is_multiple_of(1_001), "# Looks for traces of Zerologon"),
            (number % 50 < 5, "# Lists what keeps its persistence"),
            (number % 1_001 == 500, "# Revoke stale Kerberos tickets"),
            (number % 100 == 50, tool.as_str()),
        ];
        let lines: Vec<_> = lines.into_iter().filter_map(|(here, line)| here.then_some(line)).collect();
        script(number, SIZE, &lines)
    };
    (0..SCRIPTS).map(text).collect()
}

pub fn run(bench: &Bench) -> Vec<Table> {
    let texts = texts();
    let found = QUERIES.map(|query| texts.iter().filter(|text| (query.finds)(&words(text))).count());
    let mut tables = first(bench, &texts, found[0]);
    tables.extend(compared(bench, &texts, found));
    for table in &mut tables {
        // Nobody else was to be measured.
        table.rows.retain(|row| !row.samples.is_empty() || row.failure.is_some() || row.name == JUMPBAG);
    }
    tables
}

/// The first search behind many uploads.
fn first(bench: &Bench, texts: &[String], expected: usize) -> Vec<Table> {
    let remark = format!(
        "Sent when the last upload was answered: it waits until the index has all of them. Before it {SCRIPTS} scripts \
         of {SIZE} bytes were uploaded without a pause; the server follows on its own when uploads pause."
    );
    let title = format!("First `$search` after {SCRIPTS} uploads");
    let contestant = |peer| Contestant {
        name: JUMPBAG.to_string(),
        syncs: None,
        turn: Box::new(move || {
            let running = uploaded(bench, peer, texts)?;
            let request = search(&running, &QUERIES[0])?;
            let began = Instant::now();
            Asked::new(&running, request, expected)?;
            Ok(vec![(0, began.elapsed().as_secs_f64() * 1000.0)])
        }),
    };
    let contestants = bench.peer(JUMPBAG).map(contestant).into_iter().collect();
    bench.turns(bench.runs, vec![Table::new("search-first", title, Unit::Milliseconds, remark)], contestants)
}

/// All searches, each beside the list.
fn compared(bench: &Bench, texts: &[String], found: [usize; QUERIES.len()]) -> Vec<Table> {
    let shown: Vec<_> = QUERIES
        .iter()
        .zip(found)
        .map(|(query, found)| format!("{} (`{}`): {found}", query.name, query.search))
        .collect();
    let remark = format!(
        "From the request to the last byte over one connection, uncompressed; the index is up to date. The scripts \
         have {SIZE} bytes each. Files found: {}. The list is that of another server, which holds {LISTED} files; it \
         is rendered once and then sent from memory until something changes.",
        shown.join(", ")
    );
    let tables = vec![
        Table::new(
            "search",
            format!("Searches of {SCRIPTS} scripts, one client"),
            Unit::Milliseconds,
            remark,
        ),
        Table::new(
            OVER_LIST,
            format!("Searches of {SCRIPTS} scripts: time over that of a list of {LISTED} files"),
            Unit::Growth,
            "Each sample is a search and a list, one after the other, in alternating order.",
        ),
    ];
    let Some(peer) = bench.peer(JUMPBAG) else {
        return bench.turns(bench.runs, tables, Vec::new());
    };
    let scripts = Rc::new(OnceCell::new());
    let mut contestants: Vec<_> = QUERIES
        .iter()
        .zip(found)
        .map(|(query, expected)| {
            let scripts = Rc::clone(&scripts);
            let turn = move || {
                let known: &Result<Running> = scripts.get_or_init(|| uploaded(bench, peer, texts));
                let running = known.as_ref().map_err(Clone::clone)?;
                let mut searched = Asked::new(running, search(running, query)?, expected)?;
                pairs(bench, &mut searched, &mut list(bench, peer)?)
            };
            Contestant { name: query.name.to_string(), syncs: None, turn: Box::new(turn) }
        })
        .collect();
    let alone = move || {
        let mut listed = list(bench, peer)?;
        (0..each(bench)).map(|_| Ok((0, listed.again()? * 1000.0))).collect()
    };
    let name = format!("the list of {LISTED} files");
    let first = format!("{name}, the first after a change");
    contestants.push(Contestant { name, syncs: None, turn: Box::new(alone) });
    let turn = Box::new(move || changed(bench, peer));
    contestants.push(Contestant { name: first, syncs: None, turn });
    bench.turns(bench.runs, tables, contestants)
}

fn each(bench: &Bench) -> usize {
    bench.scaled(40, 10)
}

fn pairs(bench: &Bench, searched: &mut Asked, listed: &mut Asked) -> Result<Samples> {
    let mut samples = Vec::new();
    for pair in 0..each(bench) {
        let (search, list) = if pair % 2 == 0 {
            let search = searched.again()?;
            (search, listed.again()?)
        } else {
            let list = listed.again()?;
            (searched.again()?, list)
        };
        samples.extend([(0, search * 1000.0), (1, search / list)]);
    }
    Ok(samples)
}

/// The list when an upload and a delete, which leave it as it was, came before it.
fn changed(bench: &Bench, peer: &dyn Peer) -> Result<Samples> {
    let (running, mut listed) = (bench.filled(peer, LISTED)?, list(bench, peer)?);
    let mut connection = Connection::open(running.server.address)?;
    let (uploads, deletes) = bench.uploads(&running, 1, each(bench));
    let mut samples = Vec::new();
    for (upload, delete) in uploads.iter().flatten().zip(deletes.iter().flatten()) {
        connection.send(upload, Body::Drop)?.success("an upload before a list")?;
        connection.send(delete, Body::Drop)?.success("a delete before a list")?;
        samples.push((0, listed.again()? * 1000.0));
    }
    Ok(samples)
}

/// A fresh server that was just given `texts`.
fn uploaded(bench: &Bench, peer: &dyn Peer, texts: &[String]) -> Result<Running> {
    let running = bench.start(peer)?;
    let mut texts = texts.iter();
    let next = |_| Content::text(texts.next().map_or("", String::as_str));
    bench.upload_all(&running, SCRIPTS, next)?;
    Ok(running)
}

fn search(running: &Running, query: &Query) -> Result<Request> {
    running.dialect.search(query.search).ok_or_else(|| "it cannot search".to_string())
}

fn list(bench: &Bench, peer: &dyn Peer) -> Result<Asked> {
    let running = bench.filled(peer, LISTED)?;
    Asked::new(&running, running.dialect.list(None), LISTED)
}

/// A request that is sent over one connection again and again, and what its answer weighs.
struct Asked {
    connection: Connection,
    request: Request,
    bytes: u64,
}

impl Asked {
    /// Sends it for the first time. Fails unless `expected` files come back.
    fn new(running: &Running, request: Request, expected: usize) -> Result<Self> {
        let mut connection = Connection::open(running.server.address)?;
        let answer = connection.send(&request, Body::Keep)?.success("a search or list")?;
        let rows = String::from_utf8_lossy(&answer.body).matches(running.dialect.mark()).count();
        if rows != expected {
            return Err(format!("an answer held {rows} files, not {expected}"));
        }
        Ok(Self { connection, request, bytes: answer.bytes })
    }

    /// The seconds it takes now. An answer of another weight does not hold the same files.
    fn again(&mut self) -> Result<f64> {
        let began = Instant::now();
        let answer = self.connection.send(&self.request, Body::Drop)?.success("a search or list")?;
        let seconds = began.elapsed().as_secs_f64();
        if answer.bytes != self.bytes {
            return Err(format!("an answer held {} bytes, not {}", answer.bytes, self.bytes));
        }
        Ok(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_hold_about_what_is_looked_for() {
        let words: Vec<_> = texts().iter().map(|text| words(text)).collect();
        let found = QUERIES.map(|query| words.iter().filter(|words| (query.finds)(words)).count());
        assert_eq!((found[0], found[1], found[3], found[4]), (10, 1_000, 5, 100));
        assert!((10..=20).contains(&found[2]), "the phrase is in {} texts", found[2]);
        // The words of the phrase are frequent, so it is more than the rarest of them.
        for word in [" revoke ", " stale ", " kerberos ", " tickets "] {
            assert!(words.iter().filter(|words| words.contains(word)).count() > 500, "{word}");
        }
    }
}
