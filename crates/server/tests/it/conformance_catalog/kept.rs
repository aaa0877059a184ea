//! What is kept after its end: versions that were, deleted files, which can come back, and holds, under which
//! nothing goes.

use jumpbag_server::catalog::history::{self, DeletedAfter, Ended, Protected, Totals, VersionRow};
use jumpbag_server::catalog::{CatalogError, audit, files};
use jumpbag_server::library::metadata::Metadata;
use jumpbag_wire::library::Cause;

use super::{Bench, NULL, at, cells, end, everything, inline, int, put, put_with, remove, sha256, text};

on_both!(
    a_deleted_file_lives_again,
    versions_say_what_they_were,
    deleted_files_come_in_pages,
    nothing_goes_under_a_hold,
    replaced_versions_have_a_time_of_their_own,
    labels_come_and_go_with_their_version,
);

async fn totals(bench: &Bench) -> Totals {
    look!(bench.catalog, tx => history::totals(tx).await).expect("an answer")
}

/// Lets a file live again, without a version of its own: the number that it would have.
async fn revive(bench: &Bench, id: i64) -> Result<Option<i64>, CatalogError> {
    commit!(bench.catalog, tx => {
        let mut turn = audit::turn(tx).await?;
        let number = files::revive(tx, &mut turn, id).await?;
        end(tx, turn, "a.ps1", at(9)).await?;
        Ok::<_, CatalogError>(number)
    })
}

async fn a_deleted_file_lives_again(bench: &Bench) {
    let first =
        commit!(bench.catalog, tx => put(tx, "a.ps1", &inline("1"), at(1)).await).expect("an upload").id;
    assert_eq!(revive(bench, first).await.expect("an answer"), None, "it lives");
    commit!(bench.catalog, tx => remove(tx, "a.ps1", at(2)).await).expect("a delete");
    assert_eq!((totals(bench).await.files, totals(bench).await.deleted), (0, 1));
    assert_eq!(revive(bench, first).await.expect("an answer"), Some(2));
    assert_eq!((totals(bench).await.files, totals(bench).await.deleted), (1, 0));
    let row = look!(bench.catalog, tx => history::living(tx, "a.ps1").await).expect("an answer");
    let row = row.expect("it lives");
    assert_eq!((row.id, row.version, row.deleted_at, row.deleted_by), (first, 2, None, None));
    assert_eq!(revive(bench, 77).await.expect("an answer"), None, "there is no such file");
    // A name that somebody else has now does not come back.
    commit!(bench.catalog, tx => {
        remove(tx, "a.ps1", at(3)).await?;
        put(tx, "A.ps1", &inline("2"), at(4)).await
    })
    .expect("another file of the name");
    let refused = revive(bench, first).await;
    assert!(matches!(refused, Err(CatalogError::Constraint(_))), "{refused:?}");
}

