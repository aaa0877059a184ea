//! The OpenAPI document: current, valid, and a list of every route from which none can be missing. What it says of
//! who may call is tried on every operation.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use crate::support::client::{Answer, Client};
use crate::support::clients::python;
use crate::support::oidc::OidcProvider;
use crate::support::repository;
use crate::support::server::Jumpbag;

/// One method of one path.
struct Operation {
    method: Method,
    path: String,
    /// The permissions of which one is needed; `None` where anybody may call.
    permissions: Option<Vec<String>>,
}

impl Operation {
    fn shown(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    async fn call(&self, client: &Client, tenant: &str) -> Answer {
        let path = [
            ("{tenant}", tenant),
            ("{fileName}", "a.ps1"),
            ("{id}", "1"),
            ("{version}", "1"),
            ("{other}", "2"),
            ("{index}", "0"),
            ("{appId}", "1"),
            ("{stream}", "stdout"),
            ("{function}", "GetLiveResponseResultDownloadLink(index=0)"),
        ]
        .iter()
        .fold(self.path.clone(), |path, (parameter, value)| path.replace(parameter, value));
        // A stream has no end: this one is asked for what it refuses.
        let path = path.replace("/library/events", "/library/events?after=never");
        assert!(!path.contains('{'), "`{path}`: say here what stands for its parameters");
        client.call(self.method.clone(), &path).await
    }
}

fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&generated()).expect("JSON");
    let paths = document["paths"].as_object().expect("paths").clone();
    let mut operations = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("operations") {
            let Ok(method) = method.to_uppercase().parse::<Method>() else {
                panic!("`{path}`: `{method}` is no method");
            };
            let permissions = operation.get("security").map(|security| {
                let alternatives = security.as_array().expect("alternatives").iter();
                let scopes = alternatives.flat_map(|one| one["oauth2"].as_array().expect("scopes"));
                scopes.map(|scope| scope.as_str().expect("a scope").to_string()).collect()
            });
            operations.push(Operation { method, path: path.clone(), permissions });
        }
    }
    operations
}

fn generated() -> String {
    let document = jumpbag_server::http::openapi().to_pretty_json().expect("a document");
    format!("{document}\n")
}

#[tokio::test]
async fn the_document_that_is_checked_in_is_the_one_that_is_served() {
    let file = repository().join("docs/openapi.json");
    if std::env::var_os("UPDATE_OPENAPI").is_some_and(|value| value == "1") {
        std::fs::write(&file, generated()).expect("write the document");
    }
    let checked_in = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        checked_in == generated(),
        "docs/openapi.json is not what the code says: run this test with UPDATE_OPENAPI=1"
    );
    let bag = Jumpbag::start().await;
    let served = bag.anonymous().get("/openapi.json").await.expect_status(200);
    assert_eq!(served.header("content-type"), Some("application/json"));
    assert_eq!(served.text().trim_end(), checked_in.trim_end());
    let (status, printed, _) = bag.command(&["openapi"]).await;
    assert!(status.success());
    assert_eq!(printed.trim_end(), checked_in.trim_end());
}

#[tokio::test]
async fn the_document_is_valid() {
    let document = repository().join("docs/openapi.json");
    let version = python("validate_openapi.py").arg(document).run().await.json();
    assert!(version.as_str().is_some_and(|version| version.starts_with("3.1.")), "{version}");
}

/// What anybody may call is said here once more: an operation that forgot its security does not pass for public.
#[test]
fn only_these_operations_are_open_to_all() {
    let open: BTreeSet<String> = operations()
        .iter()
        .filter(|operation| operation.permissions.is_none())
        .map(Operation::shown)
        .collect();
    let wanted = [
        "GET /.well-known/openid-configuration",
        "GET /api",
        "GET /api/$metadata",
        "GET /common/discovery/instance",
        "GET /device",
        "GET /{tenant}/.well-known/openid-configuration",
        "GET /{tenant}/discovery/keys",
        "GET /{tenant}/discovery/v2.0/keys",
        "GET /{tenant}/oauth2/v2.0/authorize",
        "GET /{tenant}/oauth2/v2.0/logout",
        "GET /{tenant}/v2.0/.well-known/openid-configuration",
        "POST /device",
        "POST /{tenant}/oauth2/token",
        "POST /{tenant}/oauth2/v2.0/authorize",
        "POST /{tenant}/oauth2/v2.0/devicecode",
        "POST /{tenant}/oauth2/v2.0/logout",
        "POST /{tenant}/oauth2/v2.0/token",
    ];
    assert_eq!(open, wanted.map(str::to_string).into());
}

