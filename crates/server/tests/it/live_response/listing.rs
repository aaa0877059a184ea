//! Machines and actions in collections: OData, tags, and the audit log of it.

use http::Method;
use serde_json::{Value, json};

use super::agent::Agent;
use super::{act, cancel, get_file, operator, options};
use crate::support::client::Client;

both_databases!(machines_are_asked_for_by_what_they_are, tags_come_and_go, actions_are_listed_newest_first,);

async fn ids(client: &Client, query: &str) -> Vec<String> {
    let answer = client.get(query).await.expect_status(200);
    answer.value().iter().map(|entity| entity["id"].as_str().expect("an id").to_owned()).collect()
}

async fn machines_are_asked_for_by_what_they_are() {
    let bag = options().start().await;
    let mut machines = Vec::new();
    for tag in ["dmz", "lab"] {
        machines.push(Agent::enrolled(&bag, &["--tag", tag, "--tag", "ünï"]).await.machine);
    }
    let client = operator(&bag).await;
    let name = client.get(&format!("/api/machines/{}", machines[0])).await.json()["computerDnsName"].clone();
    let name = name.as_str().expect("a name").to_owned();
    let both = {
        let mut both = machines.clone();
        both.sort();
        both
    };
    for (filter, wanted) in [
        (format!("computerDnsName eq '{name}'"), both.clone()),
        (format!("id eq '{}'", machines[0]), vec![machines[0].clone()]),
        ("osPlatform eq 'Linux' and machineTags/any(t: t eq 'dmz')".into(), vec![machines[0].clone()]),
        ("machineTags/any(t: t eq 'ünï')".into(), both.clone()),
        ("osPlatform eq 'Windows11'".into(), vec![]),
        ("lastSeen gt 2020-01-01T00:00:00Z".into(), both.clone()),
        ("firstSeen lt 2020-01-01T00:00:00Z".into(), vec![]),
        ("healthStatus eq 'Active' and riskScore eq 'None' and exposureLevel ne 'High'".into(), both.clone()),
        ("healthStatus in ('Inactive')".into(), vec![]),
        (
            "onboardingStatus eq 'Onboarded' and deviceValue eq 'Normal' and rbacGroupId eq 0".into(),
            both.clone(),
        ),
        ("aadDeviceId eq null and isAadJoined eq false".into(), both.clone()),
        ("managedBy eq 'Intune'".into(), vec![]),
        ("lastIpAddress eq '203.0.113.9'".into(), vec![]),
    ] {
        let filter: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
        assert_eq!(ids(&client, &format!("/api/machines?$filter={filter}")).await, wanted, "{filter}");
    }
    let first = client.get("/api/machines?$top=1&$count=true&$select=id").await.expect_status(200).json();
    assert_eq!((&first["@odata.count"], &first["value"]), (&json!(2), &json!([{ "id": both[0] }])));
    assert_eq!(ids(&client, "/api/machines?$skip=1").await, both[1..]);
    assert_eq!(ids(&client, "/api/machines?$orderby=id%20desc").await, [both[1].clone(), both[0].clone()]);
    let chosen =
        client.get("/api/machines?$select=osVersion,healthStatus,ipAddresses").await.expect_status(200);
    let properties: Vec<_> = chosen.value()[0].as_object().expect("a machine").keys().cloned().collect();
    assert_eq!(properties, ["healthStatus", "ipAddresses", "osVersion"]);
    let refused = client.get("/api/machines?$filter=osVersion%20eq%20'x'").await.expect_status(400);
    assert!(refused.text().contains("`osVersion` can be selected, but neither filtered nor ordered by"));
    for bad in [
        "$orderby=ipAddresses",
        "$filter=nothing%20eq%201",
        "$top=10001",
        "$orderby=nothing",
        "$select=nothing",
        "$skiptoken=x",
    ] {
        client.get(&format!("/api/machines?{bad}")).await.expect_status(400);
    }
    let by_name =
        client.get(&format!("/api/machines/{}", name.to_uppercase())).await.expect_status(200).json();
    assert!(machines.contains(&by_name["id"].as_str().expect("an id").to_owned()));
    assert!(by_name["@odata.context"].as_str().is_some_and(|context| context.ends_with("#Machines/$entity")));
}