async fn versions_say_what_they_were(bench: &Bench) {
    let told = Metadata {
        description: Some("d".into()),
        parameters_description: Some("-Path".into()),
        has_parameters: false,
        tags: vec!["triage".into(), "ünïcode 𝄞".into()],
        platforms: vec!["linux".into(), "windows".into()],
        category: Some("Collect".into()),
        instructions: Some("run it\nas root".into()),
    };
    let (metadata, untold) = (told.clone(), Metadata::default());
    let put = commit!(bench.catalog, tx => {
        put_with(tx, "a.ps1", &inline("1"), metadata, at(1)).await?;
        put_with(tx, "A.ps1", &inline("22"), untold, at(2)).await?;
        put(tx, "other.ps1", &inline("1"), at(3)).await?;
        remove(tx, "a.PS1", at(4)).await?;
        put(tx, "a.ps1", &inline("new"), at(5)).await
    })
    .expect("a history");
    let first = VersionRow {
        born: 1,
        file: 1,
        number: 1,
        name: "a.ps1".into(),
        content: 1,
        sha256: sha256(b"1"),
        size: 1,
        author: "somebody".into(),
        author_id: "id of somebody".into(),
        created_at: at(1),
        cause: Cause::Uploaded,
        ended: Some(Ended::Replaced),
        ended_at: Some(at(2)),
        metadata: told,
    };
    let second = VersionRow {
        born: 2,
        number: 2,
        name: "A.ps1".into(),
        content: 2,
        sha256: sha256(b"22"),
        size: 2,
        created_at: at(2),
        cause: Cause::Overridden,
        ended: Some(Ended::Deleted),
        ended_at: Some(at(4)),
        metadata: Metadata { has_parameters: true, ..Metadata::default() },
        ..first.clone()
    };
    let found = look!(bench.catalog, tx => {
        let one = [history::version(tx, 1, 0).await?, history::version(tx, 1, 1).await?];
        let all = history::versions(tx, 1, i64::MAX, 10).await?;
        let below = history::versions(tx, 1, 2, 10).await?;
        let newest = history::versions(tx, 1, i64::MAX, 1).await?;
        let later = history::born_after(tx, 1, 2).await?;
        Ok::<_, CatalogError>((one, all, below, newest, later))
    });
    let (one, all, below, newest, later) = found.expect("answers");
    assert_eq!(one, [None, Some(first.clone())]);
    assert_eq!(all, [second.clone(), first.clone()]);
    assert_eq!(below, [first]);
    assert_eq!(newest, std::slice::from_ref(&second));
    assert_eq!(later.iter().map(|version| version.born).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(later[0], second);
    let counts = look!(bench.catalog, tx => {
        let mut counts = Vec::new();
        for file in [1, put.id, 77] {
            counts.push(history::count_versions(tx, file).await?);
        }
        Ok::<_, CatalogError>(counts)
    });
    assert_eq!(counts.expect("answers"), [2, 1, 0]);
    let current = look!(bench.catalog, tx => history::version(tx, put.id, 1).await).expect("an answer");
    let current = current.expect("it is there");
    assert_eq!((current.ended, current.ended_at), (None, None));
}

async fn deleted_files_come_in_pages(bench: &Bench) {
    // Some in one moment; one name several times; one that lives.
    commit!(bench.catalog, tx => {
        for (number, deleted) in [10, 12, 12, 12, 15, 15, 11].into_iter().enumerate() {
            let name = if number < 3 { "same.ps1".to_owned() } else { format!("{number}.ps1") };
            put(tx, &name, &inline(&name), at(1)).await?;
            put(tx, &name, &inline("last"), at(2)).await?;
            remove(tx, &name, at(deleted)).await?;
        }
        put(tx, "same.ps1", &inline("lives"), at(20)).await
    })
    .expect("deleted files");
    let page = async |after: Option<DeletedAfter>| {
        look!(bench.catalog, tx => history::all_deleted(tx, after, 3).await).expect("a page")
    };
    let (mut walked, mut after) = (Vec::new(), None);
    loop {
        let found = page(after).await;
        let Some((last, _)) = found.last() else { break };
        assert!(found.len() == 3 || walked.len() + found.len() == 7, "a short page before the end");
        after = Some((last.deleted_at.expect("it is deleted"), last.id));
        walked.extend(found);
    }
    let told: Vec<_> = walked
        .iter()
        .map(|(file, version)| (file.deleted_at, file.id, version.number, version.name.as_str()))
        .collect();
    let row = |deleted: i64, number: i64, name| (Some(at(deleted)), 1 + 3 * number, 2, name);
    assert_eq!(
        told,
        [
            row(15, 5, "5.ps1"),
            row(15, 4, "4.ps1"),
            row(12, 3, "3.ps1"),
            row(12, 2, "same.ps1"),
            row(12, 1, "same.ps1"),
            row(11, 6, "6.ps1"),
            row(10, 0, "same.ps1"),
        ]
    );
    for (file, version) in &walked {
        let id = file.id;
        let one = look!(bench.catalog, tx => history::deleted(tx, id).await).expect("an answer");
        assert_eq!(one.as_ref(), Some(file));
        assert_eq!((file.deleted_by.as_deref(), version.ended), (Some("somebody"), Some(Ended::Deleted)));
        assert_eq!(version.sha256, sha256(b"last"));
    }
    let living = look!(bench.catalog, tx => history::living(tx, "same.ps1").await).expect("an answer");
    let living = living.expect("it lives").id;
    for id in [living, 77] {
        let none = look!(bench.catalog, tx => history::deleted(tx, id).await).expect("an answer");
        assert_eq!(none, None);
    }
    let none = look!(bench.catalog, tx => history::living(tx, "3.ps1").await).expect("an answer");
    assert_eq!(none, None);
}

/// What nothing but a hold protects, at most `limit`.
async fn expired(bench: &Bench, protected: Protected, limit: i64) -> Vec<(String, i64)> {
    let found = look!(bench.catalog, tx => history::expired(tx, protected, limit).await).expect("an answer");
    found.into_iter().map(|version| (version.name, version.number)).collect()
}

async fn nothing_goes_under_a_hold(bench: &Bench) {
    let ids = commit!(bench.catalog, tx => {
        let mut ids = Vec::new();
        for name in ["lives", "gone"] {
            put(tx, name, &inline("1"), at(1)).await?;
            ids.push(put(tx, name, &inline("2"), at(2)).await?.id);
        }
        remove(tx, "gone", at(3)).await?;
        Ok::<_, CatalogError>(ids)
    })
    .expect("two files");
    let everything_goes = Protected { deleted_since: at(99), replaced_since: Some(at(99)) };
    let version = |name: &str, number| (name.to_owned(), number);
    let all = [version("gone", 1), version("gone", 2), version("lives", 1)];
    assert_eq!(expired(bench, everything_goes, 10).await, all);
    let hold = |id: i64, held: Option<(&'static str, &'static str)>| {
        let catalog = bench.catalog.clone();
        async move { commit!(catalog, tx => history::hold(tx, id, held, at(7)).await).expect("an answer") }
    };
    hold(ids[0], Some(("Ann", "case 7"))).await;
    assert_eq!(expired(bench, everything_goes, 10).await, all[..2]);
    hold(ids[1], Some(("Ann", "case 8"))).await;
    assert_eq!(expired(bench, everything_goes, 10).await, []);
    assert_eq!(totals(bench).await.held, 2);
    assert!(everything(&bench.catalog).await[0].legal_hold);
    let held = "select held_at, held_by, hold_reason from files order by id";
    let row = |reason| vec![int(at(7).micros()), text("Ann"), text(reason)];
    assert_eq!(cells(&bench.catalog, held).await, [row("case 7"), row("case 8")]);
    let gone_id = ids[1];
    let (living, gone) = look!(bench.catalog, tx => {
        Ok::<_, CatalogError>((history::living(tx, "lives").await?, history::deleted(tx, gone_id).await?))
    })
    .expect("answers");
    let told =
        [living.expect("it lives"), gone.expect("it is deleted")].map(|row| (row.held_at, row.hold_reason));
    assert_eq!(told, [(Some(at(7)), Some("case 7".into())), (Some(at(7)), Some("case 8".into()))]);
    for id in ids {
        hold(id, None).await;
    }
    assert_eq!(expired(bench, everything_goes, 10).await, all);
    assert_eq!(cells(&bench.catalog, held).await, [[NULL, NULL, NULL], [NULL, NULL, NULL]]);
    assert_eq!(totals(bench).await.held, 0);
    assert!(!everything(&bench.catalog).await[0].legal_hold);
}

async fn replaced_versions_have_a_time_of_their_own(bench: &Bench) {
    commit!(bench.catalog, tx => {
        for (name, since) in [("b", 20), ("a", 10)] {
            for number in 0..3 {
                put(tx, name, &inline("x"), at(since + number)).await?;
            }
        }
        // Replaced long ago, but of a file whose own time counts.
        put(tx, "gone", &inline("x"), at(1)).await?;
        put(tx, "gone", &inline("x"), at(2)).await?;
        remove(tx, "gone", at(30)).await
    })
    .expect("a history");
    let protected = |deleted: i64, replaced: Option<i64>| Protected {
        deleted_since: at(deleted),
        replaced_since: replaced.map(at),
    };
    let version = |name: &str, number| (name.to_owned(), number);
    let replaced = [version("a", 1), version("a", 2), version("b", 1), version("b", 2)];
    assert_eq!(expired(bench, protected(0, None), 10).await, []);
    assert_eq!(expired(bench, protected(0, Some(11)), 10).await, [], "not before its time");
    assert_eq!(expired(bench, protected(0, Some(12)), 10).await, replaced[..1]);
    assert_eq!(expired(bench, protected(0, Some(99)), 10).await, replaced, "never the current one");
    assert_eq!(expired(bench, protected(0, Some(99)), 3).await, replaced[..3]);
    let gone = [version("gone", 1), version("gone", 2)];
    assert_eq!(expired(bench, protected(31, None), 10).await, gone);
    let both = [&gone[..], &replaced[..]].concat();
    assert_eq!(expired(bench, protected(31, Some(99)), 10).await, both);
    for limit in 0..=6 {
        let found = expired(bench, protected(31, Some(99)), limit).await;
        assert_eq!(found, both[..limit as usize]);
    }
}

async fn labels_come_and_go_with_their_version(bench: &Bench) {
    let labelled = |tags: &[&str], platforms: &[&str]| Metadata {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        platforms: platforms.iter().map(|platform| (*platform).to_owned()).collect(),
        ..Metadata::default()
    };
    let (first, second) = (labelled(&["a", "linux"], &["linux"]), labelled(&["é"], &[]));
    commit!(bench.catalog, tx => {
        put_with(tx, "a.ps1", &inline("1"), first, at(1)).await?;
        put_with(tx, "a.ps1", &inline("2"), second, at(2)).await?;
        put(tx, "a.ps1", &inline("3"), at(3)).await
    })
    .expect("three versions");
    let labels = async || {
        cells(&bench.catalog, "select version, kind, value from labels order by version, kind, value").await
    };
    let row = |version, kind, value| vec![int(version), text(kind), text(value)];
    let (linux, a) = (row(1, "platform", "linux"), row(1, "tag", "a"));
    let (same, accent) = (row(1, "tag", "linux"), row(2, "tag", "é"));
    assert_eq!(labels().await, [linux, a, same, accent.clone()]);
    commit!(bench.catalog, tx => {
        let version = history::version(tx, 1, 1).await?.expect("it is there");
        let mut turn = audit::turn(tx).await?;
        history::forget(tx, &mut turn, &version, at(9)).await?;
        end(tx, turn, "a.ps1", at(9)).await
    })
    .expect("it goes");
    assert_eq!(labels().await, [accent]);
    assert_eq!(everything(&bench.catalog).await.len(), 1, "its file stays");
}
