//! Finds violations of OpenMetrics that Prometheus accepts.
//!
//! Ingestion follows Prometheus and accepts them; the lint reports them to the owner of a target.
//! It is slow and meant for `check` and a target's first scrape, not for every scrape.

mod family;
mod finding;
mod linter;
mod sample;

pub use finding::{Finding, Lint};
pub use linter::lint;

#[cfg(test)]
mod tests;
