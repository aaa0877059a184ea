//! Every blob store behaves alike: one suite, run against memory, a folder, S3 and Azure. It touches every public
//! function of the store, and fails when a new one is missing here.

mod special;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use jumpbag_server::blobs::{BlobError, BlobReader, BlobStore, PIECE, Piece};
use jumpbag_wire::time::Timestamp;
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path as Key};
use tempfile::TempDir;

use crate::invariants::{missing_from, public_functions, read_source};
use crate::support::azurite::azure_container;
use crate::support::s3::s3_buckets;
use crate::support::{SOON, install_crypto};

/// A store to be tested: stores of several prefixes in one place, and the place behind their back.
struct Place {
    name: String,
    open: Box<dyn Fn(&str) -> BlobStore + Send + Sync>,
    behind: Option<Arc<dyn ObjectStore>>,
    _folder: Option<TempDir>,
}

fn memory() -> Place {
    Place { name: "memory".into(), open: Box::new(|_| BlobStore::memory()), behind: None, _folder: None }
}

fn folder() -> Place {
    let own = tempfile::tempdir().expect("a temporary folder");
    let root = own.path().to_owned();
    let behind = object_store::local::LocalFileSystem::new_with_prefix(&root).expect("a folder");
    Place {
        name: "folder".into(),
        open: Box::new(move |prefix| BlobStore::folder(&root.join(prefix)).expect("a folder of blobs")),
        behind: Some(Arc::new(behind)),
        _folder: Some(own),
    }
}

async fn s3() -> Vec<Place> {
    let buckets = s3_buckets().await.into_iter();
    buckets
        .map(|bucket| Place {
            name: bucket.server.into(),
            behind: Some(Arc::new(bucket.store())),
            open: Box::new(move |prefix| bucket_store(&bucket.url(prefix), &bucket.options())),
            _folder: None,
        })
        .collect()
}

async fn azure() -> Place {
    let container = azure_container().await;
    Place {
        name: "azurite".into(),
        behind: Some(Arc::new(container.store())),
        open: Box::new(move |prefix| bucket_store(&container.url(prefix), &container.options())),
        _folder: None,
    }
}

