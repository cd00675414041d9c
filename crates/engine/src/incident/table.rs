//! The strategies and incidents of a rule, one per series.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::stage::{Judged, Patience, SeriesSnapshot, Stage};
use super::trial::Trial;
use crate::judge::{NO_NUMBER, Registry, StrategyConfig, StrategyContext, StrategyError, Verdict};
use crate::metric::{Evidence, Keyed, Labels, MetricSample, Timestamp};

/// The strategies of one rule, one per series, up to a limit.
#[derive(Debug)]
pub struct Table {
    registry: Registry,
    config: StrategyConfig,
    context: StrategyContext,
    patience: Patience,
    /// The series that are in an incident, or have an anomalous value.
    in_incident: HashSet<Labels, Keyed>,
    /// Most series; [`Table::MAX_SERIES`] outside of tests.
    pub(crate) max_series: usize,
    entries: HashMap<Labels, Entry, Keyed>,
    counts: TableCounts,
}

#[derive(Debug)]
struct Entry {
    stage: Stage,
    seen: Timestamp,
}

/// Counts of samples and series; all but `series` only increase.
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
    /// New levels that were accepted as normal.
    pub accepted: u64,
}

impl Table {
    /// Most series of a rule.
    const MAX_SERIES: usize = 10_000;

    /// An empty table. A level is accepted as normal once its incident has lasted for
    /// `adapt_after`, never if that is zero.
    #[must_use]
    pub fn new(
        registry: &Registry,
        config: &StrategyConfig,
        context: &StrategyContext,
        adapt_after: Duration,
    ) -> Self {
        Self {
            registry: registry.clone(),
            config: config.clone(),
            context: context.clone(),
            patience: Patience::new(adapt_after, context.interval),
            in_incident: HashSet::default(),
            max_series: Self::MAX_SERIES,
            entries: HashMap::default(),
            counts: TableCounts::default(),
        }
    }

    /// Changes how long an incident lasts until a steady new level is accepted; zero for ever.
    pub fn set_adapt_after(&mut self, adapt_after: Duration) {
        self.patience.adapt_after = adapt_after;
    }

    /// Judges a sample with the strategy of its series, which is built for its first sample.
    pub fn judge(&mut self, sample: &MetricSample) -> Judged {
        if let Some(evidence) = sample.evidence.as_deref()
            && let Some(why) = &evidence.insufficient
        {
            if evidence.learning {
                return Verdict::warming_up(why.clone()).into();
            }
            return Verdict::insufficient(why.clone()).into();
        }
        // Counts that prove nothing yet are learned from all the same.
        let goes_on = |evidence: &Evidence| evidence.unproven.is_some();
        if sample.value.is_nan() && !sample.evidence.as_deref().is_some_and(goes_on) {
            self.counts.nan += 1;
            if let Some(entry) = self.entries.get_mut(&sample.labels) {
                entry.seen = entry.seen.max(sample.at);
            }
            return Verdict::insufficient(NO_NUMBER).into();
        }
        if !self.entries.contains_key(&sample.labels) {
            if self.entries.len() >= self.max_series {
                return self.refuse().into();
            }
            let stage = match self.fresh() {
                Ok(stage) => stage,
                Err(verdict) => return verdict.into(),
            };
            let seen = sample.at;
            self.entries
                .insert(sample.labels.clone(), Entry { stage, seen });
        }
        let Some(entry) = self.entries.get_mut(&sample.labels) else {
            return self.refuse().into();
        };
        entry.seen = entry.seen.max(sample.at);
        let was_in_incident = entry.stage.is_in_incident();
        let judged = entry.stage.judge(sample, self.patience);
        self.counts.accepted += u64::from(judged.accepted.is_some());
        match (was_in_incident, entry.stage.is_in_incident()) {
            (false, true) => {
                self.in_incident.insert(sample.labels.clone());
            }
            (true, false) => {
                self.in_incident.remove(&sample.labels);
            }
            (false, false) | (true, true) => {}
        }
        judged
    }

    /// A strategy that has learned nothing yet, or the verdict that says why there is none.
    fn fresh(&self) -> Result<Stage, Verdict> {
        let built = self.registry.build(&self.config, &self.context);
        built
            .map(|strategy| Stage::new(strategy, &self.context))
            .map_err(|problems| {
                let problem = problems.into_iter().next();
                Verdict::insufficient(problem.map_or_else(
                    || "the strategy cannot be built".to_owned(),
                    |problem| {
                        format!(
                            "the strategy cannot be built: {}: {}",
                            problem.path, problem.message
                        )
                    },
                ))
            })
    }

