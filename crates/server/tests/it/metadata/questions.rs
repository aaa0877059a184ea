//! Questions about what people say of files: the same answers on SQLite and on PostgreSQL.

use http::Method;
use serde_json::json;

use crate::support::client::Client;
use crate::support::kept::on_either_database;

/// Name, tags, platforms, category, instructions.
const FILES: [(&str, &str, &str, &str, &str); 5] = [
    ("a.ps1", "triage,windows", "windows", "Collect", "run as admin"),
    ("b.sh", "triage", "linux,macos", "Collect", ""),
    ("c.py", "win'dows,100%,under_score", "linux,macos,windows", "Contain", "it's"),
    ("d.exe", "", "", "", "Überall"),
    ("e.bat", "größe,zz", "windows", "collect", ""),
];

const QUESTIONS: &[(&str, &[&str])] = &[
    ("$filter=tags/any(t: t eq 'triage')", &["a.ps1", "b.sh"]),
    ("$filter=Tags/Any(x:x eq 'triage' and category eq 'Collect')&$top=1", &["a.ps1"]),
    ("$filter=tags/any(t: t eq 'TRIAGE')", &[]),
    ("$filter=tags/any(t: t eq 'win''dows')", &["c.py"]),
    ("$filter=tags/any(t: contains(t,'%25'))", &["c.py"]),
    ("$filter=tags/any(t: contains(t,'_'))", &["c.py"]),
    ("$filter=tags/any(t: startswith(t,'win') or endswith(t,'%C3%B6%C3%9Fe'))", &["a.ps1", "c.py", "e.bat"]),
    ("$filter=tags/any()", &["a.ps1", "b.sh", "c.py", "e.bat"]),
    ("$filter=not tags/any()", &["d.exe"]),
    ("$filter=not tags/any(t: t eq 'triage')", &["c.py", "d.exe", "e.bat"]),
    ("$filter=tags/any(t: t ne 'triage')", &["a.ps1", "c.py", "e.bat"]),
    ("$filter=tags/all(t: t eq 'triage')", &["b.sh", "d.exe"]),
    ("$filter=tags/all(t: startswith(t,'t')) and tags/any()", &["b.sh"]),
    ("$filter=tags/any(t: t in ('zz','windows'))", &["a.ps1", "e.bat"]),
    ("$filter=platforms/any(p: p eq 'linux')", &["b.sh", "c.py"]),
    ("$filter=platforms/all(p: p eq 'windows')", &["a.ps1", "d.exe", "e.bat"]),
    ("$filter=platforms/any(p: p in ('linux','macos')) and tags/any(t: t eq 'triage')", &["b.sh"]),
    ("$filter=category eq 'Collect'", &["a.ps1", "b.sh"]),
    ("$filter=tolower(category) eq 'collect'", &["a.ps1", "b.sh", "e.bat"]),
    ("$filter=category eq null", &["d.exe"]),
    ("$filter=category ne 'Collect'", &["c.py", "d.exe", "e.bat"]),
    ("$filter=contains(instructions,'it''s')", &["c.py"]),
    ("$filter=startswith(instructions,'%C3%9C')", &["d.exe"]),
    ("$filter=instructions eq null", &["b.sh", "e.bat"]),
    ("$filter=length(instructions) gt 5", &["a.ps1", "d.exe"]),
    ("$filter=version gt 1", &["c.py"]),
    ("$filter=version eq 1 and legalHold eq false", &["a.ps1", "d.exe", "e.bat"]),
    ("$filter=legalHold", &["b.sh"]),
    ("$filter=not legalHold and version in (3)", &["c.py"]),
    ("$orderby=version desc,category&$top=3", &["c.py", "d.exe", "a.ps1"]),
    ("$orderby=category desc,fileName desc", &["e.bat", "c.py", "b.sh", "a.ps1", "d.exe"]),
    ("$orderby=legalHold desc,instructions&$top=2", &["b.sh", "e.bat"]),
    ("$orderby=instructions desc&$top=1", &["d.exe"]),
];

const REFUSED: &[(&str, &str)] = &[
    (
        "$filter=tags eq 'triage'",
        "`$filter`, position 1: `tags` is a list, not one value; `$filter` asks about its items: \
         `tags/any(t: t eq '…')`",
    ),
    (
        "$filter=tags/any(t: platforms/any(p: p eq t))",
        "`$filter`, position 13: `any` and `all` cannot stand inside each other; end the one of `t` first and join \
         them with `and` or `or`",
    ),
    (
        "$orderby=tags",
        "`$orderby`: `tags` is a list, not one value; `$filter` asks about its items: `tags/any(t: t eq '…')`",
    ),
];

async fn filled(client: &Client) {
    for (name, tags, platforms, category, instructions) in FILES {
        let upload = client.upload(name, name).field("Tags", tags).field("Platforms", platforms);
        let upload = upload.field("Category", category).field("Instructions", instructions);
        upload.await.expect_status(200);
    }
    // Only what is said now counts.
    let before =
        json!({ "tags": ["former"], "platforms": [], "category": "Former", "instructions": "former" });
    client.json(Method::PATCH, "/api/libraryfiles/c.py", &before).await.expect_status(200);
    client.post("/api/libraryfiles/c.py/versions/1/restore").await.expect_status(200);
    let hold = json!({ "hold": true, "reason": "case 7" });
    client.json(Method::POST, "/api/libraryfiles/b.sh/legalhold", &hold).await.expect_status(204);
}

#[tokio::test]
async fn what_is_said_of_files_can_be_asked_for() {
    for kept in on_either_database().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        filled(&client).await;
        for (query, wanted) in QUESTIONS {
            let files = client.get(&format!("/api/libraryfiles?{query}")).await.expect_status(200).value();
            let names: Vec<_> = files.iter().map(|file| file["fileName"].as_str().expect("a name")).collect();
            assert_eq!(names, *wanted, "on {}: {query}", kept.on);
        }
        for (query, message) in REFUSED {
            let answer = client.get(&format!("/api/libraryfiles?{query}")).await.expect_status(400);
            assert_eq!(
                (answer.error_code().as_str(), answer.error_message().as_str()),
                ("ODataError", *message)
            );
        }
        let chosen =
            "$select=tags,platforms,category,instructions,version,legalHold,id&$filter=fileName eq 'b.sh'";
        let chosen = client.get(&format!("/api/libraryfiles?{chosen}")).await.expect_status(200).json();
        let id = client.get("/api/libraryfiles/b.sh").await.json()["id"].clone();
        assert_eq!(
            chosen["value"],
            json!([{ "id": id, "version": 1, "tags": ["triage"], "platforms": ["linux", "macos"],
                     "category": "Collect", "instructions": null, "legalHold": true }])
        );
        // What was said before is found no more, what is said by a patch at once.
        let gone =
            client.get("/api/libraryfiles?$filter=tags/any(t: t eq 'former')").await.expect_status(200);
        assert!(gone.value().is_empty());
        let patch = json!({ "tags": ["fresh"], "platforms": ["linux"] });
        client.json(Method::PATCH, "/api/libraryfiles/d.exe", &patch).await.expect_status(200);
        let fresh = "$filter=tags/any(t: t eq 'fresh') and platforms/any(p: p eq 'linux')&$count=true";
        let fresh = client.get(&format!("/api/libraryfiles?{fresh}")).await.expect_status(200).json();
        assert_eq!((&fresh["@odata.count"], &fresh["value"][0]["fileName"]), (&json!(1), &json!("d.exe")));
    }
}
