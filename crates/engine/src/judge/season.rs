//! The usual level of each hour of the day or of the week, in UTC.

use serde::{Deserialize, Serialize};

use crate::metric::Timestamp;

/// The period after which levels repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Period {
    Day,
    Week,
}

impl Period {
    fn hours(self) -> usize {
        match self {
            Self::Day => 24,
            Self::Week => 168,
        }
    }

    fn bin(self, at: Timestamp) -> usize {
        let hour = at.as_millis().div_euclid(3_600_000);
        hour.rem_euclid(self.hours() as i64) as usize
    }
}

/// A level and an offset for each hour. The residual of a value is its difference from their sum.
///
/// `r = x − (L + c/(c+3) S_b)` for the hour `b` seen `c` times. What is learned from a value is
/// clipped at four mean absolute residuals, so that an incident does not change the expectation one
/// period later.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Season {
    period: Period,
    rate: f64,
    offsets: Vec<f64>,
    counts: Vec<f64>,
    level: f64,
    spread: f64,
    seen: u64,
}

/// Residuals are clipped at this many mean absolute residuals.
const CLIP: f64 = 4.0;
/// The rate at which the level and the spread are learned.
const LEVEL_RATE: f64 = 0.005;

impl Season {
    /// Seasonal levels whose offsets are learned at `rate`.
    pub(super) fn new(period: Period, rate: f64) -> Self {
        Self {
            period,
            rate,
            offsets: vec![0.0; period.hours()],
            counts: vec![0.0; period.hours()],
            level: 0.0,
            spread: 0.0,
            seen: 0,
        }
    }

    /// The expected value at a time.
    pub(super) fn expected(&self, at: Timestamp) -> f64 {
        let bin = self.period.bin(at);
        self.level + self.counts[bin] / (self.counts[bin] + 3.0) * self.offsets[bin]
    }

    /// The mean absolute residual.
    pub(super) fn spread(&self) -> f64 {
        self.spread
    }

    /// The residual of a value, which is then learned.
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    pub(super) fn residual(&mut self, at: Timestamp, x: f64) -> f64 {
        if self.seen == 0 {
            self.level = x;
        }
        self.seen += 1;
        let share = 1.0 / self.seen as f64;
        let residual = x - self.expected(at);
        let clip = if self.seen > 100 && self.spread > 0.0 {
            CLIP * self.spread
        } else {
            f64::MAX
        };
        let bin = self.period.bin(at);
        self.counts[bin] += 1.0;
        let rate = self.rate.max(1.0 / self.counts[bin]);
        self.offsets[bin] += rate * (x - self.level - self.offsets[bin]).clamp(-clip, clip);
        self.level += LEVEL_RATE.max(share) * residual.clamp(-clip, clip);
        self.spread += LEVEL_RATE.max(share) * (residual.abs().min(clip) - self.spread);
        residual
    }

    /// The bytes of its state on the heap.
    #[cfg(test)]
    pub(super) fn heap(&self) -> usize {
        (self.offsets.capacity() + self.counts.capacity()) * size_of::<f64>()
    }

    /// Whether a restored state has the hours of its period.
    pub(super) fn is_intact(&self) -> bool {
        self.offsets.len() == self.period.hours() && self.counts.len() == self.period.hours()
    }
}
