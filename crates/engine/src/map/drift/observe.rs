//! Compares one window with its reference.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::histogram::parse_bound;
use super::moved::{by_counting, moved};
use super::null::Null;
use super::statistic::shannon;
use super::{Histogram, LearntReference, Spread, Statistic};
use crate::metric::{Evidence, Moved, percent};

/// A window differs from the reference if it differs by this many times as much as any piece of the
/// reference differed from the others.
const RANGE: f64 = 1.25;
/// Most buckets listed in the evidence.
const MAX_CONTRIBUTIONS: usize = 3;
/// Most null distributions in the cache.
const MAX_NULLS: usize = 256;
/// Shares whose total variation distance is below this use the same null distribution.
const SAME_SHARES: f64 = 0.01;

/// The parameters of a drift rule's statistic.
#[derive(Debug, Clone, PartialEq)]
pub struct DriftParams {
    /// The distance.
    pub statistic: Statistic,
    /// The probability of a false alarm in one evaluation of all distributions, between 0 and 1.
    pub alpha: f64,
    /// The fewest observations for which there is a value.
    pub min_samples: u64,
    /// Whether the buckets are `le` bounds rather than categories.
    pub ordered: bool,
    /// The least share of observations that must have moved, 0 to 1.
    pub min_effect: f64,
}

impl Default for DriftParams {
    fn default() -> Self {
        Self {
            statistic: Statistic::JensenShannon,
            alpha: 0.01,
            min_samples: 500,
            ordered: true,
            min_effect: 0.02,
        }
    }
}

/// Measures drift and corrects it for the bias of the statistic.
#[derive(Debug)]
pub(crate) struct Drift {
    params: DriftParams,
    /// The label that tells the buckets apart.
    bucket: String,
    /// A cache, most recently used first.
    nulls: VecDeque<CachedNull>,
}

/// A simulated distribution and the parameters of the simulation.
#[derive(Debug)]
struct CachedNull {
    sizes: (u64, u64),
    shares: Vec<f64>,
    gaps: Vec<f64>,
    null: Arc<Null>,
}

impl CachedNull {
    /// Whether this distribution can be used for these parameters.
    fn fits(&self, sizes: (u64, u64), shares: &[f64], gaps: &[f64]) -> bool {
        self.sizes == sizes
            && self.gaps == gaps
            && self.shares.len() == shares.len()
            && Statistic::TotalVariation.distance(&self.shares, shares, gaps) < SAME_SHARES
    }
}

/// The distance of one window from its reference, before it is known how many others there are.
#[derive(Debug)]
pub(super) struct Measured {
    value: f64,
    /// The share of observations that moved, beyond what counting explains.
    moved: f64,
    /// What counting explains of it.
    by_counting: f64,
    spread: Spread,
    null: Arc<Null>,
    evidence: Evidence,
}

/// A measured window, or the evidence that says why there is no value.
pub(super) type Outcome = Result<Measured, Box<Evidence>>;

impl Measured {
    /// The probability of at least this value without a change.
    pub(super) fn p_value(&self) -> f64 {
        self.null.statistic.p_value(self.value)
    }

    /// The bias-corrected value and its evidence, judged at this level.
    ///
    /// The value is the statistic minus its mean without a change, at least 0. The critical value
    /// is on the same scale; without a change at most a share `level` of the windows exceeds it.
    pub(super) fn at_level(self, level: f64, min_effect: f64) -> (f64, Evidence) {
        let bias = self.null.statistic.mean();
        let critical = self.null.statistic.critical(level) - bias;
        let range = RANGE * self.spread.range;
        let by_chance = self.null.moved.critical(level) - self.by_counting;
        let evidence = Evidence {
            p_value: Some(self.p_value()),
            // A critical value of 0 would make every score infinite.
            critical_value: Some(critical.max(1e-12)),
            moved: Some(Moved {
                share: self.moved,
                chance: by_chance.max(range).min(1.0),
                least: min_effect.max(range),
            }),
            ..self.evidence
        };
        ((self.value - bias).max(0.0), evidence)
    }
}

impl Drift {
    /// A measure with these parameters, for buckets with this label.
    pub(crate) fn new(params: DriftParams, bucket: &str) -> Self {
        Self {
            params,
            bucket: bucket.to_owned(),
            nulls: VecDeque::new(),
        }
    }

    /// Measures a window, or returns the evidence that says why there is no value.
    pub(super) fn measure(
        &mut self,
        current: &Histogram,
        reference: Option<&LearntReference>,
        window: Duration,
    ) -> Outcome {
        let evidence = Evidence {
            statistic: self.params.statistic.describe().to_owned(),
            samples: whole(current.total()),
            reference_samples: reference.map_or(0, |reference| whole(reference.total())),
            window: Some(window),
            ..Evidence::default()
        };
        let spread = reference.and_then(LearntReference::spread);
        match self.aligned(current, evidence.samples, reference) {
            Ok((current, reference)) => {
                let spread = spread.unwrap_or(Spread::ASSUMED);
                Ok(self.compare(&current, &reference, spread, evidence))
            }
            Err(why) => Err(Box::new(Evidence {
                insufficient: Some(why),
                ..evidence
            })),
        }
    }

