//! `/api/audit`: filters, pages and exports.

use jumpbag_server::catalog::audit::{self, Actor, Change};
use jumpbag_server::catalog::{Catalog, CatalogError, clients};
use jumpbag_wire::time::Timestamp;
use serde_json::Value;

use super::{entries, said, verified};
use crate::support::client::{Client, plain_http};
use crate::support::install_crypto;
use crate::support::poll::eventually;
use crate::support::postgres::postgres_database;
use crate::support::server::{Jumpbag, Options};

/// A server whose log begins with this many entries.
async fn with_entries(count: i64, options: Options, postgres: Option<&str>) -> (Jumpbag, tempfile::TempDir) {
    with_entries_of(count, 10, options, postgres).await
}

/// The same, with so many bytes in each.
async fn with_entries_of(
    count: i64,
    size: usize,
    options: Options,
    postgres: Option<&str>,
) -> (Jumpbag, tempfile::TempDir) {
    install_crypto();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("a data folder");
    let catalog = match postgres {
        Some(url) => Catalog::open_postgres(url, 2).await,
        None => Catalog::open_sqlite(&data.join("catalog.db")).await,
    };
    let filled: Result<(), CatalogError> = catalog
        .expect("an empty database")
        .write(move |tx| {
            Box::pin(async move {
                clients::tenant(tx, Timestamp::from_secs(0)).await?;
                for number in 0..count {
                    let turn = audit::turn(tx).await?;
                    let target = format!("{number}.ps1");
                    let after = serde_json::json!({ "description": "x".repeat(size) });
                    let change = Change {
                        action: "library.upload",
                        target: &target,
                        before: None,
                        after: Some(after),
                    };
                    let actor = Actor { name: format!("Ann {}", number % 10), ..Actor::operator("test") };
                    audit::append(tx, Timestamp::from_secs(number), &actor, turn, change).await?;
                }
                Ok(())
            })
        })
        .await;
    filled.expect("entries");
    let options = options.data_dir(&data).set("rate_limits", false);
    let options = postgres.map_or(options.clone(), |url| options.set("database_url", url));
    (options.start().await, folder)
}

async fn page(client: &Client, path: &str) -> Value {
    client.get(path).await.expect_status(200).json()
}

fn numbers(page: &Value) -> Vec<i64> {
    let entries = page["value"].as_array().expect("a collection").iter();
    entries.map(|entry| entry["number"].as_i64().expect("a number")).collect()
}

#[tokio::test]
async fn entries_can_be_filtered_ordered_and_chosen() {
    let (bag, _folder) = with_entries(30, Jumpbag::options(), None).await;
    let client = bag.caller(&["Audit.Read"]).await;
    let all = page(&client, "/api/audit").await;
    assert_eq!(numbers(&all)[..30], (1..=30).collect::<Vec<_>>());
    assert!(all["@odata.context"].as_str().expect("a context").ends_with("/api/$metadata#AuditEntries"));
    for (query, wanted) in [
        ("$filter=number le 3", vec![1, 2, 3]),
        ("$filter=actor eq 'Ann 7'&$top=2", vec![8, 18]),
        ("$filter=actor eq 'Ann 7'&$orderby=number desc", vec![28, 18, 8]),
        ("$filter=time lt 1970-01-01T00:00:02Z", vec![1, 2]),
        ("$filter=startswith(target,'2') and number lt 22", vec![3, 21]),
        ("$filter=actorId eq 'command:test' and address eq null&$skip=27", vec![28, 29, 30]),
        ("$orderby=number desc&$filter=action eq 'library.upload'&$top=2&$skip=1", vec![29, 28]),
        ("$top=0", vec![]),
    ] {
        assert_eq!(numbers(&page(&client, &format!("/api/audit?{query}")).await), wanted, "{query}");
    }
    let counted = page(&client, "/api/audit?$count=true&$top=1&$filter=number gt 10 and number le 30").await;
    assert_eq!((&counted["@odata.count"], numbers(&counted)), (&20.into(), vec![11]));
    let chosen = page(&client, "/API/Audit/?$select=action,number&$top=1").await;
    assert_eq!(chosen["value"][0], serde_json::json!({ "number": 1, "action": "library.upload" }));
    for (query, told) in [
        ("$orderby=time", "ordered by `number` alone"),
        ("$orderby=number,time", "ordered by `number` alone"),
        ("$filter=before eq null", "`before` can be selected, but neither filtered nor ordered by"),
        ("$top=1001", "from 0 to 1000"),
        ("$skiptoken=x", "`$skiptoken` is not one"),
        ("$search=x", "$search"),
        ("$format=ndjson&$filter=number eq 1", "an export takes no query options"),
        ("$format=ndjson&after=-1", "`after` must be"),
        ("$format=ndjson&after=x", "`after` must be"),
        ("$format=xml", "`$format` must be"),
    ] {
        let refused = client.get(&format!("/api/audit?{query}")).await.expect_status(400);
        assert!(refused.error_message().contains(told), "{query}: {}", refused.error_message());
    }
}

