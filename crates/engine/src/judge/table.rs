//! The strategies of a rule, one per series.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pace::NO_NUMBER;
use super::{
    Registry, Snapshot, StrategyConfig, StrategyContext, StrategyError, ThresholdStrategy, Verdict,
};
use crate::metric::{Keyed, Labels, MetricSample, Timestamp};

/// The strategies of one rule, one per series, up to a limit.
#[derive(Debug)]
pub struct Table {
    registry: Registry,
    config: StrategyConfig,
    context: StrategyContext,
    /// Most series; [`Table::MAX_SERIES`] outside of tests.
    pub(super) max_series: usize,
    entries: HashMap<Labels, Entry, Keyed>,
    counts: TableCounts,
}

#[derive(Debug)]
struct Entry {
    strategy: Box<dyn ThresholdStrategy>,
    seen: Timestamp,
}

/// TableCounts of samples and series; all but `series` only increase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableCounts {
    /// Series in the table.
    pub series: usize,
    /// Samples that are NaN, which were not judged.
    pub nan: u64,
    /// Samples of series beyond the limit, which were not judged.
    pub refused: u64,
    /// Series that left because they were gone or idle.
    pub evicted: u64,
}

/// What was learned about one series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesSnapshot {
    /// The series.
    pub labels: Labels,
    /// The time of its last sample.
    pub seen: Timestamp,
    /// The state of its strategy.
    pub snapshot: Snapshot,
}

impl Table {
    /// Most series of a rule.
    const MAX_SERIES: usize = 10_000;

    /// An empty table.
    #[must_use]
    pub fn new(registry: &Registry, config: &StrategyConfig, context: &StrategyContext) -> Self {
        Self {
            registry: registry.clone(),
            config: config.clone(),
            context: context.clone(),
            max_series: Self::MAX_SERIES,
            entries: HashMap::default(),
            counts: TableCounts::default(),
        }
    }

    /// Judges a sample with the strategy of its series, which is built for its first sample.
    pub fn judge(&mut self, sample: &MetricSample) -> Verdict {
        if let Some(evidence) = sample.evidence.as_deref()
            && let Some(why) = &evidence.insufficient
        {
            if evidence.learning {
                return Verdict::warming_up(why.clone());
            }
            return Verdict::insufficient(why.clone());
        }
        if sample.value.is_nan() {
            self.counts.nan += 1;
            if let Some(entry) = self.entries.get_mut(&sample.labels) {
                entry.seen = entry.seen.max(sample.at);
            }
            return Verdict::insufficient(NO_NUMBER);
        }
        if let Some(entry) = self.entries.get_mut(&sample.labels) {
            entry.seen = entry.seen.max(sample.at);
            return entry.strategy.judge(sample);
        }
        if self.entries.len() >= self.max_series {
            return self.refuse();
        }
        match self.registry.build(&self.config, &self.context) {
            Ok(mut strategy) => {
                let verdict = strategy.judge(sample);
                let seen = sample.at;
                self.entries
                    .insert(sample.labels.clone(), Entry { strategy, seen });
                verdict
            }
            Err(problems) => Verdict::insufficient(problems.into_iter().next().map_or_else(
                || "the strategy cannot be built".to_owned(),
                |problem| {
                    format!(
                        "the strategy cannot be built: {}: {}",
                        problem.path, problem.message
                    )
                },
            )),
        }
    }

    /// Counts a sample that is not judged because its series has no place.
    pub fn refuse(&mut self) -> Verdict {
        self.counts.refused += 1;
        Verdict::insufficient("the rule has reached its limit of series")
    }

    /// Most series of the rule.
    #[must_use]
    pub fn max_series(&self) -> usize {
        self.max_series
    }

    /// Whether the series is in the table.
    #[must_use]
    pub fn holds(&self, labels: &Labels) -> bool {
        self.entries.contains_key(labels)
    }

    /// The series in the table, in any order.
    #[must_use]
    pub fn series(&self) -> Vec<Labels> {
        self.entries.keys().cloned().collect()
    }

