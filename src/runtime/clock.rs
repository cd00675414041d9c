//! The only place that reads the wall clock. Everything else gets time with its data.

use std::sync::OnceLock;
use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

use crate::metric::Timestamp;

/// Wall-clock time now.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is where wall time enters")]
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp::default() + since.unwrap_or(Duration::ZERO)
}

/// Time that passed since some fixed moment of this process.
#[must_use]
pub fn elapsed() -> Duration {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    STARTED.get_or_init(Instant::now).elapsed()
}
