//! When a group is due: at every tick, or at every so many ticks.

use std::time::Duration;

use crate::metric::Timestamp;

/// The time between two evaluations of a group with this interval: a whole number of scrape
/// intervals, never less than the interval.
#[must_use]
pub fn evaluated_every(interval: Duration, scrape_interval: Duration) -> Duration {
    let (wanted, tick) = (interval.as_millis(), scrape_interval.as_millis().max(1));
    let ticks = wanted.div_ceil(tick).max(1);
    let millis = u64::try_from(ticks.saturating_mul(tick)).unwrap_or(u64::MAX);
    Duration::from_millis(millis)
}

/// The slots in which a group is evaluated, `every` apart. The tick nearest to a slot serves it.
///
/// A tick that is late serves its slot late and leaves the later slots where they are, so delays do
/// not add up. A tick that serves its slot early (the first tick of a process is off the schedule
/// of the others, and a clock may be set) moves the later slots, so that this happens once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cadence {
    /// Time between two evaluations.
    every: Duration,
    /// Time between two ticks.
    tick: Duration,
    /// The next slot; `None` before the first evaluation.
    next: Option<Timestamp>,
}

impl Cadence {
    /// The slots of a group with this interval, due at the first tick.
    pub(super) fn new(interval: Duration, scrape_interval: Duration) -> Self {
        Self {
            every: evaluated_every(interval, scrape_interval),
            tick: scrape_interval,
            next: None,
        }
    }

    /// Whether the tick at `at` serves the next slot.
    pub(super) fn is_due(&self, at: Timestamp) -> bool {
        let Some(next) = self.next.filter(|_| self.every > self.tick) else {
            return true;
        };
        let nearest = at + self.tick / 2;
        nearest >= next || self.is_set_back(at)
    }

    /// Notes an evaluation.
    pub(super) fn evaluated(&mut self, at: Timestamp) {
        let kept = self.next.filter(|next| *next <= at);
        let after = match kept {
            Some(slot) => slot + self.every * self.slots_served(at.since(slot)),
            None => at + self.every,
        };
        self.next = Some(after);
    }

    /// The slots up to a tick this late. More than half an evaluation late serves the slot after
    /// it, too.
    fn slots_served(&self, late: Duration) -> u32 {
        let every = self.every.as_millis().max(1);
        let slots = (late.as_millis() + every / 2) / every + 1;
        u32::try_from(slots).unwrap_or(u32::MAX)
    }

    /// Continues the slots of an earlier version of the group, last evaluated at `last`.
    pub(super) fn resume(&mut self, before: &Self, last: Option<Timestamp>) {
        let is_same = (self.every, self.tick) == (before.every, before.tick);
        self.next = if is_same {
            before.next
        } else {
            last.map(|last| last + self.every)
        };
    }

    /// Moves the slots after the clock went back.
    pub(super) fn set_back(&mut self, by: Duration) {
        self.next = self.next.map(|next| next - by);
    }

    /// Whether the next slot is further away than it can be unless the clock went back.
    fn is_set_back(&self, at: Timestamp) -> bool {
        self.next
            .is_some_and(|next| next.since(at) > self.every + self.tick / 2)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Cadence, Duration, Timestamp, evaluated_every};

    const START: i64 = 1_700_000_000_000;

    fn millis(n: i64) -> Duration {
        Duration::from_millis(n.unsigned_abs())
    }

    /// The ticks of these times, in milliseconds from the start, that evaluate the group.
    fn evaluations(cadence: &mut Cadence, ticks: impl IntoIterator<Item = i64>) -> Vec<i64> {
        let mut evaluated = Vec::new();
        for tick in ticks {
            let at = Timestamp::from_millis(START + tick);
            if cadence.is_due(at) {
                cadence.evaluated(at);
                evaluated.push(tick);
            }
        }
        evaluated
    }

    fn seconds(interval: i64, tick: i64) -> Cadence {
        Cadence::new(millis(interval * 1000), millis(tick * 1000))
    }

    #[test]
    fn the_time_between_evaluations_is_a_whole_number_of_scrape_intervals() {
        let every = |interval: i64, tick: i64| {
            evaluated_every(millis(interval * 1000), millis(tick * 1000)).as_secs()
        };
        assert_eq!(every(300, 1), 300);
        assert_eq!(every(300, 7), 301);
        assert_eq!(every(20, 15), 30);
        assert_eq!(every(5, 15), 15);
        assert_eq!(every(15, 15), 15);
    }

