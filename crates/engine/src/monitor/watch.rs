//! Evaluates a watch: values → verdicts → observations for alerts and retraining.

use std::cell::LazyCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::alerting::Observed;
use super::expecting::Expecting;
use super::filling::Filled;
use super::pass::Pass;
use super::quota::{Claim, without_a_place};
use super::rollout::{Rollout, Versions, model_labels, version};
use super::selection::reads_any;
use super::settings::Baseline;
use super::stale::stale;
use super::traffic::{CountedRange, is_still};
use crate::alert::{Condition, Explanation, NoData, Observation, Outcome, Tracker};
use crate::incident::{Judged, Table, TableCounts, Trial, TrialResult};
use crate::judge::{Registry, State, StrategyContext, Verdict};
use crate::map::ratio::MORE_RIGHT_THAN_ALL;
use crate::metric::{Evidence, Labels, Metric, MetricSample, Timestamp};
use crate::promql::InstantSample;
use crate::rules::Watch;

/// A greater accuracy from counters is impossible.
const MOST_ACCURATE: f64 = 1.05;

/// Why an alert ended whose version of the model is gone.
const SUPERSEDED: &str = "another version of the model replaced this one";

/// A watch and its state.
#[derive(Debug)]
pub struct Watching {
    pub(super) watch: Watch,
    pub(super) table: Table,
    pub(super) tracker: Tracker,
    /// The last observations of every series.
    pub(super) expecting: Expecting,
    pub(super) judged: Vec<(MetricSample, Verdict)>,
    /// The ranges over which the value counts.
    pub(super) counted: Vec<CountedRange>,
    /// Since when the conditions of the firing alerts hold, by series.
    pub(super) incidents: HashMap<Labels, Timestamp>,
    /// Whether an incident opened or closed since the state was last stored.
    pub(super) is_unsaved: bool,
    /// The series whose request for retraining the hourly limit held back at the last evaluation.
    pub(super) held_back: usize,
    versions: Versions,
    /// Missing series are missing at the source: every window was filled in the last evaluation.
    is_filled: bool,
    /// Whether the limit on series refused some at the last evaluation.
    is_refusing: bool,
    strategy: String,
    pub(super) window: Option<Duration>,
    /// The expression is a plain selector, so the evidence of a record is the evidence of the
    /// value.
    judges_a_record: bool,
    /// The drifts whose window became the reference since the last evaluation, and what their last
    /// notification says.
    pub(super) rebased: HashMap<Labels, String>,
}

impl Watching {
    pub(super) fn new(watch: &Watch, registry: &Registry, counted: Vec<CountedRange>) -> Self {
        let context = StrategyContext {
            direction: watch.direction,
            interval: watch.alert.interval,
        };
        let ranges = watch.expr.selected(Duration::ZERO).into_iter();
        let window = ranges.filter_map(|selected| selected.range).max();
        Self {
            table: Table::new(registry, &watch.strategy, &context, watch.adapt_after),
            tracker: Tracker::new(),
            expecting: Expecting::default(),
            judged: Vec::new(),
            counted,
            incidents: HashMap::new(),
            is_unsaved: false,
            held_back: 0,
            versions: Versions::default(),
            is_filled: false,
            is_refusing: false,
            strategy: watch.strategy.to_string(),
            window,
            judges_a_record: watch.expr.selector().is_some(),
            rebased: HashMap::new(),
            watch: watch.clone(),
        }
    }

    /// The rule as written.
    #[must_use]
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The values and verdicts of the last evaluation.
    #[must_use]
    pub fn judged(&self) -> &[(MetricSample, Verdict)] {
        &self.judged
    }

    /// The number of series held, and of samples that the limit refused.
    #[must_use]
    pub fn counts(&self) -> TableCounts {
        self.table.counts()
    }

    /// The series whose request for retraining the hourly limit held back at the last evaluation;
    /// `None` if the watch never requests retraining.
    #[must_use]
    pub fn held_back(&self) -> Option<usize> {
        self.watch.retrain.as_ref().map(|_| self.held_back)
    }

