//! Lints about functions and their arguments: rates, ranges, quantiles.

use std::time::Duration;

use super::walk::{called, selected, walk};
use super::{Finding, Lint, RuleContext, SetContext};
use crate::map::Source;
use crate::metric::format_duration;
use crate::promql::ast::{AggregateOp, BinaryOp, ExprKind, ExprNode, Many};
use crate::rules::Rule;
use crate::scrape::parse::FamilyType;

/// Functions that need a counter.
const COUNTER_FUNCTIONS: [&str; 3] = ["rate", "increase", "irate"];
/// Functions whose result is meaningless for a counter.
const GAUGE_FUNCTIONS: [&str; 8] = [
    "avg_over_time",
    "sum_over_time",
    "quantile_over_time",
    "stddev_over_time",
    "delta",
    "idelta",
    "deriv",
    "predict_linear",
];
/// Functions that need two samples in their range.
const TWO_SAMPLE_FUNCTIONS: [&str; 8] = [
    "rate",
    "increase",
    "irate",
    "delta",
    "idelta",
    "deriv",
    "predict_linear",
    "stddev_over_time",
];
/// Functions that use the presence or the time of a series, not its value.
const PRESENCE_FUNCTIONS: [&str; 3] = ["absent", "timestamp", "scalar"];
/// Endings of the names of gauges.
const GAUGE_ENDINGS: [&str; 24] = [
    "_bytes",
    "_ratio",
    "_percent",
    "_perc",
    "_usage",
    "_utilization",
    "_celsius",
    "_temperature",
    "_in_progress",
    "_inprogress",
    "_in_flight",
    "_inflight",
    "_running",
    "_waiting",
    "_pending",
    "_size",
    "_length",
    "_depth",
    "_capacity",
    "_limit",
    "_timestamp_seconds",
    "_info",
    "_current",
    "_accuracy",
];
/// Gauges of an amount, whose name ends like that of a counter.
const AMOUNT_ENDINGS: [&str; 3] = ["mem_total", "memory_total", "cpu_total"];

/// Whether the rule records counters that a ratio counts.
fn is_counted(context: &RuleContext<'_>) -> bool {
    let records = context.set.recorded.values();
    let ratios = records.filter_map(|record| match &record.source {
        Source::Ratio(ratio) => Some(ratio.expressions()),
        Source::Expr(_) | Source::Drift(_) | Source::Estimate(_) => None,
    });
    let mut names = ratios.flatten().filter_map(|expr| expr.metric_name());
    matches!(context.rule, Rule::Record(_)) && names.any(|name| name == context.rule.name())
}

pub(super) fn lint(context: &RuleContext<'_>, findings: &mut Vec<Finding>) {
    // Such a record takes the increases of its counters itself.
    if context.rule.counts() || is_counted(context) {
        return;
    }
    for (key, expr) in context.expressions() {
        walk(expr.root(), &mut |node, ancestors| {
            if let Some((select, range)) = selected(node)
                && let Some(name) = select.selector.metric_name()
            {
                let function = ancestors.last().and_then(|node| called(node));
                let call = Call {
                    name,
                    range,
                    function,
                };
                findings.extend(rate_of_gauge(&call, context, key));
                findings.extend(short_range(&call, context, key));
                findings.extend(counter_without_rate(&call, node, ancestors, context, key));
            }
            if called(node) == Some("histogram_quantile")
                && let ExprKind::Call(_, args) = &node.kind
                && args.iter().any(loses_le)
            {
                findings.push(context.remark(
                    Lint::QuantileWithoutLe,
                    key,
                    "histogram_quantile needs the buckets' bounds, but le is aggregated away; write sum by (le, …)",
                ));
            }
        });
    }
}

/// A selector, and the function that it is an argument of.
struct Call<'a> {
    name: &'a str,
    range: Option<i64>,
    function: Option<&'static str>,
}

fn rate_of_gauge(call: &Call<'_>, context: &RuleContext<'_>, key: &str) -> Option<Finding> {
    let function = call
        .function
        .filter(|name| COUNTER_FUNCTIONS.contains(name))?;
    let why = gauge(call.name, context.set)?;
    let message = format!(
        "{function} needs a counter, but {} {why}; use deriv, delta or avg_over_time",
        call.name
    );
    Some(context.remark(Lint::RateOfGauge, key, message))
}

