//! A parsed `$filter` and its in-memory answer. Every condition is true or false, never unknown: null
//! equals null, a null is neither less nor greater than anything, and nothing is found in it.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{Kind, Literal, Property, sql};

/// A condition on the properties of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(pub(super) Node);

impl Filter {
    /// The condition as SQL for a `where` clause, the same text for SQLite and PostgreSQL, fit to stand
    /// beside other conditions with `and`. Values are appended to `params` and named `$N` after their place
    /// there, counted from 1; in the text they first appear in that order. None is null or a list. SQLite needs a function
    /// `strpos(text, text)` as PostgreSQL has it.
    pub fn to_sql(&self, params: &mut Vec<Literal>) -> String {
        sql::write(&self.0, params)
    }

    /// Whether the condition holds for the row whose properties `value_of` tells.
    pub fn matches(&self, value_of: &dyn Fn(&Property) -> Literal) -> bool {
        self.0.holds(&Row { value_of, item: None })
    }
}

/// What a condition is asked about.
struct Row<'a> {
    value_of: &'a dyn Fn(&Property) -> Literal,
    /// The item of a list that [`Operand::Item`] stands for.
    item: Option<&'a str>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Constant(bool),
    /// A Boolean property that stands alone.
    IsTrue(&'static Property),
    /// Of operands of one type. Null stands only beside `Equal` and `Unequal`.
    Compare(Operand, Comparison, Operand),
    In(Operand, Vec<Literal>),
    /// Of two texts, neither of them null.
    Found(Found, Operand, Operand),
    /// A list has an item, or one for which the condition holds.
    Exists(&'static Property, Option<Box<Node>>),
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Property(&'static Property),
    /// The item of a list that the condition is about; only inside [`Node::Exists`].
    Item,
    Literal(Literal),
    Call(Function, Vec<Operand>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Contains,
    StartsWith,
    EndsWith,
}

/// What is computed from text. Case is that of the letters A to Z only: the databases agree on no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Lower,
    Upper,
    /// In code points.
    Length,
    /// The first code point's place, counted from 0; -1 where there is none.
    IndexOf,
}

impl Node {
    /// A comparison, already decided where it names no property.
    pub fn compare(left: Operand, comparison: Comparison, right: Operand) -> Node {
        match (&left, &right) {
            (Operand::Literal(a), Operand::Literal(b)) => Node::Constant(comparison.holds(a, b)),
            _ if !comparison.is_equality() && (left.is_null() || right.is_null()) => Node::Constant(false),
            _ => Node::Compare(left, comparison, right),
        }
    }

    pub fn found(found: Found, text: Operand, part: Operand) -> Node {
        match (&text, &part) {
            (Operand::Literal(a), Operand::Literal(b)) => Node::Constant(found.holds(a, b)),
            _ if text.is_null() || part.is_null() => Node::Constant(false),
            _ => Node::Found(found, text, part),
        }
    }

    pub fn one_of(operand: Operand, list: Vec<Literal>) -> Node {
        match operand {
            Operand::Literal(literal) => Node::Constant(list.contains(&literal)),
            operand => Node::In(operand, list),
        }
    }

    fn holds(&self, row: &Row<'_>) -> bool {
        match self {
            Node::Constant(value) => *value,
            Node::IsTrue(property) => (row.value_of)(property) == Literal::Bool(true),
            Node::Compare(a, comparison, b) => comparison.holds(&a.value(row), &b.value(row)),
            Node::In(operand, list) => list.contains(&operand.value(row)),
            Node::Found(found, text, part) => found.holds(&text.value(row), &part.value(row)),
            Node::Exists(property, condition) => match (row.value_of)(property) {
                Literal::Texts(items) => items.iter().any(|item| {
                    let row = Row { item: Some(item), ..*row };
                    condition.as_ref().is_none_or(|condition| condition.holds(&row))
                }),
                _ => false,
            },
            Node::All(nodes) => nodes.iter().all(|node| node.holds(row)),
            Node::Any(nodes) => nodes.iter().any(|node| node.holds(row)),
            Node::Not(node) => !node.holds(row),
        }
    }
}

impl Operand {
    /// A call, already computed where it names no property.
    pub fn call(function: Function, arguments: Vec<Operand>) -> Operand {
        let constant = arguments.iter().all(|argument| matches!(argument, Operand::Literal(_)));
        let call = Operand::Call(function, arguments);
        match &call {
            Operand::Call(_, arguments) if constant || arguments.iter().any(Operand::is_null) => {
                let nothing = Row { value_of: &|_| Literal::Null, item: None };
                Operand::Literal(call.value(&nothing).into_owned())
            }
            _ => call,
        }
    }

    /// The operand's type; none for null.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Operand::Property(property) => Some(property.kind),
            Operand::Item => Some(Kind::Text),
            Operand::Literal(literal) => literal.kind(),
            Operand::Call(Function::Lower | Function::Upper, _) => Some(Kind::Text),
            Operand::Call(Function::Length | Function::IndexOf, _) => Some(Kind::Int),
        }
    }

    pub fn is_null(&self) -> bool {
        *self == Operand::Literal(Literal::Null)
    }

    fn value<'a>(&'a self, row: &Row<'_>) -> Cow<'a, Literal> {
        match self {
            Operand::Property(property) => Cow::Owned((row.value_of)(property)),
            Operand::Item => Cow::Owned(row.item.map_or(Literal::Null, |item| Literal::Text(item.into()))),
            Operand::Literal(literal) => Cow::Borrowed(literal),
            Operand::Call(function, arguments) => {
                let values: Vec<_> = arguments.iter().map(|argument| argument.value(row)).collect();
                let texts: Option<Vec<&str>> = values.iter().map(|value| text_of(value)).collect();
                Cow::Owned(texts.map_or(Literal::Null, |texts| function.apply(&texts)))
            }
        }
    }
}

impl Comparison {
    pub fn is_equality(self) -> bool {
        matches!(self, Comparison::Equal | Comparison::Unequal)
    }

    fn holds(self, left: &Literal, right: &Literal) -> bool {
        let order = left.order(right);
        match self {
            Comparison::Equal => left == right,
            Comparison::Unequal => left != right,
            Comparison::Less => order.is_some_and(Ordering::is_lt),
            Comparison::LessOrEqual => order.is_some_and(Ordering::is_le),
            Comparison::Greater => order.is_some_and(Ordering::is_gt),
            Comparison::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        }
    }
}

impl Found {
    fn holds(self, text: &Literal, part: &Literal) -> bool {
        let (Some(text), Some(part)) = (text_of(text), text_of(part)) else {
            return false;
        };
        match self {
            Found::Contains => text.contains(part),
            Found::StartsWith => text.starts_with(part),
            Found::EndsWith => text.ends_with(part),
        }
    }
}

impl Function {
    fn apply(self, texts: &[&str]) -> Literal {
        match (self, texts) {
            (Function::Lower, [text]) => Literal::Text(text.to_ascii_lowercase()),
            (Function::Upper, [text]) => Literal::Text(text.to_ascii_uppercase()),
            (Function::Length, [text]) => Literal::Int(count(text)),
            (Function::IndexOf, [text, part]) => {
                Literal::Int(text.find(part).map_or(-1, |at| count(&text[..at])))
            }
            _ => Literal::Null,
        }
    }
}

fn count(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

fn text_of(literal: &Literal) -> Option<&str> {
    match literal {
        Literal::Text(text) => Some(text),
        _ => None,
    }
}
