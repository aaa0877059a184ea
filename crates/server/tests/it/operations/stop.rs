//! Ctrl-C and SIGTERM: what is under way may finish, nothing new begins.

use rustix::process::Signal;

use crate::support::SOON;
use crate::support::form::Form;
use crate::support::poll::eventually;
use crate::support::raw::{Ended, Raw};
use crate::support::server::{Jumpbag, Options};

/// An upload that has sent all but its last bytes, and those.
async fn under_way(bag: &Jumpbag, name: &str) -> (Raw, Vec<u8>) {
    let token = bag.token(&["Library.Manage"]).await;
    let mut body = Form::new().file(name, vec![b'x'; 600_000]).end();
    let rest = body.split_off(500_000);
    let mut raw = Raw::connect(&bag.url()).await;
    raw.send(format!(
        "POST /api/libraryfiles HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: {}\r\n\
         Content-Length: {}\r\n\r\n",
        Form::CONTENT_TYPE,
        body.len() + rest.len()
    ))
    .await
    .expect("an open connection");
    raw.send(&body).await.expect("an open connection");
    let folder = bag.data_dir().join("blobs");
    eventually("the upload is under way", async || {
        let mut entries = std::fs::read_dir(&folder).expect("the blob folder");
        entries.next().map(|_| ())
    })
    .await;
    (raw, rest)
}

#[tokio::test]
async fn an_upload_under_way_finishes_and_is_there_afterwards() {
    for signal in [Signal::INT, Signal::TERM] {
        let bag = Jumpbag::start().await;
        let mut idle = Raw::connect(&bag.url()).await;
        let (mut raw, rest) = under_way(&bag, "draining.bin").await;
        bag.signal(signal);
        // Who has asked for nothing is let go, and nobody new is let in.
        assert_eq!(idle.end(SOON).await, Ended::Closed);
        let address = bag.url().replace("http://", "");
        eventually("nobody listens", async || tokio::net::TcpStream::connect(&address).await.err()).await;
        raw.send(&rest).await.expect("an open connection");
        let answer = raw.response(SOON).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(raw.end(SOON).await, Ended::Closed);
        assert!(bag.stop().await.success(), "{}", bag.logs());
        bag.restart().await;
        assert_eq!(bag.names().await, ["draining.bin"]);
        let (status, report, _) = bag.command(&["check"]).await;
        assert!(status.success(), "{report}");
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_longer_than_it_may() {
    let bag = Options::default().set("shutdown_seconds", 1).start().await;
    let (mut raw, _rest) = under_way(&bag, "never.bin").await;
    assert!(bag.stop().await.success(), "{}", bag.logs());
    bag.logged(&["still under way"]).await;
    assert!(raw.response(SOON).await.is_err());
    bag.restart().await;
    assert!(bag.names().await.is_empty());
    // What the upload left is swept: here by hand, by itself after a day.
    let (status, report, _) = bag.command(&["check", "--repair"]).await;
    assert!(status.success(), "{report}");
    assert_eq!(std::fs::read_dir(bag.data_dir().join("blobs")).expect("the blob folder").count(), 0);
}

#[tokio::test]
async fn a_later_start_says_what_is_there() {
    let bag = Jumpbag::start().await;
    for name in ["a.ps1", "b.ps1"] {
        bag.upload(name, "x").await.expect_status(200);
    }
    assert!(bag.stop().await.success());
    let said = std::process::Command::new("timeout")
        .args(["-s", "INT", "2", env!("CARGO_BIN_EXE_jumpbag-server"), "--listen", "127.0.0.1:0"])
        .args(["--set", "ops_listen=", "--data-dir"])
        .arg(bag.data_dir())
        .output()
        .expect("run the server for a moment");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("files in the library: 2"), "{said}");
    assert!(said.contains(&bag.data_dir().display().to_string()), "{said}");
    assert!(!said.contains("secret"), "a secret is shown once: {said}");
    assert!(said.trim_end().ends_with("stopped"), "{said}");
}
