//! `files`, command by command, against the real server and the original.

use crate::assert_transcript;
use crate::original::Original;
use crate::program::Home;
use crate::server::Jumpbag;

/// What a person does in a first hour, in one go.
async fn an_hour(home: &Home) {
    home.write("triage.ps1", "Get-Process\n");
    home.write("tools/collect.sh", "#!/bin/sh\nps aux\n");
    home.write("tools/größe 1.txt", "x");
    home.run(&["files", "list"]).await;
    let described = [
        "--description",
        "First script",
        "--parameters",
        "-Name <process>",
        "--tag",
        "Triage",
        "--platform",
        "windows",
    ];
    home.run(&[&["files", "upload", "triage.ps1"][..], &described].concat()).await;
    // One after the other, so that ids come in the same order in every run.
    home.run(&["files", "upload", "triage.ps1", "tools", "--jobs", "1"]).await;
    home.run_with(&["files", "upload", "-", "--name", "from-input.txt"], b"piped").await;
    home.run(&["files", "list"]).await;
    home.run(&["files", "list", "*.SH", "Triage.ps1"]).await;
    home.run(&["files", "show", "TRIAGE.ps1"]).await;
    home.run(&["files", "show", "nope.ps1"]).await;
    home.write("triage.ps1", "Get-Process\nGet-Service\n");
    home.run(&["files", "upload", "triage.ps1"]).await;
    home.run(&["files", "upload", "triage.ps1", "--override"]).await;
    home.run(&["files", "show", "triage.ps1"]).await;
    home.run(&["files", "edit", "triage.ps1", "--description", "With services"]).await;
    home.run(&["files", "edit", "triage.ps1", "--description", "With services", "--file", "triage.ps1"])
        .await;
    home.run(&["files", "versions", "triage.ps1"]).await;
    home.run(&["files", "diff", "triage.ps1"]).await;
    home.run(&["files", "restore", "triage.ps1", "1"]).await;
    home.run(&["files", "download", "triage.ps1", "-o", "back/"]).await;
    home.run(&["files", "search", "get-process"]).await;
    home.run(&["files", "delete", "*.txt"]).await;
    home.run(&["files", "delete", "*.txt", "--yes"]).await;
    home.run(&["files", "delete", "from-input.txt"]).await;
    home.run(&["files", "list", "--deleted"]).await;
    home.run(&["files", "restore", "--deleted", "from-input.txt"]).await;
    home.run(&["files", "list"]).await;
}

#[tokio::test]
async fn an_hour_with_jumpbag() {
    let server = Jumpbag::start().await;
    let home = Home::at(&server.librarian().await);
    an_hour(&home).await;
    assert_transcript!(home);
}

#[tokio::test]
async fn an_hour_with_the_original() {
    let original = Original::start().await;
    let home = Home::at(&(&original).into());
    an_hour(&home).await;
    assert_transcript!(home);
}

#[tokio::test]
async fn json_is_what_the_server_sent() {
    let server = Jumpbag::start().await;
    let home = Home::at(&server.librarian().await);
    home.write("a.ps1", "one");
    let uploaded = home.run(&["--json", "files", "upload", "a.ps1"]).await.expect(0).json();
    let shown = home.run(&["files", "show", "a.ps1", "--json"]).await.expect(0).json();
    let listed = home.run(&["files", "list", "--json"]).await.expect(0).json();
    assert_eq!(uploaded[0], shown);
    assert_eq!(listed[0]["id"], shown["id"]);
    assert!(shown["@odata.context"].is_string());
    // In the order of the wire, with its nulls.
    let text = home.run(&["files", "list", "--json"]).await.stdout;
    assert!(text.starts_with("[{\"fileName\":\"a.ps1\",\"sha256\":"), "{text}");
    assert!(text.contains("\"description\":null"), "{text}");
}

#[tokio::test]
async fn what_is_downloaded_is_what_was_uploaded() {
    let server = Jumpbag::start().await;
    let home = Home::at(&server.librarian().await);
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    home.write("tool.exe", &bytes);
    home.quietly(&["files", "upload", "tool.exe"]).await.expect(0);
    assert_eq!(home.quietly(&["files", "download", "tool.exe", "-o", "-"]).await.expect(0).bytes(), bytes);
    home.quietly(&["files", "download", "tool.exe"]).await.expect(1);
    home.write("tool.exe", "changed");
    home.quietly(&["files", "download", "tool.exe", "--override"]).await.expect(0);
    assert_eq!(std::fs::read(home.path("tool.exe")).unwrap(), bytes);
    assert_eq!(home.names(""), ["tool.exe"]);
}

#[tokio::test]
async fn a_condition_keeps_what_somebody_else_did() {
    let server = Jumpbag::start().await;
    let home = Home::at(&server.librarian().await);
    home.write("a.ps1", "one");
    home.quietly(&["files", "upload", "a.ps1"]).await.expect(0);
    let shown = home.quietly(&["files", "show", "a.ps1", "--json"]).await.json();
    let digest = shown["sha256"].as_str().unwrap();
    home.write("a.ps1", "two");
    home.quietly(&["files", "upload", "a.ps1", "--if-match", digest]).await.expect(0);
    home.write("a.ps1", "three");
    for refused in [
        &["files", "upload", "a.ps1", "--if-match", digest][..],
        &["files", "delete", "a.ps1", "--if-match", digest],
        &["files", "edit", "a.ps1", "--tag", "x", "--if-match", digest],
    ] {
        let ran = home.quietly(refused).await.expect(1);
        assert!(ran.stderr.contains("412 PreconditionFailed"), "{}", ran.stderr);
    }
    let original = Original::start().await;
    original.put("a.ps1", "one");
    let home = Home::at(&(&original).into());
    home.write("a.ps1", "three");
    let ran = home.quietly(&["files", "upload", "a.ps1", "--if-match", digest]).await.expect(2);
    assert!(ran.stderr.contains("knows no conditions"), "{}", ran.stderr);
    assert_eq!(original.file("a.ps1").unwrap().bytes, b"one"[..]);
}
