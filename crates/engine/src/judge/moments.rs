//! The exponentially weighted mean and variance behind `ewma`, with a start that a slow first
//! minute does not spoil.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::band_params::EwmaParams;
use super::mad::{TO_SIGMA, median_distance};
use super::pace::weight;
use super::streaming::TOO_FEW_SAMPLES;
use super::usual::Weighed;
use super::{Band, Side, Verdict};
use crate::metric::rounded;

/// At most this many of the first values are kept.
const START: usize = 50;
/// Leading values that are further than this many robust standard deviations from the median of the
/// first values are left out.
const LEADING: f64 = 6.0;
/// While the state is young, so many values inside the band are compared with it at a time.
const BLOCK: u32 = 50;
/// The state is replaced if its variance is more than this many times that of the block.
const INFLATED: f64 = 16.0;
/// So many consecutive values outside the band show that the level has changed.
const LEFT: u64 = 3;
/// A block is short, so its variance is doubled.
const SPARE: f64 = 2.0;
/// The state is young until it has seen this many times the number of values that it remembers,
/// which is `1/alpha`.
const YOUTH: f64 = 2.0;

/// What `ewma` has learned of one series. O(1); under 150 bytes after the first values, and 400
/// more until then.
///
/// 1. The first values are kept. Their mean and variance are used, without leading values far from
///    the rest: a model that loads, or a cold cache.
/// 2. Then the recursion goes on from there.
/// 3. If all first values were slow, or slow and usual ones were mixed, the variance is far too
///    large. While the state is young, blocks of consecutive values inside the band replace it if
///    their variance is much smaller. The first block whose variance is similar ends that: the
///    series varies as much as the state says, and a quiet night later on is no reason to forget it,
///    unless consecutive values outside the band show that the level has changed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Moments {
    seen: u32,
    mean: f64,
    variance: f64,
    /// Consecutive anomalous samples: positive above the band, negative below it.
    run: i64,
    start: Vec<f64>,
    block: Block,
    /// Whether a block varied about as much as the state says.
    #[serde(default)]
    settled: bool,
}

/// The mean and the sum of squared deviations of consecutive values (Welford).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Block {
    count: u32,
    mean: f64,
    squares: f64,
    last: f64,
    /// How many values differ from the one before.
    changes: u32,
}

impl Block {
    fn add(&mut self, x: f64) {
        self.count += 1;
        self.changes += u32::from(x.to_bits() != self.last.to_bits());
        self.last = x;
        let d = x - self.mean;
        self.mean += d / f64::from(self.count);
        self.squares += d * (x - self.mean);
    }

    fn variance(&self) -> f64 {
        self.squares / f64::from(self.count)
    }

    /// Whether most values repeat the one before. A count that stays 0 at night says nothing about
    /// how much the series varies.
    fn is_idle(&self) -> bool {
        self.changes * 2 < self.count
    }
}

impl Moments {
    /// The verdict on a value; it is not learned.
    pub(super) fn assess(&self, params: &EwmaParams, value: &Weighed) -> Verdict {
        let Some(band) = self.band(params) else {
            return Verdict::warming_up(TOO_FEW_SAMPLES);
        };
        let d = value.nearest(self.mean) - self.mean;
        let side = Side::of(d);
        let z = d.abs() / self.deviation(params);
        let score = if side.is_watched(params.direction) {
            z / params.k_sigma
        } else {
            0.0
        };
        Verdict::judged(score, Some(side), band, || {
            let word = side.as_str();
            Cow::Owned(format!(
                "{} is {z:.1} standard deviations {word} the mean {}",
                value.shown(),
                rounded(self.mean)
            ))
        })
    }

    /// The band before the next value; `None` while warming up.
    pub(super) fn band(&self, params: &EwmaParams) -> Option<Band> {
        let width = params.k_sigma * self.deviation(params);
        self.is_warm(params)
            .then(|| Band::around(self.mean, width, params.direction))
    }

