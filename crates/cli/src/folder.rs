//! Files here: which of a folder's count, and their digests. Every problem of a folder is told at once.

pub mod manifest;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::failure::Failure;

/// A file here that was read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFile {
    pub path: PathBuf,
    /// What it is called in the library.
    pub name: String,
    pub size: u64,
    pub sha256: String,
}

/// Names in a folder that are about it rather than in it.
pub const MANIFEST: &str = "library.toml";
pub const LOCK: &str = "library.lock";

/// Bytes hashed at a time.
const PIECE: usize = 1 << 20;

/// The files of a folder and of those in it, by their paths from there, in order. What begins with a dot does not count.
///
/// # Errors
/// All that cannot be a library file or cannot be looked at.
pub fn walk(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let root = folder.canonicalize().map_err(|e| Failure::file("read", folder, &e))?;
    if !root.is_dir() {
        return Err(Failure::Usage(format!("`{}` is no folder", folder.display())));
    }
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    let hidden = |entry: &walkdir::DirEntry| {
        entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".")
    };
    let walk =
        walkdir::WalkDir::new(&root).sort_by_file_name().into_iter().filter_entry(|entry| !hidden(entry));
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => {
                problems.push(format!("cannot read {e}"));
                continue;
            }
        };
        let relative = entry.path().strip_prefix(&root).unwrap_or(entry.path()).to_path_buf();
        let own = entry.depth() == 1 && (relative == Path::new(MANIFEST) || relative == Path::new(LOCK));
        if entry.file_type().is_dir() || own {
            continue;
        }
        match inside(entry.path(), &root, entry.file_type()) {
            Ok(()) => files.push(relative),
            Err(why) => {
                problems.push(crate::output::shown(&format!("`{}` {why}", relative.display())).into_owned())
            }
        }
    }
    if problems.is_empty() { Ok(files) } else { Err(Failure::Here(problems.join("\n"))) }
}

/// Whether a file of this name, at the top of a folder, is one of the library's.
pub fn counts(name: &str) -> bool {
    !name.starts_with('.') && !name.eq_ignore_ascii_case(MANIFEST) && !name.eq_ignore_ascii_case(LOCK)
}

/// A link is as good as the file that it leads to, but not out of the folder: what a repository holds may come from
/// anybody, and the files around it are not theirs to publish.
fn inside(path: &Path, root: &Path, kind: std::fs::FileType) -> Result<(), String> {
    match path.file_name().and_then(|name| name.to_str()) {
        None => return Err("has a name that is not UTF-8: rename it".into()),
        Some(name) if name.contains(char::is_control) => {
            return Err("has a control character in its name: rename it".into());
        }
        Some(_) => {}
    }
    if kind.is_file() {
        return Ok(());
    }
    if !kind.is_symlink() {
        return Err("is neither a file nor a folder".into());
    }
    let target = path.canonicalize().map_err(|e| format!("is a link that leads nowhere: {e}"))?;
    let Ok(place) = target.strip_prefix(root) else {
        return Err(format!(
            "is a link to `{}`, outside the folder: copy that file here instead",
            target.display()
        ));
    };
    // Repositories keep tokens in such files.
    if place.iter().any(|part| part.as_encoded_bytes().starts_with(b".")) {
        return Err(format!("is a link to `{}`, which does not count: copy that file", place.display()));
    }
    if target.is_dir() {
        return Err("is a link to a folder: only links to files are followed".into());
    }
    if !target.is_file() {
        return Err("is a link to what is no file".into());
    }
    Ok(())
}

fn leads_out(link: &Path) -> bool {
    let folder = link.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let leads = |target: PathBuf| folder.canonicalize().is_ok_and(|folder| !target.starts_with(folder));
    link.is_symlink() && link.canonicalize().is_ok_and(leads)
}

/// More than any manifest or lock has.
const LARGEST_TEXT: u64 = 64 << 20;

