//! `$orderby`: nulls come first ascending and last descending, in SQL and in memory alike.

use std::cmp::Ordering;

use super::{EntitySet, Literal, ODataError, Property, clip, lambda};

const MAX_TERMS: usize = 8;

/// One term of `$orderby`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub property: &'static Property,
    pub descending: bool,
}

/// The terms as an `order by` list without the words; empty when there are none. They alone need not
/// decide between two rows: append a unique column.
pub fn order_sql(terms: &[Order]) -> String {
    let terms = terms.iter().map(|term| {
        let direction = if term.descending { "desc nulls last" } else { "asc nulls first" };
        format!("{} {direction}", term.property.column)
    });
    terms.collect::<Vec<_>>().join(", ")
}

/// How two rows stand to each other under the terms: what [`order_sql`] says, in memory.
pub fn compare(
    terms: &[Order],
    left: &dyn Fn(&Property) -> Literal,
    right: &dyn Fn(&Property) -> Literal,
) -> Ordering {
    for term in terms {
        let (a, b) = (left(term.property), right(term.property));
        let ordering = match (&a, &b) {
            (Literal::Null, Literal::Null) => Ordering::Equal,
            (Literal::Null, _) => Ordering::Less,
            (_, Literal::Null) => Ordering::Greater,
            _ => a.order(&b).unwrap_or(Ordering::Equal),
        };
        let ordering = if term.descending { ordering.reverse() } else { ordering };
        if ordering.is_ne() {
            return ordering;
        }
    }
    Ordering::Equal
}

pub(super) fn parse(text: &str, set: &'static EntitySet) -> Result<Vec<Order>, ODataError> {
    let terms: Vec<&str> = text.split(',').collect();
    if terms.len() > MAX_TERMS {
        return Err(ODataError(format!(
            "`$orderby` has {} terms; at most {MAX_TERMS} are allowed",
            terms.len()
        )));
    }
    terms.into_iter().map(|term| parse_term(term, set)).collect()
}

fn parse_term(term: &str, set: &'static EntitySet) -> Result<Order, ODataError> {
    let mut words = term.split_ascii_whitespace();
    let (name, direction) = (words.next(), words.next());
    let Some(name) = name else {
        return Err(ODataError("`$orderby` has an empty term; write `property asc, property desc`".into()));
    };
    let property = set.find(name).ok_or_else(|| ODataError(format!("`$orderby`: {}", set.unknown(name))))?;
    if !property.kind.is_one_value() {
        return Err(ODataError(format!("`$orderby`: {}", lambda::not_one_value(property))));
    }
    let descending = match direction {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("asc") => false,
        Some(word) if word.eq_ignore_ascii_case("desc") => true,
        Some(word) => {
            return Err(ODataError(format!(
                "`$orderby`: expected `asc` or `desc` after `{}`, found `{}`",
                property.name,
                clip(word)
            )));
        }
    };
    match words.next() {
        None => Ok(Order { property, descending }),
        Some(word) => Err(ODataError(format!(
            "`$orderby`: expected a comma or the end after `{}`, found `{}`",
            clip(term.trim()),
            clip(word)
        ))),
    }
}
