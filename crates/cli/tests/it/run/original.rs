//! The original: no output before the end, no names of machines in calls, answers that get lost.

use std::time::Duration;

use crate::assert_transcript;
use crate::original::{Fault, Original};
use crate::program::Home;

async fn field() -> (Original, Home) {
    let original = Original::start().await;
    original.add_machine("web-1", &["dmz"]);
    original.put("triage.ps1", "x");
    original.put("tool.exe", "x");
    let home = Home::at(&(&original).into());
    (original, home.env("USER", "max").env("HOSTNAME", "desk"))
}

#[tokio::test]
async fn a_script_and_what_comes_of_it() {
    let (original, home) = field().await;
    original.script_says("triage.ps1", "one\r\ntwo\n", "oops\n", 0);
    original.machines_have("C:\\Temp\\x.zip", b"PK\x00");
    home.run(&["run", "web-1", "triage.ps1", "--comment", "case 4711", "--", "-Name", "two words"])
        .await
        .expect(0);
    home.run(&["run", "web-1", "triage.ps1"]).await.expect(1);
    let id = home.quietly(&["actions", "list", "--json"]).await.expect(0).json()[0]["id"].to_string();
    let id = id.trim_matches('"').to_owned();
    home.run(&["actions", "follow", &id]).await.expect(0);
    let fetch =
        ["run", "WEB-1", "triage.ps1", "--put", "tool.exe", "--get", "C:\\Temp\\x.zip", "--out", "out"];
    home.run(&[&fetch[..], &["--comment", "fetch"]].concat()).await.expect(0);
    home.run(&["actions", "list"]).await.expect(0);
    home.run(&["actions", "show", &id]).await.expect(0);
    assert_transcript!(home);
    assert_eq!(home.names("out/web-1"), ["triage.ps1.stderr", "triage.ps1.stdout", "x.zip"]);
    assert_eq!(std::fs::read(home.path("out/web-1/x.zip")).unwrap(), b"PK\x00");
    assert_eq!(home.read("out/web-1/triage.ps1.stdout"), "one\r\ntwo\n");
    let seen = original.commands_seen();
    assert_eq!(seen[0].1.param("Args"), Some("-Name \"two words\""));
    assert_eq!(seen.len(), 4);
}

/// A name from a machine is never a path.
#[tokio::test]
async fn names_that_are_paths_stay_in_the_folder() {
    let (original, home) = field().await;
    let id = original.add_machine("../../evil", &[]);
    original.machines_have("C:\\x\\..", "dots");
    original.machines_have("/a/\u{1b}[2J", "escape");
    let run = ["run", &id, "--get", "C:\\x\\..", "--get", "/a/\u{1b}[2J", "--out", "out", "--wait"];
    let ran = home.run(&run).await.expect(0);
    assert_eq!(home.names("out"), ["_.._evil"]);
    assert_eq!(home.names("out/_.._evil"), ["__2J", "file"]);
    assert!(!ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
}

/// The script is started once, whatever becomes of the answer.
#[tokio::test]
async fn an_answer_that_is_lost_starts_nothing_twice() {
    let (original, home) = field().await;
    for fault in [Fault::DropAfter, Fault::CutShort] {
        original.fail("POST /api/machines/", fault);
        home.run(&["run", "web-1", "triage.ps1", "--wait"]).await.expect(0);
    }
    assert_eq!(original.commands_seen().len(), 2);
    // Under a comment of one's own only an action that goes on can be known again.
    original.hold_actions();
    original.fail("POST /api/machines/", Fault::DropAfter);
    home.run(&["run", "web-1", "triage.ps1", "--comment", "mine"]).await.expect(0);
    assert_eq!(original.commands_seen().len(), 3);
    original.release_actions();
    original.add_machine("web-2", &[]);
    home.run(&["run", "web-2", "triage.ps1", "--comment", "mine", "--wait"]).await.expect(0);
    original.fail("POST /api/machines/", Fault::DropBefore);
    let ran = home.run(&["run", "web-2", "triage.ps1", "--comment", "mine"]).await.expect(1);
    assert!(ran.stderr.contains("whether it will be done is not known"), "{}", ran.stderr);
    assert_eq!(original.commands_seen().len(), 4);
}

/// Ten calls a minute, and more machines than that.
#[tokio::test]
async fn more_machines_than_calls_a_minute_are_all_asked() {
    let original = Original::options().minute(Duration::from_millis(1500)).start().await;
    original.put("triage.ps1", "x");
    for number in 0..13 {
        original.add_machine(&format!("web-{number}"), &["many"]);
    }
    let home = Home::at(&(&original).into());
    let ran = home.run(&["run", "triage.ps1", "--tag", "many"]).await.expect(0);
    assert_eq!(original.commands_seen().len(), 13);
    assert!(ran.stderr.contains("13 machines"), "{}", ran.stderr);
    assert!(ran.stderr.contains("the server's limit is reached"), "{}", ran.stderr);
    assert_eq!(ran.stdout.lines().count(), 15, "{}", ran.stdout);
}

#[tokio::test]
async fn downloads_that_break_off_are_made_again() {
    let (original, home) = field().await;
    original.script_says("triage.ps1", "said", "", 0);
    original.machines_have("/x", vec![7; 100_000]);
    original.fail("GET /investigation-actions-data", Fault::CutShort).times(2);
    original.fail("GET /investigation-actions-data", Fault::Status(500));
    home.run(&["run", "web-1", "triage.ps1", "--get", "/x", "--out", "out"]).await.expect(0);
    assert_eq!(std::fs::read(home.path("out/web-1/x")).unwrap(), vec![7; 100_000]);
    assert_eq!(home.read("out/web-1/triage.ps1.stdout"), "said");
}
