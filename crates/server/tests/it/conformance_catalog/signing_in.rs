//! Rows of users, sessions, codes, grants, devices and failures.

use jumpbag_server::catalog::devices::{self, Approval, DeviceRow};
use jumpbag_server::catalog::external_sessions::{self, ExternalSessionRow};
use jumpbag_server::catalog::grants::{self, GrantRow};
use jumpbag_server::catalog::sessions::{self, CodeRow, SessionRow};
use jumpbag_server::catalog::users::{self, NewUser};
use jumpbag_server::catalog::{CatalogError, Tx, clients, setup};

use super::{Bench, at, cells, int};

on_both!(
    a_name_lives_once_whatever_its_letters,
    users_change_and_go,
    codes_of_a_step_are_used_once,
    sessions_end_with_what_came_of_them,
    a_code_is_used_once_even_by_many_at_once,
    a_grant_knows_one_refresh_token,
    a_device_waits_for_one_word,
    failures_are_counted_by_many_at_once,
    apps_know_where_browsers_may_go,
    what_expired_is_forgotten,
    a_link_makes_the_first_user_and_counts_once,
    sessions_of_others_users_come_and_go,
);

pub fn person<'a>(id: &'a str, name: &'a str) -> NewUser<'a> {
    NewUser { id, name, display_name: "Ünïcode", password: "$argon2id$", totp: Some("SECRET") }
}

async fn a_name_lives_once_whatever_its_letters(bench: &Bench) {
    commit!(bench.catalog, tx => {
        assert!(users::insert(tx, &person("1", "Ada"), at(1)).await?);
        assert!(!users::insert(tx, &person("2", "aDA"), at(2)).await?);
        users::remove(tx, "1", at(3)).await?;
        assert!(users::named(tx, "ada").await?.is_none() && users::find(tx, "1").await?.is_none());
        assert!(users::insert(tx, &person("2", "aDA"), at(4)).await?);
        let found = users::named(tx, "ADA").await?.expect("the second");
        assert_eq!((found.id.as_str(), found.name.as_str(), found.created_at), ("2", "aDA", at(4)));
        Ok::<_, CatalogError>(())
    })
    .expect("users");
}

async fn users_change_and_go(bench: &Bench) {
    commit!(bench.catalog, tx => {
        for (id, name) in [("1", "bob"), ("2", "Ada")] {
            users::insert(tx, &person(id, name), at(1)).await?;
        }
        users::set_permissions(tx, "1", &["b", "a", "b"]).await?;
        users::set_permissions(tx, "2", &["c"]).await?;
        users::set_permissions(tx, "2", &[]).await?;
        users::set_password(tx, "1", "other", at(2)).await?;
        users::set_disabled(tx, "1", Some(at(3))).await?;
        users::end_sessions(tx, "1").await?;
        let names: Vec<_> = users::all(tx).await?.into_iter().map(|user| user.name).collect();
        assert_eq!(names, ["Ada", "bob"]);
        let bob = users::find(tx, "1").await?.expect("bob");
        assert_eq!((bob.permissions, bob.password.as_str()), (vec!["a".to_owned(), "b".to_owned()], "other"));
        assert_eq!((bob.epoch, bob.disabled_at, bob.display_name.as_str()), (2, Some(at(3)), "Ünïcode"));
        users::set_disabled(tx, "1", None).await?;
        assert_eq!(users::find(tx, "1").await?.expect("bob").disabled_at, None);
        Ok::<_, CatalogError>(())
    })
    .expect("changes");
}

async fn codes_of_a_step_are_used_once(bench: &Bench) {
    commit!(bench.catalog, tx => {
        users::insert(tx, &person("1", "ada"), at(1)).await?;
        for (step, fresh) in [(10, true), (10, false), (9, false), (11, true), (10, false)] {
            assert_eq!(users::use_step(tx, "1", step).await?, fresh, "{step}");
        }
        users::set_totp(tx, "1", Some("other")).await?;
        assert!(users::use_step(tx, "1", 10).await?);
        assert_eq!(users::find(tx, "1").await?.expect("ada").totp.as_deref(), Some("other"));
        Ok::<_, CatalogError>(())
    })
    .expect("steps");
}

fn session(id: &str) -> SessionRow {
    SessionRow {
        id: id.into(),
        sha256: format!("cookie {id}"),
        user: "1".into(),
        epoch: 1,
        created_at: at(1),
        seen_at: at(1),
    }
}

