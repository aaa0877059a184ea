//! States that differ in nothing but names are one: actors, names, digests and keys of blobs can be exchanged.

use std::cmp::Ordering;

use super::state::{Age, DIGESTS, Digest, KEYS, Key, Place, State, Sweeper, Uploader};

/// The same state for all that differ in names only.
pub fn alike(state: State) -> State {
    let swapped = || state.with_digests(|digest| DIGESTS - 1 - digest).with_sorted_keys();
    match state.weight(0).cmp(&state.weight(1)) {
        Ordering::Less => state.with_sorted_keys(),
        Ordering::Greater => swapped(),
        Ordering::Equal => state.with_sorted_keys().min(swapped()),
    }
}

impl State {
    /// Something of a digest that tells most apart.
    fn weight(&self, digest: Digest) -> (u8, usize, usize) {
        let place = self.contents[digest].map_or(0, |place| 1 + usize::from(place == Place::Row));
        let blobs = self.blobs.iter().flatten().filter(|(bytes, _)| *bytes == digest).count();
        (self.versions[digest], place, blobs)
    }

    /// Who is who does not matter.
    pub fn sorted(mut self) -> State {
        self.uploaders.sort_unstable();
        self.sweepers.sort_unstable();
        self
    }

    fn with_digests(&self, to: impl Fn(Digest) -> Digest) -> State {
        let mut renamed = *self;
        for digest in 0..DIGESTS {
            renamed.contents[to(digest)] = self.contents[digest];
            renamed.versions[to(digest)] = self.versions[digest];
        }
        renamed.looking = self.looking.map(|(digest, key)| (to(digest), key));
        renamed.blobs = self.blobs.map(|blob| blob.map(|(digest, age)| (to(digest), age)));
        renamed.uploaders = self.uploaders.map(|uploader| match uploader {
            Uploader::Staged(digest, place) => Uploader::Staged(to(digest), place),
            Uploader::Late(digest, key) => Uploader::Late(to(digest), key),
            other => other,
        });
        renamed
    }

    /// Keys in the order of everything that is known of them: those of which the same is known can be exchanged.
    fn with_sorted_keys(&self) -> State {
        let mut keys: [(u32, Key); KEYS] = std::array::from_fn(|key| (self.known(key), key));
        keys.sort_unstable();
        let mut to = [0; KEYS];
        for (place, (_, key)) in keys.into_iter().enumerate() {
            to[key] = place;
        }
        self.with_keys(&to).sorted()
    }

    fn with_keys(&self, to: &[Key; KEYS]) -> State {
        let place = |at: Place| match at {
            Place::Blob(key) => Place::Blob(to[key]),
            Place::Row => Place::Row,
        };
        let mut renamed = *self;
        for (key, to) in to.iter().enumerate() {
            renamed.garbage[*to] = self.garbage[key];
            renamed.blobs[*to] = self.blobs[key];
        }
        renamed.contents = self.contents.map(|at| at.map(place));
        renamed.looking = self.looking.map(|(digest, key)| (digest, to[key]));
        renamed.uploaders = self.uploaders.map(|uploader| match uploader {
            Uploader::Staged(digest, at) => Uploader::Staged(digest, place(at)),
            Uploader::Refused(key) => Uploader::Refused(to[key]),
            Uploader::Late(digest, key) => Uploader::Late(digest, to[key]),
            Uploader::Idle => Uploader::Idle,
        });
        renamed.sweepers = self.sweepers.map(|sweeper| match sweeper {
            Sweeper::Picked(key) => Sweeper::Picked(to[key]),
            Sweeper::Removed(key) => Sweeper::Removed(to[key]),
            Sweeper::Listed(key) => Sweeper::Listed(to[key]),
            Sweeper::Ownerless(key) => Sweeper::Ownerless(to[key]),
            Sweeper::Idle => Sweeper::Idle,
        });
        renamed
    }

    /// All that is known of a key, as a number.
    fn known(&self, key: Key) -> u32 {
        let place = Some(Place::Blob(key));
        let named = |places: [Option<Place>; DIGESTS]| {
            places.iter().zip(1..).filter(|(at, _)| **at == place).map(|(_, digest)| digest).sum::<u32>()
        };
        let age = |age: Age| u32::from(age == Age::Old) + 1;
        let mut known = self.blobs[key].map_or(0, |(digest, old)| 2 * digest as u32 + age(old));
        known = known * 4 + self.garbage[key].map_or(0, age);
        known = known * 4 + named(self.contents);
        let looked_at = |(digest, at): (Digest, Key)| if at == key { digest as u32 + 1 } else { 0 };
        known = known * 4 + self.looking.map_or(0, looked_at);
        // How many of each kind: two at most.
        let mut uploaders = [0_u32; 5];
        for uploader in self.uploaders {
            match uploader {
                Uploader::Staged(digest, Place::Blob(at)) if at == key => uploaders[digest] += 1,
                Uploader::Refused(at) if at == key => uploaders[2] += 1,
                Uploader::Late(digest, at) if at == key => uploaders[3 + digest] += 1,
                _ => {}
            }
        }
        let mut sweepers = [0_u32; 4];
        for sweeper in self.sweepers {
            let (at, kind) = match sweeper {
                Sweeper::Idle => continue,
                Sweeper::Picked(at) => (at, 0),
                Sweeper::Removed(at) => (at, 1),
                Sweeper::Listed(at) => (at, 2),
                Sweeper::Ownerless(at) => (at, 3),
            };
            sweepers[kind] += u32::from(at == key);
        }
        uploaders.into_iter().chain(sweepers).fold(known, |known, count| known * 3 + count)
    }
}
