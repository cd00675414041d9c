//! `record` rules: a PromQL value under a new name, perhaps with the kind of a model metric.

use std::collections::HashSet;

use crate::metric::{Direction, Labels, Metric, MetricSample, Timestamp};
use crate::promql::{Expr, InstantSample};

/// A recording rule.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The name of the recorded series.
    pub name: String,
    /// What the value is about; `None` for a plain recording rule, which is not exported as a signal.
    pub metric: Option<Metric>,
    /// The bad side, when the rule overrides the metric's own.
    pub direction: Option<Direction>,
    /// Added to every recorded series.
    pub labels: Labels,
    /// Where the value comes from.
    pub source: Source,
}

impl Recording {
    /// The expression as written.
    #[must_use]
    pub fn query(&self) -> String {
        match &self.source {
            Source::Expr(expr) => expr.text().to_owned(),
        }
    }
}

/// Where a recorded value comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A PromQL expression.
    Expr(Expr),
}

/// Names the values of an expression: the record's name, and its labels over those of each value.
///
/// # Errors
/// A sentence naming the labels when two values end up with the same.
pub fn samples(
    recording: &Recording,
    values: &[InstantSample],
    at: Timestamp,
) -> Result<Vec<MetricSample>, String> {
    let mut seen = HashSet::with_capacity(values.len());
    let mut samples = Vec::with_capacity(values.len());
    for value in values {
        let labels = value
            .labels
            .overlaid_with(&recording.labels)
            .with(Labels::NAME, &recording.name);
        if !seen.insert(labels.clone()) {
            return Err(format!(
                "two values have the labels {labels} after the rule's labels were applied"
            ));
        }
        let metric = recording.metric.clone().unwrap_or_default();
        samples.push(MetricSample::new(metric, labels, value.value, at));
    }
    Ok(samples)
}
