//! A watch at work: values → verdicts → alerts and retraining decisions.

use std::sync::Arc;
use std::time::Duration;

use super::rule::Pass;
use crate::alert::{Condition, Expected, Explanation, Observation, Outcome, Tracker};
use crate::config::rules::Watch;
use crate::judge::{Context, Registry, State, Table, Verdict};
use crate::metric::MetricSample;
use crate::promql::InstantSample;

/// The state of a watch.
#[derive(Debug)]
pub(super) struct Watching {
    pub(super) table: Table,
    pub(super) tracker: Tracker,
    pub(super) judged: Vec<(MetricSample, Verdict)>,
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
        values: Vec<InstantSample>,
        (complete, settled): (bool, bool),
        pass: &mut Pass<'_>,
    ) -> Option<String> {
        self.judged.clear();
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
                self.table.judge(&sample)
            } else {
                Verdict::insufficient("the window of the expression is still filling")
            };
            let mut observation = self.observation(&sample, &verdict);
            if !settled && observation.condition == Condition::Healthy {
                observation.condition = Condition::Unsure;
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
        changes.error
    }

    fn observation(&self, sample: &MetricSample, verdict: &Verdict) -> Observation {
        let condition = match verdict.state {
            State::Anomalous => Condition::Active,
            // Learning is frozen, the judgement is not: the score says which side of the limit the value is on.
            State::Frozen if verdict.score.is_some_and(|score| score > 1.0) => Condition::Active,
            State::Ok | State::Frozen => Condition::Healthy,
            State::WarmingUp | State::InsufficientData => Condition::Unsure,
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
            expected: Expected {
                lower: verdict.expected.lower,
                centre: verdict.expected.centre,
                upper: verdict.expected.upper,
            },
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
