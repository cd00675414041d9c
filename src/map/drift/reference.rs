//! What drift is measured against: a file, inline counts, or what was learnt first.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Histogram;
use super::accumulate::parse_bound;
use crate::metric::{Labels, Timestamp};

/// A reference file: `version: 1`, then series per rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineFile {
    /// The version of this format, 1.
    pub version: u32,
    /// References by name of rule.
    pub rules: BTreeMap<String, Vec<BaselineSeries>>,
}

/// The reference of one series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineSeries {
    /// The labels the rule groups by.
    pub labels: Labels,
    /// Observations in all buckets.
    pub total: f64,
    /// Observations per bucket, not cumulative, by `le` or category.
    pub buckets: BTreeMap<String, f64>,
}

impl BaselineSeries {
    /// A series of a file from what was counted.
    #[must_use]
    pub fn new(labels: Labels, histogram: &Histogram) -> Self {
        Self {
            labels,
            total: histogram.total(),
            buckets: histogram
                .names
                .iter()
                .cloned()
                .zip(histogram.counts.iter().copied())
                .collect(),
        }
    }

    /// The reference inside.
    ///
    /// # Errors
    /// A count that is negative or no number, no observation at all, or a total that is not the sum.
    pub fn baseline(&self) -> Result<Baseline, String> {
        let baseline = Baseline::new(&self.buckets)?;
        let sum = baseline.total();
        if (sum - self.total).abs() > 1e-6 * sum.max(1.0) {
            return Err(format!(
                "total: must be the sum of the buckets, {sum}, got {}",
                self.total
            ));
        }
        Ok(baseline)
    }
}

/// Counts that drift is measured against.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Baseline {
    counts: BTreeMap<String, f64>,
}

impl Baseline {
    /// From counts per bucket, not cumulative.
    ///
    /// # Errors
    /// A count that is negative or no number, or no observation at all.
    pub fn new(counts: &BTreeMap<String, f64>) -> Result<Self, String> {
        for (name, count) in counts {
            if !(count.is_finite() && *count >= 0.0) {
                return Err(format!(
                    "buckets.{name}: must be 0 or more observations, got {count}"
                ));
            }
        }
        if counts.values().sum::<f64>() <= 0.0 {
            return Err("buckets: must hold observations, got none".to_owned());
        }
        Ok(Self {
            counts: counts.clone(),
        })
    }

    /// Observations in all buckets.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.counts.values().sum()
    }

    /// The counts of the same buckets in the same order; bounds are compared as numbers.
    ///
    /// # Errors
    /// Which buckets came or went.
    pub(super) fn aligned(&self, names: &[String], ordered: bool) -> Result<Vec<f64>, String> {
        let key = |name: &str| {
            if ordered {
                parse_bound(name).map(f64::to_bits)
            } else {
                None
            }
        };
        let mut left: BTreeMap<&String, f64> = self
            .counts
            .iter()
            .map(|(name, count)| (name, *count))
            .collect();
        let mut counts = Vec::with_capacity(names.len());
        let mut new = Vec::new();
        for name in names {
            let same = left
                .keys()
                .copied()
                .find(|known| *known == name || (ordered && key(known) == key(name)))
                .cloned();
            match same.and_then(|same| left.remove(&same)) {
                Some(count) => counts.push(count),
                None => new.push(name.as_str()),
            }
        }
        if new.is_empty() && left.is_empty() {
            return Ok(counts);
        }
        let gone: Vec<&str> = left.keys().map(|name| name.as_str()).collect();
        let list = |names: &[&str]| {
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        };
        Err(format!(
            "the buckets are not those of the reference (new: {}; gone: {}); record a new reference",
            list(&new),
            list(&gone)
        ))
    }
}

/// Collects the first windows into a reference.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Learning {
    since: Option<Timestamp>,
    last: Option<Timestamp>,
    counts: BTreeMap<String, f64>,
}

impl Learning {
    /// Adds a window if the last one that was added has passed, and answers the reference once `learn` is over and at least
    /// `min_samples` observations are in it. Windows are added side by side, so that nothing is counted twice.
    pub fn add(
        &mut self,
        at: Timestamp,
        window: Duration,
        current: &Histogram,
        (learn, min_samples): (Duration, u64),
    ) -> Option<Baseline> {
        let since = *self.since.get_or_insert(at);
        if self.last.is_none_or(|last| at.since(last) >= window) {
            self.last = Some(at);
            for (name, count) in current.names.iter().zip(&current.counts) {
                *self.counts.entry(name.clone()).or_default() += count;
            }
        }
        let total: f64 = self.counts.values().sum();
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        let enough = total >= min_samples as f64;
        (at.since(since) >= learn && enough).then(|| Baseline::new(&self.counts).ok())?
    }
}
