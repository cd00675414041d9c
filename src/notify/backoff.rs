//! Exponential backoff with full jitter.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::metric::SplitMix64;

/// How long to wait after the n-th failure in a row: a random time between nothing and `first × 2ⁿ⁻¹`, capped.
///
/// Full jitter spreads the retries of many sidecars whose receiver came back ("Exponential Backoff And Jitter", AWS
/// Architecture Blog).
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    failures: u32,
    random: SplitMix64,
}

impl Backoff {
    /// Backoff that starts with up to `first` and ends at `most`.
    #[must_use]
    pub fn new(first: Duration, most: Duration) -> Self {
        Self {
            first,
            most,
            failures: 0,
            random: SplitMix64::new(RandomState::new().hash_one(0u8)),
        }
    }

    /// The same with a fixed seed, for tests.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.random = SplitMix64::new(seed);
        self
    }

    /// Counts a failure and says how long to wait; never less than the receiver asks for.
    pub fn after_failure(&mut self, retry_after: Option<Duration>) -> Duration {
        let factor = 2u32.saturating_pow(self.failures.min(31));
        self.failures = self.failures.saturating_add(1);
        let ceiling = self.first.saturating_mul(factor).min(self.most);
        let jittered = ceiling.mul_f64(self.random.next_unit());
        let asked = retry_after.unwrap_or_default();
        // A receiver that asks many senders to wait equally long gets them spread behind that time.
        if asked.is_zero() {
            jittered
        } else {
            asked + jittered.min(asked / 4)
        }
    }

    /// Starts again after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::Backoff;
    use std::time::Duration;

    #[test]
    fn waits_grow_to_the_cap_and_are_spread() {
        let second = Duration::from_secs(1);
        let mut longest = [Duration::ZERO; 8];
        let mut shortest = [Duration::MAX; 8];
        for seed in 0..400 {
            let mut backoff = Backoff::new(second, second * 30).with_seed(seed);
            for n in 0..8 {
                let wait = backoff.after_failure(None);
                longest[n] = longest[n].max(wait);
                shortest[n] = shortest[n].min(wait);
            }
        }
        for (n, ceiling) in [1, 2, 4, 8, 16, 30, 30, 30].into_iter().enumerate() {
            let ceiling = second * ceiling;
            assert!(longest[n] <= ceiling, "{n}: {:?}", longest[n]);
            assert!(longest[n] > ceiling.mul_f64(0.9), "{n}: {:?}", longest[n]);
            assert!(shortest[n] < ceiling.mul_f64(0.1), "{n}: {:?}", shortest[n]);
        }
    }

    #[test]
    fn a_receivers_wish_is_a_lower_bound() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        let wait = backoff.after_failure(Some(Duration::from_secs(60)));
        assert!((60..=75).contains(&wait.as_secs()), "{wait:?}");
    }
}
