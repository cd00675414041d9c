//! Distribution drift: whether the current distribution differs from the reference.
//!
//! A [`DriftRule`] selects counters: cumulative buckets, or one counter per category. A
//! [`Detector`] adds up their increases over a sliding window and compares them with the reference:
//! a [`LearntReference`] from a file or the rule, or learned. How much the windows of the reference
//! differ from each other, its [`Spread`], says what is drift and what is not. [`Drift::measure`]
//! computes the bias-corrected value with its evidence: sample sizes, p-value, critical value, the
//! share of observations that moved and the buckets that contribute most. All distributions of a
//! rule share one budget of false alarms. A [`Tally`] counts observations for a reference file.

mod budget;
mod counting;
mod detector;
mod distribution;
mod histogram;
mod learning;
mod moved;
mod null;
mod observe;
mod pieces;
mod reference;
mod rule;
mod season;
mod spread;
mod statistic;
mod tally;

pub use detector::{Detector, Drifted, Memory, Refused};
pub use histogram::Histogram;
pub use observe::DriftParams;
pub use reference::{BaselineFile, BaselineSeries, LearntReference};
pub use rule::{DriftRule, Learn, Reference, References};
pub use season::Season;
pub use spread::Spread;
pub use statistic::Statistic;
pub use tally::Tally;

pub(crate) use observe::Drift;

pub(super) use histogram::parse_bound;

#[cfg(test)]
mod tests;
