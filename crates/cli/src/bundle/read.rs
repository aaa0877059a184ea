//! Opening a bundle: signature, contents and every byte are checked before any of it is used.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use jumpbag_wire::note::{Note, PublicKey};

use super::key::check;
use super::{CONTENTS, Contents, FILES, Item, NOTE, signed_text};
use crate::failure::Failure;
use crate::folder::hash;

/// A bundle that was found good.
pub struct Opened {
    /// Whose key signed it.
    pub signer: PublicKey,
    /// The files, and where in the bundle their bytes begin.
    pub files: Vec<(Item, u64)>,
}

/// The description of a bundle is smaller than this, and its note than that.
const LARGEST_CONTENTS: u64 = 256 << 20;
const LARGEST_NOTE: u64 = 64 << 10;
const LONGEST_NAME: u64 = 4096;

type Entries<'a> = tar::Entries<'a, BufReader<File>>;

/// # Errors
/// When it is not signed by one of `keys`, or any of its bytes is not what the signature covers.
pub fn open(path: &Path, keys: &[PublicKey]) -> Result<Opened, Failure> {
    let file = File::open(path).map_err(|e| Failure::file("read", path, &e))?;
    let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 20, file));
    let wrong = |why: String| Failure::Here(format!("`{}` is no good bundle: {why}", path.display()));
    // Raw: extensions of the format that this program does not write have no meaning, and no size, here.
    let mut entries = archive.entries().map_err(|e| wrong(e.to_string()))?.raw(true);
    let contents = whole(&mut entries, CONTENTS, LARGEST_CONTENTS).map_err(wrong)?;
    let note = whole(&mut entries, NOTE, LARGEST_NOTE).map_err(wrong)?;
    // Nothing is read of the contents before somebody who is known has signed them.
    let signer = signer(&contents, &note, keys).map_err(wrong)?;
    let contents: Contents =
        serde_json::from_slice(&contents).map_err(|e| wrong(format!("{CONTENTS}: {e}")))?;
    if contents.bundle != 1 {
        return Err(wrong(format!("it is of format {}, and this program knows 1", contents.bundle)));
    }
    let mut files = Vec::with_capacity(contents.files.len());
    for item in contents.files {
        let at = verified(&mut entries, &item).map_err(wrong)?;
        files.push((item, at));
    }
    match entries.next() {
        None => Ok(Opened { signer, files }),
        Some(_) => Err(wrong("it holds more than its contents say".into())),
    }
}

fn signer(contents: &[u8], note: &[u8], keys: &[PublicKey]) -> Result<PublicKey, String> {
    let note = std::str::from_utf8(note).map_err(|_| format!("{NOTE} is no text"))?;
    let note = Note::parse(note).map_err(|e| format!("{NOTE}: {e}"))?;
    let signer = note.verify(keys, check).map_err(|e| e.to_string())?;
    if note.text() != signed_text(contents) {
        return Err(format!("{CONTENTS} is not what was signed"));
    }
    Ok(signer.clone())
}

/// The next entry, which must be this one, in memory.
fn whole(entries: &mut Entries<'_>, name: &str, largest: u64) -> Result<Vec<u8>, String> {
    let mut entry = next(entries, name)?;
    if entry.size() > largest {
        return Err(format!("{name} has {} bytes, more than it may", entry.size()));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(|e| format!("{name}: {e}"))?;
    Ok(bytes)
}

/// The next entry, which must be this file, with its digest; where its bytes begin.
fn verified(entries: &mut Entries<'_>, item: &Item) -> Result<u64, String> {
    let name = format!("{FILES}{}", item.file_name);
    let mut entry = next(entries, &name)?;
    let at = entry.raw_file_position();
    let found = hash(&mut entry, &mut vec![0; 1 << 18]).map_err(|e| format!("{name}: {e}"))?;
    if found != (item.size, item.sha256.clone()) {
        return Err(format!("{name} is not the file that was signed"));
    }
    Ok(at)
}

fn next<'a>(entries: &mut Entries<'a>, name: &str) -> Result<tar::Entry<'a, BufReader<File>>, String> {
    let mut following =
        || entries.next().ok_or_else(|| format!("{name} is missing"))?.map_err(|e| e.to_string());
    let mut entry = following()?;
    let mut path = entry.path_bytes().into_owned();
    if entry.header().entry_type() == tar::EntryType::GNULongName && entry.size() <= LONGEST_NAME {
        // A name that is too long for a header.
        path.clear();
        entry.read_to_end(&mut path).map_err(|e| format!("{name}: {e}"))?;
        path.truncate(path.strip_suffix(b"\0").map_or(path.len(), <[u8]>::len));
        entry = following()?;
    }
    if path != name.as_bytes() || entry.header().entry_type() != tar::EntryType::Regular {
        return Err(format!("`{}` is where {name} should be", String::from_utf8_lossy(&path)));
    }
    Ok(entry)
}
