//! `sync`: a folder and a library made alike, whatever happens in between.

use crate::assert_transcript;
use crate::original::{Fault, Original};
use crate::program::{Home, Place};
use crate::server::Jumpbag;

const MANIFEST: &str = r#"# Kept as it is.
exclude = ["notes/**"]

[defaults]
tags = ["Response", "ir"]

[files."linux/triage.sh"]
name = "linux-triage.sh"
description = "What runs, and since when"
parametersDescription = "[--since HOURS]"
platforms = ["linux"]
"#;

fn library(home: &Home) {
    home.write("lib/library.toml", MANIFEST);
    home.write("lib/linux/triage.sh", "#!/bin/sh\nps aux\n");
    home.write("lib/triage.ps1", "Get-Process\n");
    home.write("lib/notes/todo.txt", "not for the library\n");
    home.write("lib/.hidden", "x");
}

/// Plan, apply, change, plan with a difference, apply; then somebody else changes things.
async fn a_life(home: &Home, elsewhere: impl AsyncFn(&str)) {
    library(home);
    home.run(&["sync", "lib", "--plan"]).await;
    home.run(&["sync", "lib", "--apply"]).await;
    home.run(&["sync", "lib", "--plan"]).await;
    home.write("lib/triage.ps1", "Get-Process\nGet-Service\n");
    home.write("lib/library.toml", MANIFEST.replace("since when", "for how long"));
    home.run(&["sync", "lib", "--plan", "--diff"]).await;
    home.run(&["sync", "lib", "--plan", "--json"]).await;
    home.run(&["sync", "lib", "--apply"]).await;
    elsewhere("override triage.ps1, add theirs.ps1, delete linux-triage.sh").await;
    home.write("lib/triage.ps1", "Get-Service\n");
    home.write("lib/new.ps1", "Get-Date\n");
    home.run(&["sync", "lib", "--plan", "--delete"]).await;
    home.run(&["sync", "lib", "--apply", "--delete"]).await;
    home.run(&["sync", "lib", "--apply", "--force"]).await;
    std::fs::remove_file(home.path("lib/new.ps1")).unwrap();
    home.run(&["sync", "lib", "--plan"]).await;
    home.run(&["sync", "lib", "--plan", "--delete", "--max-delete", "0"]).await;
    home.run(&["sync", "lib", "--apply", "--delete", "--only", "new.*"]).await;
    home.run(&["sync", "lib", "--plan", "--delete"]).await;
}

#[tokio::test]
async fn a_life_with_jumpbag() {
    let server = Jumpbag::start().await;
    let home = Home::at(&server.librarian().await);
    let other = Home::at(&server.place(&["Library.Manage"]).await);
    other.write("triage.ps1", "theirs\n");
    other.write("theirs.ps1", "theirs too\n");
    let elsewhere = async |what: &str| {
        home.note(&format!("elsewhere: {what}"));
        other.quietly(&["files", "upload", "triage.ps1", "theirs.ps1", "--override"]).await.expect(0);
        other.quietly(&["files", "delete", "linux-triage.sh"]).await.expect(0);
    };
    a_life(&home, elsewhere).await;
    assert_transcript!(home);
}

#[tokio::test]
async fn a_life_with_the_original() {
    let original = Original::start().await;
    let home = Home::at(&(&original).into());
    let elsewhere = async |what: &str| {
        home.note(&format!("elsewhere: {what}"));
        original.put("triage.ps1", "theirs\n");
        original.put("theirs.ps1", "theirs too\n");
        original.remove("linux-triage.sh");
    };
    a_life(&home, elsewhere).await;
    assert_transcript!(home);
}

#[tokio::test]
async fn the_library_comes_into_a_folder_and_what_was_changed_there_stays() {
    let server = Jumpbag::start().await;
    let place = server.librarian().await;
    let (home, other) = (Home::at(&place), Home::at(&place));
    other.write("a.ps1", "one\n");
    other.write("b.sh", "two\n");
    let said =
        ["--description", "The first", "--tag", "triage", "--parameters", "-x", "--platform", "windows"];
    other.quietly(&[&["files", "upload", "a.ps1"][..], &said].concat()).await.expect(0);
    other.quietly(&["files", "upload", "b.sh"]).await.expect(0);
    home.run(&["sync", "lib", "--pull", "--plan"]).await;
    home.run(&["sync", "lib", "--pull"]).await;
    home.note(&home.read("lib/library.toml"));
    home.run(&["sync", "lib", "--plan"]).await;
    // Here and there.
    home.write("lib/b.sh", "mine\n");
    home.write("lib/library.toml", format!("# A comment stays.\n{}", home.read("lib/library.toml")));
    other.write("a.ps1", "one and a half\n");
    other.quietly(&["files", "upload", "a.ps1", "--override"]).await.expect(0);
    other.quietly(&["files", "edit", "b.sh", "--category", "Collect"]).await.expect(0);
    home.run(&["sync", "lib", "--pull"]).await;
    home.note(&home.read("lib/library.toml"));
    assert_eq!(home.read("lib/a.ps1"), "one and a half\n");
    assert_eq!(home.read("lib/b.sh"), "mine\n");
    other.quietly(&["files", "delete", "a.ps1"]).await.expect(0);
    home.run(&["sync", "lib", "--pull", "--delete"]).await;
    home.run(&["sync", "lib", "--pull", "--delete", "--max-delete", "1"]).await;
    home.run(&["sync", "lib", "--pull", "--force"]).await;
    assert_eq!(home.names("lib"), ["b.sh", "library.lock", "library.toml"]);
    assert_eq!(home.read("lib/b.sh"), "two\n");
    assert_transcript!(home);
}

