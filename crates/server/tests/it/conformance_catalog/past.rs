//! A change number names one state of the library, and keeps naming it whatever happens afterwards.

use jumpbag_server::catalog::files::{self, Page};
use jumpbag_wire::library::LibraryFile;

use super::{Bench, at, everything, inline, page, put_described, remove};

on_both!(every_state_of_the_past_can_be_listed);

async fn every_state_of_the_past_can_be_listed(bench: &Bench) {
    let names = ["a.ps1", "B.ps1", "c.ps1", "d.ps1"];
    let mut states: Vec<Vec<LibraryFile>> = vec![vec![]];
    // A walk over uploads, overrides, deletes and names that come back; always the same one.
    for step in 0..60_usize {
        let name = names[(step * 7 + step / 5) % names.len()];
        let lives = everything(&bench.catalog).await.iter().any(|file| file.file_name == name);
        let now = at(step as i64);
        let change = if lives && step % 3 == 0 {
            commit!(bench.catalog, tx => remove(tx, name, now).await)
        } else {
            let (content, told) = (inline(&format!("content {}", step % 11)), format!("step {step}"));
            let put = commit!(bench.catalog, tx => put_described(tx, name, &content, Some(&told), now).await);
            put.map(|put| put.change)
        };
        assert_eq!(change.expect("a change"), states.len() as i64);
        states.push(everything(&bench.catalog).await);
    }
    assert!(states.windows(2).any(|pair| pair[0].len() > pair[1].len()), "nothing was deleted");
    for (change, expected) in (0..).zip(&states) {
        let (found, count, rest) = look!(bench.catalog, tx => {
            let past = || Page { at: Some(change), ..page() };
            let found = files::list(tx, &past()).await?;
            let count = files::count(tx, &past()).await?;
            let rest = files::list(tx, &Page { after: Some("b.ps1"), limit: 1, ..past() }).await?;
            Ok::<_, jumpbag_server::catalog::CatalogError>((found, count, rest))
        })
        .expect("a list of the past");
        assert_eq!(&found, expected, "change {change}");
        assert_eq!(count, expected.len() as u64);
        let following: Vec<_> = expected
            .iter()
            .filter(|file| file.file_name.to_lowercase().as_str() > "b.ps1")
            .take(1)
            .cloned()
            .collect();
        assert_eq!(rest, following);
    }
}
