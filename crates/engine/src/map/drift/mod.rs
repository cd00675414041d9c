//! Distribution drift: is today's histogram the reference's?
//!
//! A [`DriftRule`] names counters: cumulative buckets, or one counter per category. A [`Detector`] adds up what they rise by over
//! a sliding window and compares it with the reference: a [`LearntReference`] from a file or the rule, or what it learnt first.
//! [`Drift::observe`] gives the bias-corrected value with its evidence: sample sizes, p-value, critical value and the buckets
//! behind it. A [`Tally`] counts what becomes a reference file.

mod counting;
mod detector;
mod histogram;
mod null;
mod observe;
mod reference;
mod rule;
mod sliding;
mod statistic;
mod tally;

pub use detector::{Detector, Drifted, Memory};
pub use histogram::Histogram;
pub use observe::{Drift, DriftParams};
pub use reference::{BaselineFile, BaselineSeries, LearntReference};
pub use rule::{DriftRule, Reference, References};
pub use statistic::Statistic;
pub use tally::Tally;

#[cfg(test)]
mod tests;
