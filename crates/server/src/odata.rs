//! The OData query options of a collection, read from a query string into plain data.
//! A filter's SQL text and its in-memory twin give the same answer on every row, on every database.

mod filter;
mod functions;
mod lambda;
mod lexer;
mod options;
mod order;
mod parser;
mod search;
mod sql;
mod types;

#[cfg(test)]
mod lambda_tests;
#[cfg(test)]
mod random;
#[cfg(test)]
mod search_tests;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod twin_tests;

use std::cmp::Ordering;

use jumpbag_wire::time::Timestamp;

pub use filter::Filter;
pub use options::Query;
pub use order::{Order, compare, order_sql};
pub use search::Search;

/// The type of a property. A time is kept as a `bigint` of microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Bool,
    Int,
    Time,
    /// A list of texts, none of them null; it may be empty.
    Texts,
    /// What can only be selected: it has no column.
    Shown,
}

impl Kind {
    /// Whether it can be compared and ordered by.
    fn is_one_value(self) -> bool {
        !matches!(self, Kind::Texts | Kind::Shown)
    }

    fn noun(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Bool => "a Boolean",
            Kind::Int => "a whole number",
            Kind::Time => "a time",
            Kind::Texts => "a list of texts",
            Kind::Shown => "only shown",
        }
    }

    fn example(self) -> &'static str {
        match self {
            Kind::Text => "text in single quotes such as `'Pending'`",
            Kind::Bool => "`true` or `false`",
            Kind::Int => "a whole number such as `10`",
            Kind::Time => "a time such as `2026-01-31T08:00:00Z`",
            Kind::Texts => "a condition on its items",
            Kind::Shown => "nothing",
        }
    }
}

/// A property that can be selected and, unless it is only shown, filtered and ordered by.
#[derive(Debug, PartialEq, Eq)]
pub struct Property {
    /// Its name on the wire.
    pub name: &'static str,
    /// The SQL expression that yields it: a column, or anything in parentheses. On PostgreSQL text must
    /// come from a column with `collate "C"`. Of [`Kind::Texts`] it is a `select` of its items, each as the text
    /// column `l.value`, that ends in a `where` which another condition can follow with `and`.
    pub column: &'static str,
    pub kind: Kind,
}

impl Property {
    pub const fn new(name: &'static str, column: &'static str, kind: Kind) -> Property {
        Property { name, column, kind }
    }

    /// One that can only be selected.
    pub const fn shown(name: &'static str) -> Property {
        Property::new(name, "null", Kind::Shown)
    }
}

/// A collection and what may be asked of it.
#[derive(Debug, PartialEq, Eq)]
pub struct EntitySet {
    pub name: &'static str,
    pub properties: &'static [Property],
    /// The largest `$top`.
    pub max_top: u64,
    /// Whether `$search` may be asked.
    pub searchable: bool,
}

impl EntitySet {
    fn find(&'static self, name: &str) -> Option<&'static Property> {
        self.properties.iter().find(|property| property.name.eq_ignore_ascii_case(name))
    }

    fn unknown(&self, name: &str) -> String {
        let names: Vec<_> = self.properties.iter().map(|property| property.name).collect();
        format!("unknown property `{}`; `{}` has {}", clip(name), self.name, names.join(", "))
    }
}

/// A value in a filter, a parameter of its SQL text, or a property of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    Null,
    Text(String),
    Bool(bool),
    Int(i64),
    /// As a parameter: a `bigint` of microseconds.
    Time(Timestamp),
    /// Only as a property of a row.
    Texts(Vec<String>),
}

impl Literal {
    fn kind(&self) -> Option<Kind> {
        match self {
            Literal::Null => None,
            Literal::Text(_) => Some(Kind::Text),
            Literal::Bool(_) => Some(Kind::Bool),
            Literal::Int(_) => Some(Kind::Int),
            Literal::Time(_) => Some(Kind::Time),
            Literal::Texts(_) => Some(Kind::Texts),
        }
    }

    /// How two values of one type stand to each other; none where one is null or the types differ.
    /// Text goes by code point, false comes before true.
    fn order(&self, other: &Literal) -> Option<Ordering> {
        match (self, other) {
            (Literal::Text(a), Literal::Text(b)) => Some(a.cmp(b)),
            (Literal::Bool(a), Literal::Bool(b)) => Some(a.cmp(b)),
            (Literal::Int(a), Literal::Int(b)) => Some(a.cmp(b)),
            (Literal::Time(a), Literal::Time(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

/// What is wrong with a query, where, and what would be right: the message of an `ODataError` answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ODataError(pub String);

/// What a client sent, made fit for a message: short, and free of control characters.
fn clip(text: &str) -> String {
    const MOST: usize = 60;
    let shown = text.chars().take(MOST);
    let mut clipped: String = shown.map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        clipped.push('…');
    }
    clipped
}
