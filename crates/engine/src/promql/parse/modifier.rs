//! Parses `[range]`, `[range:step]`, `offset` and `@` after an operand.

use super::super::ast::{At, ExprKind, ExprNode, Subquery, Type};
use super::super::error::{PromqlError, Span};
use super::super::token::Token;
use super::{Parser, literal};

/// Longest range, offset or time in milliseconds: Go's longest duration, about 292 years.
const LONGEST: f64 = 9_223_372_036_854.0;

impl Parser<'_> {
    pub(super) fn modifiers(&mut self, mut node: ExprNode) -> Result<ExprNode, PromqlError> {
        loop {
            if self.is_symbol("[") {
                node = self.range(node)?;
            } else if self.is_keyword("offset") {
                self.offset(&mut node)?;
            } else if self.is_symbol("@") {
                self.at_modifier(&mut node)?;
            } else if self.is_keyword("anchored") || self.is_keyword("smoothed") {
                let span = self.span();
                let what = format!("the modifier {} is", self.source(span));
                return Err(PromqlError::refused(span, &what));
            } else {
                return Ok(node);
            }
        }
    }

    fn range(&mut self, inner: ExprNode) -> Result<ExprNode, PromqlError> {
        self.expect("[")?;
        let range = self.positive_duration()?;
        if self.take_symbol(":") {
            return self.subquery(inner, range);
        }
        let close = self.expect("]")?;
        let span = inner.span.to(close);
        match inner.kind {
            ExprKind::Select(select) if select.offset == 0 && select.at.is_none() => {
                self.node(ExprKind::Range(select, range), span)
            }
            ExprKind::Select(_) => {
                let message = "a range must come before offset and @: write x[5m] offset 1m";
                Err(PromqlError::syntax(span, message))
            }
            ExprKind::Number(_)
            | ExprKind::Text(_)
            | ExprKind::Range(..)
            | ExprKind::Subquery(_)
            | ExprKind::Call(..)
            | ExprKind::Aggregate(_)
            | ExprKind::Binary(_)
            | ExprKind::Negate(_)
            | ExprKind::Plus(_)
            | ExprKind::Paren(_) => {
                let message =
                    "a range is only allowed after a selector: write [5m:] for a subquery";
                Err(PromqlError::syntax(span, message))
            }
        }
    }

    fn subquery(&mut self, expr: ExprNode, range: i64) -> Result<ExprNode, PromqlError> {
        let step = if self.is_symbol("]") {
            None
        } else {
            Some(self.positive_duration()?)
        };
        let span = expr.span.to(self.expect("]")?);
        let found = expr.value_type();
        if found != Type::Vector {
            let message = format!("a subquery needs an instant vector, found a {found}");
            return Err(PromqlError::wrong_type(span, message));
        }
        let subquery = Subquery {
            expr,
            range,
            step,
            offset: 0,
            at: None,
        };
        self.node(ExprKind::Subquery(Box::new(subquery)), span)
    }

    /// Parses a duration; returns milliseconds, at least 1.
    fn positive_duration(&mut self) -> Result<i64, PromqlError> {
        let span = self.span();
        self.refuse_duration_expression()?;
        let millis = self.duration(span, false)?;
        self.refuse_duration_expression()?;
        if millis <= 0 {
            return Err(PromqlError::syntax(
                span,
                "a duration must be greater than 0",
            ));
        }
        Ok(millis)
    }

    /// Rejects a duration expression, whose first or next token is here.
    fn refuse_duration_expression(&self) -> Result<(), PromqlError> {
        let words = ["step", "range", "min_of", "max_of", "min", "max"];
        let is_word = words.into_iter().any(|word| self.is_keyword(word));
        if is_word
            || matches!(
                self.token(),
                Token::Symbol("(" | "+" | "-" | "*" | "/" | "%" | "^")
            )
        {
            return Err(PromqlError::refused(
                self.span(),
                "duration expressions are",
            ));
        }
        Ok(())
    }

    fn duration(&mut self, start: Span, negative: bool) -> Result<i64, PromqlError> {
        if self.token() != Token::Number {
            return Err(self.unexpected("a duration such as 5m"));
        }
        let span = self.advance();
        let seconds = literal::number(self.source(span), span)?;
        millis(start.to(span), if negative { -seconds } else { seconds })
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "everything else is refused")]
    fn offset(&mut self, node: &mut ExprNode) -> Result<(), PromqlError> {
        let keyword = self.advance();
        let start = self.span();
        let negative = self.is_symbol("-");
        if negative || self.is_symbol("+") {
            self.advance();
        }
        self.refuse_duration_expression()?;
        let millis = self.duration(start, negative)?;
        node.span = node.span.to(self.previous_span());
        let place = match &mut node.kind {
            ExprKind::Select(select) | ExprKind::Range(select, _) => &mut select.offset,
            ExprKind::Subquery(subquery) => &mut subquery.offset,
            _ => return Err(misplaced("offset", keyword)),
        };
        if *place != 0 {
            return Err(PromqlError::syntax(keyword, "offset may be set only once"));
        }
        *place = millis;
        Ok(())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "everything else is refused")]
    fn at_modifier(&mut self, node: &mut ExprNode) -> Result<(), PromqlError> {
        let symbol = self.advance();
        let start = self.span();
        let at = if self.is_keyword("start") || self.is_keyword("end") {
            let is_start = self.is_keyword("start");
            self.advance();
            self.expect("(")?;
            self.expect(")")?;
            if is_start { At::Start } else { At::End }
        } else {
            let negative = self.take_symbol("-");
            if !negative {
                self.take_symbol("+");
            }
            if self.token() != Token::Number {
                return Err(self.unexpected("a time in seconds, start() or end()"));
            }
            At::Time(self.duration(start, negative)?)
        };
        node.span = node.span.to(self.previous_span());
        let place = match &mut node.kind {
            ExprKind::Select(select) | ExprKind::Range(select, _) => &mut select.at,
            ExprKind::Subquery(subquery) => &mut subquery.at,
            _ => return Err(misplaced("@", symbol)),
        };
        if place.replace(at).is_some() {
            return Err(PromqlError::syntax(symbol, "@ may be set only once"));
        }
        Ok(())
    }
}

fn millis(span: Span, seconds: f64) -> Result<i64, PromqlError> {
    let millis = (seconds * 1000.0).round();
    if millis.is_nan() || millis.abs() >= LONGEST {
        return Err(PromqlError::syntax(span, "duration out of range"));
    }
    Ok(millis as i64)
}

fn misplaced(what: &str, span: Span) -> PromqlError {
    PromqlError::syntax(
        span,
        format!("{what} must follow a selector or a subquery directly"),
    )
}
