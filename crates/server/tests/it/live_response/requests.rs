//! What somebody may ask of a machine, and how the rest is refused.

use http::Method;
use serde_json::{Value, json};

use super::agent::Agent;
use super::{get_file, operator, options, param, put_file, script};
use crate::support::SOON;
use crate::support::raw::Raw;

both_databases!(
    bodies_that_are_not_right_are_refused_and_say_why,
    a_machine_that_is_not_there_is_told_before_the_body,
    each_call_needs_its_permission,
);

fn body(commands: Value) -> Value {
    json!({ "Comment": "a test", "Commands": commands })
}

async fn bodies_that_are_not_right_are_refused_and_say_why() {
    let bag = options().start().await;
    let agent = Agent::enrolled(&bag, &[]).await;
    let client = operator(&bag).await;
    client.upload("a.sh", "x").await.expect_status(200);
    let with = |params: Value| body(json!([{ "type": "RunScript", "params": params }]));
    let many: Vec<_> = (0..21).map(|_| get_file("/x")).collect();
    let cases = [
        (json!([]), "`Comment`"),
        (json!({ "Commands": [script("a.sh")] }), "`Comment`"),
        (json!({ "Comment": " ", "Commands": [script("a.sh")] }), "`Comment`"),
        (json!({ "Comment": "c\0", "Commands": [script("a.sh")] }), "U+0000"),
        (json!({ "Comment": "c" }), "`Commands`"),
        (body(json!({})), "`Commands`"),
        (body(json!([])), "`Commands` has 0"),
        (body(json!(many)), "`Commands` has 21"),
        (body(json!([{ "type": "Reboot", "params": [] }])), "`Commands[0]`: `type`"),
        (body(json!([script("a.sh"), 7])), "`Commands[1]`: `type`"),
        (body(json!([script("a.sh"), put_file("a.sh")])), "order"),
        (body(json!([get_file("/x"), script("a.sh")])), "order"),
        (body(json!([{ "type": "RunScript" }])), "`ScriptName`"),
        (with(json!([param("ScriptName", "")])), "`ScriptName`"),
        (with(json!([param("FileName", "a.sh")])), "ScriptName, Args, ArgsList"),
        (with(json!([param("ScriptName", 7)])), "`ScriptName` must be a string"),
        (with(json!([param("ScriptName", "a.sh"), param("scriptname", "a.sh")])), "twice"),
        (with(json!([param("ScriptName", "a.sh"), param("Args", "\"a")])), "not closed"),
        (with(json!([param("ScriptName", "a.sh"), param("ArgsList", "a")])), "array of strings"),
        (with(json!([param("ScriptName", "a.sh"), param("ArgsList", json!([1]))])), "array of strings"),
        (with(json!([param("ScriptName", "a.sh"), param("ArgsList", json!(["\0"]))])), "U+0000"),
        (
            with(json!([param("ScriptName", "a.sh"), param("Args", "a"), param("ArgsList", json!([]))])),
            "send one",
        ),
        (with(json!([param("ScriptName", "a.sh"), param("Args", "x".repeat(20_000))])), "16384 bytes"),
        (
            with(json!([param("ScriptName", "a.sh"), param("ArgsList", json!(vec!["x"; 257]))])),
            "257 arguments",
        ),
    ];
    let path = format!("/api/machines/{}/runliveresponse", agent.machine);
    for (body, says) in cases {
        let answer = client.json(Method::POST, &path, &body).await.expect_status(400);
        assert_eq!(answer.error_code(), "InvalidRequestBody", "{body}");
        assert!(
            answer.error_message().starts_with("Request body is incorrect"),
            "{}",
            answer.error_message()
        );
        assert!(answer.error_message().contains(says), "{body}: {}", answer.error_message());
    }
    let broken =
        client.post(&path).with(|request| request.header("content-type", "application/json").body("{"));
    assert_eq!(broken.await.expect_status(400).error_code(), "InvalidRequestBody");
    let nothing = client.get("/api/machineactions").await.expect_status(200);
    assert_eq!(nothing.value(), Vec::<Value>::new(), "none of them made an action");
    // Keys in any letter case, `Args` without a value, and a mark of the byte order.
    let good = format!(
        "\u{feff}{}",
        json!({ "comment": "c", "commands": [{ "TYPE": "runscript", "PARAMS": [
            { "Key": "scriptname", "Value": "A.sh" }, { "key": "Args", "value": null }] }] })
    );
    let call =
        client.post(&path).with(|request| request.header("content-type", "application/json").body(good));
    let made = call.await.expect_status(201).json();
    assert_eq!(made["commands"][0]["command"]["type"], "RunScript");
    assert_eq!(made["commands"][0]["command"]["params"][0], json!({ "key": "ScriptName", "value": "A.sh" }));
}

async fn a_machine_that_is_not_there_is_told_before_the_body() {
    let bag = options().start().await;
    let client = operator(&bag).await;
    let commands = body(json!([script("a.sh")]));
    for machine in ["x", "0123456789012345678901234567890123456789", "%00", "%F0%9D%84%9E"] {
        for path in
            [format!("/api/machines/{machine}/runliveresponse"), format!("/api/machines/{machine}/tags")]
        {
            let answer = client.json(Method::POST, &path, &commands).await;
            assert!([400, 404].contains(&answer.status), "{path}: {}", answer.text());
        }
        let answer = client.get(&format!("/api/machines/{machine}")).await.expect_status(404);
        assert_eq!(answer.error_code(), "ResourceNotFound");
    }
    let token = bag.token(&["Machine.LiveResponse"]).await;
    let mut raw = Raw::connect(&bag.url()).await;
    let head = format!(
        "POST /api/machines/x/runliveresponse HTTP/1.1\r\nHost: bag.example\r\nAuthorization: Bearer {token}\r\n\
         Expect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    );
    raw.send(head).await.expect("an open connection");
    assert_eq!(raw.response(SOON).await.expect("an answer").status, 404);
}

async fn each_call_needs_its_permission() {
    let bag = options().start().await;
    let readers = bag.caller(&["Machine.Read.All"]).await;
    let writers = bag.caller(&["Machine.ReadWrite.All"]).await;
    let runners = bag.caller(&["Machine.LiveResponse"]).await;
    let managers = bag.caller(&["Library.Manage"]).await;
    let id = uuid::Uuid::new_v4();
    // Who is let in is told that there is no such thing.
    for (method, path, of) in [
        (Method::GET, "/api/machines/x".to_owned(), [true, true, false, false]),
        (Method::GET, format!("/api/machineactions/{id}"), [true, true, false, false]),
        (Method::GET, format!("/api/machineactions/{id}/commands/0/stdout"), [true, true, true, false]),
        (Method::POST, "/api/machines/x/runliveresponse".to_owned(), [false, false, true, false]),
        (Method::POST, format!("/api/machineactions/{id}/cancel"), [false, false, true, false]),
        (Method::POST, "/api/machines/x/tags".to_owned(), [false, true, false, false]),
    ] {
        for (caller, allowed) in [&readers, &writers, &runners, &managers].into_iter().zip(of) {
            let answer = caller.json(method.clone(), &path, &json!({ "Value": "t", "Action": "Add" })).await;
            assert_eq!(answer.status, if allowed { 404 } else { 403 }, "{method} {path}: {}", answer.text());
        }
    }
    let refused = managers.get("/api/machines").await.expect_status(403);
    assert_eq!(
        refused.error_message(),
        "Missing application roles. API required roles: Machine.Read.All,Machine.ReadWrite.All, application roles: \
         Library.Manage."
    );
}
