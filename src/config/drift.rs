//! `drift` of a record: counters, window, reference, statistic.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::baseline::read_references;
use super::rule::RuleContext;
use super::rule_keys::{DriftKeys, ReferenceKeys};
use super::rules::References;
use super::text::MAX_FILE_BYTES;
use crate::describe::Node;
use crate::map::drift::{self, DriftParams, DriftRule, Learn, LearntReference, Reference};
use crate::metric::format_duration;
use crate::promql::Expr;
use crate::runtime::read_settled;

/// Longest window.
pub(super) const MAX_WINDOW: Duration = Duration::from_secs(31 * 24 * 3600);

/// Builds a drift rule from its keys; `name` is that of its record.
pub(super) fn drift_rule(
    keys: DriftKeys,
    name: &str,
    node: &Node<'_>,
    context: &RuleContext<'_>,
) -> Option<DriftRule> {
    let reference = node
        .peek("reference")
        .and_then(|node| reference(keys.reference.clone(), name, &node, context));
    check_window(&keys, node, context);
    let counters = counters(&keys, node);
    let ordered = counters.as_ref().is_none_or(|(_, bucket)| bucket == "le");
    if keys.statistic.needs_order() && !ordered {
        let message = format!(
            "{} needs the order of buckets, which categories do not have; use jensen_shannon, psi, hellinger or total_variation",
            keys.statistic.as_str()
        );
        node.problem_below("statistic", message);
    }
    let mut by = keys.by;
    by.sort();
    by.dedup();
    let (counters, bucket) = counters?;
    if by.contains(&bucket) {
        node.problem_below(
            "by",
            format!("must not name {bucket}, which tells the buckets apart"),
        );
    }
    Some(DriftRule {
        counters,
        bucket,
        by,
        window: keys.window.time,
        at_least: keys.window.at_least,
        reference: reference?,
        params: DriftParams {
            statistic: keys.statistic,
            alpha: keys.alpha,
            min_samples: keys.min_samples,
            ordered,
            min_effect: keys.min_effect,
        },
    })
}

/// The selector, and the label of the buckets.
fn counters(keys: &DriftKeys, node: &Node<'_>) -> Option<(Expr, String)> {
    match ["histogram", "counter", "label"].map(|key| node.has(key)) {
        [true, false, false] => Some((keys.histogram.clone()?, "le".to_owned())),
        [false, true, true] => {
            let label = keys.label.clone().filter(|label| !label.is_empty());
            if label.is_none() {
                let message = "must be the label of the categories, such as predicted_class";
                node.problem_below("label", message);
            }
            Some((keys.counter.clone()?, label?))
        }
        [false, true, false] => {
            node.problem("label is missing: the label of counter that tells the categories apart");
            None
        }
        _ => {
            node.problem("must have either histogram, or counter and label");
            None
        }
    }
}

fn check_window(keys: &DriftKeys, node: &Node<'_>, context: &RuleContext<'_>) {
    let (window, least) = (keys.window.time, context.interval * 2);
    if node.has("window") && (window < least || window > MAX_WINDOW) {
        let message = format!(
            "must be at least two evaluations, {}, and at most 31d",
            format_duration(least)
        );
        node.problem_below("window", message);
    }
    let min_samples = keys.min_samples;
    if let Some(at_least) = keys.window.at_least
        && at_least < min_samples
    {
        let message = format!(
            "must be at least min_samples, {min_samples}, below which no window is judged; got {at_least}"
        );
        node.problem_below("window.at_least", message);
    }
}

/// How a reference is learned.
fn learned(keys: &ReferenceKeys, node: &Node<'_>) -> Option<Reference> {
    let time = keys.learn?;
    let two_periods = keys.season.period().map(|period| 2 * period);
    if let Some(least) = two_periods.filter(|least| time < *least) {
        let message = format!(
            "must be at least {} to learn what repeats itself; got {}",
            format_duration(least),
            format_duration(time)
        );
        node.problem_below("learn", message);
    }
    if let Some(rolling) = keys.rolling.filter(|rolling| *rolling < time) {
        let message = format!(
            "must be at least learn, {}; got {}",
            format_duration(time),
            format_duration(rolling)
        );
        node.problem_below("rolling", message);
    }
    Some(Reference::Learn(Learn {
        time,
        season: keys.season,
        rolling: keys.rolling,
    }))
}

fn reference(
    keys: ReferenceKeys,
    rule: &str,
    node: &Node<'_>,
    context: &RuleContext<'_>,
) -> Option<Reference> {
    for key in ["season", "rolling"] {
        if node.has(key) && !node.has("learn") {
            node.problem_below(key, "has an effect with learn only");
        }
    }
    match ["file", "learn", "buckets"].map(|key| node.has(key)) {
        [true, false, false] => {
            let node = node.peek("file")?;
            Some(from_file(&keys.file?, rule, &node, context))
        }
        [false, true, false] => learned(&keys, node),
        [false, false, true] => {
            let node = node.peek("buckets")?;
            inline(&keys.buckets?, &node).map(Reference::Inline)
        }
        _ => {
            node.problem(
                "must be one of {file: baselines.yaml}, {learn: 24h} or {buckets: {\"0.5\": 120, \"+Inf\": 4}}",
            );
            None
        }
    }
}

fn inline(counts: &BTreeMap<String, f64>, node: &Node<'_>) -> Option<LearntReference> {
    LearntReference::new(counts)
        .map_err(|problem| node.problem(problem.trim_start_matches("buckets: ")))
        .ok()
}

/// The references of a file. `sidewatch baseline`, which records them, reads rules whose file is
/// missing or wrong.
fn from_file(file: &str, rule: &str, node: &Node<'_>, context: &RuleContext<'_>) -> Reference {
    let folder = Path::new(context.file).parent().unwrap_or(Path::new(""));
    let path = folder.join(file);
    let file = path.display().to_string();
    let mut problems = Vec::new();
    let mut series = drift::References::new();
    let text = match read(&path) {
        Ok(text) => {
            match read_references(&file, &text, rule) {
                Ok(found) => series = found,
                Err(found) => {
                    problems.extend(found.as_slice().iter().map(ToString::to_string));
                }
            }
            text
        }
        Err(error) => {
            problems.push(format!(
                "{file} cannot be read: {error}; record it with sidewatch baseline"
            ));
            String::new()
        }
    };
    if context.references == References::Required {
        problems
            .into_iter()
            .for_each(|problem| node.problem(problem));
    }
    Reference::File { file, text, series }
}

fn read(path: &Path) -> Result<String, String> {
    let bytes = read_settled(path, MAX_FILE_BYTES as u64).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}
