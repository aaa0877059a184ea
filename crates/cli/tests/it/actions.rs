//! `actions`, against the original; against the real server they are part of the tests of `run`.

use crate::agent::Agent;
use crate::assert_transcript;
use crate::original::Original;
use crate::program::Home;
use crate::server::Jumpbag;

#[tokio::test]
async fn actions_of_the_original() {
    let original = Original::start().await;
    original.put("a.ps1", "x");
    for name in ["web-1", "web-2"] {
        original.add_machine(name, &[]);
    }
    original.script_says("a.ps1", "said\n", "oops\n", 7);
    let home = Home::at(&(&original).into()).env("USER", "max").env("HOSTNAME", "desk");
    let run = ["run", "a.ps1", "-m", "web-1", "-m", "web-2", "--comment", "why", "--json"];
    let started = home.quietly(&run).await.expect(0).json();
    let id = |place: usize| started[place]["id"].as_str().expect("an id").to_owned();
    let (one, two) = (id(0), id(1));
    original.hold_actions();
    home.run(&["actions", "list", "--machine", "web-2", "--status", "pending"]).await.expect(0);
    home.run(&["actions", "list", "--status", "odd"]).await.expect(2);
    home.run(&["actions", "result", &one]).await.expect(1);
    home.run(&["actions", "cancel", &two]).await.expect(0);
    home.run(&["actions", "show", &two]).await.expect(0);
    original.release_actions();
    home.run(&["actions", "follow", &one]).await.expect(1);
    home.run(&["actions", "result", &one]).await.expect(0);
    home.run(&["actions", "result", &one, "--json"]).await.expect(0);
    home.run(&["actions", "result", &one, "-o", "said.txt"]).await.expect(0);
    assert_eq!(home.read("said.txt"), "said\n");
    home.run(&["actions", "result", &one, "-o", "-"]).await.expect(0);
    home.run(&["actions", "cancel", &one, "nope", &two]).await.expect(1);
    home.run(&["actions", "show", "nope"]).await.expect(1);
    home.run(&["actions", "list", "--top", "1"]).await.expect(0);
    assert_transcript!(home);
}

#[tokio::test]
async fn several_results_are_told_apart() {
    let original = Original::start().await;
    original.put("a.ps1", "x");
    original.add_machine("web-1", &[]);
    original.script_says("a.ps1", "said\n", "", 0);
    original.machines_have("/x/y.bin", b"\x00\xff");
    original.machines_have("/z/y.bin", b"other");
    let home = Home::at(&(&original).into());
    let run = ["run", "web-1", "a.ps1", "--get", "/x/y.bin", "--get", "/z/y.bin", "--out", "out", "--json"];
    let ran = home.run(&run).await.expect(0);
    assert_eq!(home.names("out/web-1"), ["2-y.bin", "a.ps1.stderr", "a.ps1.stdout", "y.bin"]);
    let id = ran.json()[0]["id"].as_str().expect("an id").to_owned();
    let result = async |more: &[&str]| home.run(&[&["actions", "result", &id], more].concat()).await;
    let which = result(&[]).await.expect(2);
    assert!(which.stderr.contains("--command 0: RunScript a.ps1\n  --command 1: GetFile /x/y.bin"));
    assert_eq!(result(&["--command", "0"]).await.expect(0).stdout, "said\n");
    assert_eq!(result(&["--command", "1", "-o", "-"]).await.expect(0).bytes(), b"\x00\xff");
    result(&["--command", "1"]).await.expect(0);
    assert_eq!(std::fs::read(home.path("y.bin")).unwrap(), b"\x00\xff");
    let here = result(&["--command", "2"]).await.expect(1);
    assert!(here.stderr.contains("`y.bin` is here already"), "{}", here.stderr);
    result(&["--command", "2", "-o", "other"]).await.expect(0);
    assert_eq!(home.read("other"), "other");
    result(&["--command", "9"]).await.expect(2);
    result(&["--command", "1", "--json"]).await.expect(2);
}

/// A machine that is away has its action when it comes.
#[tokio::test]
async fn an_action_waits_for_its_machine() {
    let server = Jumpbag::start().await;
    let mut agent = Agent::enrolled(&server, &[]).await;
    let may = ["Library.Manage", "Machine.LiveResponse", "Machine.Read.All"];
    let home = Home::at(&server.place(&may).await);
    home.write("a.sh", "#!/bin/sh\nprintf 'x\\377'\n");
    home.quietly(&["files", "upload", "a.sh"]).await.expect(0);
    let ran = home.quietly(&["run", &agent.machine, "a.sh"]).await.expect(0);
    assert!(
        ran.stdout.contains("Pending") && ran.stdout.contains("jumpbag actions follow"),
        "{}",
        ran.stdout
    );
    let ran = home.quietly(&["actions", "list", "-m", &agent.machine, "--status", "Pending", "--json"]).await;
    let id = ran.json()[0]["id"].as_str().expect("an id").to_owned();
    agent.start();
    assert_eq!(home.quietly(&["actions", "follow", &id]).await.expect(0).bytes(), b"x\xff");
    assert_eq!(home.quietly(&["actions", "result", &id]).await.expect(0).bytes(), b"x\xff");
    let json = home.quietly(&["actions", "result", &id, "--json"]).await.expect(0).json();
    assert_eq!(json["script_output"], "x\u{fffd}");
    let over = home.quietly(&["actions", "cancel", &id]).await.expect(1);
    assert!(over.stderr.contains("it has ended already: Succeeded"), "{}", over.stderr);
}
