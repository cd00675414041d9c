//! A checked expression.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::ast::{At, Kind, Node, Select, Type};
use super::error::{PromqlError, Span};
use super::eval::build;
use super::parse::parse;
use crate::metric::Selector;

/// Prometheus' default lookback.
const LOOKBACK: Duration = Duration::from_secs(300);

/// A PromQL expression that was parsed and type-checked; cheap to clone.
#[derive(Debug, Clone)]
pub struct Expr {
    text: Arc<str>,
    root: Arc<Node>,
}

/// A selector of an expression and how far back it looks.
#[derive(Debug, Clone)]
pub struct Selected {
    /// What it selects.
    pub selector: Selector,
    /// The range in brackets, or of the innermost subquery around; `None` for an instant selector outside of any.
    pub range: Option<Duration>,
    /// How far before the evaluation time the oldest sample it may need lies.
    pub reach: Duration,
    /// An `@` modifier fixes the time, so that no retention suffices in the long run.
    pub fixed: bool,
    /// Where it stands.
    pub span: Span,
}

impl Expr {
    /// Parses and checks an expression.
    ///
    /// # Errors
    /// The first rule that is broken, with its place: syntax, types, a limit, or PromQL that is not evaluated here.
    pub fn parse(text: &str) -> Result<Self, PromqlError> {
        let text: Arc<str> = text.into();
        // A plan is made to find what is wrong with literal parameters: labels' names, regular expressions.
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

    pub(super) fn shared_text(&self) -> &Arc<str> {
        &self.text
    }

    /// The tree.
    #[must_use]
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// The type of its value.
    #[must_use]
    pub fn value_type(&self) -> Type {
        self.root.value_type()
    }

    /// The name of the series, when the expression is a selector and nothing else.
    #[must_use]
    pub fn metric_name(&self) -> Option<&str> {
        let Kind::Select(select) = &self.root.unwrapped().kind else {
            return None;
        };
        select.selector.metric_name()
    }

    /// The selector, when the expression is one and looks at the evaluation time.
    #[must_use]
    pub fn selector(&self) -> Option<&Selector> {
        let Kind::Select(select) = &self.root.unwrapped().kind else {
            return None;
        };
        (select.offset == 0 && select.at.is_none()).then_some(&select.selector)
    }

    /// What the expression selects, in order.
    #[must_use]
    pub fn selectors(&self) -> Vec<Selector> {
        self.selected(LOOKBACK)
            .into_iter()
            .map(|selected| selected.selector)
            .collect()
    }

    /// How far before the evaluation time samples may be needed, with a lookback of 5 minutes.
    #[must_use]
    pub fn reach(&self) -> Duration {
        self.selected(LOOKBACK)
            .iter()
            .map(|selected| selected.reach)
            .max()
            .unwrap_or_default()
    }

    /// Every selector, in order, with its reach for this lookback.
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

    /// Refuses an expression that looks further back than samples are kept.
    ///
    /// # Errors
    /// Names the first selector that does.
    pub fn check_retention(
        &self,
        lookback: Duration,
        retention: Duration,
    ) -> Result<(), PromqlError> {
        let all = self.selected(lookback);
        let Some(beyond) = all.iter().find(|s| s.reach > retention) else {
            return Ok(());
        };
        let [reach, kept] = [beyond.reach, retention].map(crate::metric::format_duration);
        let message = format!(
            "{} looks back {reach}, but samples are kept for {kept}: shorten the range or raise storage.retention",
            beyond.selector
        );
        Err(PromqlError::limit(beyond.span, message).in_expr(&self.text))
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

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// What the subqueries around a node add.
#[derive(Clone, Copy)]
struct Outer {
    reach: i64,
    range: Option<i64>,
    fixed: bool,
}

impl Outer {
    /// Inside a selector or a subquery with these modifiers.
    fn within(self, range: i64, offset: i64, at: Option<At>) -> Self {
        // start() and end() are the evaluation time itself, wherever they stand.
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

fn collect(node: &Node, outer: Outer, lookback: i64, found: &mut Vec<Selected>) {
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
        Kind::Select(select) => add(select, lookback, None),
        Kind::Range(select, range) => add(select, *range, Some(*range)),
        Kind::Subquery(subquery) => {
            let mut inner = outer.within(subquery.range, subquery.offset, subquery.at);
            inner.range = Some(subquery.range);
            collect(&subquery.expr, inner, lookback, found);
        }
        Kind::Number(_)
        | Kind::Text(_)
        | Kind::Call(..)
        | Kind::Aggregate(_)
        | Kind::Binary(_)
        | Kind::Negate(_)
        | Kind::Plus(_)
        | Kind::Paren(_) => {
            for child in node.children() {
                collect(child, outer, lookback, found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
    fn a_range_beyond_the_retention_is_refused_with_its_place() {
        let expr = Expr::parse("sum(rate(x[2h]))").unwrap();
        let hour = Duration::from_secs(3600);
        let error = expr.check_retention(LOOKBACK, hour).unwrap_err();
        assert_eq!(
            error.to_string(),
            "x looks back 2h, but samples are kept for 1h: shorten the range or raise storage.retention (1:10 in \"sum(rate(x[2h]))\")"
        );
        assert!(expr.check_retention(LOOKBACK, hour * 2).is_ok());
    }

    #[test]
    fn a_fixed_time_is_recognised() {
        let expr = Expr::parse("x @ 100 + y").unwrap();
        let fixed: Vec<bool> = expr.selected(LOOKBACK).iter().map(|s| s.fixed).collect();
        assert_eq!(fixed, [true, false]);
    }
}
