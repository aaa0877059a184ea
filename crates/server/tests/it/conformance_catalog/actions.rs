//! Machine actions, their commands and what these put out.

use bytes::Bytes;
use jumpbag_server::catalog::actions::{self, ActionRow, CommandRow, OutputId};
use jumpbag_server::catalog::contents::{self, Place};
use jumpbag_server::catalog::machines::Page;
use jumpbag_server::catalog::{CatalogError, Tx, audit, history};
use jumpbag_wire::action::{ActionStatus, CommandStatus, CommandType, Param, PinnedFile};
use jumpbag_wire::agent::{OutputEnd, Stream};

use super::machines::enter;
use super::{Bench, at, end, inline, put, remove, sha256};

on_both!(
    an_action_is_as_it_was_made,
    open_actions_are_found_until_they_end,
    actions_whose_time_is_over_are_found,
    output_follows_on_what_there_is,
    an_open_action_keeps_its_bytes,
    actions_come_newest_first,
    final_actions_go_with_all_they_brought,
);

pub fn command(number: i64) -> CommandRow {
    CommandRow {
        number,
        kind: CommandType::RunScript,
        params: vec![Param { key: "ScriptName".into(), value: "é.ps1".into() }],
        args: vec!["a b".into(), String::new()],
        path: Some("/x".into()),
        status: CommandStatus::Created,
        started_at: None,
        ended_at: None,
        errors: Vec::new(),
        exit_code: None,
        file: None,
        content: None,
        ends: None,
    }
}

pub fn action(number: i64, machine: &str) -> ActionRow {
    ActionRow {
        number,
        id: format!("action {number}"),
        machine: machine.into(),
        machine_name: "web".into(),
        status: ActionStatus::Pending,
        requestor: "Ann".into(),
        requestor_id: "id of Ann".into(),
        comment: "ünï".into(),
        created_at: at(number),
        updated_at: at(number),
        cancelled_by: None,
        cancel_comment: None,
        cancelled_at: None,
        deadline: at(100 + number),
        commands: vec![command(0), command(1)],
    }
}

/// A command that is bound to a content.
pub fn bound(number: i64, file: i64, content: i64, text: &str) -> CommandRow {
    let file = PinnedFile {
        file_name: "a.ps1".into(),
        id: file.to_string(),
        version: 1,
        sha256: sha256(text.as_bytes()),
        size: text.len() as u64,
    };
    CommandRow { file: Some(file), content: Some(content), ..command(number) }
}

async fn an_action_is_as_it_was_made(bench: &Bench) {
    commit!(bench.catalog, tx => {
        enter(tx, &[("m", "web")]).await?;
        let made = action(1, "m");
        actions::insert(tx, &made).await?;
        assert_eq!(actions::find(tx, "action 1").await?, Some(made.clone()));
        assert_eq!(actions::find(tx, "action 2").await?, None);
        let ended = CommandRow {
            status: CommandStatus::Failed,
            started_at: Some(at(2)),
            ended_at: Some(at(3)),
            errors: vec!["é \" \\".into()],
            exit_code: Some(-9),
            ends: Some(vec![OutputEnd { stream: Stream::File, size: 1 << 40, sha256: "00".into() }]),
            ..command(1)
        };
        actions::set_command(tx, 1, &ended).await?;
        actions::set_cancelled(tx, 1, "Bob", "enough", at(4)).await?;
        actions::set_status(tx, 1, ActionStatus::Cancelled, at(5)).await?;
        let now = ActionRow {
            status: ActionStatus::Cancelled,
            updated_at: at(5),
            cancelled_by: Some("Bob".into()),
            cancel_comment: Some("enough".into()),
            cancelled_at: Some(at(4)),
            commands: vec![command(0), ended],
            ..made
        };
        assert!(now.commands[1].has_ended() && !now.commands[0].has_ended());
        assert_eq!(actions::find(tx, "action 1").await?, Some(now));
        Ok::<_, CatalogError>(())
    })
    .expect("an action");
    let lost = commit!(bench.catalog, tx => actions::insert(tx, &action(2, "nothing")).await);
    assert!(matches!(lost, Err(CatalogError::Constraint(_))), "{lost:?}");
}

