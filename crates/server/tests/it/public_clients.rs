//! Unmodified public clients against the server: only its address is theirs to know.

use serde_json::Value;

use crate::support::clients::{Script, node_script, python, shell};
use crate::support::server::{Jumpbag, Registration};

#[tokio::test]
async fn azure_identity_gets_a_token_and_uses_the_library_over_tls() {
    let bag = Jumpbag::options().tls().start().await;
    let registration = bag.register("azure-identity", &["Library.Manage"]).await;
    let answers = with_registration(python("azure_identity.py"), &bag, &registration).run().await.json();
    assert_toured(&answers, "from-azure-identity.ps1");
}

#[tokio::test]
async fn msal_gets_a_token_by_secret_and_uses_the_library_over_tls() {
    let bag = Jumpbag::options().tls().start().await;
    let registration = bag.register("msal", &["Library.Manage"]).await;
    for authority in ["authority", "oidc_authority"] {
        let script =
            with_registration(python("msal_client.py"), &bag, &registration).arg(authority).arg("secret");
        assert_toured(&script.run().await.json(), &format!("from-msal-{authority}-secret.ps1"));
    }
}

#[tokio::test]
async fn requests_uploads_in_the_ways_its_users_do() {
    let bag = Jumpbag::start().await;
    let token = bag.token(&["Library.Manage"]).await;
    let script = python("requests_client.py").env("BASE_URL", bag.url()).env("TOKEN", token);
    let answers = script.run().await.json();
    let entity = |way: &str| {
        assert_eq!(answers[way]["status"], 200, "{way}: {}", answers[way]);
        &answers[way]["body"]
    };
    assert_eq!(entity("nameless")["fileName"], "file");
    assert_eq!(entity("nameless")["description"], "d");
    assert_eq!(entity("python_booleans")["hasParameters"], true);
    assert_eq!(entity("capital_field")["fileName"], "capital.ps1");
    assert_eq!(entity("content_type_of_its_own")["fileName"], "odd.ps1");
    assert_eq!(entity("beyond_ascii")["fileName"], "skript-äöü-脚本.ps1");
    assert_eq!(entity("beyond_ascii")["description"], "für alle");
    assert_eq!(entity("ignored_field")["fileName"], "real.ps1");
    assert_eq!(entity("empty_texts")["description"], Value::Null);
    assert_eq!(entity("empty_texts")["parametersDescription"], Value::Null);
    assert_eq!(entity("open_file")["fileName"], "from-disk.ps1");
    assert_eq!(answers["list"]["body"]["value"].as_array().expect("a collection").len(), 8);
}

#[tokio::test]
async fn fetch_sees_the_refusal_of_an_upload_it_has_not_finished_sending() {
    let bag = Jumpbag::start().await;
    let script = node_script("fetch_client.mjs").env("BASE_URL", bag.url()).arg("20000000").arg("10");
    let answers = script.run().await.json();
    let answers = answers.as_array().expect("one answer for each upload");
    assert_eq!(answers.len(), 10);
    for answer in answers {
        assert_eq!(answer["status"], 401, "{answer}");
        assert_eq!(answer["body"]["error"]["code"], "Unauthorized", "{answer}");
    }
}

#[tokio::test]
async fn the_documented_curl_example_works_but_for_host_and_token() {
    let bag = Jumpbag::start().await;
    let token = bag.token(&["Library.Manage"]).await;
    let ran =
        shell("curl_example.sh").env("BASE_URL", bag.url()).env("TOKEN", token).run().await.expect_success();
    let lines: Vec<&str> = ran.stdout.lines().filter(|line| !line.is_empty()).collect();
    let [uploaded, "200", listed, "200", "204"] = lines[..] else {
        panic!("unexpected answers:\n{}", ran.stdout)
    };
    let uploaded: Value = serde_json::from_str(uploaded).expect("an entity");
    assert_eq!(uploaded["fileName"], "mdatp1.ps1");
    assert_eq!(uploaded["description"], "test description");
    assert_eq!(uploaded["parametersDescription"], "test");
    assert_eq!(uploaded["hasParameters"], true);
    let listed: Value = serde_json::from_str(listed).expect("a collection");
    assert_eq!(listed["value"][0]["sha256"], uploaded["sha256"]);
}

fn with_registration(script: Script, bag: &Jumpbag, registration: &Registration) -> Script {
    script
        .env("BASE_URL", bag.url())
        .env("CA_FILE", bag.ca_file())
        // `requests` lets these, where a machine sets them, win over what a session was told to trust.
        .env("REQUESTS_CA_BUNDLE", bag.ca_file())
        .env("CURL_CA_BUNDLE", bag.ca_file())
        .env("TENANT", &registration.tenant)
        .env("CLIENT_ID", &registration.client_id)
        .env("CLIENT_SECRET", &registration.client_secret)
}

fn assert_toured(answers: &Value, name: &str) {
    assert_eq!(answers["upload"]["status"], 200, "{answers}");
    assert_eq!(answers["upload"]["body"]["fileName"], name, "{answers}");
    assert_eq!(answers["list"]["status"], 200, "{answers}");
    assert_eq!(answers["list"]["body"]["value"][0]["fileName"], name, "{answers}");
    assert_eq!(answers["delete"]["status"], 204, "{answers}");
}
