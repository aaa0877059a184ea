//! Which program runs a script: by its name's end, its first line, or its first bytes. Arguments stay a list.

use std::path::{Path, PathBuf};

/// Bytes of a script that decide.
pub const HEAD: usize = 4096;

/// What to start a script with: a program and what comes before the script's own arguments.
pub type Start = (PathBuf, Vec<String>);

/// Chooses by a script's `name` and first bytes. `find` looks a program up.
///
/// # Errors
/// When this machine cannot run it; the words say why.
pub fn choose(
    name: &str,
    script: &Path,
    head: &[u8],
    find: impl Fn(&str) -> Option<PathBuf>,
) -> Result<Start, String> {
    let end = Path::new(name).extension().and_then(|end| end.to_str()).unwrap_or_default().to_lowercase();
    let path = script.to_str().ok_or("the agent's data folder has a name that is not Unicode")?.to_owned();
    if end == "ps1" {
        let shell = find("pwsh").or_else(|| find("powershell"));
        let shell = shell.ok_or("there is no PowerShell (`pwsh`) on this machine")?;
        let options = ["-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File"];
        return Ok((shell, options.into_iter().map(str::to_owned).chain([path]).collect()));
    }
    if let Some((program, argument)) = interpreter(head).filter(|_| cfg!(unix)) {
        let found = if program.contains('/') { Some(program.clone().into()) } else { find(&program) };
        let found = found.filter(|found: &PathBuf| found.exists());
        let found =
            found.ok_or_else(|| format!("the script asks for `{program}`, which is not on this machine"))?;
        return Ok((found, argument.into_iter().chain([path]).collect()));
    }
    let by_name: &[&str] = match end.as_str() {
        "sh" | "bash" => &["bash", "sh"],
        "py" => &["python3", "python", "py"],
        "bat" | "cmd" if cfg!(windows) => return Ok((script.to_owned(), Vec::new())),
        "bat" | "cmd" => return Err(format!("`{name}` is a batch file: only Windows runs those")),
        _ => &[],
    };
    if !by_name.is_empty() {
        let found = by_name.iter().find_map(|name| find(name));
        let found =
            found.ok_or_else(|| format!("there is no `{}` on this machine to run `{name}`", by_name[0]))?;
        return Ok((found, vec![path]));
    }
    match program(head) {
        Some(system) if system == std::env::consts::OS => Ok((script.to_owned(), Vec::new())),
        Some(system) => {
            Err(format!("`{name}` is a program for {system}, and this machine has {}", std::env::consts::OS))
        }
        None => Err(format!(
            "`{name}` is nothing that this machine can run: its name does not end in .ps1, .sh, .py, .bat or .cmd, \
             it has no `#!` line, and it is no program"
        )),
    }
}

/// The first line's `#!`: a program and at most one argument, as Linux takes it; a carriage return is no part of it.
fn interpreter(head: &[u8]) -> Option<(String, Option<String>)> {
    let line = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).strip_prefix(b"#!")?;
    let line = line.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.trim();
    let (program, argument) = line.split_once([' ', '\t']).map_or((line, ""), |(a, b)| (a, b.trim()));
    if program.is_empty() {
        return None;
    }
    let argument = (!argument.is_empty()).then(|| argument.to_owned());
    Some((program.to_owned(), argument))
}

/// Which system's program it is, by its first bytes.
fn program(head: &[u8]) -> Option<&'static str> {
    let magic = head.first_chunk::<4>()?;
    match magic {
        b"\x7fELF" => Some("linux"),
        [b'M', b'Z', ..] => Some("windows"),
        b"\xcf\xfa\xed\xfe" | b"\xca\xfe\xba\xbe" | b"\xce\xfa\xed\xfe" => Some("macos"),
        _ => None,
    }
}

/// Looks a program up in the folders of a search path.
pub fn find(name: &str, path: &str) -> Option<PathBuf> {
    let ends: &[&str] = if cfg!(windows) { &[".exe", ""] } else { &[""] };
    let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
    let mut candidates =
        folders.flat_map(|folder| ends.iter().map(move |end| folder.join(format!("{name}{end}"))));
    candidates.find(|candidate| is_program(candidate))
}

fn is_program(path: &Path) -> bool {
    let Ok(metadata) = std::fs::metadata(path) else { return false };
    #[cfg(unix)]
    let runs = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let runs = true;
    metadata.is_file() && runs
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn chosen(name: &str, head: &str) -> Result<(String, Vec<String>), String> {
        let find =
            |name: &str| (name != "python3" && name != "powershell").then(|| format!("/b/{name}").into());
        let (program, args) = choose(name, Path::new("/w/s"), head.as_bytes(), find)?;
        Ok((program.display().to_string(), args))
    }

    #[test]
    fn names_first_lines_and_first_bytes_decide() {
        let ok = |program: &str, args: &[&str]| {
            Ok((program.to_owned(), args.iter().map(|a| (*a).to_owned()).collect()))
        };
        let powershell = ["-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File", "/w/s"];
        assert_eq!(chosen("a.PS1", "#!/bin/sh\n"), ok("/b/pwsh", &powershell));
        assert_eq!(chosen("a.sh", "echo"), ok("/b/bash", &["/w/s"]));
        assert_eq!(chosen("a.sh", "#!/bin/sh -e\r\necho"), ok("/bin/sh", &["-e", "/w/s"]));
        assert_eq!(chosen("a", "#! /usr/bin/env  perl -w\n"), ok("/usr/bin/env", &["perl -w", "/w/s"]));
        assert_eq!(chosen("a.py", "print()"), ok("/b/python", &["/w/s"]));
        assert_eq!(chosen("a", "\x7fELF"), ok("/w/s", &[]));
        for (name, head, words) in [
            ("a.sh", "#!/no/such/shell\n", "/no/such/shell"),
            ("a.cmd", "@echo", "only Windows"),
            ("a.exe", "MZ\0\0", "program for windows"),
            ("a.txt", "hello", "nothing that this machine can run"),
            ("a", "", "nothing that this machine can run"),
        ] {
            let error = chosen(name, head).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
