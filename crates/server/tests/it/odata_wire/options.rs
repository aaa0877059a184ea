//! `$filter`, `$orderby`, `$top`, `$skip`, `$count`, `$select` and `$format`.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::postgres::postgres_database;
use crate::support::server::Jumpbag;

/// Name, content, fields.
type File<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

const FILES: [File; 6] = [
    ("Alpha.ps1", "1", &[("Description", "collects it's 100% of _all_ events")]),
    ("beta.sh", "22", &[("ParametersDescription", "-n NAME")]),
    ("Gamma.PS1", "333", &[("Description", "Überprüfung"), ("HasParameters", "true")]),
    ("delta tool.exe", "4444", &[("Description", "delta")]),
    ("épsilon.ps1", "55555", &[]),
    ("zeta_%.ps1", "666666", &[("Description", "a\\b")]),
];

/// A question, percent-encoded where a test wants it so, and the names it finds in their order.
const QUESTIONS: &[(&str, &[&str])] = &[
    ("", &["Alpha.ps1", "beta.sh", "delta tool.exe", "Gamma.PS1", "zeta_%.ps1", "épsilon.ps1"]),
    ("$filter=fileName eq 'beta.sh'", &["beta.sh"]),
    ("$filter=fileName eq 'BETA.SH'", &[]),
    ("%24filter=fileName+eq+%27delta+tool.exe%27", &["delta tool.exe"]),
    ("$FILTER=FILENAME EQ 'beta.sh'", &["beta.sh"]),
    ("$filter=filename ne 'beta.sh' AND size LT 4", &["Alpha.ps1", "Gamma.PS1"]),
    ("$filter=startswith(fileName,'delta')", &["delta tool.exe"]),
    (
        "$filter=endswith(fileName,'.ps1') or EndsWith(fileName, '.sh')",
        &["Alpha.ps1", "beta.sh", "zeta_%.ps1", "épsilon.ps1"],
    ),
    ("$filter=contains(description,'it''s')", &["Alpha.ps1"]),
    ("$filter=contains(description,'%25')", &["Alpha.ps1"]),
    ("$filter=contains(fileName,'_')", &["zeta_%.ps1"]),
    ("$filter=contains(description,'\\')", &["zeta_%.ps1"]),
    ("$filter=contains(description,'%C3%9Cber')", &["Gamma.PS1"]),
    ("$filter=contains(fileName,'')&$top=2", &["Alpha.ps1", "beta.sh"]),
    ("$filter=description eq null", &["beta.sh", "épsilon.ps1"]),
    ("$filter=description ne null and not contains(description,'a')", &["Gamma.PS1"]),
    (
        "$filter=not startswith(description,'delta')&$orderby=size",
        &["Alpha.ps1", "beta.sh", "Gamma.PS1", "épsilon.ps1", "zeta_%.ps1"],
    ),
    (
        "$filter=description ne 'delta'&$orderby=size",
        &["Alpha.ps1", "beta.sh", "Gamma.PS1", "épsilon.ps1", "zeta_%.ps1"],
    ),
    ("$filter=hasParameters", &["beta.sh", "Gamma.PS1"]),
    ("$filter=hasParameters eq false and size ge 5", &["zeta_%.ps1", "épsilon.ps1"]),
    (
        "$filter=size gt 1 and (size le 3 or fileName eq '%C3%A9psilon.ps1')",
        &["beta.sh", "Gamma.PS1", "épsilon.ps1"],
    ),
    ("$filter=size in (1, 22, 6)", &["Alpha.ps1", "zeta_%.ps1"]),
    ("$filter=fileName in ('beta.sh','Gamma.PS1','absent')", &["beta.sh", "Gamma.PS1"]),
    ("$filter=creationTime gt 2020-01-01T00:00:00Z and size lt 3", &["Alpha.ps1", "beta.sh"]),
    ("$filter=creationTime lt 2020-01-01Z", &[]),
    ("$filter=lastUpdatedTime ge '2020-01-01'&$top=1", &["Alpha.ps1"]),
    ("$filter=createdBy eq 'test Library.Manage' and size eq 1", &["Alpha.ps1"]),
    ("$orderby=size desc&$top=2", &["zeta_%.ps1", "épsilon.ps1"]),
    ("$orderby=fileName&$top=3", &["Alpha.ps1", "Gamma.PS1", "beta.sh"]),
    ("$orderby=fileName DESC&$top=2", &["épsilon.ps1", "zeta_%.ps1"]),
    ("$orderby=hasParameters desc, size asc&$top=3", &["beta.sh", "Gamma.PS1", "Alpha.ps1"]),
    ("$orderby=description&$top=3", &["beta.sh", "épsilon.ps1", "zeta_%.ps1"]),
    ("$orderby=description desc&$top=2", &["Gamma.PS1", "delta tool.exe"]),
    ("$orderby=creationTime desc&$top=1", &["zeta_%.ps1"]),
    ("$skip=4", &["zeta_%.ps1", "épsilon.ps1"]),
    ("$skip=2&$top=2", &["delta tool.exe", "Gamma.PS1"]),
    ("$skip=100", &[]),
    ("$top=0", &[]),
    ("$top=10000&", &["Alpha.ps1", "beta.sh", "delta tool.exe", "Gamma.PS1", "zeta_%.ps1", "épsilon.ps1"]),
    ("unknown=1&$top=1&also", &["Alpha.ps1"]),
    ("$format=json&$top=1", &["Alpha.ps1"]),
];

