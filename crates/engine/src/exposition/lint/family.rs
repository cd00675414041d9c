//! The lint rules within one metric family.

use std::collections::{HashMap, HashSet};

use super::finding::Lint;
use super::sample::Sample;
use crate::exposition::parse::{FamilyType, parse_value};

/// Labels in order of name.
type Pairs = Vec<(String, String)>;

/// The current family.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) name: String,
    pub(super) kind: FamilyType,
    pub(super) metadata: HashSet<String>,
    groups: Vec<Group>,
    /// The index of the group of a set of labels.
    places: HashMap<Pairs, usize>,
    seen: HashSet<Pairs>,
}

/// The samples that have equal labels apart from `le` or `quantile`.
#[derive(Debug, Default)]
struct Group {
    buckets: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<f64>,
    at: Option<i64>,
    samples: usize,
}

impl State {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    pub(super) fn has_samples(&self) -> bool {
        !self.groups.is_empty()
    }

    /// Whether samples of this family may have an exemplar.
    pub(super) fn may_have_exemplar(&self) -> bool {
        let kinds = [
            FamilyType::Counter,
            FamilyType::Histogram,
            FamilyType::GaugeHistogram,
        ];
        kinds.contains(&self.kind)
    }

    /// The label in which the samples of a group differ.
    fn inner_label(&self) -> &str {
        match self.kind {
            FamilyType::Histogram | FamilyType::GaugeHistogram => "le",
            FamilyType::Summary => "quantile",
            FamilyType::StateSet => &self.name,
            FamilyType::Unknown | FamilyType::Counter | FamilyType::Gauge | FamilyType::Info => "",
        }
    }

    /// Adds a sample and returns the rules it breaks.
    pub(super) fn sample(&mut self, sample: &Sample) -> Vec<Lint> {
        let mut found = Vec::new();
        let suffix = sample
            .name
            .strip_prefix(&*self.name)
            .unwrap_or("")
            .to_owned();
        found.extend(self.suffix_and_value(sample, &suffix));
        let identity: Vec<_> = sample
            .labels
            .iter()
            .cloned()
            .chain([(String::new(), sample.name.clone())])
            .collect();
        if !self.seen.insert(identity) && sample.at.is_none() {
            found.push(Lint::Repeated);
        }
        let inner = self.inner_label();
        let labels: Vec<_> = sample
            .labels
            .iter()
            .filter(|(name, _)| name != inner)
            .cloned()
            .collect();
        let place = *self.places.entry(labels).or_insert(self.groups.len());
        if place == self.groups.len() {
            self.groups.push(Group::default());
        }
        if place + 1 < self.groups.len() {
            found.push(Lint::Interleaved);
        }
        found.extend(self.groups[place].add(sample, &suffix));
        found
    }

    fn suffix_and_value(&self, sample: &Sample, suffix: &str) -> Option<Lint> {
        let value = sample.value;
        let count = value >= 0.0 && value.fract() == 0.0;
        let bad = |good: bool, lint| (!good).then_some(lint);
        match (self.kind, suffix) {
            (_, "_created") | (FamilyType::Unknown | FamilyType::Gauge, _) => None,
            (FamilyType::Counter, "_total") => bad(value >= 0.0, Lint::BadCount),
            (FamilyType::Histogram, "_sum") | (FamilyType::Summary, "_sum") => {
                bad(value >= 0.0, Lint::BadCount)
            }
            (FamilyType::GaugeHistogram, "_gsum") => bad(!value.is_nan(), Lint::BadCount),
            (FamilyType::Histogram | FamilyType::GaugeHistogram, "_bucket") => {
                match sample.label("le").map(|le| parse_value(le.as_bytes())) {
                    Some(Ok(bound)) if bound.is_finite() => bad(count, Lint::BadCount),
                    Some(Ok(_)) if sample.label("le") == Some("+Inf") => bad(count, Lint::BadCount),
                    _ => Some(Lint::BadLabel),
                }
            }
            (FamilyType::Histogram | FamilyType::Summary, "_count")
            | (FamilyType::GaugeHistogram, "_gcount") => bad(count, Lint::BadCount),
            (FamilyType::Summary, "") => {
                match sample.label("quantile").map(|q| parse_value(q.as_bytes())) {
                    Some(Ok(q)) if (0.0..=1.0).contains(&q) => {
                        bad(value >= 0.0 || value.is_nan(), Lint::BadCount)
                    }
                    _ => Some(Lint::BadLabel),
                }
            }
            (FamilyType::Info, "_info") => bad(is(value, 1.0), Lint::BadState),
            (FamilyType::StateSet, "") if sample.label(&self.name).is_none() => {
                Some(Lint::BadLabel)
            }
            (FamilyType::StateSet, "") => bad(is(value, 0.0) || is(value, 1.0), Lint::BadState),
            _ => Some(Lint::WrongSuffix),
        }
    }

    /// The rules that the complete family breaks.
    pub(super) fn finish(&self) -> Vec<Lint> {
        let buckets = matches!(
            self.kind,
            FamilyType::Histogram | FamilyType::GaugeHistogram
        );
        let mut found = Vec::new();
        for group in &self.groups {
            if buckets && !group.has_good_buckets() {
                found.push(Lint::BadBuckets);
            }
            if buckets && group.has_impossible_sum() {
                found.push(Lint::BadCount);
            }
            if buckets && group.sum.is_some() != group.count.is_some() {
                found.push(Lint::SumWithoutCount);
            }
        }
        found
    }
}

/// Whether a value is exactly a small integer.
fn is(value: f64, integer: f64) -> bool {
    value.to_bits() == integer.to_bits()
}

impl Group {
    fn add(&mut self, sample: &Sample, suffix: &str) -> Option<Lint> {
        match suffix {
            "_bucket" => {
                let bound = sample
                    .label("le")
                    .and_then(|le| parse_value(le.as_bytes()).ok());
                self.buckets.push((bound.unwrap_or(f64::NAN), sample.value));
            }
            "_sum" | "_gsum" => self.sum = Some(sample.value),
            "_count" | "_gcount" => self.count = Some(sample.value),
            _ => {}
        }
        let back = self.at.is_some() && sample.at.is_none_or(|at| Some(at) < self.at);
        let mixed = self.samples > 0 && self.at.is_none() && sample.at.is_some();
        self.at = sample.at;
        self.samples += 1;
        (back || mixed).then_some(Lint::Repeated)
    }

    /// Whether the sum is negative although all buckets are of positive values.
    fn has_impossible_sum(&self) -> bool {
        let positive = self.buckets.first().is_some_and(|(bound, _)| *bound >= 0.0);
        positive && self.sum.is_some_and(|sum| sum < 0.0)
    }

    /// Whether bounds ascend to `+Inf`, values do not fall, and the count equals the last value.
    fn has_good_buckets(&self) -> bool {
        let ascending = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
        let Some(last) = self.buckets.last() else {
            return self.count.is_none() && self.sum.is_none();
        };
        let complete = last.0 == f64::INFINITY;
        let counted = self.count.is_none_or(|count| is(count, last.1));
        complete && counted && self.buckets.windows(2).all(ascending)
    }
}
