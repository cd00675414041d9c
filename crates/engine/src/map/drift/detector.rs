//! Evaluates a drift rule: counters in, drift with its evidence out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::counting::{Counting, MAX_GROUPS, Risen, Risings, Server};
use super::histogram::Rises;
use super::reference::Learning;
use super::rule::Counts;
use super::{Drift, DriftRule, Histogram, LearntReference, Reference};
use crate::map::sliding::Sliding;
use crate::metric::{Evidence, Labels, Timestamp, format_duration};
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

impl Drifted {
    /// No value, and why.
    fn unknown(labels: Labels, why: String) -> Self {
        let evidence = Evidence {
            insufficient: Some(why),
            ..Evidence::default()
        };
        Self {
            labels,
            value: None,
            evidence: Arc::new(evidence),
        }
    }
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

/// One distribution and its reference.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Distribution {
    window: Sliding<Rises>,
    learning: Learning,
    learnt: Option<LearntReference>,
    /// Why the window does not cover its full length.
    note: Option<String>,
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
            drift: Drift::new(rule.params.clone()),
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
            let newest = distribution.window.newest();
            risen.contains_key(labels)
                || !is_full
                    && (distribution.learnt.is_some()
                        || newest.is_some_and(|newest| at.since(newest) <= rule.window))
        });
        let mut drifted = Vec::with_capacity(risen.len());
        let mut problems = Vec::new();
        for (labels, risen) in &risen {
            let Some(distribution) = self.distributions.get(labels) else {
                continue;
            };
            let measured = match &risen.refused {
                Some(why) => Err(why.clone()),
                None => distribution.measure(rule, &mut self.drift, labels, at),
            };
            drifted.push(measured.unwrap_or_else(|why| {
                problems.push(why.clone());
                Drifted::unknown(labels.clone(), why)
            }));
        }
        self.refused.now = problems.len() + left_out;
        self.refused.total += self.refused.now as u64;
        if problems.len() == drifted.len()
            && let Some(first) = problems.into_iter().next()
        {
            return Err(first);
        }
        Ok(drifted)
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

impl Distribution {
    fn add(&mut self, rule: &DriftRule, risen: &Risen, at: Timestamp) {
        if risen.refused.is_some() {
            // What was learned stays; what is being counted might grow without end.
            self.window = Sliding::default();
            self.learning = Learning::default();
            return;
        }
        if let Some(why) = &risen.broken {
            // Counts of different buckets cannot be added up; a reference learned from the old ones
            // is useless.
            *self = Self {
                note: Some(format!("{why} at {at}; counting anew")),
                ..Self::default()
            };
        }
        self.window.add(at, rule.window, &risen.rises);
        let Reference::Learn(time) = rule.reference else {
            return;
        };
        if self.learnt.is_none() && self.learning.add(at, &risen.rises, time) {
            self.learnt = histogram(rule, self.learning.rises())
                .ok()
                .and_then(|learned| LearntReference::of(&learned, rule.params.min_samples));
            if self.learnt.is_some() {
                self.learning = Learning::default();
            }
        }
    }

    fn measure(
        &self,
        rule: &DriftRule,
        drift: &mut Drift,
        labels: &Labels,
        at: Timestamp,
    ) -> Result<Drifted, String> {
        let current = histogram(rule, &self.window.sum())?;
        let reference = match &rule.reference {
            Reference::Inline(baseline) => Some(baseline),
            Reference::File { series, .. } => {
                let found = series.iter().find(|(known, _)| known == labels);
                found.map(|(_, baseline)| baseline)
            }
            Reference::Learn(_) => self.learnt.as_ref(),
        };
        let (value, mut evidence) = drift.observe(&current, reference);
        evidence.window = Some(rule.window);
        match (&rule.reference, reference) {
            (Reference::Learn(time), None) => {
                evidence.learning = true;
                evidence.insufficient = Some(self.progress(rule, *time, at));
            }
            (Reference::File { file, .. }, None) => {
                evidence.insufficient = Some(format!("{file} has no reference for {labels}"));
            }
            _ => {}
        }
        if let (Some(why), Some(note)) = (&mut evidence.insufficient, &self.note) {
            why.push_str("; ");
            why.push_str(note);
        }
        Ok(Drifted {
            labels: labels.clone(),
            value,
            evidence: Arc::new(evidence),
        })
    }

    /// How much of the reference has been learned, for people.
    fn progress(&self, rule: &DriftRule, time: Duration, at: Timestamp) -> String {
        let whole = |duration: Duration| format_duration(Duration::from_secs(duration.as_secs()));
        let counted = histogram(rule, self.learning.rises());
        format!(
            "learning the reference for {} of {}, {:.0} observations of at least {}",
            whole(self.learning.age(at).min(time)),
            whole(time),
            counted.map_or(0.0, |counted| counted.total()),
            rule.params.min_samples
        )
    }
}

/// The distribution of increases.
pub(super) fn histogram(rule: &DriftRule, rises: &Rises) -> Result<Histogram, String> {
    if rule.params.ordered {
        return Histogram::buckets(rises);
    }
    Ok(Histogram::categories(rises))
}
