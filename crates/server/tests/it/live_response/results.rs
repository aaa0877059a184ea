//! Links to results: good without a token for what they were made for, and for nothing else.

use http::Method;
use jumpbag_server::app::Stores;
use jumpbag_server::config::{Flags, Layers};
use jumpbag_wire::time::Timestamp;

use super::agent::Agent;
use super::{act, get_file, link, operator, options, put_file, reaches, script};

both_databases!(a_link_is_good_for_one_result_and_for_a_while,);

async fn a_link_is_good_for_one_result_and_for_a_while() {
    let bag = options().start().await;
    let agent = Agent::running(&bag).await;
    let client = operator(&bag).await;
    client.upload("a.txt", "a").await.expect_status(200);
    let action = act(&client, &agent.machine, &[put_file("a.txt"), put_file("a.txt")]).await;
    reaches(&client, &action, "Succeeded").await;
    let good = link(&client, &action, 0).await;
    let anybody = bag.anonymous();
    let answer = anybody.get(&good).await.expect_status(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let head = anybody.call(Method::HEAD, &good).await.expect_status(200);
    assert!(head.body.is_empty());
    // As the original's clients spell it.
    let escaped = format!("/API/machineActions/{action}/GetLiveResponseResultDownloadLink%28index%3D1%29");
    client.get(&escaped).await.expect_status(200);

    let (path, query) = good.split_once('?').expect("a query");
    let (expires, signature) = query.split_once("&sig=").expect("a signature");
    let until: i64 = expires.strip_prefix("se=").expect("an end").parse().expect("seconds");
    let other = path.replace("/0", "/1");
    let another = path.replace(&action, &uuid::Uuid::new_v4().to_string());
    let changed = |at: usize| {
        let mut bytes = signature.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).expect("text")
    };
    for forged in [
        path.to_owned(),
        format!("{path}?{expires}"),
        format!("{path}?sig={signature}"),
        format!("{path}?{expires}&sig="),
        format!("{path}?{expires}&sig=%%%"),
        format!("{path}?{expires}&sig={}", changed(0)),
        format!("{path}?{expires}&sig={}", changed(40)),
        format!("{path}?se={}&sig={signature}", until + 1),
        format!("{path}?se=1&sig={signature}"),
        format!("{other}?{query}"),
        format!("{another}?{query}"),
    ] {
        let answer = anybody.get(&forged).await.expect_status(403);
        assert_eq!(answer.error_code(), "Forbidden", "{forged}");
        // A token does not help.
        client.get(&forged).await.expect_status(403);
    }
    for odd in ["index=2", "index=-1", "index=x", "index=", "index=99999999999", "index=0,1"] {
        let path = format!("/api/machineactions/{action}/GetLiveResponseResultDownloadLink({odd})");
        client.get(&path).await.expect_status(404);
    }
    for path in [
        format!("/api/machineactions/{action}/other"),
        format!("/api/machineactions/{action}/GetLiveResponseResultDownloadLink"),
    ] {
        client.get(&path).await.expect_status(404);
    }
    anybody.get("/liveresponseresults/x/y").await.expect_status(404);
}

#[tokio::test]
async fn a_file_that_did_not_come_has_no_link() {
    let bag = options().start().await;
    let agent = Agent::running(&bag).await;
    let client = operator(&bag).await;
    let action = act(&client, &agent.machine, &[get_file("/nowhere/at/all")]).await;
    reaches(&client, &action, "Failed").await;
    let path = format!("/api/machineactions/{action}/GetLiveResponseResultDownloadLink(index=0)");
    let refused = client.get(&path).await.expect_status(404);
    let message = refused.error_message();
    assert!(message.contains("brought no file: ") && message.contains("/nowhere/at/all"), "{message}");
    client.get(&format!("/api/machineactions/{action}/commands/0/result")).await.expect_status(404);
}

#[tokio::test]
async fn what_was_done_long_ago_goes() {
    let bag = options().set("action_retention_days", 10).start().await;
    let agent = Agent::running(&bag).await;
    let client = operator(&bag).await;
    let text = "#!/bin/sh\nhead -c 100000 /dev/zero\n";
    client.upload("zero.sh", text).await.expect_status(200);
    let old = act(&client, &agent.machine, &[script("zero.sh")]).await;
    reaches(&client, &old, "Succeeded").await;
    assert!(bag.stop().await.success());
    let folder = bag.data_dir().display().to_string();
    let settings = ["data_dir", "action_retention_days"].map(|key| {
        let value = if key == "data_dir" { folder.clone() } else { "10".into() };
        (format!("--{key}"), key.to_owned(), value)
    });
    let flags = Flags { config: None, settings: settings.into() };
    let settings = Layers::gather(&flags, std::iter::empty()).settings().expect("good settings");
    let stores = Stores::open(&settings).await.expect("the server's database");
    let actions = stores.actions(&settings);
    let now = Timestamp::now();
    assert_eq!(actions.sweep(now.plus_secs(9 * 24 * 3600)).await.expect("a sweep"), 0);
    assert_eq!(actions.sweep(now.plus_secs(11 * 24 * 3600)).await.expect("a sweep"), 1);
    drop(stores);
    bag.restart().await;
    let client = operator(&bag).await;
    client.get(&format!("/api/machineactions/{old}")).await.expect_status(404);
    client.get(&format!("/api/machineactions/{old}/commands/0/stdout")).await.expect_status(404);
    assert!(
        client.get("/api/libraryfiles/zero.sh/versions/1/runs").await.expect_status(200).value().is_empty()
    );
    let entries =
        client.get("/api/audit?$filter=action%20eq%20'action.remove'").await.expect_status(200).value();
    assert_eq!((entries.len(), &entries[0]["target"]), (1, &serde_json::json!(old)));
    assert_eq!(entries[0]["before"]["output"][0][0]["size"], 100_000, "{entries:?}");
}
