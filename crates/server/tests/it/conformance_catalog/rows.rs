//! Rows of files, versions, contents and garbage: what each statement changes, and what it tells.

use jumpbag_server::catalog::audit;
use jumpbag_server::catalog::files::{self, Content, Ended, Page, Place};
use jumpbag_server::catalog::{CatalogError, Tx};
use jumpbag_wire::library::LibraryFile;

use super::{Bench, at, blob, cells, everything, inline, int, page, put, put_described, remove, text};

on_both!(
    names_live_once,
    versions_follow_each_other,
    entities_come_back_as_they_were,
    bytes_are_kept_once,
    lists_are_ordered_and_cut,
    contradictions_are_found,
);

async fn names_live_once(bench: &Bench) {
    let insert = |id: i64, now: i64| {
        let catalog = bench.catalog.clone();
        async move { commit!(catalog, tx => files::insert_file(tx, id, "a.ps1", "A", at(now)).await) }
    };
    assert!(insert(11, 1).await.expect("an answer"));
    assert!(!insert(12, 2).await.expect("an answer"));
    let hidden = commit!(bench.catalog, tx => files::hide(tx, "a.ps1", at(3)).await).expect("an answer");
    assert_eq!(hidden, Some((11, 1)));
    assert!(insert(13, 4).await.expect("an answer"), "a hidden name is free");
    let rows = "select id, name_key, version, created_at, created_by, deleted_at from files order by id";
    let row = |id, created: i64, deleted| {
        vec![int(id), text("a.ps1"), int(1), int(at(created).micros()), text("A"), deleted]
    };
    assert_eq!(cells(&bench.catalog, rows).await, [row(11, 1, int(at(3).micros())), row(13, 4, super::NULL)]);
}

async fn versions_follow_each_other(bench: &Bench) {
    let nothing = commit!(bench.catalog, tx => files::advance(tx, "a.ps1").await).expect("an answer");
    assert_eq!(nothing, None);
    let nothing = commit!(bench.catalog, tx => files::hide(tx, "a.ps1", at(1)).await).expect("an answer");
    assert_eq!(nothing, None);
    let first = commit!(bench.catalog, tx => put(tx, "A.ps1", &inline("1"), at(1)).await).expect("an upload");
    for number in 2..5 {
        let next = commit!(bench.catalog, tx => put(tx, "a.PS1", &inline("2"), at(number)).await)
            .expect("an override");
        assert_eq!((next.id, next.number), (first.id, number));
    }
    commit!(bench.catalog, tx => remove(tx, "a.ps1", at(6)).await).expect("a delete");
    let nothing = commit!(bench.catalog, tx => files::advance(tx, "a.ps1").await).expect("an answer");
    assert_eq!(nothing, None);
    assert_eq!(look!(bench.catalog, tx => files::find(tx, "a.ps1").await).expect("an answer"), None);
    let ends = cells(&bench.catalog, "select number, born, died, ended from versions order by number").await;
    let end = |number, died, ended| vec![int(number), int(number), int(died), text(ended)];
    assert_eq!(
        ends,
        [end(1, 2, "replaced"), end(2, 3, "replaced"), end(3, 4, "replaced"), end(4, 5, "deleted")]
    );
    assert_eq!(look!(bench.catalog, tx => audit::last_change(tx).await).expect("an answer"), 5);
}