fn code(sha256: &str, session: &str) -> CodeRow {
    CodeRow {
        sha256: sha256.into(),
        grant: format!("grant {sha256}"),
        client: "app".into(),
        redirect_uri: "https://app.example".into(),
        challenge: "c".into(),
        nonce: Some("n".into()),
        scope: "openid".into(),
        audience: "a".into(),
        user: "1".into(),
        epoch: 1,
        session: session.into(),
        signed_in_at: at(1),
        expires_at: at(61),
    }
}

fn grant(id: &str, session: Option<&str>) -> GrantRow {
    GrantRow {
        id: id.into(),
        sha256: "first".into(),
        client: "app".into(),
        scope: "openid".into(),
        audience: "a".into(),
        user: "1".into(),
        epoch: 1,
        session: session.map(str::to_owned),
        signed_in_at: at(1),
        created_at: at(2),
        expires_at: at(100),
    }
}

fn device(sha256: &str, user_code: &str) -> DeviceRow {
    DeviceRow {
        sha256: sha256.into(),
        user_code: user_code.into(),
        client: "app".into(),
        scope: "openid".into(),
        audience: "a".into(),
        address: "192.0.2.1".into(),
        expires_at: at(100),
        asked_at: None,
        pace: 5,
        status: "waiting".into(),
        by: None,
    }
}

async fn sessions_end_with_what_came_of_them(bench: &Bench) {
    commit!(bench.catalog, tx => {
        for id in ["s", "t"] {
            sessions::insert(tx, &session(id)).await?;
            sessions::insert_code(tx, &code(id, id)).await?;
            grants::insert(tx, &grant(id, Some(id))).await?;
        }
        grants::insert(tx, &grant("device", None)).await?;
        assert_eq!(sessions::find(tx, "cookie s").await?, Some(session("s")));
        sessions::touch(tx, "s", at(9)).await?;
        sessions::touch(tx, "s", at(8)).await?;
        assert_eq!(sessions::find(tx, "cookie s").await?.map(|found| found.seen_at), Some(at(9)));
        sessions::end(tx, "s").await?;
        assert_eq!(sessions::find(tx, "cookie s").await?, None);
        assert_eq!(sessions::use_code(tx, "s", at(2)).await?, None);
        assert_eq!(grants::find(tx, "s").await?, None);
        assert_eq!(grants::find(tx, "t").await?, Some(grant("t", Some("t"))));
        users::insert(tx, &person("1", "ada"), at(1)).await?;
        users::end_sessions(tx, "1").await?;
        Ok::<_, CatalogError>(())
    })
    .expect("sessions");
    let left = cells(
        &bench.catalog,
        "select (select count(*) from sessions), (select count(*) from codes), (select count(*) from grants)",
    );
    assert_eq!(left.await, [[int(0), int(0), int(0)]]);
}

async fn a_code_is_used_once_even_by_many_at_once(bench: &Bench) {
    commit!(bench.catalog, tx => sessions::insert_code(tx, &code("x", "s")).await).expect("a code");
    let uses =
        (0..8).map(|_| async { commit!(bench.catalog, tx => sessions::use_code(tx, "x", at(2)).await) });
    let found = futures_util::future::join_all(uses).await;
    let found: Vec<_> = found.into_iter().filter_map(|used| used.expect("an answer")).collect();
    assert_eq!(found, [code("x", "s")]);
    let (used, never) = look!(bench.catalog, tx => {
        Ok::<_, CatalogError>((sessions::used_for(tx, "x").await?, sessions::used_for(tx, "y").await?))
    })
    .expect("an answer");
    assert_eq!((used.as_deref(), never), (Some("grant x"), None));
}

async fn a_grant_knows_one_refresh_token(bench: &Bench) {
    commit!(bench.catalog, tx => grants::insert(tx, &grant("g", None)).await).expect("a grant");
    let rotations = (0..8).map(|n| {
        let next = format!("next {n}");
        async move {
            commit!(bench.catalog, tx => grants::rotate(tx, "g", "app", "first", &next, at(200), at(3)).await)
        }
    });
    let rotated = futures_util::future::join_all(rotations).await;
    let rotated: Vec<_> = rotated.into_iter().filter_map(|row| row.expect("an answer")).collect();
    assert_eq!(rotated.len(), 1);
    assert_eq!((rotated[0].expires_at, rotated[0].created_at), (at(200), at(2)));
    let now = rotated[0].sha256.clone();
    commit!(bench.catalog, tx => {
        assert!(grants::rotate(tx, "g", "other", &now, "x", at(300), at(4)).await?.is_none());
        assert!(grants::rotate(tx, "g", "app", &now, "x", at(300), at(200)).await?.is_none());
        assert!(grants::rotate(tx, "g", "app", &now, "x", at(300), at(199)).await?.is_some());
        assert!(grants::end(tx, "g").await? && !grants::end(tx, "g").await?);
        Ok::<_, CatalogError>(())
    })
    .expect("rotations");
}

