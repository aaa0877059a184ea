//! What nobody needs any more goes, and nothing else: expired versions, garbage, blobs without an owner.

use std::collections::BTreeSet;

use jumpbag_server::catalog::CatalogError;
use jumpbag_server::catalog::history::{self, Protected, VersionRow};
use jumpbag_server::catalog::{audit, contents};

use super::{Bench, at, blob, cells, end, inline, int, put, remove, text};

on_both!(
    expired_versions_go_and_take_what_nobody_needs,
    living_files_never_expire,
    garbage_is_kept_for_its_time,
    owners_of_blobs_are_known,
);

/// What goes when versions of files deleted since then are protected, and replaced ones always.
async fn expired_before(bench: &Bench, before: i64, limit: i64) -> Vec<VersionRow> {
    let protected = Protected { deleted_since: at(before), replaced_since: None };
    look!(bench.catalog, tx => history::expired(tx, protected, limit).await).expect("an answer")
}

/// Removes versions as a sweep does.
async fn forget(bench: &Bench, version: &VersionRow, now: i64) {
    let version = version.clone();
    commit!(bench.catalog, tx => {
        let mut turn = audit::turn(tx).await?;
        history::forget(tx, &mut turn, &version, at(now)).await?;
        end(tx, turn, &version.name, at(now)).await
    })
    .expect("it goes");
}

async fn expired_versions_go_and_take_what_nobody_needs(bench: &Bench) {
    commit!(bench.catalog, tx => {
        put(tx, "gone.ps1", &blob("only here", "1"), at(1)).await?;
        put(tx, "gone.ps1", &blob("elsewhere too", "2"), at(2)).await?;
        put(tx, "gone.ps1", &inline("3"), at(3)).await?;
        remove(tx, "gone.ps1", at(10)).await?;
        put(tx, "gone.ps1", &inline("new life"), at(11)).await?;
        put(tx, "lives.ps1", &blob("another offer", "2"), at(4)).await?;
        put(tx, "later.ps1", &inline("later"), at(4)).await?;
        remove(tx, "later.ps1", at(20)).await
    })
    .expect("a history");
    assert!(expired_before(bench, 10, 10).await.is_empty(), "not before its time");
    let expired = expired_before(bench, 11, 10).await;
    let told: Vec<_> = expired
        .iter()
        .map(|version| (version.name.as_str(), version.number, version.sha256.clone()))
        .collect();
    let digest = |text| inline(text).sha256;
    assert_eq!(
        told,
        [("gone.ps1", 1, digest("1")), ("gone.ps1", 2, digest("2")), ("gone.ps1", 3, digest("3"))]
    );
    assert_eq!(expired_before(bench, 11, 2).await.len(), 2);
    assert_eq!(expired_before(bench, 21, 10).await.len(), 4, "the first to be deleted comes first");
    for version in &expired {
        assert!(file_exists(bench, version.file).await, "its file stays until its last version goes");
        forget(bench, version, 30).await;
    }
    assert!(!file_exists(bench, expired[0].file).await);
    assert!(expired_before(bench, 11, 10).await.is_empty());
    let kept: BTreeSet<_> = look!(bench.catalog, tx => contents::digests(tx, "", 100).await)
        .expect("an answer")
        .into_iter()
        .collect();
    assert_eq!(kept, BTreeSet::from([digest("2"), digest("new life"), digest("later")]));
    assert_eq!(
        cells(&bench.catalog, "select blob, since from garbage order by blob").await,
        [
            // Lost to the newer copy of its bytes.
            [text("elsewhere too"), int(at(4).micros())],
            [text("only here"), int(at(30).micros())]
        ]
    );
    let found = look!(bench.catalog, tx => history::contradictions(tx).await).expect("an answer");
    assert_eq!(found, Vec::<String>::new());
}

async fn file_exists(bench: &Bench, id: i64) -> bool {
    cells(&bench.catalog, &format!("select 1 from files where id = {id}")).await.len() == 1
}

async fn living_files_never_expire(bench: &Bench) {
    commit!(bench.catalog, tx => {
        put(tx, "a.ps1", &inline("1"), at(1)).await?;
        put(tx, "a.ps1", &inline("2"), at(2)).await
    })
    .expect("uploads");
    assert!(expired_before(bench, i64::from(i32::MAX), 10).await.is_empty());
}

async fn garbage_is_kept_for_its_time(bench: &Bench) {
    commit!(bench.catalog, tx => {
        for (key, since) in [("c", 3), ("a", 1), ("b", 2), ("a", 9)] {
            contents::discard(tx, key, at(since)).await?;
        }
        Ok::<_, CatalogError>(())
    })
    .expect("garbage");
    let before = |time: i64, limit: i64| {
        let catalog = bench.catalog.clone();
        async move { look!(catalog, tx => contents::garbage(tx, at(time), limit).await).expect("an answer") }
    };
    assert_eq!(before(1, 10).await, Vec::<String>::new());
    assert_eq!(before(3, 10).await, ["a", "b"], "what is discarded again is not younger");
    assert_eq!(before(99, i64::MAX).await, ["a", "b", "c"]);
    assert_eq!(before(99, 2).await, ["a", "b"]);
    for _ in 0..2 {
        commit!(bench.catalog, tx => contents::forget_garbage(tx, "b").await).expect("it is forgotten");
    }
    assert_eq!(before(99, 10).await, ["a", "c"]);
}

async fn owners_of_blobs_are_known(bench: &Bench) {
    commit!(bench.catalog, tx => {
        let mut turn = audit::turn(tx).await?;
        contents::keep_content(tx, &mut turn, &blob("content's", "1"), at(1)).await?;
        let mut turn = audit::turn(tx).await?;
        contents::keep_content(tx, &mut turn, &inline("2"), at(1)).await?;
        contents::discard(tx, "garbage", at(1)).await
    })
    .expect("rows");
    let owned = |blobs: Vec<String>| {
        let catalog = bench.catalog.clone();
        async move {
            let found = look!(catalog, tx => contents::owned(tx, &blobs).await).expect("an answer");
            found.into_iter().collect::<BTreeSet<_>>()
        }
    };
    assert!(owned(vec![]).await.is_empty());
    assert!(owned(vec!["nobody's".into()]).await.is_empty());
    let many = (0..98).map(|number| format!("nobody's {number}"));
    let many = many.chain(["content's".into(), "garbage".into()]).collect();
    assert_eq!(owned(many).await, BTreeSet::from(["content's".into(), "garbage".into()]));
}
