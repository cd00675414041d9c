//! Evaluates a recording rule: stores its values under a new name in the window.

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::pass::Pass;
use super::values::plain_values;
use crate::map::drift::{self, Detector, Refused};
use crate::map::{self, Recording, Source, estimate, ratio};
use crate::metric::{Labels, MetricSample, Timestamp};
use crate::promql::{Expr, InstantSample, Options, Query};

/// A recording rule and its state.
#[derive(Debug)]
pub struct Recorder {
    pub(super) recording: Recording,
    /// The samples of the last evaluation.
    pub(super) samples: Vec<MetricSample>,
    /// The counts, where the record counts.
    pub(super) counter: Counter,
    /// The expressions after the first one.
    others: Vec<Query>,
}

/// What a record counts.
#[derive(Debug)]
pub(super) enum Counter {
    /// Nothing: it records the value of an expression.
    None,
    /// Distributions.
    Drift(Box<Detector>),
    /// Ratios.
    Ratio(Box<ratio::Counter>),
    /// Scores.
    Estimate(Box<estimate::Estimator>),
}

/// The counts of a record, to store them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum CounterMemory {
    Drift(drift::Memory),
    Ratio(ratio::Memory),
    Estimate(estimate::Memory),
}

impl Recorder {
    pub(super) fn new(recording: &Recording, options: Options) -> Self {
        let counter = match &recording.source {
            Source::Expr(_) => Counter::None,
            Source::Drift(drift) => Counter::Drift(Box::new(Detector::new(drift))),
            Source::Ratio(_) => Counter::Ratio(Box::default()),
            Source::Estimate(_) => Counter::Estimate(Box::default()),
        };
        let others = recording.expressions().into_iter().skip(1);
        Self {
            counter,
            others: others
                .map(|expr| Query::with_options(expr.clone(), options))
                .collect(),
            recording: recording.clone(),
            samples: Vec::new(),
        }
    }

    /// The expressions after the first one.
    pub(super) fn others(&self) -> impl Iterator<Item = &Expr> {
        self.others.iter().map(Query::expr)
    }

    /// The rule as written.
    #[must_use]
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// The samples of the last evaluation.
    #[must_use]
    pub fn samples(&self) -> &[MetricSample] {
        &self.samples
    }

    /// The number of distributions or ratios that the record counts, and those that it refuses to
    /// count; `None` for a record that does not count.
    #[must_use]
    pub fn distributions(&self) -> Option<(usize, Refused)> {
        match &self.counter {
            Counter::None => None,
            Counter::Drift(detector) => Some((detector.distributions(), detector.refused())),
            Counter::Ratio(counter) => {
                let (now, total) = counter.refused();
                Some((counter.ratios(), Refused { now, total }))
            }
            Counter::Estimate(estimator) => {
                let (now, total) = estimator.refused();
                Some((estimator.estimates(), Refused { now, total }))
            }
        }
    }

    /// Logs when limits begin and end to refuse distributions.
    fn note_refusals(&self, before: Refused) {
        let after = self.distributions().map_or(before, |(_, refused)| refused);
        let rule = &*self.recording.name;
        match (before.now, after.now) {
            (0, refused @ 1..) => warn!(rule, refused, "some distributions are not counted"),
            (1.., 0) => info!(rule, "all distributions are counted again"),
            _ => {}
        }
    }

    /// Records the values of this tick; returns the error if it failed.
    pub(super) fn take(
        &mut self,
        first: Vec<InstantSample>,
        owner: u64,
        pass: &mut Pass<'_>,
    ) -> Option<String> {
        let before = self.distributions().map(|(_, refused)| refused);
        let named = match (&self.recording.source, &mut self.counter) {
            (Source::Drift(drift), Counter::Drift(detector)) => detector
                .observe(drift, &first, pass.at)
                .and_then(|drifted| map::drifted(&self.recording, drifted, pass.at)),
            (Source::Ratio(ratio), Counter::Ratio(counter)) => all(first, &mut self.others, pass)
                .and_then(|values| counter.observe(ratio, &values, pass.at))
                .and_then(|measured| map::measured(&self.recording, measured, pass.at)),
            (Source::Estimate(rule), Counter::Estimate(estimator)) => {
                all(first, &mut self.others, pass)
                    .map(|values| estimator.observe(rule, &values, pass.at))
                    .and_then(|measured| map::measured(&self.recording, measured, pass.at))
            }
            _ => map::samples(&self.recording, &first, pass.at),
        };
        self.note_refusals(before.unwrap_or_default());
        match record(&self.recording.name, named, owner, pass) {
            Ok(samples) => {
                self.samples = samples;
                None
            }
            Err(error) => {
                self.samples.clear();
                Some(error)
            }
        }
    }

