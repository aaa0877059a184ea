//! Paths of history: any name in its segment, any letter case around it, with a version of the API and a slash at the end.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::{hold, numbers, purge, text};
use crate::support::client::{Answer, Client};
use crate::support::kept::on_either_database;
use crate::support::server::Jumpbag;

const NAMES: &[&str] = &[
    "Größe.ps1",
    "a b (1) & €, 'x'.ps1",
    "%20%41.ps1",
    "100%.ps1",
    "#?;=+@$!*~^`|<>\".ps1",
    "日本語.sh",
    "👩‍💻.sh",
    "İI.ps1",
    "versions",
    "content",
    "diff",
    "Restore",
    "legalhold",
    "1",
    "null",
    "a..b",
    "--",
];

/// Every call of a file's life, by paths that `spelled` changes; the file's name is encoded.
async fn life(client: &Client, name: &str, spelled: impl Fn(&str) -> String) {
    let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
    let get = async |path: &str| -> Answer { client.get(&spelled(path)).await.expect_status(200) };
    let file = format!("/api/libraryfiles/{encoded}");
    let shown = get(&file).await.json();
    assert_eq!(shown["fileName"], name);
    assert_eq!(text(&get(&format!("{file}/content")).await.text().into()), "one");
    assert_eq!(get(&format!("{file}/versions")).await.value().len(), 1);
    assert_eq!(get(&format!("{file}/versions/1")).await.json()["fileName"], name);
    get(&format!("{file}/versions/1/content")).await;
    let patch = json!({ "description": "d" });
    client.json(Method::PATCH, &spelled(&file), &patch).await.expect_status(200);
    get(&format!("{file}/versions/1/diff/2")).await;
    let unified = client.get(&spelled(&format!("{file}/versions/1/diff/2")));
    unified.with(|request| request.header("accept", "text/x-diff")).await.expect_status(200);
    client.post(&spelled(&format!("{file}/versions/1/restore"))).await.expect_status(200);
    for held in [true, false] {
        let body = json!({ "hold": held, "reason": "r" });
        client.json(Method::POST, &spelled(&format!("{file}/legalhold")), &body).await.expect_status(204);
    }
    client.delete(&spelled(&file)).await.expect_status(204);
    let gone = format!("/api/deletedlibraryfiles/{}", text(&shown["id"]));
    assert_eq!(get(&gone).await.json()["fileName"], name);
    assert_eq!(get("/api/deletedlibraryfiles").await.value()[0]["fileName"], name);
    for held in [true, false] {
        let body = json!({ "hold": held, "reason": "r" });
        client.json(Method::POST, &spelled(&format!("{gone}/legalhold")), &body).await.expect_status(204);
    }
    client.post(&spelled(&format!("{gone}/restore"))).await.expect_status(200);
    client.delete(&spelled(&file)).await.expect_status(204);
    let purge = client.json(Method::POST, &spelled(&format!("{gone}/purge")), &json!({ "reason": "r" }));
    purge.await.expect_status(204);
    get("/api/library/usage").await;
}

#[tokio::test]
async fn any_name_goes_through_every_path() {
    for kept in on_either_database().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        let long = ["n".repeat(255), "é".repeat(127)];
        let names = NAMES.iter().copied().chain(long.iter().map(String::as_str));
        for name in names.step_by(if kept.on == "PostgreSQL" { 3 } else { 1 }) {
            eprintln!("{name} in {}", kept.on);
            client.upload(name, "one").await.expect_status(200);
            life(&client, name, str::to_owned).await;
        }
    }
}

#[tokio::test]
async fn paths_of_history_are_spelled_in_many_ways() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let client = bag.client().await;
    let name = "Größe.ps1";
    let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
    let other = "GR%C3%96%C3%9FE%2EPS1";
    let upper = |path: &str| path.to_ascii_uppercase();
    let spellings: [&dyn Fn(&str) -> String; 6] = [
        &|path| format!("{path}/"),
        &|path| path.replacen("/api/", "/api/v1.0/", 1),
        &|path| path.replacen("/api/", "/API/V1.0/", 1) + "//",
        &|path| path.replace(&encoded, other),
        &|path| upper(path).replace(&upper(&encoded), &encoded),
        &|path| upper(path).replace(&upper(&encoded), other).replacen("/API/", "/Api/v1.0/", 1) + "/",
    ];
    for (number, spelled) in spellings.into_iter().enumerate() {
        eprintln!("spelling {number}: {}", spelled("/api/libraryfiles/x/versions/1/diff/2"));
        client.upload(name, "one").await.expect_status(200);
        life(&client, name, spelled).await;
    }
}

/// Letter case counts nowhere but in what is shown; a name that is deleted twice is two files.
#[tokio::test]
async fn names_that_differ_in_case_share_one_history() {
    for kept in on_either_database().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        let mut ids = Vec::new();
        for round in 0..2 {
            let first = client.upload("ΑΒΓ.sh", format!("{round}")).await.expect_status(200).json();
            client.upload("αβγ.SH", "two").override_if_exists().await.expect_status(200);
            assert_eq!(numbers(&client, "%CE%91%CE%B2%CE%B3.sh").await, [2, 1]);
            client.delete("/api/libraryfiles/%CE%B1%CE%92%CE%93.sh").await.expect_status(204);
            ids.push(text(&first["id"]).to_owned());
        }
        let listed = super::deleted(&client).await;
        let shown: Vec<_> = listed.iter().map(|file| (text(&file["id"]), text(&file["fileName"]))).collect();
        assert_eq!(shown, [(ids[1].as_str(), "αβγ.SH"), (ids[0].as_str(), "αβγ.SH")], "on {}", kept.on);
        hold(&client, &format!("/api/deletedlibraryfiles/{}", ids[0]), true, "r").await.expect_status(204);
        purge(&client, &ids[1]).await.expect_status(204);
        client.post(&format!("/api/deletedlibraryfiles/{}/restore", ids[0])).await.expect_status(200);
        let content = client.get("/api/libraryfiles/%CE%91%CE%92%CE%93.sh/versions/1/content").await;
        assert_eq!(content.expect_status(200).text(), "0");
    }
}
