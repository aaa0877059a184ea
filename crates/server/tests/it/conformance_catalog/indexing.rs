//! The index follows the versions: what it does not have yet is known, whoever adds it adds it once, and what goes
//! goes from there as well.

use std::collections::BTreeSet;

use jumpbag_server::catalog::search::{self, Behind, Wanted, Words};
use jumpbag_server::catalog::{CatalogError, audit, files, history};

use super::{Bench, at, cells, end, inline, put};

on_both!(the_index_follows_the_versions, what_is_looked_for_is_found, what_was_removed_leaves_no_words);

async fn behind(bench: &Bench, limit: i64) -> Behind {
    look!(bench.catalog, tx => search::behind(tx, limit).await).expect("an answer")
}

/// Indexes what is behind: every version with these words and its own name.
async fn index(bench: &Bench, behind: Behind) -> bool {
    let documents: Vec<_> =
        behind.versions.iter().map(|row| (row.born, format!("get process {}", row.name))).collect();
    commit!(bench.catalog, tx => search::index(tx, &behind, &documents).await).expect("an answer")
}

async fn forget(bench: &Bench, number: i64) {
    commit!(bench.catalog, tx => {
        let version = history::version(tx, 1, number).await?.expect("it is there");
        let mut turn = audit::turn(tx).await?;
        history::forget(tx, &mut turn, &version, at(9)).await?;
        end(tx, turn, "it went", at(9)).await
    })
    .expect("it goes");
}

async fn documents(bench: &Bench) -> usize {
    cells(&bench.catalog, "select rowid from documents").await.len()
}

async fn the_index_follows_the_versions(bench: &Bench) {
    commit!(bench.catalog, tx => {
        for number in 0..5 {
            put(tx, "a", &inline(&format!("{number}")), at(number)).await?;
        }
        Ok::<_, CatalogError>(())
    })
    .expect("five versions");
    let first = behind(bench, 3).await;
    assert_eq!((first.indexed, first.then, first.versions.len()), (0, 3, 3));
    let same = behind(bench, 3).await;
    assert!(index(bench, first).await);
    assert!(!index(bench, same).await, "somebody else was faster");
    assert_eq!(documents(bench).await, 3);
    assert_eq!(look!(bench.catalog, tx => search::indexed(tx).await).expect("an answer"), 3);
    // One goes that is in the index, one that is read and not there yet.
    let rest = behind(bench, 10).await;
    assert_eq!((rest.indexed, rest.then, rest.versions.len()), (3, 5, 2));
    forget(bench, 2).await;
    forget(bench, 4).await;
    assert_eq!(documents(bench).await, 2);
    assert!(index(bench, rest).await);
    assert_eq!(documents(bench).await, 3);
    // What went is merged out of the index in steps; what is left is still found.
    let mut first = true;
    while commit!(bench.catalog, tx => search::compact(tx, first).await).expect("an answer") {
        first = false;
    }
    assert_eq!(documents(bench).await, 3);
    // Changes without a version move it on as well.
    let last = behind(bench, 10).await;
    assert_eq!((last.indexed, last.then, last.versions.len()), (5, 7, 0));
    assert!(index(bench, last).await);
    assert_eq!(look!(bench.catalog, tx => search::indexed(tx).await).expect("an answer"), 7);
}

async fn what_is_looked_for_is_found(bench: &Bench) {
    commit!(bench.catalog, tx => {
        for name in ["alpha", "beta", "betamax"] {
            put(tx, name, &inline(name), at(1)).await?;
        }
        Ok::<_, CatalogError>(())
    })
    .expect("three files");
    let all = behind(bench, 10).await;
    assert!(index(bench, all).await);
    let words = |text: &str, is_prefix: bool| {
        Wanted::Words(Words { words: text.split(' ').map(str::to_owned).collect(), is_prefix })
    };
    let (alpha, beta) = (words("alpha", false), words("beta", false));
    for (wanted, names) in [
        (alpha.clone(), vec!["alpha"]),
        (words("process beta", false), vec!["beta"]),
        (words("beta process", false), vec![]),
        (words("process beta", true), vec!["beta", "betamax"]),
        (words("bet", false), vec![]),
        (Wanted::Any(vec![alpha.clone(), beta.clone()]), vec!["alpha", "beta"]),
        (Wanted::All(vec![alpha.clone(), beta]), vec![]),
        (Wanted::All(vec![words("get process", false), Wanted::Not(alpha.into())]), vec!["beta", "betamax"]),
    ] {
        let told = format!("{wanted:?}");
        let found = look!(bench.catalog, tx => {
            // A parameter that was there before keeps its number.
            let mut params = vec!["zulu".into()];
            let sql = format!("v.name <> $1 and {}", search::condition(tx, &wanted, &mut params));
            files::list(tx, &files::Page { filter: Some((sql, params)), ..super::page() }).await
        })
        .expect("a list");
        let found: BTreeSet<_> = found.into_iter().map(|file| file.file_name).collect();
        assert_eq!(found, names.into_iter().map(str::to_owned).collect(), "{told}");
    }
}

async fn what_was_removed_leaves_no_words(bench: &Bench) {
    commit!(bench.catalog, tx => {
        for number in 0..3 {
            put(tx, "a", &inline(&format!("{number}")), at(number)).await?;
        }
        Ok::<_, CatalogError>(())
    })
    .expect("three versions");
    // Each in a segment of its own, and one word that only the first has.
    for word in ["zanzibar", "ambassador", "ambassador"] {
        let next = behind(bench, 1).await;
        let documents: Vec<_> = next.versions.iter().map(|row| (row.born, word.to_owned())).collect();
        assert!(commit!(bench.catalog, tx => search::index(tx, &next, &documents).await).expect("an answer"));
    }
    forget(bench, 1).await;
    let mut first = true;
    for step in 0.. {
        assert!(step < 100, "it comes to an end");
        if !commit!(bench.catalog, tx => search::compact(tx, first).await).expect("an answer") {
            break;
        }
        first = false;
    }
    assert_eq!(documents(bench).await, 2);
    if bench.catalog.is_shared() {
        return;
    }
    let blocks = format!("{:?}", cells(&bench.catalog, "select hex(block) from documents_data").await);
    let hex = |word: &str| word.bytes().map(|byte| format!("{byte:02X}")).collect::<String>();
    assert!(blocks.contains(&hex("ambassador")), "{blocks}");
    assert!(!blocks.contains(&hex("zanzibar")), "{blocks}");
}
