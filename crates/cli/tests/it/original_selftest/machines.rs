//! Machines, and what is run on them.

use std::io::Read;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, refusal};
use crate::original::{Fault, Original};

impl Client<'_> {
    async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.expect("JSON")
    }

    async fn post(&self, path: &str, body: Value) -> reqwest::Response {
        self.call(Method::POST, path).json(&body).send().await.expect("an answer")
    }

    async fn run(&self, machine: &str, commands: Value) -> reqwest::Response {
        let path = format!("/api/machines/{machine}/runliveresponse");
        self.post(&path, json!({"Commands": commands, "Comment": "why"})).await
    }
}

fn command(kind: &str, params: &[(&str, &str)]) -> Value {
    let params: Vec<Value> = params.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    json!({"type": kind, "params": params})
}

fn names(list: &Value) -> Vec<&str> {
    let names = list["value"].as_array().expect("a list").iter();
    names.map(|machine| machine["computerDnsName"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn machines_are_found_as_clients_look_for_them() {
    let original = Original::start().await;
    let client = Client::new(&original).await;
    original.add_machine("PC-1", &["it's", "lab"]);
    original.add_machine("pc-2", &["lab"]);
    original.add_machine("srv-1", &[]);
    for (filter, expected) in [
        ("computerDnsName eq 'pc-2'", vec!["pc-2"]),
        ("computerDnsName eq 'PC-2'", vec![]),
        ("ComputerDnsName%20ne%20'pc-2'", vec!["pc-1", "srv-1"]),
        ("startswith(computerDnsName,'pc-')", vec!["pc-1", "pc-2"]),
        ("machineTags/any(t: t eq 'it''s')", vec!["pc-1"]),
        ("machineTags/any(tag: tag eq 'lab') AND computerDnsName in ('pc-2', 'srv-1')", vec!["pc-2"]),
        (
            "(computerDnsName eq 'pc-1' or computerDnsName eq 'srv-1') and healthStatus eq 'Active'",
            vec!["pc-1", "srv-1"],
        ),
        ("lastSeen lt 2020-01-01Z", vec![]),
        (
            "lastSeen ge 2020-01-01T00:00:00Z and riskScore le 'None' and id gt '0'",
            vec!["pc-1", "pc-2", "srv-1"],
        ),
    ] {
        let list = client.json(&format!("/api/machines?$filter={filter}")).await;
        assert_eq!(names(&list), expected, "{filter}");
    }
    for query in [
        "$filter=managedBy eq 'x'",
        "$filter=computerDnsName eq 'x",
        "$filter=computerDnsName like 'x'",
        "$filter=computerDnsName eq 'x' x",
        "$filter=contains(computerDnsName,'x')",
        "$top=x",
        "$top=10001",
        "$orderby=nothing",
    ] {
        let refused = refusal(client.get(&format!("/api/machines?{query}")).await).await;
        assert_eq!((refused.0, refused.1.as_str()), (400, "ODataError"), "{query}");
    }
    let list = client.json("/api/machines?$orderby=computerDnsName desc&$top=2&$skip=1&$count=true").await;
    assert_eq!((names(&list), &list["@odata.count"]), (vec!["pc-2", "pc-1"], &json!(3)));
    assert!(list.get("@odata.nextLink").is_none());
}

#[tokio::test]
async fn long_lists_come_in_pages() {
    let original = Original::options().page(2).start().await;
    let client = Client::new(&original).await;
    for number in 1..=5 {
        original.add_machine(&format!("pc-{number}"), &[]);
    }
    let mut path = "/api/machines?$filter=computerDnsName ne 'pc-2'&$top=3".to_owned();
    let mut pages = Vec::new();
    for _ in 0..3 {
        let list = client.json(&path).await;
        pages.push(names(&list).join(" "));
        let Some(next) = list["@odata.nextLink"].as_str() else { break };
        path = next.strip_prefix(original.url()).expect("an address here").to_owned();
    }
    assert_eq!(pages, ["pc-1 pc-3", "pc-4"]);
}

#[tokio::test]
async fn a_machine_is_shown_and_tagged() {
    let original = Original::start().await;
    let client = Client::new(&original).await;
    let id = original.add_machine("PC-1", &["lab"]);
    assert_eq!(id.len(), 40);
    let by_id = client.json(&format!("/api/machines/{id}")).await;
    assert_eq!(by_id, client.json("/api/Machines/pc-1").await);
    assert_eq!((&by_id["id"], &by_id["machineTags"]), (&json!(id), &json!(["lab"])));
    assert_eq!(by_id.as_object().unwrap().len(), 33);
    let unknown = refusal(client.get("/api/machines/pc-9").await).await;
    assert_eq!(unknown, (404, "ResourceNotFound".into(), "Machine pc-9 was not found".into()));
    let path = format!("/api/machines/{id}/tags");
    for (value, action, tags) in [
        ("new", "Add", vec!["lab", "new"]),
        ("new", "Add", vec!["lab", "new"]),
        ("lab", "Remove", vec!["new"]),
    ] {
        let answer = client.post(&path, json!({"Value": value, "Action": action})).await;
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(
            (&answer["machineTags"], original.tags("pc-1")),
            (&json!(tags), tags.iter().map(|tag| tag.to_string()).collect())
        );
    }
    assert_eq!(refusal(client.post(&path, json!({"value": "x", "action": "Add"})).await).await.0, 400);
}

#[tokio::test]
async fn an_action_goes_on_as_it_is_looked_at() {
    let original = Original::start().await;
    let client = Client::new(&original).await;
    let id = original.add_machine("pc-1", &[]);
    original.put("tool.exe", "x");
    original.put("look.ps1", "x");
    original.script_says("Look.ps1", "seen\n", "careful\n", 0);
    original.machines_have(r"C:\temp\x.log", "a log");
    let commands = json!([
        command("PutFile", &[("FileName", "tool.exe")]),
        command("RunScript", &[("ScriptName", "look.ps1"), ("Args", "-a 'b c'")]),
        command("GetFile", &[("Path", r"C:\temp\x.log")]),
    ]);
    let answer = client.run(&id, commands).await;
    assert_eq!(answer.status(), 201);
    let text = answer.text().await.unwrap();
    let action: Value = serde_json::from_str(&text).unwrap();
    let start = format!(
        r##"{{"@odata.context":"{}/api/$metadata#MachineActions/$entity","id":{},"type":"LiveResponse","title":null,"requestor":"library-sync","requestorComment":"why","status":"Pending","machineId":"{id}","computerDnsName":"pc-1","##,
        original.url(),
        action["id"]
    );
    assert!(text.starts_with(&start), "{text}");
    assert_eq!(
        (action["requestSource"].as_str(), action.as_object().unwrap().len()),
        (Some("PublicApi"), 21)
    );
    let path = format!("/api/machineactions/{}", action["id"].as_str().unwrap());
    original.hold_actions();
    assert_eq!(client.json(&path).await["status"], "Pending");
    original.release_actions();
    assert_eq!(client.json(&path).await["status"], "InProgress");
    let link = async |index: usize| {
        client.get(&format!("{path}/GetLiveResponseResultDownloadLink(index={index})")).await
    };
    assert_eq!(link(1).await.status(), 404);
    let done = client.json(&path).await;
    assert_eq!(
        (&done["status"], &done["commands"][2]["commandStatus"]),
        (&json!("Succeeded"), &json!("Completed"))
    );
    assert_eq!(link(0).await.status(), 404, "nothing comes out of PutFile");

    let out = link(1).await.json::<Value>().await.unwrap()["value"].as_str().unwrap().to_owned();
    let with_token = client.http.get(&out).bearer_auth(&client.token).send().await.unwrap();
    assert_eq!(with_token.status(), 400);
    let out: Value = client.http.get(out).send().await.unwrap().json().await.unwrap();
    let expected = json!({"script_name": "look.ps1", "exit_code": 0, "script_output": "seen\n", "script_errors": "careful\n"});
    assert_eq!(out, expected);
    let file = link(2).await.json::<Value>().await.unwrap()["value"].as_str().unwrap().to_owned();
    let gzip = client.http.get(&file).send().await.unwrap();
    assert!(!gzip.headers().contains_key("content-encoding"));
    let gzip = gzip.bytes().await.unwrap();
    let mut reader = flate2::read::GzDecoder::new(&gzip[..]);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), reader.header().unwrap().filename()), ("a log", Some(&b"x.log"[..])));
    original.expire_links();
    assert_eq!(client.http.get(&file).send().await.unwrap().status(), 403);
    let seen = original.commands_seen();
    assert_eq!((seen.len(), seen[1].0.as_str(), seen[1].1.param("Args")), (3, "pc-1", Some("-a 'b c'")));
}