    /// Learns a value that came `steps` steps after the last one.
    pub(super) fn learn(&mut self, params: &EwmaParams, value: &Weighed, steps: i32) {
        let x = value.x;
        let is_warm = self.is_warm(params);
        let d = x - self.mean;
        let sigma = self.deviation(params);
        let nearest = value.nearest(self.mean) - self.mean;
        let is_outside = is_warm && nearest.abs() / sigma > params.k_sigma;
        let clip = if is_warm {
            params.clip_sigma * sigma
        } else {
            f64::MAX
        };
        let taught = d.clamp(-clip, clip);
        if (self.seen as usize) < start_length(params) {
            self.keep(params, if is_warm { self.mean + taught } else { x });
        } else {
            self.update(params.alpha, taught, steps);
            self.tighten(params, x, is_outside);
        }
        // Deviations on the side that is not watched count too, so that the level follows them.
        self.count_run(params, is_outside.then(|| Side::of(d)));
    }

    fn is_warm(&self, params: &EwmaParams) -> bool {
        self.seen >= params.warm_up
    }

    /// The standard deviation, at least the configured minimum.
    fn deviation(&self, params: &EwmaParams) -> f64 {
        self.variance.sqrt().max(floor(params, self.mean))
    }

    /// Keeps one of the first values. The mean and the variance are needed once the strategy is
    /// warm, or goes on with the recursion.
    fn keep(&mut self, params: &EwmaParams, x: f64) {
        self.start.push(x);
        self.seen += 1;
        let is_full = self.start.len() >= start_length(params);
        if is_full || self.is_warm(params) {
            (self.mean, self.variance) = settled(&self.start, params);
        }
        if is_full {
            self.start = Vec::new();
        }
    }

    fn update(&mut self, alpha: f64, d: f64, steps: i32) {
        self.seen = self.seen.saturating_add(1);
        let alpha = weight(alpha, steps).max(1.0 / f64::from(self.seen));
        self.mean += alpha * d;
        self.variance = (1.0 - alpha) * (self.variance + alpha * d * d);
    }

    /// Replaces an inflated variance, and the mean that belongs to it.
    fn tighten(&mut self, params: &EwmaParams, x: f64, is_outside: bool) {
        if f64::from(self.seen) * params.alpha > YOUTH {
            return;
        }
        if is_outside {
            self.block = Block::default();
            self.settled &= self.run.unsigned_abs() < LEFT;
            return;
        }
        if self.settled {
            return;
        }
        self.block.add(x);
        if self.block.count < BLOCK {
            return;
        }
        let block = std::mem::take(&mut self.block);
        if block.is_idle() {
            return;
        }
        let variance = block.variance();
        let least = variance.max(floor(params, block.mean).powi(2));
        if self.variance <= INFLATED * least {
            let shift = block.mean - self.mean;
            self.settled = shift * shift <= self.variance.max(least);
        } else {
            (self.mean, self.variance) = (block.mean, SPARE * variance);
        }
    }

    /// Counts consecutive anomalous samples on one side; after `relearn_after` of them starts from
    /// the initial state.
    fn count_run(&mut self, params: &EwmaParams, side: Option<Side>) {
        self.run = match side {
            Some(Side::Above) => self.run.max(0) + 1,
            Some(Side::Below) => self.run.min(0) - 1,
            None => 0,
        };
        if self.run.unsigned_abs() >= u64::from(params.relearn_after) {
            *self = Self::default();
        }
    }
}

/// The least standard deviation around this mean.
fn floor(params: &EwmaParams, mean: f64) -> f64 {
    params.min_deviation + params.min_relative_deviation * mean.abs()
}

/// How many of the first values are kept: those of the warm-up, or as many as the recursion
/// remembers, and at most [`START`].
fn start_length(params: &EwmaParams) -> usize {
    let remembered = (1.0 / params.alpha).ceil().min(START as f64) as usize;
    remembered.max(params.warm_up as usize).min(START)
}

/// The mean and the variance of the first values without those at their beginning that are far from
/// the median.
#[expect(clippy::cast_precision_loss, reason = "at most START values")]
fn settled(start: &[f64], params: &EwmaParams) -> (f64, f64) {
    let mut sorted = start.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let median = f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]);
    let sigma = (TO_SIGMA * median_distance(&sorted, median)).max(floor(params, median));
    let is_near = |x: &f64| (x - median).abs() <= LEADING * sigma;
    let rest = &start[start.iter().position(is_near).unwrap_or(0)..];
    let count = rest.len() as f64;
    let mean = rest.iter().sum::<f64>() / count;
    let squares: f64 = rest.iter().map(|x| (x - mean) * (x - mean)).sum();
    (mean, squares / count)
}
