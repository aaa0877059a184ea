//! The functions of `$filter`. All of them work on text.

use super::filter::{Found, Function, Node, Operand};
use super::lexer::{Token, TokenKind};
use super::parser::{Parser, Value};
use super::{Kind, Literal, ODataError, clip};

const SUPPORTED: &str = "startswith, endswith, contains, tolower, toupper, length and indexof";

impl<'a> Parser<'a> {
    /// What follows a function's name, which has just been read.
    pub fn function(&mut self, name: Token<'a>) -> Result<Value, ODataError> {
        if let Some((list, quantifier)) = name.text.split_once('/') {
            return self.lambda(name.at, list, quantifier);
        }
        let lower = name.text.to_ascii_lowercase();
        let value = match lower.as_str() {
            "contains" => self.found(name, Found::Contains)?,
            "startswith" => self.found(name, Found::StartsWith)?,
            "endswith" => self.found(name, Found::EndsWith)?,
            "tolower" => self.call(name, Function::Lower, 1)?,
            "toupper" => self.call(name, Function::Upper, 1)?,
            "length" => self.call(name, Function::Length, 1)?,
            "indexof" => self.call(name, Function::IndexOf, 2)?,
            _ => {
                let message = format!("unknown function `{}`; supported are {SUPPORTED}", clip(name.text));
                return Err(self.lexer.error(name.at, message));
            }
        };
        Ok(value)
    }

    fn found(&mut self, name: Token<'a>, found: Found) -> Result<Value, ODataError> {
        let mut arguments = self.arguments(name, 2)?.into_iter();
        let (text, part) = (arguments.next(), arguments.next());
        let null = || Operand::Literal(Literal::Null);
        Ok(Value::Condition(Node::found(found, text.unwrap_or_else(null), part.unwrap_or_else(null))))
    }

    fn call(&mut self, name: Token<'a>, function: Function, count: usize) -> Result<Value, ODataError> {
        Ok(Value::Operand(Operand::call(function, self.arguments(name, count)?)))
    }

    /// Exactly `count` texts in parentheses.
    fn arguments(&mut self, name: Token<'a>, count: usize) -> Result<Vec<Operand>, ODataError> {
        let function = clip(name.text);
        let takes = if count == 1 { "one argument" } else { "two arguments" };
        self.expect(TokenKind::Open, "`(`")?;
        let mut arguments = Vec::new();
        for place in 1..=count {
            let argument = self.primary()?;
            let shown = self.shown(argument.from, argument.to);
            let operand = match argument.value {
                Value::Operand(operand) if matches!(operand.kind(), None | Some(Kind::Text)) => operand,
                value => {
                    let noun = match value {
                        Value::Operand(operand) => operand.kind().map_or("null", Kind::noun),
                        Value::Condition(_) => "a condition",
                    };
                    let message = format!("`{function}` works on text, but `{shown}` is {noun}");
                    return Err(self.lexer.error(argument.from, message));
                }
            };
            arguments.push(operand);
            let (kind, sign) =
                if place < count { (TokenKind::Comma, "`,`") } else { (TokenKind::Close, "`)`") };
            self.expect(kind, &format!("{sign} (`{function}` takes {takes})"))?;
        }
        Ok(arguments)
    }
}
