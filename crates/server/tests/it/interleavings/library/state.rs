//! What is durable in the two stores, and what their users have in mind.

/// Digests, and blobs that somebody knows of at a time. A key that nobody knows of any more is as good as a new one, so
/// there is no limit to how many uploads there are.
pub const DIGESTS: usize = 2;
pub const KEYS: usize = 3;
/// This many versions of the same bytes, or more.
pub const MANY: u8 = 2;

pub type Digest = usize;
pub type Key = usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    Row,
    Blob(Key),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Age {
    New,
    /// Beyond its time of grace.
    Old,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Uploader {
    Idle,
    /// All bytes are there, in memory or in a durable blob.
    Staged(Digest, Place),
    /// Refused: the blob is to be taken back.
    Refused(Key),
    /// Committed, while the blob is on its way. Only with a flaw.
    Late(Digest, Key),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sweeper {
    Idle,
    /// Read from `garbage`.
    Picked(Key),
    /// The blob is deleted.
    Removed(Key),
    /// The store has it, and it is old.
    Listed(Key),
    /// No row names it.
    Ownerless(Key),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct State {
    // The catalog: durable, changed by transactions only.
    pub contents: [Option<Place>; DIGESTS],
    pub garbage: [Option<Age>; KEYS],
    /// How many versions have these bytes, under whatever names, current or kept.
    pub versions: [u8; DIGESTS],
    // The store: durable, one blob at a time.
    pub blobs: [Option<(Digest, Age)>; KEYS],
    // Those who use both; forgotten when they crash.
    pub uploaders: [Uploader; 2],
    pub sweepers: [Sweeper; 2],
    /// Where a download is going to read, or a backup one of many contents.
    pub looking: Option<(Digest, Key)>,
}

impl State {
    pub fn is_needed(&self, digest: Digest) -> bool {
        self.versions[digest] > 0
    }

    pub fn is_there(&self, digest: Digest, place: Place) -> bool {
        match place {
            Place::Row => true,
            Place::Blob(key) => self.blobs[key].is_some_and(|(bytes, _)| bytes == digest),
        }
    }

    /// `contents::discard`
    pub fn discard(&mut self, place: Option<Place>) {
        if let Some(Place::Blob(key)) = place {
            self.garbage[key].get_or_insert(Age::New);
        }
    }

    /// A new version; the one before, if there is one, is kept.
    pub fn succeed(&mut self, digest: Digest) {
        self.versions[digest] = MANY.min(self.versions[digest] + 1);
    }

    /// The transaction of an upload.
    pub fn commit(&mut self, digest: Digest, place: Place) {
        let before = self.contents[digest].replace(place);
        if before != Some(place) {
            self.discard(before);
        }
        self.succeed(digest);
    }

    /// Whether anybody could tell the key from a new one.
    pub fn is_known(&self, key: Key) -> bool {
        let place = Place::Blob(key);
        let looking = self.looking.is_some_and(|(_, at)| at == key);
        let uploading = self.uploaders.iter().any(|uploader| match uploader {
            Uploader::Idle => false,
            Uploader::Staged(_, at) => *at == place,
            Uploader::Refused(at) | Uploader::Late(_, at) => *at == key,
        });
        let sweeping = self.sweepers.iter().any(|sweeper| match sweeper {
            Sweeper::Idle => false,
            Sweeper::Picked(at) | Sweeper::Removed(at) | Sweeper::Listed(at) | Sweeper::Ownerless(at) => {
                *at == key
            }
        });
        self.blobs[key].is_some() || self.owned(key) || looking || uploading || sweeping
    }

    pub fn owned(&self, key: Key) -> bool {
        self.garbage[key].is_some() || self.contents.contains(&Some(Place::Blob(key)))
    }
}
