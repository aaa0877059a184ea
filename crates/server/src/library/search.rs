//! `$search`: what it asks for in words, and the follower that brings new versions into the index. A search sees every
//! change that was made before it was asked.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use tokio::sync::Mutex;

use super::Library;
use super::text::{decode, index_text, words};
use crate::catalog::contents::{self, Place};
use crate::catalog::history::VersionRow;
use crate::catalog::search::{self, Behind, Wanted, Words};
use crate::catalog::{Tx, audit};
use crate::error::Error;
use crate::odata::Search;

/// Versions that go into the index at a time.
const BATCH: i64 = 64;
/// Bytes of a content that are looked at.
const MAX_TEXT: usize = 1024 * 1024;
/// Bytes of words that a version has in the index.
const MAX_WORDS_BYTES: usize = 256 * 1024;
/// How long a search waits for the index.
const PATIENCE: Duration = Duration::from_secs(20);

/// One at a time brings the index up to date.
pub type Follower = Arc<Mutex<()>>;

impl Library {
    /// Waits until the index has every change that was made before.
    ///
    /// # Errors
    /// `Crowded` when it is too far behind.
    pub(super) async fn indexed(&self) -> Result<(), Error> {
        tokio::time::timeout(PATIENCE, self.follow()).await.map_err(|_| Error::Crowded)?
    }

    /// Brings the index up to the change that is the newest now.
    pub async fn follow(&self) -> Result<(), Error> {
        // One question for both: every search asks it.
        let (newest, indexed) = self
            .catalog
            .read(|tx| {
                Box::pin(async move {
                    let newest = audit::last_change(tx).await?;
                    Ok::<_, Error>((newest, search::indexed(tx).await?))
                })
            })
            .await?;
        if indexed >= newest {
            return Ok(());
        }
        let _turn = self.follower.lock().await;
        while self.indexed_to().await? < newest {
            let behind = self
                .catalog
                .snapshot(|tx| Box::pin(async move { Ok::<_, Error>(search::behind(tx, BATCH).await?) }))
                .await?;
            let mut documents = Vec::with_capacity(behind.versions.len());
            for version in &behind.versions {
                documents.push((version.born, self.document(version).await?));
            }
            // On another node somebody may have been faster: then what is left is looked at again.
            self.catalog.write(move |tx| Box::pin(add(tx, behind, documents))).await?;
        }
        Ok(())
    }

    /// Takes the words of versions that were removed out of the index, if any were.
    pub(super) async fn compact(&self) -> Result<(), Error> {
        if !self.forgotten.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let mut first = true;
        loop {
            let step = self
                .catalog
                .write(move |tx| Box::pin(async move { Ok::<_, Error>(search::compact(tx, first).await?) }));
            match step.await {
                Ok(true) => first = false,
                Ok(false) => return Ok(()),
                Err(e) => {
                    self.forgotten.store(true, Ordering::Relaxed);
                    return Err(e);
                }
            }
        }
    }

    async fn indexed_to(&self) -> Result<i64, Error> {
        self.catalog.read(|tx| Box::pin(async move { Ok(search::indexed(tx).await?) })).await
    }

    /// What of a version can be found.
    async fn document(&self, version: &VersionRow) -> Result<String, Error> {
        let metadata = &version.metadata;
        let mut text = version.name.clone();
        for part in [&metadata.description, &metadata.category, &metadata.instructions].into_iter().flatten()
        {
            text.push(' ');
            text.push_str(part);
        }
        for tag in &metadata.tags {
            text.push(' ');
            text.push_str(tag);
        }
        if let Some(decoded) = decode(whole_characters(&self.beginning(&version.sha256).await?)) {
            text.push(' ');
            text.push_str(&decoded.text);
        }
        // Tokenizing a megabyte is too long for a thread that serves others.
        tokio::task::spawn_blocking(move || index_text(&text, MAX_WORDS_BYTES))
            .await
            .map_err(|e| Error::Internal(e.to_string()))
    }

