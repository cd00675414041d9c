//! Functions and what they are given: rates, ranges, quantiles.

use std::time::Duration;

use super::walk::{called, selected, walk};
use super::{About, Found, Known, Lint};
use crate::metric::format_duration;
use crate::promql::ast::{AggregateOp, BinaryOp, Kind, Node};
use crate::scrape::parse::FamilyType;

/// Functions that need a counter.
const OF_COUNTERS: [&str; 3] = ["rate", "increase", "irate"];
/// Functions that mean nothing on a counter.
const OF_GAUGES: [&str; 8] = [
    "avg_over_time",
    "sum_over_time",
    "quantile_over_time",
    "stddev_over_time",
    "delta",
    "idelta",
    "deriv",
    "predict_linear",
];
/// Functions of a range that need two samples.
const OF_TWO: [&str; 8] = [
    "rate",
    "increase",
    "irate",
    "delta",
    "idelta",
    "deriv",
    "predict_linear",
    "stddev_over_time",
];
/// Functions that ask whether and when a series is there, not for its value.
const OF_PRESENCE: [&str; 3] = ["absent", "timestamp", "scalar"];
/// Endings of names of gauges.
const GAUGES: [&str; 24] = [
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
/// Gauges whose name ends like a counter's: how much there is of something.
const AMOUNTS: [&str; 3] = ["mem_total", "memory_total", "cpu_total"];

pub(super) fn lint(about: &About<'_>, found: &mut Vec<Found>) {
    // A drift rule counts what is new in its counters by itself.
    if about.rule.drift().is_some() {
        return;
    }
    for (key, expr) in about.expressions() {
        walk(expr.root(), &mut |node, around| {
            if let Some((select, range)) = selected(node)
                && let Some(name) = select.selector.metric_name()
            {
                let function = around.last().and_then(|node| called(node));
                let call = Call {
                    name,
                    range,
                    function,
                };
                found.extend(rate_of_gauge(&call, about, key));
                found.extend(short_range(&call, about, key));
                found.extend(counter_without_rate(&call, node, around, about, key));
            }
            if called(node) == Some("histogram_quantile")
                && let Kind::Call(_, args) = &node.kind
                && args.iter().any(loses_le)
            {
                found.push(about.remark(
                    Lint::QuantileWithoutLe,
                    key,
                    "histogram_quantile needs the buckets' bounds, but le is aggregated away; write sum by (le, …)",
                ));
            }
        });
    }
}

/// A selector in the function directly around it.
struct Call<'a> {
    name: &'a str,
    range: Option<i64>,
    function: Option<&'static str>,
}

fn rate_of_gauge(call: &Call<'_>, about: &About<'_>, key: &str) -> Option<Found> {
    let function = call.function.filter(|name| OF_COUNTERS.contains(name))?;
    let why = gauge(call.name, about.known)?;
    let message = format!(
        "{function} needs a counter, but {} {why}; use deriv, delta or avg_over_time",
        call.name
    );
    Some(about.remark(Lint::RateOfGauge, key, message))
}

/// Why a metric is taken for a gauge, if it is.
fn gauge(name: &str, known: &Known<'_>) -> Option<&'static str> {
    if known.recorded.contains_key(name) {
        return Some("is recorded and goes up and down");
    }
    match known
        .around
        .exposed
        .and_then(|exposed| exposed.type_of(name))
    {
        Some(FamilyType::Gauge) => return Some("is a gauge of the target"),
        Some(FamilyType::Unknown) | None => {}
        Some(_) => return None,
    }
    let looks = GAUGES.iter().any(|ending| name.ends_with(ending)) || name == "up";
    looks.then_some("looks like a gauge by its name")
}

fn short_range(call: &Call<'_>, about: &About<'_>, key: &str) -> Option<Found> {
    let function = call.function.filter(|name| OF_TWO.contains(name))?;
    let range = Duration::from_millis(u64::try_from(call.range?).ok()?);
    let least = about.known.interval * 2;
    if range >= least {
        return None;
    }
    let [range, least, interval] = [range, least, about.known.interval].map(format_duration);
    let message = format!(
        "{function} needs two samples, but [{range}] of {} holds fewer at a scrape interval of {interval}; write [{least}] or more",
        call.name
    );
    Some(about.remark(Lint::ShortRange, key, message))
}

fn counter_without_rate(
    call: &Call<'_>,
    node: &Node,
    around: &[&Node],
    about: &About<'_>,
    key: &str,
) -> Option<Found> {
    if !is_counter(call.name, about.known) {
        return None;
    }
    let message = match (call.range, call.function) {
        (Some(_), Some(function)) if OF_GAUGES.contains(&function) => {
            format!("{function} means nothing on the counter {}", call.name)
        }
        (None, _) if !asks_for_presence(node, around) => {
            format!("{} is a total since the server's start", call.name)
        }
        _ => return None,
    };
    let message = format!("{message}; write rate({}[1m]), or increase", call.name);
    Some(about.remark(Lint::CounterWithoutRate, key, message))
}

fn is_counter(name: &str, known: &Known<'_>) -> bool {
    if known.recorded.contains_key(name) {
        return false;
    }
    match known
        .around
        .exposed
        .and_then(|exposed| exposed.type_of(name))
    {
        Some(FamilyType::Counter) => return true,
        Some(FamilyType::Gauge) => return false,
        Some(_) | None => {}
    }
    let ending = name.ends_with("_total") || name.ends_with("_bucket");
    ending && !AMOUNTS.iter().any(|amount| name.ends_with(amount))
}

/// Whether anything around a selector asks for the series' presence only.
fn asks_for_presence(node: &Node, around: &[&Node]) -> bool {
    let inner = around.iter().skip(1).copied().chain([node]);
    around
        .iter()
        .zip(inner)
        .any(|(outer, inner)| is_about_presence(outer, inner))
}

/// Whether a node around a selector asks for the series' presence, or reads it at many times.
fn is_about_presence(node: &Node, inner: &Node) -> bool {
    match &node.kind {
        Kind::Call(function, _) => OF_PRESENCE.contains(&function.signature().name),
        Kind::Aggregate(aggregate) => matches!(
            aggregate.op,
            AggregateOp::Count | AggregateOp::Group | AggregateOp::CountValues
        ),
        Kind::Subquery(_) => true,
        Kind::Binary(binary) => {
            // `x and y_total` and `0 * y_total` only ask which series there are.
            let is_right = inner.span == binary.right.span;
            let zero = |side: &Node| matches!(side.unwrapped().kind, Kind::Number(0.0));
            (is_right && matches!(binary.op, BinaryOp::And | BinaryOp::Unless))
                || (binary.op == BinaryOp::Mul && (zero(&binary.left) || zero(&binary.right)))
        }
        Kind::Number(_)
        | Kind::Text(_)
        | Kind::Select(_)
        | Kind::Range(..)
        | Kind::Negate(_)
        | Kind::Plus(_)
        | Kind::Paren(_) => false,
    }
}

/// Whether an expression aggregates the label `le` away.
fn loses_le(node: &Node) -> bool {
    let node = node.unwrapped();
    if let Kind::Binary(binary) = &node.kind {
        return loses_le(&binary.left) || loses_le(&binary.right);
    }
    let Kind::Aggregate(aggregate) = &node.kind else {
        return false;
    };
    let keeps_series = matches!(aggregate.op, AggregateOp::Topk | AggregateOp::Bottomk);
    let names_le = aggregate.grouping.labels.iter().any(|label| label == "le");
    !keeps_series && names_le == aggregate.grouping.without
}
