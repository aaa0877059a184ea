//! Rows of files, versions, contents and garbage: what each statement changes, and what it tells.

use jumpbag_server::catalog::contents::{self, Content, Place};
use jumpbag_server::catalog::files::{self, Page};
use jumpbag_server::catalog::history::{self, Ended};
use jumpbag_server::catalog::{CatalogError, Tx, audit};
use jumpbag_wire::library::LibraryFile;

use super::{
    Bench, Cell, NULL, at, blob, cells, everything, inline, int, page, put, put_described, remove, text,
};

on_both!(
    names_live_once,
    versions_follow_each_other,
    entities_come_back_as_they_were,
    bytes_are_kept_once,
    lists_are_ordered_and_cut,
    contradictions_are_found,
);

async fn names_live_once(bench: &Bench) {
    let insert = |now: i64| {
        let catalog = bench.catalog.clone();
        async move {
            commit!(catalog, tx => {
                let mut turn = audit::turn(tx).await?;
                let inserted = files::insert_file(tx, &mut turn, "a.ps1", "A", at(now)).await?;
                Ok::<_, CatalogError>((inserted, turn.files))
            })
            .expect("an answer")
        }
    };
    assert_eq!(insert(1).await, (true, 1));
    assert_eq!(insert(2).await, (false, 0));
    let hidden = commit!(bench.catalog, tx => {
        let mut turn = audit::turn(tx).await?;
        let hidden = files::hide(tx, &mut turn, "a.ps1", "B", at(3)).await?;
        Ok::<_, CatalogError>((hidden, turn.files))
    });
    assert_eq!(hidden.expect("an answer"), (Some((1, 1)), -1));
    assert_eq!(insert(4).await, (true, 1), "a hidden name is free");
    let rows =
        "select id, name_key, version, created_at, created_by, deleted_at, deleted_by from files order by id";
    let row = |id, created: i64, deleted: [Cell; 2]| {
        let [at_, by] = deleted;
        vec![int(id), text("a.ps1"), int(1), int(at(created).micros()), text("A"), at_, by]
    };
    let deleted = [int(at(3).micros()), text("B")];
    assert_eq!(cells(&bench.catalog, rows).await, [row(1, 1, deleted), row(4, 4, [NULL, NULL])]);
}

async fn versions_follow_each_other(bench: &Bench) {
    let nothing = commit!(bench.catalog, tx => files::advance(tx, "a.ps1").await).expect("an answer");
    assert_eq!(nothing, None);
    let nothing: Result<(), CatalogError> = commit!(bench.catalog, tx => {
        let mut turn = audit::turn(tx).await?;
        assert_eq!(files::hide(tx, &mut turn, "a.ps1", "B", at(1)).await?, None);
        assert_eq!(turn.files, 0);
        Err(CatalogError::Shape("nothing to commit".into()))
    });
    assert!(matches!(nothing, Err(CatalogError::Shape(_))), "{nothing:?}");
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
            version: changed.unsigned_abs(),
            tags: Vec::new(),
            platforms: Vec::new(),
            category: None,
            instructions: None,
            legal_hold: false,
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
    let past = || Page { at: Some(1), ..page() };
    let found = look!(bench.catalog, tx => files::list(tx, &past()).await).expect("a list");
    assert_eq!(found, [old]);
    let digest = inline("22").sha256;
    let names = look!(bench.catalog, tx => contents::names(tx, &digest, 5).await).expect("an answer");
    assert_eq!(names, ["ä'𝄞.PS1"]);
    let (files, bytes) = look!(bench.catalog, tx => history::size(tx).await).expect("an answer");
    assert_eq!((files, bytes), (1, 3), "bytes of former versions count");
}

async fn bytes_are_kept_once(bench: &Bench) {
    let keep = |content: Content| {
        let catalog = bench.catalog.clone();
        async move {
            commit!(catalog, tx => {
                let mut turn = audit::turn(tx).await?;
                let id = contents::keep_content(tx, &mut turn, &content, at(1)).await?;
                Ok::<_, CatalogError>((id, turn.bytes))
            })
            .expect("an answer")
        }
    };
    assert_eq!(keep(inline("small")).await, (1, 5));
    assert_eq!(keep(inline("small")).await, (1, 0), "bytes that are there already do not count again");
    assert_eq!(keep(blob("first", "large")).await, (3, 5));
    // What is durable now is where it is offered now: what was there before may be damaged.
    assert_eq!(keep(blob("second", "large")).await, (3, 0));
    let garbage = async || cells(&bench.catalog, "select blob from garbage order by blob").await;
    assert_eq!(garbage().await, [[text("first")]]);
    for (content, discarded) in [
        (blob("third", "small"), 1),
        (inline("small"), 2),
        (inline("large"), 3),
        (blob("fourth", "large"), 3),
    ] {
        keep(content.clone()).await;
        let digest = content.sha256.clone();
        let found = look!(bench.catalog, tx => contents::content(tx, &digest).await)
            .expect("an answer")
            .expect("the content");
        assert_eq!((found.sha256, found.size, found.place), (content.sha256, 5, content.place));
        assert_eq!(garbage().await.len(), discarded);
    }
    let every_byte: Vec<u8> = (0..=255).collect();
    let content =
        Content { sha256: super::sha256(&every_byte), size: 256, place: Place::Inline(every_byte.into()) };
    keep(content.clone()).await;
    let digest = content.sha256.clone();
    let found = look!(bench.catalog, tx => contents::content(tx, &digest).await).expect("an answer");
    assert_eq!(found.expect("the content").place, content.place);
    assert!(look!(bench.catalog, tx => contents::content(tx, "none").await).expect("an answer").is_none());

    let mut digests = vec![inline("small").sha256, inline("large").sha256, content.sha256];
    digests.sort();
    let (mut walked, mut last) = (Vec::new(), String::new());
    loop {
        let after = last.clone();
        let found = look!(bench.catalog, tx => contents::digests(tx, &after, 2).await).expect("an answer");
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
    // The totals, which deleting by hand makes wrong as well, are told on a line of their own.
    let found = async || {
        let mut found = look!(bench.catalog, tx => history::contradictions(tx).await).expect("an answer");
        found.retain(|line| !line.contains("tenant's row"));
        found
    };
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
        history::end_version(tx, 77, 1, 1, ended, at(1)).await?;
    }
    Ok(())
}
