//! Evaluates a rule: counters in, estimates with their evidence out.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::group::{Group, Risen};
use super::rule::{CountedBy, EstimateRule, Evidenced};
use crate::map::ratio::{Counting, Server};
use crate::map::recording::Measured;
use crate::metric::{Labels, Timestamp};
use crate::promql::InstantSample;

/// Most estimates of one rule.
const MAX_GROUPS: usize = 200;
/// How long the counts of an estimate without counters are kept at least.
const KEEP: Duration = Duration::from_secs(3600);

/// Counts the scores of a rule.
#[derive(Debug, Default)]
pub struct Estimator {
    counting: Counting,
    groups: BTreeMap<Labels, Group>,
    /// Counters and estimates beyond the limits, at the last evaluation and since the start.
    refused: (usize, u64),
}

/// The state of an estimator, to store it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    estimated: CountedBy,
    counters: Vec<(Labels, Server)>,
    estimates: Vec<(Labels, Group)>,
}

/// What a selector of the rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Bucket,
    Count,
    Sum,
    Right,
    Labelled,
}

impl EstimateRule {
    /// What each of the [expressions](Self::expressions) counts.
    fn parts(&self) -> Vec<Part> {
        let mut parts = match &self.from {
            Evidenced::Scores { .. } => vec![Part::Bucket],
            Evidenced::Confidence { .. } => vec![Part::Count, Part::Sum],
        };
        if let Some(truth) = &self.truth {
            parts.extend(truth.good.iter().map(|_| Part::Right));
            parts.extend(truth.total.iter().map(|_| Part::Labelled));
        }
        parts
    }
}

impl Estimator {
    /// The number of estimates.
    #[must_use]
    pub fn estimates(&self) -> usize {
        self.groups.len()
    }

    /// The counters and estimates beyond the limits: at the last evaluation, and since the start.
    #[must_use]
    pub fn refused(&self) -> (usize, u64) {
        self.refused
    }

    /// Adds the values that the counters have at `at`, in the order of the rule's
    /// [expressions](EstimateRule::expressions), and returns every estimate in order of its labels.
    pub fn observe(
        &mut self,
        rule: &EstimateRule,
        values: &[Vec<InstantSample>],
        at: Timestamp,
    ) -> Vec<Measured> {
        let mut risen: BTreeMap<Labels, Risen> = BTreeMap::new();
        let mut refused = 0;
        for (part, samples) in rule.parts().into_iter().zip(values) {
            for sample in samples.iter().filter(|sample| sample.value.is_finite()) {
                let by = |name: &str| rule.by.iter().any(|by| by == name);
                let group = sample.labels.retain(by);
                let is_known = self.groups.contains_key(&group) || risen.contains_key(&group);
                let is_full = self.groups.len().max(risen.len()) >= MAX_GROUPS;
                let rise = (is_known || !is_full)
                    .then(|| self.counting.rise(&sample.labels, sample.value, at));
                match rise.flatten() {
                    Some(rise) => add(risen.entry(group).or_default(), part, &sample.labels, rise),
                    None => refused += 1,
                }
            }
        }
        self.refused.0 = refused;
        self.refused.1 += refused as u64;
        let mut measured = Vec::with_capacity(risen.len());
        for (labels, risen) in &risen {
            let group = self
                .groups
                .entry(labels.clone())
                .or_insert_with(|| Group::new(at));
            let (value, evidence) = group.add(rule, labels, risen, at);
            measured.push((labels.with("estimated", "true"), value, evidence));
        }
        let keep = rule.window.max(KEEP);
        self.counting.forget(at, keep);
        self.groups.retain(|_, group| at.since(group.seen) <= keep);
        measured
    }

    /// The counts, to restore them after a restart.
    #[must_use]
    pub fn memory(&self, rule: &EstimateRule) -> Memory {
        let groups = self.groups.iter();
        Memory {
            estimated: rule.counted(),
            counters: self.counting.store(),
            estimates: groups
                .map(|(labels, group)| (labels.clone(), group.clone()))
                .collect(),
        }
    }

    /// Continues with stored counts.
    ///
    /// # Errors
    /// If they were stored by a rule that counts something else.
    pub fn restore(&mut self, rule: &EstimateRule, memory: Memory) -> Result<(), &'static str> {
        if memory.estimated != rule.counted() {
            return Err("the rule counts something else now");
        }
        self.counting = Counting::restored(memory.counters);
        self.groups = memory.estimates.into_iter().collect();
        Ok(())
    }
}

fn add(risen: &mut Risen, part: Part, series: &Labels, rise: f64) {
    match part {
        Part::Bucket => {
            let bound = series.get("le").unwrap_or_default().to_owned();
            *risen.buckets.entry(bound).or_default() += rise;
        }
        Part::Count => risen.count += rise,
        Part::Sum => risen.sum += rise,
        Part::Right => risen.truth.numerator += rise,
        Part::Labelled => risen.truth.denominator += rise,
    }
}
