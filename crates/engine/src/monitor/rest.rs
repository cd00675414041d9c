//! Rests of targets whose bodies take long to read.
//!
//! Bodies are read one after the other, on the thread that evaluates the rules: a target whose body
//! takes most of an interval delays the scrapes of all others. It rests for so long that it takes a
//! tenth of the time at most.

use std::time::Duration;

use super::failure::ScrapeFailure;
use crate::exposition::Reason;
use crate::metric::{Timestamp, format_duration};

/// A rest is so many times as long as the body took.
const TIMES: u32 = 10;
/// The longest rest.
const LONGEST: Duration = Duration::from_secs(300);

/// Why a target is not scraped for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rest {
    took: Duration,
    until: Timestamp,
}

impl Rest {
    /// The rest after a scrape at `at` whose answer took `waited` to arrive and then `took` to read;
    /// `None` if both fit into the interval, or reading took little of it.
    pub(super) fn after(
        (waited, took): (Duration, Duration),
        interval: Duration,
        at: Timestamp,
    ) -> Option<Self> {
        let is_late = waited + took > interval && took > interval / 4;
        is_late.then(|| Self {
            took,
            until: at + (took * TIMES).min(LONGEST),
        })
    }

    /// Whether the rest lasts; not if the clock went back so far that it would last too long.
    pub(super) fn lasts(&self, at: Timestamp) -> bool {
        at < self.until && self.until.since(at) <= LONGEST
    }

    pub(super) fn failure(&self, interval: Duration) -> ScrapeFailure {
        let millis =
            Duration::from_millis(u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX));
        ScrapeFailure {
            reason: Reason::Resting,
            message: format!(
                "not scraped until {}, so that the other targets are: its last body took {} to read, of an interval \
                 of {}; lower body_size_limit or sample_limit, or lengthen scrape_interval",
                self.until,
                format_duration(millis),
                format_duration(interval),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Rest;
    use crate::metric::Timestamp;

    const SECOND: Duration = Duration::from_secs(1);
    const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    #[test]
    fn a_body_that_makes_others_miss_a_scrape_leads_to_a_rest_of_ten_times_its_time() {
        let rest = |waited, took| Rest::after((waited, took), SECOND, AT);
        assert_eq!(rest(Duration::ZERO, SECOND), None);
        // A slow server with a small body delays nobody.
        assert_eq!(rest(SECOND * 5, SECOND / 10), None);
        for (waited, took) in [(Duration::ZERO, SECOND * 3), (SECOND, SECOND / 2)] {
            let rest = rest(waited, took).unwrap();
            assert!(rest.lasts(AT) && rest.lasts(AT + took * 9));
            assert!(!rest.lasts(AT + took * 10));
            assert!(
                rest.failure(SECOND)
                    .message
                    .contains("so that the other targets are")
            );
        }
    }

    #[test]
    fn a_rest_ends_after_five_minutes_even_if_the_clock_goes_back() {
        let rest = Rest::after((SECOND, SECOND * 3600), SECOND, AT).unwrap();
        assert!(rest.lasts(AT) && !rest.lasts(AT + SECOND * 300));
        assert!(!rest.lasts(AT - SECOND));
    }
}
