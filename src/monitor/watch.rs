//! A watch at work: values → verdicts → alerts and retraining decisions.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use super::rollout::{Rollout, Versions, kin, version};
use super::rule::Pass;
use super::traffic::{Counted, is_still};
use crate::alert::{Condition, Explanation, Observation, Outcome, Tracker};
use crate::config::rules::Watch;
use crate::judge::{Context, Registry, State, Table, Verdict};
use crate::metric::{Labels, MetricSample};
use crate::promql::InstantSample;

/// The state of a watch.
#[derive(Debug)]
pub(super) struct Watching {
    pub(super) table: Table,
    pub(super) tracker: Tracker,
    pub(super) judged: Vec<(MetricSample, Verdict)>,
    /// The ranges that the value is counted over.
    pub(super) counted: Vec<Counted>,
    pub(super) versions: Versions,
    strategy: String,
    window: Option<Duration>,
    /// The expression is a series as it is, so that what stands behind a record stands behind the value.
    judges_a_record: bool,
}

impl Watching {
    pub(super) fn new(watch: &Watch, registry: &Registry) -> Self {
        let context = Context {
            direction: watch.direction,
            interval: watch.alert.interval,
        };
        let ranges = watch.expr.selected(Duration::ZERO).into_iter();
        let window = ranges.filter_map(|selected| selected.range).max();
        Self {
            table: Table::new(registry, &watch.strategy, &context),
            tracker: Tracker::new(),
            judged: Vec::new(),
            counted: Vec::new(),
            versions: Versions::default(),
            strategy: watch.strategy.to_string(),
            window,
            judges_a_record: watch.expr.selector().is_some(),
        }
    }

    /// Judges the values of this tick. `complete` says whether the windows behind them are filled, `settled` whether those
    /// upstream are, after a restart.
    pub(super) fn take(
        &mut self,
        watch: &Watch,
        mut values: Vec<InstantSample>,
        (complete, settled): (bool, bool),
        pass: &mut Pass<'_>,
    ) -> Option<String> {
        let rollout = pass.rollout;
        if rollout.idle {
            return self.idle(watch, pass);
        }
        self.judged.clear();
        values.retain(|value| !rollout.is_gone(&value.labels));
        let series = values.iter().map(|value| &value.labels);
        let versioned: Vec<&Labels> = series.filter(|series| version(series).is_some()).collect();
        let present: HashSet<Labels> = versioned.iter().filter_map(|series| kin(series)).collect();
        // After a restart the versions that alerts are about are known from them alone.
        let alerts = if self.versions.is_empty() && !present.is_empty() {
            self.tracker.alerts(&watch.alert, pass.context)
        } else {
            Vec::new()
        };
        let series = versioned.into_iter();
        let series = series.chain(alerts.iter().map(|alert| &alert.series));
        self.versions.note(series, pass.at, rollout.grace);
        let mut observations = Vec::with_capacity(values.len());
        for value in values {
            let evidence = self
                .judges_a_record
                .then(|| pass.evidence.of(&value.labels))
                .flatten();
            let sample = MetricSample {
                evidence,
                ..MetricSample::new(watch.metric.clone(), value.labels, value.value, pass.at)
            };
            let verdict = if complete {
                self.judge(&sample, pass)
            } else {
                Verdict::insufficient("the window of the expression is still filling")
            };
            let mut observation = self.observation(&sample, &verdict);
            if !settled && observation.condition == Condition::Healthy {
                observation.condition = Condition::Unsure;
            }
            let young = rollout.is_young(&self.versions, &sample.labels, pass.at);
            if young && observation.condition == Condition::Active {
                observation.condition = Condition::Held;
            }
            observations.push(observation);
            self.judged.push((sample, verdict));
        }
        let changes = self.tracker.evaluate(
            &watch.alert,
            pass.at,
            Outcome::Observed(observations),
            pass.context,
        );
        pass.changes.extend(changes.alerts);
        if rollout.complete && !present.is_empty() {
            self.end_superseded(watch, &present, pass);
        }
        changes.error
    }

    /// Ends the alerts of versions that others have taken the place of, as after rolling back.
    fn end_superseded(&mut self, watch: &Watch, present: &HashSet<Labels>, pass: &mut Pass<'_>) {
        let when = (pass.at, pass.rollout.grace);
        let versions = &self.versions;
        let gone = |series: &Labels| versions.is_superseded(series, present, when);
        let ended = self
            .tracker
            .retire(&watch.alert, pass.at, pass.context, gone);
        pass.changes.extend(ended.alerts);
    }

    /// Judges a value; that of counters which stand still is no value.
    fn judge(&mut self, sample: &MetricSample, pass: &Pass<'_>) -> Verdict {
        self.carry(sample, pass.rollout);
        let verdict = self.table.judge(sample);
        let unknown = sample.value.is_nan() && verdict.state == State::InsufficientData;
        if unknown && is_still(pass.window, &self.counted, &sample.labels, pass.at) {
            return Verdict::idle("there is no traffic: nothing that is counted moved");
        }
        verdict
    }

    /// A new version starts from what was learnt about the one before, when it is to.
    fn carry(&mut self, sample: &MetricSample, rollout: &Rollout) {
        if !rollout.carry {
            return;
        }
        let Some(model) = kin(&sample.labels) else {
            return;
        };
        let is_kin = |other: &Labels| kin(other).as_ref() == Some(&model);
        if self.table.inherit(&sample.labels, is_kin) {
            info!(labels = %sample.labels, "a new version starts from what was learnt about the one before");
        }
    }

    /// Nothing runs: what was judged last is shown as idle, and every alert stays as it is.
    fn idle(&mut self, watch: &Watch, pass: &mut Pass<'_>) -> Option<String> {
        let mut series = self.table.series();
        series.extend(self.judged.drain(..).map(|(sample, _)| sample.labels));
        series.sort();
        series.dedup();
        let idle = series.into_iter().map(|labels| {
            let sample = MetricSample::new(watch.metric.clone(), labels, f64::NAN, pass.at);
            (
                sample,
                Verdict::idle("nothing runs that could be judged: scaled to zero"),
            )
        });
        self.judged.extend(idle);
        let changes = self
            .tracker
            .evaluate(&watch.alert, pass.at, Outcome::Idle, pass.context);
        pass.changes.extend(changes.alerts);
        changes.error
    }

    fn observation(&self, sample: &MetricSample, verdict: &Verdict) -> Observation {
        let condition = match verdict.state {
            State::Anomalous => Condition::Active,
            // Learning is frozen, the judgement is not: the score says which side of the limit the value is on.
            State::Frozen if verdict.score.is_some_and(|score| score > 1.0) => Condition::Active,
            State::Ok | State::Frozen => Condition::Healthy,
            State::WarmingUp | State::InsufficientData | State::Idle => Condition::Unsure,
            State::Stale => Condition::NoData,
        };
        let explanation =
            (condition == Condition::Active).then(|| Arc::new(self.explain(sample, verdict)));
        Observation {
            labels: sample.labels.clone(),
            value: sample.value,
            condition,
            explanation,
        }
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
