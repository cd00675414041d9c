//! Lints about the value of an expression: its unit, and whether it is there while all is well.

use super::walk::{selected, walk};
use super::{Finding, Lint, RuleContext};
use crate::metric::Metric;
use crate::promql::Expr;
use crate::promql::ast::{BinaryOp, ExprKind, ExprNode};
use crate::rules::Rule;

/// Words in the names of counters that appear with the first failure.
pub(super) const FAILURES: [&str; 5] = ["error", "fail", "exception", "reject", "abort"];
/// A unit of time other than milliseconds.
struct Unit {
    /// The ending of metric names in this unit.
    ending: &'static str,
    words: &'static str,
    /// Factors in an expression that convert it to milliseconds, as `* 1000` or `/ 0.001` do.
    factors: [f64; 2],
}

const UNITS: [Unit; 4] = [
    unit("_seconds", "seconds: multiply by 1000", [1000.0, 0.001]),
    unit(
        "_microseconds",
        "microseconds: divide by 1000",
        [1000.0, 0.001],
    ),
    unit("_us", "microseconds: divide by 1000", [1000.0, 0.001]),
    unit(
        "_nanoseconds",
        "nanoseconds: divide by 1000000",
        [1e6, 1e-6],
    ),
];

const fn unit(ending: &'static str, words: &'static str, factors: [f64; 2]) -> Unit {
    Unit {
        ending,
        words,
        factors,
    }
}

pub(super) fn lint(context: &RuleContext<'_>, findings: &mut Vec<Finding>) {
    let (Some(expr), Some(metric)) = (context.expr(), metric(context.rule)) else {
        return;
    };
    if matches!(context.rule, Rule::Watch(_)) && is_filter(expr.root()) {
        findings.push(context.remark(
            Lint::FilteredWatch,
            "expr",
            "the comparison leaves a value only while something is wrong, so that nothing is known of what is normal; \
             give the value itself and put the limit into the strategy",
        ));
    }
    if metric == Metric::InferenceLatencyMs
        && let Some(unit) = other_unit(expr)
    {
        findings.push(context.remark(
            Lint::LatencyUnit,
            "expr",
            format!("is in {unit}; inference_latency_ms is in milliseconds"),
        ));
    }
    if let Some(name) = errors_without_zero(expr.root()) {
        findings.push(context.remark(
            Lint::ErrorsWithoutZero,
            "expr",
            format!(
                "{name} is probably not there before the first failure, and then the ratio is nothing instead of 0; \
                 write (errors or 0 * requests) / requests"
            ),
        ));
    }
}

/// The kind of model metric that the rule declares.
fn metric(rule: &Rule) -> Option<Metric> {
    match rule {
        Rule::Record(recording) => recording.metric.clone(),
        Rule::Watch(watch) => Some(watch.metric.clone()),
        Rule::Alert { .. } => None,
    }
}

fn is_filter(root: &ExprNode) -> bool {
    let ExprKind::Binary(binary) = &root.unwrapped().kind else {
        return false;
    };
    binary.op.is_comparison() && !binary.returns_bool
}

fn other_unit(expr: &Expr) -> Option<&'static str> {
    let (mut unit, mut factors) = (None, Vec::new());
    walk(expr.root(), &mut |node, _| {
        if let ExprKind::Number(number) = &node.kind {
            factors.push(*number);
        }
        let name = selected(node).and_then(|(select, _)| select.selector.metric_name());
        let Some(name) = name.map(bare) else { return };
        unit = unit.or_else(|| UNITS.iter().find(|unit| name.ends_with(unit.ending)));
    });
    let unit = unit?;
    let converted = factors.iter().any(|factor| unit.factors.contains(factor));
    (!converted).then_some(unit.words)
}

/// A name without the suffix of a histogram, summary or counter.
fn bare(name: &str) -> &str {
    let endings = ["_bucket", "_sum", "_count", "_total"];
    let found = endings.iter().find_map(|ending| name.strip_suffix(ending));
    // A count has no unit of time.
    if name.ends_with("_count") {
        return "";
    }
    found.unwrap_or(name)
}

/// A counter of failures in a numerator without an alternative (`or`) for its absence.
fn errors_without_zero(root: &ExprNode) -> Option<String> {
    let mut found = None;
    walk(root, &mut |node, _| {
        let ExprKind::Binary(binary) = &node.kind else {
            return;
        };
        if binary.op == BinaryOp::Div && binary.matching.fill_left.is_none() {
            found = found.take().or_else(|| failure(&binary.left));
        }
    });
    found
}

fn failure(numerator: &ExprNode) -> Option<String> {
    let (mut name, mut has_zero) = (None, false);
    walk(numerator, &mut |node, _| {
        if let ExprKind::Binary(binary) = &node.kind {
            has_zero |= binary.op == BinaryOp::Or;
        }
        let selected = selected(node).and_then(|(select, _)| select.selector.metric_name());
        if let Some(selected) = selected
            && FAILURES.iter().any(|word| selected.contains(word))
        {
            name = name.take().or_else(|| Some(selected.to_owned()));
        }
    });
    name.filter(|_| !has_zero)
}
