//! Results in a folder: one for each machine. What comes from a server or a machine is a name there and never a path, and
//! nothing that is there already is overwritten.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::client::Client;
use crate::client::live::Stream;
use crate::client::machines::{Action, GET_FILE, RUN_SCRIPT, Step};
use crate::failure::Failure;
use crate::folder::{beside, keep_new};

/// A fetched file that would become larger stays compressed: a machine may say anything.
const LARGEST: u64 = 4 << 30;
/// Names in most file systems.
const LONGEST: usize = 200;

/// The folders of machines that are told by name and id: different for different machines, whatever they call themselves.
pub fn folders(machines: &[(String, String)]) -> Vec<String> {
    let plain_name = |name: &str| plain(name, "machine");
    let folder = |(name, id): &(String, String)| {
        let own = plain_name(name);
        let same = |(other, _): &&(String, String)| plain_name(other).to_lowercase() == own.to_lowercase();
        match machines.iter().filter(same).count() {
            0 | 1 => own,
            _ => format!("{own}-{}", plain(id, "id")),
        }
    };
    machines.iter().map(folder).collect()
}

/// Text from elsewhere as a name: letters, digits, and what is harmless everywhere.
pub fn plain(text: &str, instead: &str) -> String {
    let harmless = |c: char| if c.is_alphanumeric() || "._-+ ()@=,".contains(c) { c } else { '_' };
    let name: String = text.chars().map(harmless).collect();
    // No hidden files, no `..`, and nothing that Windows takes away at the end.
    let name = name.trim_start_matches(['.', ' ', '-']).trim_end_matches(['.', ' ']);
    let end = (0..=LONGEST.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    let name = name[..end].trim_end_matches(['.', ' ']);
    let stem = name.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let device = ["CON", "PRN", "AUX", "NUL"].contains(&stem.as_str())
        || (stem.len() == 4 && (stem.starts_with("COM") || stem.starts_with("LPT")));
    match name {
        "" => instead.to_owned(),
        name if device => format!("_{name}"),
        name => name.to_owned(),
    }
}

/// The last part of a path on a machine, of whatever system.
pub fn last_part(path: &str) -> &str {
    path.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or_default()
}

/// Keeps what the commands of an action brought, in a folder that is made when there is something.
///
/// # Errors
/// When the server refuses or breaks off, or something cannot be written.
pub async fn save(client: &Client, action: &Action, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    std::fs::create_dir_all(folder).map_err(|e| Failure::file("make", folder, &e))?;
    let mut saved = Vec::new();
    for step in action.commands.iter().filter(|step| step.has_ended()) {
        match step.command.kind.as_str() {
            RUN_SCRIPT => {
                let name = plain(step.command.about(), "script");
                for (stream, end) in [(Stream::Out, "stdout"), (Stream::Err, "stderr")] {
                    let path = free(folder, step, &format!("{name}.{end}"));
                    if script(client, action, step, stream, &path).await? {
                        saved.push(path);
                    }
                }
            }
            GET_FILE if step.command_status == "Completed" => {
                let name = plain(last_part(step.command.about()), "file");
                saved.push(
                    fetched(client, &action.id, step, |end| free(folder, step, &format!("{name}{end}")))
                        .await?,
                );
            }
            _ => {}
        }
    }
    Ok(saved)
}

/// A place where nothing is: the name, else with the command's index before it.
fn free(folder: &Path, step: &Step, name: &str) -> PathBuf {
    let mut path = folder.join(name);
    let mut again = 0;
    while path.symlink_metadata().is_ok() {
        path = match again {
            0 => folder.join(format!("{}-{name}", step.index)),
            again => folder.join(format!("{}-{again}-{name}", step.index)),
        };
        again += 1;
    }
    path
}

/// Writes what a script said to one of its streams; false when the server has nothing of it.
async fn script(
    client: &Client,
    action: &Action,
    step: &Step,
    stream: Stream,
    path: &Path,
) -> Result<bool, Failure> {
    let mut file = beside(path)?;
    match client.output(&action.id, step.index, stream, file.as_file_mut()).await {
        // It failed before it was started, and the original has no result of that.
        Err(failure) if failure.is(404) => return Ok(false),
        other => other?,
    }
    keep_new(file, path).map(|()| true)
}

/// Fetches a file of a machine to where `place` says, which is told an ending of its name: none for a file, which is
/// uncompressed; `.tar.gz` for a folder; `.gz` for what would become too large.
///
/// # Errors
/// When the server refuses or breaks off, what came is damaged, or it cannot be written.
pub async fn fetched(
    client: &Client,
    action: &str,
    step: &Step,
    place: impl Fn(&str) -> PathBuf,
) -> Result<PathBuf, Failure> {
    let path = place("");
    let failed = |e: &std::io::Error| Failure::file("write", &path, e);
    let mut packed = beside(&path)?;
    let arrived = client.download(action, step.index, packed.as_file_mut()).await?;
    let folder = is_folder(&arrived.disposition, step.command.about());
    packed.as_file_mut().seek(SeekFrom::Start(0)).map_err(|e| failed(&e))?;
    let mut magic = Vec::new();
    packed.as_file_mut().take(2).read_to_end(&mut magic).map_err(|e| failed(&e))?;
    let kept = |file: tempfile::NamedTempFile, path: PathBuf| keep_new(file, &path).map(|()| path);
    if magic != [0x1f, 0x8b] {
        // The original has been seen to do without.
        return kept(packed, path);
    }
    packed.as_file_mut().seek(SeekFrom::Start(0)).map_err(|e| failed(&e))?;
    let mut unpacked = beside(&path)?;
    let plain = &mut MultiGzDecoder::new(std::io::BufReader::new(packed.as_file_mut())).take(LARGEST + 1);
    // Of a folder only to see that it is whole.
    let copied = if folder {
        std::io::copy(plain, &mut std::io::sink())
    } else {
        std::io::copy(plain, unpacked.as_file_mut())
    };
    let size = copied.map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidInput
        | std::io::ErrorKind::InvalidData
        | std::io::ErrorKind::UnexpectedEof => {
            Failure::Here(format!("what came of `{}` is damaged: {e}", step.command.about()))
        }
        _ => failed(&e),
    })?;
    match (folder, size > LARGEST) {
        (true, _) => kept(packed, place(".tar.gz")),
        (false, true) => {
            let text = format!("{} stays compressed: it has more than {LARGEST} bytes", path.display());
            client.progress.warn(&crate::output::shown(&text));
            kept(packed, place(".gz"))
        }
        (false, false) => kept(unpacked, path),
    }
}

