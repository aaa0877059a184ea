//! Output while it comes, and what happens to it when connections break or somebody has waited enough.

use std::process::Output;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use super::Field;
use crate::SOON;
use crate::agent::release;

/// A run of the program whose output is read while it runs.
struct Running {
    child: Child,
    lines: BufReader<tokio::process::ChildStdout>,
}

impl Running {
    fn start(field: &Field, arguments: &[&str]) -> Running {
        let line = [&["run", field.agent.machine.as_str()], arguments].concat();
        let mut child = field.home.command(&line).spawn().expect("the program starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped"));
        Running { child, lines }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = tokio::time::timeout(SOON, self.lines.read_line(&mut line)).await;
        read.expect("a line comes soon").expect("text");
        line
    }

    fn interrupt(&self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).expect("it runs");
        let id = rustix::process::Pid::from_raw(id).expect("an id");
        rustix::process::kill_process(id, rustix::process::Signal::INT).expect("it runs");
    }

    /// The rest of standard output, and its end.
    async fn ended(mut self) -> (Vec<u8>, Output) {
        let mut rest = Vec::new();
        let ended = async {
            tokio::io::AsyncReadExt::read_to_end(&mut self.lines, &mut rest).await.expect("output");
            self.child.wait_with_output().await.expect("output")
        };
        let output = tokio::time::timeout(SOON, ended).await.expect("it ends soon");
        (rest, output)
    }
}

const SLOW: &str =
    "#!/bin/sh\nprintf 'one\\n\\377'\nread x <\"$1\"\nprintf '\\376two\\n'\nread x <\"$2\"\necho three\n";

#[tokio::test]
async fn output_is_shown_while_the_script_runs() {
    let field = Field::new().await;
    field.script("slow.sh", SLOW).await;
    let (first, second) = (field.agent.pipe("first"), field.agent.pipe("second"));
    let mut running = Running::start(&field, &["slow.sh", "--prefix", "-q", "--", &first, &second]);
    let line = running.line().await;
    let prefix = line.strip_suffix("one\n").expect("the first line").as_bytes();
    assert!(prefix.ends_with(b" | "), "{line}");
    release(&first).await;
    release(&second).await;
    let (rest, output) = running.ended().await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(rest, [prefix, b"\xff\xfetwo\n", prefix, b"three\n"].concat());
}

/// Each byte is shown once, though the server was killed in between and started again.
#[tokio::test]
async fn a_connection_that_breaks_is_made_again_where_it_was() {
    let field = Field::new().await;
    field.script("slow.sh", SLOW).await;
    let (first, second) = (field.agent.pipe("first"), field.agent.pipe("second"));
    let mut running = Running::start(&field, &["slow.sh", "--wait", "--", &first, &second]);
    assert_eq!(running.line().await, "one\n");
    field.server.kill().await;
    release(&first).await;
    field.server.start_again().await;
    release(&second).await;
    let (rest, output) = running.ended().await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(rest, b"\xff\xfetwo\nthree\n", "{stderr}");
}

/// Ctrl-C ends the waiting and nothing else; the action is ended by its own command.
#[tokio::test]
async fn who_has_waited_enough_is_told_what_goes_on() {
    let field = Field::new().await;
    field.script("slow.sh", SLOW).await;
    let (first, second) = (field.agent.pipe("first"), field.agent.pipe("second"));
    let mut running = Running::start(&field, &["slow.sh", "--wait", "--", &first, &second]);
    assert_eq!(running.line().await, "one\n");
    running.interrupt();
    let (_, output) = running.ended().await;
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    let id = stderr.split("jumpbag actions cancel ").nth(1).expect("how to cancel").trim();
    assert!(
        stderr
            .contains(&format!("interrupted: the action goes on\n  to see it: jumpbag actions follow {id}"))
    );

    // Another finds the machine busy.
    let busy = field.run(&["slow.sh"]).await.expect(1);
    assert!(busy.stderr.contains("is already in progress on machine"), "{}", busy.stderr);
    let timeout = field.home.quietly(&["actions", "follow", id, "--timeout", "0"]).await.expect(1);
    assert!(
        timeout.stderr.contains("the time for waiting is over: the action goes on"),
        "{}",
        timeout.stderr
    );

    let mut following = field.home.command(&["actions", "follow", id]).spawn().expect("it starts");
    let mut lines = BufReader::new(following.stdout.take().expect("piped"));
    let mut line = String::new();
    lines.read_line(&mut line).await.expect("output");
    assert_eq!(line, "one\n");
    let cancelled = field.home.quietly(&["actions", "cancel", id, "--comment", "enough"]).await.expect(0);
    assert!(cancelled.stdout.contains(&format!("{id}: Cancelled")), "{}", cancelled.stdout);
    let ended =
        tokio::time::timeout(SOON, following.wait_with_output()).await.expect("soon").expect("output");
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("Cancelled"));
    let shown = field.home.quietly(&["actions", "show", id]).await.expect(0);
    assert!(shown.stdout.contains("because       enough"), "{}", shown.stdout);
}