/// Why the metric is taken for a gauge; `None` if it is not.
fn gauge(name: &str, set: &SetContext<'_>) -> Option<&'static str> {
    if set.recorded.contains_key(name) {
        return Some("is recorded and goes up and down");
    }
    match set.input.exposed.and_then(|exposed| exposed.type_of(name)) {
        Some(FamilyType::Gauge) => return Some("is a gauge of the target"),
        Some(FamilyType::Unknown) | None => {}
        Some(_) => return None,
    }
    let looks = GAUGE_ENDINGS.iter().any(|ending| name.ends_with(ending)) || name == "up";
    looks.then_some("looks like a gauge by its name")
}

fn short_range(call: &Call<'_>, context: &RuleContext<'_>, key: &str) -> Option<Finding> {
    let function = call
        .function
        .filter(|name| TWO_SAMPLE_FUNCTIONS.contains(name))?;
    let range = Duration::from_millis(u64::try_from(call.range?).ok()?);
    let least = context.set.interval * 2;
    if range >= least {
        return None;
    }
    let [range, least, interval] = [range, least, context.set.interval].map(format_duration);
    let message = format!(
        "{function} needs two samples, but [{range}] of {} holds fewer at a scrape interval of {interval}; write [{least}] or more",
        call.name
    );
    Some(context.remark(Lint::ShortRange, key, message))
}

fn counter_without_rate(
    call: &Call<'_>,
    node: &ExprNode,
    ancestors: &[&ExprNode],
    context: &RuleContext<'_>,
    key: &str,
) -> Option<Finding> {
    if !is_counter(call.name, context.set) {
        return None;
    }
    let message = match (call.range, call.function) {
        (Some(_), Some(function)) if GAUGE_FUNCTIONS.contains(&function) => {
            format!("{function} means nothing on the counter {}", call.name)
        }
        (None, _) if !asks_for_presence(node, ancestors) => {
            format!("{} is a total since the server's start", call.name)
        }
        _ => return None,
    };
    let message = format!("{message}; write rate({}[1m]), or increase", call.name);
    Some(context.remark(Lint::CounterWithoutRate, key, message))
}

fn is_counter(name: &str, set: &SetContext<'_>) -> bool {
    if set.recorded.contains_key(name) {
        return false;
    }
    match set.input.exposed.and_then(|exposed| exposed.type_of(name)) {
        Some(FamilyType::Counter) => return true,
        Some(FamilyType::Gauge) => return false,
        Some(_) | None => {}
    }
    let ending = name.ends_with("_total") || name.ends_with("_bucket");
    ending && !AMOUNT_ENDINGS.iter().any(|amount| name.ends_with(amount))
}

/// Whether any ancestor of a selector only asks whether the series is present.
fn asks_for_presence(node: &ExprNode, ancestors: &[&ExprNode]) -> bool {
    let inner = ancestors.iter().skip(1).copied().chain([node]);
    ancestors
        .iter()
        .zip(inner)
        .any(|(outer, inner)| is_about_presence(outer, inner))
}

/// Whether a node only asks whether its child is present, or reads it at several times.
fn is_about_presence(node: &ExprNode, inner: &ExprNode) -> bool {
    match &node.kind {
        ExprKind::Call(function, _) => PRESENCE_FUNCTIONS.contains(&function.signature().name),
        ExprKind::Aggregate(aggregate) => matches!(
            aggregate.op,
            AggregateOp::Count | AggregateOp::Group | AggregateOp::CountValues
        ),
        ExprKind::Subquery(_) => true,
        ExprKind::Binary(binary) => {
            // `x and y_total` and `0 * y_total` only ask which series there are.
            let is_right = inner.span == binary.right.span;
            let zero = |side: &ExprNode| matches!(side.unwrapped().kind, ExprKind::Number(0.0));
            (is_right && matches!(binary.op, BinaryOp::And | BinaryOp::Unless))
                || (binary.op == BinaryOp::Mul && (zero(&binary.left) || zero(&binary.right)))
        }
        ExprKind::Number(_)
        | ExprKind::Text(_)
        | ExprKind::Select(_)
        | ExprKind::Range(..)
        | ExprKind::Negate(_)
        | ExprKind::Plus(_)
        | ExprKind::Paren(_) => false,
    }
}

/// Whether an expression aggregates the label `le` away.
fn loses_le(node: &ExprNode) -> bool {
    let node = node.unwrapped();
    if let ExprKind::Binary(binary) = &node.kind {
        let (left, right) = (&binary.left, &binary.right);
        let matching = &binary.matching;
        // With group_left and group_right the side with many elements keeps its labels.
        return match matching.many {
            Some(_) if matching.include.iter().any(|label| label == "le") => false,
            Some(Many::Left) => loses_le(left),
            Some(Many::Right) => loses_le(right),
            None if matches!(binary.op, BinaryOp::And | BinaryOp::Unless) => loses_le(left),
            None => loses_le(left) || loses_le(right),
        };
    }
    let ExprKind::Aggregate(aggregate) = &node.kind else {
        return false;
    };
    let keeps_series = matches!(aggregate.op, AggregateOp::Topk | AggregateOp::Bottomk);
    let names_le = aggregate.grouping.labels.iter().any(|label| label == "le");
    !keeps_series && names_le == aggregate.grouping.without
}
