//! One window against its reference.

use std::collections::HashMap;

use super::accumulate::parse_bound;
use super::null::Null;
use super::statistic::shannon;
use super::{Baseline, Histogram, Statistic};
use crate::metric::Evidence;

/// Buckets named in the evidence.
const TOP: usize = 3;
/// Null distributions kept; windows of one size share one.
const KEPT: usize = 64;

/// What a drift rule says about its statistic.
#[derive(Debug, Clone, PartialEq)]
pub struct DriftParams {
    /// The distance.
    pub statistic: Statistic,
    /// Probability of a false alarm in one window, between 0 and 1.
    pub alpha: f64,
    /// Observations without which there is no value.
    pub min_samples: u64,
    /// Whether the buckets are `le` bounds and not categories.
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

/// Measures drift and knows what the statistic shows by chance.
#[derive(Debug)]
pub struct Drift {
    params: DriftParams,
    nulls: HashMap<(u64, u64, u64), Null>,
}

impl Drift {
    /// A measure with these parameters.
    #[must_use]
    pub fn new(params: DriftParams) -> Self {
        Self {
            params,
            nulls: HashMap::new(),
        }
    }

    /// The bias-corrected value of a window, or `None` with the reason in the evidence.
    ///
    /// The value is the statistic less its mean without a change, never below 0. The evidence's critical value is on the same scale:
    /// above it lies a share of at most `alpha` of the windows without a change.
    #[expect(clippy::cast_possible_truncation, reason = "counts below 2^53")]
    #[expect(clippy::cast_sign_loss, reason = "counts are not negative")]
    pub fn observe(
        &mut self,
        current: &Histogram,
        reference: Option<&Baseline>,
    ) -> (Option<f64>, Evidence) {
        let samples = current.total().round() as u64;
        let mut evidence = Evidence {
            statistic: self.params.statistic.describe().to_owned(),
            samples,
            reference_samples: reference.map_or(0, |reference| reference.total().round() as u64),
            ..Evidence::default()
        };
        match self.counts(current, samples, reference) {
            Ok(counts) => {
                let value = self.measure(current, &counts, &mut evidence);
                (Some(value), evidence)
            }
            Err(why) => {
                evidence.insufficient = Some(why);
                (None, evidence)
            }
        }
    }

    fn counts(
        &self,
        current: &Histogram,
        samples: u64,
        reference: Option<&Baseline>,
    ) -> Result<Vec<f64>, String> {
        let reference = reference.ok_or("there is no reference yet")?;
        let min = self.params.min_samples.max(1);
        if samples < min {
            return Err(format!(
                "{samples} observations in the window, fewer than min_samples {min}"
            ));
        }
        if !self.params.ordered {
            return reference.aligned(&current.names, false);
        }
        reference.aligned(&current.names, true)
    }

    fn measure(&mut self, current: &Histogram, reference: &[f64], evidence: &mut Evidence) -> f64 {
        let statistic = self.params.statistic;
        let gaps = gaps(&current.names);
        let value = statistic.distance(&current.counts, reference, &gaps);
        let sizes = (coarse(evidence.samples), evidence.reference_samples.max(1));
        let alpha = self.params.alpha;
        let null = self.null(current, reference, sizes, &gaps);
        let bias = null.mean();
        let critical = null.critical(alpha) - bias;
        evidence.p_value = Some(null.p_value(value));
        // A critical value of 0 would make every score infinite.
        evidence.critical_value = Some(critical.max(1e-12));
        evidence.contributions = contributions(current, reference);
        (value - bias).max(0.0)
    }

    fn null(
        &mut self,
        current: &Histogram,
        reference: &[f64],
        (n, m): (u64, u64),
        gaps: &[f64],
    ) -> &Null {
        // A large reference alone gives the shares; otherwise both together, which is what is true without a change.
        let pooled: Vec<f64> = if m >= 20 * n {
            reference.to_vec()
        } else {
            current
                .counts
                .iter()
                .zip(reference)
                .map(|(c, r)| c + r)
                .collect()
        };
        // Pooled shares differ from window to window, a reference does not: only that one is worth keeping.
        let key = (
            n,
            m,
            if m >= 20 * n {
                fingerprint(reference)
            } else {
                fingerprint(&pooled)
            },
        );
        if self.nulls.len() >= KEPT && !self.nulls.contains_key(&key) {
            self.nulls.clear();
        }
        let statistic = self.params.statistic;
        self.nulls
            .entry(key)
            .or_insert_with(|| Null::simulate(statistic, &pooled, (n, m), gaps))
    }
}

/// Two significant binary digits fewer than exact, rounded down: a smaller sample has a higher critical value, so no alarm is added.
fn coarse(n: u64) -> u64 {
    let bits = n.checked_ilog2().unwrap_or(0);
    let step = 1_u64 << bits.saturating_sub(5);
    (n / step * step).max(1)
}

fn fingerprint(counts: &[f64]) -> u64 {
    counts.iter().fold(0xcbf2_9ce4_8422_2325, |hash, count| {
        (hash ^ count.to_bits()).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Widths between bucket bounds; observations beyond the last finite bound count at it. Categories are 1 apart.
fn gaps(names: &[String]) -> Vec<f64> {
    let bounds: Vec<Option<f64>> = names.iter().map(|name| parse_bound(name)).collect();
    let gap = |pair: &[Option<f64>]| match (pair[0], pair[1]) {
        (Some(low), Some(high)) if low.is_finite() && high.is_finite() => high - low,
        (Some(_), Some(_)) => 0.0,
        _ => 1.0,
    };
    bounds.windows(2).map(gap).collect()
}

/// The buckets with the greatest part of the divergence, most important first.
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
    let shown = parts.iter().take(TOP).filter(|part| part.0 > 0.0);
    shown
        .map(|(_, name, now, then)| {
            format!(
                "{name}: {:.1} % of observations, {:.1} % in the reference",
                100.0 * now,
                100.0 * then
            )
        })
        .collect()
}