async fn tags_come_and_go() {
    let bag = options().start().await;
    let agent = Agent::enrolled(&bag, &[]).await;
    let client = operator(&bag).await;
    let path = format!("/api/machines/{}/tags", agent.machine);
    let tag = async |value: &str, action: &str| {
        client.json(Method::POST, &path, &json!({ "Value": value, "Action": action })).await
    };
    let tags =
        |answer: crate::support::client::Answer| answer.expect_status(200).json()["machineTags"].clone();
    assert_eq!(tags(tag("a", "Add").await), json!(["a"]));
    assert_eq!(tags(tag(" é ", "add").await), json!(["a", "é"]));
    assert_eq!(tags(tag("é", "Add").await), json!(["a", "é"]), "once");
    assert_eq!(tags(tag("b", "Remove").await), json!(["a", "é"]), "it has none");
    assert_eq!(tags(tag("a", "Remove").await), json!(["é"]));
    assert_eq!(
        client.get(&format!("/api/machines/{}", agent.machine)).await.json()["machineTags"],
        json!(["é"])
    );
    for (value, action) in
        [("", "Add"), (" ", "Add"), ("a\n", "x"), ("a\tb", "Add"), (&"x".repeat(201), "Add"), ("a", "")]
    {
        tag(value, action).await.expect_status(400);
    }
    for n in 0..63 {
        tag(&format!("t{n}"), "Add").await.expect_status(200);
    }
    tag("one more", "Add").await.expect_status(400);
    let entries = client.get("/api/audit?$filter=action%20eq%20'machine.tag'&$top=1").await.value();
    assert_eq!(
        (&entries[0]["target"], &entries[0]["after"]["machineTags"]),
        (&json!(agent.machine), &json!(["a"]))
    );
}

async fn actions_are_listed_newest_first() {
    let bag = options().start().await;
    let (one, two) = (Agent::enrolled(&bag, &[]).await, Agent::enrolled(&bag, &[]).await);
    let client = operator(&bag).await;
    let mut made = Vec::new();
    for machine in [&one.machine, &two.machine, &one.machine] {
        let action = act(&client, machine, &[get_file("/x")]).await;
        if made.is_empty() {
            cancel(&client, &action).await.expect_status(200);
        }
        made.insert(0, action);
    }
    assert_eq!(ids(&client, "/api/machineactions").await, made);
    let time =
        client.get(&format!("/api/machineactions/{}", made[1])).await.json()["creationDateTimeUtc"].clone();
    let time = time.as_str().expect("a time").to_owned();
    for (filter, wanted) in [
        ("status eq 'Cancelled'".to_owned(), vec![2]),
        ("status in ('Pending','InProgress')".into(), vec![0, 1]),
        (format!("machineId eq '{}'", one.machine), vec![0, 2]),
        (format!("machineId eq '{}' and status eq 'Pending'", one.machine), vec![0]),
        ("type eq 'LiveResponse'".into(), vec![0, 1, 2]),
        ("type eq 'Isolate'".into(), vec![]),
        (format!("id eq '{}'", made[1]), vec![1]),
        (format!("creationDateTimeUtc ge {time}"), vec![0, 1]),
        ("requestorComment eq 'a test'".into(), vec![0, 1, 2]),
        ("requestor eq 'nobody'".into(), vec![]),
    ] {
        let wanted: Vec<_> = wanted.into_iter().map(|n: usize| made[n].clone()).collect();
        let query: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
        assert_eq!(ids(&client, &format!("/api/machineactions?$filter={query}")).await, wanted, "{filter}");
    }
    assert_eq!(ids(&client, "/api/machineactions?$top=1&$skip=1").await, made[1..2]);
    let oldest = ids(&client, "/api/machineactions?$orderby=creationDateTimeUtc").await;
    assert_eq!(oldest, made.iter().rev().cloned().collect::<Vec<_>>());
    let shown: Value =
        client.get(&format!("/api/machineactions/{}", made[0])).await.expect_status(200).json();
    assert_eq!((&shown["type"], &shown["requestSource"]), (&json!("LiveResponse"), &json!("PublicApi")));
    for absent in ["x".to_owned(), uuid::Uuid::new_v4().to_string()] {
        let answer = client.get(&format!("/api/machineactions/{absent}")).await.expect_status(404);
        assert_eq!(answer.error_code(), "ResourceNotFound");
        cancel(&client, &absent).await.expect_status(404);
    }
}