async fn asked(tx: &mut Tx, sha256: &str, now: i64) -> Result<Option<DeviceRow>, CatalogError> {
    devices::asks(tx, sha256, "app", at(now)).await
}

async fn a_device_waits_for_one_word(bench: &Bench) {
    let by = Approval { user: "1".into(), epoch: 1, signed_in_at: at(1) };
    commit!(bench.catalog, tx => {
        assert!(devices::insert(tx, &device("a", "AAAA")).await?);
        assert!(!devices::insert(tx, &device("b", "AAAA")).await?);
        assert!(devices::insert(tx, &device("b", "BBBB")).await?);
        assert_eq!((devices::count(tx, at(99)).await?, devices::count(tx, at(100)).await?), (2, 0));
        assert_eq!(devices::waiting(tx, "AAAA", at(99)).await?, Some(device("a", "AAAA")));
        assert_eq!(devices::waiting(tx, "AAAA", at(100)).await?, None);
        assert_eq!(devices::asks(tx, "a", "other", at(3)).await?, None);
        // Another app's question was none.
        assert_eq!(asked(tx, "a", 4).await?.expect("it waits").asked_at, None);
        devices::slow_down(tx, "a", 10).await?;
        let again = asked(tx, "a", 5).await?.expect("it waits");
        assert_eq!((again.asked_at, again.pace), (Some(at(4)), 10));
        assert!(devices::decide(tx, "AAAA", true, &by, at(6)).await?);
        assert!(!devices::decide(tx, "AAAA", false, &by, at(6)).await?);
        assert!(!devices::decide(tx, "BBBB", true, &by, at(100)).await?);
        assert!(devices::decide(tx, "BBBB", false, &by, at(7)).await?);
        assert_eq!(devices::waiting(tx, "AAAA", at(6)).await?, None);
        let approved = asked(tx, "a", 8).await?.expect("it is there");
        assert_eq!((approved.status.as_str(), approved.by), ("approved", Some(by)));
        assert_eq!(asked(tx, "b", 8).await?.expect("it is there").status, "denied");
        assert!(devices::end(tx, "a").await? && !devices::end(tx, "a").await?);
        assert_eq!(asked(tx, "a", 9).await?, None);
        Ok::<_, CatalogError>(())
    })
    .expect("devices");
}

async fn failures_are_counted_by_many_at_once(bench: &Bench) {
    let counts = (0..16).map(|n| async move {
        commit!(bench.catalog, tx => {
            let count = users::failures(tx, "x").await?.map_or(0, |(count, _)| count);
            users::set_failures(tx, "x", count + 1, at(n)).await
        })
    });
    for counted in futures_util::future::join_all(counts).await {
        counted.expect("it is counted");
    }
    commit!(bench.catalog, tx => {
        assert_eq!(users::failures(tx, "x").await?.map(|(count, _)| count), Some(16));
        assert_eq!(users::failures(tx, "y").await?, None);
        users::forget_failures(tx, at(100)).await?;
        assert_eq!(users::failures(tx, "x").await?, None);
        Ok::<_, CatalogError>(())
    })
    .expect("failures");
}

async fn apps_know_where_browsers_may_go(bench: &Bench) {
    commit!(bench.catalog, tx => {
        clients::insert(tx, "app", "App", None, at(1)).await?;
        assert!(!clients::find(tx, "app").await?.expect("it is there").public);
        clients::set_public(tx, "app").await?;
        for uri in ["https://b.example", "https://a.example", "https://b.example"] {
            clients::insert_redirect(tx, "app", uri).await?;
        }
        let app = clients::find(tx, "app").await?.expect("it is there");
        assert!(app.public);
        assert_eq!(app.redirects, ["https://a.example", "https://b.example"]);
        Ok::<_, CatalogError>(())
    })
    .expect("an app");
}

