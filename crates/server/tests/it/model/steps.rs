//! What may happen to a library, at random.

use bytes::Bytes;
use jumpbag_server::library::Quotas;
use jumpbag_wire::patch::{Edit, FilePatch};
use proptest::prelude::*;

use super::plain::{DAY, RETENTION_DAYS};
use crate::conformance_catalog::random::{condition, order};

/// One thing that happens to a library.
#[derive(Debug, Clone)]
pub enum Step {
    Upload(Form),
    /// The last upload that had a key is sent again.
    Again,
    Edit {
        name: usize,
        patch: FilePatch,
        expected: Expected,
        actor: usize,
    },
    Restore {
        name: usize,
        number: u64,
        expected: Expected,
    },
    Delete {
        name: usize,
        expected: Expected,
    },
    /// By which of all files.
    Undelete(usize),
    Purge(usize),
    Hold {
        of: Held,
        hold: bool,
        reason: String,
    },
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
    /// The program ends and begins again, with other settings.
    Restart(Settings),
}

#[derive(Debug, Clone)]
pub struct Form {
    pub name: usize,
    pub content: usize,
    pub replace: bool,
    pub patch: FilePatch,
    pub expected: Expected,
    pub key: Option<usize>,
    pub actor: usize,
    pub piece: usize,
}

/// Whose hold it is.
#[derive(Debug, Clone)]
pub enum Held {
    Living(usize),
    Deleted(usize),
    /// One of those that are held.
    Already(usize),
}

/// What a request expects of the file it changes.
#[derive(Debug, Clone, Copy)]
pub enum Expected {
    Anything,
    Absent,
    Present,
    /// The file's own tag, as it is.
    Tag,
    Digest,
    /// The tag of the version before.
    OldTag,
}

#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Bytes up to this many are in rows.
    pub small: usize,
    pub replaced_retention_days: Option<i64>,
    pub quotas: Quotas,
}

pub const SETTINGS: Settings = Settings {
    small: 100,
    replaced_retention_days: None,
    quotas: Quotas { files: None, bytes: None, versions_per_file: None },
};

/// Some are one name in another letter case.
pub const NAMES: [&str; 7] = ["a.ps1", "A.PS1", "b.ps1", "Ä b'.ps1", "ä B'.ps1", "z", "%_"];
/// Below, at and above what rows may hold, and above what a folder takes at once.
const SIZES: [usize; 8] = [1, 2, 99, 100, 101, 4_999, 5_001, 600_000];
pub const KEYS: [&str; 2] = ["k", "K"];

pub fn content(number: usize) -> Bytes {
    let text = format!("content {number} ");
    text.bytes().cycle().take(SIZES[number]).collect()
}

/// A patch whose values are in their one stored form already.
fn any_patch() -> impl Strategy<Value = FilePatch> {
    let text = || edit("[aAé'%]{1,3}");
    let labels = |names: &'static [&'static str]| {
        edit(proptest::sample::subsequence(names, 0..=names.len()))
            .prop_map(|chosen| change(chosen, |names| names.into_iter().map(str::to_owned).collect()))
    };
    let said = (text(), text(), edit(any::<bool>()));
    let more = (labels(&["a", "triage", "é 𝄞"]), labels(&["linux", "macos", "windows"]), text(), text());
    (said, more).prop_map(
        |(
            (description, parameters_description, has_parameters),
            (tags, platforms, category, instructions),
        )| {
            FilePatch {
                description,
                parameters_description,
                has_parameters,
                tags,
                platforms,
                category,
                instructions,
            }
        },
    )
}

fn edit<T: Clone + std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Edit<T>> {
    prop_oneof![3 => Just(Edit::Keep), 1 => Just(Edit::Clear), 2 => value.prop_map(Edit::Set)]
}

fn change<T, U>(edit: Edit<T>, with: impl FnOnce(T) -> U) -> Edit<U> {
    match edit {
        Edit::Keep => Edit::Keep,
        Edit::Clear => Edit::Clear,
        Edit::Set(value) => Edit::Set(with(value)),
    }
}