/// A text about a folder, which may come from anybody, too: none when it is not there.
///
/// # Errors
/// When it cannot be read, is no file, or is too large.
pub fn text(path: &Path) -> Result<Option<String>, Failure> {
    let failed = |e: std::io::Error| Failure::file("read", path, &e);
    match path.metadata() {
        // Other files would be quoted in messages.
        _ if leads_out(path) => {
            return Err(Failure::Here(format!("`{}` is a link out of its folder", path.display())));
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        found if !found.as_ref().map_err(|e| Failure::file("read", path, e))?.is_file() => {
            return Err(Failure::Here(format!("`{}` is no file", path.display())));
        }
        _ => {}
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(LARGEST_TEXT + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > LARGEST_TEXT {
        return Err(Failure::Here(format!("`{}` has more than {LARGEST_TEXT} bytes", path.display())));
    }
    Ok(Some(text))
}

/// What is wrong with a TOML file, and where. Nothing of its text is told: it may hold secrets, or be another file.
pub fn toml_failure(path: &Path, text: &str, error: &toml::de::Error) -> Failure {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    Failure::Here(format!("`{}`, line {line}: {}", path.display(), error.message()))
}

/// Reads files whole, several at a time; they come back in their order.
///
/// # Errors
/// All files that cannot be read, or are empty: no library keeps those.
pub fn read(files: &[(PathBuf, String)]) -> Result<Vec<LocalFile>, Failure> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(files.len()).min(8);
    let hash = || {
        let (mut piece, mut done) = (vec![0; PIECE], Vec::new());
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((path, _)) = files.get(index) else { return done };
            done.push((index, digest(path, &mut piece)));
        }
    };
    let mut done: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(hash)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    done.sort_by_key(|(index, _)| *index);
    let (mut read, mut problems) = (Vec::with_capacity(done.len()), Vec::new());
    for ((path, name), (_, found)) in files.iter().zip(done) {
        match found {
            Ok((0, _)) => {
                problems.push(format!("`{}` is empty: a library file has at least one byte", path.display()))
            }
            Ok((size, sha256)) => {
                read.push(LocalFile { path: path.clone(), name: name.clone(), size, sha256 })
            }
            Err(e) => problems.push(format!("cannot read `{}`: {e}", path.display())),
        }
    }
    if problems.is_empty() { Ok(read) } else { Err(Failure::Here(problems.join("\n"))) }
}

fn digest(path: &Path, piece: &mut [u8]) -> std::io::Result<(u64, String)> {
    let found = path.metadata()?;
    if !found.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    // A file that grows has an end all the same.
    let (size, sha256) = hash(&mut std::fs::File::open(path)?.take(found.len() + 1), piece)?;
    if size != found.len() {
        return Err(std::io::Error::other("it changed while it was read"));
    }
    Ok((size, sha256))
}

/// Size and digest of all that there is to read, a piece at a time.
///
/// # Errors
/// When it cannot be read to its end.
pub fn hash(from: &mut impl std::io::Read, piece: &mut [u8]) -> std::io::Result<(u64, String)> {
    let (mut digest, mut size) = (Sha256::new(), 0);
    loop {
        match from.read(piece) {
            Ok(0) => return Ok((size, jumpbag_wire::hex::hex(&digest.finalize()))),
            Ok(read) => {
                digest.update(&piece[..read]);
                size += read as u64;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Of names that are one name in a library, the paths of two.
pub fn clash<'a>(files: impl IntoIterator<Item = (&'a str, &'a Path)>) -> Result<(), Failure> {
    let mut seen = std::collections::HashMap::new();
    let mut problems = Vec::new();
    for (name, path) in files {
        if let Some(other) = seen.insert(name.to_lowercase(), path) {
            problems.push(format!(
                "`{}` and `{}` would both be `{name}` in the library, where the case of letters does not count",
                other.display(),
                path.display()
            ));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::Here(problems.join("\n"))) }
}

/// Writes a file whole or not at all, beside its place first.
///
/// # Errors
/// When it cannot be written; nothing is left behind then.
pub fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut std::fs::File) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let mut file = beside(path)?;
    write(file.as_file_mut()).map_err(|e| Failure::file("write", path, &e))?;
    keep(file, path)
}

/// Gives what was written beside `path` its name, in place of what may be there.
///
/// # Errors
/// When the disk does not take it; nothing is left behind then.
pub fn keep(file: NamedTempFile, path: &Path) -> Result<(), Failure> {
    let kept = file.as_file().sync_all().and_then(|()| Ok(file.persist(path).map(drop)?));
    kept.map_err(|e| Failure::file("write", path, &e))
}

/// The same for a name under which there is nothing.
///
/// # Errors
/// Those of [`keep`]; also when there is something.
pub fn keep_new(file: NamedTempFile, path: &Path) -> Result<(), Failure> {
    let kept = file.as_file().sync_all().and_then(|()| Ok(file.persist_noclobber(path).map(drop)?));
    kept.map_err(|e| Failure::file("write", path, &e))
}

/// What files are called that have not got their names yet: between these, letters and digits at random.
const PREFIX: &str = ".jumpbag-";
const SUFFIX: &str = ".part";
const RANDOM: usize = 12;
/// What is written to is younger.
const LEFT: Duration = Duration::from_secs(24 * 60 * 60);
/// Folders that were looked at in this run.
static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Removes what runs that were killed left in a folder a day ago and longer. That it cannot be removed keeps nobody from
/// writing.
fn sweep(folder: &Path, now: SystemTime) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let is_left = || {
            let found = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
            Some(now.duration_since(found.modified().ok()?).ok()? > LEFT)
        };
        if is_temporary(&entry.file_name()) && is_left() == Some(true) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn is_temporary(name: &OsStr) -> bool {
    let name = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
    name.is_some_and(|name| name.len() == RANDOM && name.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// A temporary file in the folder of `path`, with the permissions of any other new file. What earlier runs left in the
/// folder goes.
///
/// # Errors
/// When it cannot be made.
pub fn beside(path: &Path) -> Result<NamedTempFile, Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if SWEPT.lock().is_ok_and(|mut swept| swept.insert(folder.to_path_buf())) {
        sweep(folder, SystemTime::now());
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).rand_bytes(RANDOM).suffix(SUFFIX);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder).map_err(|e| Failure::file("write", path, &e))
}
