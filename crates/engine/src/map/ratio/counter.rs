//! Evaluates a rule: counters in, ratios with their evidence out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::counting::{Counting, Server};
use super::group::{Group, Risen};
use super::rule::{Counted, Parts, RatioRule};
use crate::map::recording::Measured;
use crate::metric::{Evidence, Labels, Timestamp};
use crate::promql::InstantSample;

/// Most ratios of one rule.
const MAX_GROUPS: usize = 1000;
/// How long the counts of a ratio without counters are kept at least.
const KEEP: Duration = Duration::from_secs(3600);
/// The label of bucket bounds.
const LE: &str = "le";

/// Counts the observations of a rule.
#[derive(Debug, Default)]
pub struct Counter {
    counting: Counting,
    groups: BTreeMap<Labels, Group>,
    /// Counters and ratios beyond the limits, at the last evaluation and since the start.
    refused: (usize, u64),
    /// Whether a series that the rule requires was there.
    proven: bool,
}

/// The state of a counter, to store it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    version: u32,
    counted: Counted,
    counters: Vec<(Labels, Server)>,
    ratios: Vec<(Labels, Group)>,
    #[serde(default)]
    proven: bool,
}

impl Memory {
    const VERSION: u32 = 1;
}

/// A counter's value, and the sides of the ratio that it belongs to.
#[derive(Debug, Default)]
struct Read {
    value: f64,
    is_numerator: bool,
    is_total: bool,
}

impl Counter {
    /// The number of ratios.
    #[must_use]
    pub fn ratios(&self) -> usize {
        self.groups.len()
    }

    /// The counters and ratios beyond the limits: at the last evaluation, and since the start.
    #[must_use]
    pub fn refused(&self) -> (usize, u64) {
        self.refused
    }

    /// Adds the values that the counters have at `at`, in the order of the rule's
    /// [expressions](RatioRule::expressions), and returns every ratio in order of its labels.
    ///
    /// # Errors
    /// If no ratio can be counted: buckets without bounds, or without the one that is asked for.
    pub fn observe(
        &mut self,
        rule: &RatioRule,
        values: &[Vec<InstantSample>],
        at: Timestamp,
    ) -> Result<Vec<Measured>, String> {
        let totals = match &rule.parts {
            Parts::Counters { total, .. } => total.len(),
            Parts::Histogram { .. } => 1,
        };
        let mut reads: BTreeMap<&Labels, Read> = BTreeMap::new();
        let counters = rule.counters().len();
        self.proven |= rule.requires.is_empty();
        self.proven |= values.iter().skip(counters).any(|found| !found.is_empty());
        for (index, samples) in values.iter().take(counters).enumerate() {
            for sample in samples.iter().filter(|sample| sample.value.is_finite()) {
                let read = reads.entry(&sample.labels).or_default();
                read.value = sample.value;
                read.is_total |= index < totals;
                read.is_numerator |= index >= totals;
            }
        }
        let (risen, refused) = self.risen(rule, reads, at);
        self.refused.0 = refused;
        self.refused.1 += refused as u64;
        let measured = self.add(rule, &risen, at);
        self.counting.forget(at, rule.window.max(KEEP));
        let keep = rule.window.max(KEEP);
        self.groups.retain(|_, group| at.since(group.seen) <= keep);
        measured
    }

    /// The increases by ratio, and how many counters and ratios have no place.
    fn risen(
        &mut self,
        rule: &RatioRule,
        reads: BTreeMap<&Labels, Read>,
        at: Timestamp,
    ) -> (BTreeMap<Labels, Risen>, usize) {
        let is_histogram = matches!(rule.parts, Parts::Histogram { .. });
        let mut by_group: BTreeMap<Labels, Risen> = BTreeMap::new();
        let mut by_server: BTreeMap<Labels, BTreeMap<String, f64>> = BTreeMap::new();
        let mut refused = 0;
        let mut new_groups = 0;
        let group_of = |labels: &Labels| labels.retain(|name| rule.by.iter().any(|by| by == name));
        for (series, read) in reads {
            let group = group_of(series);
            if !self.groups.contains_key(&group) && !by_group.contains_key(&group) {
                if self.groups.len() + new_groups >= MAX_GROUPS {
                    refused += 1;
                    continue;
                }
                new_groups += 1;
            }
            let risen = by_group.entry(group).or_default();
            let Some(rise) = self.counting.rise(series, read.value, at) else {
                refused += 1;
                continue;
            };
            if is_histogram {
                let bound = series.get(LE).unwrap_or_default().to_owned();
                let server = series.retain(|name| name != LE);
                by_server.entry(server).or_default().insert(bound, rise);
                continue;
            }
            risen.counts.numerator += if read.is_numerator { rise } else { 0.0 };
            risen.counts.denominator += if read.is_total { rise } else { 0.0 };
        }
        for (server, buckets) in by_server {
            by_group
                .entry(group_of(&server))
                .or_default()
                .buckets
                .push(buckets);
        }
        (by_group, refused)
    }

    fn add(
        &mut self,
        rule: &RatioRule,
        risen: &BTreeMap<Labels, Risen>,
        at: Timestamp,
    ) -> Result<Vec<Measured>, String> {
        let mut measured = Vec::with_capacity(risen.len());
        let mut problems = Vec::new();
        for (labels, risen) in risen {
            let group = self
                .groups
                .entry(labels.clone())
                .or_insert_with(|| Group::new(at));
            let (mut value, mut evidence) = group.add(rule, risen, at).unwrap_or_else(|why| {
                problems.push(why.clone());
                let evidence = Evidence {
                    insufficient: Some(why),
                    ..Evidence::default()
                };
                (f64::NAN, evidence)
            });
            if !self.proven {
                value = f64::NAN;
                evidence.unproven = Some(rule.unproven());
            }
            measured.push((labels.clone(), value, Arc::new(evidence)));
        }
        if problems.len() == measured.len()
            && let Some(first) = problems.into_iter().next()
        {
            return Err(first);
        }
        Ok(measured)
    }

    /// The counts, to restore them after a restart.
    #[must_use]
    pub fn memory(&self, rule: &RatioRule) -> Memory {
        let ratios = self.groups.iter();
        Memory {
            version: Memory::VERSION,
            counted: rule.counted(),
            counters: self.counting.store(),
            proven: self.proven,
            ratios: ratios
                .map(|(labels, group)| (labels.clone(), group.clone()))
                .collect(),
        }
    }

    /// Continues with stored counts.
    ///
    /// # Errors
    /// If they were stored by another version of this program or by a rule that counts something
    /// else.
    pub fn restore(&mut self, rule: &RatioRule, memory: Memory) -> Result<(), &'static str> {
        if memory.version != Memory::VERSION {
            return Err("another version counted it");
        }
        if memory.counted != rule.counted() {
            return Err("the rule counts something else now");
        }
        self.counting = Counting::restored(memory.counters);
        self.groups = memory.ratios.into_iter().collect();
        self.proven = memory.proven;
        Ok(())
    }
}