    /// Takes the present window of the distribution that is recorded as this series for its
    /// reference; returns whether there is one with enough observations.
    pub(super) fn rebase(&mut self, series: &Labels, at: Timestamp) -> bool {
        let (Source::Drift(drift), Counter::Drift(detector)) =
            (&self.recording.source, &mut self.counter)
        else {
            return false;
        };
        let recorded = |labels: &Labels| map::recorded(&self.recording, labels);
        let found = detector.labels().find(|labels| recorded(labels) == *series);
        found
            .cloned()
            .is_some_and(|labels| detector.accept(drift, &labels, at))
    }

    /// Keeps the series that an earlier version of the rule recorded, and its counts if the rule
    /// still counts in the same way.
    pub(super) fn inherit(&mut self, before: Self, is_same_model: bool) {
        self.samples = before.samples;
        if !is_same_model {
            return;
        }
        match (&before.recording.source, &self.recording.source) {
            (Source::Drift(was), Source::Drift(is)) if was.counts() == is.counts() => {}
            (Source::Ratio(was), Source::Ratio(is)) if was.counted() == is.counted() => {}
            (Source::Estimate(was), Source::Estimate(is)) if was.counts_as(is) => {}
            _ => return,
        }
        match (before.counter, &mut self.counter) {
            (Counter::Drift(counted), Counter::Drift(detector)) => detector.inherit(*counted),
            (counted @ (Counter::Ratio(_) | Counter::Estimate(_)), counter) => *counter = counted,
            _ => {}
        }
    }

    /// The counts, to restore them after a restart; `None` for a record that does not count.
    pub(super) fn memory(&self) -> Option<CounterMemory> {
        match (&self.recording.source, &self.counter) {
            (Source::Drift(drift), Counter::Drift(detector)) => {
                Some(CounterMemory::Drift(detector.memory(drift)))
            }
            (Source::Ratio(ratio), Counter::Ratio(counter)) => {
                Some(CounterMemory::Ratio(counter.memory(ratio)))
            }
            (Source::Estimate(rule), Counter::Estimate(estimator)) => {
                Some(CounterMemory::Estimate(estimator.memory(rule)))
            }
            _ => None,
        }
    }

    /// Continues with stored counts.
    ///
    /// # Errors
    /// Why they are of no use.
    pub(super) fn restore(&mut self, memory: CounterMemory) -> Result<(), &'static str> {
        match (&self.recording.source, &mut self.counter, memory) {
            (Source::Drift(drift), Counter::Drift(detector), CounterMemory::Drift(memory)) => {
                detector.restore(drift, memory)
            }
            (Source::Ratio(ratio), Counter::Ratio(counter), CounterMemory::Ratio(memory)) => {
                counter.restore(ratio, memory)
            }
            (
                Source::Estimate(rule),
                Counter::Estimate(estimator),
                CounterMemory::Estimate(memory),
            ) => estimator.restore(rule, memory),
            _ => Err("the rule counts something else now"),
        }
    }
}

/// The values of every expression of a record, in order.
fn all(
    first: Vec<InstantSample>,
    others: &mut [Query],
    pass: &Pass<'_>,
) -> Result<Vec<Vec<InstantSample>>, String> {
    let others = others.iter_mut().map(|query| plain_values(query, pass));
    let others = others.map(|found| found.map(|(values, _)| values));
    std::iter::once(Ok(first)).chain(others).collect()
}

/// Writes the values of a recording rule into the window and marks missing series as stale.
fn record(
    name: &str,
    samples: Result<Vec<MetricSample>, String>,
    owner: u64,
    pass: &mut Pass<'_>,
) -> Result<Vec<MetricSample>, String> {
    let mut refused = 0;
    for sample in samples.iter().flatten() {
        let stored = pass
            .window
            .record(owner, pass.at, &sample.labels, sample.value);
        refused += u64::from(!stored);
    }
    pass.window.end_records(owner, pass.at);
    let samples = samples?;
    pass.evidence.keep(owner, name, &samples);
    if refused > 0 {
        return Err(format!(
            "{refused} recorded series were refused by the limit on stored series"
        ));
    }
    Ok(samples)
}
