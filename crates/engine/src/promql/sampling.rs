//! Recognizes the expressions whose value is computed from a sample of counted observations: a
//! quantile of a histogram's increase, and a quotient of two counters' increases.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other form is of no known sample"
)]

use super::ast::{Aggregate, AggregateOp, Binary, BinaryOp, ExprKind, ExprNode, Many};
use super::functions::Function;
use crate::metric::{Matcher, Sampling, Selector, plausible_proportion};

/// How the value of an expression was computed from observations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shape {
    pub(super) statistic: Statistic,
    /// Observations per unit of the rate that counts them.
    pub(super) observations: f64,
    /// The value of the expression is `scale × statistic + offset`.
    pub(super) scale: f64,
    pub(super) offset: f64,
}

/// What is computed from the observations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Statistic {
    /// A quantile; evaluating it yields its interval.
    Quantile,
    /// The share of the observations that some counter counts too.
    Proportion,
    /// A mean; nothing is known about its spread.
    Mean,
}

impl Shape {
    /// The form of an expression; `None` if it has none that is known.
    pub(super) fn of(node: &ExprNode) -> Option<Self> {
        let node = node.unwrapped();
        match &node.kind {
            ExprKind::Plus(inner) => Self::of(inner),
            ExprKind::Negate(inner) => Some(Self::of(inner)?.times(-1.0)),
            ExprKind::Call(Function::HistogramQuantile, args) => {
                let counted = Counted::of(args.get(1)?)?;
                Some(Self::new(Statistic::Quantile, counted))
            }
            ExprKind::Binary(binary) => Self::of_binary(binary),
            _ => None,
        }
    }

    fn new(statistic: Statistic, counted: Counted) -> Self {
        Self {
            statistic,
            observations: counted.observations,
            scale: 1.0,
            offset: 0.0,
        }
    }

    fn of_binary(binary: &Binary) -> Option<Self> {
        let (left, right) = (&binary.left, &binary.right);
        match (binary.op, number(left), number(right)) {
            (BinaryOp::Mul, _, Some(factor)) => Some(Self::of(left)?.times(factor)),
            (BinaryOp::Mul, Some(factor), _) => Some(Self::of(right)?.times(factor)),
            (BinaryOp::Div, None, Some(divisor)) => Some(Self::of(left)?.times(1.0 / divisor)),
            (BinaryOp::Add, None, Some(term)) => Some(Self::of(left)?.plus(term)),
            (BinaryOp::Sub, None, Some(term)) => Some(Self::of(left)?.plus(-term)),
            (BinaryOp::Add, Some(term), _) => Some(Self::of(right)?.plus(term)),
            (BinaryOp::Sub, Some(term), _) => Some(Self::of(right)?.times(-1.0).plus(term)),
            (BinaryOp::And | BinaryOp::Unless, None, None) if !is_sampled(right) => Self::of(left),
            (BinaryOp::Div, None, None) => Self::of_quotient(binary),
            (op, None, Some(_)) if op.is_comparison() && !binary.returns_bool => Self::of(left),
            _ => None,
        }
    }

    fn of_quotient(binary: &Binary) -> Option<Self> {
        let matching = &binary.matching;
        let fills = matching.fill_left.or(matching.fill_right).is_some();
        if fills || matching.many == Some(Many::Right) {
            return None;
        }
        let (part, whole) = (Counted::of(&binary.left)?, Counted::of(&binary.right)?);
        if part.window != whole.window {
            return None;
        }
        let [part_names, whole_names] = [&binary.left, &binary.right].map(counters);
        let statistic = if is_part_of(&part_names, &whole_names) {
            Statistic::Proportion
        } else {
            Statistic::Mean
        };
        let scale = whole.observations / part.observations;
        Some(Self::new(statistic, whole).times(scale))
    }

    fn times(self, factor: f64) -> Self {
        Self {
            scale: self.scale * factor,
            offset: self.offset * factor,
            ..self
        }
    }

    fn plus(self, term: f64) -> Self {
        Self {
            offset: self.offset + term,
            ..self
        }
    }

    /// What a value of the expression says, given what is known of the statistic.
    pub(super) fn sampling(&self, value: f64, statistic: Sampling) -> Sampling {
        let interval = match self.statistic {
            Statistic::Quantile => statistic.interval,
            Statistic::Proportion => {
                let share = (value - self.offset) / self.scale;
                plausible_proportion(share, statistic.count)
            }
            Statistic::Mean => None,
        };
        let end = |end: f64| end * self.scale + self.offset;
        let ends = interval.map(|(lower, upper)| (end(lower), end(upper)));
        let ends = ends.filter(|(one, other)| one.is_finite() && other.is_finite());
        Sampling {
            interval: ends.map(|(one, other)| (one.min(other), one.max(other))),
            ..statistic
        }
    }
}

