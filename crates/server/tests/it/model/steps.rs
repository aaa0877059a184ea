//! What may happen to a library, at random.

use bytes::Bytes;
use proptest::prelude::*;

use super::plain::RETENTION;
use crate::conformance_catalog::random::{condition, order};

/// One thing that happens to a library.
#[derive(Debug, Clone)]
pub enum Step {
    Upload(Form),
    Delete(usize),
    Find(usize),
    List {
        filter: Option<String>,
        order: Option<String>,
        top: Option<u64>,
        skip: u64,
        count: bool,
    },
    /// Bytes that an upload left behind when the program ended before it named them.
    Abandon(usize),
    /// Bytes of an upload that broke off.
    Abort(usize),
    Wait(i64),
    Sweep,
    RemoveOwnerless,
    /// The program ends and begins again, with another limit for bytes in rows.
    Restart(usize),
}

#[derive(Debug, Clone)]
pub struct Form {
    pub name: usize,
    pub content: usize,
    pub replace: bool,
    pub description: Option<String>,
    pub parameters: Option<String>,
    pub has_parameters: Option<bool>,
    pub actor: usize,
    pub piece: usize,
}

/// Some are one name in another letter case.
pub const NAMES: [&str; 7] = ["a.ps1", "A.PS1", "b.ps1", "Ä b'.ps1", "ä B'.ps1", "z", "%_"];
/// Below, at and above what rows may hold, and above what a folder takes at once.
const SIZES: [usize; 8] = [1, 2, 99, 100, 101, 4_999, 5_001, 600_000];
pub const SMALL: [usize; 3] = [0, 100, 5_000];

pub fn content(number: usize) -> Bytes {
    let text = format!("content {number} ");
    text.bytes().cycle().take(SIZES[number]).collect()
}

pub fn any_step() -> impl Strategy<Value = Step> {
    let text = || proptest::option::of("[aAé'%]{1,3}");
    let form = (
        (0..NAMES.len(), 0..SIZES.len(), any::<bool>()),
        (text(), text(), proptest::option::of(any::<bool>())),
        (0..2usize, prop_oneof![Just(7_000usize), Just(1_000_000)]),
    );
    let upload = form.prop_map(
        |((name, content, replace), (description, parameters, has_parameters), (actor, piece))| {
            Step::Upload(Form {
                name,
                content,
                replace,
                description,
                parameters,
                has_parameters,
                actor,
                piece,
            })
        },
    );
    let list = (
        proptest::option::of(condition()),
        order(),
        proptest::option::of(0..6u64),
        prop_oneof![3 => Just(0u64), 1 => 0..6u64],
        any::<bool>(),
    );
    prop_oneof![
        12 => upload,
        4 => (0..NAMES.len()).prop_map(Step::Delete),
        2 => (0..NAMES.len()).prop_map(Step::Find),
        5 => list.prop_map(|(filter, order, top, skip, count)| Step::List { filter, order, top, skip, count }),
        1 => (0..SIZES.len()).prop_map(Step::Abandon),
        1 => (0..SIZES.len()).prop_map(Step::Abort),
        3 => prop_oneof![0..10i64, 3_000..4_000i64, RETENTION - 10..RETENTION + 10].prop_map(Step::Wait),
        3 => Just(Step::Sweep),
        1 => Just(Step::RemoveOwnerless),
        1 => (0..SMALL.len()).prop_map(Step::Restart),
    ]
}
