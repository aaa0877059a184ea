//! What goes wrong: with files here, with the server, and on the way there.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

use crate::original::{Fault, Original};
use crate::program::Home;
use crate::server::Jumpbag;

#[tokio::test]
async fn files_that_cannot_be_library_files_are_all_named_and_nothing_is_sent() {
    let original = Original::start().await;
    let home = Home::at(&(&original).into());
    home.write("lib/good.ps1", "x");
    home.write("lib/empty.ps1", "");
    home.write("lib/a/same.ps1", "x");
    home.write("lib/b/Same.PS1", "y");
    home.write("outside.txt", "secret");
    home.write("lib/deep/real.txt", "x");
    let refused = async |says: &[&str]| {
        let ran = home.quietly(&["sync", "lib", "--apply"]).await.expect(1);
        for says in says {
            assert!(ran.stderr.contains(says), "no `{says}` in {}", ran.stderr);
        }
    };
    refused(&["`lib/a/same.ps1` and `lib/b/Same.PS1` would both be `Same.PS1`"]).await;
    std::fs::remove_file(home.path("lib/b/Same.PS1")).unwrap();
    refused(&["`lib/empty.ps1` is empty"]).await;
    symlink("../outside.txt", home.path("lib/leak.txt")).unwrap();
    symlink("nowhere", home.path("lib/broken")).unwrap();
    symlink("deep", home.path("lib/folder")).unwrap();
    symlink("deep/real.txt", home.path("lib/inside.txt")).unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"odd\xff.ps1");
    std::fs::write(home.path("lib").join(odd), "x").unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(home.path("lib/pipe")).status().unwrap();
    assert!(fifo.success());
    refused(&[
        "`leak.txt` is a link to",
        "outside the folder",
        "`broken` is a link that leads nowhere",
        "`folder` is a link to a folder",
        "has a name that is not UTF-8",
        "`pipe` is neither a file nor a folder",
    ])
    .await;
    assert_eq!(original.count("POST /api"), 0);
    for name in ["leak.txt", "broken", "folder", "pipe", "empty.ps1"] {
        std::fs::remove_file(home.path("lib").join(name)).unwrap();
    }
    std::fs::remove_file(home.path("lib").join(odd)).unwrap();
    home.quietly(&["sync", "lib", "--apply"]).await.expect(0);
    assert_eq!(original.file("inside.txt").unwrap().bytes, b"x"[..]);
}

/// Root reads everything, so a folder of the kernel's stands in for a file that may not be read.
#[tokio::test]
async fn a_file_that_cannot_be_read_is_named() {
    let original = Original::start().await;
    let home = Home::at(&(&original).into());
    home.write("good.ps1", "x");
    let ran = home.quietly(&["files", "upload", "good.ps1", "/proc/self/mem"]).await.expect(1);
    assert!(ran.stderr.contains("cannot read `/proc/self/mem`"), "{}", ran.stderr);
    let ran = home.quietly(&["files", "upload", "nowhere.ps1"]).await.expect(1);
    assert!(ran.stderr.contains("cannot read `nowhere.ps1`: No such file"), "{}", ran.stderr);
    assert_eq!(original.count("POST /api"), 0);
}

#[tokio::test]
async fn too_large_is_said_before_anything_is_sent() {
    let original = Original::start().await;
    let home = Home::at(&(&original).into());
    home.write("lib/fits.bin", vec![1; 20 << 20]);
    home.quietly(&["sync", "lib", "--apply"]).await.expect(0);
    home.write("lib/large.bin", vec![1; (20 << 20) + 1]);
    original.forget_calls();
    let ran = home.quietly(&["sync", "lib", "--apply"]).await.expect(1);
    assert!(
        ran.stderr.contains("`large.bin` has 20971521 bytes, and the server takes at most 20971520"),
        "{}",
        ran.stderr
    );
    assert_eq!(original.count("POST /api"), 0);
    let server = Jumpbag::with(&[("max_file_bytes", "30000000")], false).await;
    let home = Home::at(&server.librarian().await);
    home.write("lib/large.bin", vec![1; (20 << 20) + 1]);
    home.quietly(&["sync", "lib", "--apply"]).await.expect(0);
}

/// A file that grows, shrinks or changes between its digest and its last byte is not stored at all.
#[tokio::test]
async fn a_file_that_changes_while_it_is_sent_is_not_stored() {
    let original = Original::start().await;
    let home = Home::at(&(&original).into());
    for (name, after) in [("grows", 3_000_001), ("shrinks", 10), ("changes", 3_000_000)] {
        home.write(name, vec![b'a'; 3_000_000]);
        // The first answer sends the program back to the beginning of the file, which is another by then.
        original.fail("POST /api/libraryfiles", Fault::TooMany(1));
        let upload = home.command(&["files", "upload", name]).spawn().unwrap();
        crate::until(|| original.count("POST /api/libraryfiles") > 0).await;
        home.write(name, vec![b'b'; after]);
        let output = upload.wait_with_output().await.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("changed while it was read: nothing was uploaded"), "{stderr}");
        assert!(original.file(name).is_none());
        original.forget_calls();
    }
}

