//! The grammar of `$filter`, by recursive descent. What a client sends decides neither how deep the
//! stack goes nor how large the filter gets: both are bounded here.

use super::filter::{Comparison, Filter, Node, Operand};
use super::lexer::{self, Lexer, Token, TokenKind};
use super::{EntitySet, Literal, ODataError, clip, lambda};

const MAX_BYTES: usize = 8 * 1024;
const MAX_DEPTH: usize = 32;
const MAX_NODES: usize = 200;
const MAX_LIST: usize = 1_000;
/// What `any`, `all` and a part of their conditions counts: a row has many items.
const WEIGHT_OF_ITEMS: usize = 5;

/// Reads a filter; `text` is percent-decoded.
pub(super) fn parse(text: &str, set: &'static EntitySet) -> Result<Filter, ODataError> {
    if text.len() > MAX_BYTES {
        return Err(ODataError(format!(
            "`$filter` has {} bytes; at most {MAX_BYTES} are allowed",
            text.len()
        )));
    }
    let mut lexer = Lexer::new(text);
    let token = lexer.next()?;
    if token.kind == TokenKind::End {
        return Err(ODataError("`$filter` is empty; write a condition or leave the option out".into()));
    }
    let mut parser = Parser { lexer, token, set, item: None, has_lists: false, depth: 0, nodes: 0 };
    let whole = parser.any()?;
    if parser.token.kind != TokenKind::End {
        return Err(parser.unexpected_after(&whole, "`and`, `or` or the end"));
    }
    Ok(Filter(parser.condition(whole)?))
}

/// What was read, and where it stands in the text.
pub(super) struct Expression {
    pub value: Value,
    pub from: usize,
    pub to: usize,
}

pub(super) enum Value {
    Condition(Node),
    Operand(Operand),
}

pub(super) struct Parser<'a> {
    pub lexer: Lexer<'a>,
    pub token: Token<'a>,
    pub set: &'static EntitySet,
    /// The variable of the `any` or `all` that is being read.
    pub item: Option<&'a str>,
    /// Whether there has been an `any` or `all`.
    has_lists: bool,
    depth: usize,
    nodes: usize,
}

