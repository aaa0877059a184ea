//! Random queries over the library as OData text, and the twin in memory that says what they find.

use std::sync::LazyLock;

use jumpbag_server::library::SET;
use jumpbag_server::odata::{EntitySet, Kind, Literal, Property, Query, compare};
use jumpbag_wire::library::LibraryFile;
use jumpbag_wire::time::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

const fn property(name: &'static str, column: &'static str, kind: Kind) -> Property {
    Property { name, column, kind }
}

/// The library's properties, and one of each type that may be null where the library has none.
pub static ROWS: LazyLock<EntitySet> = LazyLock::new(|| {
    let own = [
        property("rank", "(case when v.description is not null then c.size end)", Kind::Int),
        property("open", "(case when v.description is not null then v.has_parameters end)", Kind::Bool),
        property("seen", "(case when v.description is not null then v.created_at end)", Kind::Time),
        property(
            "texts",
            "select 1 from (select v.description as value union all select v.parameters_description) l \
             where l.value is not null",
            Kind::Texts,
        ),
    ];
    let library = SET.properties.iter().map(|known| property(known.name, known.column, known.kind));
    let properties: Vec<_> = library.chain(own).collect();
    EntitySet { name: "Rows", properties: properties.leak(), max_top: 10_000, searchable: false }
});

/// What a row has for a property.
pub fn value_of(file: &LibraryFile, property: &Property) -> Literal {
    let text = |text: &Option<String>| text.clone().map_or(Literal::Null, Literal::Text);
    let described = |literal| {
        if file.description.is_some() { literal } else { Literal::Null }
    };
    let size = || Literal::Int(file.size as i64);
    match property.name {
        "fileName" => Literal::Text(file.file_name.clone()),
        "sha256" => Literal::Text(file.sha256.clone()),
        "description" => text(&file.description),
        "creationTime" => Literal::Time(file.creation_time),
        "lastUpdatedTime" => Literal::Time(file.last_updated_time),
        "createdBy" => Literal::Text(file.created_by.clone()),
        "hasParameters" => Literal::Bool(file.has_parameters),
        "parametersDescription" => text(&file.parameters_description),
        "id" => Literal::Text(file.id.clone()),
        "size" => size(),
        "version" => Literal::Int(file.version as i64),
        "tags" => Literal::Texts(file.tags.clone()),
        "platforms" => Literal::Texts(file.platforms.clone()),
        "category" => text(&file.category),
        "instructions" => text(&file.instructions),
        "legalHold" => Literal::Bool(file.legal_hold),
        "rank" => described(size()),
        "open" => described(Literal::Bool(file.has_parameters)),
        "seen" => described(Literal::Time(file.last_updated_time)),
        "texts" => Literal::Texts(
            [&file.description, &file.parameters_description].into_iter().flatten().cloned().collect(),
        ),
        other => panic!("`{other}` is no property"),
    }
}

/// All that a query matches, in its order: before `$skip` and `$top`.
pub fn matching(files: &[LibraryFile], query: &Query) -> Vec<LibraryFile> {
    let mut found: Vec<LibraryFile> = files
        .iter()
        .filter(|file| {
            query.filter.as_ref().is_none_or(|filter| filter.matches(&|property| value_of(file, property)))
        })
        .cloned()
        .collect();
    found.sort_by_key(|file| file.file_name.to_lowercase());
    found.sort_by(|a, b| compare(&query.order_by, &|p| value_of(a, p), &|p| value_of(b, p)));
    found
}

/// A query from its options, as a client would send it.
pub fn parse(options: &[(&str, &str)]) -> Result<Query, jumpbag_server::odata::ODataError> {
    let pairs = options
        .iter()
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
    Query::parse(Some(&pairs.collect::<Vec<_>>().join("&")), &ROWS)
}

pub fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[aAéÉ]{0,2}",
        2 => "[aAÉ%_'\\\\.𝄞\u{ffff}]{0,3}",
        1 => Just("2026-01-02Z".to_owned()),
    ]
}

pub fn any_time() -> impl Strategy<Value = Timestamp> {
    (0i64..4, 0i64..2).prop_map(|(days, micros)| {
        Timestamp::from_micros(1_767_225_600_000_000 + days * 86_400_000_000 + micros)
    })
}

fn any_int() -> impl Strategy<Value = i64> {
    prop_oneof![-3i64..4, 0i64..200_000, Just(i64::MIN), Just(i64::MAX)]
}

fn literal(kind: Kind) -> BoxedStrategy<String> {
    let values = match kind {
        Kind::Text => any_text().prop_map(|text| format!("'{}'", text.replace('\'', "''"))).boxed(),
        Kind::Int => any_int().prop_map(|number| number.to_string()).boxed(),
        Kind::Bool => any::<bool>().prop_map(|value| value.to_string()).boxed(),
        Kind::Time => (any_time(), any::<bool>())
            .prop_map(|(time, quoted)| if quoted { format!("'{time}'") } else { time.to_string() })
            .boxed(),
        Kind::Texts | Kind::Shown => Just("null".to_owned()).boxed(),
    };
    prop_oneof![9 => values, 1 => Just("null".to_owned())].boxed()
}

fn any_property(kind: Kind) -> BoxedStrategy<String> {
    let of_kind = ROWS.properties.iter().filter(|property| property.kind == kind);
    let names: Vec<_> = of_kind.map(|property| property.name.to_owned()).collect();
    proptest::sample::select(names).boxed()
}

