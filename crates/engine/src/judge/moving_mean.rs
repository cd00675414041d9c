//! The recent level of a series: an exponentially weighted mean and variance.

use serde::{Deserialize, Serialize};

/// The weight of a value, once there are enough of them.
const ALPHA: f64 = 0.005;
/// Values that are learned before the first is measured.
const WARM_UP: u32 = 50;
/// A value teaches no more than this many standard deviations.
const CLIP: f64 = 6.0;
/// A value further away than this counts towards starting over.
const FAR: f64 = 5.0;
/// So many far values in a row on one side start the level over.
const RELEARN_AFTER: u64 = 50;

/// The recursion of `ewma` with its default parameters, one step for every value.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct MovingMean {
    seen: u32,
    mean: f64,
    variance: f64,
    /// Consecutive far values: positive above the mean, negative below it.
    run: i64,
}

impl MovingMean {
    /// Whether enough values were learned to measure another.
    pub(super) fn is_warm(&self) -> bool {
        self.seen >= WARM_UP
    }

    /// How far a value is above the mean; the first value is the mean.
    pub(super) fn distance(&self, x: f64) -> f64 {
        if self.seen == 0 { 0.0 } else { x - self.mean }
    }

    /// The mean.
    pub(super) fn mean(&self) -> f64 {
        self.mean
    }

    /// The least standard deviation.
    pub(super) fn floor(&self) -> f64 {
        1e-9 + 1e-3 * self.mean.abs()
    }

    /// The standard deviation, at least the floor.
    pub(super) fn deviation(&self) -> f64 {
        self.variance.sqrt().max(self.floor())
    }

    /// Learns a value.
    pub(super) fn learn(&mut self, x: f64) {
        if self.seen == 0 {
            self.mean = x;
        }
        let distance = self.distance(x);
        if !self.is_warm() {
            self.move_by(distance);
            return;
        }
        let deviation = self.deviation();
        let clip = CLIP * deviation;
        self.move_by(distance.clamp(-clip, clip));
        let z = distance / deviation;
        self.run = if z > FAR {
            self.run.max(0) + 1
        } else if z < -FAR {
            self.run.min(0) - 1
        } else {
            0
        };
        if self.run.unsigned_abs() >= RELEARN_AFTER {
            *self = Self::default();
        }
    }

    fn move_by(&mut self, distance: f64) {
        self.seen = self.seen.saturating_add(1);
        let alpha = ALPHA.max(1.0 / f64::from(self.seen));
        self.mean += alpha * distance;
        self.variance = (1.0 - alpha) * (self.variance + alpha * distance * distance);
    }
}
