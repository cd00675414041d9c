//! Judging: one strategy per rule and series decides whether a value is normal, from what it knew
//! before the value arrived.
//!
//! A [`StrategyConfig`] is the configuration in a rule file. A [`Registry`] checks it and builds a
//! [`ThresholdStrategy`] from it. All strategies return a [`Verdict`] with a score on the same
//! scale: 1 is exactly at the limit.

mod adwin;
mod auto;
mod band_params;
mod bars;
mod blocks;
mod budget;
mod builtin;
mod calendar;
mod compose;
mod config;
mod drift;
mod ewma;
mod mad;
mod moments;
mod moving_mean;
mod normal;
mod novelty;
mod pace;
mod page_hinkley;
mod params;
mod ratio;
mod record;
mod recurrence;
mod registry;
mod season;
mod seasonal;
mod shift;
mod statics;
mod strategy;
mod streaming;
mod usual;
mod verdict;
mod visits;

pub use band_params::EwmaParams;
pub use config::StrategyConfig;
pub use ewma::EwmaStrategy;
pub(crate) use pace::NO_NUMBER;
pub use pace::Pace;
pub use params::{Problem, read_params};
pub use registry::{Built, Registry, StrategyContext, StrategyFactory};
pub use statics::StaticThresholdStrategy;
pub use strategy::{Data, Level, Snapshot, StrategyError, ThresholdStrategy};
pub use verdict::{Band, Side, State, Verdict};

#[cfg(test)]
mod tests;
