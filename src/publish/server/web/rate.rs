//! A token bucket.

use std::time::Duration;

use tokio::time::Instant;

/// One token per interval, at most `burst` saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Time to earn a token; never 0.
    pub interval: Duration,
    /// Most tokens saved, and how many there are at first; never 0.
    pub burst: u32,
}

/// The tokens that are left.
#[derive(Debug)]
pub(crate) struct Bucket {
    limit: RateLimit,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(limit: RateLimit, now: Instant) -> Self {
        Self {
            limit,
            tokens: f64::from(limit.burst),
            at: now,
        }
    }

    /// Takes a token when there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let earned = (now - self.at).as_secs_f64() / self.limit.interval.as_secs_f64();
        self.tokens = (self.tokens + earned).min(f64::from(self.limit.burst));
        self.at = now;
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Bucket, RateLimit};

    #[test]
    fn a_burst_is_let_through_and_then_one_an_interval() {
        let limit = RateLimit {
            interval: Duration::from_secs(2),
            burst: 3,
        };
        let start = Instant::now();
        let mut bucket = Bucket::new(limit, start);
        let taken = |bucket: &mut Bucket, seconds: u64| {
            let now = start + Duration::from_secs(seconds);
            std::iter::from_fn(|| bucket.take(now).then_some(())).count()
        };
        assert_eq!(taken(&mut bucket, 0), 3);
        assert_eq!(taken(&mut bucket, 1), 0);
        assert_eq!(taken(&mut bucket, 2), 1);
        assert_eq!(taken(&mut bucket, 1000), 3);
    }
}