fn number(node: &ExprNode) -> Option<f64> {
    match &node.unwrapped().kind {
        ExprKind::Number(number) => Some(*number),
        ExprKind::Negate(inner) => number(inner).map(|number| -number),
        _ => None,
    }
}

/// Whether evaluating the node would be taken for the statistic.
fn is_sampled(node: &ExprNode) -> bool {
    let here = match &node.kind {
        ExprKind::Call(Function::HistogramQuantile, _) => true,
        ExprKind::Binary(binary) => binary.op == BinaryOp::Div,
        _ => false,
    };
    here || node.children().into_iter().any(is_sampled)
}

/// A vector that counts observations.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Counted {
    /// Observations per unit of its values: the seconds of the window for a rate.
    observations: f64,
    /// The window in milliseconds.
    window: i64,
    /// Every value is 0, as in `0 * rate(x[1m])`.
    is_zero: bool,
}

impl Counted {
    fn of(node: &ExprNode) -> Option<Self> {
        let node = node.unwrapped();
        match &node.kind {
            ExprKind::Plus(inner) => Self::of(inner),
            ExprKind::Call(Function::Rate, args) => Self::over(args.first()?, false),
            ExprKind::Call(Function::Increase, args) => Self::over(args.first()?, true),
            ExprKind::Call(Function::ClampMin, args) => Self::of(args.first()?),
            ExprKind::Aggregate(aggregate) => Self::of_sum(aggregate),
            ExprKind::Binary(binary) => Self::of_binary(binary),
            _ => None,
        }
    }

    /// The increase of a counter, or its increase a second.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a range")]
    fn over(range: &ExprNode, is_increase: bool) -> Option<Self> {
        let ExprKind::Range(_, milliseconds) = range.unwrapped().kind else {
            return None;
        };
        Some(Self {
            observations: if is_increase {
                1.0
            } else {
                milliseconds as f64 / 1000.0
            },
            window: milliseconds,
            is_zero: false,
        })
    }

    fn of_sum(aggregate: &Aggregate) -> Option<Self> {
        (aggregate.op == AggregateOp::Sum)
            .then(|| Self::of(&aggregate.expr))
            .flatten()
    }

    fn of_binary(binary: &Binary) -> Option<Self> {
        let (left, right) = (&binary.left, &binary.right);
        match (binary.op, number(left), number(right)) {
            (BinaryOp::Mul, _, Some(factor)) => Self::of(left)?.divided_by(factor),
            (BinaryOp::Mul, Some(factor), _) => Self::of(right)?.divided_by(factor),
            (BinaryOp::Div, None, Some(divisor)) => Self::of(left)?.divided_by(1.0 / divisor),
            (BinaryOp::Add | BinaryOp::Or, None, None) => Self::of(left)?.and(Self::of(right)?),
            (BinaryOp::And | BinaryOp::Unless, None, None) if !is_sampled(right) => Self::of(left),
            (op, None, Some(_)) if op.is_comparison() && !binary.returns_bool => Self::of(left),
            _ => None,
        }
    }

    fn divided_by(self, factor: f64) -> Option<Self> {
        if factor == 0.0 {
            return Some(Self {
                is_zero: true,
                ..self
            });
        }
        let observations = self.observations / factor;
        (observations.is_finite() && observations > 0.0).then_some(Self {
            observations,
            ..self
        })
    }

    /// The sum or union of two vectors, if they count in the same unit.
    fn and(self, other: Self) -> Option<Self> {
        let is_same_unit = (self.observations / other.observations - 1.0).abs() < 1e-9;
        let is_same = is_same_unit && self.window == other.window;
        match (self.is_zero, other.is_zero) {
            (true, _) => Some(other),
            (_, true) => Some(self),
            (false, false) => is_same.then_some(self),
        }
    }
}

/// The names of the counters below a node, or the patterns of their names.
fn counters(node: &ExprNode) -> Vec<String> {
    if let ExprKind::Range(select, _) = &node.kind {
        return vec![counter_name(&select.selector)];
    }
    node.children().into_iter().flat_map(counters).collect()
}

