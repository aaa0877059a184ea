//! Scripts: their arguments, their surroundings, their output, how they end.

use jumpbag_wire::action::CommandType;
use jumpbag_wire::agent::{FromServer, Stream};

use crate::agent::{Agent, Witness};
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
    let command = server.script(&agent.machine, id(2, 0), "args.sh", script, &["a\0b"]);
    let outcome = server.finished(&command).await;
    assert!(outcome.errors[0].contains("NUL") && outcome.started.is_none(), "{outcome:?}");
}

#[tokio::test]
async fn a_script_has_a_folder_and_an_environment_of_its_own_and_no_input() {
    let server = Server::start().await;
    let agent = Agent::running(&server).await;
    let script = "cat; pwd; stat -c %a .; ls -A; ls $TMPDIR; stat -c %a $TMPDIR; touch left $TMPDIR/gone; env; \
        for fd in /proc/self/fd/*; do readlink $fd; done; true";
    let command = server.script(&agent.machine, id(1, 0), "look around.sh", script, &[]);
    assert!(server.finished(&command).await.succeeded);
    let text = server.text(&command, Stream::Stdout);
    let mut lines = text.lines();
    assert_eq!(lines.next(), agent.data().join("files").to_str(), "{text}");
    assert_eq!(lines.next(), Some("700"));
    assert_eq!(lines.next(), Some("look around.sh"), "there is nothing but the script, in its own folder");
    assert_eq!(lines.next(), Some("700"));
    let known = [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "LANG",
        "SHELL",
        "JUMPBAG_FILES",
        "JUMPBAG_COMMAND",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
    ];
    let (mut rest, mut folder) = (Vec::new(), "");
    for line in lines {
        match line.split_once('=') {
            Some(("TMPDIR", value)) => folder = value,
            Some((name, _)) => assert!(known.contains(&name), "{line}"),
            None => rest.push(line),
        }
    }
    assert_eq!(rest[0], "/dev/null");
    let of_agent = rest.iter().filter(|open| open.contains("data/spool") || open.contains("data/lock"));
    assert_eq!(of_agent.count(), 0, "{rest:?}");
    assert!(folder.starts_with(agent.data().join("work").to_str().unwrap()), "{text}");
    assert!(!std::path::Path::new(folder).exists(), "the folder is still there");
    let left: Vec<_> = std::fs::read_dir(agent.data().join("files")).unwrap().collect();
    assert_eq!(left.len(), 1, "what a script leaves where it runs stays: {left:?}");
}

#[tokio::test]
async fn output_of_every_shape_arrives_byte_for_byte() {
    let server = Server::start().await;
    let agent = Agent::running(&server).await;
    type Bytes = fn() -> Vec<u8>;
    let cases: [(&str, &str, Bytes, Bytes); 6] = [
        ("nothing.sh", "exit 0", Vec::new, Vec::new),
        ("flood.sh", "head -c 100000000 /dev/zero | tr '\\0' x", || vec![b'x'; 100_000_000], Vec::new),
        ("binary.sh", r"printf '\377\376\000\200a\000'", || b"\xff\xfe\0\x80a\0".to_vec(), Vec::new),
        ("lines.sh", "yes | head -n 1000000", || b"y\n".repeat(1_000_000), Vec::new),
        ("errors.sh", "echo wrong >&2", Vec::new, || b"wrong\n".to_vec()),
        (
            "both.sh",
            "for i in 1 2 3 4 5 6 7 8 9; do echo out $i; echo err $i >&2; done",
            || (1..10).map(|i| format!("out {i}\n")).collect::<String>().into_bytes(),
            || (1..10).map(|i| format!("err {i}\n")).collect::<String>().into_bytes(),
        ),
    ];
    for (number, (name, script, stdout, stderr)) in (0..).zip(cases) {
        let command = server.script(&agent.machine, id(7, number), name, script, &[]);
        let outcome = server.finished(&command).await;
        assert!(outcome.succeeded, "{name}: {outcome:?}");
        assert!(server.output(&command, Stream::Stdout) == stdout(), "{name}");
        assert!(server.output(&command, Stream::Stderr) == stderr(), "{name}");
        let streams = usize::from(!stdout().is_empty()) + usize::from(!stderr().is_empty());
        assert_eq!(outcome.output.len(), streams, "{name}: an end for each stream that is not empty");
    }
    assert_eq!(server.misses(), 0, "no end came before its output");
}

