//! Values and histograms become model metrics.

mod recording;

pub use recording::{Recording, Source, samples};