#[tokio::test]
async fn a_storm_of_429_is_waited_out_and_told() {
    let original = Original::start().await;
    let home = Home::at(&(&original).into());
    for n in 0..12 {
        home.write(&format!("lib/{n}.ps1"), format!("{n}"));
    }
    original.fail("POST /api/libraryfiles", Fault::TooMany(1)).times(9);
    let ran = home.quietly(&["sync", "lib", "--apply"]).await.expect(0);
    assert!(ran.stderr.contains("the server's limit is reached ("), "{}", ran.stderr);
    assert_eq!(original.files().len(), 12);
    // Silent means silent.
    original.fail("GET /api/libraryfiles", Fault::TooMany(1)).times(1);
    assert_eq!(home.quietly(&["-q", "files", "list"]).await.expect(0).stderr, "");
}

/// Who would have to wait for a day is told so, quiet or not, and what was not begun is left.
#[tokio::test]
async fn nobody_waits_for_ever() {
    let original = Original::start().await;
    let home = Home::at(&(&original).into());
    for n in 0..5 {
        home.write(&format!("lib/{n}.ps1"), format!("{n}"));
    }
    original.fail("POST /api/libraryfiles", Fault::TooMany(86_400)).times(100);
    let ran = home.quietly(&["-q", "sync", "lib", "--apply", "--jobs", "1"]).await.expect(1);
    assert!(ran.stderr.contains("86400 s") && ran.stderr.contains("(429 TooManyRequests"), "{}", ran.stderr);
    assert_eq!(original.count("POST /api/libraryfiles"), 1);
}

/// The original's limits as they are: more files than calls in a (short) minute all arrive.
#[tokio::test]
async fn more_files_than_calls_a_minute_all_arrive() {
    let minute = std::time::Duration::from_millis(1500);
    let original = Original::options().per_minute(10).minute(minute).start().await;
    let home = Home::at(&(&original).into());
    for n in 0..25 {
        home.write(&format!("lib/{n}.ps1"), format!("{n}"));
    }
    home.quietly(&["sync", "lib", "--apply"]).await.expect(0);
    assert_eq!(original.files().len(), 25);
}

