//! Random filters, orders and rows for the tests, and filters printed as OData text.

use proptest::prelude::*;

use super::filter::{Comparison, Found, Function, Node, Operand};
use super::*;

pub(super) static ROWS: EntitySet = EntitySet {
    name: "Rows",
    properties: &[
        Property { name: "name", column: "name", kind: Kind::Text },
        Property { name: "note", column: "note", kind: Kind::Text },
        Property { name: "size", column: "size", kind: Kind::Int },
        Property { name: "rank", column: "rank", kind: Kind::Int },
        Property { name: "open", column: "open", kind: Kind::Bool },
        Property { name: "made", column: "made", kind: Kind::Time },
        Property { name: "seen", column: "seen", kind: Kind::Time },
        Property {
            name: "tags",
            column: "select 1 from labels l where l.version = rows.id and l.kind = 'tag'",
            kind: Kind::Texts,
        },
        Property {
            name: "platforms",
            column: "select 1 from labels l where l.version = rows.id and l.kind = 'platform'",
            kind: Kind::Texts,
        },
    ],
    max_top: 10_000,
    searchable: false,
};

/// The values of a row, in the order of the properties.
pub(super) type Cells = Vec<Literal>;

pub(super) fn value_of(cells: &Cells) -> impl Fn(&Property) -> Literal {
    |property| {
        let place = ROWS.properties.iter().position(|other| other == property);
        cells[place.expect("a property of the set")].clone()
    }
}

pub(super) fn parse_filter(text: &str) -> Result<Filter, ODataError> {
    parser::parse(text, &ROWS)
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[aAéÉ]{0,2}",
        2 => "[aAÉ%_'\\\\.𝄞\u{ffff}]{0,3}",
        1 => Just("2026-01-02Z".to_owned()),
    ]
}