    /// The window and the reference over the same buckets, or why there is no value.
    fn aligned(
        &self,
        current: &Histogram,
        samples: u64,
        reference: Option<&LearntReference>,
    ) -> Result<(Histogram, Vec<f64>), String> {
        let reference = reference.ok_or("there is no reference yet")?;
        let min = self.params.min_samples.max(1);
        if samples < min {
            return Err(format!(
                "{samples} observations in the window, fewer than min_samples {min}"
            ));
        }
        reference.aligned(current, self.params.ordered)
    }

    fn compare(
        &mut self,
        current: &Histogram,
        reference: &[f64],
        spread: Spread,
        evidence: Evidence,
    ) -> Measured {
        let gaps = gaps(&current.names, self.params.ordered);
        let counts = &current.counts;
        // Observations that are alike count for fewer.
        let independent = |total: f64| whole(total / spread.overdispersion).max(1);
        let sizes = (
            coarse(independent(current.total()), 6),
            coarse(independent(reference.iter().sum()), 10),
        );
        Measured {
            value: self.params.statistic.distance(counts, reference, &gaps),
            moved: moved(counts, reference),
            by_counting: by_counting(counts, reference),
            null: self.null(&pooled(counts, reference, sizes), sizes, &gaps),
            spread,
            evidence: Evidence {
                contributions: contributions(&self.bucket, current, reference),
                ..evidence
            },
        }
    }

    /// The null distribution for these parameters, from the cache where it is there.
    fn null(&mut self, shares: &[f64], sizes: (u64, u64), gaps: &[f64]) -> Arc<Null> {
        let found = self
            .nulls
            .iter()
            .position(|cached| cached.fits(sizes, shares, gaps));
        let cached = found
            .and_then(|index| self.nulls.remove(index))
            .unwrap_or_else(|| CachedNull {
                sizes,
                shares: shares.to_vec(),
                gaps: gaps.to_vec(),
                null: Arc::new(Null::simulate(self.params.statistic, shares, sizes, gaps)),
            });
        let null = Arc::clone(&cached.null);
        self.nulls.truncate(MAX_NULLS - 1);
        self.nulls.push_front(cached);
        null
    }
}

#[expect(clippy::cast_possible_truncation, reason = "counts below 2^53")]
#[expect(clippy::cast_sign_loss, reason = "counts are not negative")]
fn whole(count: f64) -> u64 {
    count.round() as u64
}

/// The shares that both samples have if nothing has changed, estimated from both, or from a much
/// larger reference alone.
fn pooled(current: &[f64], reference: &[f64], (n, m): (u64, u64)) -> Vec<f64> {
    if m >= 20 * n {
        return reference.to_vec();
    }
    current.iter().zip(reference).map(|(c, r)| c + r).collect()
}

/// Rounds down to so many significant binary digits, so that the cache has few sizes. A smaller
/// sample has a higher critical value, so this adds no false alarms.
fn coarse(n: u64, digits: u32) -> u64 {
    let bits = n.checked_ilog2().unwrap_or(0);
    let step = 1_u64 << (bits + 1).saturating_sub(digits);
    (n / step * step).max(1)
}

/// The widths between bucket bounds. Observations beyond the last finite bound are treated as equal
/// to it; categories are 1 apart.
fn gaps(names: &[String], ordered: bool) -> Vec<f64> {
    if !ordered {
        return vec![1.0; names.len().saturating_sub(1)];
    }
    let bounds: Vec<Option<f64>> = names.iter().map(|name| parse_bound(name)).collect();
    let gap = |pair: &[Option<f64>]| match (pair[0], pair[1]) {
        (Some(low), Some(high)) if low.is_finite() && high.is_finite() => high - low,
        (Some(_), Some(_)) => 0.0,
        _ => 1.0,
    };
    bounds.windows(2).map(gap).collect()
}

/// The buckets that contribute most to the Jensen–Shannon divergence, most important first.
fn contributions(bucket: &str, current: &Histogram, reference: &[f64]) -> Vec<String> {
    let (n, m): (f64, f64) = (current.total(), reference.iter().sum());
    let mut parts: Vec<_> = current
        .names
        .iter()
        .zip(&current.counts)
        .zip(reference)
        .map(|((name, c), r)| (shannon(c / n, r / m), name.as_str(), c / n, r / m))
        .collect();
    parts.sort_by(|a, b| b.0.total_cmp(&a.0));
    parts
        .iter()
        .take(MAX_CONTRIBUTIONS)
        .filter(|part| part.0 > 0.0)
        .map(|(_, name, now, then)| {
            format!("{bucket} {name} {} → {} %", percent(*then), percent(*now))
        })
        .collect()
}
