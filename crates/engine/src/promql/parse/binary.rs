//! Parses binary operators and their modifiers.

use super::super::ast::{Binary, BinaryOp, ExprKind, ExprNode, Many, Matching, OPERATORS, Type};
use super::super::error::{PromqlError, Span};
use super::super::token::Token;
use super::Parser;
use super::literal;

/// The places of the modifiers, for error messages.
#[derive(Default)]
struct Places {
    bool: Option<Span>,
    matching: Option<Span>,
    group: Option<Span>,
    fill: Option<Span>,
}

impl Parser<'_> {
    /// The binary operator here and its precedence.
    pub(super) fn operator(&self) -> Option<(BinaryOp, u8)> {
        let text = match self.token() {
            Token::Symbol(symbol) => symbol,
            Token::Ident => self.source(self.span()),
            Token::Number | Token::Text | Token::End => return None,
        };
        OPERATORS
            .iter()
            .find(|(symbol, ..)| symbol.eq_ignore_ascii_case(text))
            .map(|(_, op, precedence)| (*op, *precedence))
    }

    pub(super) fn binary(
        &mut self,
        left: ExprNode,
        op: BinaryOp,
        precedence: u8,
    ) -> Result<ExprNode, PromqlError> {
        let op_span = self.advance();
        let mut places = Places::default();
        let returns_bool = self.is_keyword("bool");
        if returns_bool {
            places.bool = Some(self.advance());
        }
        let matching = self.matching(&mut places)?;
        // Only the power operator is right-associative.
        let above = if op == BinaryOp::Pow {
            precedence - 1
        } else {
            precedence
        };
        let right = self.expression(above)?;
        let span = left.span.to(right.span);
        let binary = Binary {
            op,
            returns_bool,
            matching,
            left,
            right,
        };
        check(&binary, &places, op_span)?;
        self.node(ExprKind::Binary(Box::new(binary)), span)
    }

    fn matching(&mut self, places: &mut Places) -> Result<Matching, PromqlError> {
        let mut matching = Matching::default();
        if self.is_keyword("on") || self.is_keyword("ignoring") {
            matching.on = self.is_keyword("on");
            places.matching = Some(self.advance());
            matching.labels = self.label_names()?;
            matching.labels.sort_unstable();
            matching.labels.dedup();
            let many = [("group_left", Many::Left), ("group_right", Many::Right)];
            for (word, side) in many {
                if matching.many.is_none() && self.is_keyword(word) {
                    places.group = Some(self.advance());
                    matching.many = Some(side);
                    if self.is_symbol("(") {
                        matching.include = self.label_names()?;
                    }
                }
            }
        }
        for _ in 0..2 {
            self.fill(&mut matching, places)?;
        }
        Ok(matching)
    }

    fn fill(&mut self, matching: &mut Matching, places: &mut Places) -> Result<(), PromqlError> {
        if self.next_token() != Token::Symbol("(") {
            return Ok(());
        }
        let (left, right) = match self.ident().map(str::to_ascii_lowercase).as_deref() {
            Some("fill") => (true, true),
            Some("fill_left") => (true, false),
            Some("fill_right") => (false, true),
            _ => return Ok(()),
        };
        let keyword = self.advance();
        let taken =
            (left && matching.fill_left.is_some()) || (right && matching.fill_right.is_some());
        if taken {
            return Err(PromqlError::syntax(keyword, "a side is filled twice"));
        }
        places.fill = Some(keyword);
        self.expect("(")?;
        let value = self.fill_value()?;
        self.expect(")")?;
        if left {
            matching.fill_left = Some(value);
        }
        if right {
            matching.fill_right = Some(value);
        }
        Ok(())
    }

    fn fill_value(&mut self) -> Result<f64, PromqlError> {
        let negative = self.is_symbol("-");
        if negative || self.is_symbol("+") {
            self.advance();
        }
        let value = if self.token() == Token::Number {
            let span = self.advance();
            literal::number(self.source(span), span)?
        } else if self.take_keyword("inf") {
            f64::INFINITY
        } else if self.take_keyword("nan") {
            f64::NAN
        } else {
            return Err(self.unexpected("a number to fill with"));
        };
        Ok(if negative { -value } else { value })
    }
}

fn check(binary: &Binary, places: &Places, op: Span) -> Result<(), PromqlError> {
    let symbol = binary.op.symbol();
    for operand in [&binary.left, &binary.right] {
        let found = operand.value_type();
        if !matches!(found, Type::Scalar | Type::Vector) {
            let message =
                format!("operands of {symbol} must be scalars or instant vectors, found a {found}");
            return Err(PromqlError::wrong_type(operand.span, message));
        }
    }
    let types = (binary.left.value_type(), binary.right.value_type());
    let vectors = types == (Type::Vector, Type::Vector);
    check_modifiers(binary, places, vectors, op)?;
    if types == (Type::Scalar, Type::Scalar) && binary.op.is_comparison() && !binary.returns_bool {
        let message = format!("a comparison between scalars must use bool: write {symbol} bool");
        return Err(PromqlError::wrong_type(op, message));
    }
    if binary.op.is_set() && !vectors {
        return Err(PromqlError::wrong_type(
            op,
            format!("{symbol} needs an instant vector on both sides"),
        ));
    }
    Ok(())
}

/// Checks that `bool`, `on`, `group_left` and `fill` are where they are allowed.
fn check_modifiers(
    binary: &Binary,
    places: &Places,
    vectors: bool,
    op: Span,
) -> Result<(), PromqlError> {
    let symbol = binary.op.symbol();
    if let Some(span) = places.bool
        && !binary.op.is_comparison()
    {
        return Err(PromqlError::wrong_type(
            span,
            "bool is only allowed on a comparison",
        ));
    }
    if let Some(span) = places.group
        && binary.op.is_set()
    {
        return Err(PromqlError::wrong_type(
            span,
            format!("{symbol} always matches many to many, without group_left"),
        ));
    }
    if let Some(span) = places.fill
        && (binary.op.is_set() || !vectors)
    {
        let message = "fill is only allowed on arithmetic and comparisons between instant vectors";
        return Err(PromqlError::wrong_type(span, message));
    }
    if let Some(span) = places.matching
        && !vectors
    {
        return Err(PromqlError::wrong_type(
            span,
            "on and ignoring are only allowed between instant vectors",
        ));
    }
    let matching = &binary.matching;
    if matching.on
        && let Some(label) = matching
            .include
            .iter()
            .find(|label| matching.labels.contains(label))
    {
        let span = places.group.unwrap_or(op);
        return Err(PromqlError::wrong_type(
            span,
            format!("label {label:?} must not be in on() and in the group"),
        ));
    }
    Ok(())
}