async fn what_expired_is_forgotten(bench: &Bench) {
    commit!(bench.catalog, tx => {
        sessions::insert(tx, &session("s")).await?;
        sessions::insert_code(tx, &code("c", "s")).await?;
        grants::insert(tx, &grant("g", None)).await?;
        devices::insert(tx, &device("d", "AAAA")).await?;
        sessions::forget(tx, at(1), at(1), at(61)).await?;
        grants::forget(tx, at(100)).await?;
        devices::forget(tx, at(100)).await?;
        assert!(sessions::find(tx, "cookie s").await?.is_some() && grants::find(tx, "g").await?.is_some());
        assert!(sessions::use_code(tx, "c", at(2)).await?.is_some());
        assert_eq!(devices::count(tx, at(0)).await?, 1);
        sessions::forget(tx, at(2), at(0), at(62)).await?;
        grants::forget(tx, at(101)).await?;
        devices::forget(tx, at(101)).await?;
        assert!(sessions::find(tx, "cookie s").await?.is_none() && grants::find(tx, "g").await?.is_none());
        assert!(sessions::used_for(tx, "c").await?.is_none());
        assert_eq!(devices::count(tx, at(0)).await?, 0);
        Ok::<_, CatalogError>(())
    })
    .expect("what expired");
}

async fn a_link_makes_the_first_user_and_counts_once(bench: &Bench) {
    commit!(bench.catalog, tx => {
        setup::offer(tx, "one", at(100)).await?;
        setup::offer(tx, "two", at(100)).await?;
        for (link, now, good) in [("one", 99, true), ("one", 100, false), ("three", 1, false)] {
            assert_eq!(setup::is_good(tx, link, at(now)).await?, good, "{link} {now}");
        }
        assert!(!setup::take(tx, "one", at(100)).await? && setup::take(tx, "one", at(99)).await?);
        assert!(!setup::take(tx, "one", at(99)).await? && setup::is_good(tx, "two", at(99)).await?);
        setup::forget(tx, at(100)).await?;
        assert!(setup::is_good(tx, "two", at(99)).await?);
        // Somebody was there, though gone again.
        assert!(!users::any(tx).await?);
        users::insert(tx, &person("1", "ada"), at(1)).await?;
        assert!(users::any(tx).await? && !setup::take(tx, "two", at(2)).await?);
        users::remove(tx, "1", at(3)).await?;
        assert!(!users::any(tx).await? && !setup::is_good(tx, "two", at(4)).await?);
        setup::forget(tx, at(101)).await?;
        Ok::<_, CatalogError>(())
    })
    .expect("links");
}

async fn sessions_of_others_users_come_and_go(bench: &Bench) {
    let session = |id: &str, expires: i64| ExternalSessionRow {
        id: id.into(),
        sha256: format!("cookie {id}"),
        issuer: "https://idp.example/".into(),
        user: "u-1".into(),
        display_name: "\u{dc}n\u{ef}code".into(),
        login: "ada@example.org".into(),
        tenant: (id == "a").then(|| "their-tenant".to_owned()),
        permissions: vec!["Library.Manage".into(), "Audit.Read".into()],
        created_at: at(1),
        seen_at: at(1),
        expires_at: at(expires),
    };
    commit!(bench.catalog, tx => {
        for (id, expires) in [("a", 50), ("b", 60), ("c", 70)] {
            external_sessions::insert(tx, &session(id, expires)).await?;
        }
        assert_eq!(external_sessions::find(tx, "cookie a").await?, Some(session("a", 50)));
        external_sessions::touch(tx, "b", at(9)).await?;
        external_sessions::touch(tx, "b", at(5)).await?;
        assert_eq!(external_sessions::find(tx, "cookie b").await?.expect("b").seen_at, at(9));
        external_sessions::end(tx, "c").await?;
        assert_eq!(external_sessions::find(tx, "cookie c").await?, None);
        external_sessions::forget(tx, at(1), at(50)).await?;
        assert!(external_sessions::find(tx, "cookie a").await?.is_some());
        external_sessions::forget(tx, at(1), at(51)).await?;
        assert!(external_sessions::find(tx, "cookie a").await?.is_none());
        external_sessions::forget(tx, at(10), at(51)).await?;
        assert!(external_sessions::find(tx, "cookie b").await?.is_none());
        Ok::<_, CatalogError>(())
    })
    .expect("sessions");
}
