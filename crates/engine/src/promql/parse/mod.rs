//! The parser, from text to the syntax tree: an operator-precedence parser that also checks types,
//! so that every error has its place.

mod binary;
mod call;
mod literal;
mod modifier;
mod selector;

#[cfg(test)]
mod tests;

use super::ast::{ExprKind, ExprNode, Type};
use super::error::{PromqlError, Span};
use super::token::{Token, Tokens, tokens};

/// Longest expression, in bytes.
const MAX_LENGTH: usize = 64 * 1024;

/// Deepest nesting of brackets and chained operators.
const MAX_DEPTH: usize = 128;

/// The precedence of a sign is that of `*`, so `-a^b` is `-(a^b)`.
const SIGN: u8 = 5;

/// Parses and checks an expression.
pub(super) fn parse(text: &str) -> Result<ExprNode, PromqlError> {
    if text.len() > MAX_LENGTH {
        let span = Span {
            start: MAX_LENGTH,
            end: text.len(),
        };
        let message = format!(
            "expression of {} bytes is longer than {MAX_LENGTH}",
            text.len()
        );
        return Err(PromqlError::limit(span, message));
    }
    let mut parser = Parser {
        text,
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
    };
    let node = parser.expression(0)?;
    if parser.token() != Token::End {
        return Err(parser.unexpected("an operator or the end"));
    }
    Ok(node)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Tokens,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn token(&self) -> Token {
        self.tokens[self.at].0
    }

    fn span(&self) -> Span {
        self.tokens[self.at].1
    }

    /// The token after this one.
    fn next_token(&self) -> Token {
        self.tokens.get(self.at + 1).map_or(Token::End, |t| t.0)
    }

    fn previous_span(&self) -> Span {
        self.tokens[self.at.saturating_sub(1)].1
    }

    fn source(&self, span: Span) -> &'a str {
        self.text.get(span.start..span.end).unwrap_or("")
    }

    /// The text of the current token if it is a name.
    fn ident(&self) -> Option<&'a str> {
        (self.token() == Token::Ident).then(|| self.source(self.span()))
    }

    fn is_keyword(&self, keyword: &str) -> bool {
        self.ident()
            .is_some_and(|name| name.eq_ignore_ascii_case(keyword))
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.token(), Token::Symbol(found) if found == symbol)
    }

    /// Moves to the next token, except at the end; returns the span of the current one.
    fn advance(&mut self) -> Span {
        let span = self.span();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        span
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        if found {
            self.advance();
        }
        found
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = self.is_keyword(keyword);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<Span, PromqlError> {
        if self.is_symbol(symbol) {
            Ok(self.advance())
        } else {
            Err(self.unexpected(&format!("{symbol:?}")))
        }
    }

    fn unexpected(&self, wanted: &str) -> PromqlError {
        if self.is_symbol("</") || self.is_symbol(">/") {
            return PromqlError::refused(self.span(), "trimming native histograms is");
        }
        let found = match self.token() {
            Token::End => "the end".to_owned(),
            Token::Ident | Token::Number | Token::Text | Token::Symbol(_) => {
                let text: String = self.source(self.span()).chars().take(40).collect();
                format!("{text:?}")
            }
        };
        PromqlError::syntax(self.span(), format!("expected {wanted}, found {found}"))
    }

    /// Makes a node.
    ///
    /// # Errors
    /// If the tree becomes too deep.
    #[expect(clippy::unused_self, reason = "a step of the parser, like the others")]
    fn node(&self, kind: ExprKind, span: Span) -> Result<ExprNode, PromqlError> {
        let mut node = ExprNode {
            kind,
            span,
            height: 1,
        };
        let below = node.children().into_iter().map(|child| child.height).max();
        node.height = 1 + below.unwrap_or(0);
        if node.height > MAX_DEPTH {
            return Err(too_deep(span));
        }
        Ok(node)
    }

    /// Parses an expression whose operators have a precedence above `above`.
    fn expression(&mut self, above: u8) -> Result<ExprNode, PromqlError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(too_deep(self.span()));
        }
        let mut left = self.prefix()?;
        while let Some((op, precedence)) = self.operator()
            && precedence > above
        {
            left = self.binary(left, op, precedence)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    /// Parses an operand with its signs and modifiers.
    fn prefix(&mut self) -> Result<ExprNode, PromqlError> {
        let negative = self.is_symbol("-");
        if negative || self.is_symbol("+") {
            let sign = self.advance();
            let operand = self.expression(SIGN)?;
            return self.signed(sign, negative, operand);
        }
        let node = self.primary()?;
        self.modifiers(node)
    }

    fn signed(
        &self,
        sign: Span,
        negative: bool,
        operand: ExprNode,
    ) -> Result<ExprNode, PromqlError> {
        let span = sign.to(operand.span);
        match (operand.value_type(), &operand.kind) {
            (_, ExprKind::Number(number)) => {
                let number = if negative { -number } else { *number };
                self.node(ExprKind::Number(number), span)
            }
            (Type::Scalar | Type::Vector, _) if negative => {
                self.node(ExprKind::Negate(Box::new(operand)), span)
            }
            (Type::Scalar | Type::Vector, _) => self.node(ExprKind::Plus(Box::new(operand)), span),
            (found @ (Type::Matrix | Type::Text), _) => {
                let message = format!(
                    "a sign is only allowed before a scalar or an instant vector, found a {found}"
                );
                Err(PromqlError::wrong_type(span, message))
            }
        }
    }

    fn primary(&mut self) -> Result<ExprNode, PromqlError> {
        match self.token() {
            Token::Number => {
                let span = self.advance();
                let number = literal::number(self.source(span), span)?;
                self.node(ExprKind::Number(number), span)
            }
            Token::Text => {
                let (literal, span) = self.literal()?;
                self.node(ExprKind::Text(literal), span)
            }
            Token::Ident => self.name(),
            Token::Symbol("{") => self.select(None),
            Token::Symbol("(") => {
                let open = self.advance();
                let inner = self.expression(0)?;
                let span = open.to(self.expect(")")?);
                self.node(ExprKind::Paren(Box::new(inner)), span)
            }
            Token::Symbol(_) | Token::End => Err(self.unexpected("an expression")),
        }
    }

    /// Parses what starts with a name: `inf` or `nan`, an aggregation, a call or a selector.
    fn name(&mut self) -> Result<ExprNode, PromqlError> {
        let name = self.ident().unwrap_or("");
        let is_call = self.next_token() == Token::Symbol("(");
        for (word, number) in [("inf", f64::INFINITY), ("nan", f64::NAN)] {
            if name.eq_ignore_ascii_case(word) {
                let span = self.advance();
                return self.node(ExprKind::Number(number), span);
            }
        }
        let lower = name.to_ascii_lowercase();
        let is_aggregate = super::aggregates::AGGREGATES
            .iter()
            .any(|(n, _)| *n == lower);
        if (is_aggregate || matches!(&*lower, "limitk" | "limit_ratio"))
            && (is_call || self.groups_next())
        {
            return self.aggregate(&lower);
        }
        if is_call {
            return self.call(name);
        }
        let span = self.advance();
        self.select(Some((name, span)))
    }

    fn groups_next(&self) -> bool {
        let Some((Token::Ident, span)) = self.tokens.get(self.at + 1) else {
            return false;
        };
        let word = self.source(*span);
        word.eq_ignore_ascii_case("by") || word.eq_ignore_ascii_case("without")
    }
}

fn too_deep(span: Span) -> PromqlError {
    PromqlError::limit(span, format!("nested more than {MAX_DEPTH} levels deep"))
}
