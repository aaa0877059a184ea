//! Links to results: good without a token for what they were made for, and for nothing else.

use http::Method;

use super::agent::Agent;
use super::{act, link, operator, options, put_file, reaches};

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
