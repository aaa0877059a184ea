//! Files and folders of the machine.

use std::io::{Read, Seek, Write};
use std::path::Path;

use flate2::read::GzDecoder;
use jumpbag_wire::action::CommandType;
use jumpbag_wire::agent::{CommandId, Outcome, Stream};

use crate::agent::Agent;
use crate::server::{Server, id};

async fn get(server: &Server, agent: &Agent, number: u32, path: &Path) -> (CommandId, Outcome) {
    let mut get = server.assignment(&agent.machine, id(1, number), CommandType::GetFile);
    get.path = Some(path.to_str().unwrap().to_owned());
    server.assign(&get);
    let outcome = server.finished(&get.command).await;
    (get.command, outcome)
}

/// The name in the header, and the content.
fn unpacked(server: &Server, command: &CommandId) -> (String, Vec<u8>) {
    let packed = server.output(command, Stream::File);
    let mut gzip = GzDecoder::new(packed.as_slice());
    let mut content = Vec::new();
    gzip.read_to_end(&mut content).unwrap();
    let name = gzip.header().unwrap().filename().unwrap().to_vec();
    (String::from_utf8(name).unwrap(), content)
}

#[tokio::test]
async fn a_file_comes_as_gzip_with_its_name() {
    let server = Server::start().await;
    let agent = Agent::running(&server).await;
    let large: Vec<u8> =
        (0..5_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for (number, (name, content)) in (0..).zip([("evidence (1).bin", &large[..]), ("größe.txt", b"x")]) {
        let path = agent.beside(name);
        std::fs::write(&path, content).unwrap();
        let (command, outcome) = get(&server, &agent, number, &path).await;
        assert!(outcome.succeeded && outcome.started.is_some(), "{outcome:?}");
        let (found, unpacked) = unpacked(&server, &command);
        assert_eq!(found, name);
        assert!(unpacked == content);
    }
    std::fs::write(agent.data().join("files/put"), "relative").unwrap();
    let (command, _) = get(&server, &agent, 7, Path::new("put")).await;
    assert_eq!(unpacked(&server, &command).1, b"relative");
}

#[tokio::test]
async fn what_is_no_plain_file_is_refused_in_clear_words() {
    let server = Server::start().await;
    let agent = Agent::running(&server).await;
    let place = |name: &str| agent.beside(name);
    std::fs::write(place("empty"), "").unwrap();
    std::fs::write(place("real"), "real").unwrap();
    std::os::unix::fs::symlink(place("real"), place("link")).unwrap();
    let mut sparse = std::fs::File::create(place("sparse")).unwrap();
    sparse.seek(std::io::SeekFrom::Start(10 << 20)).unwrap();
    sparse.write_all(b"end").unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, place("pipe"), mode).unwrap();
    let cases = [
        (place("empty"), "is empty"),
        (place("link"), "is a link"),
        (place("sparse"), "is sparse"),
        (place("pipe"), "neither a file nor a folder"),
        ("/dev/zero".into(), "neither a file nor a folder"),
        ("/proc/self/status".into(), "made up while it is read"),
        (place("absent"), "No such file"),
        (place("real/below"), "Not a directory"),
    ];
    for (number, (path, words)) in (0..).zip(cases) {
        let (command, outcome) = get(&server, &agent, number, &path).await;
        assert!(!outcome.succeeded && outcome.errors[0].contains(words), "{path:?}: {outcome:?}");
        assert!(outcome.output.is_empty() && server.output(&command, Stream::File).is_empty());
    }
}

#[tokio::test]
async fn a_folder_comes_as_an_archive_of_all_in_it() {
    let server = Server::start().await;
    let agent = Agent::running(&server).await;
    let root = agent.beside("folder");
    let deep = root.join("d".repeat(120)).join("e".repeat(120));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("deep"), "deep").unwrap();
    std::fs::write(root.join("empty"), "").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", root.join("link")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, root.join("pipe"), mode).unwrap();
    let (command, outcome) = get(&server, &agent, 0, &root).await;
    assert!(outcome.succeeded, "{outcome:?}");
    let (name, archive) = unpacked(&server, &command);
    assert_eq!(name, "folder.tar");
    let ends: Vec<_> = outcome.output.iter().map(|end| (end.stream, end.archive)).collect();
    assert_eq!(ends, [(Stream::Stderr, false), (Stream::File, true)]);
    let mut found = Vec::new();
    for entry in tar::Archive::new(archive.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        let path = entry.path().unwrap().strip_prefix("folder").unwrap().display().to_string();
        found.push((path, entry.header().entry_type(), content));
    }
    use tar::EntryType::{Directory, Regular, Symlink};
    let (d, e) = ("d".repeat(120), "e".repeat(120));
    let expected = [
        (String::new(), Directory, ""),
        (d.clone(), Directory, ""),
        (format!("{d}/{e}"), Directory, ""),
        (format!("{d}/{e}/deep"), Regular, "deep"),
        ("empty".into(), Regular, ""),
        ("link".into(), Symlink, ""),
    ];
    assert_eq!(found, expected.map(|(path, kind, content)| (path, kind, content.to_owned())));
    let left_out = server.text(&command, Stream::Stderr);
    assert!(left_out.contains("pipe`: it is neither"), "{left_out}");
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let server = Server::start().await;
    let mut agent = Agent::enrolled(&server).await;
    agent.change(|settings| settings.limits.file = 1000);
    agent.start();
    std::fs::create_dir(agent.beside("folder")).unwrap();
    for name in ["folder/a", "folder/b"] {
        std::fs::write(agent.beside(name), vec![b'x'; 600]).unwrap();
    }
    std::fs::write(agent.beside("file"), vec![b'x'; 1001]).unwrap();
    for (number, name, words) in [(0, "file", "larger than the 1000"), (1, "folder", "more than the 1000")] {
        let (_, outcome) = get(&server, &agent, number, &agent.beside(name)).await;
        assert!(!outcome.succeeded && outcome.errors[0].contains(words), "{outcome:?}");
    }
}