    /// Judges the values of this tick.
    pub(super) fn observe(
        &mut self,
        mut values: Vec<InstantSample>,
        filled: Filled,
        pass: &Pass<'_>,
    ) -> Observed {
        let rollout = pass.rollout;
        self.is_filled = filled.own && filled.upstream;
        if rollout.idle {
            return self.idle(pass.at);
        }
        let before = std::mem::take(&mut self.judged);
        values.retain(|value| !rollout.is_gone(&value.labels));
        let present = self.note_versions(&values, pass);
        let refused = self.make_room(&values);
        self.note_refusals(refused.len());
        let mut observations = Vec::with_capacity(values.len());
        for value in values {
            let evidence = self.evidence(&value, pass);
            let sample = MetricSample {
                evidence,
                ..MetricSample::new(
                    self.watch.metric.clone(),
                    value.labels,
                    value.value,
                    pass.at,
                )
            };
            let judged = if !filled.own {
                Verdict::insufficient("the window of the expression is still filling").into()
            } else if refused.contains(&sample.labels) {
                self.table.refuse().into()
            } else {
                self.judge(&sample, pass)
            };
            let mut observation = self.observation(&sample, &judged);
            if let Some(ending) = self.rebased.remove(&sample.labels) {
                observation.condition = Condition::Accepted;
                observation.ending = Some(ending);
            }
            if !filled.upstream && observation.condition == Condition::Healthy {
                observation.condition = Condition::Unsure;
            }
            // Counts need no grace: few observations prove little.
            let evidence = sample.evidence.as_deref();
            let is_counted = evidence.is_some_and(|evidence| evidence.counts.is_some());
            let young = !is_counted && rollout.is_young(&self.versions, &sample.labels, pass.at);
            if young && observation.condition == Condition::Active {
                observation.condition = Condition::Held;
            }
            observations.push(observation);
            self.judged.push((sample, judged.verdict));
        }
        self.list_stale(before, |series| rollout.is_gone(series), pass.at);
        Observed {
            outcome: Outcome::Observed(observations),
            present,
        }
    }

    /// What is known of the observations behind a value: by its own rule, or by the record that it
    /// is the value of. The evidence of drift is needed to judge it.
    fn evidence(&self, value: &InstantSample, pass: &Pass<'_>) -> Option<Arc<Evidence>> {
        let reads = self.judges_a_record;
        let recorded = reads.then(|| pass.evidence.of(&value.labels)).flatten();
        match (recorded, value.evidence()) {
            (Some(recorded), Some(own)) if recorded.sampling.is_some() => Some(own),
            (recorded, own) => recorded.or(own),
        }
    }

    /// Lists the signals of the last evaluation that have no value now after those that have one.
    pub(super) fn list_stale(
        &mut self,
        before: Vec<(MetricSample, Verdict)>,
        is_gone: impl Fn(&Labels) -> bool,
        at: Timestamp,
    ) {
        let room = self.table.max_series().saturating_sub(self.judged.len());
        let active: LazyCell<HashSet<&Labels>, _> =
            LazyCell::new(|| self.tracker.active_series().collect());
        let is_active = |series: &Labels| active.contains(series);
        let mut stale = stale(before, &self.judged, at, room, is_active);
        stale.retain(|(sample, _)| !is_gone(&sample.labels));
        self.judged.extend(stale);
    }

    /// Notes the present versions of a model; returns the [`model_labels`] of their series.
    fn note_versions(&mut self, values: &[InstantSample], pass: &Pass<'_>) -> HashSet<Labels> {
        let series = values.iter().map(|value| &value.labels);
        let versioned: Vec<&Labels> = series.filter(|series| version(series).is_some()).collect();
        let present: HashSet<Labels> = versioned
            .iter()
            .filter_map(|series| model_labels(series))
            .collect();
        // After a restart, only the alerts name the versions that they are about.
        let alerts = if self.versions.is_empty() && !present.is_empty() {
            self.tracker.alerts(&self.watch.alert, pass.context)
        } else {
            Vec::new()
        };
        let series = versioned.into_iter();
        let series = series.chain(alerts.iter().map(|alert| &alert.series));
        self.versions.note(series, pass.at, pass.rollout.grace);
        present
    }

    /// Ends the alerts of superseded versions, as after rolling back.
    pub(super) fn end_superseded(&mut self, present: &HashSet<Labels>, pass: &mut Pass<'_>) {
        if !pass.rollout.complete || present.is_empty() {
            return;
        }
        let (at, grace) = (pass.at, pass.rollout.grace);
        let versions = &self.versions;
        let gone = |series: &Labels| versions.is_superseded(series, present, at, grace);
        let ended = self
            .tracker
            .retire(&self.watch.alert, at, pass.context, SUPERSEDED, gone);
        self.judged
            .retain(|(sample, verdict)| verdict.state != State::Stale || !gone(&sample.labels));
        pass.changes.extend(ended.alerts);
    }

