//! How often an excursion as large as a given one recurs in a series.

use serde::{Deserialize, Serialize};

use crate::metric::Timestamp;

/// Bins of sizes; the first one stays empty.
const BINS: usize = 64;
/// The lower end of the first bin that is used. Smaller excursions are neither counted nor judged.
const LEAST: f64 = 0.02;
/// The logarithm of the ratio of a bin's ends: 62 bins span a factor of 1e5.
const STEP: f64 = 0.185_692_346_209_197_22;
/// The share that an excursion keeps in the count for one a bin larger: `exp(−2 STEP)`, a Pareto
/// tail of index 2.
const KEPT: f64 = 0.689_778_537_938_765_6;
/// The square root of [`KEPT`], for half a bin.
const HALF_KEPT: f64 = 0.830_529_071_097_915_1;
/// The half-life of counts, in days.
const HALF_LIFE: f64 = 30.0;
/// Excursions within this many milliseconds are one; the largest counts.
const TOGETHER: i64 = 8 * 3_600_000;
/// Periods and excursions that are assumed before anything was seen.
const PRIOR: (f64, f64) = (2.0, 0.6);
/// The score is the size times the rarity over this.
const LIMIT: f64 = 1.5;

/// Time that passes, and the share of every count that is left after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed {
    days: f64,
    left: f64,
}

impl Passed {
    pub(super) fn new(days: f64) -> Self {
        Self {
            days,
            left: (-days / HALF_LIFE).exp2(),
        }
    }

    pub(super) fn days(self) -> f64 {
        self.days
    }
}

/// Counts of past excursions by size, which fade with time.
///
/// Instead of fading all counts with every sample, a new excursion is counted as `growth`, which
/// doubles every thirty days; a count divided by `growth` has faded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Recurrence {
    counts: Vec<f64>,
    growth: f64,
    /// The days that were watched, faded in the same way: at most 43.
    days: f64,
    /// The largest excursion of the incident that was counted last, and when it was.
    last: Option<(f64, Timestamp)>,
}

/// A size as a bin and the share of the bin below it.
#[derive(Debug, Clone, Copy)]
struct Place {
    bin: usize,
    share: f64,
}

#[expect(clippy::cast_possible_truncation, reason = "at most 63")]
#[expect(clippy::cast_sign_loss, reason = "positive")]
#[expect(clippy::cast_precision_loss, reason = "at most 62")]
fn place(size: f64) -> Option<Place> {
    if size <= LEAST {
        return None;
    }
    let steps = (size / LEAST).ln() / STEP;
    let bin = (steps as usize).saturating_add(1).min(BINS - 1);
    let share = (steps - (bin - 1) as f64).clamp(0.0, 1.0);
    Some(Place { bin, share })
}

/// What the past says about an excursion.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Rarity {
    /// 1 is at the limit.
    pub(super) score: f64,
    /// The periods of the budget until one as large recurs; 0 if the excursion is too small.
    pub(super) periods: f64,
}

impl Recurrence {
    pub(super) fn new() -> Self {
        Self {
            counts: vec![0.0; BINS],
            growth: 1.0,
            days: 0.0,
            last: None,
        }
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, passed: Passed) {
        self.days = self.days_after(passed);
        self.growth /= passed.left;
        if self.growth > 1e100 {
            for count in &mut self.counts {
                *count /= self.growth;
            }
            self.growth = 1.0;
        }
    }

    /// The days that were watched and are not forgotten, when more have passed.
    pub(super) fn days_after(&self, passed: Passed) -> f64 {
        (self.days + passed.days) * passed.left
    }

    /// How rare an excursion of this size is when more time has passed, for a budget of one in `period`
    /// days. If more were as large than the budget allows, the score is at most 1.
    pub(super) fn rarity(&self, size: f64, passed: Passed, period: f64) -> Rarity {
        let Some(place) = place(size) else {
            return Rarity::default();
        };
        let periods =
            (PRIOR.0 + self.days_after(passed) / period) / (PRIOR.1 + self.count(place, passed));
        let score = size * periods / LIMIT;
        Rarity {
            score: if periods < 1.0 { score.min(1.0) } else { score },
            periods,
        }
    }

