//! `run`: scripts on real machines of a real server, and on those of the original.

mod live;
mod original;

use crate::agent::Agent;
use crate::program::{Home, Ran};
use crate::server::Jumpbag;

/// A server, a machine, and somebody who may do all that is needed.
struct Field {
    server: Jumpbag,
    agent: Agent,
    home: Home,
}

impl Field {
    async fn new() -> Field {
        Field::of(Jumpbag::start().await).await
    }

    async fn of(server: Jumpbag) -> Field {
        let agent = Agent::running(&server, &["lab"]).await;
        let may = ["Library.Manage", "Machine.LiveResponse", "Machine.ReadWrite.All"];
        let home = Home::at(&server.place(&may).await);
        Field { server, agent, home }
    }

    /// A script in the library.
    async fn script(&self, name: &str, text: impl AsRef<[u8]>) {
        self.home.write(name, text);
        self.home.quietly(&["files", "upload", name, "--override"]).await.expect(0);
    }

    /// `run` on the machine.
    async fn run(&self, arguments: &[&str]) -> Ran {
        self.home.quietly(&[&["run", &self.agent.machine], arguments].concat()).await
    }
}

const BYTES: &str = "#!/bin/sh\nprintf 'a\\377\\000b\\r\\n\\033[2Jno end'\nprintf 'ohne\\303' >&2\n";

#[tokio::test]
async fn a_pipe_gets_both_streams_byte_for_byte() {
    let field = Field::new().await;
    field.script("bytes.sh", BYTES).await;
    let ran = field.run(&["bytes.sh", "--wait", "-q"]).await.expect(0);
    assert_eq!(ran.bytes(), b"a\xff\0b\r\n\x1b[2Jno end");
    assert_eq!(ran.stderr, "ohne\u{fffd}");
    field.script("silent.sh", "#!/bin/sh\n").await;
    let ran = field.run(&["silent.sh", "--wait"]).await.expect(0);
    assert_eq!(ran.bytes(), b"");
    assert!(ran.stderr.ends_with(": Succeeded\n"), "{}", ran.stderr);
}

/// More than the server tells in one event, none of it UTF-8.
#[tokio::test]
async fn long_output_comes_whole() {
    let field = Field::new().await;
    field
        .script("long.sh", "#!/bin/sh\nhead -c 3000000 /dev/zero | tr '\\0' '\\377'\nseq 200000 >&2\n")
        .await;
    let ran = field.run(&["long.sh", "--wait", "-q"]).await.expect(0);
    assert!(ran.bytes().len() == 3_000_000 && ran.bytes().iter().all(|byte| *byte == 0xff));
    let numbers: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(ran.stderr, numbers);
}

#[tokio::test]
async fn every_argument_reaches_the_script_as_it_is() {
    let field = Field::new().await;
    field.script("args.sh", "#!/bin/sh\nfor a in \"$@\"; do printf '%s\\0' \"$a\"; done\n").await;
    let args = [
        "",
        " ",
        "two words",
        "it's",
        "say \"hi\"",
        "\"'\"'",
        "''",
        "\"\"",
        "\"",
        "a;b&c|d!e$f",
        "$(x)",
        "`x`",
        "C:\\x\\",
        "\\",
        "\\\"",
        "tab\there",
        "line\nbreak",
        "-n",
        "--",
        "*",
        "~",
        "größe 😀",
        "\u{a0}nbsp",
        "\u{3000}",
        "\u{1b}[2J",
        "%PATH%",
        "#{}",
        "end ",
    ];
    let ran = field.run(&[&["args.sh", "--wait", "-q", "--"][..], &args].concat()).await.expect(0);
    let expected: String = args.iter().map(|arg| format!("{arg}\0")).collect();
    assert_eq!(ran.stdout, expected);
}

#[tokio::test]
async fn a_script_that_fails_is_told_and_ends_with_1() {
    let field = Field::new().await;
    field.script("fail.sh", "#!/bin/sh\necho half\nexit 3\n").await;
    let ran = field.run(&["fail.sh", "--wait", "--quiet"]).await.expect(1);
    assert_eq!(ran.stdout, "half\n");
    assert!(ran.stderr.contains("Failed: the script ended with exit code 3"), "{}", ran.stderr);
    let ran = field.run(&["fail.sh", "--wait", "--json"]).await.expect(1);
    assert_eq!(ran.json()[0]["status"], "Failed");
    assert_eq!(ran.json()[0]["commands"][0]["exitCode"], 3);
}