fn any_expected() -> impl Strategy<Value = Expected> {
    prop_oneof![
        12 => Just(Expected::Anything),
        1 => Just(Expected::Absent),
        1 => Just(Expected::Present),
        1 => Just(Expected::Tag),
        1 => Just(Expected::Digest),
        1 => Just(Expected::OldTag),
    ]
}

fn any_form() -> impl Strategy<Value = Form> {
    let key = proptest::option::weighted(0.2, 0..KEYS.len());
    let what = (0..NAMES.len(), 0..SIZES.len(), any::<bool>(), any_patch());
    let how = (any_expected(), key, 0..2usize, prop_oneof![Just(7_000usize), Just(1_000_000)]);
    (what, how).prop_map(|((name, content, replace, patch), (expected, key, actor, piece))| Form {
        name,
        content,
        replace,
        patch,
        expected,
        key,
        actor,
        piece,
    })
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let limit = |range: std::ops::Range<u64>| proptest::option::weighted(0.3, range);
    let quotas = (limit(1..4), limit(1..700_000), limit(1..5));
    let small = proptest::sample::select(vec![0, 100, 5_000]);
    (small, proptest::option::of(Just(2)), quotas).prop_map(|(small, replaced_retention_days, quotas)| {
        let (files, bytes, versions_per_file) = quotas;
        Settings { small, replaced_retention_days, quotas: Quotas { files, bytes, versions_per_file } }
    })
}

fn any_list() -> impl Strategy<Value = Step> {
    (
        proptest::option::of(condition()),
        order(),
        proptest::option::of(0..6u64),
        prop_oneof![3 => Just(0u64), 1 => 0..6u64],
        any::<bool>(),
    )
        .prop_map(|(filter, order, top, skip, count)| Step::List { filter, order, top, skip, count })
}

fn any_hold() -> impl Strategy<Value = Step> {
    let deleted = || (0..20usize).prop_map(Held::Deleted);
    let either = || prop_oneof![1 => (0..NAMES.len()).prop_map(Held::Living), 2 => deleted()];
    let which = prop_oneof![
        2 => (either(), Just(true)),
        1 => (either(), Just(false)),
        1 => ((0..20usize).prop_map(Held::Already), any::<bool>()),
    ];
    (which, "[a-c]{1,2}").prop_map(|((of, hold), reason)| Step::Hold { of, hold, reason })
}

/// To just before or after one of the times that count.
fn any_wait() -> impl Strategy<Value = Step> {
    let around = |seconds: i64| seconds - 10..seconds + 10;
    prop_oneof![
        3 => 0..10i64,
        2 => 3_000..4_000i64,
        1 => around(DAY),
        1 => around(2 * DAY),
        2 => around(RETENTION_DAYS * DAY),
    ]
    .prop_map(Step::Wait)
}

pub fn any_step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES.len();
    let edit = (name(), any_patch(), any_expected(), 0..2usize)
        .prop_map(|(name, patch, expected, actor)| Step::Edit { name, patch, expected, actor });
    let restore = (name(), 0..5u64, any_expected()).prop_map(|(name, number, expected)| Step::Restore {
        name,
        number,
        expected,
    });
    prop_oneof![
        14 => any_form().prop_map(Step::Upload),
        2 => Just(Step::Again),
        4 => edit,
        5 => restore,
        6 => (name(), any_expected()).prop_map(|(name, expected)| Step::Delete { name, expected }),
        4 => (0..20usize).prop_map(Step::Undelete),
        4 => (0..20usize).prop_map(Step::Purge),
        6 => any_hold(),
        1 => name().prop_map(Step::Find),
        4 => any_list(),
        1 => (0..SIZES.len()).prop_map(Step::Abandon),
        1 => (0..SIZES.len()).prop_map(Step::Abort),
        4 => any_wait(),
        4 => Just(Step::Sweep),
        1 => Just(Step::RemoveOwnerless),
        2 => any_settings().prop_map(Step::Restart),
    ]
}
