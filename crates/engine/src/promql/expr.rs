//! A checked expression.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::ast::{At, ExprKind, ExprNode, Select, Type};
use super::error::{PromqlError, Span};
use super::eval::build;
use super::parse::parse;
use super::token::tokens;
use crate::metric::{Selector, millis};

/// Prometheus' default lookback.
const LOOKBACK: Duration = Duration::from_secs(300);

/// A PromQL expression that was parsed and type-checked; cheap to clone.
#[derive(Debug, Clone)]
pub struct Expr {
    text: Arc<str>,
    root: Arc<ExprNode>,
}

/// A selector of an expression and how far back it reads samples.
#[derive(Debug, Clone)]
pub struct Selected {
    /// The matchers.
    pub selector: Selector,
    /// Its range, or that of the innermost subquery around it; `None` for an instant selector
    /// outside of subqueries.
    pub range: Option<Duration>,
    /// How long before the evaluation time the oldest sample is that it may read.
    pub reach: Duration,
    /// Whether an `@` modifier fixes the time, so that in the long run no retention is long enough.
    pub fixed: bool,
    /// Its place in the expression.
    pub span: Span,
}

impl Expr {
    /// Parses and checks an expression.
    ///
    /// # Errors
    /// The first error in the syntax or the types, an exceeded limit, or PromQL that is not
    /// supported.
    pub fn parse(text: &str) -> Result<Self, PromqlError> {
        let text: Arc<str> = text.into();
        // Building a plan finds invalid literal parameters: label names and regular expressions.
        match parse(&text).and_then(|root| build(&root).map(|_| root)) {
            Ok(root) => Ok(Self {
                text,
                root: Arc::new(root),
            }),
            Err(error) => Err(error.in_expr(&text)),
        }
    }

    /// The expression as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text without comments, its tokens separated by single spaces: equal for expressions that
    /// differ in layout only.
    #[must_use]
    pub fn normalized(&self) -> String {
        let tokens = tokens(&self.text).unwrap_or_default();
        let texts = tokens
            .iter()
            .filter_map(|(_, span)| self.text.get(span.start..span.end));
        texts.collect::<Vec<_>>().join(" ").trim_end().to_owned()
    }

    pub(super) fn shared_text(&self) -> &Arc<str> {
        &self.text
    }

    /// The tree.
    #[must_use]
    pub fn root(&self) -> &ExprNode {
        &self.root
    }

    /// The type of its value.
    #[must_use]
    pub fn value_type(&self) -> Type {
        self.root.value_type()
    }

    /// The metric's name if the expression is just a selector.
    #[must_use]
    pub fn metric_name(&self) -> Option<&str> {
        let ExprKind::Select(select) = &self.root.unwrapped().kind else {
            return None;
        };
        select.selector.metric_name()
    }

    /// The selector if the expression is just a selector without offset and `@`.
    #[must_use]
    pub fn selector(&self) -> Option<&Selector> {
        let ExprKind::Select(select) = &self.root.unwrapped().kind else {
            return None;
        };
        (select.offset == 0 && select.at.is_none()).then_some(&select.selector)
    }

    /// The selectors in the expression, in order.
    #[must_use]
    pub fn selectors(&self) -> Vec<Selector> {
        self.selected(LOOKBACK)
            .into_iter()
            .map(|selected| selected.selector)
            .collect()
    }

    /// How long before the evaluation time samples may be needed, with a lookback of 5 minutes.
    #[must_use]
    pub fn reach(&self) -> Duration {
        self.selected(LOOKBACK)
            .iter()
            .map(|selected| selected.reach)
            .max()
            .unwrap_or_default()
    }

    /// The selectors in the expression, in order, with their reach for this lookback.
    #[must_use]
    pub fn selected(&self, lookback: Duration) -> Vec<Selected> {
        let mut found = Vec::new();
        let outer = Outer {
            reach: 0,
            range: None,
            fixed: false,
        };
        collect(&self.root, outer, millis(lookback), &mut found);
        found
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// What the subqueries around a node add to its reach.
#[derive(Clone, Copy)]
struct Outer {
    reach: i64,
    range: Option<i64>,
    fixed: bool,
}

impl Outer {
    /// The values inside a selector or a subquery with these modifiers.
    fn within(self, range: i64, offset: i64, at: Option<At>) -> Self {
        // start() and end() are the evaluation time itself, even inside subqueries.
        let base = if at.is_some() { 0 } else { self.reach };
        Self {
            reach: base.saturating_add(range).saturating_add(offset),
            range: self.range,
            fixed: match at {
                Some(At::Time(_)) => true,
                Some(At::Start | At::End) => false,
                None => self.fixed,
            },
        }
    }
}

fn collect(node: &ExprNode, outer: Outer, lookback: i64, found: &mut Vec<Selected>) {
    let mut add = |select: &Select, looks: i64, range: Option<i64>| {
        let inner = outer.within(looks, select.offset, select.at);
        let duration = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        found.push(Selected {
            selector: select.selector.clone(),
            range: range.or(outer.range).map(duration),
            reach: duration(inner.reach),
            fixed: inner.fixed,
            span: node.span,
        });
    };
    match &node.kind {
        ExprKind::Select(select) => add(select, lookback, None),
        ExprKind::Range(select, range) => add(select, *range, Some(*range)),
        ExprKind::Subquery(subquery) => {
            let mut inner = outer.within(subquery.range, subquery.offset, subquery.at);
            inner.range = Some(subquery.range);
            collect(&subquery.expr, inner, lookback, found);
        }
        ExprKind::Number(_)
        | ExprKind::Text(_)
        | ExprKind::Call(..)
        | ExprKind::Aggregate(_)
        | ExprKind::Binary(_)
        | ExprKind::Negate(_)
        | ExprKind::Plus(_)
        | ExprKind::Paren(_) => {
            for child in node.children() {
                collect(child, outer, lookback, found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Expr, LOOKBACK};

    fn reach(text: &str) -> Vec<u64> {
        let expr = Expr::parse(text).unwrap();
        expr.selected(LOOKBACK)
            .iter()
            .map(|s| s.reach.as_secs())
            .collect()
    }

    #[test]
    fn expressions_are_equal_when_their_texts_are() {
        let parse = |text| Expr::parse(text).unwrap();
        assert!(parse("a + b") == parse("a + b"));
        assert!(parse("a + b") != parse("a + c"));
    }

    #[test]
    fn layout_and_comments_do_not_change_the_normalized_text() {
        let normalized = |text| Expr::parse(text).unwrap().normalized();
        assert_eq!(normalized("a+b"), normalized("a  +\n  b # the sum"));
        assert_ne!(normalized("x{l=\"a b\"}"), normalized("x{l=\"a  b\"}"));
    }

    #[test]
    fn reach_adds_range_offset_and_the_subqueries_around() {
        assert_eq!(reach("x"), [300]);
        assert_eq!(reach("rate(x[1m] offset 2m) / y offset 1m"), [180, 360]);
        assert_eq!(
            reach("max_over_time(rate(x[1m])[10m:1m] offset 1h)"),
            [4260]
        );
        assert_eq!(reach("rate(x[1m] offset -2m)"), [0]);
        assert_eq!(reach("max_over_time(rate(x[1m] @ end())[10m:1m])"), [60]);
    }

    #[test]
    fn a_fixed_time_is_recognized() {
        let expr = Expr::parse("x @ 100 + y").unwrap();
        let fixed: Vec<bool> = expr.selected(LOOKBACK).iter().map(|s| s.fixed).collect();
        assert_eq!(fixed, [true, false]);
    }
}
