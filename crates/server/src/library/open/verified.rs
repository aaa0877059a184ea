//! Which blobs were verified whole in this process, and the tags of their pieces. Only what had the right digest and
//! size from its first byte to its last gets in; the memory is bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::tags::{Tagger, Tagging, Tags};

/// Memory for tags: those of some 50 GiB in blobs of 20 MiB.
const MEMORY: usize = 8 * 1024 * 1024;
/// What a blob costs beside its tags, roughly: its key, its digest, its places in tables.
const ENTRY: usize = 384;

/// Blobs by their keys, which are never used again: what a sweep deletes is forgotten in time.
pub struct Verified {
    tagger: Arc<Tagger>,
    halves: Mutex<Halves>,
}

/// When the young one is full it becomes the old one, and the old one is forgotten. What is asked for is young again.
#[derive(Default)]
struct Halves {
    young: HashMap<String, Known>,
    old: HashMap<String, Known>,
    /// Of the young one.
    memory: usize,
    /// That either may have.
    limit: usize,
}

#[derive(Clone)]
struct Known {
    /// What the blob was verified against. Another row that names the same blob must not profit.
    sha256: String,
    tags: Arc<Tags>,
}

impl Default for Verified {
    fn default() -> Verified {
        Verified::within(MEMORY)
    }
}

impl Verified {
    fn within(memory: usize) -> Verified {
        let halves = Halves { limit: memory / 2, ..Halves::default() };
        Verified { tagger: Tagger::new(), halves: Mutex::new(halves) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Halves> {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tags for a blob that is about to be verified.
    pub(super) fn begin(&self) -> Tagging {
        self.tagger.begin()
    }

    /// Remembers the tags of a blob all of whose bytes had this digest.
    pub(super) fn keep(&self, blob: &str, sha256: &str, tags: Tags) {
        let known = Known { sha256: sha256.to_owned(), tags: Arc::new(tags) };
        self.lock().insert(blob.to_owned(), known);
    }

    /// The tags of a blob that had this digest when it was verified.
    pub(super) fn find(&self, blob: &str, sha256: &str) -> Option<Arc<Tags>> {
        let mut halves = self.lock();
        if let Some((blob, known)) = halves.old.remove_entry(blob) {
            halves.insert(blob, known);
        }
        let known = halves.young.get(blob)?;
        (known.sha256 == sha256).then(|| Arc::clone(&known.tags))
    }

    /// Nothing is known of a blob any more: it has changed.
    pub(super) fn forget(&self, blob: &str) {
        self.lock().remove(blob);
    }
}

impl Halves {
    fn insert(&mut self, blob: String, known: Known) {
        self.remove(&blob);
        let cost = cost(&known);
        if self.memory + cost > self.limit {
            self.old = std::mem::take(&mut self.young);
            self.memory = 0;
        }
        if cost <= self.limit {
            self.memory += cost;
            self.young.insert(blob, known);
        }
    }

    fn remove(&mut self, blob: &str) {
        self.old.remove(blob);
        if let Some(known) = self.young.remove(blob) {
            self.memory -= cost(&known);
        }
    }
}

fn cost(known: &Known) -> usize {
    ENTRY + known.tags.memory()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(verified: &Verified, count: usize) -> Tags {
        let mut tagging = verified.begin();
        for _ in 0..count {
            tagging.add(b"piece").unwrap();
        }
        tagging.verified()
    }

    fn memory(verified: &Verified) -> usize {
        let halves = verified.lock();
        assert_eq!(halves.memory, halves.young.values().map(cost).sum::<usize>());
        assert!(halves.young.keys().all(|blob| !halves.old.contains_key(blob)));
        halves.young.values().chain(halves.old.values()).map(cost).sum()
    }

    #[test]
    fn only_the_digest_that_a_blob_was_verified_against_finds_its_tags() {
        let verified = Verified::default();
        verified.keep("a", "digest", tags(&verified, 1));
        assert!(verified.find("a", "digest").unwrap().fit(0, b"piece"));
        assert!(verified.find("a", "another").is_none());
        assert!(verified.find("b", "digest").is_none());
        verified.keep("a", "another", tags(&verified, 2));
        assert!(verified.find("a", "digest").is_none());
        assert!(verified.find("a", "another").unwrap().fit(1, b"piece"));
        verified.forget("a");
        assert!(verified.find("a", "another").is_none());
        assert_eq!(memory(&verified), 0);
    }

    #[test]
    fn memory_is_bounded_and_what_is_asked_for_stays() {
        let limit = 64 * 1024;
        let verified = Verified::within(limit);
        verified.keep("asked for", "digest", tags(&verified, 160));
        for number in 0..500 {
            verified.keep(&number.to_string(), "digest", tags(&verified, number % 200));
            assert!(verified.find("asked for", "digest").is_some(), "forgotten at {number}");
            assert!(memory(&verified) <= limit);
        }
        assert!(verified.find("499", "digest").is_some());
        assert!(verified.find("0", "digest").is_none());
        // What alone would be too much is not kept.
        verified.keep("large", "digest", tags(&verified, limit / 16));
        assert!(verified.find("large", "digest").is_none());
        verified.keep("499", "digest", tags(&verified, 1));
        assert!(memory(&verified) <= limit);
    }

    #[test]
    fn what_is_old_can_be_forgotten_and_replaced() {
        let verified = Verified::within(4 * ENTRY);
        for blob in ["a", "b", "c"] {
            verified.keep(blob, "digest", tags(&verified, 0));
        }
        assert_eq!(verified.lock().old.len(), 2);
        verified.forget("a");
        assert!(verified.find("a", "digest").is_none());
        verified.keep("b", "another", tags(&verified, 0));
        assert!(verified.find("b", "digest").is_none());
        assert!(verified.find("b", "another").is_some());
        memory(&verified);
    }
}
