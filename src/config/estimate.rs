//! `estimate` of a record: scores or confidences, labels, calibration.

use std::path::Path;

use super::calibration::read_calibrations;
use super::drift::MAX_WINDOW;
use super::estimate_keys::EstimateKeys;
use super::rule::RuleContext;
use super::rules::References;
use crate::describe::Node;
use crate::map::estimate::{Calibration, EstimateRule, Estimated, Evidenced, Truth};
use crate::metric::format_duration;
use crate::promql::Expr;

/// Builds an estimate of this record from its keys.
pub(super) fn estimate_rule(
    keys: &EstimateKeys,
    record: &str,
    node: &Node<'_>,
    context: &RuleContext<'_>,
) -> Option<EstimateRule> {
    if keys.window > MAX_WINDOW {
        let message = format!("must be at most 31d, got {}", format_duration(keys.window));
        node.problem_below("window", message);
    }
    let mut by = keys.by.clone();
    by.sort();
    by.dedup();
    if by.iter().any(|label| label == "le") {
        node.problem_below("by", "must not name le, which tells the buckets apart");
    }
    let truth = keys.truth.as_ref().map(|truth| Truth {
        good: truth.good.clone(),
        total: truth.total.clone(),
    });
    if keys.of == Estimated::Gap && truth.is_none() {
        node.problem_below(
            "of",
            "gap needs truth, the labels that the estimate is compared with",
        );
    }
    let calibration = keys.calibration.as_ref();
    let labelled = calibration.and_then(|calibration| {
        calibration
            .labelled
            .clone()
            .zip(calibration.positive.clone())
    });
    let (from, calibration_file) = source(keys, record, node, context)?;
    Some(EstimateRule {
        labelled,
        of: keys.of,
        window: keys.window.max(context.interval * 2),
        min_samples: keys.min_samples,
        from,
        calibration_file,
        truth,
        by,
    })
}

/// The name of a file and its contents.
type Contents = (String, String);
/// Calibrations, and their file if it was read.
type Measured = (Vec<Calibration>, Option<Contents>);

/// What an estimate is made from, and the file of its calibration.
fn source(
    keys: &EstimateKeys,
    record: &str,
    node: &Node<'_>,
    context: &RuleContext<'_>,
) -> Option<(Evidenced, Option<Contents>)> {
    match (&keys.scores, &keys.confidence) {
        (Some(buckets), None) => {
            let (calibration, file) = match &keys.calibration {
                Some(calibration) => calibrations(&calibration.file, record, node, context)?,
                None => (Vec::new(), None),
            };
            let scores = Evidenced::Scores {
                buckets: buckets.clone(),
                threshold: keys.threshold,
                calibration,
            };
            Some((scores, file))
        }
        (None, Some(name)) => {
            for key in ["threshold", "calibration"] {
                if node.has(key) {
                    node.problem_below(key, "has an effect with scores only");
                }
            }
            if !matches!(keys.of, Estimated::Accuracy | Estimated::Gap) {
                node.problem_below("of", "a mean confidence tells the accuracy only; use scores for precision and recall");
            }
            let part = |ending: &str| with_ending(name, ending, node);
            let confidence = Evidenced::Confidence {
                count: part("_count")?,
                sum: part("_sum")?,
            };
            Some((confidence, None))
        }
        (Some(_), Some(_)) => {
            node.problem_below(
                "confidence",
                "stands in the place of scores; keep one of them",
            );
            None
        }
        (None, None) => {
            node.problem("must have scores or confidence");
            None
        }
    }
}

/// The selector of one part of a summary: `confidence{model="m"}` is `confidence_sum{model="m"}`.
fn with_ending(base: &Expr, ending: &str, node: &Node<'_>) -> Option<Expr> {
    let text = base.text();
    let end = text.find('{').unwrap_or(text.len());
    let (name, matchers) = text.split_at(end);
    if name.trim().is_empty() {
        node.problem_below(
            "confidence",
            "must begin with a name, such as prediction_confidence",
        );
        return None;
    }
    Expr::parse(&format!("{}{ending}{matchers}", name.trim()))
        .map_err(|error| node.problem_below("confidence", error.to_string()))
        .ok()
}

/// The calibrations of a record.
fn calibrations(
    file: &str,
    record: &str,
    node: &Node<'_>,
    context: &RuleContext<'_>,
) -> Option<Measured> {
    let path = Path::new(context.file)
        .parent()
        .unwrap_or(Path::new(""))
        .join(file);
    match read_calibrations(&path, record) {
        Ok((calibrations, text)) => {
            let file = (path.display().to_string(), text);
            Some((calibrations, Some(file)))
        }
        // It is read before it is recorded, to find the rules to record.
        Err(_) if context.references == References::Ignored => Some((Vec::new(), None)),
        Err(message) => {
            node.problem_below("calibration.file", message);
            None
        }
    }
}
