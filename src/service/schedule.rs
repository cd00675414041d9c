//! Computes the time of the next tick.

use crate::config::Config;
use crate::metric::{Labels, Timestamp};
use crate::scrape::Schedule;

/// All targets share one schedule offset, hashed from the first target or the discovery name: an
/// evaluation follows when every target has answered.
pub(super) fn schedule(config: &Config) -> Schedule {
    let interval = config.settings.global.scrape_interval;
    let scrape = &config.settings.scrape;
    match (scrape.targets.first(), &scrape.discovery) {
        (Some(target), _) => Schedule::new(interval, &target.labels, &target.url),
        (None, Some(discovery)) => {
            let name = discovery.lookup.question.to_string();
            Schedule::new(interval, &discovery.labels, &name)
        }
        (None, None) => Schedule::new(interval, &Labels::empty(), ""),
    }
}

/// The tick after the one of `last`. A tick that is overdue by less than an interval is due at
/// once; earlier ones are skipped.
pub(super) fn next_tick(schedule: Schedule, last: Timestamp, now: Timestamp) -> Timestamp {
    let (overdue, next) = (schedule.next_after(last), schedule.next_after(now));
    if overdue <= now && schedule.next_after(overdue) == next {
        now
    } else {
        next
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Schedule, Timestamp, next_tick};

    fn next(last: i64, now: i64) -> i64 {
        let every = Schedule::aligned(Duration::from_secs(1));
        let at = Timestamp::from_millis;
        next_tick(every, at(last), at(now)).as_millis()
    }

    #[test]
    fn a_tick_in_time_is_followed_by_the_next_of_the_schedule() {
        assert_eq!(next(5000, 5040), 6000);
        assert_eq!(next(5000, 5999), 6000);
    }

    #[test]
    fn a_tick_that_took_too_long_makes_the_next_one_late_and_skips_none() {
        assert_eq!(next(5000, 6000), 6000);
        assert_eq!(next(5000, 6300), 6300);
        // The tick after that is on schedule.
        assert_eq!(next(6300, 6340), 7000);
    }

    #[test]
    fn a_tick_overdue_by_more_than_an_interval_is_skipped() {
        assert_eq!(next(5000, 7000), 8000);
        assert_eq!(next(5000, 305_300), 306_000);
    }

    #[test]
    fn the_next_tick_does_not_wait_for_a_clock_that_went_back() {
        assert_eq!(next(3_600_000, 5040), 6000);
    }
}
