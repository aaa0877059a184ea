//! No order of uploads, overrides, deletes, restores, purges, sweeps and crashes removes bytes that a version needs:
//! a model of how the catalog and the blob store are used, of which every reachable state is looked at.
//!
//! The two stores have no common transaction, so what matters is what one actor does between two steps of another. A
//! step here is what is atomic there:
//!
//! | Step | Code |
//! |------|------|
//! | `Stage` | `Stage::finish`: a blob is durable, under a key of its own; or the bytes wait for their row |
//! | `Commit` | `upload::commit`, one transaction that has its turn: `keep_content`, which puts a new copy in the row's place and discards the old blob, and the version |
//! | `Lose` | the same, with an answer that never comes; the commit stands, so it is a `Commit` unless something is made of that |
//! | `Refuse`, `Discard` | an upload that is refused, and `Library::discard` of what it staged |
//! | `Again` | `versions::edit`, `versions::restore` and `deleted::undelete`: a version of bytes that are there |
//! | `Forget` | `history::forget` in a purge or in `sweep::expire`: a version goes, `contents::free` takes its content if the foreign key lets it and discards the blob |
//! | `Pick`, `Remove`, `Strike` | `Library::sweep` on one blob: it is read from `garbage`, deleted, and its row goes |
//! | `List`, `Check`, `Clear` | `Library::ownerless` and `remove_ownerless` on one blob: it is listed, has no row, and is deleted |
//! | `Look`, `Done` | a download or a backup: the places of contents are read, then the blobs |
//! | `CrashUploader`, `CrashSweeper` | the process of an actor ends at any moment, or its transaction fails and nobody knows whether it was committed |
//! | `Hour`, `Day` | time passes: an hour, in which what was looked at has been read (`GARBAGE_GRACE_SECS`); a day, in which no upload lasts (`upload_seconds` is at most half of `STAGED_GRACE_SECS`) |
//!
//! Sweeps have no limit in time: one may sleep for a day between any two of its steps. A change takes turns with all
//! others (`audit::turn`), so a transaction is one step. Names are left out: a version has its bytes whether it is
//! current under a name or kept after an override or a delete, and any may go by `Forget`.

mod library;

use std::time::{Duration, Instant};

use library::{CONTENT, COPY, Flaw, Step, Storage};
use stateright::{Checker, HasDiscoveries, Model as _, Path};

/// Longer than any of these takes.
const LIMIT: Duration = Duration::from_secs(120);

fn violation(flaw: Flaw) -> Option<(&'static str, Path<library::State, Step>)> {
    let model = Storage { uploaders: 2, sweepers: 2, readers: 1, rows: true, flaw: Some(flaw) };
    let checker = model.checker().threads(2).timeout(LIMIT);
    let checker = checker.finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let found = checker.discoveries();
    [CONTENT, COPY].into_iter().find_map(|name| found.get(name).map(|path| (name, path.clone())))
}

#[test]
fn heavy_no_order_of_steps_removes_bytes_that_a_version_needs() {
    for (uploaders, sweepers, readers, rows) in [(2, 1, 0, true), (2, 2, 1, false), (1, 1, 1, true)] {
        let began = Instant::now();
        let model = Storage { uploaders, sweepers, readers, rows, flaw: None };
        let checker = model.clone().checker().threads(2).timeout(LIMIT).spawn_bfs().join();
        let (states, deep) = (checker.unique_state_count(), checker.max_depth());
        eprintln!("{model:?}: {states} states, up to {deep} steps deep, in {:?}", began.elapsed());
        assert!(began.elapsed() < LIMIT, "not every state was looked at in time");
        checker.assert_properties();
    }
}

/// The model finds what it looks for: each of these is a way to do it that was not taken, and what it would break.
#[test]
fn heavy_each_way_that_was_not_taken_loses_bytes() {
    for (flaw, breaks) in [
        (Flaw::KeysFromDigests, CONTENT),
        (Flaw::NoGraceForStaged, CONTENT),
        (Flaw::EndlessUploads, CONTENT),
        (Flaw::DiscardInDoubt, CONTENT),
        (Flaw::RowBeforeBlob, CONTENT),
        (Flaw::NoForeignKey, CONTENT),
        (Flaw::NoGraceForGarbage, COPY),
    ] {
        let Some((property, path)) = violation(flaw) else { panic!("{flaw:?} breaks nothing") };
        eprintln!("{flaw:?}: {:?}", path.clone().into_actions());
        assert_eq!(property, breaks, "{flaw:?}: {:?}", path.into_actions());
    }
}
