//! Machines and what they enrol with.

use jumpbag_server::catalog::audit::{self, Actor, Change};
use jumpbag_server::catalog::machines::{self, Enrollment, MachineRow, Page};
use jumpbag_server::catalog::{CatalogError, Tx};
use jumpbag_wire::machine::{Facts, IpAddress};

use super::{Bench, at};

on_both!(
    an_enrolment_counts_so_often_and_so_long,
    a_machine_is_its_key,
    a_revoked_machine_is_gone,
    a_lineage_moves_on_from_where_it_is,
    tags_are_as_they_were_set,
    pages_are_in_order,
);

pub fn enrollment(id: &str, uses: i64) -> Enrollment {
    Enrollment {
        id: id.into(),
        tags: vec!["dmz".into(), "ünï".into()],
        uses,
        expires_at: at(100),
        created_at: at(1),
        created_by: "operator".into(),
    }
}

pub fn machine(id: &str, name: &str) -> MachineRow {
    let address = IpAddress {
        ip_address: "10.0.0.1".into(),
        mac_address: None,
        kind: "Ethernet".into(),
        operational_status: "Up".into(),
    };
    MachineRow {
        id: id.into(),
        public_key: format!("key of {id}"),
        facts: Facts {
            computer_dns_name: name.into(),
            os_platform: "Linux".into(),
            version: Some("12".into()),
            os_build: Some(7),
            ip_addresses: vec![address],
            ..Facts::default()
        },
        tags: vec!["é".into()],
        address: Some("192.0.2.1".into()),
        first_seen: at(2),
        last_seen: at(3),
        lineage: None,
    }
}

/// An enrolment and, of it, machines of these ids and names.
pub async fn enter(tx: &mut Tx, rows: &[(&str, &str)]) -> Result<(), CatalogError> {
    machines::insert_enrollment(tx, &enrollment("e", 7), "11").await?;
    for (id, name) in rows {
        assert!(machines::insert(tx, &machine(id, name), "e").await?);
    }
    Ok(())
}

async fn an_enrolment_counts_so_often_and_so_long(bench: &Bench) {
    let found = commit!(bench.catalog, tx => {
        machines::insert_enrollment(tx, &enrollment("a", 2), "11").await?;
        machines::insert_enrollment(tx, &enrollment("b", 9), "22").await?;
        assert_eq!(machines::use_enrollment(tx, "33", at(5)).await?, None, "nobody made it");
        assert_eq!(machines::use_enrollment(tx, "11", at(100)).await?, None, "it has expired");
        assert_eq!(machines::use_enrollment(tx, "11", at(99)).await?, Some(enrollment("a", 1)));
        assert_eq!(machines::use_enrollment(tx, "11", at(5)).await?, Some(enrollment("a", 0)));
        assert_eq!(machines::use_enrollment(tx, "11", at(5)).await?, None, "it is used up");
        assert!(machines::revoke_enrollment(tx, "b", at(6)).await?);
        assert!(!machines::revoke_enrollment(tx, "b", at(7)).await?, "it is revoked already");
        assert!(!machines::revoke_enrollment(tx, "c", at(7)).await?, "there is none");
        assert_eq!(machines::use_enrollment(tx, "22", at(7)).await?, None, "it is revoked");
        machines::enrollments(tx).await
    });
    assert_eq!(found.expect("a list"), [enrollment("a", 0)]);
}

async fn a_machine_is_its_key(bench: &Bench) {
    commit!(bench.catalog, tx => {
        enter(tx, &[("a", "web")]).await?;
        let found = machines::find(tx, "a").await?;
        assert_eq!(found, Some(machine("a", "web")));
        let same_id = MachineRow { public_key: "another".into(), ..machine("a", "x") };
        assert!(!machines::insert(tx, &same_id, "e").await?, "the id is taken");
        let same_key = MachineRow { id: "b".into(), ..machine("a", "x") };
        assert!(!machines::insert(tx, &same_key, "e").await?, "the key is taken");
        assert_eq!(machines::find(tx, "a").await?, found, "nothing of it was changed");
        assert!(machines::seen(tx, "a", None, None, at(8)).await?);
        let seen = MachineRow { last_seen: at(8), ..machine("a", "web") };
        assert_eq!(machines::find(tx, "a").await?, Some(seen));
        let moved = machine("a", "moved").facts;
        assert!(machines::seen(tx, "a", Some(&moved), Some("192.0.2.9"), at(9)).await?);
        let seen = machines::named(tx, "moved").await?.expect("its new name");
        assert_eq!((seen.last_seen, seen.address.as_deref()), (at(9), Some("192.0.2.9")));
        assert_eq!(seen.facts, moved);
        assert_eq!(machines::named(tx, "web").await?, None);
        Ok::<_, CatalogError>(())
    })
    .expect("machines");
    let orphan = commit!(bench.catalog, tx => machines::insert(tx, &machine("z", "z"), "nothing").await);
    assert!(matches!(orphan, Err(CatalogError::Constraint(_))), "{orphan:?}");
}

