//! Lists of history in pages: whatever happens between them, nothing is skipped and nothing comes twice.

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use super::{assert_refused, text};
use crate::support::client::Client;
use crate::support::server::Jumpbag;

/// Needs an escape in every part of an address.
const NAME: &str = "Größe & 100% #1?+=;@.ps1";
const ENCODED: &str = "gr%C3%B6%C3%9Fe%20%26%20100%25%20%231%3F%2B%3D%3B%40.PS1";

/// Runs so many calls, some at a time.
async fn many(count: usize, call: impl AsyncFn(usize)) {
    for start in (0..count).step_by(32) {
        join_all((start..count.min(start + 32)).map(|n| call(n))).await;
    }
}

#[tokio::test]
async fn every_version_is_on_one_page() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let client = bag.client().await;
    client.upload(NAME, "one").await.expect_status(200);
    let path = format!("/api/libraryfiles/{ENCODED}");
    let change = async |n: usize| {
        let patch = json!({ "description": format!("change {n}") });
        client.json(Method::PATCH, &path, &patch).await.expect_status(200);
    };
    many(999, change).await;
    let whole = client.get(&format!("{path}/versions")).await.expect_status(200);
    assert_eq!((whole.value().len(), whole.next()), (1000, None), "a page that is just full is the last");
    many(10, change).await;

    let mut read = Vec::new();
    let mut next = Some(format!("{path}/versions"));
    while let Some(page) = next {
        let page = client.get(&page).await.expect_status(200);
        let versions = page.value();
        assert!(versions.len() <= 1000);
        read.extend(versions);
        next = page.next();
        // What is made meanwhile is newer than all that is still to come.
        change(5_000 + read.len()).await;
    }
    assert_eq!(read.len(), 1010);
    for (index, version) in read.iter().enumerate() {
        let number = 1010 - index;
        assert_eq!(version["version"], number);
        // Also where the version before is on the next page.
        let changed = if number == 1 { json!([]) } else { json!(["description"]) };
        assert_eq!(version["changed"], changed, "version {number}");
    }
}

#[tokio::test]
async fn every_deleted_file_is_on_one_page() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let client = bag.client().await;
    let delete = async |n: usize| {
        let name = format!("file-{n}.ps1");
        client.upload(&name, "x").await.expect_status(200);
        client.delete(&format!("/api/libraryfiles/{name}")).await.expect_status(204);
    };
    many(1003, delete).await;
    let first = client.get("/api/deletedlibraryfiles").await.expect_status(200);
    let mut read = first.value();
    // One comes, one that was shown goes, and so does one that is still to be shown.
    delete(2000).await;
    let shown = text(&read[500]["id"]).to_owned();
    super::purge(&client, &shown).await.expect_status(204);
    let all = whole(&client).await;
    let unseen = all.last().expect("a deleted file").clone();
    client
        .post(&format!("/api/deletedlibraryfiles/{}/restore", text(&unseen["id"])))
        .await
        .expect_status(200);
    let second = client.get(&first.next().expect("a next page")).await.expect_status(200);
    assert_eq!(second.next(), None);
    read.extend(second.value());
    let ids: std::collections::BTreeSet<_> = read.iter().map(|file| text(&file["id"])).collect();
    assert_eq!((read.len(), ids.len()), (1002, 1002));
    assert!(!ids.contains(text(&unseen["id"])));
    let time =
        |file: &Value| text(&file["deletedTime"]).parse::<chrono::DateTime<chrono::Utc>>().expect("a time");
    assert!(read.is_sorted_by_key(|file| std::cmp::Reverse(time(file))));
}

/// All deleted files, page by page.
async fn whole(client: &Client) -> Vec<Value> {
    let (mut read, mut next) = (Vec::new(), Some("/api/deletedlibraryfiles".to_owned()));
    while let Some(page) = next {
        let page = client.get(&page).await.expect_status(200);
        read.extend(page.value());
        next = page.next();
    }
    read
}

#[tokio::test]
async fn options_that_these_lists_do_not_have() {
    let bag = Jumpbag::start().await;
    let client = bag.client().await;
    client.upload("a.ps1", "one").await.expect_status(200);
    for path in ["/api/libraryfiles/a.ps1/versions", "/api/deletedlibraryfiles"] {
        for option in ["$top", "$skip", "$filter", "$search", "$orderby", "$count", "$select", "$expand", "$"]
        {
            let answer = client.get(&format!("{path}?{option}=1")).await;
            let message = format!("`{option}` is not supported here: follow `@odata.nextLink` for more");
            assert_refused(option, &answer, 400, "ODataError", &message);
        }
        let made_up = "`$skiptoken` is not one that this server made: follow `@odata.nextLink` as it is";
        for token in ["", "x", "1.5.2", "1e3", "99999999999999999999999", "%00", "1;drop", "1.x", ".", "%FF"]
        {
            let answer = client.get(&format!("{path}?$skiptoken={token}")).await;
            assert_refused(token, &answer, 400, "ODataError", made_up);
        }
        // What is no option of this protocol is the client's own.
        client.get(&format!("{path}?a=b&top=1&c")).await.expect_status(200);
    }
}
