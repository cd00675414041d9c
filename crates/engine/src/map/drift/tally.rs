//! Counts observations for a reference file.

use std::collections::BTreeMap;

use super::counting::{Counting, MAX_GROUPS};
use super::learning::Learning;
use super::{BaselineSeries, DriftRule, Season};
use crate::metric::{Labels, Timestamp};
use crate::promql::InstantSample;

/// Adds up the increases of a drift rule's counters.
#[derive(Debug, Default)]
pub struct Tally {
    counting: Counting,
    counted: BTreeMap<Labels, Learning>,
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
            counted: BTreeMap::new(),
        }
    }

    /// Adds the values that the counters have at `at`.
    ///
    /// # Errors
    /// A counter that is not a bucket, too many distributions or buckets, or buckets that changed
    /// since the last call, or are not a histogram.
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
            rule.histogram(&risen.rises)?;
            let counted = self.counted.entry(labels).or_default();
            counted.add(rule, at, &risen.rises);
        }
        Ok(())
    }

    /// The references, one for each distribution that has observations.
    #[must_use]
    pub fn references(&mut self, rule: &DriftRule) -> Vec<BaselineSeries> {
        let counted = self.counted.iter_mut();
        let references = counted.filter_map(|(labels, counted)| {
            let reference = counted.reference(rule, Season::None, 1)?;
            Some(BaselineSeries::new(labels.clone(), &reference))
        });
        references.collect()
    }
}
