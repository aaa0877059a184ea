//! Calls that began while they were allowed, and whose bodies come when they are not any more.

use serde_json::json;

use crate::support::SOON;
use crate::support::poll::eventually;
use crate::support::raw::{Raw, RawResponse};
use crate::support::server::Jumpbag;

/// A call whose sender was let in, and whose body the server waits for.
struct Begun {
    raw: Raw,
    body: String,
}

impl Begun {
    async fn new(bag: &Jumpbag, method: &str, path: &str, who: &str, kind: &str, body: String) -> Begun {
        let mut raw = Raw::connect(&bag.url()).await;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: bag.example\r\n{who}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
             Expect: 100-continue\r\nConnection: close\r\n\r\n",
            body.len()
        );
        raw.send(head).await.expect("the head is sent");
        let asked = raw.head(SOON).await.expect("an answer to the head");
        assert_eq!(asked.status, 100, "{path}: its sender is allowed");
        Begun { raw, body }
    }

    async fn ends(mut self) -> RawResponse {
        self.raw.send(&self.body).await.expect("the body is sent");
        self.raw.response(SOON).await.expect("an answer")
    }
}

/// One call of each kind that changes something.
async fn begun(bag: &Jumpbag, who: &str) -> Vec<Begun> {
    let form =
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"late.ps1\"\r\n\r\nx\r\n--b--\r\n";
    let app = json!({ "displayName": "late", "permissions": ["Library.Manage"] });
    let mut all = Vec::new();
    for (method, path, kind, body) in [
        ("POST", "/api/libraryfiles", "multipart/form-data; boundary=b", form.to_owned()),
        (
            "PATCH",
            "/api/libraryfiles/a.ps1",
            "application/json",
            json!({ "description": "late" }).to_string(),
        ),
        ("POST", "/api/applications", "application/json", app.to_string()),
        (
            "POST",
            "/api/libraryfiles/a.ps1/legalhold",
            "application/json",
            json!({ "hold": true, "reason": "late" }).to_string(),
        ),
    ] {
        all.push(Begun::new(bag, method, path, who, kind, body).await);
    }
    all
}

async fn nothing_was_done(bag: &Jumpbag) {
    assert_eq!(bag.names().await, ["a.ps1"]);
    let file = &bag.list().await.value()[0];
    assert_eq!((&file["description"], &file["legalHold"]), (&json!(null), &json!(false)));
    let apps =
        bag.caller(&["Application.ReadWrite.All"]).await.get("/api/applications").await.expect_status(200);
    assert!(!apps.text().contains("late"), "{}", apps.text());
}

#[tokio::test]
async fn an_app_that_is_removed_while_it_sends_has_sent_for_nothing() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    bag.upload("a.ps1", "x").await.expect_status(200);
    let app = bag.register("leaving", &["Library.Manage", "Application.ReadWrite.All"]).await;
    let answer = bag.request_token(&app).await.expect_status(200).json();
    let token = answer["access_token"].as_str().expect("a token");
    let calls = begun(&bag, &format!("Authorization: Bearer {token}")).await;
    let (ok, _, stderr) = bag.command(&["clients", "remove", &app.client_id]).await;
    assert!(ok.success(), "{stderr}");
    // What is known of apps is believed for a second.
    let client = bag.anonymous().with_token(token);
    eventually("the app is out", async || {
        (client.get("/api/libraryfiles").await.status == 401).then_some(())
    })
    .await;
    for call in calls {
        assert_eq!(call.ends().await.status, 401);
    }
    nothing_was_done(&bag).await;
}

#[tokio::test]
async fn a_permission_that_is_taken_away_meanwhile_counts_no_more() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    bag.upload("a.ps1", "x").await.expect_status(200);
    let app = bag.register("less", &["Library.Manage", "Application.ReadWrite.All"]).await;
    let answer = bag.request_token(&app).await.expect_status(200).json();
    let token = answer["access_token"].as_str().expect("a token");
    let calls = begun(&bag, &format!("Authorization: Bearer {token}")).await;
    let (ok, _, stderr) =
        bag.command(&["clients", "change", &app.client_id, "--permission", "Library.Read"]).await;
    assert!(ok.success(), "{stderr}");
    let client = bag.anonymous().with_token(token);
    eventually("it has less", async || (client.get("/api/applications").await.status == 403).then_some(()))
        .await;
    for call in calls {
        assert_eq!(call.ends().await.status, 403);
    }
    nothing_was_done(&bag).await;
}

#[tokio::test]
async fn a_user_who_signs_out_while_a_page_sends_has_sent_for_nothing() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    bag.upload("a.ps1", "x").await.expect_status(200);
    let browser = crate::console::someone(&bag).await;
    let cookie = format!(
        "Cookie: jumpbag-console={}\r\nSec-Fetch-Site: same-origin",
        browser.cookies["jumpbag-console"]
    );
    let calls = begun(&bag, &cookie).await;
    let (ok, _, stderr) = bag.command(&["users", "disable", "alice"]).await;
    assert!(ok.success(), "{stderr}");
    for call in calls {
        assert_eq!(call.ends().await.status, 401);
    }
    nothing_was_done(&bag).await;
}

/// One that dribbles is ended while it is still of use to nobody.
#[tokio::test]
async fn heavy_a_json_body_has_half_a_minute_however_busy_it_is() {
    let bag = Jumpbag::start().await;
    let who = format!("Authorization: Bearer {}", bag.token(&["Application.ReadWrite.All"]).await);
    let body = " ".repeat(10_000);
    let mut call = Begun::new(&bag, "POST", "/api/applications", &who, "application/json", body).await;
    let began = std::time::Instant::now();
    let answer = loop {
        // The next byte goes when the server has been silent for a second.
        match call.raw.response(std::time::Duration::from_secs(1)).await {
            Ok(answer) => break answer,
            Err(_) => drop(call.raw.send(" ").await),
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "it goes on for ever");
    };
    assert_eq!(answer.status, 408);
    assert!(began.elapsed() > std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}