    /// How many excursions were as large, without the incident that goes on at this time.
    pub(super) fn earlier(&self, size: f64, passed: Passed, at: Timestamp) -> f64 {
        let Some(to) = place(size) else {
            return 0.0;
        };
        let own = self.last.filter(|last| goes_on(last.1, at));
        let own = own.and_then(|(size, _)| place(size));
        let own = own.map_or(0.0, |from| {
            if from.bin >= to.bin {
                1.0
            } else {
                let between = i32::try_from(to.bin - 1 - from.bin).unwrap_or(i32::MAX);
                KEPT.powi(between) * tail(to.share)
            }
        });
        (self.count(to, passed) - own).max(0.0)
    }

    /// Counts an excursion. Of an incident only the largest one counts.
    pub(super) fn learn(&mut self, size: f64, at: Timestamp) {
        let Some(Place { bin, .. }) = place(size) else {
            return;
        };
        if let Some((largest, since)) = self.last
            && goes_on(since, at)
        {
            if size <= largest {
                return;
            }
            self.last = Some((size, at));
            let Some(old) = place(largest).filter(|old| old.bin != bin) else {
                return;
            };
            self.counts[old.bin] = (self.counts[old.bin] - self.growth).max(0.0);
        }
        self.counts[bin] += self.growth;
        self.last = Some((size, at));
    }

    /// The least size that is anomalous; `None` if none is.
    ///
    /// The score grows with the size. Within a bin it is at the limit where `a s³ − b s² − c = 0`,
    /// which Newton's method solves.
    pub(super) fn limit(&self, passed: Passed, period: f64) -> Option<f64> {
        let periods = PRIOR.0 + self.days_after(passed) / period;
        let fade = passed.left / self.growth;
        let mut above = sum(&self.counts);
        let (mut below, mut low) = (0.0, LEAST);
        for bin in 1..BINS {
            above -= self.counts[bin - 1];
            below = below * KEPT + self.counts[bin - 1];
            let fixed = PRIOR.1 + above.max(0.0) * fade;
            let moving = below * fade * HALF_KEPT;
            let high = low / HALF_KEPT;
            let at_end = fixed + moving * KEPT;
            if periods >= at_end && high * periods >= LIMIT * at_end {
                let least = low * (moving / (periods - fixed)).sqrt();
                let limit = solve(periods, LIMIT * fixed, LIMIT * moving * low * low, high);
                return Some(limit.max(least).clamp(low, high));
            }
            low = high;
        }
        let at_end = PRIOR.1 + (above.max(0.0) + below * HALF_KEPT * KEPT) * fade;
        (periods >= at_end).then(|| low.max(LIMIT * at_end / periods))
    }

    /// Whether a restored state has all bins.
    pub(super) fn is_intact(&self) -> bool {
        self.counts.len() == BINS
    }

    /// The bytes of its state on the heap.
    #[cfg(test)]
    pub(super) fn heap(&self) -> usize {
        self.counts.capacity() * size_of::<f64>()
    }

    /// How many excursions were as large; one that was almost as large counts almost whole.
    fn count(&self, place: Place, passed: Passed) -> f64 {
        let as_large = sum(&self.counts[place.bin..]);
        let smaller = self.counts[..place.bin]
            .iter()
            .fold(0.0, |sum, count| sum * KEPT + count);
        (as_large + smaller * tail(place.share)) * passed.left / self.growth
    }
}

/// Whether an excursion at this time belongs to the incident whose largest one was at `since`.
fn goes_on(since: Timestamp, at: Timestamp) -> bool {
    let elapsed = at.as_millis().saturating_sub(since.as_millis());
    (0..=TOGETHER).contains(&elapsed)
}

/// The sum in eight lanes, which is faster than one after the other.
fn sum(counts: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    for chunk in counts.chunks(8) {
        for (lane, count) in lanes.iter_mut().zip(chunk) {
            *lane += count;
        }
    }
    lanes.iter().sum()
}

/// The weight of an excursion in the bin below.
fn tail(share: f64) -> f64 {
    (-2.0 * STEP * (share + 0.5)).exp()
}

/// The root of `a s³ − b s² − c`, from above it.
fn solve(a: f64, b: f64, c: f64, from: f64) -> f64 {
    (0..5).fold(from, |s, _| {
        let value = (a * s - b) * s * s - c;
        let slope = (3.0 * a * s - 2.0 * b) * s;
        if slope > 0.0 { s - value / slope } else { s }
    })
}