#[tokio::test]
async fn output_comes_while_the_script_runs() {
    let server = Server::start().await;
    let agent = Agent::running(&server).await;
    let witness = Witness::new(&agent);
    let script = "echo one; read line < \"$1\"; echo $line";
    let command = server.script(&agent.machine, id(1, 0), "slow.sh", script, &[witness.path()]);
    server.output_with(&command, "one\n").await;
    witness.tell("two\n").await;
    assert_eq!(server.finished(&command).await.exit_code, Some(0));
    assert_eq!(server.text(&command, Stream::Stdout), "one\ntwo\n");
}

#[tokio::test]
async fn exit_codes_and_signals_are_told() {
    let server = Server::start().await;
    let agent = Agent::running(&server).await;
    for (number, script, code, words) in [
        (0, "exit 3", Some(3), "exit code 3"),
        (1, "exit 255", Some(255), "exit code 255"),
        (2, "kill -TERM $$", None, "signal 15"),
        (3, "kill -KILL $$", None, "signal 9"),
    ] {
        let command = server.script(&agent.machine, id(1, number), "end.sh", script, &[]);
        let outcome = server.finished(&command).await;
        assert!(!outcome.succeeded);
        assert_eq!(outcome.exit_code, code);
        assert!(outcome.errors[0].contains(words), "{outcome:?}");
    }
}

#[tokio::test]
async fn the_name_and_the_first_bytes_say_what_runs_a_script() {
    let server = Server::start().await;
    let mut agent = Agent::enrolled(&server).await;
    let tools = agent.beside("tools");
    std::fs::create_dir(&tools).unwrap();
    agent.program("tools/pwsh", "#!/bin/sh\nfor arg; do printf '%s\\n' \"$arg\"; done | sed s:/.*/::");
    agent.change(|settings| settings.path = Some(format!("{}:/usr/bin:/bin", tools.display())));
    agent.start();
    let echo = std::fs::read("/bin/echo").unwrap();
    let cases: [(&str, &[u8], &str); 5] = [
        ("a.py", b"import sys; print(sys.argv[1])", "it's me\n"),
        ("b", b"#!/usr/bin/env perl\nprint \"$ARGV[0]\\n\"", "it's me\n"),
        ("c.sh", b"#!/bin/sh\r\nprintf '%s\\n' \"$1\"", "it's me\n"),
        ("d.bin", &echo, "it's me\n"),
        (
            "e.ps1",
            b"ignored",
            "-NoProfile\n-NonInteractive\n-ExecutionPolicy\nBypass\n-File\ne.ps1\nit's me\n",
        ),
    ];
    for (number, (name, content, output)) in (0..).zip(cases) {
        let mut assignment = server.assignment(&agent.machine, id(1, number), CommandType::RunScript);
        assignment.content = Some(server.content(&assignment.command, name, content));
        assignment.args = vec!["it's me".into()];
        server.assign(&assignment);
        let outcome = server.finished(&assignment.command).await;
        assert!(outcome.succeeded, "{name}: {outcome:?}");
        assert_eq!(server.text(&assignment.command, Stream::Stdout), output, "{name}");
    }
    for (number, name, words) in
        [(10, "a.bat", "only Windows"), (11, "notes.txt", "nothing that this machine can run")]
    {
        let command = server.script(&agent.machine, id(1, number), name, "hello", &[]);
        let outcome = server.finished(&command).await;
        assert!(outcome.errors[0].contains(words) && outcome.started.is_none(), "{outcome:?}");
    }
}

/// Holds the witness open in a child, in one that has left its parent, and in one with a session of its own.
const FAMILY: &str = "exec 3>\"$1\"
    sleep 1000 &
    (sleep 1000 & exec true)
    setsid sh -c 'trap \"\" TERM HUP INT; setsid sleep 1000 & while :; do sleep 1000; done' &
    echo ready >&3\n";

