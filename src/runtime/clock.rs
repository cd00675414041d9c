//! The only place that reads the wall clock. All other code receives the time as an argument.

use std::sync::OnceLock;
use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

use crate::metric::Timestamp;

/// The current wall-clock time.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the only reader of the wall clock"
)]
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp::default() + since.unwrap_or(Duration::ZERO)
}

/// Time that passed since some fixed moment of this process.
#[must_use]
pub(crate) fn elapsed() -> Duration {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    STARTED.get_or_init(Instant::now).elapsed()
}
