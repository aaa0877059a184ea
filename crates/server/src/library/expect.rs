//! What a request expects of the file it changes, so that nobody's change is lost unseen.

use jumpbag_wire::library::LibraryFile;

use crate::error::Error;

/// From the headers `If-Match` and `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Expect {
    #[default]
    Anything,
    /// No file lives under the name.
    Absent,
    /// Some file does.
    Present,
    /// One with one of these entity tags, without their quotes: its own, or the digest of its bytes.
    OneOf(Vec<String>),
}

/// A file's own entity tag, without quotes: another one with everything that changes.
pub fn tag(file: &LibraryFile) -> String {
    let held = if file.legal_hold { "-held" } else { "" };
    format!("{}-{}{held}", file.id, file.version)
}

impl Expect {
    /// # Errors
    /// `PreconditionFailed` when the file that lives under the name, if one does, is not what was expected.
    pub fn check(&self, name: &str, file: Option<&LibraryFile>) -> Result<(), Error> {
        let refused = |why: String| Err(Error::PreconditionFailed(why));
        match (self, file) {
            (Expect::Anything, _) | (Expect::Absent, None) | (Expect::Present, Some(_)) => Ok(()),
            (Expect::Absent, Some(_)) => refused(format!(
                "Library file {name} already exists, and `If-None-Match: *` asks that it does not"
            )),
            (Expect::Present | Expect::OneOf(_), None) => {
                refused(format!("Library file {name} does not exist, and `If-Match` asks that it does"))
            }
            (Expect::OneOf(tags), Some(file)) => {
                let own = tag(file);
                if tags.iter().any(|tag| *tag == own || *tag == file.sha256) {
                    return Ok(());
                }
                refused(format!(
                    "Library file {name} is not what `If-Match` asks for: it is \"{own}\" now, its bytes are \"{}\"",
                    file.sha256
                ))
            }
        }
    }
}
