//! One value of one model metric.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Labels, Metric, Sampling, Timestamp};

/// A value of a model metric of one series at one time, as strategies judge it.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricSample {
    /// What the value is about.
    pub metric: Metric,
    /// The series; `__name__` is the recorded name when there is one.
    pub labels: Labels,
    /// The value, in the metric's unit; may be NaN or infinite.
    pub value: f64,
    /// The time of the value.
    pub at: Timestamp,
    /// The counts and statistics behind the value, where they are known.
    pub evidence: Option<Arc<Evidence>>,
}

impl MetricSample {
    /// A sample without evidence.
    #[must_use]
    pub fn new(metric: Metric, labels: Labels, value: f64, at: Timestamp) -> Self {
        Self {
            metric,
            labels,
            value,
            at,
            evidence: None,
        }
    }

    /// The observations that the value was computed from, where they are known.
    #[must_use]
    pub fn sampling(&self) -> Option<Sampling> {
        self.evidence.as_ref()?.sampling
    }

    /// Among the true values that the observations leave plausible, the one nearest to `centre`;
    /// the value itself if their interval is unknown.
    #[must_use]
    pub fn nearest(&self, centre: f64) -> f64 {
        match self.sampling() {
            Some(sampling) => sampling.nearest(self.value, centre),
            None => self.value,
        }
    }
}

/// The counts and statistics behind a value that was estimated from counts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evidence {
    /// The statistic and its convention, such as `jensen_shannon divergence, log base 2`.
    pub statistic: String,
    /// Observations in the current window.
    pub samples: u64,
    /// Observations in the reference.
    pub reference_samples: u64,
    /// The statistic's critical value for this sample size at the configured level.
    pub critical_value: Option<f64>,
    /// Probability of at least this statistic without a change, 0 to 1.
    pub p_value: Option<f64>,
    /// Why there is no value, when there is none (too few samples, changed buckets, no reference).
    pub insufficient: Option<String>,
    /// Why the counts prove nothing yet, although they go on: nothing shows that the target counts
    /// what is asked for.
    pub unproven: Option<String>,
    /// The time that the current window covers.
    pub window: Option<Duration>,
    /// There is no value yet because the reference is still being learned.
    pub learning: bool,
    /// The buckets that contribute most, most important first, ready to print.
    pub contributions: Vec<String>,
    /// How much of a distribution moved away from its reference.
    pub moved: Option<Moved>,
    /// The counts behind a ratio.
    pub counts: Option<Counts>,
    /// The sample behind a quantile, a mean or a proportion.
    pub sampling: Option<Sampling>,
}

impl Evidence {
    /// The evidence of a value that was computed from a sample.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rounded count; a negative one becomes 0"
    )]
    pub fn of_sampling(sampling: Sampling) -> Self {
        Self {
            samples: sampling.count.round() as u64,
            sampling: Some(sampling),
            ..Self::default()
        }
    }

    /// How far a drift of this value is beyond its limit, 1 at the limit: by its certainty or by
    /// its size, whichever says less. `None` without a critical value or for NaN.
    #[must_use]
    pub fn drift_score(&self, value: f64) -> Option<f64> {
        let critical = self.critical_value.filter(|critical| *critical > 0.0)?;
        let certain = value / critical;
        let large = self.moved.map_or(f64::INFINITY, |moved| {
            if moved.least > 0.0 {
                moved.share / moved.least
            } else {
                f64::INFINITY
            }
        });
        (!value.is_nan()).then_some(certain.min(large))
    }
}

/// How much of a distribution moved away from its reference: shares of observations, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moved {
    /// What moved, beyond what counting explains.
    pub share: f64,
    /// What chance explains, on the same scale.
    pub chance: f64,
    /// The least share that is drift, however certain it is.
    pub least: f64,
}

/// The counts behind a ratio.
#[derive(Debug, Clone, PartialEq)]
pub struct Counts {
    /// Whether the numerator counts good observations; otherwise it counts bad ones.
    pub is_good: bool,
    /// The counts in the window of the record.
    pub window: Quotient,
    /// The counts since the record began. They only grow, unless the record begins anew.
    pub total: Quotient,
    /// What the bad observations are, such as `requests failed`.
    pub what: Arc<str>,
    /// How late the observations are counted, where labels arrive late.
    pub delay: Option<Duration>,
}

/// A numerator and a denominator.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Quotient {
    /// The observations that are good, or those that are bad.
    pub numerator: f64,
    /// All observations.
    pub denominator: f64,
}

impl Quotient {
    /// The ratio; NaN without observations.
    #[must_use]
    pub fn value(&self) -> f64 {
        if self.denominator > 0.0 {
            self.numerator / self.denominator
        } else {
            f64::NAN
        }
    }

    /// Adds other counts.
    pub fn add(&mut self, other: Self) {
        self.numerator += other.numerator;
        self.denominator += other.denominator;
    }
}
