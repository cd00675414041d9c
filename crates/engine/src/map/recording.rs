//! `record` rules: values under a new name, optionally of a kind of model metric.

use std::collections::HashSet;
use std::sync::Arc;

use super::drift::{DriftRule, Drifted};
use super::estimate::EstimateRule;
use super::ratio::RatioRule;
use crate::metric::{Direction, Evidence, Label, Labels, Metric, MetricSample, Timestamp};
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
    /// Whether a healthy target may lack the series.
    pub optional: bool,
}

impl Recording {
    /// The expression as written.
    #[must_use]
    pub fn query(&self) -> String {
        self.expr().text().to_owned()
    }

    /// The expression that is evaluated; for drift, the selector of the counters; for a
    /// ratio, the first selector of its denominator; for an estimate, its first selector.
    #[must_use]
    pub fn expr(&self) -> &Expr {
        match &self.source {
            Source::Expr(expr) => expr,
            Source::Drift(drift) => &drift.counters,
            Source::Ratio(ratio) => ratio.total(),
            Source::Estimate(estimate) => estimate.first(),
        }
    }

    /// Every expression that is evaluated; [`expr`](Self::expr) is the first.
    #[must_use]
    pub fn expressions(&self) -> Vec<&Expr> {
        match &self.source {
            Source::Expr(_) | Source::Drift(_) => {
                std::iter::once(self.expr()).chain(&self.samples).collect()
            }
            Source::Ratio(ratio) => ratio.expressions(),
            Source::Estimate(estimate) => estimate.expressions(),
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
    /// The ratio of two counts.
    Ratio(Box<RatioRule>),
    /// An estimate of how right a model is.
    Estimate(Box<EstimateRule>),
}

/// The labels under which a value with these labels is recorded.
pub fn recorded(recording: &Recording, labels: &Labels) -> Labels {
    let labels = labels.with_all(&recording.labels);
    labels.with(Labels::NAME, &recording.name)
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
        let labels = recorded(recording, &value.labels);
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
    let values = drifted.into_iter();
    let values = values.map(|one| (one.labels, one.value.unwrap_or(f64::NAN), one.evidence));
    measured(recording, values.collect(), at)
}

/// A value with its labels and the evidence behind it.
pub(super) type Measured = (Labels, f64, Arc<Evidence>);

/// Turns values with evidence into samples with the name of the record and its labels, which win
/// over those of the values.
///
/// # Errors
/// Two values that get the same labels; the message quotes them.
pub fn measured(
    recording: &Recording,
    measured: Vec<Measured>,
    at: Timestamp,
) -> Result<Vec<MetricSample>, String> {
    let values: Vec<InstantSample> = measured
        .iter()
        .map(|(labels, value, _)| InstantSample::new(labels.clone(), *value, at))
        .collect();
    let mut named = samples(recording, &values, at)?;
    for (sample, (_, _, evidence)) in named.iter_mut().zip(measured) {
        sample.evidence = Some(evidence);
    }
    Ok(named)
}
