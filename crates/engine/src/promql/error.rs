//! Errors of expressions and their positions.

use std::fmt;
use std::sync::Arc;

/// A range of bytes of an expression's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// From the start of this span to the end of the other.
    pub(super) fn to(self, other: Self) -> Self {
        Self {
            start: self.start,
            end: other.end,
        }
    }
}

/// A place in a text: line and column, both from 1; columns count bytes, as in Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Position {
    /// The position of a byte in a text.
    pub(super) fn of(text: &str, byte: usize) -> Self {
        let before = text.as_bytes().get(..byte).unwrap_or(text.as_bytes());
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let start = before
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        Self {
            line,
            column: before.len() - start + 1,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The kind of a [`PromqlError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The text is not valid PromQL.
    Syntax,
    /// The types do not fit, such as a range where a vector is needed, or a function is unknown.
    Type,
    /// PromQL that Sidewatch does not support; the message names the feature.
    Refused,
    /// The evaluation failed: ambiguous matching, duplicate label sets, a parameter out of its
    /// range.
    Evaluation,
    /// A limit was exceeded: length, nesting, result series, work.
    Limit,
    /// The source ended the evaluation, as at a time limit.
    Interrupted,
}

/// An error of an expression: what is wrong, the expression, and the place in it.
#[derive(Debug, Clone, PartialEq)]
pub struct PromqlError(Box<Inner>);

#[derive(Debug, Clone, PartialEq)]
struct Inner {
    kind: ErrorKind,
    message: String,
    span: Option<Span>,
    expr: Arc<str>,
}

impl PromqlError {
    pub(crate) fn new(kind: ErrorKind, span: Option<Span>, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            span,
            expr: Arc::from(""),
        }))
    }

    pub(crate) fn syntax(span: Span, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Syntax, Some(span), message)
    }

    pub(crate) fn wrong_type(span: Span, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Type, Some(span), message)
    }

    pub(crate) fn refused(span: Span, what: &str) -> Self {
        let message = format!("{what} not supported");
        Self::new(ErrorKind::Refused, Some(span), message)
    }

    pub(crate) fn evaluation(span: Span, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Evaluation, Some(span), message)
    }

    pub(crate) fn limit(span: Span, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Limit, Some(span), message)
    }

    pub(crate) fn interrupted() -> Self {
        let message = "the evaluation took too long: shorten the range, lengthen the step or select fewer series";
        Self::new(ErrorKind::Interrupted, None, message)
    }

    pub(crate) fn in_expr(mut self, expr: &Arc<str>) -> Self {
        self.0.expr = Arc::clone(expr);
        self
    }

    /// The kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What is wrong, without the place and the expression.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The part of the expression that is wrong, if known.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        self.0.span
    }

    /// The position in the expression, if known.
    fn position(&self) -> Option<Position> {
        self.0
            .span
            .map(|span| Position::of(&self.0.expr, span.start))
    }
}

/// Longest excerpt of an expression in an error message, in characters.
const MAX_EXCERPT: usize = 120;

impl fmt::Display for PromqlError {
    /// `expected an instant vector, found a range vector (1:5 in "sum(x[5m])")`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        let start = self.0.span.map_or(0, |span| span.start);
        let skipped = start.saturating_sub(MAX_EXCERPT / 2);
        let mut shown: String = self
            .0
            .expr
            .chars()
            .skip(skipped)
            .take(MAX_EXCERPT)
            .collect();
        if self.0.expr.chars().count() > MAX_EXCERPT {
            shown.push('…');
        }
        match self.position() {
            Some(position) => write!(f, " ({position} in {shown:?})"),
            None if shown.is_empty() => Ok(()),
            None => write!(f, " (in {shown:?})"),
        }
    }
}

impl std::error::Error for PromqlError {}
