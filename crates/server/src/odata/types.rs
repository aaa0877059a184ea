//! The types of `$filter`: conditions are Boolean, and what is compared is of one type.

use super::filter::{Node, Operand};
use super::lexer;
use super::parser::{Expression, Parser, Value};
use super::{Kind, Literal, ODataError};

/// An operand and the bytes of the text that it was read from.
type Placed = (Operand, usize, usize);

impl Parser<'_> {
    /// The expression as a condition: a comparison, or something Boolean that stands alone.
    pub fn condition(&mut self, expression: Expression) -> Result<Node, ODataError> {
        let Expression { value, from, to } = expression;
        match value {
            Value::Condition(node) => Ok(node),
            Value::Operand(Operand::Literal(Literal::Bool(value))) => {
                self.count_node(from)?;
                Ok(Node::Constant(value))
            }
            Value::Operand(Operand::Property(property)) if property.kind == Kind::Bool => {
                self.count_node(from)?;
                Ok(Node::IsTrue(property))
            }
            Value::Operand(operand) => {
                let noun = operand.kind().map_or(String::new(), |kind| format!("{}, ", kind.noun()));
                let message = format!(
                    "`{}` is {noun}not a condition; compare it with `eq`, `ne`, `gt`, `ge`, `lt`, `le` or `in`",
                    self.shown(from, to)
                );
                Err(self.lexer.error(from, message))
            }
        }
    }

    /// Both operands, of one type. Text that stands beside a time is read as a time.
    pub fn same_kind(
        &self,
        (left, left_from, left_to): Placed,
        (right, right_from, right_to): Placed,
    ) -> Result<(Operand, Operand), ODataError> {
        let (Some(left_kind), Some(right_kind)) = (left.kind(), right.kind()) else {
            return Ok((left, right));
        };
        let (left, right) = (beside(left, right_kind), beside(right, left_kind));
        if left.kind() == right.kind() {
            return Ok((left, right));
        }
        let (left_shown, right_shown) = (self.shown(left_from, left_to), self.shown(right_from, right_to));
        let (at, message) = match (&left, &right) {
            (_, Operand::Literal(_)) => (right_from, mismatch(&left_shown, left_kind, &right_shown)),
            (Operand::Literal(_), _) => (left_from, mismatch(&right_shown, right_kind, &left_shown)),
            _ => (
                right_from,
                format!(
                    "`{left_shown}` is {} and `{right_shown}` is {}; compare values of one type",
                    left_kind.noun(),
                    right_kind.noun()
                ),
            ),
        };
        Err(self.lexer.error(at, message))
    }
}

fn beside(operand: Operand, other: Kind) -> Operand {
    let time = match &operand {
        Operand::Literal(Literal::Text(text)) if other == Kind::Time => lexer::time(text),
        _ => None,
    };
    time.map_or(operand, |time| Operand::Literal(Literal::Time(time)))
}

fn mismatch(shown: &str, kind: Kind, literal: &str) -> String {
    format!("`{shown}` is {} and `{literal}` is not; write {}", kind.noun(), kind.example())
}
