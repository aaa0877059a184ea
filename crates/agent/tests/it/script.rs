//! Scripts: their arguments, their output, how they end.

use jumpbag_wire::agent::Stream;

use crate::agent::Agent;
use crate::server::{Server, id};

#[tokio::test]
async fn a_script_gets_its_arguments_as_they_are_and_its_output_arrives() {
    let server = Server::start().await;
    let agent = Agent::running(&server).await;
    let odd = ["", "a b", "'\"`$(touch x);&|!*?", "\n\t", "-e", "ünï€😀", "\u{1}"];
    let script = "for arg in \"$@\"; do printf '[%s]' \"$arg\"; done; echo problem >&2";
    let command = server.script(&agent.machine, id(1, 0), "args.sh", script, &odd);
    let outcome = server.finished(&command).await;
    assert!(outcome.succeeded, "{outcome:?}");
    assert_eq!(outcome.exit_code, Some(0));
    let expected: String = odd.iter().map(|arg| format!("[{arg}]")).collect();
    assert_eq!(server.text(&command, Stream::Stdout), expected);
    assert_eq!(server.text(&command, Stream::Stderr), "problem\n");
    assert!(outcome.started.unwrap() <= outcome.ended);
}
