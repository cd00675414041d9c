//! The schedule of scrapes.

use std::time::Duration;

use crate::metric::{Labels, Timestamp};

/// The fixed phase of a target within the interval: stable across restarts, spread over targets.
///
/// The first scrape happens at once; every later one at a multiple of the interval plus the phase.
/// A missed tick is skipped: call [`Schedule::next_after`] with the current time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    interval: i64,
    phase: i64,
}

impl Schedule {
    /// A schedule for the target with these labels and URL. The interval is at least 1 ms.
    #[must_use]
    pub(crate) fn new(interval: Duration, labels: &Labels, url: &str) -> Self {
        let interval = i64::try_from(interval.as_millis())
            .unwrap_or(i64::MAX)
            .max(1);
        let hash = labels.with("__url__", url).fingerprint();
        let phase = i64::try_from(hash % interval.unsigned_abs()).unwrap_or(0);
        Self { interval, phase }
    }

    /// A schedule with ticks at multiples of the interval, for evaluations without a target.
    #[cfg(test)]
    pub(crate) fn aligned(interval: Duration) -> Self {
        let interval = i64::try_from(interval.as_millis())
            .unwrap_or(i64::MAX)
            .max(1);
        Self { interval, phase: 0 }
    }

    /// The first tick later than `now`.
    #[must_use]
    pub(crate) fn next_after(&self, now: Timestamp) -> Timestamp {
        let since = (now.as_millis() - self.phase).rem_euclid(self.interval);
        Timestamp::from_millis(now.as_millis().saturating_add(self.interval - since))
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;
    use crate::metric::{Labels, Timestamp};
    use std::time::Duration;

    fn schedule(pod: &str) -> Schedule {
        let labels = Labels::new([("pod", pod)]);
        Schedule::new(Duration::from_secs(15), &labels, "http://127.0.0.1/metrics")
    }

    #[test]
    fn the_phase_is_the_same_after_a_restart_and_differs_between_targets() {
        assert_eq!(schedule("a"), schedule("a"));
        assert_ne!(schedule("a").phase, schedule("b").phase);
        assert!((0..15_000).contains(&schedule("a").phase));
    }

    #[test]
    fn ticks_are_one_interval_apart() {
        let s = schedule("a");
        let first = s.next_after(Timestamp::from_millis(1_700_000_000_123));
        assert_eq!(s.next_after(first), first + Duration::from_secs(15));
        let before = Timestamp::from_millis(first.as_millis() - 1);
        assert_eq!(s.next_after(before), first);
    }

    #[test]
    fn missed_ticks_are_skipped() {
        let s = Schedule::aligned(Duration::from_secs(10));
        let late = Timestamp::from_millis(47_500);
        assert_eq!(s.next_after(late), Timestamp::from_millis(50_000));
    }

    #[test]
    fn time_before_the_epoch_has_ticks_too() {
        let s = Schedule::aligned(Duration::from_secs(10));
        let early = Timestamp::from_millis(-25_000);
        assert_eq!(s.next_after(early), Timestamp::from_millis(-20_000));
    }
}
