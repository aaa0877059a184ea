//! Folders from anybody, as of a pull request: nothing of the machine around is read or published, and nothing hangs.

use std::os::unix::fs::symlink;

use super::hostile::{Hostile, json};
use crate::program::{Home, Ran};
use crate::server::Jumpbag;

async fn empty() -> Hostile {
    Hostile::start(|call| match call.line.contains("usage") {
        true => json(404, "{}"),
        false => json(200, r#"{"value":[]}"#),
    })
    .await
}

async fn plan(home: &Home) -> Ran {
    home.run_limited("ulimit -v 1048576", &["sync", "lib", "--plan", "--diff"]).await
}

fn fifo(home: &Home, relative: &str) {
    let made = std::process::Command::new("mkfifo").arg(home.path(relative)).status();
    assert!(made.expect("mkfifo is there").success());
}

#[tokio::test]
async fn links_publish_nothing_that_does_not_count() {
    let server = empty().await;
    let home = server.home();
    home.write("lib/.git/config", "token");
    home.write("lib/.env", "token");
    fifo(&home, "lib/.fifo");
    for (name, target) in
        [("a.sh", ".git/config"), ("b.sh", ".env"), ("c.sh", ".fifo"), ("d.sh", "../lib/.env")]
    {
        symlink(target, home.path("lib").join(name)).expect("a link");
    }
    let ran = plan(&home).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{}", ran.stderr);
    for name in ["a.sh", "b.sh", "c.sh", "d.sh"] {
        assert!(ran.stderr.contains(&format!("`{name}` is a link")), "{name}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn manifest_and_lock_tell_nothing_of_other_files() {
    let server = empty().await;
    for name in ["library.toml", "library.lock"] {
        let home = server.home();
        home.write("lib/a.sh", "a");
        symlink("../secret", home.path("lib").join(name)).expect("a link");
        for secret in
            ["TOKEN=s3cret\nwords of it", "include = \"s3cret words\"", "servers = \"s3cret words\""]
        {
            home.write("secret", secret);
            let ran = plan(&home).await;
            assert_eq!(ran.code, 1, "{name}: {}", ran.stderr);
            assert!(
                !ran.stderr.contains("s3cret") && !ran.stderr.contains("words"),
                "{name}: {}",
                ran.stderr
            );
        }
    }
}

#[tokio::test]
async fn manifest_and_lock_are_small_files() {
    let server = empty().await;
    for name in ["library.toml", "library.lock"] {
        let home = server.home();
        home.write("lib/a.sh", "a");
        fifo(&home, &format!("lib/{name}"));
        let ran = plan(&home).await;
        assert_eq!(ran.code, 1, "{name}: {}", ran.stderr);
        std::fs::remove_file(home.path("lib").join(name)).expect("it is there");
        let file = std::fs::File::create(home.path("lib").join(name)).expect("a file");
        file.set_len(1 << 40).expect("a sparse file");
        let ran = plan(&home).await;
        assert_eq!(ran.code, 1, "{name}: {}", ran.stderr);
        assert!(ran.stderr.contains("more than"), "{name}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn too_large_is_told_before_it_is_read() {
    let server = empty().await;
    let home = server.home();
    home.write("lib/a.sh", "a");
    let file = std::fs::File::create(home.path("lib/b.bin")).expect("a file");
    file.set_len(1 << 42).expect("a sparse file");
    let ran = plan(&home).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("`b.bin` has 4398046511104 bytes"), "{}", ran.stderr);
}

#[tokio::test]
async fn names_are_one_line_and_patterns_end() {
    let server = empty().await;
    let home = server.home();
    home.write("lib/a.sh\n::error::forged", "a");
    let ran = plan(&home).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("\n::error"), "{}{}", ran.stdout, ran.stderr);
    let home = server.home();
    home.write(&format!("lib/{}", "a".repeat(200)), "a");
    home.write(
        "lib/library.toml",
        format!("include = [\"{}b\", \"{}b\"]", "*a".repeat(60), "**/".repeat(60)),
    );
    let ran = plan(&home).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[tokio::test]
async fn large_texts_are_compared_within_seconds_or_not_at_all() {
    let server = Jumpbag::start().await;
    let home = Home::at(&server.place(&["Library.Manage"]).await);
    let lines = |seed: u32| {
        (0..400_000_u32).map(|line| format!("{:x}\n", line.wrapping_mul(seed))).collect::<String>()
    };
    home.write("lib/lines.txt", &lines(2_654_435_761)[..4 << 20 >> 1]);
    home.write("lib/large.bin", vec![b'x'; 5 << 20]);
    assert_eq!(home.run(&["sync", "lib", "--apply"]).await.code, 0);
    home.write("lib/lines.txt", &lines(2_246_822_519)[..4 << 20 >> 1]);
    home.write("lib/large.bin", vec![b'y'; 5 << 20]);
    let ran = home.run(&["sync", "lib", "--plan", "--diff"]).await;
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stdout.contains("not compared"), "{}", &ran.stdout[..2000.min(ran.stdout.len())]);
}

#[tokio::test]
async fn a_pull_plants_no_hidden_files_and_goes_on_behind_odd_names() {
    let names = [
        ".gitlab-ci.yml",
        "../up.sh",
        "/abs.sh",
        "Library.toml",
        "library.lock",
        "a\\b",
        "good.sh",
        "x:y",
        "..",
    ];
    let sha256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    let entry = |name: &&str| format!(r#"{{"fileName":{name:?},"sha256":"{sha256}","version":1,"id":"1"}}"#);
    let body = format!(r#"{{"value":[{}]}}"#, names.iter().map(entry).collect::<Vec<_>>().join(","));
    let server = Hostile::start(move |call| match call.line.contains("/content") {
        true => json(200, "x"),
        false => json(200, &body),
    })
    .await;
    let home = server.home();
    let ran = home.run(&["sync", "lib", "--pull"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert_eq!(home.names("lib"), ["good.sh", "library.lock"], "{}", ran.stderr);
    assert_eq!(home.names(""), ["lib"]);
    for name in names.iter().filter(|name| **name != "good.sh") {
        assert!(ran.stderr.contains(&format!("{name}: kept")), "{name}: {}", ran.stderr);
    }
}
