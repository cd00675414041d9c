//! Exponential backoff with full jitter.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Delay after the n-th failure in a row: random between zero and `first × 2ⁿ⁻¹`, at most
/// `max`.
///
/// Full jitter spreads the retries of many sidecars whose receiver has recovered ("Exponential
/// Backoff And Jitter", AWS Architecture Blog).
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// A backoff that starts with up to `first` and grows up to `max`.
    #[must_use]
    pub(crate) fn new(first: Duration, max: Duration) -> Self {
        Self {
            first,
            max,
            failures: 0,
        }
    }

    /// Counts a failure and returns the delay; never less than the receiver asks for.
    pub(crate) fn after_failure(&mut self, retry_after: Option<Duration>) -> Duration {
        let factor = 2u32.saturating_pow(self.failures.min(31));
        self.failures = self.failures.saturating_add(1);
        let ceiling = self.first.saturating_mul(factor).min(self.max);
        let jittered = ceiling.mul_f64(random_unit());
        let requested = retry_after.unwrap_or_default();
        // A receiver that asks many senders to wait equally long gets them spread after that time.
        if requested.is_zero() {
            jittered
        } else {
            requested + jittered.min(requested / 4)
        }
    }

    /// Starts again after a success.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A random number in [0, 1): every `RandomState` has keys of its own.
fn random_unit() -> f64 {
    let random = RandomState::new().hash_one(0u8);
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let unit = (random >> 11) as f64 / (1u64 << 53) as f64;
    unit
}

#[cfg(test)]
mod tests {
    use super::Backoff;
    use std::time::Duration;

    #[test]
    fn delays_grow_to_the_maximum_and_are_spread() {
        let second = Duration::from_secs(1);
        let mut longest = [Duration::ZERO; 8];
        let mut shortest = [Duration::MAX; 8];
        for _ in 0..400 {
            let mut backoff = Backoff::new(second, second * 30);
            for n in 0..8 {
                let delay = backoff.after_failure(None);
                longest[n] = longest[n].max(delay);
                shortest[n] = shortest[n].min(delay);
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
    fn the_delay_is_at_least_what_the_receiver_asks_for() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        let delay = backoff.after_failure(Some(Duration::from_secs(60)));
        assert!((60..=75).contains(&delay.as_secs()), "{delay:?}");
    }
}