async fn filled(bag: &Jumpbag) -> Client {
    for (name, content, fields) in FILES {
        let upload = bag.upload(name, content);
        let upload = fields.iter().fold(upload, |upload, (field, value)| upload.field(field, value));
        upload.await.expect_status(200);
    }
    bag.client().await
}

async fn both() -> [(Jumpbag, Client, Option<crate::support::postgres::Database>); 2] {
    let sqlite = Jumpbag::options().set("rate_limits", false).start().await;
    let client = filled(&sqlite).await;
    let database = postgres_database().await;
    let postgres =
        Jumpbag::options().set("rate_limits", false).set("database_url", &database.url).start().await;
    let other = filled(&postgres).await;
    [(sqlite, client, None), (postgres, other, Some(database))]
}

async fn ask(client: &Client, query: &str) -> Value {
    client.get(&format!("/api/libraryfiles?{query}")).await.expect_status(200).json()
}

fn names(list: &Value) -> Vec<&str> {
    let files = list["value"].as_array().expect("a collection").iter();
    files.map(|file| file["fileName"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn the_same_questions_find_the_same_files_on_either_database() {
    for (_bag, client, database) in both().await {
        let on = if database.is_some() { "PostgreSQL" } else { "SQLite" };
        for (query, wanted) in QUESTIONS {
            let list = ask(&client, query).await;
            assert_eq!(names(&list), *wanted, "on {on}: {query}");
            assert_eq!(list.get("@odata.nextLink"), None, "on {on}: {query}");
            assert_eq!(list.get("@odata.count"), None, "on {on}: {query}");
        }
    }
}

#[tokio::test]
async fn counts_and_selections_on_either_database() {
    for (_bag, client, _database) in both().await {
        for (query, wanted) in [
            ("$count=true", 6),
            ("$count=TRUE&$top=0", 6),
            ("$count=true&$top=2&$skip=1&$orderby=size", 6),
            ("$count=true&$filter=hasParameters&$top=1", 2),
            ("$count=true&$filter=size gt 1000", 0),
        ] {
            let answer = client.get(&format!("/api/libraryfiles?{query}")).await.expect_status(200);
            assert_eq!(answer.json()["@odata.count"], wanted, "{query}");
            let text = answer.text();
            assert!(text.find("@odata.count") < text.find("\"value\""), "{query}: {text}");
        }
        assert_eq!(ask(&client, "$count=false").await.get("@odata.count"), None);

        let chosen = ask(&client, "$select=SIZE,fileName&$filter=size eq 1").await;
        assert_eq!(chosen["value"], json!([{ "fileName": "Alpha.ps1", "size": 1 }]));
        let context = chosen["@odata.context"].as_str().expect("a context");
        assert!(context.ends_with("/api/$metadata#LibraryFiles(fileName,size)"), "{context}");
        let nulls = ask(&client, "$select=description&$filter=size eq 2").await;
        assert_eq!(nulls["value"], json!([{ "description": null }]));
        let all = ask(&client, "$select=*&$top=1").await;
        assert_eq!(all["value"][0].as_object().map(serde_json::Map::len), Some(16));
    }
}