async fn entities_come_back_as_they_were(bench: &Bench) {
    let expected =
        |id: i64, name: &str, content: &Content, changed: i64, described: Option<&str>| LibraryFile {
            file_name: name.into(),
            sha256: content.sha256.clone(),
            description: described.map(str::to_owned),
            creation_time: at(1),
            last_updated_time: at(changed),
            created_by: "somebody".into(),
            has_parameters: changed == 2,
            parameters_description: described.map(str::to_owned),
            id: id.to_string(),
            size: content.size,
        };
    let odd = "Ünïcode 𝄞 'quoted' \"twice\" \\ % _\n$1 ?1";
    let first =
        commit!(bench.catalog, tx => put_described(tx, "Ä'𝄞.ps1", &inline("1"), Some(odd), at(1)).await)
            .expect("an upload");
    commit!(bench.catalog, tx => put(tx, "ä'𝄞.PS1", &blob("b", "22"), at(2)).await).expect("an override");
    let (old, new) = (
        expected(first.id, "Ä'𝄞.ps1", &inline("1"), 1, Some(odd)),
        expected(first.id, "ä'𝄞.PS1", &inline("22"), 2, None),
    );
    let found = look!(bench.catalog, tx => files::find(tx, "ä'𝄞.ps1").await).expect("an answer");
    assert_eq!(found.as_ref(), Some(&new));
    assert_eq!(everything(&bench.catalog).await, std::slice::from_ref(&new));
    for (number, version) in [(0, None), (1, Some(old)), (2, Some(new)), (3, None)] {
        let id = first.id;
        let found = look!(bench.catalog, tx => files::version(tx, id, number).await).expect("an answer");
        assert_eq!(found, version);
    }
    let digest = inline("22").sha256;
    let names = look!(bench.catalog, tx => files::names(tx, &digest, 5).await).expect("an answer");
    assert_eq!(names, ["ä'𝄞.PS1"]);
    let (files, bytes) = look!(bench.catalog, tx => files::usage(tx).await).expect("an answer");
    assert_eq!((files, bytes), (1, 3), "bytes of former versions count");
}

async fn bytes_are_kept_once(bench: &Bench) {
    let keep = |id: i64, content: Content| {
        let catalog = bench.catalog.clone();
        async move {
            commit!(catalog, tx => files::keep_content(tx, id, &content, at(1)).await).expect("an answer")
        }
    };
    assert_eq!(keep(1, inline("small")).await, 1);
    assert_eq!(keep(2, inline("small")).await, 1);
    assert_eq!(keep(3, blob("first", "large")).await, 3);
    // What is durable now is where it is offered now: what was there before may be damaged.
    assert_eq!(keep(4, blob("second", "large")).await, 3);
    let garbage = async || cells(&bench.catalog, "select blob from garbage order by blob").await;
    assert_eq!(garbage().await, [[text("first")]]);
    for (id, content, discarded) in [
        (5, blob("third", "small"), 1),
        (6, inline("small"), 2),
        (7, inline("large"), 3),
        (8, blob("fourth", "large"), 3),
    ] {
        keep(id, content.clone()).await;
        let digest = content.sha256.clone();
        let found = look!(bench.catalog, tx => files::content(tx, &digest).await)
            .expect("an answer")
            .expect("the content");
        assert_eq!((found.sha256, found.size, found.place), (content.sha256, 5, content.place));
        assert_eq!(garbage().await.len(), discarded);
    }
    let every_byte: Vec<u8> = (0..=255).collect();
    let content =
        Content { sha256: super::sha256(&every_byte), size: 256, place: Place::Inline(every_byte.into()) };
    keep(6, content.clone()).await;
    let digest = content.sha256.clone();
    let found = look!(bench.catalog, tx => files::content(tx, &digest).await).expect("an answer");
    assert_eq!(found.expect("the content").place, content.place);
    assert!(look!(bench.catalog, tx => files::content(tx, "none").await).expect("an answer").is_none());

    let mut digests = vec![inline("small").sha256, inline("large").sha256, content.sha256];
    digests.sort();
    let (mut walked, mut last) = (Vec::new(), String::new());
    loop {
        let after = last.clone();
        let found = look!(bench.catalog, tx => files::digests(tx, &after, 2).await).expect("an answer");
        let Some(newest) = found.last() else { break };
        assert!(found.len() <= 2);
        last.clone_from(newest);
        walked.extend(found);
    }
    assert_eq!(walked, digests);
}

