//! Turns the values of expressions and the counts of histograms into model metrics.

pub mod drift;
mod recording;

pub use recording::{Recording, Source, drifted, samples};