#[tokio::test]
async fn what_fails_stops_what_follows() {
    let original = Original::start().await;
    let client = Client::new(&original).await;
    let id = original.add_machine("pc-1", &[]);
    original.put("bad.sh", "x");
    original.script_says("bad.sh", "", "no\n", 3);
    let commands = json!([
        command("RunScript", &[("ScriptName", "bad.sh")]),
        command("GetFile", &[("Path", "/missing")]),
    ]);
    assert_eq!(client.run(&id, commands).await.status(), 201);
    client.json("/api/machineactions").await;
    let list =
        client.json(&format!("/api/machineactions?$filter=machineId+eq+'{id}'+and+status+ne+'x'")).await;
    let action = &list["value"][0];
    assert_eq!(
        (&action["status"], &action["commands"][0]["commandStatus"]),
        (&json!("Failed"), &json!("Failed"))
    );
    assert_eq!(action["commands"][0]["errors"], json!(["The script ended with exit code 3"]));
    assert_eq!(action["commands"][1]["commandStatus"], "Created");
    let missing = json!([command("GetFile", &[("Path", "/missing")])]);
    assert_eq!(client.run(&id, missing).await.status(), 201);
    client.json("/api/machineactions").await;
    let list = client.json("/api/machineactions").await;
    assert_eq!(list["value"][0]["commands"][0]["errors"], json!(["The file /missing was not found"]));
    assert_eq!(list["value"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_run_is_refused() {
    let original = Original::start().await;
    let client = Client::new(&original).await;
    let id = original.add_machine("pc-1", &[]);
    original.put("a.ps1", "x");
    let script = command("RunScript", &[("ScriptName", "a.ps1")]);
    let get = command("GetFile", &[("Path", "/x")]);
    for (commands, code) in [
        (json!([]), "MissingRequiredParameter"),
        (json!([get, script]), "InvalidInput"),
        (json!([command("RunScript", &[("ScriptName", "a.ps1"), ("ArgsList", "[]")])]), "InvalidInput"),
        (json!([command("RunScript", &[("Args", "x")])]), "InvalidInput"),
        (json!([command("Shell", &[])]), "InvalidInput"),
        (json!([{"Type": "RunScript", "Params": []}]), "InvalidRequestBody"),
    ] {
        let refused = refusal(client.run(&id, commands.clone()).await).await;
        assert_eq!((refused.0, refused.1.as_str()), (400, code), "{commands}");
    }
    let path = format!("/api/machines/{id}/runliveresponse");
    let no_comment = refusal(client.post(&path, json!({"Commands": [script]})).await).await;
    assert_eq!(no_comment.2, "Parameter Comment is missing");
    let missing = json!([command("RunScript", &[("ScriptName", "no.ps1")])]);
    assert_eq!(refusal(client.run("pc-1", missing.clone()).await).await.1, "ResourceNotFound");
    assert_eq!(refusal(client.run(&id, missing).await).await.1, "InvalidInput");
    assert_eq!(original.commands_seen(), []);
    assert_eq!(client.run(&id, json!([script])).await.status(), 201);
    let again = refusal(client.run(&id, json!([script])).await).await;
    assert_eq!(again.0, 429, "the eleventh call of the minute");
}

#[tokio::test]
async fn one_action_at_a_time_and_it_can_be_cancelled() {
    let original = Original::start().await;
    let client = Client::new(&original).await;
    let id = original.add_machine("pc-1", &[]);
    let get = json!([command("GetFile", &[("Path", "/x")])]);
    let action: Value = client.run(&id, get.clone()).await.json().await.unwrap();
    let again = refusal(client.run(&id, get.clone()).await).await;
    assert_eq!(again, (400, "ActiveRequestAlreadyExists".into(), "Action is already in progress".into()));
    let path = format!("/api/machineactions/{}/cancel", action["id"].as_str().unwrap());
    assert_eq!(refusal(client.post(&path, json!({})).await).await.1, "MissingRequiredParameter");
    for _ in 0..2 {
        let cancelled: Value = client.post(&path, json!({"Comment": "enough"})).await.json().await.unwrap();
        assert_eq!(
            (&cancelled["status"], &cancelled["cancellationComment"]),
            (&json!("Cancelled"), &json!("enough"))
        );
    }
    original.machines_have("/x", "x");
    let action: Value = client.run(&id, get).await.json().await.unwrap();
    for _ in 0..2 {
        client.json("/api/machineactions").await;
    }
    let path = format!("/api/machineactions/{}/cancel", action["id"].as_str().unwrap());
    assert_eq!(refusal(client.post(&path, json!({"Comment": "x"})).await).await.1, "BadRequest");
    let nobody = client.post("/api/machineactions/nobody/cancel", json!({"Comment": "x"})).await;
    assert_eq!(refusal(nobody).await.1, "ResourceNotFound");
}

#[tokio::test]
async fn no_more_than_25_actions_wait_at_a_time() {
    let original = Original::options().minute(std::time::Duration::ZERO).start().await;
    let client = Client::new(&original).await;
    let get = json!([command("GetFile", &[("Path", "/x")])]);
    for number in 0..26 {
        let id = original.add_machine(&format!("pc-{number}"), &[]);
        let status = client.run(&id, get.clone()).await.status();
        assert_eq!(status, if number < 25 { 201 } else { 429 }, "{number}");
    }
}

#[tokio::test]
async fn results_need_another_permission_than_runs() {
    let original = Original::options().roles(&["Machine.LiveResponse", "Machine.Read.All"]).start().await;
    let client = Client::new(&original).await;
    original.fail("GET /api/machines", Fault::Status(403));
    assert_eq!(refusal(client.get("/api/machines").await).await.1, "Forbidden");
    let refused =
        refusal(client.get("/api/machineactions/1/getliveresponseresultdownloadlink(index=0)").await).await;
    assert!(
        refused.0 == 403 && refused.2.contains("API required roles: Machine.ReadWrite.All,"),
        "{}",
        refused.2
    );
}