#[tokio::test]
async fn results_are_kept_in_a_folder_for_each_machine() {
    let field = Field::new().await;
    field
        .script(
            "bytes.sh",
            format!("{BYTES}\ncp \"$JUMPBAG_FILES/tool.txt\" copy.txt\nmkdir -p d/e; echo x >d/e/f\n"),
        )
        .await;
    field.script("tool.txt", "a tool").await;
    let run =
        ["bytes.sh", "--put", "tool.txt", "--get", "copy.txt", "--get", "./d", "--get", "x/../copy.txt"];
    let ran = field.run(&[&run[..], &["--out", "results"]].concat()).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let machine = &field.home.names("results")[0];
    let at = |name: &str| field.home.path(&format!("results/{machine}/{name}"));
    assert_eq!(std::fs::read(at("bytes.sh.stdout")).unwrap(), b"a\xff\0b\r\n\x1b[2Jno end");
    assert_eq!(std::fs::read(at("bytes.sh.stderr")).unwrap(), b"ohne\xc3");
    assert_eq!(std::fs::read(at("copy.txt")).unwrap(), b"a tool");
    let archive = std::process::Command::new("tar").arg("-tzf").arg(at("d.tar.gz")).output().unwrap();
    let listed = String::from_utf8_lossy(&archive.stdout).into_owned();
    assert!(listed.contains("e/f"), "{listed}{}", String::from_utf8_lossy(&archive.stderr));
    assert_eq!(
        field.home.names(&format!("results/{machine}")),
        ["bytes.sh.stderr", "bytes.sh.stdout", "copy.txt", "d.tar.gz"]
    );
    // What was found once is not written over.
    let again = field.run(&["bytes.sh", "--out", "results"]).await.expect(1);
    assert!(again.stderr.contains("is there already: results need a new folder"), "{}", again.stderr);
}

#[tokio::test]
async fn what_is_refused_is_told_and_the_others_go_on() {
    let field = Field::new().await;
    let other = Agent::running(&field.server, &["lab"]).await;
    field.script("hello.sh", "#!/bin/sh\necho \"hello $1\"\necho end\n").await;
    let ran = field.run(&["nope.sh"]).await.expect(1);
    assert!(ran.stderr.contains("Library file nope.sh was not found: upload it"), "{}", ran.stderr);
    let (one, two) = (field.agent.machine.as_str(), other.machine.as_str());
    let run =
        ["run", "hello.sh", "-m", one, "-m", "nowhere", "-m", two, "--wait", "--out", "out", "--", "you"];
    let ran = field.home.quietly(&run).await.expect(1);
    assert!(ran.stderr.contains("nowhere: Machine nowhere was not found (404"), "{}", ran.stderr);
    assert!(ran.stderr.contains("3 machines"), "{}", ran.stderr);
    // Both run on this very machine, so they have one name and are told apart by their ids.
    let mut lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{}", ran.stdout);
    lines.sort();
    for id in [one, two] {
        for text in ["hello you", "end"] {
            let end = format!(" {} | {text}", &id[..8]);
            assert_eq!(lines.iter().filter(|line| line.ends_with(&end)).count(), 1, "{}", ran.stdout);
        }
        assert!(field.home.names("out").iter().any(|name| name.ends_with(&format!("-{id}"))));
    }
    let ran = field.home.quietly(&["run", "hello.sh", "--tag", "lab", "--json", "--wait"]).await.expect(0);
    assert_eq!(ran.json().as_array().unwrap().len(), 2);
    let ran = field.home.quietly(&["run", "hello.sh", "--tag", "none"]).await.expect(1);
    assert!(ran.stderr.contains("no machine has the tag `none`"), "{}", ran.stderr);
}

/// Who may only run scripts sees what they say all the same.
#[tokio::test]
async fn live_response_alone_is_enough() {
    let field = Field::new().await;
    field.script("hello.sh", "#!/bin/sh\necho hello\necho x >hello.txt\nexit $1\n").await;
    let home = Home::at(&field.server.place(&["Machine.LiveResponse"]).await);
    let run = async |code: &str| {
        let run = ["run", &field.agent.machine, "hello.sh", "--out", code, "--get", "hello.txt", "--", code];
        home.run(&run).await
    };
    assert_eq!(run("0").await.expect(0).stdout, "hello\n");
    let results = |code: &str| home.names(&format!("{code}/{}", home.names(code)[0]));
    assert_eq!(results("0"), ["hello.sh.stderr", "hello.sh.stdout", "hello.txt"]);
    let failed = run("4").await.expect(1);
    assert_eq!(results("4"), ["hello.sh.stderr", "hello.sh.stdout"]);
    assert!(failed.stderr.contains("ended with exit code 4"), "{}", failed.stderr);
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_before_anything_is_asked() {
    let home = Home::new().env("JUMPBAG_URL", "http://127.0.0.1:1");
    for (arguments, says) in [
        (&["run"][..], "which machine?"),
        (&["run", "web1"], "nothing to do"),
        (&["run", "web1", "--", "x"], "there are arguments and no script"),
        (&["run", "-m", "web1", "a.sh", "b"], "what is `b`?"),
        (&["run", "--tag", "t", "--", "x"], "there are arguments and no script"),
        (&["run", "web1", "a.sh", "b"], "unexpected"),
    ] {
        let ran = home.run(arguments).await.expect(2);
        assert!(ran.stderr.contains(says), "{arguments:?}: {}", ran.stderr);
    }
}
