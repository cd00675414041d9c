//! What is usual at each time of day, learned once a visit.

use serde::{Deserialize, Serialize};

use super::mad::{TO_SIGMA, median_distance};

/// How many visits a slot remembers. An incident is one of them.
pub(super) const VISITS: usize = 7;
/// A slot is known after this many visits.
const KNOWN: usize = 2;
/// How many values of a visit are kept for its median.
const KEPT: usize = 64;
/// The spread within one visit counts as at most this many times the usual one.
const SPREAD_CLIP: f32 = 3.0;

/// The values of the present visit. If there are more than [`KEPT`], evenly spaced ones are kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Visit {
    values: Vec<f32>,
    /// One value of so many is kept.
    stride: u32,
    /// How many values came since the last one that was kept.
    since: u32,
}

impl Visit {
    pub(super) fn add(&mut self, x: f64) {
        self.since += 1;
        if self.since < self.stride {
            return;
        }
        self.since = 0;
        self.values.push(narrow(x));
        if self.values.len() == KEPT {
            let mut nth = 0_usize;
            self.values.retain(|_| {
                nth += 1;
                nth.is_multiple_of(2)
            });
            self.stride = self.stride.max(1) * 2;
        }
    }

    /// The median, and the standard deviation estimated from the median distance; `None` without
    /// values.
    fn summary(&self) -> Option<(f32, f32)> {
        if self.values.is_empty() {
            return None;
        }
        let mut sorted: Vec<f64> = self.values.iter().map(|x| f64::from(*x)).collect();
        let (median, sigma) = robust(&mut sorted);
        Some((narrow(median), narrow(sigma)))
    }
}

/// What one slot has learned, as of now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usual {
    pub(super) centre: f64,
    /// Standard deviation, from visit to visit or within one, whichever is larger.
    pub(super) sigma: f64,
}

/// The slots of one kind of day. 33 bytes a slot: 4.8 KB for slots of 10 minutes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Slots {
    /// The medians of the last visits to each slot, the oldest first.
    medians: Vec<[f32; VISITS]>,
    counts: Vec<u8>,
    /// The usual standard deviation within a visit.
    spreads: Vec<f32>,
}

impl Slots {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            medians: vec![[0.0; VISITS]; slots],
            counts: vec![0; slots],
            spreads: vec![0.0; slots],
        }
    }

    /// Whether a restored state has this many slots, and possible counts.
    pub(super) fn is_intact(&self, slots: usize) -> bool {
        [self.medians.len(), self.counts.len(), self.spreads.len()] == [slots; 3]
            && self
                .counts
                .iter()
                .all(|count| usize::from(*count) <= VISITS)
    }

    /// Learns a visit that is over. `floor` is the least standard deviation around a value.
    pub(super) fn learn(&mut self, slot: usize, visit: &Visit, floor: impl Fn(f64) -> f64) {
        let Some((median, spread)) = visit.summary() else {
            return;
        };
        let count = usize::from(self.counts[slot]);
        let medians = &mut self.medians[slot];
        if count < VISITS {
            medians[count] = median;
            self.counts[slot] += 1;
        } else {
            medians.rotate_left(1);
            medians[VISITS - 1] = median;
        }
        let usual = &mut self.spreads[slot];
        let spread = if count < KNOWN {
            spread
        } else {
            spread.min(SPREAD_CLIP * usual.max(narrow(floor(f64::from(median)))))
        };
        *usual += (spread - *usual) / f32::from(self.counts[slot]);
    }

    /// What is usual in a slot; `None` before it was visited twice.
    pub(super) fn usual(&self, slot: usize, floor: impl Fn(f64) -> f64) -> Option<Usual> {
        let count = usize::from(self.counts[slot]);
        if count < KNOWN {
            return None;
        }
        let mut sorted = [0.0; VISITS];
        for (to, from) in sorted.iter_mut().zip(&self.medians[slot]).take(count) {
            *to = f64::from(*from);
        }
        let (centre, between) = robust(&mut sorted[..count]);
        let sigma = between
            .max(f64::from(self.spreads[slot]))
            .max(floor(centre));
        Some(Usual { centre, sigma })
    }
}

/// The median, and the standard deviation estimated from the median distance. Sorts the values.
fn robust(values: &mut [f64]) -> (f64, f64) {
    values.sort_unstable_by(f64::total_cmp);
    let n = values.len();
    let median = f64::midpoint(values[(n - 1) / 2], values[n / 2]);
    (median, TO_SIGMA * median_distance(values, median))
}

/// The nearest finite number of single precision.
#[expect(clippy::cast_possible_truncation, reason = "seven digits are enough")]
fn narrow(x: f64) -> f32 {
    x.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(values: impl IntoIterator<Item = f64>) -> Visit {
        let mut visit = Visit::default();
        values.into_iter().for_each(|x| visit.add(x));
        visit
    }

    #[test]
    fn a_long_visit_is_summed_up_by_evenly_spaced_values() {
        let long = visit((0..10_000).map(f64::from));
        assert!(long.values.len() < KEPT);
        let (median, sigma) = long.summary().unwrap();
        assert!((median - 5000.0).abs() < 200.0, "{median}");
        // The median distance of a uniform distribution is a quarter of its range.
        assert!((sigma - 2500.0 * 1.4826).abs() < 200.0, "{sigma}");
    }

    #[test]
    fn one_strange_visit_of_seven_hardly_changes_what_is_usual() {
        let mut slots = Slots::new(1);
        let usual = [99.0, 100.0, 101.0, 102.0, 98.0];
        assert_eq!(slots.usual(0, |_| 1e-9), None);
        for _ in 0..6 {
            slots.learn(0, &visit(usual), |_| 1e-9);
        }
        let before = slots.usual(0, |_| 1e-9).unwrap();
        assert!((before.centre - 100.0).abs() < 1e-9);
        assert!((before.sigma - 1.4826).abs() < 1e-3, "{before:?}");
        slots.learn(0, &visit([100.0, 100.0, 900.0, 1000.0, 2000.0]), |_| 1e-9);
        let after = slots.usual(0, |_| 1e-9).unwrap();
        assert!((after.centre - 100.0).abs() < 1e-9);
        assert!(after.sigma < 2.0, "{after:?}");
    }

    #[test]
    fn a_lasting_level_is_usual_once_it_fills_most_visits() {
        let mut slots = Slots::new(1);
        let level = |level: f64, times: usize, slots: &mut Slots| {
            (0..times).for_each(|_| slots.learn(0, &visit([level; 3]), |_| 1.0));
            slots.usual(0, |_| 1.0).map(|usual| usual.centre)
        };
        assert_eq!(level(100.0, 7, &mut slots), Some(100.0));
        assert_eq!(level(300.0, 3, &mut slots), Some(100.0));
        assert_eq!(level(300.0, 1, &mut slots), Some(300.0));
    }
}