#[tokio::test]
async fn the_original_gives_nothing_back_and_that_is_said() {
    let original = Original::start().await;
    original.put("a.ps1", "one");
    let home = Home::at(&(&original).into());
    let ran = home.run(&["sync", "lib", "--pull"]).await.expect(2);
    assert!(ran.stderr.contains("gives no file back"), "{}", ran.stderr);
    assert_eq!(home.names("lib"), [] as [&str; 0]);
}

fn thousand(home: &Home) {
    for n in 0..1000 {
        home.write(&format!("lib/{:02}/script-{n:04}.ps1", n % 40), format!("Write-Output {n}\n"));
    }
}

#[tokio::test]
async fn of_a_thousand_files_only_the_changed_one_is_sent() {
    let original = Original::options().per_minute(10_000).per_hour(10_000).start().await;
    let home = Home::at(&(&original).into());
    thousand(&home);
    home.quietly(&["sync", "lib", "--apply"]).await.expect(0);
    assert_eq!(original.files().len(), 1000);
    home.write("lib/07/script-0647.ps1", "changed\n");
    original.forget_calls();
    home.quietly(&["sync", "lib", "--apply"]).await.expect(0);
    let library = |call: &String| call.contains("/api/");
    assert_eq!(
        original.calls().into_iter().filter(library).collect::<Vec<_>>(),
        ["GET /api/libraryfiles", "POST /api/libraryfiles"]
    );
    original.forget_calls();
    home.quietly(&["sync", "lib", "--plan"]).await.expect(0);
    assert_eq!(original.calls().into_iter().filter(library).collect::<Vec<_>>(), ["GET /api/libraryfiles"]);
}

#[tokio::test]
async fn half_of_a_sync_is_found_and_the_rest_done() {
    let original = Original::start().await;
    let home = Home::at(&(&original).into());
    for n in 0..20 {
        home.write(&format!("lib/script-{n:02}.ps1"), format!("{n}\n"));
    }
    // From the seventh upload on, the server only fails.
    original.fail("POST /api/libraryfiles", Fault::Status(400)).after(7).times(100);
    let ran = home.quietly(&["sync", "lib", "--apply", "--delete"]).await.expect(1);
    assert!(ran.stdout.contains("7 of 20 changes done, 0 unchanged, 13 not done"), "{}", ran.stdout);
    original.mend();
    original.forget_calls();
    home.quietly(&["sync", "lib", "--apply"]).await.expect(0);
    assert_eq!(original.count("POST /api/libraryfiles"), 13);
    assert_eq!(original.files().len(), 20);
}

/// A server that is killed in the middle and comes back: the sync goes on, and the library has each file once.
#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_ends_with_the_whole_library() {
    let server = Jumpbag::start().await;
    let home = Home::at(&server.librarian().await);
    for n in 0..300 {
        home.write(&format!("lib/script-{n:03}.ps1"), vec![b'x'; 1000 + n]);
    }
    let sync = home.command(&["sync", "lib", "--apply", "--jobs", "2"]).spawn().expect("it starts");
    let mut sync = sync;
    // Wait until it has begun.
    let stdout = sync.stdout.take().expect("it is piped");
    let mut lines = tokio::io::BufReader::new(stdout);
    let mut line = String::new();
    for _ in 0..20 {
        line.clear();
        tokio::io::AsyncBufReadExt::read_line(&mut lines, &mut line).await.expect("a line");
    }
    server.kill().await;
    let drain =
        tokio::spawn(
            async move { tokio::io::AsyncReadExt::read_to_string(&mut lines, &mut String::new()).await },
        );
    server.start_again().await;
    let status = tokio::time::timeout(crate::SOON, sync.wait()).await.expect("it ends").expect("its status");
    assert_eq!(status.code(), Some(0));
    drain.await.expect("read").expect("its output");
    let listed = home.quietly(&["files", "list", "--json"]).await.expect(0).json();
    let versions: Vec<_> =
        listed.as_array().unwrap().iter().map(|file| file["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, [1; 300], "each file was uploaded once");
    home.quietly(&["sync", "lib", "--plan"]).await.expect(0);
}

#[tokio::test]
async fn two_who_sync_at_once_do_not_undo_each_other() {
    let server = Jumpbag::start().await;
    let place = server.librarian().await;
    let (one, two) = (Home::at(&place), Home::at(&place));
    for home in [&one, &two] {
        home.write("lib/a.ps1", "base\n");
    }
    one.quietly(&["sync", "lib", "--apply"]).await.expect(0);
    two.quietly(&["sync", "lib", "--apply"]).await.expect(0);
    one.write("lib/a.ps1", "from one\n");
    two.write("lib/a.ps1", "from two\n");
    let runs =
        tokio::join!(one.quietly(&["sync", "lib", "--apply"]), two.quietly(&["sync", "lib", "--apply"]));
    let mut codes = [runs.0.code, runs.1.code];
    codes.sort_unstable();
    assert_eq!(codes, [0, 1], "{}{}", runs.0.stderr, runs.1.stderr);
    let (winner, loser) = if runs.0.code == 0 { ("from one\n", &two) } else { ("from two\n", &one) };
    assert_eq!(loser.quietly(&["files", "download", "a.ps1", "-o", "-"]).await.stdout, winner);
    let place: Place = place;
    assert_eq!(
        Home::at(&place)
            .quietly(&["files", "versions", "a.ps1", "--json"])
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        2
    );
}
