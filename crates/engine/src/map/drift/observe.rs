//! Compares one window with its reference.

use std::collections::VecDeque;

use super::histogram::parse_bound;
use super::null::Null;
use super::statistic::shannon;
use super::{Histogram, LearntReference, Statistic};
use crate::metric::Evidence;

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
    /// The probability of a false alarm in one window, between 0 and 1.
    pub alpha: f64,
    /// The fewest observations for which there is a value.
    pub min_samples: u64,
    /// Whether the buckets are `le` bounds rather than categories.
    pub ordered: bool,
}

impl Default for DriftParams {
    fn default() -> Self {
        Self {
            statistic: Statistic::JensenShannon,
            alpha: 0.01,
            min_samples: 500,
            ordered: true,
        }
    }
}

/// Measures drift and corrects it for the bias of the statistic.
#[derive(Debug)]
pub(crate) struct Drift {
    params: DriftParams,
    /// A cache, most recently used first.
    nulls: VecDeque<CachedNull>,
}

/// A simulated distribution and the parameters of the simulation.
#[derive(Debug)]
struct CachedNull {
    sizes: (u64, u64),
    shares: Vec<f64>,
    gaps: Vec<f64>,
    null: Null,
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

impl Drift {
    /// A measure with these parameters.
    pub(crate) fn new(params: DriftParams) -> Self {
        Self {
            params,
            nulls: VecDeque::new(),
        }
    }

    /// The bias-corrected value of a window, or `None` with the reason in the evidence.
    ///
    /// The value is the statistic minus its mean without a change, at least 0. The critical value
    /// in the evidence is on the same scale; without a change at most a share `alpha` of the
    /// windows exceeds it.
    #[expect(clippy::cast_possible_truncation, reason = "counts below 2^53")]
    #[expect(clippy::cast_sign_loss, reason = "counts are not negative")]
    pub(crate) fn observe(
        &mut self,
        current: &Histogram,
        reference: Option<&LearntReference>,
    ) -> (Option<f64>, Evidence) {
        let samples = current.total().round() as u64;
        let mut evidence = Evidence {
            statistic: self.params.statistic.describe().to_owned(),
            samples,
            reference_samples: reference.map_or(0, |reference| reference.total().round() as u64),
            ..Evidence::default()
        };
        match self.aligned(current, samples, reference) {
            Ok((current, reference)) => {
                let value = self.measure(&current, &reference, &mut evidence);
                (Some(value), evidence)
            }
            Err(why) => {
                evidence.insufficient = Some(why);
                (None, evidence)
            }
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

    fn measure(&mut self, current: &Histogram, reference: &[f64], evidence: &mut Evidence) -> f64 {
        let statistic = self.params.statistic;
        let gaps = gaps(&current.names, self.params.ordered);
        let value = statistic.distance(&current.counts, reference, &gaps);
        let sizes = (coarse(evidence.samples), evidence.reference_samples.max(1));
        let alpha = self.params.alpha;
        let null = self.null(&pooled(&current.counts, reference, sizes), sizes, &gaps);
        let bias = null.mean();
        let critical = null.critical(alpha) - bias;
        evidence.p_value = Some(null.p_value(value));
        // A critical value of 0 would make every score infinite.
        evidence.critical_value = Some(critical.max(1e-12));
        evidence.contributions = contributions(current, reference);
        (value - bias).max(0.0)
    }

    /// The null distribution for these parameters, from the cache where it is there.
    fn null(&mut self, shares: &[f64], sizes: (u64, u64), gaps: &[f64]) -> &Null {
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
                null: Null::simulate(self.params.statistic, shares, sizes, gaps),
            });
        self.nulls.truncate(MAX_NULLS - 1);
        self.nulls.push_front(cached);
        &self.nulls[0].null
    }
}

/// The shares that both samples have if nothing has changed, estimated from both, or from a much
/// larger reference alone.
fn pooled(current: &[f64], reference: &[f64], (n, m): (u64, u64)) -> Vec<f64> {
    if m >= 20 * n {
        return reference.to_vec();
    }
    current.iter().zip(reference).map(|(c, r)| c + r).collect()
}

/// Rounds down to six significant binary digits, so that the cache has few sizes. A smaller sample
/// has a higher critical value, so this adds no false alarms.
fn coarse(n: u64) -> u64 {
    let bits = n.checked_ilog2().unwrap_or(0);
    let step = 1_u64 << bits.saturating_sub(5);
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
fn contributions(current: &Histogram, reference: &[f64]) -> Vec<String> {
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
            format!(
                "{name}: {:.1} % of observations, {:.1} % in the reference",
                100.0 * now,
                100.0 * then
            )
        })
        .collect()
}
