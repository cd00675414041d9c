//! What a good OpenMetrics body must not contain although Prometheus takes it.
//!
//! Ingestion follows Prometheus and lets these pass; the lint names them, so that the owner of a target can mend it. It
//! is slow and meant for a target's first scrape and for `check`, not for every scrape.

mod family;
mod finding;
mod linter;
mod sample;

pub use finding::{Finding, Lint};
pub use linter::lint;

#[cfg(test)]
mod tests;
