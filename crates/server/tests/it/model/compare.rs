//! A library beside the model of it: after every step all that can be seen of both, at the end every byte.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use jumpbag_server::catalog::contents::{self, Content, Place};
use jumpbag_server::catalog::{CatalogError, audit, history};
use jumpbag_server::library::Subject;

use super::{Pair, far_future};
use crate::conformance_catalog::random::parse;
use crate::conformance_catalog::{sha256, totals};

impl Pair<'_> {
    /// After every step.
    pub async fn compare(&mut self) {
        self.compare_the_log().await;
        let library = &self.opened.library;
        assert_eq!(library.last_change().await.expect("an answer"), self.model.change());
        let all = library.list(parse(&[]).expect("no options")).await.expect("a list");
        assert_eq!(all.files, self.model.living());
        let deleted = library.deleted(None).await.expect("a page");
        assert_eq!(deleted.files, self.model.deleted());
        assert_eq!(library.usage().await.expect("an answer"), self.model.usage());
        self.compare_histories().await;
        self.compare_contents().await;
    }

    /// Every change has its entry, chained to the one before.
    async fn compare_the_log(&mut self) {
        let after = self.entries as i64;
        let catalog = &self.opened.catalog;
        let new = catalog.read(move |tx| Box::pin(audit::entries(tx, after, i64::MAX))).await;
        let new = new.expect("the log");
        let actions: Vec<_> = new.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, self.model.actions[self.entries..]);
        for entry in new {
            self.entries += 1;
            assert_eq!(entry.number, self.entries as i64);
            assert_eq!((&entry.previous, &entry.hash), (&self.head, &entry.expected_hash()));
            self.head = entry.hash;
        }
    }

    async fn compare_histories(&self) {
        for (id, living, expected) in self.model.histories() {
            let subject = living.map_or(Subject::Deleted(id.to_string()), Subject::Living);
            let found = self.opened.library.versions(subject, None).await.expect("a page");
            assert_eq!(found.versions, expected, "versions of {id}");
        }
    }

    /// Every version's bytes are somewhere, nobody else's are, and every blob is accounted for.
    async fn compare_contents(&self) {
        let contents = self.contents().await;
        let digests: BTreeSet<_> = contents.keys().cloned().collect();
        assert_eq!(digests, self.model.digests());
        let blobs: Vec<_> = self.home.blobs.list().try_collect().await.expect("a list of blobs");
        assert_eq!(blobs.len() as u64, self.model.blobs(), "blobs in the store");
        let blobs: BTreeSet<_> = blobs.into_iter().map(|blob| blob.key).collect();
        for (digest, content) in contents {
            if let Place::Blob(key) = content.place {
                assert!(blobs.contains(&key), "the blob of {digest} is gone");
            }
        }
        let ownerless = self.opened.library.ownerless(far_future()).await.expect("a walk");
        assert_eq!(ownerless.len() as u64, self.model.abandoned, "ownerless blobs");
    }

    async fn contents(&self) -> BTreeMap<String, Content> {
        let all = self.opened.catalog.read(|tx| {
            Box::pin(async move {
                let mut all = BTreeMap::new();
                for digest in contents::digests(tx, "", i64::MAX).await? {
                    let content = contents::content(tx, &digest).await?.expect("the content");
                    all.insert(digest, content);
                }
                Ok::<_, CatalogError>(all)
            })
        });
        all.await.expect("an answer")
    }

    /// Every row and every byte.
    pub async fn compare_to_the_bottom(&self) {
        let catalog = &self.opened.catalog;
        let found = catalog.read(|tx| Box::pin(history::contradictions(tx))).await;
        assert_eq!(found.expect("an answer"), Vec::<String>::new());
        totals::chain(catalog).await;
        for (digest, content) in self.contents().await {
            let bytes = match content.place {
                Place::Inline(bytes) => bytes,
                Place::Blob(key) => {
                    let stream = self.home.blobs.open(&key).await.expect("the blob");
                    let pieces: Vec<Bytes> = stream.try_collect().await.expect("its bytes");
                    pieces.concat().into()
                }
            };
            assert_eq!(sha256(&bytes), digest);
            assert_eq!(content.size, bytes.len() as u64);
        }
    }
}