#[tokio::test]
async fn the_log_takes_its_own_permission() {
    let bag = Jumpbag::start().await;
    for path in ["/api/audit", "/api/audit/key", "/api/audit/checkpoint", "/api/audit?$format=ndjson"] {
        bag.anonymous().get(path).await.expect_status(401);
        let refused =
            bag.caller(&["Library.Manage", "Library.Read"]).await.get(path).await.expect_status(403);
        assert!(refused.error_message().contains("API required roles: Audit.Read"), "{path}");
    }
    let reader = bag.caller(&["Audit.Read"]).await;
    reader.get("/api/audit").await.expect_status(200);
    reader.get("/api/libraryfiles").await.expect_status(403);
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip_while_entries_come_in_on_sqlite() {
    pages(with_entries(2500, Jumpbag::options(), None).await.0).await;
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip_while_entries_come_in_on_postgres() {
    let database = postgres_database().await;
    pages(with_entries(2500, Jumpbag::options(), Some(&database.url)).await.0).await;
}

async fn pages(bag: Jumpbag) {
    let client = bag.caller(&["Audit.Read"]).await;
    for (order, wanted) in
        [("", (6..=2500).collect::<Vec<_>>()), ("&$orderby=number%20desc", (1..=2495).rev().collect())]
    {
        let mut path = format!("/api/audit?$filter=number%20le%202500&$skip=5{order}");
        let (mut found, mut rounds) = (Vec::new(), 0);
        loop {
            let page = page(&client, &path).await;
            found.extend(numbers(&page));
            bag.upload("a.ps1", format!("{order} {rounds}")).override_if_exists().await.expect_status(200);
            rounds += 1;
            let Some(next) = page["@odata.nextLink"].as_str() else { break };
            path = next.strip_prefix(&bag.url()).expect("an address of the server").to_owned();
        }
        assert_eq!(rounds, 3);
        assert!(found == wanted, "{order}: {} entries", found.len());
    }
    // Without a filter the last page has what came in meanwhile.
    let mut path = "/api/audit".to_owned();
    let mut found = Vec::new();
    loop {
        let page = page(&client, &path).await;
        found.extend(numbers(&page));
        let Some(next) = page["@odata.nextLink"].as_str() else { break };
        path = next.strip_prefix(&bag.url()).expect("an address of the server").to_owned();
    }
    assert!(found.len() > 2506 && found == (1..=found.len() as i64).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_export_made_under_load_is_the_log_of_one_moment() {
    let (bag, _folder) =
        with_entries(2500, Jumpbag::options().set("audit_checkpoint_seconds", 1), None).await;
    let reader = bag.caller(&["Audit.Read"]).await;
    let writer = bag.client().await;
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let busy = tokio::spawn(async move {
        let mut round = 0;
        while !*stopped.borrow_and_update() {
            round += 1;
            let upload = writer.upload("a.ps1", format!("round {round}")).override_if_exists();
            upload.await.expect_status(200);
        }
        round
    });
    let key = reader.get("/api/audit/key").await.expect_status(200);
    assert_eq!(key.header("content-type"), Some("text/plain; charset=utf-8"));
    let key = key.text();
    assert_eq!(key.trim_end(), said(&bag, &["key"]).await);
    for path in ["/api/audit", "/api/audit?$format=application/x-ndjson", "/api/audit?after=0&$format=NDJSON"]
    {
        let call = reader
            .get(path)
            .with(|request| request.header("accept", "text/html, application/x-ndjson;q=0.9"));
        let export = call.await.expect_status(200);
        assert_eq!(export.header("content-type"), Some("application/x-ndjson"));
        let found = verified(&export.text(), key.trim());
        assert!(found.entries > 2500, "{found:?}");
    }
    stop.send(true).expect("the writer listens");
    assert!(busy.await.expect("it wrote on") > 3);

    // Piece by piece it is the same.
    let whole = reader.get("/api/audit?$format=ndjson").await.expect_status(200).text();
    let first = reader.get("/api/audit?$format=json&$top=1").await.expect_status(200).json();
    assert_eq!(first["value"][0], serde_json::to_value(&entries(&whole)[0]).expect("JSON"));
    let last = entries(&whole).last().expect("entries").number;
    bag.upload("b.ps1", "b").await.expect_status(200);
    let rest = reader.get(&format!("/api/audit?$format=ndjson&after={last}")).await.expect_status(200).text();
    let found = verified(&(whole + &rest), key.trim());
    assert_eq!(found.last, last + 1);
    let none =
        reader.get(&format!("/api/audit?$format=ndjson&after={}", last + 100)).await.expect_status(200);
    assert_eq!(none.text(), "");
}

/// Exports that nobody reads hold their places; the others are told to come back.
#[tokio::test]
async fn a_few_exports_at_a_time() {
    let (bag, _folder) = with_entries_of(5000, 8192, Jumpbag::options(), None).await;
    let token = bag.token(&["Audit.Read"]).await;
    let export = async || {
        let request = plain_http().get(format!("{}/api/audit?$format=ndjson", bag.url()));
        request.bearer_auth(&token).send().await.expect("an answer")
    };
    let mut unread = Vec::new();
    for _ in 0..4 {
        unread.push(export().await);
    }
    assert!(unread.iter().all(|answer| answer.status() == 200));
    let refused = export().await;
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (503, true));
    bag.caller(&["Audit.Read"]).await.get("/api/audit?$top=1").await.expect_status(200);
    drop(unread);
    let whole = eventually("a place is free", async || {
        let answer = export().await;
        (answer.status() == 200).then_some(answer)
    });
    let whole = whole.await.text().await.expect("the whole log");
    let key = said(&bag, &["key"]).await;
    assert!(verified(&whole, key.trim()).entries >= 5000);
}
