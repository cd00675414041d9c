//! Times of a replay as people read them.

use crate::metric::{Timestamp, format_duration};

/// A day before 1970-01-03 is no date but a time since the start.
const NO_DATE: i64 = 2 * 86_400_000;

/// A moment: `2026-01-02 03:04:05`, or `1h2m15s` since the first scrape where the times are no dates.
pub(super) fn moment(at: Timestamp) -> String {
    if at.as_millis() < NO_DATE {
        return format_duration(at.since(Timestamp::default()));
    }
    let text = at.to_string().replace('T', " ");
    let text = text.trim_end_matches('Z');
    text.strip_suffix(".000").unwrap_or(text).to_owned()
}

/// From a moment on for how long, or that it goes on.
pub(super) fn lasted(from: Timestamp, to: Option<Timestamp>) -> String {
    to.map_or("until the end".to_owned(), |to| {
        format!("for {}", format_duration(to.since(from)))
    })
}
