//! Turns the values of expressions and the counts of counters into model metrics.

mod counter;
pub mod drift;
pub mod estimate;
pub mod ratio;
mod recording;
mod sliding;

pub use recording::{Recording, Source, drifted, measured, recorded, samples};