async fn lists_are_ordered_and_cut(bench: &Bench) {
    // In the order of code points of the lower-case name, whatever the database's locale is.
    let names = ["$a", "B", "_b", "a", "a b", "a.b", "ab", "z", "é", "Ω", "\u{ffff}", "𝄞"];
    commit!(bench.catalog, tx => {
        for (now, name) in (0..).zip(names.iter().rev()) {
            put(tx, name, &inline(&"x".repeat(1 + name.len() % 3)), at(now)).await?;
        }
        Ok::<_, CatalogError>(())
    })
    .expect("uploads");
    let mut sorted: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    sorted.sort_by_key(|name| name.to_lowercase());
    let list = |page: fn() -> Page<'static>| {
        let catalog = bench.catalog.clone();
        async move {
            let (files, count) = look!(catalog, tx => {
                let files = files::list(tx, &page()).await?;
                Ok::<_, CatalogError>((files, files::count(tx, &page()).await?))
            })
            .expect("a list");
            let names: Vec<_> = files.into_iter().map(|file| file.file_name).collect();
            (names, count)
        }
    };
    assert_eq!(list(page).await, (sorted.clone(), 12));
    let cut = || Page { limit: 3, offset: 2, ..page() };
    assert_eq!(list(cut).await, (sorted[2..5].to_vec(), 12));
    let beyond = || Page { offset: 12, ..page() };
    assert_eq!(list(beyond).await, (vec![], 12));
    let after = || Page { after: Some("a.b"), limit: 2, ..page() };
    let place = sorted.iter().position(|name| name == "a.b").expect("it is there") + 1;
    assert_eq!(list(after).await.0, sorted[place..place + 2]);
    let newest_first = || Page { order: "v.created_at desc".into(), ..page() };
    assert_eq!(list(newest_first).await.0, names, "the first name was the last to come");
    let by_size = || Page { order: "c.size desc".into(), ..page() };
    sorted.sort_by_key(|name| std::cmp::Reverse(name.len() % 3));
    assert_eq!(list(by_size).await.0, sorted, "names decide between equals");
    let filtered = || Page {
        filter: Some(("c.size = $1 and v.name <> $2".into(), vec![2.into(), "a".into()])),
        ..page()
    };
    let expected: Vec<_> =
        sorted.iter().filter(|name| name.len() % 3 == 1 && *name != "a").cloned().collect();
    assert_eq!(list(filtered).await, (expected.clone(), expected.len() as u64));
}

async fn contradictions_are_found(bench: &Bench) {
    let upload = |name: &'static str| {
        let catalog = bench.catalog.clone();
        async move { commit!(catalog, tx => put(tx, name, &inline(name), at(1)).await).expect("an upload") }
    };
    let found = async || look!(bench.catalog, tx => files::contradictions(tx).await).expect("an answer");
    let tampering: [(&str, &str, &str); 4] = [
        ("a", "update files set version = 7 where id = $1", "no current version"),
        ("b", "update files set deleted_at = 1 where id = $1", "lives and is deleted at once"),
        ("c", "update versions set died = 9 where file = $1", "lives and is deleted at once"),
        (
            "e",
            "insert into versions (born, file, number, name, content, has_parameters, author, author_id, created_at) \
             select born + 1000, file, 2, name, content, has_parameters, author, author_id, created_at \
             from versions where file = $1",
            "living version that is not the current one",
        ),
    ];
    for (name, sql, says) in tampering {
        let before = found().await;
        let id = upload(name).await.id;
        assert_eq!(found().await, before, "an upload contradicts nothing");
        commit!(bench.catalog, tx => tx.execute(sql, &[id.into()]).await).expect("it can be broken by hand");
        let after = found().await;
        assert!(
            after.iter().any(|line| line.contains(&format!("`{id}`")) && line.contains(says)),
            "{name}: {after:?}"
        );
    }
    ended_by_hand(bench).await;
}

/// How a version ended is one of two words.
async fn ended_by_hand(bench: &Bench) {
    let outcome: Result<u64, CatalogError> =
        commit!(bench.catalog, tx => tx.execute("update versions set ended = 'lost'", &[]).await);
    assert!(matches!(outcome, Err(CatalogError::Constraint(_))), "{outcome:?}");
    commit!(bench.catalog, tx => end_all(tx).await).expect("both words");
}

async fn end_all(tx: &mut Tx) -> Result<(), CatalogError> {
    for ended in [Ended::Replaced, Ended::Deleted] {
        files::end_version(tx, 77, 1, 1, ended).await?;
    }
    Ok(())
}
