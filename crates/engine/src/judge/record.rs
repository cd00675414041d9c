//! Records: by how much a value exceeds all values before it.

use serde::{Deserialize, Serialize};

use crate::metric::Direction;

/// The extremes of all values so far. The excess of a value is measured in units of their range.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Record {
    max: f64,
    min: f64,
    mean: f64,
    seen: u64,
}

/// The sum of the excesses above and below on the sides that the direction watches.
pub(super) fn watched(direction: Direction, (above, below): (f64, f64)) -> f64 {
    let up = if direction.watches_above() {
        above
    } else {
        0.0
    };
    let down = if direction.watches_below() {
        below
    } else {
        0.0
    };
    up + down
}

impl Record {
    /// The excess above the maximum and below the minimum so far.
    pub(super) fn excess(&self, u: f64) -> (f64, f64) {
        let range = self.max - self.min;
        if range > 0.0 {
            (
                ((u - self.max) / range).max(0.0),
                ((self.min - u) / range).max(0.0),
            )
        } else {
            (0.0, 0.0)
        }
    }

    /// The excess above the maximum and below the minimum so far; then adds the value.
    pub(super) fn both(&mut self, u: f64) -> (f64, f64) {
        let excess = self.excess(u);
        self.take(u);
        excess
    }

    /// The excess above the maximum so far; then adds the value and moves both extremes towards the
    /// mean by the share `decay`.
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    pub(super) fn up(&mut self, u: f64, decay: f64) -> f64 {
        let (above, _) = self.both(u);
        self.mean += (1.0 / self.seen as f64).max(0.001) * (u - self.mean);
        self.max -= decay * (self.max - self.mean);
        self.min += decay * (self.mean - self.min);
        above
    }

    /// The least and greatest value so far.
    pub(super) fn range(&self) -> (f64, f64) {
        (self.min, self.max)
    }

    /// Adds a value.
    pub(super) fn take(&mut self, u: f64) {
        if self.seen == 0 {
            (self.max, self.min) = (u, u);
        }
        self.seen += 1;
        self.max = self.max.max(u);
        self.min = self.min.min(u);
    }
}
