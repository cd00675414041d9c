//! The only place that reads the wall clock. Everything else gets time with its data.

use std::time::{Duration, UNIX_EPOCH};

use crate::metric::Timestamp;

/// Wall-clock time now.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is where wall time enters")]
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp::default() + since.unwrap_or(Duration::ZERO)
}
