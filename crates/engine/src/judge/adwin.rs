//! `adwin`: an adaptive window that is cut where the means of its two parts differ.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::registry::Built;
use super::streaming::{Common, Core, Step, Streaming, TOO_FEW_SAMPLES};
use super::{
    Band, Level, Registry, Side, StrategyContext, ThresholdStrategy, Verdict, read_params,
};
use crate::describe::section;
use crate::metric::{Direction, Timestamp, rounded};

/// Most buckets of one size; of more, two are merged.
const PER_ROW: usize = 5;

section! {
    /// Adaptive windowing: a window that is cut where the means of its two parts differ.
    pub(super) struct AdwinParams {
        /// The confidence of a cut: the smaller, the fewer cuts.
        pub(super) delta: f64 = 0.002, between(0.0, 1.0);
        /// How many values lie between two tries of a cut.
        pub(super) clock: u32 = 32, within(1.0, 100_000.0);
        /// How many values come before the first try.
        pub(super) grace_period: u32 = 10, within(2.0, 100_000.0);
        /// The fewest values on either side of a cut.
        pub(super) min_window: u32 = 5, within(1.0, 100_000.0);
        /// In a list of events, the time after an anomaly in which only a higher score is another one.
        pub(super) cooldown: Duration = Duration::ZERO;
        /// Which side is bad.
        pub(super) direction: Option<Direction> = None, default_text("that of the rule");
    }
}

/// ADWIN (Bifet and Gavaldà 2007, "Learning from time-changing data with adaptive windowing") as
/// river 0.26 computes it.
///
/// O(log n) memory: 16 bytes for each of up to 6 log₂(n) buckets. Cuts are tried every `clock`
/// samples. A cut drops the oldest part, so a lasting shift is a single event.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Adwin {
    tick: u64,
    width: f64,
    total: f64,
    /// Sum of squared deviations from the mean.
    variance: f64,
    /// Row `i` has buckets of 2^i values, oldest first.
    rows: Vec<Vec<Bucket>>,
    /// The greatest ratio at the last try; above 1 is a cut.
    ratio: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Bucket {
    total: f64,
    variance: f64,
}

/// The number of values in a bucket of this row.
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

    /// Merges the two oldest buckets of every row that has too many.
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

    /// The greatest ratio of a difference of means to its bound, and that difference. Tries the
    /// cuts from the oldest on and stops at the first ratio above 1.
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
                if n0 < f64::from(params.min_window) || n1 < f64::from(params.min_window).max(1.0) {
                    continue;
                }
                let change = (self.total - u0) / n1 - u0 / n0;
                let m = 1.0 / (n0 - f64::from(params.min_window) + 1.0)
                    + 1.0 / (n1 - f64::from(params.min_window) + 1.0);
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
    const LEVEL: Level = Level::Unknown;
    type Params = AdwinParams;

    fn new(_params: &AdwinParams) -> Self {
        Self::default()
    }

    fn band(&self, params: &AdwinParams, _at: Timestamp, _direction: Direction) -> Option<Band> {
        let is_warm = self.width + 1.0 >= f64::from(params.grace_period);
        is_warm.then(|| Band::about(self.total / self.width))
    }

    fn assess(&mut self, params: &AdwinParams, step: Step) -> Verdict {
        self.insert(step.x);
        self.tick += 1;
        // Between two tries the score is that of the last one.
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
            return Verdict::warming_up(TOO_FEW_SAMPLES);
        }
        let mean = self.total / self.width;
        let side = Side::of(change);
        if !side.is_watched(step.direction) {
            score = score.min(1.0);
        }
        let band = Band::about(mean);
        Verdict::judged(score, Some(side), band, || {
            let word = side.as_str();
            Cow::Owned(format!(
                "the mean of the recent values, {}, has moved {word} the earlier one by {}",
                rounded(mean),
                rounded(change.abs())
            ))
        })
    }
}

pub(super) fn build(
    map: &Map<String, Value>,
    context: &StrategyContext,
    _registry: &Registry,
) -> Built {
    read_params::<AdwinParams, _>(map, |params, _| {
        let common = Common::new(context, params.direction, params.cooldown);
        Box::new(Streaming::<Adwin>::new(params, common)) as Box<dyn ThresholdStrategy>
    })
}