    /// Seeds a new series with the state of the most recently seen related series. Returns whether
    /// it did.
    pub fn inherit(&mut self, heir: &Labels, is_related: impl Fn(&Labels) -> bool) -> bool {
        if self.entries.contains_key(heir) || self.entries.len() >= self.max_series {
            return false;
        }
        let Some((_, newest)) = self
            .entries
            .iter()
            .filter(|(labels, _)| is_related(labels))
            .max_by_key(|(_, entry)| entry.seen)
        else {
            return false;
        };
        let seen = newest.seen;
        let snapshot = newest.strategy.snapshot();
        let Ok(mut strategy) = self.registry.build(&self.config, &self.context) else {
            return false;
        };
        let restored = strategy.restore(&snapshot).is_ok();
        if restored {
            self.entries.insert(heir.clone(), Entry { strategy, seen });
        }
        restored
    }

    /// Whether there is room for so many more series.
    #[must_use]
    pub fn has_room_for(&self, more: usize) -> bool {
        self.entries.len() + more <= self.max_series
    }

    /// How many series have to leave so that all of these have room.
    pub fn lacking_room<'a>(&self, wanted: impl Iterator<Item = &'a Labels>) -> usize {
        let new = wanted.filter(|labels| !self.entries.contains_key(*labels));
        (self.entries.len() + new.count()).saturating_sub(self.max_series)
    }

    /// Evicts at most `count` series, those that were seen longest ago first; none that is
    /// `present`, and none that has an active alert and is judged by something learnt.
    pub fn evict_oldest(
        &mut self,
        count: usize,
        present: impl Fn(&Labels) -> bool,
        active: impl Fn(&Labels) -> bool,
    ) {
        let idle = self.entries.iter().filter(|(labels, entry)| {
            !present(labels) && (entry.strategy.idle_retention().is_zero() || !active(labels))
        });
        let mut idle: Vec<(Timestamp, Labels)> = idle
            .map(|(labels, entry)| (entry.seen, labels.clone()))
            .collect();
        idle.sort_unstable();
        idle.truncate(count);
        for (_, labels) in &idle {
            self.entries.remove(labels);
        }
        self.counts.evicted += idle.len() as u64;
    }

    /// Evicts series that were not seen for longer than `retention` and than what was learnt about
    /// them is of use; none that has an active alert and is judged by something learnt.
    pub fn evict_idle(
        &mut self,
        now: Timestamp,
        retention: Duration,
        mut active: impl FnMut(&Labels) -> bool,
    ) {
        let before = self.entries.len();
        self.entries.retain(|labels, entry| {
            let idle = now.since(entry.seen);
            let use_of_learnt = entry.strategy.idle_retention();
            idle <= retention.max(use_of_learnt) || (!use_of_learnt.is_zero() && active(labels))
        });
        self.counts.evicted += (before - self.entries.len()) as u64;
    }

    /// Drops the series for which `gone` returns true.
    pub fn forget(&mut self, gone: impl Fn(&Labels) -> bool) {
        let before = self.entries.len();
        self.entries.retain(|labels, _| !gone(labels));
        self.counts.evicted += (before - self.entries.len()) as u64;
    }

    /// Drops all series, as after a change of the model's version.
    pub fn reset(&mut self) {
        self.entries.clear();
    }

    /// The counts so far.
    #[must_use]
    pub fn counts(&self) -> TableCounts {
        TableCounts {
            series: self.entries.len(),
            ..self.counts
        }
    }

    /// The state of every series, in order of the labels.
    #[must_use]
    pub fn snapshot(&self) -> Vec<SeriesSnapshot> {
        let mut all: Vec<SeriesSnapshot> = self
            .entries
            .iter()
            .map(|(labels, entry)| SeriesSnapshot {
                labels: labels.clone(),
                seen: entry.seen,
                snapshot: entry.strategy.snapshot(),
            })
            .collect();
        all.sort_by(|a, b| a.labels.cmp(&b.labels));
        all
    }

    /// Restores the state from before a restart. Returns the series that could not be restored,
    /// which start from the initial state.
    pub fn restore(&mut self, past: &[SeriesSnapshot]) -> Vec<(Labels, StrategyError)> {
        let mut failed = Vec::new();
        for series in past.iter().take(self.max_series) {
            let Ok(mut strategy) = self.registry.build(&self.config, &self.context) else {
                continue;
            };
            match strategy.restore(&series.snapshot) {
                Ok(()) => {
                    let seen = series.seen;
                    self.entries
                        .insert(series.labels.clone(), Entry { strategy, seen });
                }
                Err(error) => failed.push((series.labels.clone(), error)),
            }
        }
        failed
    }
}