#[tokio::test]
async fn a_script_that_takes_too_long_is_ended_with_all_that_stems_from_it() {
    let server = Server::start().await;
    let agent = Agent::running(&server).await;
    let witness = Witness::new(&agent);
    let gone = witness.watch();
    let mut assignment = server.assignment(&agent.machine, id(1, 0), CommandType::RunScript);
    let script = format!("{FAMILY} echo before; sleep 1000");
    assignment.content = Some(server.content(&assignment.command, "family.sh", script.as_bytes()));
    assignment.args = vec![witness.path().to_owned()];
    assignment.timeout_seconds = 2;
    server.assign(&assignment);
    assert_eq!(gone.await, "ready\n");
    let outcome = server.finished(&assignment.command).await;
    assert_eq!(outcome.errors, ["the script ran longer than 2 seconds and was ended"]);
    assert_eq!(server.text(&assignment.command, Stream::Stdout), "before\n");
}

#[tokio::test]
async fn a_cancelled_script_is_ended_with_all_that_stems_from_it() {
    let server = Server::start().await;
    let agent = Agent::running(&server).await;
    let witness = Witness::new(&agent);
    let gone = witness.watch();
    let script = format!("{FAMILY} echo before; sleep 1000");
    let runs = server.script(&agent.machine, id(1, 0), "family.sh", &script, &[witness.path()]);
    let waits = server.script(&agent.machine, id(2, 0), "other.sh", "echo never", &[]);
    server.output_with(&runs, "before").await;
    server.say(FromServer::Cancel { command: waits.clone() });
    let outcome = server.finished(&waits).await;
    assert_eq!(outcome.errors, ["the command was cancelled before it was started"]);
    server.say(FromServer::Cancel { command: runs.clone() });
    assert_eq!(gone.await, "ready\n");
    let outcome = server.finished(&runs).await;
    assert_eq!(outcome.errors, ["the command was cancelled while it ran"]);
    assert!(!outcome.succeeded && outcome.started.is_some());
}

#[tokio::test]
async fn what_a_script_leaves_running_ends_with_it() {
    let server = Server::start().await;
    let agent = Agent::running(&server).await;
    let witness = Witness::new(&agent);
    let gone = witness.watch();
    let command = server.script(&agent.machine, id(1, 0), "family.sh", FAMILY, &[witness.path()]);
    assert_eq!(gone.await, "ready\n");
    let outcome = server.finished(&command).await;
    assert!(outcome.succeeded, "{outcome:?}");
}

#[tokio::test]
async fn memory_is_limited() {
    let server = Server::start().await;
    let mut agent = Agent::enrolled(&server).await;
    agent.change(|settings| settings.limits.memory = 256 << 20);
    agent.start();
    let script =
        "bytes = bytearray(1 << 20)\nprint('little', flush=True)\nbytes = bytearray(b'x' * (1 << 30))";
    let command = server.script(&agent.machine, id(1, 0), "greedy.py", script, &[]);
    let outcome = server.finished(&command).await;
    assert!(!outcome.succeeded, "{outcome:?}");
    assert_eq!(server.text(&command, Stream::Stdout), "little\n");
}

#[tokio::test]
async fn commands_run_one_after_the_other_as_they_came() {
    let server = Server::start().await;
    let agent = Agent::running(&server).await;
    let log = agent.beside("order");
    let log = log.to_str().unwrap();
    let script = "echo begin $2 >> \"$1\"; echo end $2 >> \"$1\"";
    let commands: Vec<_> = (0..20)
        .map(|number| {
            let args = [log, &number.to_string()];
            server.script(&agent.machine, id(1, number), "order.sh", script, &args)
        })
        .collect();
    for command in &commands {
        assert!(server.finished(command).await.succeeded);
    }
    let expected: String = (0..20).map(|number| format!("begin {number}\nend {number}\n")).collect();
    assert_eq!(std::fs::read_to_string(log).unwrap(), expected);
}
