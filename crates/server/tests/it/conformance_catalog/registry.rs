//! Rows of the tenant, clients, keys, calls and the audit log.

use jumpbag_server::catalog::audit::{self, Actor, Change};
use jumpbag_server::catalog::clients::{self, CertificateRow, ClientRow, SecretRow};
use jumpbag_server::catalog::keys::{self, KeyRow};
use jumpbag_server::catalog::{CatalogError, calls};
use jumpbag_server::limit::{Family, Quota};
use serde_json::json;

use super::{Bench, NULL, at, cells, int, text};

on_both!(
    the_tenant_is_made_once,
    clients_come_back_as_they_were,
    secrets_end_and_never_live_longer,
    what_a_client_is_changes,
    removed_clients_are_gone_and_their_ids_used_up,
    a_new_key_retires_the_old,
    every_change_has_its_row,
    calls_are_counted_and_forgotten,
    calls_at_once_are_counted_one_by_one,
);

async fn the_tenant_is_made_once(bench: &Bench) {
    let (id, fresh) = commit!(bench.catalog, tx => clients::tenant(tx, at(1)).await).expect("an answer");
    assert!(!fresh && uuid::Uuid::parse_str(&id).is_ok());
    assert_eq!(
        cells(&bench.catalog, "select id, created_at, change from tenant").await,
        [[text(&id), int(at(0).micros()), int(0)]]
    );
    commit!(bench.catalog, tx => tx.execute("delete from tenant", &[]).await).expect("no tenant");
    let (other, fresh) = commit!(bench.catalog, tx => clients::tenant(tx, at(1)).await).expect("an answer");
    assert!(fresh && other != id);
}

async fn clients_come_back_as_they_were(bench: &Bench) {
    commit!(bench.catalog, tx => {
        assert!(clients::insert(tx, "b", "Bé", None, at(1)).await?);
        assert!(clients::insert(tx, "a", "A", Some(at(100)), at(2)).await?);
        assert!(!clients::insert(tx, "a", "again", None, at(3)).await?);
        for permission in ["Library.Read", "Library.Manage", "Library.Read"] {
            clients::grant(tx, "b", permission).await?;
        }
        clients::insert_secret(tx, "b", "22", None, at(5)).await?;
        clients::insert_secret(tx, "b", "11", Some(at(50)), at(4)).await?;
        clients::insert_secret(tx, "b", "22", Some(at(60)), at(6)).await?;
        for _ in 0..2 {
            clients::insert_certificate(tx, "b", "33", "PEM", at(5)).await?;
        }
        Ok::<_, CatalogError>(())
    })
    .expect("two clients");
    let secret = |sha256: &str, made, expires| SecretRow {
        sha256: sha256.into(),
        created_at: at(made),
        expires_at: Some(at(expires)),
    };
    let b = ClientRow {
        id: "b".into(),
        name: "Bé".into(),
        created_at: at(1),
        expires_at: None,
        permissions: vec!["Library.Manage".into(), "Library.Read".into()],
        secrets: vec![secret("11", 4, 50), secret("22", 5, 60)],
        certificates: vec![CertificateRow { sha256: "33".into(), pem: "PEM".into(), created_at: at(5) }],
        public: false,
        redirects: Vec::new(),
    };
    let a = ClientRow {
        id: "a".into(),
        name: "A".into(),
        created_at: at(2),
        expires_at: Some(at(100)),
        permissions: vec![],
        secrets: vec![],
        certificates: vec![],
        public: false,
        redirects: Vec::new(),
    };
    for client in [&a, &b] {
        let id = client.id.clone();
        let found = look!(bench.catalog, tx => clients::find(tx, &id).await).expect("an answer");
        assert_eq!(found.as_ref(), Some(client));
    }
    assert_eq!(look!(bench.catalog, tx => clients::find(tx, "c").await).expect("an answer"), None);
    let behind = (at(1), "b");
    let page = look!(bench.catalog, tx => clients::page(tx, behind, 9).await).expect("an answer");
    assert_eq!(page, std::slice::from_ref(&a));
    let first = (at(0), "");
    let page = look!(bench.catalog, tx => clients::page(tx, first, 1).await).expect("an answer");
    assert_eq!(page, std::slice::from_ref(&b));
    assert_eq!(look!(bench.catalog, tx => clients::all(tx).await).expect("an answer"), [b, a]);
    let outcome = commit!(bench.catalog, tx => clients::grant(tx, "nobody", "Library.Read").await);
    assert!(matches!(outcome, Err(CatalogError::Constraint(_))), "{outcome:?}");
}

