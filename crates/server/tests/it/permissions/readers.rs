//! Who may read may not change: every call of the library, by each permission, in roles and in scopes.

use http::Method;
use serde_json::{Value, json};

use crate::bad_input::assert_refused;
use crate::support::client::{Answer, Client};
use crate::support::form::Form;
use crate::support::oidc::OidcProvider;
use crate::support::server::Jumpbag;

/// A call and the status that somebody gets who may make it.
struct Operation {
    method: Method,
    path: String,
    body: Option<Value>,
    status: u16,
}

fn operation(method: &str, path: &str, body: Option<Value>, status: u16) -> Operation {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    Operation { method, path: path.to_owned(), body, status }
}

impl Operation {
    async fn call(&self, client: &Client) -> Answer {
        let call = client.call(self.method.clone(), &self.path);
        let call = match (&self.body, self.path.as_str()) {
            (Some(body), _) => call.with(|request| request.body(body.to_string())),
            (None, "/api/libraryfiles") if self.method == Method::POST => call.with(|request| {
                let form = Form::new().file("new.ps1", "new").end();
                request.header("content-type", Form::CONTENT_TYPE).body(form)
            }),
            (None, _) => call,
        };
        call.await
    }

    fn shown(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// Of a library with `a.ps1`, which has two versions, and a deleted file.
fn reading(id: &str) -> Vec<Operation> {
    [
        "/api/libraryfiles".to_owned(),
        "/api/libraryfiles?$search=one&$filter=size gt 0".into(),
        "/api/libraryfiles/a.ps1".into(),
        "/api/libraryfiles/a.ps1/content".into(),
        "/api/libraryfiles/a.ps1/versions".into(),
        "/api/libraryfiles/a.ps1/versions/1".into(),
        "/api/libraryfiles/a.ps1/versions/1/content".into(),
        "/api/libraryfiles/a.ps1/versions/1/diff/2".into(),
        "/api/deletedlibraryfiles".into(),
        format!("/api/deletedlibraryfiles/{id}"),
        format!("/api/deletedlibraryfiles/{id}/versions"),
        format!("/api/deletedlibraryfiles/{id}/versions/1/content"),
        "/api/library/usage".into(),
    ]
    .iter()
    .flat_map(|path| [operation("GET", path, None, 200), operation("HEAD", path, None, 200)])
    .collect()
}

/// In an order in which one may be made after the other.
fn changing(id: &str) -> Vec<Operation> {
    let gone = format!("/api/deletedlibraryfiles/{id}");
    let hold = |hold: bool| Some(json!({ "hold": hold, "reason": "r" }));
    vec![
        operation("POST", "/api/libraryfiles", None, 200),
        operation("PATCH", "/api/libraryfiles/a.ps1", Some(json!({ "tags": ["t"] })), 200),
        operation("POST", "/api/libraryfiles/a.ps1/versions/1/restore", None, 200),
        operation("POST", "/api/libraryfiles/a.ps1/legalhold", hold(true), 204),
        operation("POST", "/api/libraryfiles/a.ps1/legalhold", hold(false), 204),
        operation("DELETE", "/api/libraryfiles/a.ps1", None, 204),
        operation("POST", &format!("{gone}/legalhold"), hold(true), 204),
        operation("POST", &format!("{gone}/legalhold"), hold(false), 204),
        operation("POST", &format!("{gone}/restore"), None, 200),
        operation("DELETE", "/api/libraryfiles/gone.ps1", None, 204),
        operation("POST", &format!("{gone}/purge"), Some(json!({ "reason": "r" })), 204),
    ]
}

/// The id of the deleted file.
async fn fill(client: &Client) -> String {
    client.upload("a.ps1", "one").await.expect_status(200);
    client.upload("a.ps1", "one and two").override_if_exists().await.expect_status(200);
    let gone = client.upload("gone.ps1", "gone").await.expect_status(200).json();
    client.delete("/api/libraryfiles/gone.ps1").await.expect_status(204);
    gone["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn who_may_read_may_read_all_and_change_nothing() {
    let provider = OidcProvider::start().await;
    let issuers = format!(
        "issuers = [{{ issuer = \"{}\", audiences = [\"{}\"], allow_http_loopback = true }}]\nrate_limits = false\n",
        provider.issuer(),
        OidcProvider::AUDIENCE
    );
    let roles = |role: &str| json!({ "roles": [role] });
    let scopes =
        |scope: &str| json!({ "roles": null, "client_id": null, "sub": "u", "name": "Ada", "scp": scope });
    for (claims, form) in [
        (
            &roles as &dyn Fn(&str) -> Value,
            "Missing application roles. API required roles: Library.Manage, application roles: {}.",
        ),
        (&scopes, "Missing delegated scopes. API required scopes: Library.Manage, delegated scopes: {}."),
    ] {
        let bag = Jumpbag::options().config(&issuers).start().await;
        let somebody =
            async |permission: &str| bag.anonymous().with_token(&provider.signed(claims(permission)).await);
        let manager = somebody("Library.Manage").await;
        let reader = somebody("Library.Read").await;
        let id = fill(&manager).await;
        let state = async || {
            let audit = manager.get("/api/library/usage").await.expect_status(200).text();
            (manager.get("/api/libraryfiles").await.etag(), audit)
        };
        let before = state().await;
        for operation in reading(&id) {
            for client in [&reader, &manager] {
                assert_eq!(operation.call(client).await.status, operation.status, "{}", operation.shown());
            }
        }
        for operation in changing(&id) {
            let refused = operation.call(&reader).await;
            assert_refused(
                &operation.shown(),
                &refused,
                403,
                "Forbidden",
                &form.replace("{}", "Library.Read"),
            );
        }
        for stranger in ["Audit.Read", "Machine.Read.All", "library.read"] {
            let client = somebody(stranger).await;
            for operation in reading(&id).into_iter().chain(changing(&id)) {
                let refused = operation.call(&client).await;
                if operation.method == Method::HEAD {
                    assert_eq!(refused.status, 403, "{}", operation.shown());
                    continue;
                }
                assert_refused(&operation.shown(), &refused, 403, "Forbidden", &form.replace("{}", stranger));
            }
        }
        assert_eq!(state().await, before, "nothing was changed");
        for operation in changing(&id) {
            let answer = operation.call(&manager).await;
            assert_eq!(answer.status, operation.status, "{}: {}", operation.shown(), answer.text());
        }
    }
}
