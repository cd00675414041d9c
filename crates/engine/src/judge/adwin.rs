//! `adwin`: an adaptive window whose two halves have one mean.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::registry::Built;
use super::streaming::{Common, Core, Step, Streaming};
use super::{Band, Params, Registry, Side, StrategyContext, Verdict};
use crate::metric::rounded;

/// Buckets of one size before two are merged.
const PER_ROW: usize = 5;

#[derive(Debug, Clone)]
pub(super) struct AdwinParams {
    delta: f64,
    clock: u32,
    grace_period: u32,
    min_window: f64,
}

/// Bifet and Gavaldà (2007) as river 0.26 computes it: O(log n) memory, 16 bytes for each of up to 6 log₂(n) buckets; cuts are tried
/// every `clock` samples. A cut drops the oldest part, so a lasting shift ends as an event.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Adwin {
    tick: u64,
    width: f64,
    total: f64,
    /// Sum of squared deviations.
    variance: f64,
    /// Row `i` holds buckets of 2^i values, oldest first.
    rows: Vec<Vec<Bucket>>,
    /// How near the last try was to a cut.
    ratio: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Bucket {
    total: f64,
    variance: f64,
}

fn size(row: usize) -> f64 {
    2f64.powi(i32::try_from(row).unwrap_or(0))
}

impl Adwin {
    fn insert(&mut self, x: f64) {
        self.width += 1.0;
        if self.width > 1.0 {
            let before = self.width - 1.0;
            let distance = x - self.total / before;
            self.variance += before * distance * distance / self.width;
        }
        self.total += x;
        let bucket = Bucket {
            total: x,
            variance: 0.0,
        };
        self.put(0, bucket);
        self.compress();
    }

    fn put(&mut self, row: usize, bucket: Bucket) {
        if self.rows.len() == row {
            self.rows.push(Vec::with_capacity(PER_ROW + 1));
        }
        self.rows[row].push(bucket);
    }

    fn compress(&mut self) {
        let mut row = 0;
        while row < self.rows.len() && self.rows[row].len() > PER_ROW {
            let n = size(row);
            let (a, b) = (self.rows[row][0], self.rows[row][1]);
            let distance = a.total / n - b.total / n;
            let merged = Bucket {
                total: a.total + b.total,
                variance: a.variance + b.variance + n * distance * distance / 2.0,
            };
            self.rows[row].drain(..2);
            self.put(row + 1, merged);
            row += 1;
        }
    }

    fn drop_oldest(&mut self) {
        let Some(row) = self.rows.len().checked_sub(1) else {
            return;
        };
        let bucket = self.rows[row].remove(0);
        let n = size(row);
        self.width -= n;
        self.total -= bucket.total;
        if self.width > 0.0 {
            let distance = bucket.total / n - self.total / self.width;
            self.variance -=
                bucket.variance + n * self.width * distance * distance / (n + self.width);
        }
        while self.rows.last().is_some_and(Vec::is_empty) {
            self.rows.pop();
        }
    }

    /// The greatest ratio of a difference of means to its bound, in the order of the cuts until one is above 1; and its sign.
    fn strongest_cut(&self, params: &AdwinParams) -> (f64, f64) {
        let (mut n0, mut u0) = (0.0, 0.0);
        let mut best = (0.0, 0.0);
        let confidence = (2.0 * self.width.ln() / params.delta).ln();
        let variance = self.variance / self.width;
        for (row, buckets) in self.rows.iter().enumerate().rev() {
            for bucket in buckets {
                n0 += size(row);
                u0 += bucket.total;
                let n1 = self.width - n0;
                if n0 < params.min_window || n1 < params.min_window.max(1.0) {
                    continue;
                }
                let change = (self.total - u0) / n1 - u0 / n0;
                let m = 1.0 / (n0 - params.min_window + 1.0) + 1.0 / (n1 - params.min_window + 1.0);
                let bound =
                    (2.0 * m * variance * confidence).max(0.0).sqrt() + 2.0 / 3.0 * confidence * m;
                let ratio = change.abs() / bound;
                if ratio > best.0 {
                    best = (ratio, change);
                }
                if ratio > 1.0 {
                    return best;
                }
            }
        }
        best
    }
}

impl Core for Adwin {
    const KIND: &'static str = "adwin";
    type Params = AdwinParams;

    fn new(_params: &AdwinParams) -> Self {
        Self::default()
    }

    fn step(&mut self, params: &AdwinParams, step: Step) -> Verdict {
        self.insert(step.x);
        self.tick += 1;
        // Between two tries the distance to a cut is the last one's.
        let mut score = self.ratio.min(1.0);
        let mut change = 0.0;
        if self.tick.is_multiple_of(u64::from(params.clock))
            && self.width > f64::from(params.grace_period)
        {
            let first = self.strongest_cut(params);
            (score, change) = first;
            let mut cut = first.0;
            while cut > 1.0 {
                self.drop_oldest();
                cut = if self.width > 1.0 {
                    self.strongest_cut(params).0
                } else {
                    0.0
                };
            }
            self.ratio = cut;
        }
        if self.width < f64::from(params.grace_period) {
            return Verdict::warming_up("too few samples were seen");
        }
        let mean = self.total / self.width;
        let side = Side::of(change);
        if !side.is_watched(step.direction) {
            score = score.min(1.0);
        }
        let band = Band {
            centre: Some(mean),
            ..Band::default()
        };
        Verdict::judged(score, Some(side), band, || {
            let word = side.as_str();
            Cow::Owned(format!(
                "the mean of the recent values, {}, has moved {word} the earlier one by {}",
                rounded(mean),
                rounded(change.abs())
            ))
        })
    }

    fn heap(&self) -> usize {
        let buckets: usize = self.rows.iter().map(Vec::capacity).sum();
        buckets * size_of::<Bucket>() + self.rows.capacity() * size_of::<Vec<Bucket>>()
    }
}

pub(super) fn build(
    map: &Map<String, Value>,
    context: &StrategyContext,
    _registry: &Registry,
) -> Built {
    let mut params = Params::new(map);
    let read = AdwinParams {
        delta: params.between("delta", 0.002, 0.0, 1.0),
        clock: params.count("clock", 32, 1..=100_000),
        grace_period: params.count("grace_period", 10, 2..=100_000),
        min_window: f64::from(params.count("min_window", 5, 1..=100_000)),
    };
    let common = Common {
        direction: params.direction(context.direction),
        interval: context.interval,
        cooldown: params.count("cooldown", 0, 0..=100_000),
    };
    params.finish(Box::new(Streaming::<Adwin>::new(read, common)))
}