async fn secrets_end_and_never_live_longer(bench: &Bench) {
    commit!(bench.catalog, tx => {
        for id in ["a", "b"] {
            clients::insert(tx, id, id, None, at(0)).await?;
            clients::insert_secret(tx, id, "forever", None, at(1)).await?;
            clients::insert_secret(tx, id, "long", Some(at(100)), at(2)).await?;
            clients::insert_secret(tx, id, "short", Some(at(10)), at(3)).await?;
        }
        clients::end_secrets(tx, "a", at(50)).await
    })
    .expect("secrets");
    for (id, ends) in [("a", [Some(50), Some(50), Some(10)]), ("b", [None, Some(100), Some(10)])] {
        let client = look!(bench.catalog, tx => clients::find(tx, id).await).expect("an answer").expect("it");
        let found: Vec<_> = client.secrets.iter().map(|secret| secret.expires_at).collect();
        assert_eq!(found, ends.map(|end| end.map(at)), "{id}");
    }
    commit!(bench.catalog, tx => {
        assert!(clients::remove_secret(tx, "b", "long").await?);
        assert!(!clients::remove_secret(tx, "b", "long").await?);
        clients::forget_secrets(tx, "a", at(10)).await
    })
    .expect("secrets that go");
    for (id, left) in [("a", ["forever", "long"]), ("b", ["forever", "short"])] {
        let client = look!(bench.catalog, tx => clients::find(tx, id).await).expect("an answer").expect("it");
        let found: Vec<_> = client.secrets.iter().map(|secret| secret.sha256.as_str()).collect();
        assert_eq!(found, left, "{id}");
    }
}

async fn what_a_client_is_changes(bench: &Bench) {
    commit!(bench.catalog, tx => {
        for id in ["a", "b"] {
            clients::insert(tx, id, id, Some(at(9)), at(0)).await?;
            clients::grant(tx, id, "Library.Read").await?;
            clients::insert_redirect(tx, id, "https://app.example/").await?;
        }
        clients::rename(tx, "a", "Another", None).await?;
        clients::revoke_all(tx, "a").await?;
        clients::remove_redirects(tx, "a").await?;
        let (a, b) = (clients::find(tx, "a").await?.expect("a"), clients::find(tx, "b").await?.expect("b"));
        assert_eq!((a.name.as_str(), a.expires_at, a.permissions.len(), a.redirects.len()), ("Another", None, 0, 0));
        assert_eq!((b.name.as_str(), b.expires_at, b.permissions.len(), b.redirects.len()), ("b", Some(at(9)), 1, 1));
        Ok::<_, CatalogError>(())
    })
    .expect("a change");
}

async fn removed_clients_are_gone_and_their_ids_used_up(bench: &Bench) {
    commit!(bench.catalog, tx => {
        clients::insert(tx, "a", "A", None, at(1)).await?;
        assert!(!clients::remove(tx, "b", at(2)).await?);
        assert!(clients::remove(tx, "a", at(2)).await?);
        assert!(!clients::remove(tx, "a", at(3)).await?);
        assert!(!clients::insert(tx, "a", "another", None, at(4)).await?);
        assert_eq!(clients::find(tx, "a").await?, None);
        assert_eq!(clients::all(tx).await?, []);
        Ok::<_, CatalogError>(())
    })
    .expect("a removed client");
    assert_eq!(
        cells(&bench.catalog, "select name, removed_at from clients").await,
        [[text("A"), int(at(2).micros())]]
    );
}

async fn a_new_key_retires_the_old(bench: &Bench) {
    let key = |kid: &str, created| KeyRow {
        kid: kid.into(),
        private_key: format!("PEM of {kid}"),
        created_at: at(created),
        retired_at: None,
    };
    for (kid, created) in [("x", 1), ("y", 2), ("z", 3)] {
        let key = key(kid, created);
        commit!(bench.catalog, tx => keys::insert(tx, &key).await).expect("a key");
    }
    let all = async || {
        let rows = look!(bench.catalog, tx => keys::all(tx).await).expect("an answer");
        let rows = rows.into_iter();
        rows.map(|key| (key.kid, key.private_key, key.created_at, key.retired_at)).collect::<Vec<_>>()
    };
    let row = |kid: &str, created, retired: Option<i64>| {
        (kid.to_owned(), format!("PEM of {kid}"), at(created), retired.map(at))
    };
    assert_eq!(all().await, [row("z", 3, None), row("y", 2, Some(3)), row("x", 1, Some(2))]);
    let forgotten = commit!(bench.catalog, tx => keys::forget(tx, at(3)).await).expect("an answer");
    assert_eq!(forgotten, 1);
    assert_eq!(all().await, [row("z", 3, None), row("y", 2, Some(3))]);
    let again = key("z", 9);
    let outcome = commit!(bench.catalog, tx => keys::insert(tx, &again).await);
    assert!(matches!(outcome, Err(CatalogError::Constraint(_))), "{outcome:?}");
    assert_eq!(all().await[0], row("z", 3, None), "a refused key retires none");
}