/// The name without the suffix that says which series of a histogram or counter it is.
fn counter_name(selector: &Selector) -> String {
    let matchers = selector.matchers().iter();
    let mut names = matchers.filter(|matcher| matcher.name() == "__name__");
    let name = names.next().map_or("", Matcher::value);
    ["_bucket", "_count"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .unwrap_or(name)
        .to_owned()
}

/// What a counter counts when it does not count observations: its quotient is a mean.
const UNITS: [&str; 9] = [
    "_sum", "second", "_ms", "_us", "byte", "token", "joule", "_time", "duration",
];

/// Whether the counters of a numerator count a part of what those of the denominator count.
fn is_part_of(part: &[String], whole: &[String]) -> bool {
    let counts_events = |name: &String| {
        let (name, _) = name
            .rsplit_once(':')
            .map_or((&**name, ""), |(_, last)| (last, ""));
        !UNITS.iter().any(|unit| name.contains(unit))
    };
    part.iter()
        .all(|name| whole.contains(name) || counts_events(name))
}

#[cfg(test)]
mod tests {
    use super::super::expr::Expr;
    use super::{Shape, Statistic};

    fn shape(text: &str) -> Option<(Statistic, f64, f64, f64)> {
        let shape = Shape::of(Expr::parse(text).unwrap().root())?;
        Some((
            shape.statistic,
            shape.observations,
            shape.scale,
            shape.offset,
        ))
    }

    #[test]
    fn the_usual_quantiles_are_recognized() {
        let quantile = |observations, scale| Some((Statistic::Quantile, observations, scale, 0.0));
        for (text, expected) in [
            (
                "histogram_quantile(0.95, sum by (le, m) (rate(x_bucket[1m]))) * 1000",
                quantile(60.0, 1000.0),
            ),
            (
                "1000 * histogram_quantile(0.95, rate(x_bucket[5m]))",
                quantile(300.0, 1000.0),
            ),
            (
                "histogram_quantile(0.5, sum without (pod) (increase(x_bucket[1m]))) / 10",
                quantile(1.0, 0.1),
            ),
            (
                "histogram_quantile(0.9, sum by (le) (rate(x_bucket[1m]) or rate(y_bucket[1m])))",
                quantile(60.0, 1.0),
            ),
            (
                "histogram_quantile(0.9, rate(x_bucket[1m])) and on (m) (rate(x_count[1m]) > 0.1)",
                quantile(60.0, 1.0),
            ),
        ] {
            assert_eq!(shape(text), expected, "{text}");
        }
    }

    #[test]
    fn quantiles_of_something_else_are_not_recognized() {
        for text in [
            "histogram_quantile(0.95, sum by (le) (irate(x_bucket[1m])))",
            "histogram_quantile(0.95, x_bucket)",
            "histogram_quantile(0.95, avg by (le) (rate(x_bucket[1m])))",
            "histogram_quantile(0.95, sum by (le) (rate(x_bucket[1m]) or rate(y_bucket[5m])))",
            "max(histogram_quantile(0.95, rate(x_bucket[1m])))",
            "histogram_quantile(0.95, rate(x_bucket[1m])) > bool 3",
            "histogram_quantile(0.95, rate(x_bucket[1m])) / rate(y[1m])",
        ] {
            assert_eq!(shape(text), None, "{text}");
        }
    }

    #[test]
    fn a_share_of_the_same_events_is_a_proportion() {
        let proportion = |scale, offset| Some((Statistic::Proportion, 60.0, scale, offset));
        for (text, expected) in [
            (
                r#"sum by (m) (rate(r_total{code="500"}[1m])) / (sum by (m) (rate(r_total[1m])) > 0.1)"#,
                proportion(1.0, 0.0),
            ),
            (
                r#"1 - rate(r_total{code="500"}[1m]) / rate(r_total[1m])"#,
                proportion(-1.0, 1.0),
            ),
            (
                r#"100 * rate(x_bucket{le="5"}[1m]) / rate(x_count[1m])"#,
                proportion(100.0, 0.0),
            ),
            (
                "sum(rate(correct_total[1m]) or rate(right_total[1m])) / (sum(rate(labeled_total[1m])) > 0)",
                proportion(1.0, 0.0),
            ),
            (
                "(rate(e[1m]) + (rate(j[1m]) or 0 * rate(r[1m]))) / (rate(r[1m]) + rate(j[1m]))",
                proportion(1.0, 0.0),
            ),
        ] {
            assert_eq!(shape(text), expected, "{text}");
        }
    }

    #[test]
    fn a_sum_of_units_per_event_is_a_mean() {
        let mean = |scale| Some((Statistic::Mean, 60.0, scale, 0.0));
        for (text, expected) in [
            (
                "sum(rate(x_seconds_sum[1m])) / (sum(rate(x_seconds_count[1m])) > 0) * 1000",
                mean(1000.0),
            ),
            (
                "rate(tokens_total[1m]) / rate(requests_total[1m])",
                mean(1.0),
            ),
            (
                r#"rate({__name__=~"(.+_)?accuracy_sum"}[1m]) / rate({__name__=~"(.+_)?accuracy_count"}[1m])"#,
                mean(1.0),
            ),
        ] {
            assert_eq!(shape(text), expected, "{text}");
        }
    }

    #[test]
    fn other_quotients_are_not_recognized() {
        for text in [
            "max(rate(a[1m])) / max(rate(b[1m]))",
            "a / b",
            "rate(a[1m]) / b",
            "rate(a[1m]) / on (m) group_right rate(b[1m])",
            "rate(a[1m]) / deriv(b[1m])",
            "rate(a[1m]) / rate(b[5m])",
        ] {
            assert_eq!(shape(text), None, "{text}");
        }
    }
}