/// Where only a form counts that a page of ours has given out.
const FORMS: [&str; 3] =
    ["POST /device", "POST /{tenant}/oauth2/v2.0/authorize", "POST /{tenant}/oauth2/v2.0/logout"];

#[tokio::test]
async fn every_operation_is_there_and_protected_as_it_says() {
    let provider = OidcProvider::start().await;
    provider.configure(json!({ "roles": ["Alert.Read.All"] })).await;
    let issuer = provider.issuer();
    let bag = Jumpbag::options()
        .set(
            "issuers",
            format!(
                "[{{ issuer = \"{issuer}\", audiences = [\"{}\"], allow_http_loopback = true }}]",
                OidcProvider::AUDIENCE
            ),
        )
        .set("library_calls_per_minute", 1)
        .set("machine_calls_per_minute", 1)
        .set("live_response_calls_per_minute", 1)
        .start()
        .await;
    let tenant = bag.register("somebody", &["Library.Manage"]).await.tenant;
    let strangers = bag.anonymous().with_token(&provider.token().await);
    for operation in operations() {
        let shown = operation.shown();
        let answer = operation.call(&bag.anonymous(), &tenant).await;
        if FORMS.contains(&shown.as_str()) {
            assert_eq!(answer.status, 403, "{shown}: {}", answer.text());
            assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{shown}");
            continue;
        }
        let Some(permissions) = &operation.permissions else {
            assert!(![401, 403, 404, 405, 429].contains(&answer.status), "{shown}: {}", answer.text());
            assert!(answer.status < 500, "{shown}: {}", answer.text());
            continue;
        };
        assert_refused(&shown, &answer, 401, "Unauthorized");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{shown}");
        let nonsense = bag.anonymous().with_token("nonsense");
        let answer = operation.call(&nonsense, &tenant).await;
        assert_refused(&shown, &answer, 401, "Unauthorized");
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{shown}: {challenge}");

        let answer = operation.call(&strangers, &tenant).await;
        assert_refused(&shown, &answer, 403, "Forbidden");
        // As the original says it, where the original has a permission that would do.
        let original = permissions.iter().find(|permission| *permission == "Library.Manage");
        assert_eq!(
            answer.error_message(),
            format!(
                "Missing application roles. API required roles: {}, application roles: Alert.Read.All.",
                original.cloned().unwrap_or_else(|| permissions.join(","))
            ),
            "{shown}"
        );

        // Each permission alone is enough, and its quota, of one call here, is all that stops the second one.
        for permission in permissions {
            let registration = bag.register(&format!("{shown} {permission}"), &[permission]).await;
            let token = bag.request_token(&registration).await.expect_status(200).json();
            let client = bag.anonymous().with_token(token["access_token"].as_str().expect("a token"));
            let answer = operation.call(&client, &tenant).await;
            assert!(![401, 403, 429].contains(&answer.status), "{shown}: {}", answer.text());
            assert!(answer.status < 500, "{shown}: {}", answer.text());
            let answer = operation.call(&client, &tenant).await;
            assert_refused(&shown, &answer, 429, "TooManyRequests");
            assert!(answer.header("retry-after").is_some(), "{shown}");
        }
    }
}

fn assert_refused(shown: &str, answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{shown}: {}", answer.text());
    assert_eq!(answer.error_code(), code, "{shown}");
    assert_eq!(answer.json()["error"]["target"].as_str(), answer.header("request-id"), "{shown}");
}