async fn every_change_has_its_row(bench: &Bench) {
    let actor = Actor {
        name: "Sömebody".into(),
        id: "client:1".into(),
        address: Some("127.0.0.1".into()),
        request_id: "r1".into(),
    };
    commit!(bench.catalog, tx => {
        let turn = audit::turn(tx).await?;
        let change = Change {
            action: "library.override",
            target: "a.ps1",
            before: Some(json!({ "b": 1, "a": "é" })),
            after: Some(json!([null])),
        };
        audit::append(tx, at(1), &actor, turn, change).await?;
        let turn = audit::turn(tx).await?;
        let change = Change { action: "key.rotate", target: "k", before: None, after: None };
        audit::append(tx, at(2), &Actor::operator("keys rotate"), turn, change).await
    })
    .expect("two rows");
    let columns = "at, actor, actor_id, address, action, target, before, after";
    let rows = cells(&bench.catalog, &format!("select {columns} from audit order by number")).await;
    let before = json!({ "b": 1, "a": "é" }).to_string();
    let expected = [
        [
            int(at(1).micros()),
            text("Sömebody"),
            text("client:1"),
            text("127.0.0.1"),
            text("library.override"),
            text("a.ps1"),
            text(&before),
            text("[null]"),
        ],
        [
            int(at(2).micros()),
            text("operator"),
            text("command:keys rotate"),
            NULL,
            text("key.rotate"),
            text("k"),
            NULL,
            NULL,
        ],
    ];
    assert_eq!(rows, expected);
    let ids = cells(&bench.catalog, "select distinct request_id from audit").await;
    assert_eq!(ids.len(), 2);
}

const QUOTAS: [Quota; 2] =
    [Quota { name: "minute", calls: 3, seconds: 60 }, Quota { name: "hour", calls: 5, seconds: 3600 }];

async fn calls_are_counted_and_forgotten(bench: &Bench) {
    let call = |caller: &'static str, millis: i64| {
        let catalog = bench.catalog.clone();
        async move {
            commit!(catalog, tx => calls::admit(tx, caller, Family::Library, &QUOTAS, millis).await)
                .expect("an answer")
        }
    };
    for (millis, remaining) in [(100_000, [2, 4]), (100_000, [1, 3]), (101_500, [0, 2])] {
        let verdict = call("a", millis).await;
        let standings: Vec<_> = verdict.standings.iter().map(|standing| standing.remaining).collect();
        assert_eq!((standings.as_slice(), verdict.retry_after), (remaining.as_slice(), None));
    }
    for _ in 0..3 {
        assert_eq!(
            call("a", 109_500).await.retry_after,
            Some(51),
            "the first leaves the window at 160, which is 50.5 seconds away"
        );
    }
    assert_eq!(call("b", 110_000).await.retry_after, None, "callers count for themselves");
    // Refused calls did not count.
    assert_eq!(call("a", 160_000).await.retry_after, None);
    let rows = "select caller, at, calls from calls order by caller, at";
    let row = |caller, at, calls| vec![text(caller), int(at), int(calls)];
    assert_eq!(
        cells(&bench.catalog, rows).await,
        [row("a", 100_000, 2), row("a", 101_500, 1), row("a", 160_000, 1), row("b", 110_000, 1)]
    );
    let forgotten = commit!(bench.catalog, tx => calls::forget(tx, 109_999).await).expect("an answer");
    assert_eq!(forgotten, 2);
    assert_eq!(cells(&bench.catalog, rows).await, [row("a", 160_000, 1), row("b", 110_000, 1)]);
}

async fn calls_at_once_are_counted_one_by_one(bench: &Bench) {
    let quota = [Quota { name: "minute", calls: 10, seconds: 60 }];
    let calls = (0..64).map(|task| async move {
        let caller = ["a", "b"][task % 2];
        let verdict =
            commit!(bench.catalog, tx => calls::admit(tx, caller, Family::Library, &quota, 1000).await);
        (caller, verdict.expect("an answer").retry_after.is_none())
    });
    let outcomes = futures_util::future::join_all(calls).await;
    for caller in ["a", "b"] {
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == (caller, true)).count(), 10);
    }
}