    #[test]
    fn a_group_that_is_no_multiple_runs_later_and_one_that_is_shorter_at_every_tick() {
        let ticks = || (0..9).map(|n| n * 15_000);
        assert_eq!(
            evaluations(&mut seconds(20, 15), ticks()),
            [0, 30_000, 60_000, 90_000, 120_000]
        );
        assert_eq!(evaluations(&mut seconds(5, 15), ticks()).len(), 9);
    }

    #[test]
    fn a_late_tick_delays_one_evaluation_and_no_other() {
        let ticks = [0, 15_000, 44_000, 45_000, 60_000, 75_000, 90_000];
        assert_eq!(
            evaluations(&mut seconds(30, 15), ticks),
            [0, 44_000, 60_000, 90_000]
        );
    }

    #[test]
    fn slots_that_passed_without_a_tick_are_skipped() {
        let ticks = [0, 10_000, 305_000, 310_000, 320_000, 330_000, 340_000];
        assert_eq!(
            evaluations(&mut seconds(20, 10), ticks),
            [0, 305_000, 320_000, 340_000]
        );
    }

    #[test]
    fn the_schedule_follows_a_clock_that_went_back_and_one_that_goes_on_in_another_phase() {
        let mut cadence = seconds(300, 15);
        assert_eq!(evaluations(&mut cadence, [0]), [0]);
        let ticks = (-200..=0).map(|n| n * 15_000 - 3_600_000);
        let evaluated = evaluations(&mut cadence, ticks);
        assert!(
            evaluated
                .windows(2)
                .all(|pair| pair[1] - pair[0] == 300_000)
        );
        assert_eq!(evaluated.len(), 11);
        // The ticks are seven seconds earlier than before.
        let ticks = (1..200).map(|n| n * 15_000 - 3_607_000);
        let evaluated = evaluations(&mut cadence, ticks);
        assert!(
            evaluated
                .windows(2)
                .all(|pair| pair[1] - pair[0] == 300_000)
        );
    }

    #[test]
    fn the_time_since_the_last_evaluation_is_kept_when_the_clock_goes_back() {
        let mut cadence = seconds(60, 15);
        assert_eq!(evaluations(&mut cadence, [0, 15_000, 30_000]), [0]);
        cadence.set_back(millis(3_600_000));
        let ticks = [45_000, 60_000, 75_000].map(|tick| tick - 3_600_000);
        assert_eq!(evaluations(&mut cadence, ticks), [60_000 - 3_600_000]);
    }

    #[test]
    fn a_reload_keeps_the_schedule_and_a_new_interval_counts_from_the_last_evaluation() {
        let mut before = seconds(60, 15);
        let last = *evaluations(&mut before, [0, 15_000, 30_000, 45_000, 61_000])
            .last()
            .unwrap();
        let last = Some(Timestamp::from_millis(START + last));
        let mut same = seconds(60, 15);
        same.resume(&before, last);
        assert_eq!(
            evaluations(&mut same, [75_000, 105_000, 120_000]),
            [120_000]
        );
        let mut longer = seconds(90, 15);
        longer.resume(&before, last);
        assert_eq!(
            evaluations(&mut longer, [120_000, 135_000, 150_000, 165_000]),
            [150_000]
        );
        let mut shorter = seconds(30, 15);
        shorter.resume(&before, last);
        assert_eq!(evaluations(&mut shorter, [75_000, 90_000]), [90_000]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn the_number_of_evaluations_is_the_span_over_the_interval(
            tick in 100..60_000_i64,
            multiple in 1..400_i64,
            jitters in proptest::collection::vec(0.0..=1.0_f64, 4000),
            share in 0.0..0.24_f64,
        ) {
            let jitter = (tick as f64 * share) as i64;
            let interval = tick * multiple;
            let ticks = jitters.iter().enumerate().map(|(n, part)| {
                i64::try_from(n).unwrap() * tick + ((2.0 * part - 1.0) * jitter as f64) as i64
            });
            let mut cadence = Cadence::new(millis(interval), millis(tick));
            let evaluated = evaluations(&mut cadence, ticks);
            let span = i64::try_from(jitters.len()).unwrap() * tick;
            let expected = span / interval;
            let count = i64::try_from(evaluated.len()).unwrap();
            prop_assert!((count - expected).abs() <= 1, "{count} evaluations, {expected} intervals");
            for pair in evaluated.windows(2) {
                let apart = pair[1] - pair[0];
                prop_assert!((apart - interval).abs() <= 2 * jitter, "{apart} apart, not {interval} ± {jitter}");
            }
        }
    }
}