    /// Ends the alerts of series that a healthy target no longer exports.
    pub(super) fn end_absent(&mut self, pass: &mut Pass<'_>) {
        let rollout = pass.rollout;
        let counts = self.is_filled && !reads_any(&self.watch.expr, &rollout.failed_records);
        let is_absent = |series: &Labels| counts && rollout.is_absent(series);
        let ended = self
            .tracker
            .end_absent(&self.watch.alert, pass.at, pass.context, is_absent);
        for alert in &ended.alerts {
            info!(%alert, "the target no longer exports the series");
        }
        pass.changes.extend(ended.alerts);
    }

    /// Judges a value; counters that stand still give no value.
    fn judge(&mut self, sample: &MetricSample, pass: &Pass<'_>) -> Judged {
        if self.is_impossible(sample) {
            return Verdict::insufficient(MORE_RIGHT_THAN_ALL).into();
        }
        self.carry(sample, pass.rollout);
        let mut judged = self.table.judge(sample);
        if judged.holds
            && let Some(trial) = self.table.trial(&sample.labels)
            && trial.result != TrialResult::AsGood
        {
            let why = format!(
                "{}; compared with version {}",
                judged.verdict.why, trial.from
            );
            judged.verdict.why = why.into();
        }
        let unknown = sample.value.is_nan() && judged.verdict.state == State::InsufficientData;
        if unknown && is_still(pass.window, &self.counted, &sample.labels, pass.at) {
            return Verdict::idle("there is no traffic: nothing that is counted moved").into();
        }
        judged
    }

    /// Whether a value is an accuracy from counters that no counts can have. Reads that are not of
    /// one moment make an accuracy of 1 a little more than that.
    fn is_impossible(&self, sample: &MetricSample) -> bool {
        let is_counted = self.watch.metric == Metric::Accuracy && !self.counted.is_empty();
        is_counted && (sample.value > MOST_ACCURATE || sample.value < 0.0)
    }

    /// The comparison of the version of a series with the one before.
    #[must_use]
    pub fn trial(&self, series: &Labels) -> Option<&Trial> {
        self.table.trial(series)
    }

    /// Opens and closes incidents as the alerts of this evaluation say.
    pub(super) fn settle(&mut self, at: Timestamp) {
        let firing = self.tracker.firing_series();
        let is_firing = |series: &Labels| firing.contains_key(series);
        self.is_unsaved |= self.table.settle(at, is_firing);
        let firing = firing.into_iter();
        self.incidents = firing
            .map(|(series, since)| (series.clone(), since))
            .collect();
    }

    /// The incident of a series: since when, and the value that was usual before where it is known.
    #[must_use]
    pub fn incident(&self, series: &Labels) -> Option<(Timestamp, Option<f64>)> {
        let since = *self.incidents.get(series)?;
        Some((since, self.table.usual(series)))
    }

    /// Starts a new version from what is known about the previous one, if so configured.
    fn carry(&mut self, sample: &MetricSample, rollout: &Rollout) {
        if rollout.baseline == Baseline::Reset {
            return;
        }
        let Some(model) = model_labels(&sample.labels) else {
            return;
        };
        let is_same_model = |other: &Labels| model_labels(other).as_ref() == Some(&model);
        let trial = |before: &Labels| {
            let compares = rollout.baseline == Baseline::Compare;
            compares.then(|| Trial::against(version(before).unwrap_or_default()))
        };
        if self.table.inherit(&sample.labels, is_same_model, trial) {
            info!(labels = %sample.labels, "the new version starts from what is known about the previous one");
        }
    }

    /// Makes room for the new series of this tick at the limit: evicts absent series, least
    /// recently seen first. If that is not enough, every replica gets its share of the places.
    /// Returns the series that get none.
    fn make_room(&mut self, values: &[InstantSample]) -> HashSet<Labels> {
        if self.table.has_room_for(values.len()) {
            return HashSet::new();
        }
        let values = values.iter().filter(|value| !value.value.is_nan());
        let present: HashSet<&Labels> = values.clone().map(|value| &value.labels).collect();
        let lacking = self.table.lacking_room(present.iter().copied());
        if lacking == 0 {
            return HashSet::new();
        }
        let active: HashSet<&Labels> = self.tracker.active_series().collect();
        self.table.evict_oldest(
            lacking,
            |series| present.contains(series),
            |series| active.contains(series),
        );
        if self.table.lacking_room(present.iter().copied()) == 0 {
            return HashSet::new();
        }
        let held = self.table.series();
        let wanted = values.map(|value| &value.labels);
        let mut claims: Vec<Claim<'_>> = wanted
            .map(|series| (u8::from(!self.table.holds(series)), series))
            .collect();
        let absent = held.iter().filter(|series| !present.contains(series));
        claims.extend(absent.map(|series| (2, series)));
        let without = without_a_place(claims, self.table.max_series());
        self.table.forget(|series| without.contains(series));
        without
    }

