//! The values of one version of a model.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::metric::{Direction, Timestamp};

/// A difference is clear beyond so many standard errors, and beyond this share of the mean before.
const CLEAR: (f64, f64) = (3.0, 0.01);

/// How a new version compares with the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Its values are clearly nearer to normal.
    Better,
    /// There is no clear difference to the good.
    NoBetter,
    /// Its values are clearly further from normal.
    Worse,
}

/// Mean and spread of independent values (Welford 1962).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Summary {
    count: u32,
    mean: f64,
    /// The sum of squared distances from the mean.
    squares: f64,
    last: Option<Timestamp>,
}

impl Hash for Summary {
    /// Mean and spread change with the number of values only.
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.count, self.last).hash(state);
    }
}

impl Summary {
    /// Adds a value, unless it covers a part of the time that the last one covers.
    pub(super) fn add(&mut self, value: f64, at: Timestamp, window: Duration) {
        let overlaps = self.last.is_some_and(|last| at < last + window);
        if overlaps || !value.is_finite() {
            return;
        }
        self.last = Some(at);
        self.count = self.count.saturating_add(1);
        let distance = value - self.mean;
        self.mean += distance / f64::from(self.count);
        self.squares += distance * (value - self.mean);
    }

    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The mean; `None` without a value.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// The time of the last value.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// How these values compare with others, given the side that is bad. The standard error of the
    /// difference is that of two means with a common variance.
    pub(super) fn compared_with(&self, before: &Self, direction: Direction) -> Comparison {
        if self.count == 0 || before.count == 0 {
            return Comparison::NoBetter;
        }
        let improvement = match direction {
            Direction::Below => self.mean - before.mean,
            Direction::Above => before.mean - self.mean,
            // The values of both are anomalous, and nothing says on which side normal is.
            Direction::Both => return Comparison::NoBetter,
        };
        let freedom = (self.count + before.count).saturating_sub(2).max(1);
        let variance = (self.squares + before.squares) / f64::from(freedom);
        let error = variance * (f64::from(self.count).recip() + f64::from(before.count).recip());
        let clear = (CLEAR.0 * error.sqrt()).max(CLEAR.1 * before.mean.abs());
        if improvement > clear {
            Comparison::Better
        } else if improvement < -clear {
            Comparison::Worse
        } else {
            Comparison::NoBetter
        }
    }

    pub(super) fn set_back(&mut self, by: Duration) {
        self.last = self.last.map(|at| at - by);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Comparison, Summary};
    use crate::metric::{Direction, Timestamp};

    fn summary(values: &[f64]) -> Summary {
        let mut summary = Summary::default();
        for (n, value) in (0..).zip(values) {
            summary.add(
                *value,
                Timestamp::from_millis(n * 60_000),
                Duration::from_secs(60),
            );
        }
        summary
    }

    #[test]
    fn a_clear_difference_has_a_side_and_noise_has_none() {
        let before = summary(&[0.880, 0.884, 0.876, 0.881, 0.879]);
        let compare = |values: &[f64]| summary(values).compared_with(&before, Direction::Below);
        assert_eq!(
            compare(&[0.90, 0.905, 0.897, 0.901, 0.9]),
            Comparison::Better
        );
        assert_eq!(
            compare(&[0.882, 0.879, 0.885, 0.878, 0.88]),
            Comparison::NoBetter
        );
        assert_eq!(
            compare(&[0.75, 0.751, 0.76, 0.748, 0.75]),
            Comparison::Worse
        );
        let latency = summary(&[100.0, 101.0]);
        let slower = summary(&[300.0, 310.0]);
        assert_eq!(
            slower.compared_with(&latency, Direction::Above),
            Comparison::Worse
        );
        assert_eq!(
            slower.compared_with(&latency, Direction::Both),
            Comparison::NoBetter
        );
        assert_eq!(
            Summary::default().compared_with(&latency, Direction::Above),
            Comparison::NoBetter
        );
    }

    #[test]
    fn values_of_overlapping_windows_are_one_witness() {
        let mut summary = Summary::default();
        for n in 0..60 {
            summary.add(
                0.9,
                Timestamp::from_millis(n * 15_000),
                Duration::from_secs(600),
            );
        }
        assert_eq!(summary.count(), 2);
    }
}
