//! Evaluates a drift rule: counters in, drift with its evidence out.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::budget::level;
use super::counting::{Counting, MAX_GROUPS, Risings, Server};
use super::distribution::Distribution;
use super::observe::{Measured, Outcome};
use super::rule::Counts;
use super::{Drift, DriftRule};
use crate::metric::{Evidence, Labels, Timestamp};
use crate::promql::InstantSample;

/// The drift of one distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct Drifted {
    /// The labels of the rule's `by`.
    pub labels: Labels,
    /// The bias-corrected value, `None` while it is unknown.
    pub value: Option<f64>,
    /// The counts and statistics behind the value, or why there is no value.
    pub evidence: Arc<Evidence>,
}

/// Counts the observations of a drift rule, learns its reference where there is none, and measures
/// the drift.
#[derive(Debug)]
pub struct Detector {
    drift: Drift,
    counting: Counting,
    distributions: BTreeMap<Labels, Distribution>,
    refused: Refused,
}

/// The distributions that are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refused {
    /// At the last evaluation.
    pub now: usize,
    /// At every evaluation since the start.
    pub total: u64,
}

/// The state of a detector, to store it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    version: u32,
    counts: Counts,
    servers: Vec<(Labels, Server)>,
    distributions: Vec<(Labels, Distribution)>,
}

impl Memory {
    const VERSION: u32 = 1;
}

impl Detector {
    /// A detector that has counted nothing.
    #[must_use]
    pub fn new(rule: &DriftRule) -> Self {
        Self {
            drift: Drift::new(rule.params.clone(), &rule.bucket),
            counting: Counting::default(),
            distributions: BTreeMap::new(),
            refused: Refused::default(),
        }
    }

    /// The number of distributions that are counted.
    #[must_use]
    pub fn distributions(&self) -> usize {
        self.distributions.len()
    }

    /// The distributions that are not counted, because they have too many buckets or there are too
    /// many of them.
    #[must_use]
    pub fn refused(&self) -> Refused {
        self.refused
    }

    /// Adds the values that the counters have at `at` and measures every distribution, in order of
    /// their labels. One that cannot be counted has no value, and the reason in its evidence.
    ///
    /// # Errors
    /// If no distribution can be counted: a counter that is not a bucket, or too many buckets.
    pub fn observe(
        &mut self,
        rule: &DriftRule,
        counters: &[InstantSample],
        at: Timestamp,
    ) -> Result<Vec<Drifted>, String> {
        let Risings {
            by_group: risen,
            left_out,
        } = self.counting.rises(rule, counters, at);
        for (labels, risen) in &risen {
            let distribution = self.distributions.entry(labels.clone()).or_default();
            distribution.add(rule, risen, at);
        }
        let is_full = self.distributions.len() > MAX_GROUPS;
        self.distributions.retain(|labels, distribution| {
            risen.contains_key(labels) || !is_full && distribution.is_worth_keeping(at, rule.window)
        });
        let mut outcomes = Vec::with_capacity(risen.len());
        let mut problems = Vec::new();
        for (labels, risen) in risen {
            let Some(distribution) = self.distributions.get(&labels) else {
                continue;
            };
            let measured = match risen.refused {
                Some(why) => Err(why),
                None => distribution.measure(rule, &mut self.drift, &labels, at),
            };
            let outcome = measured.unwrap_or_else(|why| {
                problems.push(why.clone());
                Err(Box::new(Evidence {
                    insufficient: Some(why),
                    ..Evidence::default()
                }))
            });
            outcomes.push((labels, outcome));
        }
        self.refused.now = problems.len() + left_out;
        self.refused.total += self.refused.now as u64;
        if problems.len() == outcomes.len()
            && let Some(first) = problems.into_iter().next()
        {
            return Err(first);
        }
        Ok(self.judged(rule, outcomes))
    }

    /// Judges all distributions within one budget of false alarms.
    fn judged(&mut self, rule: &DriftRule, outcomes: Vec<(Labels, Outcome)>) -> Vec<Drifted> {
        let measured = outcomes.iter().filter_map(|(_, one)| one.as_ref().ok());
        let level = level(measured.map(Measured::p_value).collect(), rule.params.alpha);
        let judged = outcomes.into_iter().map(|(labels, outcome)| {
            let (value, evidence) = match outcome {
                Ok(measured) => {
                    let (value, evidence) = measured.at_level(level, rule.params.min_effect);
                    (Some(value), evidence)
                }
                Err(evidence) => (None, *evidence),
            };
            let score = value.and_then(|value| evidence.drift_score(value));
            if score.is_some_and(|score| score > 1.0)
                && let Some(distribution) = self.distributions.get_mut(&labels)
            {
                distribution.doubt(rule);
            }
            Drifted {
                labels,
                value,
                evidence: Arc::new(evidence),
            }
        });
        judged.collect()
    }

    /// Takes the present window of a distribution for its reference. Returns whether it has one
    /// with enough observations.
    pub fn accept(&mut self, rule: &DriftRule, labels: &Labels, at: Timestamp) -> bool {
        let distribution = self.distributions.get_mut(labels);
        distribution.is_some_and(|distribution| distribution.accept(rule, labels, at))
    }

    /// The labels of the distributions.
    pub fn labels(&self) -> impl Iterator<Item = &Labels> {
        self.distributions.keys()
    }

    /// The counts and learned references, to restore them after a restart.
    #[must_use]
    pub fn memory(&self, rule: &DriftRule) -> Memory {
        Memory {
            version: Memory::VERSION,
            counts: rule.counts(),
            servers: self.counting.store(),
            distributions: self
                .distributions
                .iter()
                .map(|(labels, distribution)| (labels.clone(), distribution.clone()))
                .collect(),
        }
    }

    /// Continues with stored counts and references.
    ///
    /// # Errors
    /// If they were stored by another version of this program or by a rule with different
    /// [`Counts`].
    pub fn restore(&mut self, rule: &DriftRule, memory: Memory) -> Result<(), &'static str> {
        if memory.version != Memory::VERSION {
            return Err("another version counted it");
        }
        if memory.counts != rule.counts() {
            return Err("the rule counts something else now");
        }
        self.counting = Counting::restored(memory.servers);
        self.distributions = memory.distributions.into_iter().collect();
        Ok(())
    }

    /// Continues with the counts and references of a detector whose rule has equal [`Counts`].
    pub fn inherit(&mut self, before: Self) {
        self.counting = before.counting;
        self.distributions = before.distributions;
    }
}
