//! Everything that was counted, to become a reference.

use std::collections::BTreeMap;

use super::counting::Counting;
use super::detector::histogram;
use super::histogram::{Rises, add_up};
use super::{BaselineSeries, DriftRule};
use crate::metric::{Labels, Timestamp};
use crate::promql::InstantSample;

/// Adds up what the counters of a drift rule rise by, for as long as it is asked to.
#[derive(Debug, Default)]
pub struct Tally {
    counting: Counting,
    sums: BTreeMap<Labels, Rises>,
}

impl Tally {
    /// Counts what happens from the first call of [`add`](Self::add) on.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts what happened since the servers started, too.
    #[must_use]
    pub fn from_start() -> Self {
        Self {
            counting: Counting::from_start(),
            sums: BTreeMap::new(),
        }
    }

    /// Takes in the counters as they are at `at`.
    ///
    /// # Errors
    /// A counter that is no bucket, too many of them, or buckets that changed under way.
    pub fn add(
        &mut self,
        rule: &DriftRule,
        counters: &[InstantSample],
        at: Timestamp,
    ) -> Result<(), String> {
        for (labels, risen) in self.counting.rises(rule, counters, at)? {
            if let Some(why) = risen.broken {
                return Err(format!("{labels}: {why} at {at}"));
            }
            add_up(self.sums.entry(labels).or_default(), &risen.rises);
        }
        Ok(())
    }

    /// The references, one for each distribution that was observed at all.
    ///
    /// # Errors
    /// Counters that are no histogram.
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
