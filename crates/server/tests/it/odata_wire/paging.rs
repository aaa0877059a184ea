//! Pages of a library above 10,000 files: whatever happens between them, none is skipped and none comes twice.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use jumpbag_server::app::Stores;
use jumpbag_server::catalog::audit::Actor;
use jumpbag_server::config::{Flags, Layers};
use jumpbag_server::library::expect::Expect;
use jumpbag_server::library::{Override, Upload};
use jumpbag_wire::patch::FilePatch;
use jumpbag_wire::time::Timestamp;
use serde_json::Value;

use crate::support::client::{Answer, Client};
use crate::support::postgres::postgres_database;
use crate::support::server::Jumpbag;

/// Files before anything changes: three pages, the last of which is short.
const FILES: usize = 20_050;

fn name(n: usize) -> String {
    format!("File-{n:05}.ps1")
}

/// A library of [`FILES`] files in this folder, made without a server.
async fn fill(data_dir: &Path) {
    let flag = ("--data-dir", "data_dir", data_dir.display().to_string());
    let flags = Flags { config: None, settings: vec![(flag.0.into(), flag.1.into(), flag.2)] };
    let settings = Layers::gather(&flags, std::iter::empty()).settings().expect("the defaults");
    let stores = Stores::open(&settings).await.expect("a new database");
    jumpbag_server::access::clients::tenant(&stores.catalog, Timestamp::now()).await.expect("a tenant");
    let library = stores.library(&settings);
    let upload = async |n: usize| {
        let mut stage = library.stage();
        stage.write(Bytes::from(format!("{}", n % 7))).await?;
        let upload = Upload {
            name: library.name(&name(n))?,
            content: stage.finish().await?,
            metadata: FilePatch {
                description: n.is_multiple_of(3).then(|| format!("description {}", n % 10)).into(),
                ..FilePatch::default()
            },
            replace: Override::No,
            expect: Expect::Anything,
            retry: None,
        };
        library.upload(upload, Actor::operator("a test"), Timestamp::now()).await
    };
    for start in (0..FILES).step_by(500) {
        let batch = (start..FILES.min(start + 500)).map(&upload);
        for uploaded in futures_util::future::join_all(batch).await {
            uploaded.expect("an upload");
        }
    }
}

fn names(page: &Value) -> Vec<String> {
    let files = page["value"].as_array().expect("a collection").iter();
    files.map(|file| file["fileName"].as_str().expect("a name").to_string()).collect()
}

/// The path and query of the next page, which is at the address the client called.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.json()["@odata.nextLink"].as_str()?.to_string();
    let path = link.strip_prefix(&answer.base).unwrap_or_else(|| panic!("`{link}` is not absolute"));
    Some(path.to_string())
}

/// Adds, overrides and deletes before, at and behind where a reader is; deleted names come again, too.
async fn disturb(client: &Client, round: usize) {
    let base = 9_990 + round;
    for (added, replaced, deleted) in [
        (format!("Added-{round}.ps1"), name(round), name(100 + round)),
        (format!("File-{base:05}-added.ps1"), name(base), name(base + 20)),
        (format!("Zadded-{round}.ps1"), name(FILES - 1 - round), name(FILES - 30 - round)),
    ] {
        client.upload(&added, "added").await.expect_status(200);
        let upload = client.upload(&replaced, format!("replaced {round}")).override_if_exists();
        upload.description("replaced").await.expect_status(200);
        client.delete(&format!("/api/libraryfiles/{deleted}")).await.expect_status(204);
    }
    let again = name(100 + round);
    client.upload(&again, "again").await.expect_status(200);
}

/// Reads all pages and changes the library before each next one.
async fn read(client: &Client, query: &str, mut round: usize) -> Vec<Value> {
    let mut files = Vec::new();
    let mut sizes = Vec::new();
    let mut path = Some(format!("/api/libraryfiles{query}"));
    while let Some(page) = path {
        let answer = client.get(&page).await.expect_status(200);
        let value = answer.json()["value"].as_array().expect("a collection").clone();
        sizes.push(value.len());
        files.extend(value);
        path = next(&answer);
        disturb(client, round).await;
        round += 1;
    }
    assert!(sizes.len() == 3 && sizes[..2] == [10_000, 10_000], "{sizes:?}");
    files
}

