//! Times and durations of a replay as text.

use crate::metric::{Timestamp, format_duration};

/// Times before 1970-01-03 are not dates: the replay counts from 0.
const FIRST_DATE: i64 = 2 * 86_400_000;

/// Whether a replay with this time has no dates and counts from 0.
pub(super) fn is_relative(at: Timestamp) -> bool {
    at.as_millis() < FIRST_DATE
}

/// `2026-01-02 03:04:05`, or `1h2m15s` since the first scrape if the replay has no dates.
pub(super) fn moment(at: Timestamp) -> String {
    if is_relative(at) {
        return format_duration(at.since(Timestamp::default()));
    }
    let text = at.to_string().replace('T', " ");
    let text = text.trim_end_matches('Z');
    text.strip_suffix(".000").unwrap_or(text).to_owned()
}

/// `for 15s`, or `until the end` without an end.
pub(super) fn lasted(from: Timestamp, to: Option<Timestamp>) -> String {
    to.map_or("until the end".to_owned(), |to| {
        format!("for {}", format_duration(to.since(from)))
    })
}