    /// Opens the incidents of the series whose alerts fire, and closes those whose alerts have
    /// ended. Call it after each evaluation. Returns whether an incident opened or closed.
    pub fn settle(&mut self, at: Timestamp, is_firing: impl Fn(&Labels) -> bool) -> bool {
        let mut changed = false;
        let entries = &mut self.entries;
        self.in_incident.retain(|labels| {
            let Some(entry) = entries.get_mut(labels) else {
                return false;
            };
            changed |= if is_firing(labels) {
                entry.stage.open(at)
            } else {
                entry.stage.recover()
            };
            entry.stage.is_in_incident()
        });
        changed
    }

    /// Makes the present level of a series normal, with its next value. Returns whether the series
    /// is in an open incident.
    pub fn accept(&mut self, labels: &Labels) -> bool {
        let entry = self.entries.get_mut(labels);
        entry.is_some_and(|entry| entry.stage.accept())
    }

    /// Counts a new level that was accepted elsewhere.
    pub fn count_acceptance(&mut self) {
        self.counts.accepted += 1;
    }

    /// Whether a series is judged by a learned level and is in no open incident.
    #[must_use]
    pub fn lacks_incident(&self, labels: &Labels) -> bool {
        let entry = self.entries.get(labels);
        entry.is_some_and(|entry| entry.stage.is_learned() && !entry.stage.is_open())
    }

    /// What was normal before the open incident of a series, in the unit of its value.
    #[must_use]
    pub fn usual(&self, labels: &Labels) -> Option<f64> {
        self.entries.get(labels)?.stage.usual()
    }

    /// Moves the times of incidents and trials back after the clock went back.
    pub fn set_back(&mut self, by: Duration) {
        for entry in self.entries.values_mut() {
            entry.stage.set_back(by);
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

    /// Seeds a new series with what is known about the most recently seen related one. `trial` is
    /// given that one's labels: with a trial, the new series is compared with it. Returns whether
    /// there is a related series.
    pub fn inherit(
        &mut self,
        heir: &Labels,
        is_related: impl Fn(&Labels) -> bool,
        trial: impl FnOnce(&Labels) -> Option<Trial>,
    ) -> bool {
        if self.entries.contains_key(heir) || self.entries.len() >= self.max_series {
            return false;
        }
        let related = self.entries.iter().filter(|(labels, _)| is_related(labels));
        let Some((labels, newest)) = related.max_by_key(|(_, entry)| entry.seen) else {
            return false;
        };
        let entry = Entry {
            stage: newest.stage.heir(trial(labels)),
            seen: newest.seen,
        };
        self.entries.insert(heir.clone(), entry);
        true
    }

    /// Compares the values of every series from now on with what is known about it.
    pub fn begin_trials(&mut self, trial: &Trial) {
        for entry in self.entries.values_mut() {
            entry.stage.begin_trial(trial.clone());
        }
    }

    /// The comparison of a series' version with the one before.
    #[must_use]
    pub fn trial(&self, labels: &Labels) -> Option<&Trial> {
        self.entries.get(labels)?.stage.trial()
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
            !present(labels)
                && (entry.stage.strategy().idle_retention().is_zero() || !active(labels))
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
            let use_of_learnt = entry.stage.strategy().idle_retention();
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
        self.in_incident.clear();
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
            .map(|(labels, entry)| entry.stage.snapshot(labels, entry.seen))
            .collect();
        all.sort_by(|a, b| a.labels.cmp(&b.labels));
        all
    }

    /// Restores the state from before a restart. Returns the series that could not be restored,
    /// which start from the initial state.
    pub fn restore(&mut self, past: &[SeriesSnapshot]) -> Vec<(Labels, StrategyError)> {
        let mut failed = Vec::new();
        for series in past.iter().take(self.max_series) {
            let Ok(mut stage) = self.fresh() else {
                continue;
            };
            match stage.restore(series) {
                Ok(()) => {
                    let seen = series.seen;
                    if stage.is_in_incident() {
                        self.in_incident.insert(series.labels.clone());
                    }
                    self.entries
                        .insert(series.labels.clone(), Entry { stage, seen });
                }
                Err(error) => failed.push((series.labels.clone(), error)),
            }
        }
        failed
    }
}