async fn pages_are_of_one_moment(bag: &Jumpbag) {
    let client = bag.client().await;
    let whole = client.get("/api/libraryfiles?$count=true&$top=0").await.expect_status(200).json();
    assert_eq!(whole["@odata.count"], FILES);
    let by = |file: &Value, property: &str| file[property].as_str().unwrap_or_default().to_string();
    for (n, query) in [
        "",
        "?$orderby=description%20desc",
        "?$orderby=size,lastUpdatedTime%20desc&$filter=size%20gt%200&$count=true",
    ]
    .into_iter()
    .enumerate()
    {
        // What the pages have to hold is asked for at once, in parts that end before they are a page.
        let mut before = BTreeSet::new();
        for start in (0..).step_by(9_000) {
            let part = client.get(&format!("/api/libraryfiles?$top=9000&$skip={start}")).await;
            let part = part.expect_status(200).json();
            let files = part["value"].as_array().expect("a collection");
            before.extend(files.iter().map(Value::to_string));
            if files.len() < 9_000 {
                break;
            }
        }
        let files = read(&client, query, 3 * n).await;
        let read: BTreeSet<String> = files.iter().map(Value::to_string).collect();
        assert_eq!(read.len(), files.len(), "{query}: a file comes twice");
        assert!(read == before, "{query}: {:?}", read.symmetric_difference(&before).collect::<Vec<_>>());
        let ordered = match n {
            0 => files.is_sorted_by_key(|file| by(file, "fileName").to_lowercase()),
            1 => files.is_sorted_by_key(|file| std::cmp::Reverse(by(file, "description"))),
            _ => files.is_sorted_by_key(|file| file["size"].as_u64()),
        };
        assert!(ordered, "{query}: not in order over its pages");
    }
}

async fn links_say_what_was_asked_and_bad_ones_are_refused(bag: &Jumpbag) {
    let client = bag.client().await;
    let first = client.get("/api/LibraryFiles?$filter=size ge 1&$skip=5&$select=fileName&$count=true").await;
    let link = next(&first.expect_status(200)).expect("a next page");
    assert!(link.starts_with("/api/libraryfiles?"), "{link}");
    for kept in ["$filter=size%20ge%201", "$select=fileName", "$count=true", "$skiptoken="] {
        assert!(link.contains(kept), "{link}");
    }
    assert!(!link.contains("$skip="), "{link}");
    let second = client.get(&link).await.expect_status(200);
    assert_eq!(names(&second.json()).len(), 10_000);
    assert_eq!(second.json()["value"][0].as_object().map(serde_json::Map::len), Some(1));
    // A client that says `$top` turns the pages itself.
    let own = client.get("/api/libraryfiles?$top=10000").await.expect_status(200);
    assert_eq!((names(&own.json()).len(), next(&own)), (10_000, None));
    let token = link.rsplit_once("$skiptoken=").expect("a token").1;
    let change: i64 = token.split_once('.').and_then(|(change, _)| change.parse().ok()).expect("a change");
    let ahead = format!("{}.n", change + 1_000);
    for bad in
        ["", "x", "1", "-1.o5", "1.x5", "1.o-5", "1.n%25", "0.nAA", "99999999999999999999.o1", ahead.as_str()]
    {
        let refused = client.get(&format!("/api/libraryfiles?$skiptoken={bad}")).await;
        assert_eq!((refused.status, refused.error_code().as_str()), (400, "ODataError"), "{bad}");
        assert!(refused.error_message().contains("$skiptoken"), "{}", refused.error_message());
    }
}

#[tokio::test]
async fn no_row_is_skipped_or_repeated_on_either_database() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (sqlite, postgres) = (folder.path().join("sqlite"), folder.path().join("postgres"));
    fill(&sqlite).await;
    let database = postgres_database().await;
    let options = Jumpbag::options().set("rate_limits", false);
    let on_postgres = options.clone().set("database_url", &database.url);
    let (status, _, stderr) = on_postgres.run(&postgres, &["restore", &sqlite.display().to_string()]).await;
    assert!(status.success(), "{stderr}");
    let test = async |options: crate::support::server::Options, data_dir: &Path| {
        let bag = options.data_dir(data_dir).start().await;
        pages_are_of_one_moment(&bag).await;
        links_say_what_was_asked_and_bad_ones_are_refused(&bag).await;
    };
    tokio::join!(test(options, &sqlite), test(on_postgres, &postgres));
}