async fn a_revoked_machine_is_gone(bench: &Bench) {
    commit!(bench.catalog, tx => {
        enter(tx, &[("a", "web"), ("b", "web")]).await?;
        machines::seen(tx, "a", None, None, at(9)).await?;
        let named = machines::named(tx, "web").await?;
        assert_eq!(named.map(|row| row.id).as_deref(), Some("a"), "the one that was seen last");
        assert!(machines::revoke(tx, "a", at(10)).await?);
        assert!(!machines::revoke(tx, "a", at(10)).await?, "once");
        assert!(!machines::revoke(tx, "c", at(10)).await?, "there is none");
        assert_eq!(machines::find(tx, "a").await?, None);
        for id in ["a", "c"] {
            assert!(!machines::seen(tx, id, Some(&machine("a", "x").facts), None, at(11)).await?, "{id}");
        }
        let named = machines::named(tx, "web").await?;
        assert_eq!(named.map(|row| row.id).as_deref(), Some("b"));
        assert_eq!(machines::count(tx, &Page::default()).await?, 1);
        let turn = audit::turn(tx).await?;
        let change = turn.number;
        let revoked = Change { action: "machine.revoke", target: "a", before: None, after: None };
        audit::append(tx, at(10), &Actor::operator("test"), turn, revoked).await?;
        assert_eq!(machines::revoked_after(tx, change - 1).await?, ["a"]);
        assert!(machines::revoked_after(tx, change).await?.is_empty());
        // Its key does not come in again.
        assert!(!machines::insert(tx, &machine("a", "web"), "e").await?);
        Ok::<_, CatalogError>(())
    })
    .expect("machines");
}

async fn a_lineage_moves_on_from_where_it_is(bench: &Bench) {
    commit!(bench.catalog, tx => {
        enter(tx, &[("a", "web"), ("b", "db"), ("c", "gone")]).await?;
        assert!(machines::revoke(tx, "c", at(4)).await?);
        assert!(!machines::move_lineage(tx, "a", Some("x"), "1").await?, "it has none yet");
        assert!(machines::move_lineage(tx, "a", None, "1").await?);
        assert!(!machines::move_lineage(tx, "a", None, "2").await?, "it has one by now");
        assert!(machines::move_lineage(tx, "a", Some("1"), "2").await?);
        assert!(!machines::move_lineage(tx, "a", Some("1"), "3").await?, "it went on");
        let lineage = |row: Option<MachineRow>| row.and_then(|row| row.lineage);
        assert_eq!(lineage(machines::find(tx, "a").await?).as_deref(), Some("2"));
        assert_eq!(lineage(machines::find(tx, "b").await?), None, "each has its own");
        assert!(!machines::move_lineage(tx, "c", None, "1").await?, "it was revoked");
        assert_eq!(machines::forget_lineage(tx, Some("b")).await?, 1);
        assert_eq!(machines::forget_lineage(tx, Some("c")).await?, 0);
        assert_eq!(lineage(machines::find(tx, "a").await?).as_deref(), Some("2"));
        assert_eq!(machines::forget_lineage(tx, None).await?, 2);
        assert_eq!(lineage(machines::find(tx, "a").await?), None);
        Ok::<_, CatalogError>(())
    })
    .expect("machines");
}

async fn tags_are_as_they_were_set(bench: &Bench) {
    let tagged = |tag: &str| Page {
        filter: Some((format!("exists ({} and l.value = $1)", machines::TAGS), vec![tag.into()])),
        limit: 9,
        ..Page::default()
    };
    let (one, two) = (tagged("x"), tagged("é"));
    commit!(bench.catalog, tx => {
        enter(tx, &[("a", "web"), ("b", "db")]).await?;
        machines::set_tags(tx, "a", &["y".into(), "x".into()]).await?;
        assert_eq!(machines::find(tx, "a").await?.expect("it is there").tags, ["y", "x"]);
        let ids = |rows: Vec<MachineRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!(ids(machines::list(tx, &one).await?), ["a"]);
        assert_eq!(ids(machines::list(tx, &two).await?), ["b"], "what it had is gone");
        assert_eq!(machines::count(tx, &two).await?, 1);
        machines::set_tags(tx, "a", &[]).await?;
        assert_eq!(machines::count(tx, &one).await?, 0);
        Ok::<_, CatalogError>(())
    })
    .expect("machines");
}

async fn pages_are_in_order(bench: &Bench) {
    let pages = [
        (Page { limit: 2, ..Page::default() }, ["c", "a"].as_slice()),
        (Page { limit: 2, offset: 2, ..Page::default() }, &["b"]),
        (Page { limit: 9, order: "m.id desc".into(), ..Page::default() }, &["c", "b", "a"]),
        (
            Page { limit: 9, filter: Some(("m.name > $1".into(), vec!["alpha".into()])), ..Page::default() },
            &["a", "b"],
        ),
    ];
    commit!(bench.catalog, tx => {
        enter(tx, &[("a", "beta"), ("b", "beta"), ("c", "alpha")]).await?;
        for (page, ids) in &pages {
            let found: Vec<_> = machines::list(tx, page).await?.into_iter().map(|row| row.id).collect();
            assert_eq!(found, *ids, "{page:?}");
        }
        assert_eq!(machines::count(tx, &pages[1].0).await?, 3, "however long the page");
        assert_eq!(machines::count(tx, &pages[3].0).await?, 2);
        Ok::<_, CatalogError>(())
    })
    .expect("machines");
}
