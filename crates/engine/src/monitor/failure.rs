//! Scrapes that gave nothing.

use crate::exposition::Reason;

/// Why a scrape gave no exposition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapeFailure {
    /// The reason's value in a metric label.
    pub reason: Reason,
    /// The error and its remedy, on one line.
    pub message: String,
}