/// Whether what came is an archive of a folder: jumpbag names it so.
fn is_folder(disposition: &str, path: &str) -> bool {
    let end = if last_part(path).ends_with(".tar") { ".tar.tar.gz" } else { ".tar.gz" };
    disposition.trim_end_matches(['"', ';', ' ']).ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::{is_folder, last_part, plain};

    #[test]
    fn names_from_elsewhere_are_no_paths() {
        for (text, name) in [
            ("web1.example.org", "web1.example.org"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("../x", "_x"),
            ("..", "machine"),
            (".", "machine"),
            ("", "machine"),
            ("C:\\x", "C__x"),
            ("nul.txt", "_nul.txt"),
            ("a\u{1b}[2J\u{202e}b\n", "a__2J_b_"),
            (".ssh", "ssh"),
            ("-rf", "rf"),
            ("end. . ", "end"),
            ("größe", "größe"),
        ] {
            assert_eq!(plain(text, "machine"), name, "{text:?}");
        }
        assert!(plain(&"ä".repeat(300), "machine").len() <= 200);
        assert_eq!(last_part("C:\\Windows\\Temp\\x.zip"), "x.zip");
        assert_eq!(last_part("/var/log/"), "log");
        assert_eq!(last_part("/"), "");
    }

    #[test]
    fn machines_of_one_name_have_folders_of_their_own() {
        let machine = |name: &str, id: &str| (name.to_owned(), id.to_owned());
        let machines = [machine("Web", "1a"), machine("web", "2b"), machine("../x", "3c")];
        assert_eq!(super::folders(&machines), ["Web-1a", "web-2b", "_x"]);
    }

    #[test]
    fn folders_are_told_from_files() {
        assert!(is_folder("attachment; filename=\"log.tar.gz\"", "/var/log"));
        assert!(!is_folder("attachment; filename=\"x.tar.gz\"", "/tmp/x.tar"));
        assert!(is_folder("attachment; filename=\"x.tar.tar.gz\"", "/tmp/x.tar"));
        assert!(!is_folder("attachment; filename=\"x.gz\"", "/tmp/x"));
        assert!(!is_folder("", "/tmp/x"));
    }
}
