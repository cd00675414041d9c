//! The increases within a sliding window.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::metric::Timestamp;

/// Slices of a window: increases leave it in steps of a sixtieth of its length.
const SLICES: u32 = 60;

/// Increases that can be added up.
pub(super) trait Increases: Clone + Default {
    /// Adds other increases.
    fn add(&mut self, other: &Self);
}

/// The increases within a slice of the window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Slice<I> {
    since: Timestamp,
    rises: I,
}

/// The increases within the window. Its size does not depend on how often increases are added.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Sliding<I> {
    slices: VecDeque<Slice<I>>,
}

impl<I: Increases> Sliding<I> {
    /// Adds the increases since the last call, and drops those older than the window.
    pub(super) fn add(&mut self, at: Timestamp, window: Duration, rises: &I) {
        // If the clock was set back, drop what is in the future.
        self.slices.retain(|slice| slice.since <= at);
        while let Some(oldest) = self.slices.front()
            && at.since(oldest.since) >= window
        {
            self.slices.pop_front();
        }
        match self.slices.back_mut() {
            Some(slice) if at.since(slice.since) < window / SLICES => {
                slice.rises.add(rises);
            }
            _ => self.slices.push_back(Slice {
                since: at,
                rises: rises.clone(),
            }),
        }
    }

    /// The sum of the increases in the window.
    pub(super) fn sum(&self) -> I {
        let mut sum = I::default();
        for slice in &self.slices {
            sum.add(&slice.rises);
        }
        sum
    }

    /// The sum of the newest slices, back to where there is enough, and the start of the oldest of
    /// them.
    pub(super) fn newest_sum(&self, is_enough: impl Fn(&I) -> bool) -> (I, Option<Timestamp>) {
        let (mut sum, mut since) = (I::default(), None);
        for slice in self.slices.iter().rev() {
            sum.add(&slice.rises);
            since = Some(slice.since);
            if is_enough(&sum) {
                break;
            }
        }
        (sum, since)
    }

    /// The start of the newest slice.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.slices.back().map(|slice| slice.since)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Sliding;
    use crate::metric::{Quotient, Timestamp};

    fn add(sliding: &mut Sliding<Quotient>, second: i64, rise: f64) -> f64 {
        let rises = Quotient {
            numerator: 0.0,
            denominator: rise,
        };
        let window = Duration::from_secs(600);
        sliding.add(Timestamp::from_millis(second * 1000), window, &rises);
        sliding.sum().denominator
    }

    #[test]
    fn increases_older_than_the_window_are_dropped() {
        let mut sliding = Sliding::default();
        let sums: Vec<f64> = (0..50).map(|i| add(&mut sliding, i * 60, 1.0)).collect();
        assert_eq!(sums[..3], [1.0, 2.0, 3.0]);
        assert!(
            sums[10..].iter().all(|sum| (*sum - 10.0).abs() < 1e-9),
            "{sums:?}"
        );
    }

    #[test]
    fn frequent_increases_share_a_slice() {
        let mut sliding = Sliding::default();
        for second in 0..3000 {
            let sum = add(&mut sliding, second, 1.0);
            assert!(sum <= 600.0 && (second < 600 || sum > 589.0), "{sum}");
        }
        assert_eq!(sliding.slices.len(), 60);
    }

    #[test]
    fn increases_in_the_future_are_dropped_when_the_clock_is_set_back() {
        let mut sliding = Sliding::default();
        add(&mut sliding, 1000, 5.0);
        assert!((add(&mut sliding, 500, 1.0) - 1.0).abs() < f64::EPSILON);
    }
}