    /// Logs when the limit on series begins and ends to refuse some.
    fn note_refusals(&mut self, refused: usize) {
        if (refused > 0) == self.is_refusing {
            return;
        }
        self.is_refusing = refused > 0;
        let (rule, limit) = (&*self.watch.alert.name, self.table.max_series());
        if self.is_refusing {
            warn!(
                rule,
                limit, refused, "the watch has too many series; some are not judged"
            );
        } else {
            info!(rule, limit, "the watch judges all series again");
        }
    }

    /// Evicts the series that were absent for so long that their learned state is useless.
    pub(super) fn evict_idle(&mut self, at: Timestamp, retention: Duration) {
        let tracker = &self.tracker;
        let active: LazyCell<HashSet<&Labels>, _> =
            LazyCell::new(|| tracker.active_series().collect());
        self.table
            .evict_idle(at, retention, |series| active.contains(series));
    }

    /// No model runs: shows the last judgements as idle, and leaves every alert as it is.
    fn idle(&mut self, at: Timestamp) -> Observed {
        let mut series = self.table.series();
        series.extend(self.judged.drain(..).map(|(sample, _)| sample.labels));
        series.sort();
        series.dedup();
        let idle = series.into_iter().map(|labels| {
            let sample = MetricSample::new(self.watch.metric.clone(), labels, f64::NAN, at);
            (
                sample,
                Verdict::idle("nothing runs that could be judged: scaled to zero"),
            )
        });
        self.judged.extend(idle);
        Observed {
            outcome: Outcome::Idle,
            present: HashSet::new(),
        }
    }

    /// Takes over the state of an earlier version of the watch, except its alerts.
    pub(super) fn inherit(&mut self, before: &mut Self, is_same_value: bool) {
        std::mem::swap(&mut self.versions, &mut before.versions);
        std::mem::swap(&mut self.expecting, &mut before.expecting);
        let (was, is) = (&before.watch, &self.watch);
        let is_same = was.strategy == is.strategy
            && was.direction == is.direction
            && was.alert.interval == is.alert.interval;
        if is_same && is_same_value {
            std::mem::swap(&mut self.table, &mut before.table);
            self.table.set_adapt_after(is.adapt_after);
            std::mem::swap(&mut self.judged, &mut before.judged);
        }
    }

    fn observation(&self, sample: &MetricSample, judged: &Judged) -> Observation {
        let condition = match judged.verdict.state {
            _ if judged.accepted.is_some() => Condition::Accepted,
            _ if judged.holds => Condition::Active,
            State::Anomalous | State::Ok => Condition::Healthy,
            // Without labels an accuracy has no value, however many requests there are.
            State::Idle if self.hears_idle() => Condition::NoData,
            State::WarmingUp | State::InsufficientData | State::Idle => Condition::Unsure,
            State::Stale => Condition::NoData,
        };
        let is_active = condition == Condition::Active;
        let ending = self.ending(sample, judged);
        Observation {
            labels: sample.labels.clone(),
            value: sample.value,
            condition,
            explanation: is_active.then(|| Arc::new(self.explain(sample, &judged.verdict))),
            ending,
        }
    }

    /// Makes the present level of a series normal; see [`Table::accept`].
    pub(super) fn accept(&mut self, series: &Labels) -> bool {
        let is_open = self.table.accept(series);
        self.is_unsaved |= is_open;
        is_open
    }

    /// Whether a value that is missing because nothing is counted is missing data.
    fn hears_idle(&self) -> bool {
        let rule = &self.watch.alert;
        rule.no_data == NoData::Alert && self.watch.metric == Metric::Accuracy
    }

    /// Whether the watch judges the drift of recorded distributions.
    pub(super) fn judges_drift(&self) -> bool {
        self.judges_a_record && self.watch.strategy.kind == "drift"
    }

    fn explain(&self, sample: &MetricSample, verdict: &Verdict) -> Explanation {
        let evidence = sample.evidence.as_deref();
        Explanation {
            strategy: self.strategy.clone(),
            why: verdict.why.to_string(),
            unit: sample.metric.unit().to_owned(),
            score: verdict.score,
            expected: verdict.expected,
            window: self
                .window
                .or(evidence.and_then(|evidence| evidence.window)),
            samples: evidence.map(|evidence| evidence.samples),
            contributions: evidence
                .map(|evidence| evidence.contributions.clone())
                .unwrap_or_default(),
        }
    }
}