    /// The first bytes of a content; none when they cannot be had, which whoever downloads it will be told.
    pub(super) async fn beginning(&self, sha256: &str) -> Result<Vec<u8>, Error> {
        let digest = sha256.to_owned();
        let content = self
            .catalog
            .read(move |tx| Box::pin(async move { Ok::<_, Error>(contents::content(tx, &digest).await?) }))
            .await?;
        let mut bytes = Vec::new();
        match content.map(|content| content.place) {
            None => {}
            Some(Place::Inline(small)) => bytes.extend_from_slice(&small),
            Some(Place::Blob(key)) => {
                let read = async {
                    let mut stream = self.blobs.open(&key).await?;
                    while let Some(piece) = stream.try_next().await? {
                        bytes.extend_from_slice(&piece);
                        if bytes.len() >= MAX_TEXT {
                            break;
                        }
                    }
                    Ok::<_, Error>(())
                };
                if let Err(e) = read.await {
                    tracing::warn!(blob = key, error = e.chain(), "its text cannot be searched");
                    bytes.clear();
                }
            }
        }
        bytes.truncate(MAX_TEXT);
        Ok(bytes)
    }
}

async fn add(tx: &mut Tx, behind: Behind, documents: Vec<(i64, String)>) -> Result<bool, Error> {
    Ok(search::index(tx, &behind, &documents).await?)
}

/// The bytes without the character that was cut in two at their end, if there is one.
pub(super) fn whole_characters(bytes: &[u8]) -> &[u8] {
    if bytes.len() < MAX_TEXT {
        return bytes;
    }
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        // Two bytes fewer, unless they begin no pair of units.
        let end = bytes.len() & !1;
        let unit = [bytes[end - 2], bytes[end - 1]];
        let unit = if bytes[0] == 0xFF { u16::from_le_bytes(unit) } else { u16::from_be_bytes(unit) };
        let is_first_of_two = (0xD800..0xDC00).contains(&unit);
        return &bytes[..end - if is_first_of_two { 2 } else { 0 }];
    }
    match std::str::from_utf8(bytes) {
        Err(e) if e.error_len().is_none() => &bytes[..e.valid_up_to()],
        _ => bytes,
    }
}

/// What a search asks the index for.
///
/// # Errors
/// `OData` when a term has nothing that the index knows.
pub(super) fn wanted(search: &Search) -> Result<Wanted, Error> {
    let all = |parts: &[Search]| parts.iter().map(wanted).collect::<Result<Vec<_>, _>>();
    Ok(match search {
        Search::Term(text) | Search::Phrase(text) => Wanted::Words(in_a_row(text, false)?),
        Search::Prefix(text) => Wanted::Words(in_a_row(text, true)?),
        Search::And(parts) => Wanted::All(all(parts)?),
        Search::Or(parts) => Wanted::Any(all(parts)?),
        Search::Not(part) => Wanted::Not(Box::new(wanted(part)?)),
    })
}

fn in_a_row(text: &str, is_prefix: bool) -> Result<Words, Error> {
    let words: Vec<String> = words(text).collect();
    if words.is_empty() {
        return Err(Error::OData(format!(
            "`$search`: `{}` has no letters or digits to look for",
            text.escape_debug()
        )));
    }
    Ok(Words { words, is_prefix })
}

#[cfg(test)]
mod tests {
    use super::{MAX_TEXT, whole_characters};

    #[test]
    fn a_cut_text_ends_with_a_whole_character() {
        assert_eq!(whole_characters("aé".as_bytes()), "aé".as_bytes());
        let cut = |mut bytes: Vec<u8>| {
            bytes.truncate(MAX_TEXT);
            whole_characters(&bytes).len()
        };
        assert_eq!(cut("é".repeat(MAX_TEXT).into_bytes()), MAX_TEXT);
        assert_eq!(cut(format!("a{}", "é".repeat(MAX_TEXT)).into_bytes()), MAX_TEXT - 1);
        assert_eq!(cut(vec![0xFF; MAX_TEXT + 1]), MAX_TEXT);
        let utf_16 = |text: String| {
            let units = std::iter::once('\u{feff}').chain(text.chars()).collect::<String>();
            units.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()
        };
        assert_eq!(cut(utf_16("é".repeat(MAX_TEXT))), MAX_TEXT);
        assert_eq!(cut(utf_16("𝄞".repeat(MAX_TEXT))), MAX_TEXT - 2);
    }
}
