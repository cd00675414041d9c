//! Counts observations for a reference file.

use std::collections::BTreeMap;

use super::counting::{Counting, MAX_GROUPS};
use super::detector::histogram;
use super::histogram::{Rises, add_up};
use super::{BaselineSeries, DriftRule};
use crate::metric::{Labels, Timestamp};
use crate::promql::InstantSample;

/// Adds up the increases of a drift rule's counters.
#[derive(Debug, Default)]
pub struct Tally {
    counting: Counting,
    sums: BTreeMap<Labels, Rises>,
}

impl Tally {
    /// Counts from the first call of [`add`](Self::add) on.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also counts everything since the servers started.
    #[must_use]
    pub fn from_start() -> Self {
        Self {
            counting: Counting::from_start(),
            sums: BTreeMap::new(),
        }
    }

    /// Adds the values that the counters have at `at`.
    ///
    /// # Errors
    /// A counter that is not a bucket, too many distributions or buckets, or buckets that changed
    /// since the last call.
    pub fn add(
        &mut self,
        rule: &DriftRule,
        counters: &[InstantSample],
        at: Timestamp,
    ) -> Result<(), String> {
        let risings = self.counting.rises(rule, counters, at);
        if risings.left_out > 0 {
            return Err(format!(
                "more than {MAX_GROUPS} distributions; name fewer labels in drift.by"
            ));
        }
        for (labels, risen) in risings.by_group {
            if let Some(why) = risen.refused {
                return Err(why);
            }
            if let Some(why) = risen.broken {
                return Err(format!("{labels}: {why} at {at}"));
            }
            add_up(self.sums.entry(labels).or_default(), &risen.rises);
        }
        Ok(())
    }

    /// The references, one for each distribution that has observations.
    ///
    /// # Errors
    /// Buckets that are not a histogram.
    pub fn references(&self, rule: &DriftRule) -> Result<Vec<BaselineSeries>, String> {
        let mut references = Vec::new();
        for (labels, rises) in &self.sums {
            let counted = histogram(rule, rises)?;
            if counted.total() > 0.0 {
                references.push(BaselineSeries::new(labels.clone(), &counted));
            }
        }
        Ok(references)
    }
}
