//! Values and histograms become model metrics.

pub mod drift;
mod recording;

pub use recording::{Recording, Source, drifted, samples};
