//! Tags of a blob's pieces: made while the whole of it is verified, they tell of each piece alone whether it is still
//! the same. A nonce is that of one piece of one verification and never comes again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::blobs::PIECE;

const TAG: usize = 16;

/// What tags are made with: GMAC under a key that nobody knows and that ends with the process.
pub(super) struct Tagger {
    key: LessSafeKey,
    next: AtomicU64,
}

impl Tagger {
    pub(super) fn new() -> Arc<Tagger> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the operating system has random bytes");
        let key = UnboundKey::new(&AES_256_GCM, &key).expect("the length is that of a key");
        Arc::new(Tagger { key: LessSafeKey::new(key), next: AtomicU64::new(0) })
    }

    /// Tags for the pieces of one blob that is about to be verified.
    pub(super) fn begin(self: &Arc<Tagger>) -> Tagging {
        // 64 bits do not come round.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Tagging(Tags { tagger: Arc::clone(self), number, tags: Vec::new() })
    }
}

/// Which piece of which verification; `None` for pieces that have no number.
fn nonce(number: u64, piece: usize) -> Option<Nonce> {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&number.to_be_bytes());
    nonce[8..].copy_from_slice(&u32::try_from(piece).ok()?.to_be_bytes());
    Some(Nonce::assume_unique_for_key(nonce))
}

/// Tags of bytes that nobody has verified yet.
pub(super) struct Tagging(Tags);

impl Tagging {
    /// Tags the next piece; `None` when that cannot be, and then none of these tags are of use.
    pub(super) fn add(&mut self, piece: &[u8]) -> Option<()> {
        let Tags { tagger, number, tags } = &mut self.0;
        let nonce = nonce(*number, tags.len())?;
        let tag = tagger.key.seal_in_place_separate_tag(nonce, Aad::from(piece), &mut []).ok()?;
        tags.push(tag.as_ref().try_into().ok()?);
        Some(())
    }

    /// The tags of all pieces, which the caller has found to be right.
    pub(super) fn verified(mut self) -> Tags {
        self.0.tags.shrink_to_fit();
        self.0
    }
}

/// Tags of all pieces of a blob that was verified.
pub(super) struct Tags {
    tagger: Arc<Tagger>,
    number: u64,
    tags: Vec<[u8; TAG]>,
}

impl Tags {
    /// Whether this is the piece of this number, counted from 0, as it was verified: with these bytes and no others.
    pub(super) fn fit(&self, number: usize, piece: &[u8]) -> bool {
        let (Some(tag), Some(nonce)) = (self.tags.get(number), nonce(self.number, number)) else {
            return false;
        };
        self.tagger.key.open_separate_gather(nonce, Aad::from(piece), &[], tag, &mut []).is_ok()
    }

    /// Bytes of memory that they hold.
    pub(super) fn memory(&self) -> usize {
        self.tags.capacity() * TAG
    }

    /// Bytes of memory that the tags of a blob of this size hold while they are made.
    pub(super) fn memory_of(size: u64) -> usize {
        // A vector that grows may be twice as large as what it holds.
        usize::try_from(size.div_ceil(PIECE as u64))
            .map_or(usize::MAX, |pieces| pieces.saturating_mul(2 * TAG))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tags(tagger: &Arc<Tagger>, pieces: &[Vec<u8>]) -> Tags {
        let mut tagging = tagger.begin();
        for piece in pieces {
            tagging.add(piece).unwrap();
        }
        tagging.verified()
    }

    fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..6)
    }

    #[test]
    fn whole_pieces_fit_and_a_flipped_bit_anywhere_does_not() {
        let tagger = Tagger::new();
        let mut piece = vec![7; PIECE];
        let tags = tags(&tagger, &[piece.clone(), piece.clone()]);
        assert!(tags.fit(0, &piece) && tags.fit(1, &piece));
        for at in [0, 1, 15, 16, 65_535, PIECE - 17, PIECE - 1] {
            for bit in 0..8 {
                piece[at] ^= 1 << bit;
                assert!(!tags.fit(0, &piece), "bit {bit} of byte {at}");
                piece[at] ^= 1 << bit;
            }
        }
        assert!(tags.fit(0, &piece));
    }

    #[test]
    fn equal_pieces_have_other_tags_in_every_place_blob_and_process() {
        let (tagger, piece) = (Tagger::new(), b"the same".to_vec());
        let all = [
            tags(&tagger, &[piece.clone(), piece.clone()]),
            tags(&tagger, std::slice::from_ref(&piece)),
            tags(&Tagger::new(), std::slice::from_ref(&piece)),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().flat_map(|tags| &tags.tags).collect();
        assert_eq!(distinct.len(), 4);
    }

    #[test]
    fn there_are_only_so_many_nonces() {
        let bytes = |number, piece| nonce(number, piece).map(|nonce| *nonce.as_ref());
        assert_eq!(bytes(1, 2), Some([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]));
        assert_eq!(bytes(u64::MAX, u32::MAX as usize), Some([255; 12]));
        assert_eq!(bytes(0, u32::MAX as usize + 1), None);
    }

    #[test]
    fn memory_is_what_was_said() {
        let tagger = Tagger::new();
        for count in [0, 1, 5, 160, 1000] {
            let tags = tags(&tagger, &vec![Vec::new(); count]);
            assert_eq!(tags.memory(), count * TAG);
            assert!(tags.memory() <= Tags::memory_of((count * PIECE) as u64));
        }
        assert_eq!(Tags::memory_of(20 << 20), 5120);
    }

    proptest! {
        #[test]
        fn what_differs_in_any_way_does_not_fit(
            pieces in pieces(), other in pieces(), which in any::<prop::sample::Index>(),
            at in any::<prop::sample::Index>(), bit in 0..8_u8,
        ) {
            let tagger = Tagger::new();
            let own = tags(&tagger, &pieces);
            let others = tags(&tagger, &other);
            for (number, piece) in pieces.iter().enumerate() {
                prop_assert!(own.fit(number, piece));
                // In another place, under the tags of another blob, or again after the end.
                for elsewhere in (0..=pieces.len()).filter(|elsewhere| *elsewhere != number) {
                    prop_assert_eq!(own.fit(elsewhere, piece), pieces.get(elsewhere) == Some(piece));
                }
                for elsewhere in 0..=other.len() {
                    prop_assert_eq!(others.fit(elsewhere, piece), other.get(elsewhere) == Some(piece));
                }
            }
            let number = which.index(pieces.len());
            let piece = &pieces[number];
            prop_assert!(!own.fit(number, &[piece, &[0_u8][..]].concat()));
            if !piece.is_empty() {
                let at = at.index(piece.len());
                prop_assert!(!own.fit(number, &piece[..at]));
                prop_assert!(!own.fit(number, &piece[at + 1..]));
                let mut flipped = piece.clone();
                flipped[at] ^= 1 << bit;
                prop_assert!(!own.fit(number, &flipped));
            }
        }
    }
}
