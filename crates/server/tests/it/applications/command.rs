//! `clients change`: the same at the server's command line.

use serde_json::{Value, json};

use super::{admin, show};
use crate::support::server::Jumpbag;

#[tokio::test]
async fn the_command_line_changes_what_the_api_changes() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let app = bag.register("SOAR", &["Library.Manage"]).await;
    let admin = admin(&bag).await;
    let changed = async |more: &[&str]| -> Value {
        let arguments = [&["clients", "change", &app.client_id], more].concat();
        let (status, stdout, stderr) = bag.command(&arguments).await;
        assert!(status.success(), "{stderr}");
        assert!(stdout.starts_with(&format!("changed: {}", app.client_id)), "{stdout}");
        show(&admin, &app.client_id).await
    };
    let first = changed(&[
        "--name",
        "Runner",
        "--permission",
        "Audit.Read",
        "--permission",
        "Machine.LiveResponse",
        "--redirect-uri",
        "https://app.example/",
        "--expires",
        "2999-01-31",
    ])
    .await;
    assert_eq!(first["displayName"], "Runner");
    assert_eq!(first["permissions"], json!(["Audit.Read", "Machine.LiveResponse"]));
    assert_eq!(first["redirectUris"], json!(["https://app.example/"]));
    assert_eq!(first["expirationDateTime"], "2999-01-31T00:00:00Z");
    let second = changed(&["--no-permissions", "--no-redirect-uris", "--expires", "never"]).await;
    assert_eq!((&second["permissions"], &second["redirectUris"]), (&json!([]), &json!([])));
    assert_eq!((&second["expirationDateTime"], &second["displayName"]), (&Value::Null, &json!("Runner")));

    let id = app.client_id.as_str();
    for (arguments, said) in [
        (vec![id], "nothing to change"),
        (vec!["nobody", "--name", "x"], "client `nobody` was not found"),
        (vec![id, "--name", " "], "1 to 256 bytes"),
        (vec![id, "--permission", "All"], "permission `All`: expected one of Library.Manage"),
        (vec![id, "--expires", "2001-01-01"], "--expires `2001-01-01`: expected a time to come"),
        (
            vec![id, "--expires", "+10000-01-01"],
            "--expires `+10000-01-01`: expected a time to come, up to the year 9999",
        ),
        (vec![id, "--redirect-uri", "http://app.example/"], "expected https"),
        (vec![id, "--no-permissions", "--permission", "Audit.Read"], "cannot be used with"),
    ] {
        let (status, _, stderr) = bag.command(&[&["clients", "change"], &arguments[..]].concat()).await;
        assert!(!status.success() && stderr.contains(said), "{arguments:?}: {stderr}");
    }
    let reader = bag.caller(&["Audit.Read"]).await;
    let log = reader.get("/api/audit?$filter=action eq 'client.change'").await.expect_status(200).value();
    assert_eq!(log.len(), 2);
    assert_eq!(
        (&log[0]["actor"], &log[0]["actorId"]),
        (&json!("operator"), &json!("command:clients change"))
    );
}