async fn open_actions_are_found_until_they_end(bench: &Bench) {
    commit!(bench.catalog, tx => {
        enter(tx, &[("m", "web"), ("n", "db")]).await?;
        for (number, machine) in [(1, "m"), (2, "n"), (3, "m")] {
            actions::insert(tx, &action(number, machine)).await?;
        }
        let open = |row: Option<ActionRow>| row.map(|row| row.number);
        assert_eq!(actions::count_open(tx, 9).await?, 3);
        assert_eq!(actions::count_open(tx, 2).await?, 2, "no further than asked for");
        assert_eq!(open(actions::open(tx, "m").await?), Some(1), "the oldest");
        actions::set_status(tx, 1, ActionStatus::InProgress, at(5)).await?;
        assert_eq!(open(actions::open(tx, "m").await?), Some(1));
        for (number, status) in
            [(1, ActionStatus::Succeeded), (2, ActionStatus::TimeOut), (3, ActionStatus::Failed)]
        {
            actions::set_status(tx, number, status, at(6)).await?;
            actions::set_ended(tx, number, 10 + number).await?;
            if number == 1 {
                assert_eq!(open(actions::open(tx, "m").await?), Some(3));
            }
        }
        assert_eq!(open(actions::open(tx, "m").await?), None);
        assert_eq!(actions::count_open(tx, 9).await?, 0);
        for (after, machines) in [(0, ["m", "n"].as_slice()), (11, &["m", "n"]), (12, &["m"]), (13, &[])] {
            let mut touched = actions::touched(tx, after).await?;
            touched.sort();
            assert_eq!(touched, machines, "after {after}");
        }
        Ok::<_, CatalogError>(())
    })
    .expect("actions");
}

async fn actions_whose_time_is_over_are_found(bench: &Bench) {
    commit!(bench.catalog, tx => {
        enter(tx, &[("m", "web")]).await?;
        for number in 1..=4 {
            actions::insert(tx, &action(number, "m")).await?;
        }
        actions::set_status(tx, 3, ActionStatus::InProgress, at(50)).await?;
        actions::set_status(tx, 4, ActionStatus::Failed, at(4)).await?;
        for (now, begun, limit, numbers) in [
            (101, 50, 9, [].as_slice()),
            (102, 50, 9, &[1]),
            (500, 50, 9, &[1, 2]),
            (500, 51, 9, &[1, 2, 3]),
            (500, 51, 2, &[1, 2]),
        ] {
            let found = actions::overdue(tx, at(now), at(begun), limit).await?;
            let found: Vec<_> = found.into_iter().map(|row| row.number).collect();
            assert_eq!(found, numbers, "at {now}, begun before {begun}");
        }
        Ok::<_, CatalogError>(())
    })
    .expect("actions");
}

async fn output_follows_on_what_there_is(bench: &Bench) {
    let id = |stream| OutputId { action: 1, command: 1, stream };
    let inline = |text: &'static str| Place::Inline(Bytes::from_static(text.as_bytes()));
    commit!(bench.catalog, tx => {
        enter(tx, &[("m", "web")]).await?;
        actions::insert(tx, &action(1, "m")).await?;
        let out = id(Stream::Stdout);
        assert_eq!(actions::output_size(tx, out).await?, 0);
        assert_eq!(actions::output_at(tx, out, 0).await?, None);
        assert!(!actions::append_output(tx, out, 1, 3, &inline("bcd")).await?, "a gap");
        assert!(actions::append_output(tx, out, 0, 3, &inline("abc")).await?);
        assert!(!actions::append_output(tx, out, 0, 3, &inline("abc")).await?, "it is there");
        assert!(!actions::append_output(tx, out, 2, 3, &inline("cde")).await?, "it overlaps");
        assert!(actions::append_output(tx, out, 3, 100_000, &Place::Blob("b".into())).await?);
        assert!(actions::append_output(tx, out, 100_003, 100_000, &Place::Blob("a".into())).await?);
        assert_eq!(actions::output_size(tx, out).await?, 200_003);
        assert_eq!(actions::output_size(tx, id(Stream::Stderr)).await?, 0, "another stream");
        for (offset, piece) in [
            (0, Some((0, 3, inline("abc")))),
            (2, Some((0, 3, inline("abc")))),
            (3, Some((3, 100_000, Place::Blob("b".into())))),
            (200_002, Some((100_003, 100_000, Place::Blob("a".into())))),
            (200_003, None),
        ] {
            assert_eq!(actions::output_at(tx, out, offset).await?, piece, "{offset}");
        }
        let blobs = [("a".to_owned(), 100_000), ("b".to_owned(), 100_000)];
        assert_eq!(actions::output_blobs(tx, "", 9).await?, blobs);
        assert_eq!(actions::output_blobs(tx, "", 1).await?, blobs[..1]);
        assert_eq!(actions::output_blobs(tx, "a", 9).await?, blobs[1..]);
        let mut owned = contents::owned(tx, &["a".into(), "b".into(), "c".into()]).await?;
        owned.sort();
        assert_eq!(owned, ["a", "b"]);
        Ok::<_, CatalogError>(())
    })
    .expect("output");
}