impl<'a> Parser<'a> {
    pub fn advance(&mut self) -> Result<Token<'a>, ODataError> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    pub fn unexpected(&self, expected: &str) -> ODataError {
        self.lexer.error(self.token.at, format!("expected {expected}, found {}", self.token.shown()))
    }

    pub fn unexpected_after(&self, expression: &Expression, expected: &str) -> ODataError {
        match expression.value {
            Value::Condition(_) => self.unexpected(expected),
            Value::Operand(_) => self.unexpected("an operator (`eq`, `ne`, `gt`, `ge`, `lt`, `le` or `in`)"),
        }
    }

    pub fn expect(&mut self, kind: TokenKind, expected: &str) -> Result<(), ODataError> {
        if self.token.kind != kind {
            return Err(self.unexpected(expected));
        }
        self.advance().map(drop)
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, ODataError>) -> Result<T, ODataError> {
        if self.depth == MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels; flatten the condition");
            return Err(self.lexer.error(self.token.at, message));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    pub fn count_node(&mut self, at: usize) -> Result<(), ODataError> {
        self.count(at, if self.item.is_some() { WEIGHT_OF_ITEMS } else { 1 })
    }

    /// `any` or `all`, already counted once as a function.
    pub fn count_list(&mut self, at: usize) -> Result<(), ODataError> {
        self.has_lists = true;
        self.count(at, WEIGHT_OF_ITEMS - 1)
    }

    fn count(&mut self, at: usize, weight: usize) -> Result<(), ODataError> {
        self.nodes += weight;
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        let items = match self.has_lists {
            true => format!(", where `any`, `all` and those inside count {WEIGHT_OF_ITEMS} times"),
            false => String::new(),
        };
        let message = format!(
            "more than {MAX_NODES} comparisons, functions and negations{items}; shorten the filter, for example \
             with `in`"
        );
        Err(self.lexer.error(at, message))
    }

    pub fn any(&mut self) -> Result<Expression, ODataError> {
        self.chain("or", Self::all, Node::Any)
    }

    fn all(&mut self) -> Result<Expression, ODataError> {
        self.chain("and", Self::unary, Node::All)
    }

    fn chain(
        &mut self,
        word: &str,
        term: fn(&mut Self) -> Result<Expression, ODataError>,
        join: fn(Vec<Node>) -> Node,
    ) -> Result<Expression, ODataError> {
        let first = term(self)?;
        if !self.token.is_word(word) {
            return Ok(first);
        }
        let from = first.from;
        let mut nodes = vec![self.condition(first)?];
        while self.token.is_word(word) {
            self.advance()?;
            let next = term(self)?;
            nodes.push(self.condition(next)?);
        }
        Ok(self.condition_from(from, join(nodes)))
    }

    /// `not` takes in the whole comparison that follows: where that is a comparison with a Boolean the
    /// answer is the one that a tighter `not` would give, and elsewhere only this reading makes sense.
    fn unary(&mut self) -> Result<Expression, ODataError> {
        if !self.token.is_word("not") {
            return self.comparison();
        }
        let from = self.advance()?.at;
        self.count_node(from)?;
        let negated = self.deeper(Self::unary)?;
        let negated = self.condition(negated)?;
        Ok(self.condition_from(from, Node::Not(Box::new(negated))))
    }

    fn comparison(&mut self) -> Result<Expression, ODataError> {
        let left = self.primary()?;
        let at = self.token.at;
        if self.token.is_word("in") {
            self.advance()?;
            self.count_node(at)?;
            return self.one_of(left);
        }
        let Some(comparison) = comparison_named(&self.token) else {
            return Ok(left);
        };
        self.advance()?;
        self.count_node(at)?;
        let right = self.primary()?;
        let from = left.from;
        let node = match (left.value, right.value) {
            (Value::Operand(a), Value::Operand(b)) => {
                let (a, b) = self.same_kind((a, left.from, left.to), (b, right.from, right.to))?;
                Node::compare(a, comparison, b)
            }
            (Value::Condition(node), Value::Operand(Operand::Literal(Literal::Bool(value))))
            | (Value::Operand(Operand::Literal(Literal::Bool(value))), Value::Condition(node))
                if comparison.is_equality() =>
            {
                if value == (comparison == Comparison::Equal) {
                    node
                } else {
                    Node::Not(Box::new(node))
                }
            }
            _ => {
                let message = "a condition can only be compared with `true` or `false`, by `eq` or `ne`";
                return Err(self.lexer.error(at, message));
            }
        };
        Ok(self.condition_from(from, node))
    }

    fn one_of(&mut self, left: Expression) -> Result<Expression, ODataError> {
        let (from, to) = (left.from, left.to);
        let Value::Operand(mut operand) = left.value else {
            let message = format!("`{}` is a condition; `in` takes a property", self.shown(from, to));
            return Err(self.lexer.error(from, message));
        };
        let open = self.token.at;
        if let Some(list) = self.set.find(self.token.text).filter(|list| !list.kind.is_one_value()) {
            return Err(self.lexer.error(open, lambda::not_one_value(list)));
        }
        self.expect(TokenKind::Open, "`(` and a list of values")?;
        if self.token.kind == TokenKind::Close {
            return Err(self.lexer.error(open, "the list of `in` is empty; give at least one value"));
        }
        let mut list = Vec::new();
        loop {
            if list.len() == MAX_LIST {
                let message = format!("the list of `in` has more than {MAX_LIST} values");
                return Err(self.lexer.error(self.token.at, message));
            }
            let item = self.primary()?;
            let Value::Operand(value @ Operand::Literal(_)) = item.value else {
                let message = format!(
                    "`{}` is not a value; `in` takes a list of values",
                    self.shown(item.from, item.to)
                );
                return Err(self.lexer.error(item.from, message));
            };
            let pair = self.same_kind((operand, from, to), (value, item.from, item.to))?;
            operand = pair.0;
            if let Operand::Literal(literal) = pair.1 {
                list.push(literal);
            }
            if self.token.kind != TokenKind::Comma {
                break;
            }
            self.advance()?;
        }
        self.expect(TokenKind::Close, "`,` or `)`")?;
        Ok(self.condition_from(from, Node::one_of(operand, list)))
    }

    pub fn primary(&mut self) -> Result<Expression, ODataError> {
        let expected = "a property, a value, a function or `(`";
        let from = self.token.at;
        let value = match self.token.kind {
            TokenKind::Open => {
                self.advance()?;
                let inner = self.deeper(Self::any)?;
                if self.token.kind != TokenKind::Close {
                    return Err(self.unexpected_after(&inner, "`)`, `and` or `or`"));
                }
                self.advance()?;
                inner.value
            }
            TokenKind::Quoted => {
                Value::Operand(Operand::Literal(Literal::Text(lexer::unquote(self.advance()?.text))))
            }
            TokenKind::Number => {
                let literal = self.number()?;
                self.advance()?;
                Value::Operand(Operand::Literal(literal))
            }
            TokenKind::Word if is_operator(&self.token) => return Err(self.unexpected(expected)),
            TokenKind::Word => self.word()?,
            TokenKind::Other if self.token.text == "\"" => {
                return Err(self.lexer.error(from, "text is written in single quotes: `'…'`, not `\"…\"`"));
            }
            _ => return Err(self.unexpected(expected)),
        };
        Ok(Expression { value, from, to: self.token.at })
    }

    fn number(&self) -> Result<Literal, ODataError> {
        let Token { text, at, .. } = self.token;
        let digits = text.strip_prefix('-').unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = text.parse().map(Literal::Int);
            return number.map_err(|_| {
                let message = format!(
                    "`{}` is out of range; whole numbers go from {} to {}",
                    clip(text),
                    i64::MIN,
                    i64::MAX
                );
                self.lexer.error(at, message)
            });
        }
        lexer::time(text).map(Literal::Time).ok_or_else(|| {
            let message = format!(
                "`{}` is neither a whole number nor a time such as `2026-01-31T08:00:00Z`; text is written in \
                 single quotes",
                clip(text)
            );
            self.lexer.error(at, message)
        })
    }

    fn word(&mut self) -> Result<Value, ODataError> {
        let word = self.advance()?;
        if self.token.kind == TokenKind::Open {
            self.count_node(word.at)?;
            return self.deeper(|parser| parser.function(word));
        }
        let literal = match word.text.to_ascii_lowercase().as_str() {
            "null" => Literal::Null,
            "true" => Literal::Bool(true),
            "false" => Literal::Bool(false),
            _ if self.item == Some(word.text) => return Ok(Value::Operand(Operand::Item)),
            _ => return Ok(Value::Operand(Operand::Property(self.property(word)?))),
        };
        Ok(Value::Operand(Operand::Literal(literal)))
    }

    pub fn shown(&self, from: usize, to: usize) -> String {
        clip(self.lexer.slice(from, to))
    }

    fn condition_from(&self, from: usize, node: Node) -> Expression {
        Expression { value: Value::Condition(node), from, to: self.token.at }
    }
}

pub(super) fn is_operator(token: &Token<'_>) -> bool {
    let words = ["and", "or", "not", "in"];
    comparison_named(token).is_some() || words.iter().any(|word| token.is_word(word))
}

fn comparison_named(token: &Token<'_>) -> Option<Comparison> {
    let all = [
        ("eq", Comparison::Equal),
        ("ne", Comparison::Unequal),
        ("gt", Comparison::Greater),
        ("ge", Comparison::GreaterOrEqual),
        ("lt", Comparison::Less),
        ("le", Comparison::LessOrEqual),
    ];
    all.into_iter().find(|(word, _)| token.is_word(word)).map(|(_, comparison)| comparison)
}