/// A value; inside `any` and `all` often their variable.
fn operand(kind: Kind, item: Option<&'static str>) -> BoxedStrategy<String> {
    let single = move |kind| match item.filter(|_| kind == Kind::Text) {
        Some(item) => prop_oneof![1 => any_property(kind), 2 => Just(item.to_owned())].boxed(),
        None => any_property(kind),
    };
    let plain = prop_oneof![2 => single(kind), 1 => literal(kind)];
    let text = || prop_oneof![2 => single(Kind::Text), 1 => literal(Kind::Text)];
    match kind {
        Kind::Text => prop_oneof![
            2 => plain,
            1 => text().prop_map(|text| format!("tolower({text})")),
            1 => text().prop_map(|text| format!("toupper({text})")),
        ]
        .boxed(),
        Kind::Int => prop_oneof![
            2 => plain,
            1 => text().prop_map(|text| format!("length({text})")),
            1 => (text(), text()).prop_map(|(text, part)| format!("indexof({text},{part})")),
        ]
        .boxed(),
        Kind::Bool | Kind::Time | Kind::Texts | Kind::Shown => plain.boxed(),
    }
}

fn any_kind() -> impl Strategy<Value = Kind> {
    proptest::sample::select(vec![Kind::Text, Kind::Text, Kind::Int, Kind::Bool, Kind::Time])
}

/// A condition that is well typed.
pub fn condition() -> BoxedStrategy<String> {
    let lists: Vec<_> = ROWS.properties.iter().filter(|property| property.kind == Kind::Texts).collect();
    let body = proptest::option::weighted(0.9, joined(leaf(Some("t")), 2, 3));
    let lambda =
        (proptest::sample::select(lists), any::<bool>(), body).prop_map(|(list, all, body)| {
            match (body, all) {
                (None, _) => format!("{}/any()", list.name),
                (Some(body), true) => format!("{}/all(t: {body})", list.name),
                (Some(body), false) => format!("{}/any(t:{body})", list.name),
            }
        });
    joined(prop_oneof![4 => leaf(None), 1 => lambda].boxed(), 4, 24)
}

/// A condition without `and`, `or` and `not`.
fn leaf(item: Option<&'static str>) -> BoxedStrategy<String> {
    let operators = vec!["eq", "ne", "gt", "ge", "lt", "le"];
    let comparison =
        (any_kind(), proptest::sample::select(operators)).prop_flat_map(move |(kind, operator)| {
            (operand(kind, item), operand(kind, item)).prop_map(move |(a, b)| format!("{a} {operator} {b}"))
        });
    let list = any_kind().prop_flat_map(move |kind| {
        (operand(kind, item), proptest::collection::vec(literal(kind), 1..4))
            .prop_map(|(a, list)| format!("{a} in ({})", list.join(",")))
    });
    let functions = vec!["contains", "startswith", "endswith"];
    let search = (proptest::sample::select(functions), operand(Kind::Text, item), operand(Kind::Text, item))
        .prop_map(|(function, text, part)| format!("{function}({text},{part})"));
    let truth = (search.clone(), any::<bool>()).prop_map(|(search, truth)| format!("{search} eq {truth}"));
    let leaf =
        prop_oneof![6 => comparison, 2 => list, 3 => search, 1 => truth, 1 => any_property(Kind::Bool)];
    leaf.boxed()
}

fn joined(leaf: BoxedStrategy<String>, depth: u32, size: u32) -> BoxedStrategy<String> {
    leaf.prop_recursive(depth, size, 4, |inner| {
        prop_oneof![
            2 => inner.clone().prop_map(|a| format!("not ({a})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) and ({b})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) or ({b})")),
            1 => (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("{a} or {b} and {c}")),
        ]
    })
    .boxed()
}

/// Conditions put together without regard to types: many are refused, some are taken in ways no one thought of.
pub fn untyped() -> impl Strategy<Value = String> {
    let leaves = "fileName description size rank open hasParameters seen lastUpdatedTime texts t null true false 'a' \
                  'A' '' 0 -1 2026-01-02Z '2026-01-02Z'";
    let operators = vec!["eq", "ne", "gt", "ge", "lt", "le", "in", "and", "or"];
    let functions =
        vec!["not", "not ", "", "tolower", "toupper", "length", "indexof", "contains", "endswith"];
    let leaf =
        proptest::sample::select(leaves.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>());
    leaf.prop_recursive(4, 12, 3, move |inner| {
        let (a, b) = (inner.clone(), inner.clone());
        prop_oneof![
            3 => (a, proptest::sample::select(operators.clone()), b).prop_map(|(a, o, b)| format!("{a} {o} {b}")),
            1 => (proptest::sample::select(functions.clone()), inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            1 => inner.clone().prop_map(|a| format!("texts/any(t:{a})")),
            1 => inner.clone().prop_map(|a| format!("texts/all(t: {a})")),
            1 => (proptest::sample::select(functions.clone()), inner.clone(), inner)
                .prop_map(|(f, a, b)| format!("{f}({a},{b})")),
        ]
    })
}

/// The text of an `$orderby`; none for the order of names.
pub fn order() -> impl Strategy<Value = Option<String>> {
    let single = ROWS.properties.iter().filter(|property| property.kind != Kind::Texts);
    let names: Vec<_> = single.map(|property| property.name).collect();
    let term = (proptest::sample::select(names), any::<bool>())
        .prop_map(|(name, descending)| format!("{name}{}", if descending { " desc" } else { "" }));
    proptest::collection::vec(term, 0..3).prop_map(|terms| (!terms.is_empty()).then(|| terms.join(",")))
}