fn bucket_store(url: &str, options: &[(&'static str, String)]) -> BlobStore {
    install_crypto();
    BlobStore::bucket(url, &table(options)).expect("a complete configuration")
}

fn table(options: &[(&'static str, String)]) -> HashMap<String, String> {
    let owned = options.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    owned.collect()
}

#[tokio::test]
async fn memory_conforms() {
    conforms(&memory()).await;
}

#[tokio::test]
async fn folder_conforms() {
    conforms(&folder()).await;
}

#[tokio::test]
async fn s3_conforms() {
    for place in s3().await {
        conforms(&place).await;
    }
}

#[tokio::test]
async fn azure_conforms() {
    conforms(&azure().await).await;
}

async fn conforms(place: &Place) {
    eprintln!("on {}", place.name);
    bytes_come_back(&place.at("bytes")).await;
    aborted_blobs_never_existed(&place.at("aborted")).await;
    dropped_blobs_never_existed(&place.at("dropped")).await;
    parts_come_back(&place.at("parts")).await;
    missing_blobs_are_missing(&place.at("missing")).await;
    deleting_twice_is_deleting(&place.at("deleting")).await;
    who_keeps_pieces_is_waited_for(&place.at("kept")).await;
    who_has_had_enough_gets_no_more(&place.at("enough")).await;
    lists_tell_size_and_time(&place.at("listed")).await;
    stores_do_not_see_each_other(place).await;
    foreign_objects_are_none_of_ours(place).await;
    writers_do_not_disturb_each_other(&place.at("together")).await;
    copies_keep_key_and_bytes(place).await;
    a_probe_leaves_nothing(&place.at("probe")).await;
}

impl Place {
    fn at(&self, prefix: &str) -> BlobStore {
        (self.open)(prefix)
    }
}

// What the suite does to a store.

/// Bytes that repeat nowhere, others for every seed.
fn noise(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = BytesMut::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.freeze()
}

async fn put(store: &BlobStore, bytes: &Bytes, piece: usize) -> String {
    let mut writer = store.create();
    for start in (0..bytes.len()).step_by(piece) {
        let end = bytes.len().min(start + piece);
        writer.write(bytes.slice(start..end)).await.expect("write");
    }
    writer.finish().await.expect("finish")
}

/// The bytes of a blob, which are the same however they are read.
async fn get(store: &BlobStore, blob: &str) -> Result<Bytes, BlobError> {
    let read = read(store, blob).await;
    let pieces: Vec<Bytes> = store.open(blob).await?.try_collect().await?;
    let bytes: Bytes = pieces.concat().into();
    assert!(read? == bytes, "`{blob}` in large pieces is something else");
    Ok(bytes)
}

async fn read(store: &BlobStore, blob: &str) -> Result<Bytes, BlobError> {
    drain(store.reader(blob).await?).await
}

async fn drain(reader: BlobReader) -> Result<Bytes, BlobError> {
    let size = reader.size();
    let (send, received) = std::sync::mpsc::channel();
    let each = move |piece: Option<Piece>| {
        // Nothing comes after the end, and no piece is empty.
        let piece = piece.map(|piece| Bytes::copy_from_slice(piece.as_ref()));
        assert!(piece.as_ref().is_none_or(|piece| !piece.is_empty()));
        send.send(piece).expect("a receiver");
        std::ops::ControlFlow::Continue(())
    };
    reader.read(size, each).await?;
    let mut pieces: Vec<Option<Bytes>> = received.into_iter().collect();
    assert_eq!(pieces.pop(), Some(None), "the end is told last");
    let pieces: Vec<Bytes> = pieces.into_iter().map(|piece| piece.expect("the end is told once")).collect();
    if let Some((_, all_but_the_last)) = pieces.split_last() {
        assert!(all_but_the_last.iter().all(|piece| piece.len() == PIECE));
    }
    Ok(pieces.concat().into())
}

async fn keys(store: &BlobStore) -> BTreeMap<String, u64> {
    let listed: Vec<_> = store.list().try_collect().await.expect("list");
    listed.into_iter().map(|blob| (blob.key, blob.size)).collect()
}

/// The size of a part: what a store hands on at once.
fn part(store: &BlobStore) -> usize {
    store.memory_per_upload() / 2
}

// The suite.

async fn bytes_come_back(store: &BlobStore) {
    let part = part(store);
    let sizes = [0, 1, 65_537, part - 1, part, part + 1, 2 * part, 12 << 20];
    let mut expected = BTreeMap::new();
    for (seed, size) in (1..).zip(sizes) {
        let bytes = noise(seed, size);
        let blob = put(store, &bytes, 100_003).await;
        let read = get(store, &blob).await.expect("the blob");
        assert!(read == bytes, "{size} bytes came back as {}", read.len());
        assert_eq!(expected.insert(blob.clone(), size as u64), None, "key `{blob}` used twice");
    }
    // One piece larger than several parts.
    let bytes = noise(99, 2 * part + 17);
    let blob = put(store, &bytes, bytes.len()).await;
    assert!(get(store, &blob).await.expect("the blob") == bytes);
    expected.insert(blob, bytes.len() as u64);
    assert_eq!(keys(store).await, expected);
    assert!(expected.keys().all(|key| uuid::Uuid::parse_str(key).is_ok()));
}

async fn aborted_blobs_never_existed(store: &BlobStore) {
    let part = part(store);
    for size in [0, 10, part, 2 * part + 10] {
        let mut writer = store.create();
        writer.write(noise(3, size)).await.expect("write");
        writer.abort().await;
        assert_eq!(keys(store).await, BTreeMap::new(), "{size} bytes written and aborted");
    }
}

async fn dropped_blobs_never_existed(store: &BlobStore) {
    let part = part(store);
    for size in [10, part + 10, 2 * part + 10] {
        let mut writer = store.create();
        writer.write(noise(4, size)).await.expect("write");
        drop(writer);
    }
    // What was begun is taken back in the background.
    let cleaned = async {
        while !keys(store).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, cleaned).await.expect("nothing stays behind");
}

async fn parts_come_back(store: &BlobStore) {
    let (size, piece) = (1_000_000, PIECE as u64);
    let bytes = noise(50, size as usize);
    let blob = put(store, &bytes, 100_000).await;
    for range in
        [0..1, 0..piece, piece..2 * piece, piece..size, 7 * piece..size, 5..6, size - 1..size, 0..size]
    {
        let reader = store.reader_within(&blob, range.clone()).await.expect("the part");
        assert_eq!(reader.size(), size, "of the whole blob");
        let part = bytes.slice(range.start as usize..range.end as usize);
        assert!(drain(reader).await.expect("the part") == part, "{range:?}");
    }
    // What lies behind the end is not there, and a bucket may say so at once.
    for range in [0..2 * size, size - 1..2 * size, size..2 * size] {
        match store.reader_within(&blob, range.clone()).await {
            Ok(reader) => {
                assert_eq!(reader.size(), size);
                let part = bytes.slice(range.start as usize..);
                assert!(drain(reader).await.expect("the part") == part, "{range:?}");
            }
            Err(e) => assert!(matches!(e, BlobError::Failed(_)), "{range:?}: {e:?}"),
        }
    }
}

async fn missing_blobs_are_missing(store: &BlobStore) {
    let absent = "0197b3a5c0de7000800000000000cafe";
    for result in [
        get(store, absent).await.map(|_| ()),
        store.reader_within(absent, 5..6).await.map(|_| ()),
        store.copy_to(absent, &BlobStore::memory()).await,
    ] {
        match result {
            Err(BlobError::Missing(key)) => assert_eq!(key, absent),
            other => panic!("expected `Missing`, got {other:?}"),
        }
    }
}

async fn deleting_twice_is_deleting(store: &BlobStore) {
    let blob = put(store, &noise(5, 1000), 1000).await;
    let other = put(store, &noise(6, 1000), 1000).await;
    for _ in 0..2 {
        store.delete(&blob).await.expect("delete");
        assert!(matches!(get(store, &blob).await, Err(BlobError::Missing(_))));
        assert_eq!(keys(store).await, BTreeMap::from([(other.clone(), 1000)]));
    }
}

/// Memory stays what it was told to be, however large the blob is and however slowly it is taken.
async fn who_keeps_pieces_is_waited_for(store: &BlobStore) {
    let bytes = noise(7, 2 << 20);
    let blob = put(store, &bytes, 100_000).await;
    let (send, mut received) = tokio::sync::mpsc::unbounded_channel();
    let reader = store.reader(&blob).await.expect("the blob");
    let reading = tokio::spawn(reader.read(bytes.len() as u64, move |piece| {
        send.send(piece).expect("a receiver");
        std::ops::ControlFlow::Continue(())
    }));
    let most = BlobReader::memory(bytes.len() as u64);
    let (mut kept, mut read) = (std::collections::VecDeque::new(), Vec::new());
    loop {
        let size =
            |kept: &std::collections::VecDeque<Piece>| kept.iter().map(|p| p.as_ref().len()).sum::<usize>();
        if size(&kept) == most {
            assert!(received.try_recv().is_err(), "more than {most} bytes");
            assert!(!reading.is_finished());
            kept.pop_front();
        }
        let Some(piece) = received.recv().await.expect("the end is told") else { break };
        read.extend_from_slice(piece.as_ref());
        kept.push_back(piece);
    }
    assert!(read == bytes);
    reading.await.expect("no panic").expect("read");
}

async fn who_has_had_enough_gets_no_more(store: &BlobStore) {
    let blob = put(store, &noise(8, 1 << 20), 100_000).await;
    let mut seen = 0;
    let (send, received) = std::sync::mpsc::channel();
    let reader = store.reader(&blob).await.expect("the blob");
    let enough = reader.read(1 << 20, move |_| {
        seen += 1;
        send.send(seen).expect("a receiver");
        if seen < 3 { std::ops::ControlFlow::Continue(()) } else { std::ops::ControlFlow::Break(()) }
    });
    enough.await.expect("read");
    assert_eq!(received.into_iter().collect::<Vec<_>>(), [1, 2, 3]);
}

async fn lists_tell_size_and_time(store: &BlobStore) {
    // Some stores keep whole seconds.
    let before = Timestamp::now().plus_secs(-2);
    let mut expected = BTreeMap::new();
    for (seed, size) in (10..).zip([1_u64, 70_000, 300_000]) {
        let bytes = noise(seed, size as usize);
        expected.insert(put(store, &bytes, 8192).await, size);
    }
    let listed: Vec<_> = store.list().try_collect().await.expect("list");
    let after = Timestamp::now().plus_secs(2);
    for blob in &listed {
        assert!(before <= blob.modified && blob.modified <= after, "`{}`: {}", blob.key, blob.modified);
    }
    let sizes: BTreeMap<_, _> = listed.into_iter().map(|blob| (blob.key, blob.size)).collect();
    assert_eq!(sizes, expected);
}

async fn stores_do_not_see_each_other(place: &Place) {
    let stores = ["seen", "seen-too", "se", "seen/within"].map(|prefix| place.at(prefix));
    let mut blobs = Vec::new();
    for (seed, store) in (20..).zip(&stores) {
        blobs.push(put(store, &noise(seed, 50), 50).await);
    }
    for (store, own) in stores.iter().zip(&blobs) {
        assert_eq!(keys(store).await, BTreeMap::from([(own.clone(), 50)]));
        for other in blobs.iter().filter(|blob| *blob != own) {
            assert!(matches!(get(store, other).await, Err(BlobError::Missing(_))));
        }
    }
}

/// Whoever lists sweeps what nobody owns: a bucket may hold other people's objects beside ours.
async fn foreign_objects_are_none_of_ours(place: &Place) {
    let Some(behind) = &place.behind else { return };
    let store = place.at("foreign");
    let own = put(&store, &noise(30, 50), 50).await;
    for name in ["readme.txt", "2026/07/report.pdf", "0197b3a5-c0de-7000-8000-00000000cafe"] {
        let key = Key::from(format!("foreign/{name}"));
        behind.put(&key, "not ours".into()).await.expect("put behind the store's back");
    }
    assert_eq!(keys(&store).await, BTreeMap::from([(own, 50)]));
}

async fn writers_do_not_disturb_each_other(store: &BlobStore) {
    let sizes = [100, 70_000, part(store) + 3, 300_000];
    let tasks: Vec<_> = (0..16_u64)
        .map(|task| {
            let (store, bytes) = (store.clone(), noise(100 + task, sizes[task as usize % 4]));
            tokio::spawn(async move {
                let blob = put(&store, &bytes, 16_384).await;
                if task % 4 == 3 {
                    store.delete(&blob).await.expect("delete");
                    return None;
                }
                Some((blob, bytes))
            })
        })
        .collect();
    let mut expected = BTreeMap::new();
    for task in tasks {
        if let Some((blob, bytes)) = task.await.expect("a writer") {
            assert!(get(store, &blob).await.expect("the blob") == bytes, "bytes of another writer");
            expected.insert(blob, bytes.len() as u64);
        }
    }
    assert_eq!(expected.len(), 12);
    assert_eq!(keys(store).await, expected);
}

async fn copies_keep_key_and_bytes(place: &Place) {
    let (from, memory, folder) = (place.at("from"), BlobStore::memory(), folder());
    for size in [10, part(&from) + 10] {
        let bytes = noise(40, size);
        let blob = put(&from, &bytes, 10_000).await;
        // Away, back to the same kind of place, and once more over what is there.
        for to in [&memory, &folder.at("copies"), &place.at("to"), &place.at("to")] {
            from.copy_to(&blob, to).await.expect("copy");
            assert!(get(to, &blob).await.expect("the copy") == bytes);
            assert_eq!(keys(to).await.get(&blob), Some(&(size as u64)));
        }
    }
}

async fn a_probe_leaves_nothing(store: &BlobStore) {
    store.probe().await.expect("a store that works");
    assert_eq!(keys(store).await, BTreeMap::new());
}

#[test]
fn every_public_function_is_in_this_suite() {
    let mut functions = public_functions(&read_source("blobs.rs"));
    functions.extend(public_functions(&read_source("blobs/reader.rs")));
    assert!(functions.contains(&"finish".to_string()), "{functions:?}");
    assert_eq!(
        missing_from(
            &functions,
            &[include_str!("conformance_blobs.rs"), include_str!("conformance_blobs/special.rs"),]
        ),
        Vec::<String>::new()
    );
}
