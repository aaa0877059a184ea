//! Making a bundle.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::key::SigningKey;
use super::{CONTENTS, Contents, FILES, Item, NOTE, signed_text};
use crate::failure::Failure;

/// A file for a bundle and where its bytes are.
pub struct Content {
    pub item: Item,
    pub bytes: Bytes,
}

pub enum Bytes {
    At(PathBuf),
    /// In a file without a name, so many bytes into it.
    Within(Arc<File>, u64),
}

/// Writes a bundle of files that are in order.
///
/// # Errors
/// When a file is not what its digest says any more, or the bundle cannot be written.
pub fn write(contents: Vec<Content>, key: &SigningKey, to: &mut impl Write) -> Result<(), Failure> {
    let items = contents.iter().map(|content| content.item.clone()).collect();
    let mut json = serde_json::to_vec_pretty(&Contents { bundle: 1, files: items })
        .map_err(|e| Failure::Here(format!("cannot write {CONTENTS}: {e}")))?;
    json.push(b'\n');
    let note = key.sign(&signed_text(&json));
    let mut archive = tar::Builder::new(to);
    let failed = |e: std::io::Error| Failure::Here(format!("cannot write the bundle: {e}"));
    append(&mut archive, CONTENTS, json.len() as u64, &mut json.as_slice()).map_err(failed)?;
    append(&mut archive, NOTE, note.len() as u64, &mut note.as_bytes()).map_err(failed)?;
    for Content { item, bytes } in contents {
        let unreadable = |e: std::io::Error| Failure::Here(format!("cannot read `{}`: {e}", item.file_name));
        let (mut file, begin) = match bytes {
            Bytes::At(path) => (File::open(&path).map_err(|e| Failure::file("read", &path, &e))?, 0),
            Bytes::Within(file, begin) => (file.try_clone().map_err(unreadable)?, begin),
        };
        file.seek(SeekFrom::Start(begin)).map_err(unreadable)?;
        let mut hashed = Hashed { file: file.take(item.size), digest: Sha256::new() };
        append(&mut archive, &format!("{FILES}{}", item.file_name), item.size, &mut hashed)
            .map_err(failed)?;
        if jumpbag_wire::hex::hex(&hashed.digest.finalize()) != item.sha256 {
            return Err(Failure::Here(format!(
                "`{}` changed while it was read: no bundle was made",
                item.file_name
            )));
        }
    }
    archive.finish().map_err(failed)
}

/// Nothing of when and by whom: the same files give the same bytes.
fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    name: &str,
    size: u64,
    from: &mut dyn std::io::Read,
) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    archive.append_data(&mut header, name, from)
}

struct Hashed {
    file: std::io::Take<File>,
    digest: Sha256,
}

impl std::io::Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.digest.update(&buffer[..read]);
        Ok(read)
    }
}
