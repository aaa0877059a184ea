//! Files from the library.

use std::io::Read;

use jumpbag_wire::action::CommandType;
use jumpbag_wire::agent::Stream;

use crate::agent::Agent;
use crate::server::{Server, id};

#[tokio::test]
async fn a_file_is_put_whole_in_place_of_what_was_there_and_scripts_find_it() {
    let server = Server::start().await;
    let agent = Agent::running(&server).await;
    let large: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let files: [(&str, &[u8]); 4] = [
        ("tool.sh", b"old"),
        ("tool.sh", b"#!/bin/sh\necho tool"),
        ("empty", b""),
        ("großer Brocken", &large),
    ];
    for (number, (name, content)) in (0..).zip(files) {
        let mut put = server.assignment(&agent.machine, id(1, number), CommandType::PutFile);
        put.content = Some(server.content(&put.command, name, content));
        server.assign(&put);
        let outcome = server.finished(&put.command).await;
        assert!(outcome.succeeded && outcome.output.is_empty(), "{outcome:?}");
        assert_eq!(std::fs::read(agent.data().join("files").join(name)).unwrap(), content);
    }
    let script = "./tool.sh > found; \"$JUMPBAG_FILES/tool.sh\"; ls -A; test -s './großer Brocken'";
    let command = server.script(&agent.machine, id(2, 0), "use.sh", script, &[]);
    assert!(server.finished(&command).await.succeeded);
    assert_eq!(server.text(&command, Stream::Stdout), "tool\nempty\nfound\ngroßer Brocken\ntool.sh\n");
    // What it leaves there is fetched by its name.
    let mut get = server.assignment(&agent.machine, id(3, 0), CommandType::GetFile);
    get.path = Some("found".into());
    server.assign(&get);
    assert!(server.finished(&get.command).await.succeeded);
    let mut text = String::new();
    let packed = server.output(&get.command, Stream::File);
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
    assert_eq!(text, "tool\n");
    let command = server.script(&agent.machine, id(4, 0), "end.sh", "rm -r \"$PWD\"", &[]);
    assert!(server.finished(&command).await.succeeded);
    let command = server.script(&agent.machine, id(5, 0), "begin.sh", "ls -A; pwd", &[]);
    assert!(server.finished(&command).await.succeeded);
    assert_eq!(server.text(&command, Stream::Stdout), format!("{}\n", agent.data().join("files").display()));
}

#[tokio::test]
async fn a_file_that_is_not_what_was_assigned_leaves_what_was_there() {
    let server = Server::start().await;
    let agent = Agent::running(&server).await;
    let mut put = server.assignment(&agent.machine, id(1, 0), CommandType::PutFile);
    put.content = Some(server.content(&put.command, "tool", b"good"));
    server.assign(&put);
    assert!(server.finished(&put.command).await.succeeded);
    let mut bad = server.assignment(&agent.machine, id(2, 0), CommandType::PutFile);
    bad.content = Some(server.content(&bad.command, "tool", b"evil"));
    bad.content.as_mut().unwrap().sha256 = crate::server::hexadecimal(b"fine");
    server.assign(&bad);
    let outcome = server.finished(&bad.command).await;
    assert!(outcome.errors[0].contains("has the SHA-256"), "{outcome:?}");
    assert_eq!(std::fs::read(agent.data().join("files/tool")).unwrap(), b"good");
    assert_eq!(std::fs::read_dir(agent.data().join("files")).unwrap().count(), 1);
}
