//! Distribution drift: whether the current distribution differs from the reference.
//!
//! A [`DriftRule`] selects counters: cumulative buckets, or one counter per category. A
//! [`Detector`] adds up their increases over a sliding window and compares them with the reference:
//! a [`LearntReference`] from a file or the rule, or the first observations. [`Drift::observe`]
//! computes the bias-corrected value with its evidence: sample sizes, p-value, critical value and
//! the buckets that contribute most. A [`Tally`] counts observations for a reference file.

mod counting;
mod detector;
mod histogram;
mod null;
mod observe;
mod reference;
mod rule;
mod statistic;
mod tally;

pub use detector::{Detector, Drifted, Memory, Refused};
pub use histogram::Histogram;
pub use observe::DriftParams;
pub use reference::{BaselineFile, BaselineSeries, LearntReference};
pub use rule::{DriftRule, Reference, References};
pub use statistic::Statistic;
pub use tally::Tally;

pub(crate) use observe::Drift;

pub(super) use histogram::parse_bound;

#[cfg(test)]
mod tests;