async fn final_actions_go_with_all_they_brought(bench: &Bench) {
    commit!(bench.catalog, tx => {
        enter(tx, &[("m", "web")]).await?;
        for number in 1..=4 {
            actions::insert(tx, &action(number, "m")).await?;
            let out = OutputId { action: number, command: 1, stream: Stream::Stdout };
            let blob = Place::Blob(format!("blob {number}"));
            assert!(actions::append_output(tx, out, 0, 9, &blob).await?);
        }
        for (number, status, time) in [
            (1, ActionStatus::InProgress, 1),
            (2, ActionStatus::Succeeded, 60),
            (3, ActionStatus::Failed, 50),
            (4, ActionStatus::Cancelled, 70),
        ] {
            actions::set_status(tx, number, status, at(time)).await?;
        }
        for (before, limit, numbers) in
            [(50, 9, [].as_slice()), (51, 9, &[3]), (70, 9, &[3, 2]), (70, 1, &[3]), (999, 9, &[3, 2, 4])]
        {
            let found = actions::final_before(tx, at(before), limit).await?;
            assert_eq!(found.into_iter().map(|row| row.number).collect::<Vec<_>>(), numbers, "{before}");
        }
        actions::remove(tx, 3, at(80)).await?;
        assert_eq!(actions::find(tx, "action 3").await?, None);
        assert_eq!(contents::garbage(tx, at(81), 9).await?, ["blob 3"]);
        let out = OutputId { action: 3, command: 1, stream: Stream::Stdout };
        assert_eq!(actions::output_size(tx, out).await?, 0);
        assert_eq!(actions::output_blobs(tx, "", 9).await?.len(), 3, "others keep theirs");
        assert_eq!(actions::find(tx, "action 2").await?.map(|row| row.commands.len()), Some(2));
        Ok::<_, CatalogError>(())
    })
    .expect("actions");
}

/// Purges a deleted file.
async fn purge(tx: &mut Tx, file: i64) -> Result<(), CatalogError> {
    let mut turn = audit::turn(tx).await?;
    let version = history::version(tx, file, 1).await?.expect("it is there");
    history::forget(tx, &mut turn, &version, at(9)).await?;
    end(tx, turn, "a.ps1", at(9)).await
}

async fn an_open_action_keeps_its_bytes(bench: &Bench) {
    commit!(bench.catalog, tx => {
        enter(tx, &[("m", "web")]).await?;
        let file = put(tx, "a.ps1", &inline("bytes"), at(1)).await?.id;
        let content = history::version(tx, file, 1).await?.expect("it is there").content;
        let commands = vec![bound(0, file, content, "bytes"), bound(1, file, content, "bytes"), command(2)];
        for number in [11, 12] {
            let row = ActionRow { commands: commands.clone(), ..action(number, "m") };
            actions::insert(tx, &row).await?;
            assert_eq!(actions::find(tx, &row.id).await?, Some(row));
        }
        let ran: Vec<_> = actions::runs(tx, file, 1, 9).await?.into_iter().map(|row| row.number).collect();
        assert_eq!(ran, [12, 11]);
        assert_eq!(actions::runs(tx, file, 1, 1).await?.len(), 1);
        assert!(actions::runs(tx, file, 2, 9).await?.is_empty(), "another version");
        remove(tx, "a.ps1", at(2)).await?;
        purge(tx, file).await?;
        let digest = sha256(b"bytes");
        for number in [11, 12] {
            assert!(contents::content(tx, &digest).await?.is_some(), "before {number} ends");
            let mut turn = audit::turn(tx).await?;
            actions::unpin(tx, &mut turn, number, at(3)).await?;
            end(tx, turn, "a.ps1", at(3)).await?;
        }
        assert!(contents::content(tx, &digest).await?.is_none(), "nobody needs it any more");
        let row = actions::find(tx, "action 11").await?.expect("it is there");
        assert_eq!(row.commands[0].content, None);
        assert_eq!(row.commands[0].file, commands[0].file, "what it was is known still");
        assert_eq!(history::contradictions(tx).await?, Vec::<String>::new());
        Ok::<_, CatalogError>(())
    })
    .expect("actions");
}

async fn actions_come_newest_first(bench: &Bench) {
    let page = |limit, offset| Page { limit, offset, ..Page::default() };
    let pages = [
        (page(2, 0), [3, 2].as_slice()),
        (page(2, 2), &[1]),
        (Page { order: "a.created_at".into(), ..page(9, 0) }, &[1, 2, 3]),
        (Page { filter: Some(("a.machine = $1".into(), vec!["m".into()])), ..page(9, 0) }, &[3, 1]),
    ];
    commit!(bench.catalog, tx => {
        enter(tx, &[("m", "web"), ("n", "db")]).await?;
        for (number, machine) in [(1, "m"), (2, "n"), (3, "m")] {
            actions::insert(tx, &action(number, machine)).await?;
        }
        for (page, numbers) in &pages {
            let found: Vec<_> = actions::list(tx, page).await?.into_iter().map(|row| row.number).collect();
            assert_eq!(found, *numbers, "{page:?}");
        }
        assert_eq!(actions::count(tx, &pages[0].0).await?, 3, "however long the page");
        assert_eq!(actions::count(tx, &pages[3].0).await?, 2);
        Ok::<_, CatalogError>(())
    })
    .expect("actions");
}
