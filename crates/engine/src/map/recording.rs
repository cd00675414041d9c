//! `record` rules: values under a new name, optionally of a kind of model metric.

use std::collections::HashSet;

use super::drift::{DriftRule, Drifted};
use crate::metric::{Direction, Label, Labels, Metric, MetricSample, Timestamp};
use crate::promql::{Expr, InstantSample};

/// A recording rule.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The name of the recorded series.
    pub name: String,
    /// What the value is about; `None` for a plain recording rule, which is not exported as a
    /// signal.
    pub metric: Option<Metric>,
    /// The anomalous side, if the rule overrides that of the metric.
    pub direction: Option<Direction>,
    /// Labels added to every recorded series, sorted by name; an empty value removes the label.
    pub labels: Vec<Label>,
    /// Where the value comes from.
    pub source: Source,
    /// The number of observations behind each value, if the rule says it.
    pub samples: Option<Expr>,
}

impl Recording {
    /// The expression as written.
    #[must_use]
    pub fn query(&self) -> String {
        self.expr().text().to_owned()
    }

    /// The expression that is evaluated; for drift, the selector of the counters.
    #[must_use]
    pub fn expr(&self) -> &Expr {
        match &self.source {
            Source::Expr(expr) => expr,
            Source::Drift(drift) => &drift.counters,
        }
    }
}

/// Where a recorded value comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A PromQL expression.
    Expr(Expr),
    /// The drift of a distribution.
    Drift(Box<DriftRule>),
}

/// Turns the values of an expression into samples with the name of the record and its labels, which
/// win over those of the values.
///
/// # Errors
/// Two values that get the same labels; the message quotes them.
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
            .with_all(&recording.labels)
            .with(Labels::NAME, &recording.name);
        if !seen.insert(labels.clone()) {
            return Err(format!(
                "two values have the labels {labels} after the rule's labels were applied"
            ));
        }
        let metric = recording.metric.clone().unwrap_or_default();
        samples.push(MetricSample {
            evidence: value.evidence(),
            ..MetricSample::new(metric, labels, value.value, at)
        });
    }
    Ok(samples)
}

/// Turns drift into samples with the name of the record and its labels, which win over those of the
/// distributions. An unknown value is NaN, with the reason in its evidence.
///
/// # Errors
/// Two distributions that get the same labels; the message quotes them.
pub fn drifted(
    recording: &Recording,
    drifted: Vec<Drifted>,
    at: Timestamp,
) -> Result<Vec<MetricSample>, String> {
    let values: Vec<InstantSample> = drifted
        .iter()
        .map(|one| InstantSample::new(one.labels.clone(), one.value.unwrap_or(f64::NAN), at))
        .collect();
    let mut named = samples(recording, &values, at)?;
    for (sample, one) in named.iter_mut().zip(drifted) {
        sample.evidence = Some(one.evidence);
    }
    Ok(named)
}