#[tokio::test]
async fn an_upload_whose_answer_is_lost_is_made_once() {
    let original = Original::start().await;
    let home = Home::at(&(&original).into());
    home.write("a.ps1", "one");
    // Done, and the answer lost: it is looked for, and found.
    original.fail("POST /api/libraryfiles", Fault::DropAfter);
    home.quietly(&["files", "upload", "a.ps1"]).await.expect(0);
    assert_eq!(original.count("POST /api/libraryfiles"), 1);
    // Not done: it is sent again.
    home.write("b.ps1", "two");
    original.forget_calls();
    original.fail("POST /api/libraryfiles", Fault::DropBefore).times(2);
    home.quietly(&["files", "upload", "b.ps1"]).await.expect(0);
    assert_eq!(original.count("POST /api/libraryfiles"), 3);
    // A delete whose answer is lost was a delete.
    original.fail("DELETE /api/libraryfiles/b.ps1", Fault::DropAfter);
    home.quietly(&["files", "delete", "b.ps1"]).await.expect(0);
    assert_eq!(original.files().len(), 1);
    // A server that fails for a while is borne, one that only fails is not.
    original.fail("GET /api/libraryfiles", Fault::Status(503)).times(3);
    home.quietly(&["files", "list"]).await.expect(0);
    original.fail("GET /api/libraryfiles", Fault::Status(500)).times(100);
    let ran = home.quietly(&["files", "list"]).await.expect(1);
    assert!(ran.stderr.contains("(500 InternalServerError"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_list_that_breaks_off_is_no_list() {
    let original = Original::start().await;
    original.put("a.ps1", "x");
    let home = Home::at(&(&original).into());
    original.fail("GET /api/libraryfiles", Fault::CutShort).times(100);
    home.write("lib/b.ps1", "x");
    let ran = home.quietly(&["sync", "lib", "--apply", "--delete"]).await.expect(3);
    assert!(ran.stderr.contains("no answer from"), "{}", ran.stderr);
    assert_eq!(original.files().len(), 1);
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_under_the_name() {
    let server = Jumpbag::start().await;
    let home = Home::at(&server.librarian().await);
    home.write("tool.bin", vec![7; 3 << 20]);
    home.quietly(&["files", "upload", "tool.bin"]).await.expect(0);
    let small = SmallDisk::mount(&home.path("small"));
    let ran = home.quietly(&["files", "download", "tool.bin", "-o", "small/"]).await.expect(1);
    assert!(ran.stderr.contains("No space left on device"), "{}", ran.stderr);
    assert_eq!(home.names("small"), [] as [&str; 0]);
    home.write("small/tool.bin", "the one before");
    home.quietly(&["files", "download", "tool.bin", "-o", "small/", "--override"]).await.expect(1);
    assert_eq!(home.read("small/tool.bin"), "the one before");
    let ran = home.quietly(&["sync", "small", "--pull", "--force"]).await.expect(1);
    assert!(ran.stderr.contains("No space left on device"), "{}", ran.stderr);
    assert_eq!(home.read("small/tool.bin"), "the one before");
    drop(small);
}

/// A disk of one megabyte.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: &std::path::Path) -> SmallDisk {
        std::fs::create_dir(at).unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(at)
            .status();
        assert!(mounted.is_ok_and(|status| status.success()), "a small disk is mounted, which takes root");
        SmallDisk(at.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_says_how_to_trust_it() {
    let server = Jumpbag::with_tls().await;
    let mut place = server.librarian().await;
    let trusted = Home::at(&place);
    trusted.quietly(&["files", "list"]).await.expect(0);
    place.ca_file = None;
    let ran = Home::at(&place).quietly(&["files", "list"]).await.expect(3);
    assert!(ran.stderr.contains("--ca-file") && ran.stderr.contains("JUMPBAG_CA_FILE"), "{}", ran.stderr);
    let original = Original::options().tls().start().await;
    let mut place: crate::program::Place = (&original).into();
    Home::at(&place).quietly(&["files", "list"]).await.expect(3);
    place.ca_file = Some(original.ca_file());
    Home::at(&place).quietly(&["files", "list"]).await.expect(0);
}

/// A proxy that the environment names gets the connection, and sees no token: the tunnel is TLS.
#[tokio::test]
async fn a_proxy_is_used_where_the_environment_names_one() {
    let original = Original::options().tls().start().await;
    let proxy = Proxy::start().await;
    let mut place: crate::program::Place = (&original).into();
    place.ca_file = Some(original.ca_file());
    let home = Home::at(&place).env("HTTPS_PROXY", &proxy.url);
    home.quietly(&["files", "list"]).await.expect(0);
    let host = original.url().trim_start_matches("https://").to_owned();
    let asked = proxy.asked.lock().unwrap().clone();
    assert!(
        !asked.is_empty() && asked.iter().all(|line| *line == format!("CONNECT {host} HTTP/1.1")),
        "{asked:?}"
    );
    let dead = Home::at(&place).env("HTTPS_PROXY", "http://127.0.0.1:1");
    dead.quietly(&["files", "list"]).await.expect(3);
}

/// An HTTP proxy that only tunnels.
struct Proxy {
    url: String,
    asked: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start() -> Proxy {
        use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = asked.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let seen = seen.clone();
                tokio::spawn(async move {
                    let mut client = tokio::io::BufReader::new(client);
                    let mut first = String::new();
                    client.read_line(&mut first).await?;
                    let mut line = String::new();
                    while client.read_line(&mut line).await? > 2 {
                        line.clear();
                    }
                    seen.lock().unwrap().push(first.trim().to_owned());
                    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
                    let mut server = tokio::net::TcpStream::connect(target).await?;
                    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Proxy { url, asked }
    }
}

#[tokio::test]
async fn a_name_or_description_from_the_server_does_not_move_the_cursor() {
    let original = Original::start().await;
    original.put_described("evil.ps1", "x", Some("\u{1b}[2Jgone\u{7}"), None);
    let home = Home::at(&(&original).into());
    for command in [&["files", "list"][..], &["files", "show", "evil.ps1"]] {
        let ran = home.quietly(command).await.expect(0);
        assert!(
            ran.stdout.contains("\\u{1b}[2Jgone\\u{7}") && !ran.stdout.contains('\u{1b}'),
            "{:?}",
            ran.stdout
        );
    }
}

/// A library whose names are paths writes nothing outside the folder.
#[tokio::test]
async fn a_name_that_is_a_path_is_no_file_here() {
    let original = Original::start().await;
    original.put("../evil.ps1", "x");
    let home = Home::at(&(&original).into());
    let ran = home.quietly(&["files", "download", "../evil.ps1"]).await;
    assert_ne!(ran.code, 0);
    assert_eq!(home.names(""), [] as [&str; 0]);
}
