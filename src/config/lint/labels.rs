//! The lint about templates that show a label which the expression does not have.

use std::collections::{BTreeMap, BTreeSet};

use super::alerts::alerting;
use super::{Finding, Lint, RuleContext, SetContext};
use crate::map::{Recording, Source};
use crate::promql::Expr;
use crate::promql::ast::{AggregateOp, Binary, BinaryOp, ExprKind, ExprNode, Many, Type};

/// Functions whose result has the labels of their first argument.
const LABEL_KEEPING: [&str; 10] = [
    "abs",
    "ceil",
    "floor",
    "round",
    "sqrt",
    "exp",
    "ln",
    "clamp",
    "clamp_max",
    "clamp_min",
];
/// Maximum length of a chain of records that is followed.
const MAX_RECORD_DEPTH: usize = 8;

pub(super) fn lint(context: &RuleContext<'_>, findings: &mut Vec<Finding>) {
    let (Some(alert), Some(expr)) = (alerting(context.rule), context.expr()) else {
        return;
    };
    let Some(there) = labels(expr.root(), &context.set.recorded, 0) else {
        return;
    };
    let texts = [
        ("labels", &alert.labels),
        ("annotations", &alert.annotations),
    ];
    for (section, templates) in texts {
        for (name, template) in templates {
            for label in shown(template.source()) {
                if !there.contains(label) {
                    let known: Vec<&str> = there.iter().map(String::as_str).collect();
                    let known = if known.is_empty() {
                        "none".to_owned()
                    } else {
                        known.join(", ")
                    };
                    findings.push(context.remark(
                        Lint::LabelNotThere,
                        &format!("{section}.{name}"),
                        format!("shows $labels.{label}, but the labels of the expression are: {known}; keep {label} with by, or leave it out"),
                    ));
                }
            }
        }
    }
}

/// The names behind `$labels.` in a template.
fn shown(source: &str) -> BTreeSet<&str> {
    let rest = source.split("$labels.").skip(1);
    rest.filter_map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        rest.get(..end.unwrap_or(rest.len()))
            .filter(|name| !name.is_empty())
    })
    .collect()
}

/// The labels that an expression over scraped series keeps; `None` unless the expression itself
/// determines them, as an aggregation with `by` does.
#[must_use]
pub(crate) fn kept(expr: &Expr) -> Option<BTreeSet<String>> {
    labels(expr.root(), &Recorded::new(), 0)
}

/// The labels that an expression keeps, records included; `None` unless it determines them.
pub(super) fn labels_of(expr: &Expr, set: &SetContext<'_>) -> Option<BTreeSet<String>> {
    labels(expr.root(), &set.recorded, 0)
}

/// Every record by its name.
type Recorded<'a> = BTreeMap<&'a str, &'a Recording>;

/// The labels of an expression's value; `None` unless the expression itself determines them.
fn labels(node: &ExprNode, known: &Recorded<'_>, depth: usize) -> Option<BTreeSet<String>> {
    if depth > MAX_RECORD_DEPTH {
        return None;
    }
    match &node.unwrapped().kind {
        ExprKind::Aggregate(aggregate) => {
            let keeps = matches!(
                aggregate.op,
                AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::CountValues
            );
            let grouping = &aggregate.grouping;
            (!keeps && !grouping.without).then(|| grouping.labels.iter().cloned().collect())
        }
        ExprKind::Call(function, args) => of_call(function.signature().name, args, known, depth),
        ExprKind::Binary(binary) => of_binary(binary, known, depth),
        ExprKind::Select(select) => {
            let recording = known.get(select.selector.metric_name()?)?;
            let mut found = match &recording.source {
                Source::Expr(expr) => labels(expr.root(), known, depth + 1)?,
                Source::Drift(drift) => drift.by.iter().cloned().collect(),
                Source::Ratio(ratio) => ratio.by.iter().cloned().collect(),
                Source::Estimate(estimate) => {
                    let estimated = std::iter::once("estimated".to_owned());
                    estimate.by.iter().cloned().chain(estimated).collect()
                }
            };
            for label in &recording.labels {
                if label.value.is_empty() {
                    found.remove(&*label.name);
                } else {
                    found.insert(label.name.to_string());
                }
            }
            Some(found)
        }
        ExprKind::Negate(inner) | ExprKind::Plus(inner) => labels(inner, known, depth),
        ExprKind::Number(_)
        | ExprKind::Text(_)
        | ExprKind::Range(..)
        | ExprKind::Subquery(_)
        | ExprKind::Paren(_) => None,
    }
}

fn of_call(
    function: &str,
    args: &[ExprNode],
    known: &Recorded<'_>,
    depth: usize,
) -> Option<BTreeSet<String>> {
    match (function, args) {
        ("histogram_quantile", [_, buckets]) => {
            let mut found = labels(buckets, known, depth)?;
            found.remove("le");
            Some(found)
        }
        (name, [inner, ..]) if LABEL_KEEPING.contains(&name) => labels(inner, known, depth),
        ("vector", _) => Some(BTreeSet::new()),
        _ => None,
    }
}

fn of_binary(binary: &Binary, known: &Recorded<'_>, depth: usize) -> Option<BTreeSet<String>> {
    let [left, right] = [&binary.left, &binary.right];
    match [left, right].map(|side| side.value_type() == Type::Scalar) {
        [true, true] => return None,
        [false, true] => return labels(left, known, depth),
        [true, false] => return labels(right, known, depth),
        [false, false] => {}
    }
    if binary.op == BinaryOp::Or {
        let mut both = labels(left, known, depth)?;
        both.extend(labels(right, known, depth)?);
        return Some(both);
    }
    let matching = &binary.matching;
    let side = if matching.many == Some(Many::Right) {
        right
    } else {
        left
    };
    let mut found = labels(side, known, depth)?;
    found.extend(matching.include.iter().cloned());
    if matching.many.is_none() && matching.on && !binary.op.is_set() {
        found.retain(|label| matching.labels.contains(label));
    }
    Some(found)
}
