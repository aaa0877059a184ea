//! A filter as SQL that SQLite and PostgreSQL read alike: every value is a parameter with a cast, so that
//! its type never depends on what stands beside it.

use super::Literal;
use super::filter::{Comparison, Found, Function, Node, Operand};

/// What an item of a list is called in the `select` of its property.
const ITEM: &str = "l.value";

pub(super) fn write(node: &Node, params: &mut Vec<Literal>) -> String {
    Writer { params }.node(node, Unknown::MeansFalse)
}

/// What the place of a condition makes of SQL's third truth value. A `where` takes it for false, so the
/// plain operators do, and indexes serve them; under `not` it has to be turned into false first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unknown {
    MeansFalse,
    IsForbidden,
}

struct Writer<'a> {
    params: &'a mut Vec<Literal>,
}

impl Writer<'_> {
    fn node(&mut self, node: &Node, unknown: Unknown) -> String {
        match node {
            Node::Constant(true) => "true".into(),
            Node::Constant(false) => "false".into(),
            Node::IsTrue(property) => format!("{} is true", property.column),
            Node::Compare(left, comparison, right) => self.compare(left, *comparison, right, unknown),
            Node::In(operand, list) => self.one_of(operand, list, unknown),
            Node::Found(found, text, part) => self.found(*found, text, part, unknown),
            Node::Exists(property, None) => format!("exists ({})", property.column),
            // The condition stands in a `where` of its own, whatever stands around it.
            Node::Exists(property, Some(condition)) => {
                let condition = self.node(condition, Unknown::MeansFalse);
                format!("exists ({} and {condition})", property.column)
            }
            Node::All(nodes) => self.join(nodes, " and ", unknown),
            Node::Any(nodes) => self.join(nodes, " or ", unknown),
            Node::Not(node) => format!("not ({})", self.node(node, Unknown::IsForbidden)),
        }
    }

    fn join(&mut self, nodes: &[Node], word: &str, unknown: Unknown) -> String {
        let parts: Vec<_> = nodes.iter().map(|node| self.node(node, unknown)).collect();
        format!("({})", parts.join(word))
    }

    fn compare(
        &mut self,
        left: &Operand,
        comparison: Comparison,
        right: &Operand,
        unknown: Unknown,
    ) -> String {
        let with_literal = matches!(left, Operand::Literal(_)) || matches!(right, Operand::Literal(_));
        if comparison.is_equality() && (left.is_null() || right.is_null()) {
            let operand = self.operand(if left.is_null() { right } else { left });
            let test = if comparison == Comparison::Equal { "is null" } else { "is not null" };
            return format!("{operand} {test}");
        }
        let (left, right) = (self.operand(left), self.operand(right));
        let operator = match comparison {
            Comparison::Equal if with_literal && unknown == Unknown::MeansFalse => "=",
            Comparison::Equal => "is not distinct from",
            Comparison::Unequal => "is distinct from",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        };
        let sql = format!("{left} {operator} {right}");
        if comparison.is_equality() { sql } else { settled(sql, unknown) }
    }

    fn one_of(&mut self, operand: &Operand, list: &[Literal], unknown: Unknown) -> String {
        let operand = self.operand(operand);
        let values = list.iter().filter(|literal| **literal != Literal::Null);
        let values: Vec<_> = values.map(|literal| self.literal(literal)).collect();
        let among = settled(format!("{operand} in ({})", values.join(", ")), unknown);
        match (values.is_empty(), values.len() == list.len()) {
            (_, true) => among,
            (true, false) => format!("{operand} is null"),
            (false, false) => format!("({among} or {operand} is null)"),
        }
    }

    fn found(&mut self, found: Found, text: &Operand, part: &Operand, unknown: Unknown) -> String {
        let (text, part) = (self.operand(text), self.operand(part));
        settled(
            match found {
                Found::Contains => format!("strpos({text}, {part}) > 0"),
                Found::StartsWith => format!("substr({text}, 1, length({part})) = {part}"),
                // Where the part is the longer one, `substr` differs between the databases but is
                // shorter than the part on both.
                Found::EndsWith => format!("substr({text}, length({text}) - length({part}) + 1) = {part}"),
            },
            unknown,
        )
    }

    fn operand(&mut self, operand: &Operand) -> String {
        match operand {
            Operand::Property(property) => property.column.into(),
            Operand::Item => ITEM.into(),
            Operand::Literal(literal) => self.literal(literal),
            Operand::Call(function, arguments) => {
                let arguments: Vec<_> = arguments.iter().map(|argument| self.operand(argument)).collect();
                let arguments = arguments.join(", ");
                match function {
                    Function::Lower => format!("lower({arguments})"),
                    Function::Upper => format!("upper({arguments})"),
                    Function::Length => format!("length({arguments})"),
                    Function::IndexOf => format!("(strpos({arguments}) - 1)"),
                }
            }
        }
    }

    fn literal(&mut self, literal: &Literal) -> String {
        let sql_type = match literal {
            // A filter has no lists.
            Literal::Null | Literal::Texts(_) => return "null".into(),
            Literal::Text(_) => "text",
            Literal::Bool(_) => "boolean",
            Literal::Int(_) | Literal::Time(_) => "bigint",
        };
        self.params.push(literal.clone());
        format!("cast(${} as {sql_type})", self.params.len())
    }
}

fn settled(sql: String, unknown: Unknown) -> String {
    match unknown {
        Unknown::MeansFalse => sql,
        Unknown::IsForbidden => format!("({sql}) is true"),
    }
}