fn any_int() -> impl Strategy<Value = i64> {
    prop_oneof![-3i64..4, Just(i64::MIN), Just(i64::MAX)]
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    (0i64..4, 0i64..2).prop_map(|(days, micros)| {
        Timestamp::from_micros(1_767_225_600_000_000 + days * 86_400_000_000 + micros)
    })
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

fn property(kind: Kind) -> BoxedStrategy<String> {
    let names: Vec<_> = ROWS.properties.iter().filter(|property| property.kind == kind).collect();
    proptest::sample::select(names).prop_map(|property| property.name.to_owned()).boxed()
}

/// A value; inside `any` and `all` often their variable.
fn operand(kind: Kind, item: Option<&'static str>) -> BoxedStrategy<String> {
    let single = move |kind| match item.filter(|_| kind == Kind::Text) {
        Some(item) => prop_oneof![1 => property(kind), 2 => Just(item.to_owned())].boxed(),
        None => property(kind),
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

pub(super) fn condition() -> BoxedStrategy<String> {
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
    let leaf = prop_oneof![6 => comparison, 2 => list, 3 => search, 1 => truth, 1 => property(Kind::Bool)];
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

/// Filters put together without regard to types: many are refused, some are accepted in ways that no one
/// thought of.
pub(super) fn untyped() -> impl Strategy<Value = String> {
    let leaves = "name note size rank open made seen tags t null true false 'a' 'A' '' 0 -1 2026-01-02Z \
                  '2026-01-02Z'";
    let operators = vec!["eq", "ne", "gt", "ge", "lt", "le", "in", "and", "or"];
    let functions =
        vec!["not", "not ", "", "tolower", "toupper", "length", "indexof", "contains", "endswith"];
    let leaf = proptest::sample::select(leaves.split(' ').map(str::to_owned).collect::<Vec<_>>());
    leaf.prop_recursive(4, 12, 3, move |inner| {
        let (a, b) = (inner.clone(), inner.clone());
        prop_oneof![
            3 => (a, proptest::sample::select(operators.clone()), b).prop_map(|(a, o, b)| format!("{a} {o} {b}")),
            1 => (proptest::sample::select(functions.clone()), inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            1 => inner.clone().prop_map(|a| format!("tags/any(t:{a})")),
            1 => inner.clone().prop_map(|a| format!("tags/all(t: {a})")),
            1 => (proptest::sample::select(functions.clone()), inner.clone(), inner)
                .prop_map(|(f, a, b)| format!("{f}({a},{b})")),
        ]
    })
}

pub(super) fn any_order() -> impl Strategy<Value = Vec<Order>> {
    let single = ROWS.properties.iter().filter(|property| property.kind != Kind::Texts);
    let properties: Vec<&'static Property> = single.collect();
    let term = (proptest::sample::select(properties), any::<bool>())
        .prop_map(|(property, descending)| Order { property, descending });
    proptest::collection::vec(term, 0..3)
}

pub(super) fn any_rows() -> impl Strategy<Value = Vec<Cells>> {
    fn cell<T: std::fmt::Debug>(
        values: impl Strategy<Value = T>,
        wrap: fn(T) -> Literal,
    ) -> impl Strategy<Value = Literal> {
        proptest::option::weighted(0.75, values).prop_map(move |value| value.map_or(Literal::Null, wrap))
    }
    let cells = (
        cell(any_text(), Literal::Text),
        cell(any_text(), Literal::Text),
        cell(any_int(), Literal::Int),
        cell(any_int(), Literal::Int),
        cell(any::<bool>(), Literal::Bool),
        cell(any_time(), Literal::Time),
        cell(any_time(), Literal::Time),
        proptest::collection::vec(any_text(), 0..3).prop_map(Literal::Texts),
        proptest::collection::vec(any_text(), 0..3).prop_map(Literal::Texts),
    );
    proptest::collection::vec(
        cells.prop_map(|(a, b, c, d, e, f, g, h, i)| vec![a, b, c, d, e, f, g, h, i]),
        0..8,
    )
}

/// A filter as OData text, with every chain in parentheses.
pub(super) fn print(node: &Node) -> String {
    let chain = |nodes: &[Node], word: &str| {
        let parts: Vec<_> = nodes.iter().map(|node| format!("({})", print(node))).collect();
        parts.join(word)
    };
    match node {
        Node::Constant(value) => value.to_string(),
        Node::IsTrue(property) => property.name.into(),
        Node::Compare(a, comparison, b) => {
            let word = match comparison {
                Comparison::Equal => "eq",
                Comparison::Unequal => "ne",
                Comparison::Less => "lt",
                Comparison::LessOrEqual => "le",
                Comparison::Greater => "gt",
                Comparison::GreaterOrEqual => "ge",
            };
            format!("{} {word} {}", print_operand(a), print_operand(b))
        }
        Node::In(operand, list) => {
            let list: Vec<_> = list.iter().map(print_literal).collect();
            format!("{} in ({})", print_operand(operand), list.join(","))
        }
        Node::Found(found, text, part) => {
            let name = match found {
                Found::Contains => "contains",
                Found::StartsWith => "startswith",
                Found::EndsWith => "endswith",
            };
            format!("{name}({},{})", print_operand(text), print_operand(part))
        }
        Node::All(nodes) => chain(nodes, " and "),
        Node::Any(nodes) => chain(nodes, " or "),
        Node::Not(node) => format!("not ({})", print(node)),
        Node::Exists(list, None) => format!("{}/any()", list.name),
        Node::Exists(list, Some(condition)) => format!("{}/any(t: {})", list.name, print(condition)),
    }
}

fn print_operand(operand: &Operand) -> String {
    match operand {
        Operand::Property(property) => property.name.into(),
        Operand::Item => "t".into(),
        Operand::Literal(literal) => print_literal(literal),
        Operand::Call(function, arguments) => {
            let name = match function {
                Function::Lower => "tolower",
                Function::Upper => "toupper",
                Function::Length => "length",
                Function::IndexOf => "indexof",
            };
            let arguments: Vec<_> = arguments.iter().map(print_operand).collect();
            format!("{name}({})", arguments.join(","))
        }
    }
}

fn print_literal(literal: &Literal) -> String {
    match literal {
        Literal::Null => "null".into(),
        Literal::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Literal::Bool(value) => value.to_string(),
        Literal::Int(value) => value.to_string(),
        Literal::Time(time) => time.to_string(),
        Literal::Texts(_) => panic!("a filter has no lists"),
    }
}
