//! `any` and `all` over a list of texts. The variable names an item and nothing else: no property, no word of
//! the language, and there is one at a time.

use super::filter::Node;
use super::lexer::{Token, TokenKind};
use super::parser::{self, Parser, Value};
use super::{Kind, ODataError, Property, clip};

impl<'a> Parser<'a> {
    /// What follows `list/any` or `list/all`, which has just been read; a `(` is next.
    pub fn lambda(&mut self, at: usize, list: &str, quantifier: &str) -> Result<Value, ODataError> {
        let property = self.list(at, list)?;
        let all = quantifier.eq_ignore_ascii_case("all");
        if !all && !quantifier.eq_ignore_ascii_case("any") {
            return Err(self.lexer.error(at, unknown_of_list(property, quantifier)));
        }
        if let Some(outer) = self.item {
            let message = format!(
                "`any` and `all` cannot stand inside each other; end the one of `{}` first and join them with \
                 `and` or `or`",
                clip(outer)
            );
            return Err(self.lexer.error(at, message));
        }
        self.count_list(at)?;
        let Some(variable) = self.variable(property)? else {
            return self.without_condition(property, all);
        };
        self.item = Some(variable);
        let body = self.any()?;
        if self.token.kind != TokenKind::Close {
            return Err(self.unexpected_after(&body, "`)`, `and` or `or`"));
        }
        let condition = self.condition(body)?;
        self.item = None;
        self.advance()?;
        let node = if all {
            let exception = Node::Exists(property, Some(Box::new(Node::Not(Box::new(condition)))));
            Node::Not(Box::new(exception))
        } else {
            Node::Exists(property, Some(Box::new(condition)))
        };
        Ok(Value::Condition(node))
    }

    /// `list/any()`: the list has an item.
    fn without_condition(&mut self, property: &'static Property, all: bool) -> Result<Value, ODataError> {
        if all {
            let message = format!("`all` needs a condition, as in `{}/all(t: t ne '…')`", property.name);
            return Err(self.lexer.error(self.token.at, message));
        }
        self.advance()?;
        Ok(Value::Condition(Node::Exists(property, None)))
    }

    /// The variable and its colon, after which the condition begins; none where there is only a `)`. A colon
    /// belongs to words elsewhere, so this is read from the text itself.
    fn variable(&mut self, list: &Property) -> Result<Option<&'a str>, ODataError> {
        let (variable, colon) = self.lexer.variable();
        if variable.text.is_empty() {
            self.advance()?;
            if self.token.kind == TokenKind::Close {
                return Ok(None);
            }
            let expected = format!("a variable and `:`, as in `{}/any(t: t eq '…')`", list.name);
            return Err(self.unexpected(&expected));
        }
        let name = clip(variable.text);
        let reserved = ["null", "true", "false"];
        if parser::is_operator(&variable) || reserved.iter().any(|word| variable.is_word(word)) {
            let message = format!("`{name}` is a word of `$filter`; give the variable a name such as `t`");
            return Err(self.lexer.error(variable.at, message));
        }
        if let Some(property) = self.set.find(variable.text) {
            let message = format!("`{}` is a property; give the variable another name", property.name);
            return Err(self.lexer.error(variable.at, message));
        }
        self.advance()?;
        if colon {
            return Ok(Some(variable.text));
        }
        let expected = format!("`:` after `{name}`, as in `{}/any(t: t eq '…')`", list.name);
        Err(self.unexpected(&expected))
    }

    fn list(&self, at: usize, name: &str) -> Result<&'static Property, ODataError> {
        let property = self.set.find(name).ok_or_else(|| self.lexer.error(at, self.set.unknown(name)))?;
        if property.kind == Kind::Texts {
            return Ok(property);
        }
        let message = format!(
            "`{}` is {}, not a list: it has no `/`; compare it with `eq`, `ne`, `gt`, `ge`, `lt`, `le` or `in`",
            property.name,
            property.kind.noun()
        );
        Err(self.lexer.error(at, message))
    }

    /// The property that a word names and that has one value.
    pub fn property(&self, word: Token<'a>) -> Result<&'static Property, ODataError> {
        let message = match self.set.find(word.text) {
            Some(other) if !other.kind.is_one_value() => not_one_value(other),
            Some(property) => return Ok(property),
            None => self.unknown(word.text),
        };
        Err(self.lexer.error(word.at, message))
    }

    fn unknown(&self, word: &str) -> String {
        let list = word.split_once('/').and_then(|(list, rest)| Some((self.set.find(list)?, rest)));
        if let Some((list, rest)) = list.filter(|(list, _)| list.kind == Kind::Texts) {
            return unknown_of_list(list, rest);
        }
        let variable =
            self.item.map_or(String::new(), |item| format!("; the variable here is `{}`", clip(item)));
        format!("{}{variable}; text is written in single quotes", self.set.unknown(word))
    }
}

/// Why a list cannot stand where one value does.
pub(super) fn not_one_value(list: &Property) -> String {
    let name = list.name;
    if list.kind == Kind::Shown {
        return format!("`{name}` can be selected, but neither filtered nor ordered by");
    }
    format!("`{name}` is a list, not one value; `$filter` asks about its items: `{name}/any(t: t eq '…')`")
}

fn unknown_of_list(list: &Property, rest: &str) -> String {
    let name = list.name;
    format!(
        "`{name}/{}` is unknown; write `{name}/any(t: t eq '…')`, `{name}/all(t: t ne '…')` or `{name}/any()`",
        clip(rest)
    )
}
