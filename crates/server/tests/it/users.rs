//! `users`: what the command takes, says and writes down.

use serde_json::{Value, json};

use crate::sign_in::{PASSWORD, add_user, users};
use crate::support::server::Jumpbag;

async fn refused(bag: &Jumpbag, arguments: &[&str], input: &str) -> String {
    let (ok, stdout, stderr) = bag.command_with_input(arguments, input).await;
    assert!(!ok, "{arguments:?} worked: {stdout}");
    stderr
}

async fn listed(bag: &Jumpbag) -> Vec<Value> {
    serde_json::from_str(&users(bag, &["list", "--json"]).await).expect("a list")
}

#[tokio::test]
async fn users_come_change_and_go_and_the_audit_log_tells_of_it() {
    let bag = Jumpbag::start().await;
    let added = add_user(&bag, "Ada@contoso.example", &["--permission", "Library.Read", "--totp"]).await;
    let secret = added["totp_secret"].as_str().expect("a secret");
    assert_eq!(secret.len(), 32);
    assert!(added["totp_uri"].as_str().is_some_and(|uri| uri.contains(secret)), "{added}");
    let again = ["users", "add", "ADA@CONTOSO.example", "--password-stdin"];
    assert!(refused(&bag, &again, PASSWORD).await.contains("exists"));

    let ada = "ada@contoso.example";
    users(&bag, &["totp", ada, "--remove"]).await;
    let shown = users(&bag, &["totp", ada]).await;
    assert!(shown.contains("otpauth://totp/jumpbag:"), "{shown}");
    users(&bag, &["permissions", ada, "--permission", "Library.Manage", "--permission", "Machine.Read"])
        .await;
    users(&bag, &["disable", ada]).await;
    let user = listed(&bag).await.remove(0);
    assert_eq!(user["permissions"], json!(["Library.Manage", "Machine.Read"]));
    assert_eq!((&user["totp"], &user["name"]), (&json!(true), &json!("Ada@contoso.example")));
    assert!(user["disabled"].is_string(), "{user}");
    let table = users(&bag, &["list"]).await;
    assert!(table.contains("disabled") && table.contains("Library.Manage,Machine.Read"), "{table}");
    users(&bag, &["enable", ada]).await;
    users(&bag, &["sessions", ada, "--end"]).await;
    let (ok, _, stderr) =
        bag.command_with_input(&["users", "password", ada, "--password-stdin"], "quite another one").await;
    assert!(ok, "{stderr}");
    users(&bag, &["remove", ada]).await;
    assert_eq!(listed(&bag).await, Vec::<Value>::new());
    // The name is free, and whoever has it now is somebody else.
    let next = add_user(&bag, ada, &[]).await;
    assert_ne!(next["id"], added["id"]);

    let log = bag
        .caller(&["Audit.Read"])
        .await
        .get("/api/audit?$filter=startswith(action,'user.')&$orderby=number");
    let log = log.await.expect_status(200);
    let told: Vec<_> =
        log.value().iter().map(|entry| entry["action"].as_str().unwrap_or("").to_owned()).collect();
    assert_eq!(
        told,
        [
            "user.add",
            "user.totp",
            "user.totp",
            "user.permissions",
            "user.disable",
            "user.enable",
            "user.end-sessions",
            "user.password",
            "user.remove",
            "user.add"
        ]
    );
    let text = log.text();
    assert!(!text.contains(secret) && !text.contains("argon2") && !text.contains(PASSWORD), "{text}");
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_what_would_be_right() {
    let bag = Jumpbag::start().await;
    for (arguments, input, said) in [
        (vec!["add", "ada"], "elevenchars", "fewer than 12 characters"),
        (vec!["add", "ada.lovelace"], "ada.lovelace", "the user's name"),
        (vec!["add", "a b"], PASSWORD, "expected up to 128 letters"),
        (vec!["add", "<img>"], PASSWORD, "expected up to 128 letters"),
        (vec!["add", "ada", "--display-name", " "], PASSWORD, "display name"),
        (vec!["add", "ada", "--permission", "Machine.Read.All"], PASSWORD, "users have `Machine.Read`"),
        (vec!["add", "ada", "--permission", "library.manage"], PASSWORD, "expected one of Library.Manage"),
        (vec!["password", "nobody"], PASSWORD, "`users list` shows them"),
        (vec!["disable", "nobody"], "", "`users list` shows them"),
        (vec!["sessions", "nobody"], "", "--end"),
    ] {
        let mut arguments: Vec<&str> = ["users"].iter().chain(&arguments).copied().collect();
        if matches!(arguments[1], "add" | "password") {
            arguments.push("--password-stdin");
        }
        let stderr = refused(&bag, &arguments, input).await;
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}

#[tokio::test]
async fn apps_that_sign_users_in_are_registered_with_their_addresses() {
    let bag = Jumpbag::start().await;
    let app = crate::sign_in::register(&bag, &["--public", "--permission", "Library.Read"]).await;
    assert_eq!(app["client_secret"], Value::Null, "{app}");
    let (_, listed, _) = bag.command(&["clients", "list", "--json"]).await;
    let listed: Vec<Value> = serde_json::from_str(&listed).expect("a list");
    let found = listed.iter().find(|client| client["client_id"] == app["client_id"]).expect("it is there");
    assert_eq!(found["redirect_uris"], json!([crate::sign_in::CALLBACK]));
    assert_eq!((&found["public"], &found["secrets"]), (&json!(true), &json!(0)));
    for (more, said) in [
        (vec!["--redirect-uri", "http://app.example/"], "expected https"),
        (vec!["--redirect-uri", "javascript:alert(1)"], "expected https"),
        (vec!["--redirect-uri", "https://app.example/#x"], "without user, password and `#`"),
        (vec!["--public", "--secret-stdin"], "cannot be used with"),
        (vec!["--id", "Jumpbag-CLI"], "the command line's"),
        (vec!["--id", "."], "but not `.` or `..` alone"),
        (vec!["--id", ".."], "but not `.` or `..` alone"),
        (vec!["--expires", "+10000-01-01"], "up to the year 9999"),
    ] {
        let arguments: Vec<&str> =
            ["clients", "add", "x", "--permission", "Library.Read"].iter().chain(&more).copied().collect();
        let stderr = refused(&bag, &arguments, "").await;
        assert!(stderr.contains(said), "{more:?}: {stderr}");
    }
}
