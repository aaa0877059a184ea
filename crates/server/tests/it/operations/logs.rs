//! The log: one line a request, and never a token, a secret or content.

use std::collections::HashMap;

use base64::Engine;
use serde_json::Value;

use crate::support::client::Client;
use crate::support::server::{Jumpbag, Registration};

#[tokio::test]
async fn every_request_has_one_line_with_all_that_is_known_of_it() {
    let bag = Jumpbag::options().set("log_format", "json").start().await;
    let registration = bag.register("logged", &["Library.Manage"]).await;
    let token = bag.request_token(&registration).await.expect_status(200).json();
    let client = bag.anonymous().with_token(token["access_token"].as_str().expect("a token"));
    let caller = format!("app {} {}", registration.tenant, registration.client_id);
    let mut wanted = HashMap::new();
    let anonymous = bag.anonymous();
    for (answer, caller, method, route) in [
        (client.upload("a.ps1", "12345").await, caller.as_str(), "POST", "/api/libraryfiles"),
        (client.get("/API/LibraryFiles/").await, &caller, "GET", "/api/libraryfiles"),
        (client.get("/api/libraryfiles/absent").await, &caller, "GET", "/api/libraryfiles/{fileName}"),
        (client.delete("/api/libraryfiles/a.ps1").await, &caller, "DELETE", "/api/libraryfiles/{fileName}"),
        (anonymous.get("/api/libraryfiles").await, "-", "GET", "/api/libraryfiles"),
        (anonymous.get("/nothing").await, "-", "GET", "none"),
    ] {
        let id = answer.header("request-id").expect("a request id").to_string();
        wanted.insert(id, (answer, caller.to_string(), method, route));
    }
    assert!(bag.stop().await.success());
    let logs = bag.logs();
    let mut seen = 0;
    for line in logs.lines() {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON ({error}): {line}"));
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
        let id = line["request_id"].as_str().unwrap_or_default();
        let Some((answer, caller, method, route)) = wanted.get(id) else {
            continue;
        };
        seen += 1;
        assert_eq!(line["message"], "request", "{line}");
        assert_eq!(line["level"], "INFO", "{line}");
        assert_eq!(line["caller"], caller.as_str(), "{line}");
        assert_eq!(line["address"], "127.0.0.1", "{line}");
        assert_eq!(line["method"], *method, "{line}");
        assert_eq!(line["route"], *route, "{line}");
        assert_eq!(line["status"], answer.status, "{line}");
        assert!(line["ms"].as_f64().is_some_and(|ms| ms > 0.0), "{line}");
        assert_eq!(line["sent"], answer.body.len(), "{line}");
        let received = line["received"].as_u64().expect("bytes");
        assert_eq!(received > 0, *method == "POST", "{line}");
    }
    assert_eq!(seen, wanted.len(), "one line a request:\n{logs}");
}

/// Everything that must stay out of the log is used, well and badly, with the log as talkative as it can be.
#[tokio::test]
async fn nothing_secret_reaches_the_log() {
    for format in ["human", "json"] {
        let bag = Jumpbag::options().set("log_format", format).set("log_level", "trace").start().await;
        let registration = bag.register("keeper", &["Library.Manage"]).await;
        let token = bag.request_token(&registration).await.expect_status(200).json();
        let token = token["access_token"].as_str().expect("a token").to_string();
        let content = "content-that-nobody-may-read";
        let description = "description-that-nobody-may-read";
        let client = bag.anonymous().with_token(&token);
        for size in [1, 20_000] {
            let upload = client.upload("secret.ps1", content.repeat(size)).override_if_exists();
            upload.description(description).await.expect_status(200);
        }
        let two =
            reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("an HTTP client");
        let two = Client::new(two, &bag.url(), Some(token.clone()));
        let upload = two.upload("secret.ps1", content).override_if_exists();
        upload.await.expect_status(200);
        // Refused in every way that has something to say.
        client.upload("secret.ps1", content).await.expect_status(400);
        client.upload("a/b", content).await.expect_status(400);
        client.upload("boolean.ps1", content).field("HasParameters", "x").await.expect_status(400);
        let tampered = format!("{}x", token);
        bag.anonymous().with_token(&tampered).get("/api/libraryfiles").await.expect_status(401);
        let wrong = Registration {
            client_secret: "wrong-secret-that-nobody-may-read".into(),
            ..registration.clone()
        };
        bag.request_token(&wrong).await.expect_status(401);
        let basic = format!("{}:{}", registration.client_id, registration.client_secret);
        let basic = base64::engine::general_purpose::STANDARD.encode(basic);
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", "https://api.securitycenter.microsoft.com/.default"),
        ];
        bag.anonymous()
            .post(&format!("/{}/oauth2/v2.0/token", registration.tenant))
            .with(|request| request.header("authorization", format!("Basic {basic}")).form(&form))
            .await
            .expect_status(200);
        // A failure of the server's own, which is told at length.
        let folder = bag.data_dir().join("blobs");
        std::fs::rename(&folder, bag.data_dir().join("away")).expect("move the folder away");
        std::fs::write(&folder, "no folder").expect("put a file in its place");
        client.upload("failed.bin", content.repeat(20_000)).await.expect_status(500);
        bag.logged(&["ERROR"]).await;
        assert!(bag.stop().await.success());

        let signature = token.rsplit('.').next().expect("three parts").to_string();
        let keys = std::fs::read_dir(bag.data_dir()).expect("the data folder").count();
        assert!(keys > 0);
        let logs = bag.logs();
        assert!(logs.contains("request_id"), "{logs}");
        for (what, secret) in [
            ("token", token.as_str()),
            ("signature", &signature),
            ("secret", &registration.client_secret),
            ("wrong secret", &wrong.client_secret),
            ("Basic credentials", &basic),
            ("content", content),
            ("description", description),
            ("private key", "PRIVATE KEY"),
        ] {
            let line = logs.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{what} in the log ({format})");
        }
    }
}
