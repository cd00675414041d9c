//! The reference that drift is measured against: from a file, from the rule, or learned.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::histogram::parse_bound;
use super::{Histogram, Spread};
use crate::metric::Labels;

/// The contents of a reference file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineFile {
    /// The version of the format, 1.
    pub version: u32,
    /// References by the name of their rule.
    pub rules: BTreeMap<String, Vec<BaselineSeries>>,
}

/// The reference of one series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineSeries {
    /// The labels that the rule groups by.
    pub labels: Labels,
    /// The observations in all buckets.
    pub total: f64,
    /// The observations per bucket, not cumulative, by `le` or category.
    pub buckets: BTreeMap<String, f64>,
    /// How much its windows differed, where it was recorded for long enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
}

impl BaselineSeries {
    /// The reference of a counted distribution.
    pub(super) fn new(labels: Labels, reference: &LearntReference) -> Self {
        Self {
            labels,
            total: reference.total(),
            buckets: reference.counts.clone(),
            spread: reference.spread.filter(|spread| spread.pieces > 0),
        }
    }

    /// The counts as a reference.
    ///
    /// # Errors
    /// A count that is negative or not a number, no observations, or a total that is not the sum of
    /// the buckets.
    pub fn baseline(&self) -> Result<LearntReference, String> {
        let baseline = LearntReference::new(&self.buckets)?;
        let sum = baseline.total();
        if (sum - self.total).abs() > 1e-6 * sum.max(1.0) {
            return Err(format!(
                "total: must be the sum of the buckets, {sum}, got {}",
                self.total
            ));
        }
        if let Some(spread) = self.spread {
            spread.check()?;
        }
        Ok(baseline.with_spread(self.spread))
    }
}

impl BaselineFile {
    /// The version of the format that is read and written.
    pub const VERSION: u32 = 1;
}

/// The counts that drift is measured against.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LearntReference {
    counts: BTreeMap<String, f64>,
    /// How much its windows differed; `None` if it is not known.
    #[serde(default)]
    spread: Option<Spread>,
}

impl LearntReference {
    /// A reference from counts per bucket, not cumulative.
    ///
    /// # Errors
    /// A count that is negative or not a number, or no observations.
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
            spread: None,
        })
    }

    /// The same counts, whose windows differed so much.
    #[must_use]
    pub fn with_spread(self, spread: Option<Spread>) -> Self {
        Self { spread, ..self }
    }

    /// How much its windows differed, where it is known.
    pub(super) fn spread(&self) -> Option<Spread> {
        self.spread
    }

    /// A reference from a sum of counts; `None` if it has fewer than `min_samples` observations.
    pub(super) fn of(counts: &BTreeMap<String, f64>, min_samples: u64) -> Option<Self> {
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        let enough = counts.values().sum::<f64>() >= min_samples.max(1) as f64;
        enough.then(|| Self::new(counts).ok()).flatten()
    }

    /// The observations in all buckets.
    pub(super) fn total(&self) -> f64 {
        self.counts.values().sum()
    }

    /// The window and this reference over the same buckets in the same order. Bounds are compared
    /// as numbers and must be equal; a category that one side lacks has a count of 0 there.
    ///
    /// # Errors
    /// Bounds that only one side has; the message lists them.
    pub(super) fn aligned(
        &self,
        current: &Histogram,
        ordered: bool,
    ) -> Result<(Histogram, Vec<f64>), String> {
        if ordered {
            let reference = self.bounds(&current.names)?;
            return Ok((current.clone(), reference));
        }
        let mut counts: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for (name, count) in current.names.iter().zip(&current.counts) {
            counts.entry(name).or_default().0 = *count;
        }
        for (name, count) in &self.counts {
            counts.entry(name).or_default().1 = *count;
        }
        let both = Histogram {
            names: counts.keys().map(|name| (*name).to_owned()).collect(),
            counts: counts.values().map(|pair| pair.0).collect(),
        };
        Ok((both, counts.values().map(|pair| pair.1).collect()))
    }

    /// The counts in the order of these bounds.
    fn bounds(&self, names: &[String]) -> Result<Vec<f64>, String> {
        let mut left: Vec<(&str, f64)> = self
            .counts
            .iter()
            .map(|(name, count)| (name.as_str(), *count))
            .collect();
        let mut counts = Vec::with_capacity(names.len());
        let mut new = Vec::new();
        for name in names {
            let bound = parse_bound(name).map(f64::to_bits);
            let same = left
                .iter()
                .position(|(known, _)| parse_bound(known).map(f64::to_bits) == bound);
            match same {
                Some(index) => counts.push(left.swap_remove(index).1),
                None => new.push(name.as_str()),
            }
        }
        if new.is_empty() && left.is_empty() {
            return Ok(counts);
        }
        let gone: Vec<&str> = left.iter().map(|(name, _)| *name).collect();
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
