//! Ratios of counts: which share of the observations is good, or bad.
//!
//! A [`RatioRule`] selects counters: those of the numerator and those of the denominator, or the
//! cumulative buckets of a histogram. A [`Counter`] adds up their increases, over a sliding window
//! for the value that is shown, and since the start for strategies.

mod counter;
mod counting;
mod group;
mod rule;

pub use counter::{Counter, Memory};
pub(in crate::map) use counting::{Counting, Server};
pub(crate) use group::MORE_RIGHT_THAN_ALL;
pub use rule::{Above, Parts, RatioRule};

#[cfg(test)]
mod tests;
