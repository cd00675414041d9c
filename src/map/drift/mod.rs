//! Distribution drift: is today's histogram the reference's?
//!
//! An [`Accumulator`] turns cumulative buckets over a window into counts, a [`Baseline`] says what they are compared with, and
//! [`Drift::observe`] gives the bias-corrected value with its evidence: sample sizes, p-value, critical value and the buckets behind it.

mod accumulate;
mod null;
mod observe;
mod reference;
mod statistic;

pub use accumulate::{Accumulator, Histogram};
pub use observe::{Drift, DriftParams};
pub use reference::{Baseline, BaselineFile, BaselineSeries, Learning};
pub use statistic::Statistic;

#[cfg(test)]
mod tests;
