//! Measures what scores mean, on labelled predictions.

use std::collections::BTreeMap;

use crate::map::counter::rise;
use crate::map::drift::parse_bound;
use crate::metric::Labels;
use crate::promql::InstantSample;

/// Fewest labelled predictions in a bucket whose share is measured.
const LEAST: f64 = 30.0;

/// Increases of cumulative buckets, by the bound as exposed.
type Buckets = BTreeMap<String, f64>;

/// The shares of class 1 of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredShares {
    /// The series.
    pub labels: Labels,
    /// The labelled predictions.
    pub labelled: f64,
    /// The share of class 1 in each bucket with enough labelled predictions, by its upper bound.
    pub shares: BTreeMap<String, f64>,
    /// The buckets with too few.
    pub left_out: usize,
}

/// Adds up the labelled predictions of each bucket, and those whose label is class 1.
#[derive(Debug)]
pub struct CalibrationTally {
    by: Vec<String>,
    from_start: bool,
    last: BTreeMap<(bool, Labels), f64>,
    sums: BTreeMap<Labels, [Buckets; 2]>,
}

impl CalibrationTally {
    /// Counts for each value of these labels; with `from_start` also everything before the first
    /// scrape.
    #[must_use]
    pub fn new(by: &[String], from_start: bool) -> Self {
        Self {
            by: by.to_vec(),
            from_start,
            last: BTreeMap::new(),
            sums: BTreeMap::new(),
        }
    }

    /// Adds the cumulative buckets of one scrape: of all labelled predictions, and of class 1.
    pub fn add(&mut self, labelled: &[InstantSample], positive: &[InstantSample]) {
        let is_first = self.last.is_empty();
        for (samples, is_positive) in [(labelled, false), (positive, true)] {
            for sample in samples.iter().filter(|sample| sample.value.is_finite()) {
                let key = (is_positive, sample.labels.clone());
                let from_zero = self.from_start || !is_first;
                let risen = rise(self.last.get(&key).copied(), sample.value, from_zero);
                self.last.insert(key, sample.value);
                let group = sample
                    .labels
                    .retain(|name| self.by.iter().any(|by| by == name));
                let bound = sample.labels.get("le").unwrap_or_default().to_owned();
                let sums = self.sums.entry(group).or_default();
                *sums[usize::from(is_positive)].entry(bound).or_default() += risen;
            }
        }
    }

    /// The measured shares of every series with labelled predictions.
    #[must_use]
    pub fn shares(&self) -> Vec<MeasuredShares> {
        let measured = self.sums.iter().map(|(labels, [labelled, positive])| {
            let mut bounds: Vec<(f64, &String)> = labelled
                .keys()
                .filter_map(|bound| Some((parse_bound(bound)?, bound)))
                .collect();
            bounds.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut below = (0.0, 0.0);
            let mut shares = BTreeMap::new();
            let mut left_out = 0;
            for (_, bound) in bounds {
                let of = |sums: &Buckets| sums.get(bound).copied().unwrap_or(0.0);
                let upto = (of(labelled), of(positive));
                let (all, right) = (upto.0 - below.0, upto.1 - below.1);
                below = upto;
                if all >= LEAST {
                    shares.insert(bound.clone(), (right / all).clamp(0.0, 1.0));
                } else {
                    left_out += 1;
                }
            }
            MeasuredShares {
                labels: labels.clone(),
                labelled: below.0,
                shares,
                left_out,
            }
        });
        measured
            .filter(|measured| measured.labelled > 0.0)
            .collect()
    }
}
